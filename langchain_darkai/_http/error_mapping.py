"""aiohttp's errors, and HTTP responses that are no reply, as errors of this package.

An error's text names the server and says what to do. It repeats the words of a server or of the system without secrets,
and aiohttp's error becomes the cause only where it shows none.
"""

import asyncio
import contextlib
import email.utils
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Callable
from datetime import timezone
from typing import Any

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai._http.idle_timer import IdleTimeoutError
from langchain_darkai._http.open_files import is_out_of_files
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIConnectionError,
    DarkAIContextOverflowError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
)
from langchain_darkai.protocol import error_class_for_status, hint_for, reported_error

MAX_ERROR_BODY = 64 * 1024
"""Bytes that are read of the body of an HTTP error; what is worth quoting stands at its beginning."""


def map_error(
    error: Exception, endpoint: Endpoint, partial_text: str | None = None, *, is_users_session: bool = False
) -> DarkAIError:
    """Return the error of this package for one of aiohttp or the system, which becomes its cause.

    `partial_text` is what came of the reply before; None where the reply had not begun.
    """
    if isinstance(error, DarkAIError):
        return error
    mapped = _mapped(error, endpoint, partial_text, is_users_session)
    cause = stripped_of_details(error)
    details = f"{cause!r} {vars(cause)}"
    mapped.__cause__ = cause if endpoint.redact(details) == details else None
    return mapped


