"""Faults of a server and of the way to it, as replies of a `ScriptedServer`.

Each function returns the steps of a fault. `FAULTS` has them by name, for a test that runs with each of them. A server
that refuses connections is `ScriptedServer.refused`, since whoever is refused makes no request.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from langchain_darkai.testing.replies import events, reply
from langchain_darkai.testing.wire import CLOSE, HOLD, RESET, STREAM, Step, answer, chunk, event, head, text

__all__ = [
    "FAULTS",
    "PAUSE",
    "close",
    "cut",
    "garbage",
    "html_page",
    "rate_limit",
    "reset",
    "slow_headers",
    "stall",
    "status",
]

PAUSE = 0.03
"""Seconds between text and the end of the connection. Without the pause, a reset could arrive before the text."""


def reset(*before: str) -> list[Step]:
    """Break the connection, after the head of the reply and the text `before` where there is some."""
    return [*_begun(before), RESET]


def close(*before: str) -> list[Step]:
    """Close the connection, after the head of the reply and the text `before` where there is some."""
    return [*_begun(before), CLOSE]


def stall(*before: str) -> list[Step]:
    """Say nothing until the client leaves, after the head of the reply and the text `before` where there is some."""
    return [*_begun(before), HOLD]


def _begun(before: Iterable[str]) -> list[Step]:
    sent = text(*before)
    return [STREAM + chunk(sent), PAUSE] if sent else []


def cut(
    *texts: str,
    at: int | None = None,
    framing: Literal["chunked", "content-length", "until closed"] = "chunked",
    **options: Any,
) -> list[Step]:
    """Cut the body of a reply after byte `at`, and close the connection; None cuts it in the middle.

    `texts` and `options` are those of `events`. `framing` is how the server announces the length of the body: "until
    closed" announces none, so that only the lacking `stream-end` tells that the reply is not whole.

    Example:
        >>> cut("Hello", at=20, framing="until closed")[0].endswith(b'data: {"event": "tex')
        True
    """
    body = b"".join(events(*(texts or ("Hello",)), **options)) + event("stream-end")
    start = {
        "chunked": STREAM + b"%x\r\n" % len(body),
        "content-length": head(content_length=str(len(body))),
        "until closed": head(connection="close"),
    }[framing]
    return [start + body[: len(body) // 2 if at is None else at], CLOSE]


def status(code: int = 503, message: str = "The server is overloaded.", **headers: str) -> list[Step]:
    """Answer with an HTTP status and a message; `retry_after="1"` is the header retry-after."""
    return answer(code, json.dumps({"error": {"message": message}}), **headers)


def rate_limit(retry_after: float = 0.05, message: str = "Slow down.") -> list[Step]:
    """Answer 429, with a Retry-After of so many seconds."""
    return status(429, message, retry_after=f"{retry_after:g}")


def html_page(code: int = 200, title: str = "Please log in") -> list[Step]:
    """Answer with a web page, as proxies and login pages do."""
    return answer(code, f"<!doctype html>\n<html><title>{title}</title></html>\n", "text/html")


def garbage(*before: str) -> list[Step]:
    """Send what cannot be read: bytes that are no HTTP, or, after the text `before`, an event that is no JSON."""
    return [*_begun(before), chunk(b"data: {not json}\n\n"), CLOSE] if any(before) else [bytes(range(256)), CLOSE]


def slow_headers(seconds: float = 0.2, *then: str) -> list[Step]:
    """Wait before the head of a reply, which then is complete."""
    return [seconds, *reply(*(then or ("Hello",)))]


FAULTS: Mapping[str, Callable[[], list[Step]]] = {
    "reset": reset,
    "reset during the reply": lambda: reset("Hel"),
    "closed": close,
    "closed during the reply": lambda: close("Hel"),
    "stall": stall,
    "stall during the reply": lambda: stall("Hel"),
    "cut": cut,
    "rate limit": rate_limit,
    "server error": lambda: status(500, "It broke."),
    "overloaded": status,
    "html page": html_page,
    "html error page": lambda: html_page(502, "Bad gateway"),
    "garbage": garbage,
    "garbage during the reply": lambda: garbage("Hel"),
    "slow headers": slow_headers,
}
"""Faults by name, each with its defaults. The last one only takes time."""
