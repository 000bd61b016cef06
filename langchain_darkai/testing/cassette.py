"""Recorded exchanges with a server, as one YAML file that people can read and edit.

The file is a list. An exchange in it has a request and a response:

    - request:
        method: POST
        path: /chat
        headers: {authorization: '***'}
        body:
          query: Hi
          model: llama-3-70b
      response:
        status: 200
        headers: {content-type: text/event-stream}
        body:
        - after: 0.412
          data: |
            data: {"event": "text-chunk", "data": {"text": "Hello"}}

        end: complete

`body` of a request is its JSON, or else its text, or bytes. `body` of a response is what came of it read by read, each
with the seconds that passed before it. `end` tells how it ended: "complete"; "broken", where the connection ended too
early; "left", where the server was silent until the client left. `status` is 0 where no response came.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

__all__ = ["CassetteError", "End", "Exchange", "Piece", "RecordedRequest", "RecordedResponse", "load", "save"]

End = Literal["complete", "broken", "left"]

_HEAD = """\
# Exchanges that langchain_darkai.testing.Recorder has recorded. Secrets are masked, but texts are as they were: read
# them before you publish this file.
"""

_LINE = "[ -~\\xa1-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010fffe]"
# Lines that are the same in a block of text. YAML has rules for all other texts, and quotes them.
_BLOCK = re.compile(rf"(?! ){_LINE}+(?:\n+{_LINE}+)*\n*")
_OTHER_LINE_END = re.compile("[\x85\u2028\u2029]")

_MAX_DEPTH = 40
"""How deep the JSON of a request may be to be written as YAML; what is deeper is written as text."""


class CassetteError(ValueError):
    """A file is no recording that can be read."""


@dataclass(frozen=True)
class RecordedRequest:
    """A request: `body` is the value of its JSON, or its text, or bytes that are no text."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class Piece:
    """What one read of a response brought, and the seconds that passed before it."""

    after: float
    data: bytes


@dataclass(frozen=True)
class RecordedResponse:
    """A response as it came; `status` is 0 where none came."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: tuple[Piece, ...] = ()
    end: End = "complete"


@dataclass(frozen=True)
class Exchange:
    """A request, and the response to it."""

    request: RecordedRequest
    response: RecordedResponse


def save(path: "str | os.PathLike[str]", exchanges: Iterable[Exchange]) -> None:
    """Write exchanges to a file, in whole or not at all; folders that are not there are made."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f".{place.name}.{os.getpid()}")
    unfinished.write_text(_HEAD + dump(exchanges), encoding="utf-8", newline="\n")
    unfinished.replace(place)


def load(path: "str | os.PathLike[str]") -> list[Exchange]:
    """Return the exchanges of a file.

    Raises FileNotFoundError where there is none, and CassetteError, which names the place, for what is no recording.
    """
    try:
        return parse(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There is no recording {path}. Make one with a Recorder.") from error
    except CassetteError as error:
        raise CassetteError(f"{path}: {error}") from error


def dump(exchanges: Iterable[Exchange]) -> str:
    """Return exchanges as the text of a file."""
    items = [{"request": _of_request(e.request), "response": _of_response(e.response)} for e in exchanges]
    return dump_value(items)


def dump_value(value: Any) -> str:
    """Return a value of JSON as the YAML that recordings are written in."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)


def parse(text: str) -> list[Exchange]:
    """Return the exchanges in the text of a file; the inverse of `dump`."""
    try:
        items = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise CassetteError(f"This is no YAML: {error}") from error
    if not isinstance(items, list):
        raise CassetteError("A recording is a list of exchanges, each with a request and a response.")
    return [_exchange_in(item, number) for number, item in enumerate(items, 1)]


def body_of(content: bytes) -> Any:
    """Return the body of a request as a recording has it: the value of its JSON, or its text, or bytes.

    Example:
        >>> body_of(b'{"query": "Hi"}'), body_of(b"Hi"), body_of(bytes([255])), body_of(b"")
        ({'query': 'Hi'}, 'Hi', b'\\xff', None)
    """
    if not content:
        return None
    try:
        value = json.loads(content)
        json.dumps(value, allow_nan=False)
        is_plain = isinstance(value, dict | list) and _depth(value) <= _MAX_DEPTH
    except (ValueError, RecursionError):
        value, is_plain = None, False
    return value if is_plain else _text_or_bytes(content)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _of_request(request: RecordedRequest) -> dict[str, Any]:
    members = {"headers": dict(request.headers), "body": request.body}
    given = {name: value for name, value in members.items() if value not in ({}, None)}
    return {"method": request.method, "path": request.path, **given}


def _of_response(response: RecordedResponse) -> dict[str, Any]:
    body = [{"after": piece.after, "data": _text_or_bytes(piece.data)} for piece in response.body]
    members = {"headers": dict(response.headers), "body": body}
    return {
        "status": response.status,
        **{name: value for name, value in members.items() if value},
        "end": response.end,
    }


def _exchange_in(item: Any, number: int) -> Exchange:
    try:
        return Exchange(_request_in(item["request"]), _response_in(item["response"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CassetteError(f"Exchange {number} is no request with a response: {error!r}") from error


def _request_in(item: dict[str, Any]) -> RecordedRequest:
    return RecordedRequest(str(item["method"]), str(item["path"]), _headers_in(item), item.get("body"))


def _response_in(item: dict[str, Any]) -> RecordedResponse:
    end = item.get("end", "complete")
    if end not in get_args(End):
        raise ValueError(f"end is {end!r}; it is one of {', '.join(get_args(End))}")
    pieces = [Piece(float(piece.get("after", 0)), _bytes_in(piece["data"])) for piece in item.get("body", [])]
    return RecordedResponse(int(item["status"]), _headers_in(item), tuple(pieces), end)


def _headers_in(item: dict[str, Any]) -> dict[str, str]:
    headers = {str(name): str(value) for name, value in item.get("headers", {}).items()}
    if "\r" in (text := "".join([*headers, *headers.values()])) or "\n" in text:
        raise ValueError("a header has a line end")
    return headers


def _text_or_bytes(content: bytes) -> str | bytes:
    try:
        return content.decode()
    except ValueError:
        return content


def _bytes_in(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


class _Dumper(yaml.SafeDumper):
    """Writes lines of text as lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Quotes of the other kind would lose line ends that are no \\n.
    style = "|" if "\n" in text and _BLOCK.fullmatch(text) else '"' if _OTHER_LINE_END.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
