"""Lines to text: the events of a reply, read as they come, and how a reply ends."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from langchain_darkai.errors import DarkAIError, DarkAIStreamDecodeError, DarkAIStreamTruncatedError
from langchain_darkai.protocol._event_json import JSON, event_of, join_texts
from langchain_darkai.protocol._excerpt import excerpt
from langchain_darkai.protocol.events import (
    FINISH_REASONS,
    Decoded,
    FinishReason,
    ReasoningText,
    StreamEnd,
    StreamFailure,
    Usage,
)
from langchain_darkai.protocol.lines import LineDecoder
from langchain_darkai.protocol.wire_errors import hint_for, reported_error

__all__ = ["MAX_EVENT_BYTES", "MAX_REPLY_BYTES", "EventDecoder"]

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""The longest event that is read, in bytes. A `final-response` holds a whole reply, so the limit leaves room for one as
long as a book; but a server that never ends its line must not fill the memory."""

MAX_REPLY_BYTES = 64 * 1024 * 1024
"""The most text that is read of one reply, in bytes of UTF-8. Hardly any model writes a hundredth of it; but a server
that never ends its reply must not fill the memory."""

_MAX_UTF8 = 4  # bytes of a character
_SURROGATE = re.compile("[\ud800-\udfff]")
_HIGH_SURROGATES = tuple(map(chr, range(0xD800, 0xDC00)))
# A line that an event stream may have: a blank one, a comment, or a field of any name.
_FIELD_OR_COMMENT = re.compile(r"\s*$|[\w-]*(?::|$)")
# A field that may stand between the lines of one event.
_OTHER_FIELD = re.compile(r"(?:event|id|retry)[ \t]*:")


@dataclass
class _OpenEvent:
    """An event over several lines whose JSON is not complete: a bracket or a string of it is still open.

    Each line is scanned once, however many follow.
    """

    lines: list[str] = field(default_factory=list)
    size: int = 0  # in characters, line ends included
    brackets: bytearray = field(default_factory=bytearray)  # that are open
    in_string: bool = False
    last_mark: str = ""  # outside strings
    ends_with_name: bool = False  # the last string is a member's name, and no colon follows it yet
    has_blank_line: bool = False

    _OUTSIDE_STRING = re.compile(r'["{}\[\],:]')
    _INSIDE_STRING = re.compile(r'"|\\.?')

    def add(self, line: str) -> bool:
        """Add a line, and return whether the JSON is complete."""
        self.lines.append(line)
        self.size += len(line) + 1
        position = 0
        while mark := (self._INSIDE_STRING if self.in_string else self._OUTSIDE_STRING).search(line, position):
            position = mark.end()
            if mark[0] == '"':
                self.in_string = not self.in_string
                is_first = self.last_mark == "{" or (self.last_mark == "," and self.brackets.endswith(b"{"))
                self.ends_with_name = is_first and not self.in_string
            elif not self.in_string:
                self._add_mark(mark[0])
        return not self.brackets and not self.in_string

    def _add_mark(self, mark: str) -> None:
        self.ends_with_name = False
        self.last_mark = mark
        if mark in "{[":
            self.brackets += mark.encode()
        elif mark in "}]":
            del self.brackets[-1:]

    def continues_with(self, line: str) -> bool:
        """Return whether a line without `data:` belongs to the JSON; otherwise it is an SSE comment or field."""
        if self.in_string:
            return True
        if line.startswith(":"):
            # A comment, unless the JSON was broken before the colon of a member.
            return self.ends_with_name and self.lines[-1].rstrip().endswith('"')
        return not _OTHER_FIELD.match(line)