def stripped_of_details(error: BaseException) -> BaseException:
    """Return aiohttp's error, or the system's within it, without the headers, URLs and passwords that it carries.

    Its traceback is dropped as well: error reporters show the local variables of each of its frames.
    """
    if isinstance(error, aiohttp.ClientConnectorCertificateError):  # first: in aiohttp 3.13 it has no os_error
        error = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    elif isinstance(error, aiohttp.ClientResponseError):
        nowhere = URL("http://hidden")
        bare = aiohttp.RequestInfo(nowhere, "POST", CIMultiDictProxy(CIMultiDict()), nowhere)
        error = type(error)(bare, (), status=error.status, message=describe(error))
    elif isinstance(error, aiohttp.InvalidURL):
        error = aiohttp.InvalidURL("hidden")
    elif isinstance(error, aiohttp.ClientOSError):
        error = type(error)(error.errno, describe(error))
    elif isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ConnectionTimeoutError):
        error = type(error)()
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def describe(error: BaseException) -> str:
    """Return what the system says of a failure, without the addresses and URLs that aiohttp adds."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error.__cause__
    if isinstance(inner, ssl.SSLError):
        return inner.verify_message if isinstance(inner, ssl.SSLCertVerificationError) else inner.reason or "TLS error"
    if isinstance(inner, OSError):
        error = inner
    if isinstance(error, aiohttp.ClientResponseError):
        return re.split(r":?\s*(?:\n|b['\"])", str(error.message))[0]
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed it"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "its body is incomplete or garbled"
    if isinstance(error, OSError):
        if isinstance(error, socket.gaierror):
            return error.strerror or "the look-up of its name failed"
        # asyncio and aiohttp put addresses and URLs into strerror; the number says the same without them.
        return os.strerror(error.errno) if error.errno and error.errno > 0 else type(error).__name__
    return type(error).__name__


def not_retryable(error: DarkAIError) -> DarkAIError:
    error.is_retryable = False
    return error


def timeout_error(
    endpoint: Endpoint, what: str, partial_text: str = "", *, hint: str = "raise timeout, or ask for less"
) -> DarkAITimeoutError:
    return DarkAITimeoutError(f"{endpoint.host}: {what}; {hint}.", partial_text=partial_text)


def _mapped(error: Exception, endpoint: Endpoint, partial_text: str | None, is_users_session: bool) -> DarkAIError:
    has_begun = partial_text is not None
    if not has_begun and isinstance(error.__cause__, ssl.SSLError):  # TLS 1.3 refuses a client after the handshake
        return _tls_error(error, endpoint, "")
    for kinds, mapping in _MAPPINGS:
        if isinstance(error, kinds):
            return mapping(error, endpoint, partial_text or "")
    if has_begun:
        return DarkAIStreamTruncatedError(
            f"The connection to {endpoint.host} broke during the reply: {describe(error)}. Ask again.",
            partial_text=partial_text or "",
        )
    if isinstance(error, aiohttp.ClientResponseError):
        reason = endpoint.redact(describe(error))
        return not_retryable(DarkAIConnectionError(f"{endpoint.host} does not speak HTTP: {reason}. Check base_url."))
    if is_users_session and isinstance(error, RuntimeError | ValueError):
        return DarkAIInvalidRequestError(
            f"The session= for {endpoint.host} cannot be used: {endpoint.redact(str(error))}. It must be open, belong "
            "to the event loop of the call, and have no auth= beside a key."
        )
    return DarkAIConnectionError(
        f"The connection to {endpoint.host} broke before the reply: {describe(error)}. Ask again."
    )


def _idle_timeout(error: Exception, endpoint: Endpoint, partial_text: str) -> DarkAIError:
    return timeout_error(endpoint, f"the reply {error}", partial_text, hint="raise stream_chunk_timeout")


def _connection_timeout(_error: Exception, endpoint: Endpoint, _partial_text: str) -> DarkAIError:
    if endpoint.proxy:
        return timeout_error(endpoint, "no connection was made through the proxy", hint=f"check {_PROXY_SETTINGS}")
    return timeout_error(endpoint, "no connection was made", hint="check that the server runs and can be reached")


def _read_timeout(_error: Exception, endpoint: Endpoint, partial_text: str) -> DarkAIError:
    return timeout_error(endpoint, "the server stayed silent", partial_text, hint="raise stream_chunk_timeout")


def _call_timeout(_error: Exception, endpoint: Endpoint, partial_text: str) -> DarkAIError:
    return timeout_error(endpoint, "the call took longer than its timeout", partial_text)


def _invalid_url(_error: Exception, endpoint: Endpoint, _partial_text: str) -> DarkAIError:
    return DarkAIInvalidRequestError(f"The address of {endpoint.host} is not an http(s) URL. Check base_url and proxy.")


_NO_TLS = re.compile("wrong.version.number|record.layer.failure|unknown.protocol", re.IGNORECASE)
"""What the versions of OpenSSL say of an answer that is not TLS."""


def _tls_error(error: Exception, endpoint: Endpoint, _partial_text: str) -> DarkAIError:
    if _NO_TLS.search(describe(error)):
        return not_retryable(_without_tls_error(error, endpoint))
    return not_retryable(
        DarkAIConnectionError(
            f"The TLS connection to {endpoint.host} failed: {describe(error)}. For a private certificate authority "
            "pass verify='/path/to/ca.pem' or set SSL_CERT_FILE; for a certificate of your own pass an ssl.SSLContext."
        )
    )


def _without_tls_error(error: Exception, endpoint: Endpoint) -> DarkAIError:
    host = error.host if isinstance(error, aiohttp.ClientConnectorError) else None
    if endpoint.proxy and host != URL(endpoint.url).raw_host:
        return _proxy_error(endpoint, "it speaks plain http: begin its URL with http:// and not https://")
    return DarkAIConnectionError(
        f"The TLS connection to {endpoint.host} failed: the server speaks plain http. Use http:// in base_url: "
        f"http://{endpoint.host}"
    )


def _connector_error(error: aiohttp.ClientConnectorError, endpoint: Endpoint, _partial_text: str) -> DarkAIError:
    if is_out_of_files(error):
        return DarkAIConnectionError(
            f"Too many files are open for another connection to {endpoint.host}, and the timeout left no time to wait. "
            "Limit the calls at once with max_concurrency, or raise the system's limit (ulimit -n)."
        )
    if isinstance(error, aiohttp.ClientProxyConnectionError) or error.host != URL(endpoint.url).raw_host:
        return _proxy_error(endpoint, describe(error))
    return DarkAIConnectionError(
        f"{endpoint.host} cannot be reached: {describe(error)}. Check base_url and the network, or start a local "
        "server: langchain-darkai serve."
    )


def _proxy_refusal(error: aiohttp.ClientHttpProxyError, endpoint: Endpoint, _partial_text: str) -> DarkAIError:
    return _proxy_error(endpoint, f"HTTP {error.status}", error.status)


_PROXY_SETTINGS = "proxy=, HTTP_PROXY, HTTPS_PROXY and NO_PROXY"


def _proxy_error(endpoint: Endpoint, reason: str, status: int | None = None) -> DarkAIError:
    error = DarkAIConnectionError(
        f"The proxy on the way to {endpoint.host} cannot be used ({reason}). Check {_PROXY_SETTINGS}.", status=status
    )
    if status is not None:
        error.is_retryable = error_class_for_status(status).is_retryable
    return error


# The first row that fits counts: some of these classes are subclasses of those below.
_MAPPINGS: tuple[tuple[tuple[type[Exception], ...], Callable[[Any, Endpoint, str], DarkAIError]], ...] = (
    ((IdleTimeoutError,), _idle_timeout),
    ((aiohttp.ConnectionTimeoutError,), _connection_timeout),
    ((aiohttp.SocketTimeoutError,), _read_timeout),
    ((TimeoutError, asyncio.TimeoutError), _call_timeout),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, UnicodeError), _invalid_url),
    ((aiohttp.ClientSSLError, ssl.SSLError), _tls_error),
    ((aiohttp.ClientConnectorError,), _connector_error),
    ((aiohttp.ClientHttpProxyError,), _proxy_refusal),
)


_CONTEXT_OVERFLOW = re.compile(
    r"context.{0,20}(?:length|window|limit|size)|maximum.{0,30}tokens|too many tokens|(?:prompt|input) is too long",
    re.IGNORECASE,
)


async def error_from_response(endpoint: Endpoint, response: aiohttp.ClientResponse, body_timeout: float) -> DarkAIError:
    """Return the error for a response that is no reply; its body is quoted where it says something readable.

    The body may take `body_timeout` seconds; what has come by then is quoted.
    """
    status = response.status
    if 300 <= status < 400:
        return not_retryable(
            DarkAIAPIError(
                f"{endpoint.host} answered with a redirect ({status}), which is not followed. Set base_url to the "
                "final address.",
                status=status,
            )
        )
    if status == 407 and endpoint.proxy:
        return _proxy_error(endpoint, "HTTP 407", status)
    text = "" if is_compressed(response) else await _read_text(response.content, body_timeout)
    said = _error_member(text)
    if response.content_type == "text/html" or text[:1] == "<":
        said = {"message": "an HTML page"}
    elif is_compressed(response):
        said = {"message": "a compressed body"}
    report = reported_error(said, endpoint.host, status, endpoint.redact)
    overflows = status in (400, 413, 422) and _CONTEXT_OVERFLOW.search(text)
    kind = DarkAIContextOverflowError if overflows else report.kind
    is_final = status in (501, 505) or status < 300
    retry_after = seconds_from_retry_after(response.headers.get("Retry-After"))
    error = kind(
        f"{report.message} (HTTP {status}). {_hint(kind, status, is_final)}",
        status=status,
        retry_after=report.retry_after if retry_after is None else retry_after,
        request_id=endpoint.redact(response.headers.get("x-request-id", "")) or None,
    )
    return not_retryable(error) if is_final else error


def is_compressed(response: aiohttp.ClientResponse) -> bool:
    """Return whether a body is compressed, although the request asked for one that is not."""
    return response.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity")


async def _read_text(content: aiohttp.StreamReader, timeout: float) -> str:
    body = b""
    loop = asyncio.get_running_loop()
    limit = loop.call_later(timeout, content.set_exception, IdleTimeoutError("took too long"))
    with contextlib.suppress(Exception):
        while len(body) < MAX_ERROR_BODY and (data := await content.readany()):
            body += data
    limit.cancel()
    return body[:MAX_ERROR_BODY].decode("utf-8", "replace").strip()


def _error_member(text: str) -> Any:
    """Return what a body says of an error: its "error" member where it has one, else its JSON, else its text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value["error"] if isinstance(value, dict) and "error" in value else value


def _hint(kind: type[DarkAIError], status: int, is_final: bool) -> str:
    if is_final:
        return "Check base_url: does it name a DarkAI chat API?"
    return hint_for(DarkAIContextOverflowError if status == 413 else kind)


def seconds_from_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which gives them as a number or as a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = email.utils.parsedate_to_datetime(value)
            utc = date if date.tzinfo else date.replace(tzinfo=timezone.utc)
            seconds = utc.timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(seconds, 0.0) if seconds < float("inf") else None
