"""The table of faults: what goes wrong on a server or on the way to it, and what a call then raises.

docs/reliability.md shows the same table, and a test compares the two.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_darkai import (
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIConnectionError,
    DarkAIContextOverflowError,
    DarkAIEmptyResponseError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAINotFoundError,
    DarkAIPermissionDeniedError,
    DarkAIRateLimitError,
    DarkAIStreamDecodeError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
)
from langchain_darkai.protocol import MAX_EVENT_BYTES
from langchain_darkai.testing import faults
from langchain_darkai.testing.faults import PAUSE
from langchain_darkai.testing.scripted_server import Reply
from langchain_darkai.testing.wire import CLOSE, HOLD, RESET, STREAM, answer, chunk, event, head, text

BEFORE = "Grüße, 世界 🎉\r\n"
"""The text that arrives before a fault during the reply."""

_BROKE = "broke during the reply"


@dataclass(frozen=True)
class Fault:
    """A fault, and the error that it becomes: its class, whether a retry can help, and a pattern of its message."""

    name: str
    script: Reply
    kind: type[DarkAIError]
    is_retryable: bool
    said: str
    status: int | None = None
    text: str = ""
    has_cause: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    where: Literal["here", "gone", "unknown", "tls", "self-signed", "certificate wanted", "proxy"] = "here"


def _status(status: int, kind: type[DarkAIError], is_retryable: bool, hint: str) -> Fault:
    said = rf"reported an error: 'what it says' \(HTTP {status}\)\. .*{hint}"
    return Fault(f"HTTP {status}", faults.status(status, "what it says"), kind, is_retryable, said, status)


def _during(name: str, script: list[Any], kind: type[DarkAIError], is_retryable: bool, said: str, **more: Any) -> Fault:
    return Fault(name, [STREAM + chunk(text(BEFORE)), *script], kind, is_retryable, said, text=BEFORE, **more)


def _body(content: bytes, content_type: str = "text/event-stream", **headers: str) -> Reply:
    return [head(200, content_type, connection="close", **headers) + content, CLOSE]


_GAP = {"stream_chunk_timeout": 0.25}
_COMMENTS: list[bytes | float] = [chunk(b": ping\n\n"), 0.05] * 20

FAULTS = (
    Fault(
        "no server", [], DarkAIConnectionError, True, "refused.*langchain-darkai serve", has_cause=True, where="gone"
    ),
    Fault("no such host", [], DarkAIConnectionError, True, "cannot be reached", has_cause=True, where="unknown"),
    Fault("no such proxy", [], DarkAIConnectionError, True, "Check proxy=", has_cause=True, where="proxy"),
    Fault(
        "a server without TLS",
        [],
        DarkAIConnectionError,
        False,
        r"TLS connection to (127\.0\.0\.1:\d+) failed: .* plain http\. Use http:// in base_url: http://\1",
        has_cause=True,
        where="tls",
    ),
    Fault(
        "an untrusted certificate",
        [],
        DarkAIConnectionError,
        False,
        "self.signed certificate.*verify='/path/to/ca.pem' or set SSL_CERT_FILE",
        has_cause=True,
        where="self-signed",
    ),
    Fault(
        "a server that requires a client certificate",
        [],
        DarkAIConnectionError,
        False,
        "TLS connection.*CERTIFICATE_REQUIRED.*pass an ssl.SSLContext",
        has_cause=True,
        where="certificate wanted",
    ),
    Fault("closed before the reply", faults.close(), DarkAIConnectionError, True, "broke before", has_cause=True),
    Fault("reset before the reply", faults.reset(), DarkAIConnectionError, True, "broke before", has_cause=True),
    Fault("closed during the headers", [STREAM[:40], CLOSE], DarkAIConnectionError, True, "before", has_cause=True),
    Fault(
        "reset during the headers", [STREAM[:40], PAUSE, RESET], DarkAIConnectionError, True, "by peer", has_cause=True
    ),
    Fault("not HTTP", [b"SSH-2.0-x\r\n", CLOSE], DarkAIConnectionError, False, "speak HTTP", has_cause=True),
    Fault("random bytes", faults.garbage(), DarkAIConnectionError, False, "speak HTTP", has_cause=True),
    Fault(
        "headers that are too long",
        [head(x="a" * 100_000)],
        DarkAIConnectionError,
        False,
        "Got more than 8190 bytes",
        has_cause=True,
    ),
    Fault(
        "a compressed reply",
        _body(gzip.compress(text(BEFORE) + event("stream-end")), content_encoding="gzip"),
        DarkAIStreamDecodeError,
        False,
        "compressed reply.*accept-encoding",
        200,
    ),
    Fault(
        "an unknown content-encoding",
        _body(text(BEFORE), content_encoding="unheard-of"),
        DarkAIStreamDecodeError,
        False,
        "compressed reply.*accept-encoding",
        200,
    ),
    Fault(
        "a compressed error page",
        [head(500, content_encoding="gzip", connection="close") + gzip.compress(b"it broke"), CLOSE],
        DarkAIAPIError,
        True,
        r"reported an error: 'a compressed body' \(HTTP 500\)",
        500,
    ),
    *(
        Fault(
            f"HTTP {n}", answer(n, location="http://127.0.0.1:9/"), DarkAIAPIError, False, "not followed.*base_url", n
        )
        for n in (301, 302, 303, 304, 307, 308)
    ),
    Fault("HTTP 101", answer(101), DarkAIAPIError, False, "HTTP 101", 101),
    Fault("HTTP 204", answer(204), DarkAIAPIError, False, "HTTP 204", 204),
    _status(206, DarkAIAPIError, False, "Check base_url"),
    _status(400, DarkAIInvalidRequestError, False, "Check the request"),
    Fault(
        "HTTP 400, the prompt is too long",
        answer(400, "This model's maximum context length is 8192 tokens."),
        DarkAIContextOverflowError,
        False,
        "maximum context length",
        400,
    ),
    _status(401, DarkAIAuthenticationError, False, "Set api_key"),
    _status(402, DarkAIInvalidRequestError, False, "Check the request"),
    _status(403, DarkAIPermissionDeniedError, False, "ask the server's owner"),
    _status(404, DarkAINotFoundError, False, "Check base_url and the model's name"),
    _status(405, DarkAIInvalidRequestError, False, "Check the request"),
    _status(408, DarkAITimeoutError, True, "Ask again"),
    _status(409, DarkAIInvalidRequestError, False, "Check the request"),
    _status(413, DarkAIInvalidRequestError, False, "send less"),
    _status(422, DarkAIInvalidRequestError, False, "Check the request"),
    _status(429, DarkAIRateLimitError, True, "ask more slowly"),
    _status(500, DarkAIAPIError, True, "Ask again later"),
    _status(501, DarkAIAPIError, False, "Check base_url"),
    _status(502, DarkAIAPIError, True, "Ask again later"),
    _status(503, DarkAIAPIError, True, "Ask again later"),
    _status(504, DarkAIAPIError, True, "Ask again later"),
    _status(505, DarkAIAPIError, False, "Check base_url"),
    _status(529, DarkAIAPIError, True, "Ask again later"),
    Fault(
        "an HTML error page",
        faults.html_page(502, "Bad gateway"),
        DarkAIAPIError,
        True,
        r"reported an error: 'an HTML page' \(HTTP 502\)",
        502,
    ),
    Fault("an error without a body", answer(500), DarkAIAPIError, True, r"without saying why \(HTTP 500\)", 500),
    Fault(
        "an error with a truncated body",
        [head(500, "text/plain", content_length="500") + b"it broke", PAUSE, RESET],
        DarkAIAPIError,
        True,
        r"'it broke' \(HTTP 500\)",
        500,
    ),
    Fault(
        "HTML instead of events",
        faults.html_page(),
        DarkAIStreamDecodeError,
        False,
        "HTML page.*Check base_url, proxy and key",
        200,
    ),
    Fault(
        "HTML with the content type of events",
        _body(b"<!doctype html>\n<html>\n"),
        DarkAIStreamDecodeError,
        False,
        "chat endpoint",
    ),
    Fault(
        "JSON instead of events",
        _body(b'{"error": "no"}', "application/json"),
        DarkAIStreamDecodeError,
        False,
        'without "data:"',
    ),
    Fault(
        "plain text instead of events", _body(b"Hello there!\n"), DarkAIStreamDecodeError, False, "no event stream has"
    ),
    Fault("an empty body", answer(200), DarkAIStreamTruncatedError, True, "before its stream-end"),
    Fault("an empty chunked body", [STREAM + chunk(b"")], DarkAIStreamTruncatedError, True, "before its stream-end"),
    Fault(
        "a reply without text",
        [STREAM + chunk(event("stream-end")) + chunk(b"")],
        DarkAIEmptyResponseError,
        True,
        "allow_empty=True",
    ),
    Fault(
        "only unknown events",
        [STREAM + chunk(event("search", hits=3) + event("stream-end")) + chunk(b"")],
        DarkAIEmptyResponseError,
        True,
        "allow_empty=True",
    ),
    _during("a body that ends without stream-end", [chunk(b"")], DarkAIStreamTruncatedError, True, "stream-end"),
    _during(
        "a body truncated within an event",
        [chunk(text("lost")[:20]), chunk(b"")],
        DarkAIStreamTruncatedError,
        True,
        "Ask again",
    ),
    *(
        Fault(
            f"{name} during the reply",
            fault(BEFORE),
            DarkAIStreamTruncatedError,
            True,
            _BROKE,
            text=BEFORE,
            has_cause=True,
        )
        for name, fault in {"closed": faults.close, "reset": faults.reset}.items()
    ),
    Fault(
        "a body shorter than its content-length",
        [head(content_length="5000") + text(BEFORE), CLOSE],
        DarkAIStreamTruncatedError,
        True,
        _BROKE,
        text=BEFORE,
        has_cause=True,
    ),
    _during(
        "an error event", [chunk(event("error", message="it broke"))], DarkAIAPIError, True, r"'it broke'\. Ask again"
    ),
    _during(
        "an error event with a status",
        [chunk(event("error", message="slow down", status=429, retry_after=0.01))],
        DarkAIRateLimitError,
        True,
        r"'slow down'\. Wait, or ask more slowly",
        status=429,
    ),
    _during(
        "an error event without a message",
        [chunk(event("error"))],
        DarkAIAPIError,
        True,
        "without saying why.*Ask again",
    ),
    _during(
        "an event that is not JSON",
        [chunk(b"data: {not json}\n\n")],
        DarkAIStreamDecodeError,
        False,
        "not JSON.*chat endpoint",
        has_cause=True,
    ),
    _during(
        "an event that is not a JSON object",
        [chunk(b"data: [1]\n\n")],
        DarkAIStreamDecodeError,
        False,
        "not a JSON object",
    ),
    _during("an event without a name", [chunk(b'data: {"data": {}}\n\n')], DarkAIStreamDecodeError, False, '"event"'),
    _during(
        "a text-chunk without text", [chunk(event("text-chunk", text=3))], DarkAIStreamDecodeError, False, '"text"'
    ),
    _during(
        "invalid UTF-8",
        [chunk(b'data: {"event": "text-chunk", "data": {"text": "\xff"}}\n\n')],
        DarkAIStreamDecodeError,
        False,
        "not UTF-8",
        has_cause=True,
    ),
    _during(
        "an event that is too long",
        [chunk(b'data: {"event": "text-chunk", "data": {"text": "' + b"x" * MAX_EVENT_BYTES), HOLD],
        DarkAIStreamDecodeError,
        False,
        "longer than 16,777,216 bytes",
    ),
    _during(
        "a reply that is too long",
        [chunk(text("x" * 1000)), HOLD],
        DarkAIStreamDecodeError,
        False,
        "more than 1,000 bytes of text.*max_reply_bytes",
        settings={"max_reply_bytes": 1000},
    ),
    Fault(
        "silence before the headers",
        faults.stall(),
        DarkAITimeoutError,
        True,
        "stayed silent; raise stream_chunk_timeout",
        has_cause=True,
        settings=_GAP,
    ),
    Fault(
        "silence after the headers",
        [STREAM, HOLD],
        DarkAITimeoutError,
        True,
        "raise stream_chunk_timeout",
        has_cause=True,
        settings=_GAP,
    ),
    _during(
        "silence during the reply",
        [HOLD],
        DarkAITimeoutError,
        True,
        "raise stream_chunk_timeout",
        has_cause=True,
        settings=_GAP,
    ),
    _during(
        "only keep-alive comments during the reply",
        [*_COMMENTS, HOLD],
        DarkAITimeoutError,
        True,
        "brought no content for 0.25 s; raise stream_chunk_timeout",
        has_cause=True,
        settings=_GAP,
    ),
    Fault(
        "a reply that takes longer than the timeout",
        [STREAM, *_COMMENTS, HOLD],
        DarkAITimeoutError,
        True,
        "longer than its timeout; raise timeout",
        has_cause=True,
        settings={"timeout": 0.25},
    ),
)
