"""The table of faults: what a server or the way to it does, and what a call then raises; see docs/reliability.md."""

import zlib
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
from tests.support.scripted_server import CLOSE, HOLD, RESET, STREAM, Script, answer, chunk, event, head, text

BEFORE = "Grüße, 世界 🎉\r\n"
"""The text that comes before a fault amid the reply."""

PAUSE = 0.03
"""Seconds between text and a reset, which would otherwise overtake it in the network."""


@dataclass(frozen=True)
class Fault:
    """A fault, and what it becomes: the class of the error, whether asking again can help, and what it says."""

    name: str
    script: Script
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
    script = answer(status, '{"error": {"message": "what it says"}}')
    return Fault(f"HTTP {status}", script, kind, is_retryable, said, status)


def _amid(name: str, script: list[Any], kind: type[DarkAIError], is_retryable: bool, said: str, **more: Any) -> Fault:
    return Fault(name, [STREAM + chunk(text(BEFORE)), *script], kind, is_retryable, said, text=BEFORE, **more)


def _body(content: bytes, content_type: str = "text/event-stream", **headers: str) -> Script:
    return [head(200, content_type, connection="close", **headers) + content, CLOSE]


def _compressed(data: bytes) -> bytes:
    """Return the data whole, of a compressed body that is not."""
    compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


_GAP = {"stream_chunk_timeout": 0.25}
_COMMENTS: list[bytes | float] = [chunk(b": ping\n\n"), 0.05] * 20

