"""The wire format of the DarkAI chat API: bytes to events and back, with no input or output of its own.

A request is one JSON object, `{"query": "...", "model": "..."}`. A reply is a stream of lines; each event is a JSON
object on a line that starts with `data:`

    data: {"event": "text-chunk", "data": {"text": "Hel"}}
    data: {"event": "final-response", "data": {"message": "Hello"}}
    data: {"event": "stream-end", "data": {"usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}}}

Source: the service's public clients, and the deviations observed in servers that speak to them. Lines are those of
https://html.spec.whatwg.org/multipage/server-sent-events.html; unlike there, a blank line is not needed between events,
and a line without `data:` continues an event whose JSON is not complete.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

from langchain_core.exceptions import ModelError

from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAIStreamDecodeError,
    DarkAIStreamTruncatedError,
    error_class_for_status,
    error_class_for_wire_type,
    hint_for,
    status_for_error,
    wire_error_type,
)

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""The longest event that is read, in bytes. A `final-response` holds a whole reply, so a limit must leave room for the
longest book-sized one; a server that sends no line end at all must still not fill the memory."""

MAX_SECRET = 16 * 1024
"""Characters after the end of a quote that are looked through for a secret that begins in it."""


class Usage(TypedDict):
    """Token counts of one call, as `stream-end` carries them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


@dataclass(frozen=True)
class StreamEnd:
    """The reply is complete; `usage` is None where the server counted nothing."""

    usage: Usage | None = None


@dataclass(frozen=True)
class StreamFailure:
    """The reply failed: the server reported an error, sent what is no event, or ended too early.

    `error` is to be raised.
    """

    error: DarkAIError


class Decoded(NamedTuple):
    """What one read brought: its text, none of it empty, and the end of the reply where that came with it."""

    texts: list[str]
    end: StreamEnd | StreamFailure | None


class ChatRequest(NamedTuple):
    """A decoded request: the prompt, the model's name (None for the server's default), and all other parameters."""

    query: str
    model: str | None
    parameters: dict[str, Any]


def encode_request(query: str, model: str, parameters: Mapping[str, Any] | None = None) -> bytes:
    """Return the request body for a prompt.

    `parameters` are further members of the JSON object; None for none.

    Raises DarkAIInvalidRequestError where a parameter has no JSON form.

    Example:
        >>> encode_request("Hello", "llama-3-70b", {"temperature": 0})
        b'{"query": "Hello", "model": "llama-3-70b", "temperature": 0}'
    """
    if reserved := {"query", "model"} & (parameters or {}).keys():
        raise DarkAIInvalidRequestError(f"No parameter can be called {min(reserved)}.")
    try:
        return _ENCODER.encode({"query": query, "model": model, **(parameters or {})}).encode()
    except (TypeError, ValueError, RecursionError) as error:
        names = ", ".join(sorted(parameters or {}))
        raise DarkAIInvalidRequestError(
            f"A request parameter ({names}) has no JSON form: {error}. Pass plain JSON values in model_kwargs."
        ) from error


def decode_request(body: bytes) -> ChatRequest:
    """Return the request in a body; the inverse of `encode_request`.

    Raises DarkAIInvalidRequestError, with what is wrong with the body.

    Example:
        >>> decode_request(b'{"query": "Hello"}')
        ChatRequest(query='Hello', model=None, parameters={})
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DarkAIInvalidRequestError(f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise DarkAIInvalidRequestError('The body is not a JSON object like {"query": "...", "model": "..."}.')
    query, model = value.pop("query", None), value.pop("model", None)
    if not isinstance(query, str) or not query.strip():
        raise DarkAIInvalidRequestError('"query" is missing or empty: it holds the whole prompt, as a string.')
    if model is not None and not isinstance(model, str):
        raise DarkAIInvalidRequestError('"model" is not a string: it names the model, or is left out for the default.')
    return ChatRequest(query, model, value)


def encode_event(name: str, data: Mapping[str, Any]) -> bytes:
    """Return one event as it goes over the wire.

    Example:
        >>> encode_event("text-chunk", {"text": "Hi"})
        b'data: {"event": "text-chunk", "data": {"text": "Hi"}}\\n\\n'
    """
    return f"data: {json.dumps({'event': name, 'data': data})}\n\n".encode()


def encode_error(error: BaseException) -> dict[str, Any]:
    """Return the members by which a failure is reported, in an error event or under "error" in an HTTP answer.

    Only errors of a chat model are told in their own words; what else went wrong inside a server stays there.

    Example:
        >>> encode_error(KeyError("secret"))
        {'type': 'ModelAPIError', 'message': 'The server failed.', 'status': 500}
    """
    known = isinstance(error, ModelError)
    members = {
        "type": wire_error_type(error),
        "message": str(error) if known else "The server failed.",
        "status": status_for_error(error),
    }
    retry_after = _seconds(getattr(error, "retry_after", None))
    return members if retry_after is None else {**members, "retry_after": retry_after}


_ENCODER = json.JSONEncoder(allow_nan=False)  # its ASCII escapes carry lone surrogates, too, which UTF-8 cannot
_JSON = json.JSONDecoder(strict=False)  # raw control characters in strings are seen in the wild
_SURROGATE = re.compile("[\ud800-\udfff]")
_HIGH_SURROGATES = tuple(map(chr, range(0xD800, 0xDC00)))
_FIELD_OR_COMMENT = re.compile(r"\s*$|[\w-]*(?::|$)")
_OTHER_FIELD = re.compile(r"(?:event|id|retry)[ \t]*:")


@dataclass
class _OpenEvent:
    """An event whose JSON goes on in lines to come: its brackets and quotes tell, in one pass over each line."""

    lines: list[str] = field(default_factory=list)
    size: int = 0
    depth: int = 0
    in_string: bool = False
    after_blank: bool = False

    _OUTSIDE = re.compile(r'["{}\[\]]')
    _INSIDE = re.compile(r'"|\\.?')

    def add(self, line: str) -> bool:
        """Take one more line; return whether the JSON is complete."""
        self.lines.append(line)
        self.size += len(line) + 1
        position = 0
        while mark := (self._INSIDE if self.in_string else self._OUTSIDE).search(line, position):
            position = mark.end()
            if mark[0] == '"':
                self.in_string = not self.in_string
            elif not self.in_string:
                self.depth += 1 if mark[0] in "{[" else -1
        return self.depth <= 0 and not self.in_string

    def takes(self, line: str) -> bool:
        """Return whether a line without `data:` belongs to the JSON, rather than being an SSE comment or field."""
        if self.in_string:
            return True
        if line.startswith(":"):
            if not self.lines[-1].rstrip().endswith('"'):
                return False
            try:
                _JSON.raw_decode("\n".join(self.lines).lstrip())
            except (ValueError, RecursionError) as error:
                return str(error).startswith("Expecting ':'")
        return not _OTHER_FIELD.match(line)


class EventDecoder:
    """Decodes the bytes of one reply, cut anywhere, into its text and its end.

    `feed` takes what one read of the network brought, `finish` takes the end of the body; both return what that
    completes. A reply ends with one `StreamEnd` or one `StreamFailure`; what follows is ignored. Neither method raises,
    so that text which came before a failure is never lost.

    - `source`: the server's name in error messages.
    - `redact`: removes secrets from the server's words before they are quoted in error messages; str removes nothing.
    - `per_event`: whether each text event is one string of `texts`; otherwise the text of one read is one string.

    Example:
        >>> decoder = EventDecoder()
        >>> decoder.feed(b'data: {"event": "text-chunk", "data": {"te')
        Decoded(texts=[], end=None)
        >>> decoder.feed(b'xt": "Hi"}}\\ndata: {"event": "stream-end"}\\n')
        Decoded(texts=['Hi'], end=StreamEnd(usage=None))
    """

    def __init__(
        self, source: str = "the server", redact: Callable[[str], str] = str, *, per_event: bool = False
    ) -> None:
        self._source = source
        self._redact = redact
        self._per_event = per_event
        self._unfinished: list[bytes] = []
        self._unfinished_size = 0
        self._after_cr = False
        self._at_start = True
        self._open: _OpenEvent | None = None
        self._high_surrogate = ""
        self._texts: list[str] = []  # the very strings that were returned, so that the text is held in memory once
        self._new: list[str] = []  # the text of the read at hand, one string an event
        self._end: StreamEnd | StreamFailure | None = None
        self._strange: str | None = None  # the first line that is no field, to tell another body from a cut one
        self.ended = False

    @property
    def text(self) -> str:
        """All the text so far."""
        return "".join((*self._texts, *self._new))

    def feed(self, data: bytes) -> Decoded:
        """Return the text and the end that these bytes complete."""
        if data and not self.ended:
            self._read(data)
        return self._decoded()

    def finish(self) -> Decoded:
        """Return what the end of the body completes: a failure, unless the reply has ended before."""
        if not self.ended:
            self._read_end()
        return self._decoded()

    def _decoded(self) -> Decoded:
        texts, end = self._new, self._end
        self._new, self._end = [], None
        if texts:
            if not self._per_event:
                texts = ["".join(texts)]
            self._texts += texts
        return Decoded(texts, end)

    def _read(self, data: bytes) -> None:
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
            if not data:
                return
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        complete, line_end, rest = data.rpartition(b"\n")
        if line_end:
            if self._unfinished:
                complete = b"".join((*self._unfinished, complete))
                self._unfinished.clear()
                self._unfinished_size = 0
            self._take_lines(complete)
        if rest and not self.ended:
            self._unfinished.append(rest)
            self._unfinished_size += len(rest)
            if self._unfinished_size > MAX_EVENT_BYTES:
                self._fail_oversized()

    def _read_end(self) -> None:
        last_line = b"".join(self._unfinished)
        try:
            last_line.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                last_line = b""  # cut within a character, so within an event
        if last_line:
            self._take_lines(last_line)
        if not self.ended and self._strange is not None and not (self._texts or self._new):
            self._fail_undecodable(f"is a line that no event stream has: {self._shown(self._strange)}")
        elif not self.ended:
            self._fail(
                DarkAIStreamTruncatedError,
                f"The reply of {self._source} ended before its stream-end event, so text may be missing. Ask again.",
            )

    def _take_lines(self, block: bytes) -> None:
        try:
            lines = block.decode().split("\n")
        except UnicodeDecodeError:
            self._take_lines_one_by_one(block)
            return
        if len(block) > MAX_EVENT_BYTES and max(map(len, block.split(b"\n"))) > MAX_EVENT_BYTES:
            self._take_lines_one_by_one(block)
            return
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix("\ufeff")
        for line in lines:
            # The common case first: a whole event on a line.
            if self._open is None and line.startswith("data: {"):
                try:
                    value, end = _JSON.raw_decode(line, 6)
                except (ValueError, RecursionError):
                    value, end = {}, 0
                if end == len(line):
                    self._take_event(value, line)
                    if self.ended:
                        return
                    continue
            if line or self._open is not None:
                self._take_line(line)
                if self.ended:
                    return

    def _take_lines_one_by_one(self, block: bytes) -> None:
        for line in block.split(b"\n"):
            if len(line) > MAX_EVENT_BYTES:
                self._fail_oversized()
            else:
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    self._fail_undecodable(f"is not UTF-8 ({error.reason} at byte {error.start} of a line)", error)
                else:
                    self._take_lines(line)
            if self.ended:
                return

    def _take_line(self, line: str) -> None:
        is_data = line.startswith("data:")
        payload = line[5:].removeprefix(" ") if is_data else line
        if self._open is None:
            if not is_data:
                if line.lstrip().startswith("{"):
                    self._fail_undecodable(f'is a line without "data:" before it: {self._shown(line)}')
                elif self._strange is None and not _FIELD_OR_COMMENT.match(line):
                    self._strange = line
                return
            if not payload.strip():
                return
            if not payload.lstrip().startswith("{"):
                self._fail_undecodable(f"is {self._shown(payload)} and not a JSON object")
                return
            self._open = _OpenEvent()
        elif is_data and self._open.after_blank:
            self._fail_undecodable(f"ends within its JSON: {self._shown(self._open.lines[0])}")
            return
        elif not is_data and not line:
            self._open.after_blank = True
        elif not is_data and not self._open.takes(line):
            return
        if self._open.add(payload):
            text = "\n".join(self._open.lines)
            self._open = None
            try:
                value = _JSON.decode(text)
            except (ValueError, RecursionError) as error:
                self._fail_undecodable(f"is not JSON ({error}): {self._shown(text)}", error)
            else:
                self._take_event(value, text)
        elif self._open.size > MAX_EVENT_BYTES:
            self._fail_oversized()

    def _take_event(self, value: dict[str, Any], line: str) -> None:
        name, data = value.get("event"), value.get("data")
        members = data if isinstance(data, dict) else {}
        if name == "text-chunk":
            text = members.get("text")
            if isinstance(text, str):
                self._take_text(text)
            else:
                self._fail_undecodable(f'is a text-chunk without "text": {self._shown(line)}')
        elif name == "final-response":
            message = members.get("message")
            if not isinstance(message, str):
                self._fail_undecodable(f'is a final-response without "message": {self._shown(line)}')
            elif message.startswith(so_far := self.text):
                self._high_surrogate = ""
                self._take_text(message[len(so_far) :])
        elif name == "stream-end":
            self._flush_surrogate()
            self.ended = True
            self._end = StreamEnd(_usage(members.get("usage")))
        elif name == "error":
            self._flush_surrogate()
            report = reported_error(value if data is None else data, self._source, redact=self._redact)
            message = f"{report.message}. {hint_for(report.kind)}"
            self._fail(report.kind, message, report.status, report.retry_after)
        elif not isinstance(name, str):
            self._fail_undecodable(f'has no "event" name: {self._shown(line)}')

    def _take_text(self, text: str) -> None:
        if self._high_surrogate or not text.isascii():
            text = self._whole_characters(text)
        if text:
            self._new.append(text)

    def _whole_characters(self, text: str) -> str:
        # Servers that count in UTF-16 cut a character in two, half of it in each of two events.
        text = self._high_surrogate + text
        self._high_surrogate = ""
        if not _SURROGATE.search(text):
            return text
        if text.endswith(_HIGH_SURROGATES):
            text, self._high_surrogate = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _flush_surrogate(self) -> None:
        if self._high_surrogate:
            self._high_surrogate = ""
            self._take_text("\ufffd")

    def _fail(
        self,
        kind: type[DarkAIError],
        message: str,
        status: int | None = None,
        retry_after: float | None = None,
        cause: BaseException | None = None,
    ) -> None:
        self.ended = True
        error = kind(message, status=status, retry_after=retry_after, partial_text=self.text)
        error.__cause__ = cause and _without_text(cause)
        self._end = StreamFailure(error)

    def _fail_undecodable(self, what: str, cause: BaseException | None = None) -> None:
        message = f"An event from {self._source} {what}. Does its URL name a DarkAI chat endpoint?"
        self._fail(DarkAIStreamDecodeError, message, cause=cause)

    def _shown(self, text: str) -> str:
        return _shown(text, 80, self._redact)

    def _fail_oversized(self) -> None:
        self._fail_undecodable(f"is longer than {MAX_EVENT_BYTES:,} bytes")


def _without_text(error: BaseException) -> BaseException:
    """Return an error without the text that it is about, which can be long, and hold what must not show."""
    if isinstance(error, json.JSONDecodeError):
        error = json.JSONDecodeError(error.msg, "", error.pos)
    elif isinstance(error, UnicodeDecodeError):
        error = UnicodeDecodeError(error.encoding, b"", error.start, error.end, error.reason)
    return error.with_traceback(None)


class ReportedError(NamedTuple):
    """A failure in a server's own words: the class it is raised as, its message, and the status it names."""

    kind: type[DarkAIError]
    message: str
    status: int | None
    retry_after: float | None


def reported_error(
    data: Any, source: str, status: int | None = None, redact: Callable[[str], str] = str
) -> ReportedError:
    """Return what a server reported, from the data of an error event or the JSON of an HTTP answer.

    The members are those of `encode_error`; other servers' plain strings and `{"message": ...}` are read too.
    `status` is the answer's own status, which counts before one in the data. `redact` is as for `EventDecoder`.
    """
    members = data if isinstance(data, dict) else {"message": data}
    message = next((m for m in map(members.get, ("message", "detail", "error")) if isinstance(m, str) and m), None)
    number = status if status is not None else members.get("status")
    number = number if isinstance(number, int) and 400 <= number <= 599 else status
    kind = error_class_for_wire_type(members.get("type")) or (
        error_class_for_status(number) if number is not None else DarkAIAPIError
    )
    seconds = _seconds(members.get("retry_after"))
    said = f": {_shown(message, 500, redact)}" if message else ", without saying why"
    return ReportedError(kind, f"{source} reported an error{said}", number, seconds)


def _usage(value: Any) -> Usage | None:
    """Return a server's usage where it is one; a server that counts wrongly must not cost the reply."""
    if not isinstance(value, dict):
        return None
    counts = {name: count for name, count in value.items() if type(count) is int and count >= 0}
    sent, received = counts.get("input_tokens"), counts.get("output_tokens")
    if sent is None or received is None:
        return None
    return Usage(input_tokens=sent, output_tokens=received, total_tokens=counts.get("total_tokens", sent + received))


def _shown(text: str, length: int, redact: Callable[[str], str]) -> str:
    # Redacted before it is cut and escaped: half a secret would not be known for one.
    redacted = redact(text[: length + MAX_SECRET])
    return repr(redacted) if len(text) <= length else f"{redacted[:length]!r}..."


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1e9 else None
