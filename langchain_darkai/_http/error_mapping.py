"""aiohttp's errors and HTTP responses as errors of the package."""

import asyncio
import contextlib
import email.utils
import errno
import json
import os
import re
import socket
import ssl
import time
from datetime import timezone
from typing import NamedTuple

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai._http.idle_timer import IdleTimeoutError
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIConnectionError,
    DarkAIContextOverflowError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
    error_class_for_status,
    hint_for,
)
from langchain_darkai.protocol import EventDecoder, reported_error

MAX_ERROR_BODY = 64 * 1024
"""Bytes that are read of an answer which is no reply; what is worth showing stands at its beginning."""

ERROR_BODY_TIMEOUT = 3.0
"""How long the body of an answer which is no reply may take; what has come by then is quoted."""


class Request(NamedTuple):
    endpoint: Endpoint
    body: bytes
    deadline: float | None
    idle_timeout: float | None
    has_own_session: bool

    def __repr__(self) -> str:
        return f"<Request to {self.endpoint.host}>"  # tools that show the locals of a stack would show the headers


def map_error(error: Exception, request: Request, decoder: EventDecoder | None) -> DarkAIError:
    """Return our error for one of aiohttp's, which becomes its cause; `decoder` is None before the reply began."""
    if isinstance(error, DarkAIError):
        return error
    ours = _mapped(error, request, decoder)
    cause = stripped_of_details(error)
    told = f"{cause!r} {vars(cause)}"
    ours.__cause__ = cause if request.endpoint.redact(told) == told else None
    return ours