class EventDecoder:
    """Decodes the bytes of one reply, cut anywhere, into its text and its end.

    `feed` takes what one read of the network brought, `finish` takes the end of the body; both return what this
    completes. A reply ends with one `StreamEnd` or one `StreamFailure`; what follows is ignored. Neither method raises,
    so that text which came before a failure is never lost.

    - `source`: the server's name in error messages.
    - `redact`: removes secrets from the server's words before they are quoted in error messages; str removes nothing.
    - `per_event`: whether each text event is one string of `texts`; otherwise the text of one read is one string.
    - `max_event_bytes`: the longest event that is read; a longer one is a failure.
    - `max_reply_bytes`: the most text that is read, in bytes of UTF-8; more is a failure. None for no limit.

    Example:
        >>> decoder = EventDecoder()
        >>> decoder.feed(b'data: {"event": "text-chunk", "data": {"te')
        Decoded(texts=[], end=None)
        >>> decoder.feed(b'xt": "Hi"}}\\ndata: {"event": "stream-end"}\\n')
        Decoded(texts=['Hi'], end=StreamEnd(usage=None, finish_reason=None))
    """

    ended: bool
    """Whether the end of the reply was returned."""

    def __init__(
        self,
        source: str = "the server",
        redact: Callable[[str], str] = str,
        *,
        per_event: bool = False,
        max_event_bytes: int = MAX_EVENT_BYTES,
        max_reply_bytes: int | None = MAX_REPLY_BYTES,
    ) -> None:
        self.ended = False
        self._source = source
        self._redact = redact
        self._per_event = per_event
        self._max_event_bytes = max_event_bytes
        self._max_reply_bytes = sys.maxsize if max_reply_bytes is None else max_reply_bytes
        self._room = self._max_reply_bytes  # bytes of text that may still come
        self._lines = LineDecoder(max_event_bytes)
        self._open_event: _OpenEvent | None = None
        self._high_surrogate = ""
        self._texts: list[str] = []  # the very strings that were returned, so that memory holds the text once
        self._new_texts: list[str] = []  # the text of the current read, one string an event
        self._new_parts: list[str | ReasoningText] = []  # what came before that text in the current read
        self._end: StreamEnd | StreamFailure | None = None
        self._first_unknown_line: str | None = None  # tells a body of another kind from a truncated reply

    @property
    def text(self) -> str:
        """All the text so far."""
        return "".join((*self._texts, *(part for part in self._new_parts if isinstance(part, str)), *self._new_texts))

    def feed(self, data: bytes) -> Decoded:
        """Return the text and the end that these bytes complete."""
        if not self.ended:
            block = self._lines.feed_block(data)
            self._handle_lines([] if block is None else self._handle_texts(block).split("\n"))
        return self._decoded()

    def finish(self) -> Decoded:
        """Return what the end of the body completes: a failure, unless the reply is at its end."""
        if not self.ended:
            self._handle_lines(self._lines.finish())
        if not self.ended:
            self._handle_missing_end()
        return self._decoded()

    def _decoded(self) -> Decoded:
        self._end_text_part()
        parts, end = self._new_parts, self._end
        self._new_parts, self._end = [], None
        self._texts += [part for part in parts if isinstance(part, str)]
        return Decoded(parts, end)

    def _end_text_part(self) -> None:
        texts, self._new_texts = self._new_texts, []
        if texts:
            self._new_parts += texts if self._per_event else ["".join(texts)]

    def _handle_texts(self, block: str) -> str:
        """Read the text events at the start of a block, and return the lines that are left.

        Nearly all lines are text events, and this is many times as fast as to read each line by itself.
        """
        if self._per_event or self._open_event or self._high_surrogate:
            return block
        text, rest = join_texts(block.lstrip("\n"))
        size = len(text) if text.isascii() else len(text.encode())
        if size > self._room:
            return block  # line by line, text is read up to the limit
        self._room -= size
        if text:
            self._new_texts.append(text)
        return rest

    def _handle_lines(self, lines: list[str]) -> None:
        for line in lines:
            # The usual case: a whole event on one line.
            if self._open_event is None and line.startswith("data: {") and line.endswith("}"):
                event = event_of(line[6:])
                if event is not None:
                    self._handle_event(event, line)
                    if self.ended:
                        return
                    continue
            if line or self._open_event is not None:
                self._handle_line(line)
                if self.ended:
                    return
        if fault := self._lines.fault:
            self._fail_undecodable(fault.what, cause=fault.cause)

    def _handle_line(self, line: str) -> None:
        if line.startswith("data:"):
            self._handle_data(line[5:].removeprefix(" "))
        elif self._open_event is not None:
            self._open_event.has_blank_line |= not line
            if self._open_event.continues_with(line):
                self._continue_event(self._open_event, line)
        elif line.lstrip().startswith("{"):
            self._fail_undecodable('JSON without "data:" before it', line)
        elif self._first_unknown_line is None and not _FIELD_OR_COMMENT.match(line):
            self._first_unknown_line = line

    def _handle_data(self, payload: str) -> None:
        if self._open_event is not None and self._open_event.has_blank_line:
            # After a blank line, JSON may go on without "data:". A line with "data:" is the next event.
            self._fail_undecodable("an event that ends within its JSON", self._open_event.lines[0])
        elif self._open_event is not None:
            self._continue_event(self._open_event, payload)
        elif payload.lstrip().startswith("{"):
            self._open_event = _OpenEvent()
            self._continue_event(self._open_event, payload)
        elif payload.strip():
            self._fail_undecodable("an event that is not a JSON object", payload)

    def _continue_event(self, open_event: _OpenEvent, payload: str) -> None:
        if open_event.add(payload):
            self._open_event = None
            text = "\n".join(open_event.lines)
            try:
                event = JSON.decode(text)
            except (ValueError, RecursionError) as error:
                self._fail_undecodable(f"an event that is not JSON ({error})", text, error)
            else:
                self._handle_event(event, text)
        elif open_event.size > self._max_event_bytes:
            self._fail_undecodable(f"an event longer than {self._max_event_bytes:,} bytes")

    def _handle_event(self, event: dict[str, Any], text: str) -> None:
        name, data = event.get("event"), event.get("data")
        members = data if isinstance(data, dict) else {}
        if name == "text-chunk":
            chunk = members.get("text")
            if isinstance(chunk, str):
                self._handle_text(chunk)
            elif chunk is not None or "text" not in members:
                self._fail_undecodable('a text-chunk without "text"', text)
        elif name == "final-response":
            message = members.get("message")
            if not isinstance(message, str):
                self._fail_undecodable('a final-response without "message"', text)
            # A message that is too short to hold the text is not compared: that costs the length of the text.
            elif len(message) * _MAX_UTF8 >= self._max_reply_bytes - self._room and message.startswith(
                so_far := self.text
            ):
                self._high_surrogate = ""
                self._handle_text(message[len(so_far) :])
        elif name == "reasoning-chunk":
            self._handle_reasoning(members.get("text"))
        elif name == "stream-end":
            self._flush_surrogate()
            if not self.ended:
                self.ended = True
                self._end = StreamEnd(_usage(members.get("usage")), _finish_reason(members.get("finish_reason")))
        elif name == "error":
            self._flush_surrogate()
            report = reported_error(event if data is None else data, self._source, redact=self._redact)
            message = f"{report.message}. {hint_for(report.kind)}"
            self._fail(report.kind(message, status=report.status, retry_after=report.retry_after))
        elif not isinstance(name, str):
            self._fail_undecodable('an event without an "event" name', text)

    def _handle_text(self, text: str) -> None:
        if self._high_surrogate or not text.isascii():
            text = self._with_whole_characters(text)
            size = len(text.encode())
        else:
            size = len(text)
        if self._has_room(size) and text:
            self._new_texts.append(text)

    def _has_room(self, size: int) -> bool:
        """Count so many bytes, and return whether the reply may have them; fail where it may not."""
        self._room -= size
        if self._room < 0:
            limit = f"{self._max_reply_bytes:,} bytes"
            self._fail(
                DarkAIStreamDecodeError(
                    f"{self._source} sent a reply of more than {limit} of text. Raise max_reply_bytes, or ask for less."
                )
            )
        return self._room >= 0

    def _handle_reasoning(self, text: Any) -> None:
        """Add a thought. One that is not valid is left out: it must not cost the reply."""
        if not isinstance(text, str) or not text:
            return
        text = _SURROGATE.sub("\ufffd", text)
        if self._has_room(len(text.encode())):
            self._end_text_part()
            self._new_parts.append(ReasoningText(text))

    def _with_whole_characters(self, text: str) -> str:
        """Return text with whole characters: servers that count in UTF-16 cut some in two, one surrogate an event.

        A high surrogate at the end waits for the next event; any other lone surrogate is replaced.
        """
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
            self._handle_text("\ufffd")

    def _handle_missing_end(self) -> None:
        if self._first_unknown_line is not None and not self.text:
            self._fail_undecodable("a line that no event stream has", self._first_unknown_line)
        else:
            what = "ended before its stream-end event, so text may be missing"
            self._fail(DarkAIStreamTruncatedError(f"The reply from {self._source} {what}. Ask again."))

    def _fail_undecodable(self, what: str, words: str | None = None, cause: BaseException | None = None) -> None:
        quote = "" if words is None else f": {excerpt(words, 80, self._redact)}"
        error = DarkAIStreamDecodeError(
            f"{self._source} sent {what}{quote}. Check that base_url names a DarkAI chat endpoint."
        )
        error.__cause__ = cause and _without_text(cause)
        self._fail(error)

    def _fail(self, error: DarkAIError) -> None:
        error.partial_text = self.text
        self.ended = True
        self._end = StreamFailure(error)


