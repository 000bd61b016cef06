"""What a server sends, step by step: the bytes of HTTP and of events, pauses, and ends of the connection.

A reply of a `ScriptedServer` is a sequence of such steps. `replies` and `faults` make the common ones. This is what
those are made of, for bytes that no well-behaved server would send.

Nothing here is shared with the client, so a fault of the client cannot hide behind the same fault of the server.
"""

import json
import threading
from enum import Enum
from typing import Any, TypeAlias

__all__ = [
    "CLOSE",
    "END",
    "HOLD",
    "LAST_CHUNK",
    "RESET",
    "STREAM",
    "Act",
    "Step",
    "answer",
    "chunk",
    "event",
    "head",
    "text",
]


class Act(Enum):
    """What a server can do beside sending bytes: `CLOSE`, `HOLD` and `RESET` of this module."""

    CLOSE = "close"
    HOLD = "hold"
    RESET = "reset"


CLOSE = Act.CLOSE
"""Close the connection."""

HOLD = Act.HOLD
"""Say nothing until the client leaves."""

RESET = Act.RESET
"""Break the connection, as a router or a killed process does."""

Step: TypeAlias = bytes | float | threading.Event | Act
"""Bytes are sent as one packet, a number is a pause in seconds, and an event is waited for until the test sets it."""


def event(name: str, **data: Any) -> bytes:
    """Return an event of the protocol.

    Example:
        >>> event("text-chunk", text="Hi")
        b'data: {"event": "text-chunk", "data": {"text": "Hi"}}\\n\\n'
    """
    return f"data: {json.dumps({'event': name, 'data': data})}\n\n".encode()


def text(*pieces: str) -> bytes:
    """Return the events of pieces of text, one for each.

    Example:
        >>> text("Hel", "lo").count(b"text-chunk")
        2
    """
    return b"".join(event("text-chunk", text=piece) for piece in pieces)


def chunk(data: bytes) -> bytes:
    """Return bytes as a chunk of an HTTP body; without bytes, it is the last one.

    Example:
        >>> chunk(b"Hello")
        b'5\\r\\nHello\\r\\n'
    """
    return b"%x\r\n%s\r\n" % (len(data), data)


def head(status: int = 200, content_type: str = "text/event-stream", **headers: str) -> bytes:
    """Return the status line and the headers of an answer; `retry_after="1"` is the header retry-after.

    Example:
        >>> head(429, "text/plain", retry_after="1")
        b'HTTP/1.1 429 Status\\r\\ncontent-type: text/plain\\r\\nretry-after: 1\\r\\n\\r\\n'
    """
    lines = [f"HTTP/1.1 {status} Status", f"content-type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


STREAM = head(transfer_encoding="chunked")
"""The head of a reply whose body comes in chunks."""

LAST_CHUNK = chunk(b"")
"""The end of such a body."""

END = chunk(event("stream-end")) + LAST_CHUNK
"""The event that makes a reply complete, and the end of its body."""


def answer(status: int, content: str = "", content_type: str = "application/json", **headers: str) -> list[Step]:
    """Return the steps of an HTTP answer that is no stream.

    Example:
        >>> answer(204)
        [b'HTTP/1.1 204 Status\\r\\ncontent-type: application/json\\r\\ncontent-length: 0\\r\\n\\r\\n']
    """
    body = content.encode()
    return [head(status, content_type, content_length=str(len(body)), **headers) + body]