def stripped_of_details(error: BaseException) -> BaseException:
    """Return aiohttp's error, or the system's within it, without the headers, URLs and passwords that it carries.

    They stand in the locals of aiohttp's stack, too.
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


def _mapped(error: Exception, request: Request, decoder: EventDecoder | None) -> DarkAIError:
    where = request.endpoint.host
    partial_text = decoder.text if decoder else ""
    if isinstance(error, IdleTimeoutError):
        return timeout_error(request, f"the reply {error}", partial_text, "raise stream_chunk_timeout")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        if request.endpoint.proxy:
            return timeout_error(request, "no connection was made through the proxy", hint=f"check {_PROXY_SETTINGS}")
        return timeout_error(request, "no connection was made", hint="check that the server runs and can be reached")
    if isinstance(error, aiohttp.SocketTimeoutError):
        return timeout_error(request, "the server stayed silent", partial_text, "raise stream_chunk_timeout")
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return timeout_error(request, "the call took longer than its timeout", partial_text)
    if isinstance(error, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, UnicodeError)):
        return DarkAIInvalidRequestError(f"The address of {where} is no http(s) URL. Check base_url and proxy.")
    is_alert = decoder is None and isinstance(error.__cause__, ssl.SSLError)  # TLS 1.3 refuses after the hand-shake
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError) or is_alert:
        return not_retryable(
            DarkAIConnectionError(
                f"The TLS connection to {where} failed: {describe(error)}. For a private certificate authority pass "
                "verify='/path/to/ca.pem' or set SSL_CERT_FILE; for a certificate of your own pass an ssl.SSLContext."
            )
        )
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return DarkAIConnectionError(
            f"Too many files are open for another connection to {where}. Limit the calls at once with "
            "max_concurrency, or raise the system's limit (ulimit -n)."
        )
    is_proxys = isinstance(error, aiohttp.ClientConnectorError) and error.host != URL(request.endpoint.url).raw_host
    if isinstance(error, aiohttp.ClientProxyConnectionError) or is_proxys:
        return _proxy_error(request, describe(error))
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _proxy_error(request, f"HTTP {error.status}", error.status)
    if isinstance(error, aiohttp.ClientConnectorError):
        return DarkAIConnectionError(
            f"{where} cannot be reached: {describe(error)}. Check base_url and the network, or start a local server: "
            "langchain-darkai serve."
        )
    if decoder is not None:
        return DarkAIStreamTruncatedError(
            f"The connection to {where} broke amid the reply: {describe(error)}. Ask again.", partial_text=partial_text
        )
    if isinstance(error, aiohttp.ClientResponseError):
        reason = request.endpoint.redact(describe(error))
        return not_retryable(DarkAIConnectionError(f"{where} does not speak HTTP: {reason}. Check base_url."))
    if request.has_own_session and isinstance(error, RuntimeError | ValueError):
        return DarkAIInvalidRequestError(
            f"The session= for {where} cannot be used: {request.endpoint.redact(str(error))}. It must be open, "
            "belong to the event loop of the call, and have no auth= beside a key."
        )
    return DarkAIConnectionError(f"The connection to {where} broke before the reply: {describe(error)}. Ask again.")


_PROXY_SETTINGS = "proxy=, HTTP_PROXY, HTTPS_PROXY and NO_PROXY"


def _proxy_error(request: Request, reason: str, status: int | None = None) -> DarkAIError:
    error = DarkAIConnectionError(
        f"The proxy on the way to {request.endpoint.host} cannot be used ({reason}). Check {_PROXY_SETTINGS}.",
        status=status,
    )
    if status is not None:
        error.is_retryable = error_class_for_status(status).is_retryable
    return error


def timeout_error(
    request: Request, what: str, partial_text: str = "", hint: str = "raise timeout, or ask for less"
) -> DarkAITimeoutError:
    return DarkAITimeoutError(f"{request.endpoint.host}: {what}; {hint}.", partial_text=partial_text)


def not_retryable(error: DarkAIError) -> DarkAIError:
    error.is_retryable = False
    return error


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


_CONTEXT_OVERFLOW = re.compile(
    r"context.{0,20}(?:length|window|limit|size)|maximum.{0,30}tokens|too many tokens|(?:prompt|input) is too long",
    re.IGNORECASE,
)


async def error_from_response(
    request: Request, response: aiohttp.ClientResponse, loop: asyncio.AbstractEventLoop
) -> DarkAIError:
    """Return the error of an answer that is no reply; its body is quoted where it says something readable."""
    status = response.status
    if 300 <= status < 400:
        return not_retryable(
            DarkAIAPIError(
                f"{request.endpoint.host} answered with a redirect ({status}), which is not followed. Set base_url "
                "to the final address.",
                status=status,
            )
        )
    if status == 407 and request.endpoint.proxy:
        return _proxy_error(request, "HTTP 407", status)
    body = b""
    limit = loop.call_later(ERROR_BODY_TIMEOUT, response.content.set_exception, IdleTimeoutError("took too long"))
    with contextlib.suppress(Exception):
        while len(body) < MAX_ERROR_BODY and (data := await response.content.readany()):
            body += data
    limit.cancel()
    text = body[:MAX_ERROR_BODY].decode("utf-8", "replace").strip()
    retry_after = _retry_after(response.headers.get("Retry-After"))
    if response.content_type == "text/html" or text[:1] == "<":
        said: object = {"message": "an HTML page"}
    else:
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = text
        if isinstance(said, dict) and "error" in said:
            said = said["error"]
    report = reported_error(said, request.endpoint.host, status, request.endpoint.redact)
    kind = report.kind
    if status in (400, 413, 422) and _CONTEXT_OVERFLOW.search(text):
        kind = DarkAIContextOverflowError
    is_final = status in (501, 505) or status < 300
    if is_final:
        hint = "Check base_url: does it name a DarkAI chat API?"
    else:
        hint = hint_for(DarkAIContextOverflowError if status == 413 else kind)
    error = kind(
        f"{report.message} (HTTP {status}). {hint}",
        status=status,
        retry_after=report.retry_after if retry_after is None else retry_after,
        request_id=request.endpoint.redact(response.headers.get("x-request-id", "")) or None,
    )
    return not_retryable(error) if is_final else error


def _retry_after(value: str | None) -> float | None:
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