def _without_text(error: BaseException) -> BaseException:
    """Return an error without the text that it is about, which can be long, and can hold secrets."""
    if isinstance(error, json.JSONDecodeError):
        error = json.JSONDecodeError(error.msg, "", error.pos)
    elif isinstance(error, UnicodeDecodeError):
        error = UnicodeDecodeError(error.encoding, b"", error.start, error.end, error.reason)
    return error.with_traceback(None)


def _usage(value: Any) -> Usage | None:
    """Return a server's token counts, or None if they are not valid: a wrong count must not cost the reply."""
    if not isinstance(value, dict):
        return None
    counts = _counts(value)
    sent, received = counts.get("input_tokens"), counts.get("output_tokens")
    if sent is None or received is None:
        return None
    usage = Usage(input_tokens=sent, output_tokens=received, total_tokens=counts.get("total_tokens", sent + received))
    if details := _counts(value.get("input_token_details")):
        usage["input_token_details"] = details
    if details := _counts(value.get("output_token_details")):
        usage["output_token_details"] = details
    return usage


def _counts(value: Any) -> dict[str, int]:
    """Return the members of a value that are numbers of tokens."""
    members = value.items() if isinstance(value, dict) else ()
    return {name: count for name, count in members if type(count) is int and count >= 0}


def _finish_reason(value: Any) -> FinishReason | None:
    return next((reason for reason in FINISH_REASONS if reason == value), None)