FAULTS = (
    Fault(
        "no server", [], DarkAIConnectionError, True, "refused.*langchain-darkai serve", has_cause=True, where="gone"
    ),
    Fault("no such host", [], DarkAIConnectionError, True, "cannot be reached", has_cause=True, where="unknown"),
    Fault("no such proxy", [], DarkAIConnectionError, True, "Check proxy=", has_cause=True, where="proxy"),
    Fault("no TLS there", [], DarkAIConnectionError, False, "TLS.*verify=", has_cause=True, where="tls"),
    Fault(
        "a certificate that nobody vouches for",
        [],
        DarkAIConnectionError,
        False,
        "self.signed certificate.*verify='/path/to/ca.pem' or set SSL_CERT_FILE",
        has_cause=True,
        where="self-signed",
    ),
    Fault(
        "a certificate of ours that the server wants",
        [],
        DarkAIConnectionError,
        False,
        "TLS connection.*CERTIFICATE_REQUIRED.*pass an ssl.SSLContext",
        has_cause=True,
        where="certificate wanted",
    ),
    Fault("closed before the reply", [CLOSE], DarkAIConnectionError, True, "broke before", has_cause=True),
    Fault("reset before the reply", [RESET], DarkAIConnectionError, True, "broke before", has_cause=True),
    Fault("closed within the headers", [STREAM[:40], CLOSE], DarkAIConnectionError, True, "before", has_cause=True),
    Fault(
        "reset within the headers", [STREAM[:40], PAUSE, RESET], DarkAIConnectionError, True, "by peer", has_cause=True
    ),
    Fault("not HTTP", [b"SSH-2.0-x\r\n", CLOSE], DarkAIConnectionError, False, "speak HTTP", has_cause=True),
    Fault("noise", [bytes(range(256)), CLOSE], DarkAIConnectionError, False, "speak HTTP", has_cause=True),
    Fault(
        "headers without end",
        [head(x="a" * 100_000)],
        DarkAIConnectionError,
        False,
        "Got more than 8190 bytes",
        has_cause=True,
    ),
    Fault(
        "a compression that nobody asked for",
        _body(b"\x8b\x02\x80\n", content_encoding="unheard-of"),
        DarkAIStreamDecodeError,
        False,
        "not UTF-8",
        has_cause=True,
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
        "an error page, HTML",
        answer(502, "<html><title>Bad gateway</title></html>", "text/html"),
        DarkAIAPIError,
        True,
        r"reported an error: 'an HTML page' \(HTTP 502\)",
        502,
    ),
    Fault("an error without a body", answer(500), DarkAIAPIError, True, r"without saying why \(HTTP 500\)", 500),
    Fault(
        "an error whose body breaks off",
        [head(500, "text/plain", content_length="500") + b"it broke", PAUSE, RESET],
        DarkAIAPIError,
        True,
        r"'it broke' \(HTTP 500\)",
        500,
    ),
    Fault(
        "HTML instead of events",
        answer(200, "<html>Please log in</html>", "text/html"),
        DarkAIStreamDecodeError,
        False,
        "HTML page.*Check base_url, proxy and key",
        200,
    ),
    Fault(
        "HTML that does not say so",
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
    Fault("words instead of events", _body(b"Hello there!\n"), DarkAIStreamDecodeError, False, "no event stream has"),
    Fault("an empty body", answer(200), DarkAIStreamTruncatedError, True, "before its stream-end"),
    Fault("an empty body, chunked", [STREAM + chunk(b"")], DarkAIStreamTruncatedError, True, "before its stream-end"),
    Fault(
        "a reply without text",
        [STREAM + chunk(event("stream-end")) + chunk(b"")],
        DarkAIEmptyResponseError,
        True,
        "allow_empty=True",
    ),
    Fault(
        "other events only",
        [STREAM + chunk(event("search", hits=3) + event("stream-end")) + chunk(b"")],
        DarkAIEmptyResponseError,
        True,
        "allow_empty=True",
    ),
    Fault(
        "a broken compression",
        _body(b"this is not gzip", content_encoding="gzip"),
        DarkAIStreamTruncatedError,
        True,
        "broke amid the reply",
        has_cause=True,
    ),
    Fault(
        "a compression that breaks amid the reply",
        [head(connection="close", content_encoding="gzip") + _compressed(text(BEFORE)), PAUSE, b"\xff", CLOSE],
        DarkAIStreamTruncatedError,
        True,
        "broke amid the reply",
        text=BEFORE,
        has_cause=True,
    ),
    _amid("a body that ends without stream-end", [chunk(b"")], DarkAIStreamTruncatedError, True, "stream-end"),
    _amid(
        "a body cut within an event",
        [chunk(text("lost")[:20]), chunk(b"")],
        DarkAIStreamTruncatedError,
        True,
        "Ask again",
    ),
    _amid("closed amid the reply", [PAUSE, CLOSE], DarkAIStreamTruncatedError, True, "broke amid", has_cause=True),
    _amid("reset amid the reply", [PAUSE, RESET], DarkAIStreamTruncatedError, True, "broke amid", has_cause=True),
    Fault(
        "a body shorter than its content-length",
        [head(content_length="5000") + text(BEFORE), CLOSE],
        DarkAIStreamTruncatedError,
        True,
        "broke amid",
        text=BEFORE,
        has_cause=True,
    ),
    _amid(
        "an error event", [chunk(event("error", message="it broke"))], DarkAIAPIError, True, r"'it broke'\. Ask again"
    ),
    _amid(
        "an error event that names a status",
        [chunk(event("error", message="slow down", status=429, retry_after=0.01))],
        DarkAIRateLimitError,
        True,
        r"'slow down'\. Wait, or ask more slowly",
        status=429,
    ),
    _amid(
        "an error event without words", [chunk(event("error"))], DarkAIAPIError, True, "without saying why.*Ask again"
    ),
    _amid(
        "an event that is not JSON",
        [chunk(b"data: {not json}\n\n")],
        DarkAIStreamDecodeError,
        False,
        "not JSON.*chat endpoint",
        has_cause=True,
    ),
    _amid("an event that is no object", [chunk(b"data: [1]\n\n")], DarkAIStreamDecodeError, False, "not a JSON object"),
    _amid("an event without a name", [chunk(b'data: {"data": {}}\n\n')], DarkAIStreamDecodeError, False, '"event"'),
    _amid("a piece without text", [chunk(event("text-chunk", text=3))], DarkAIStreamDecodeError, False, '"text"'),
    _amid(
        "invalid UTF-8",
        [chunk(b'data: {"event": "text-chunk", "data": {"text": "\xff"}}\n\n')],
        DarkAIStreamDecodeError,
        False,
        "not UTF-8",
        has_cause=True,
    ),
    _amid(
        "an event without end",
        [chunk(b'data: {"event": "text-chunk", "data": {"text": "' + b"x" * MAX_EVENT_BYTES), HOLD],
        DarkAIStreamDecodeError,
        False,
        "longer than 16,777,216 bytes",
    ),
    Fault(
        "silence before the headers",
        [HOLD],
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
    _amid(
        "silence amid the reply",
        [HOLD],
        DarkAITimeoutError,
        True,
        "raise stream_chunk_timeout",
        has_cause=True,
        settings=_GAP,
    ),
    _amid(
        "only keep-alive comments amid the reply",
        [*_COMMENTS, HOLD],
        DarkAITimeoutError,
        True,
        "brought no content for 0.25 s; raise stream_chunk_timeout",
        has_cause=True,
        settings=_GAP,
    ),
    Fault(
        "a reply that takes longer than the call may",
        [STREAM, *_COMMENTS, HOLD],
        DarkAITimeoutError,
        True,
        "longer than its timeout; raise timeout",
        has_cause=True,
        settings={"timeout": 0.25},
    ),
)
