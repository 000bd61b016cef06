"""One POST over aiohttp: sessions, one an event loop; the reply as events; foreign errors as ours.

This is the only module of the package's client side that knows aiohttp. It is imported with the first call, so that
`import langchain_darkai` stays light.
"""

import asyncio
import atexit
import contextlib
import email.utils
import errno
import functools
import json
import os
import re
import socket
import ssl
import time
import weakref
from collections.abc import AsyncGenerator
from datetime import timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIConnectionError,
    DarkAIContextOverflowError,
    DarkAIEmptyResponseError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAIStreamDecodeError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
)
from langchain_darkai.protocol import (
    EventDecoder,
    StreamEnd,
    StreamFailure,
    encode_request,
    error_class_for_status,
    hint_for,
    reported_error,
)
from langchain_darkai.transport import ApiCall, ReplyEvents

CONNECT_TIMEOUT = 30.0
"""Seconds for name look-up, connection and TLS hand-shake together."""

MAX_ERROR_BODY = 64 * 1024
"""Bytes that are read of an answer which is no reply; what is worth showing stands at its beginning."""

ERROR_BODY_TIMEOUT = 3.0
"""How long the body of an answer which is no reply may take; what has come by then is quoted."""

BODY_END_TIMEOUT = 1.0
"""Seconds that a body may take to end after `stream-end`, for its connection to be used again."""


class AiohttpTransport:
    """Sends calls to one endpoint over aiohttp. `idle_timeout` is in seconds; None for no limit.

    The connections belong to the running event loop, and all transports on it share them. `session` is used instead
    where it is given; it is never closed here.
    """

    def __init__(
        self, endpoint: Endpoint, *, idle_timeout: float | None, session: aiohttp.ClientSession | None = None
    ) -> None:
        self._endpoint = endpoint
        self._idle_timeout = idle_timeout
        self._session = session

    async def stream(self, call: ApiCall, deadline: float | None) -> ReplyEvents:
        """Yield the text of the reply as it comes, one piece a network read, then its `StreamEnd`.

        Raises a DarkAIError for everything that goes wrong; text that came before has been yielded.
        """
        loop = asyncio.get_running_loop()
        endpoint = self._endpoint.through(self._endpoint.proxy or _environment_proxy(self._endpoint.url))
        request = _Request(
            endpoint,
            encode_request(call.query, call.model, call.parameters),
            deadline,
            self._idle_timeout,
            self._session is not None,
        )
        decoder = EventDecoder(endpoint.host, endpoint.redact, per_event=call.per_event)
        shared = _Shared(self._session) if self._session else await _shared_session(loop)
        try:
            async with shared:
                response = await _open(request, shared.session, loop)
                shared.replies.add(response)
                content = response.content
                watch = IdleTimer(loop, self._idle_timeout, content)
                ended = False
                try:
                    if response.status != 200:
                        raise await error_from_response(request, response, loop)
                    if response.content_type == "text/html":
                        raise DarkAIStreamDecodeError(
                            f"{endpoint.host} answered with an HTML page, a login or error page perhaps, and no event "
                            "stream. Check base_url, proxy and key.",
                            status=response.status,
                        )
                    while True:
                        watch.start()
                        try:
                            data = await content.readany()
                        except Exception as error:  # noqa: BLE001 - raised again, as ours
                            data = take_buffered(content)  # all of it first; then the same error comes again
                            if not data:
                                raise map_error(error, request, decoder)  # noqa: B904 - it has its cause
                        texts, ending = decoder.feed(data) if data else decoder.finish()
                        if texts:
                            watch.content()
                            for text in texts:
                                yield text
                        if isinstance(ending, StreamFailure):
                            data = b""  # tools show the locals of a stack, and the server may have repeated a key
                            raise ending.error
                        if isinstance(ending, StreamEnd):
                            ended = True
                            if not (decoder.text or call.allow_empty):
                                raise DarkAIEmptyResponseError(
                                    f"{endpoint.host} sent a complete reply without any text. Ask again, or set "
                                    "allow_empty=True where nothing is an answer."
                                )
                            yield ending
                            return
                finally:
                    watch.stop()
                    shared.end(response, loop, BODY_END_TIMEOUT if ended else 0.0)
                    del response  # its repr has the URL and headers, for the same tools
        except DarkAIError as error:
            error.__context__ = None  # aiohttp's error would show what the cause made of it hides
            raise

    async def aclose(self) -> None:
        """Close the running loop's connections as soon as no call uses them; the next call makes new ones."""
        await close_session()


class _Request(NamedTuple):
    endpoint: Endpoint
    body: bytes
    deadline: float | None
    idle_timeout: float | None
    has_own_session: bool

    def __repr__(self) -> str:
        return f"<Request to {self.endpoint.host}>"  # tools that show the locals of a stack would show the headers


async def _open(
    request: _Request, session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop
) -> aiohttp.ClientResponse:
    """Return the response, its headers read; a kept connection that turns out dead makes way for a new one."""
    has_retried = False
    while True:
        remaining = None if request.deadline is None else request.deadline - loop.time()
        if remaining is not None and remaining <= 0:
            raise _timeout(request, "the call's timeout had run out before the request was sent")
        may_be_dead = _has_kept(session, URL(request.endpoint.url))
        try:
            return await session.post(
                URL(request.endpoint.url),
                data=request.body,
                headers=request.endpoint.headers,
                **_way(request),
                timeout=aiohttp.ClientTimeout(total=remaining, connect=CONNECT_TIMEOUT, sock_read=request.idle_timeout),
                allow_redirects=False,  # a redirect would carry the prompt to a host that nobody named
                raise_for_status=False,  # a session of the user's own may be set to do it
            )
        except Exception as error:  # noqa: BLE001 - raised again, as ours
            broke = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
            if has_retried or not (broke and may_be_dead):
                raise map_error(error, request, None)  # noqa: B904 - it has its cause
            has_retried = True


def _has_kept(session: aiohttp.ClientSession, url: URL) -> bool:
    """Whether a request will go over a kept connection, which the server may have closed meanwhile."""
    kept = getattr(session.connector, "_conns", {})  # a trace would tell, but at each call's expense
    return any(connections and (key.host, key.port) == (url.raw_host, url.port) for key, connections in kept.items())


def _way(request: _Request) -> dict[str, Any]:
    proxy = request.endpoint.proxy
    is_tls = request.endpoint.url.startswith("https:") or (proxy is not None and proxy.lower().startswith("https:"))
    return {"proxy": proxy, "ssl": _ssl(request.endpoint.verify) if is_tls else True}


class IdleTimer:
    """Ends a reply that brings no content for too long; comments and empty events do not count as life.

    One timer a reply, moved only when it fires: nothing is scheduled for each read.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, gap: float | None, content: aiohttp.StreamReader) -> None:
        self._loop = loop
        self._gap = gap
        self._content = content
        self._waiting = True
        self._last = loop.time()
        self._timer = None if gap is None else loop.call_later(gap, self._check)

    def start(self) -> None:
        """The caller waits for content again: its own time with the last piece is not the server's."""
        if not self._waiting:
            self._waiting = True
            self._last = self._loop.time()

    def content(self) -> None:
        self._waiting = False

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        assert self._gap is not None
        idle = self._loop.time() - self._last if self._waiting else 0.0
        if idle >= self._gap:
            self._content.set_exception(IdleTimeoutError(f"brought no content for {self._gap:g} s"))
        else:
            self._timer = self._loop.call_later(self._gap - idle, self._check)


class IdleTimeoutError(Exception):
    """Set on a reply's body by its watch."""


def take_buffered(content: aiohttp.StreamReader) -> bytes:
    """Return what had come before a fault while nobody read it; aiohttp would pass it over."""
    with contextlib.suppress(Exception):
        return content._read_nowait(-1)
    return b""


class _Shared:
    """A session, and the calls that are using it: it is closed when the last of them has ended."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.replies: set[aiohttp.ClientResponse] = set()  # not closed by a loop that just stops
        self.keeper: object = None
        self._calls = 0
        self._is_leaving = False

    async def __aenter__(self) -> None:
        self._calls += 1

    async def __aexit__(self, *_: object) -> None:
        self._calls -= 1
        if self._is_leaving and not self._calls:
            # Not awaited: a call may end within an asynchronous generator that the loop, which ends, closes as well.
            closing = self.close()
            with contextlib.suppress(StopIteration):
                closing.send(None)
            closing.close()

    async def leave(self) -> None:
        """Close the session, now or with the last call that uses it."""
        self._is_leaving = True
        if not self._calls:
            await self.close()

    async def close(self) -> None:
        for response in self.replies:
            response.close()
        await self.session.close()

    def end(self, response: aiohttp.ClientResponse, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Close a reply, unless its body ends in time: then its connection has gone back to the pool."""
        if seconds and not response.content.is_eof():
            loop.call_later(seconds, self.end, response, loop, 0.0)
        else:
            response.close()
            self.replies.discard(response)

    def drop(self) -> None:
        """Close the sockets where the loop cannot run any more, so that the orderly ways are gone."""
        connector = self.session.connector
        if connector is None:
            return
        self.session.detach()
        kept = getattr(connector, "_conns", {})
        in_use = getattr(connector, "_acquired", ())
        for protocol in [*(protocol for kind in kept.values() for protocol, _ in kind), *in_use]:
            transport = getattr(protocol, "transport", None)
            secured = getattr(transport, "_ssl_protocol", None)
            if transport is not None and secured is not None:
                transport._closed = True
                transport = getattr(secured, "_transport", None)
            sock = getattr(transport, "_sock", None)
            if sock is not None:
                sock.close()
                transport._sock = None  # type: ignore[union-attr]
                transport._closing = True  # type: ignore[union-attr]
        kept.clear()
        for response in self.replies:
            if response.connection is not None:
                response.connection.close()
            response.close()


class _Response(aiohttp.ClientResponse):
    """A reply that ends its connection at once, where its body goes on.

    In order, TLS would wait half a minute for the other side to agree.
    """

    def close(self) -> None:
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.abort()
        super().close()


_sessions: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared]" = weakref.WeakKeyDictionary()


async def _shared_session(loop: asyncio.AbstractEventLoop) -> _Shared:
    """Return the running loop's session, which all clients share."""
    known = _sessions.get(loop)
    if known is not None and not known.session.closed:
        return known
    _dispose_of_dead_loops()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=_Response,
    )
    _sessions[loop] = shared = _Shared(session)
    shared.keeper = keeper = _keep(shared)
    await anext(keeper)
    return shared


async def _keep(shared: _Shared) -> AsyncGenerator[None, None]:
    # A suspended asynchronous generator is closed with its loop by asyncio.run, and the session with it.
    try:
        yield
    finally:
        await shared.close()


async def close_session() -> None:
    """Close the running loop's session as soon as no call uses it; the next call makes another."""
    shared = _sessions.pop(asyncio.get_running_loop(), None)
    if shared is not None:
        await shared.leave()


def _dispose_of_dead_loops() -> None:
    """Drop the sessions of loops that were closed without `shutdown_asyncgens`, their sockets first."""
    for reference in _sessions.keyrefs():  # a list of its own, since other threads add and drop loops meanwhile
        loop = reference()
        if loop is not None and loop.is_closed() and (dead := _sessions.pop(loop, None)):
            dead.drop()


atexit.register(_dispose_of_dead_loops)


def _leave_to_parent() -> None:
    """In a forked child: the connections are the parent's, whose side of them stays open."""
    for shared in list(_sessions.values()):
        shared.drop()
    _abandoned.extend(_sessions.items())
    _sessions.clear()


_abandoned: list[object] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


_PROXY_VARIABLES = tuple(f(n) for n in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for f in (str, str.upper))


def _environment_proxy(url: str) -> str | None:
    """Return the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name for a URL.

    Not aiohttp's trust_env, which would take passwords from ~/.netrc too.
    """
    return _proxy_of(url, tuple(map(os.environ.get, _PROXY_VARIABLES)))


@functools.lru_cache(maxsize=64)
def _proxy_of(url: str, _environment: tuple[str | None, ...]) -> str | None:
    # Kept until a variable changes, since `getproxies` looks through the whole environment.
    parts = URL(url)
    proxies = getproxies()
    if not proxies or proxy_bypass(f"{parts.host}:{parts.port}"):
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy and not proxy.lower().startswith(("http://", "https://")):
        raise DarkAIInvalidRequestError(
            f"The environment names a proxy of another kind than http(s) for {parts.host}. Set proxy= or "
            f"{parts.scheme.upper()}_PROXY to an http(s) proxy, or {parts.host} in NO_PROXY."
        )
    return proxy


def _ssl(verify: bool | str | ssl.SSLContext) -> bool | ssl.SSLContext:
    if verify is True:  # aiohttp has read SSL_CERT_FILE with its import, and never looks again
        verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True
    if isinstance(verify, str):
        return _context(verify) if verify else True
    return verify


@functools.lru_cache(maxsize=8)
def _context(bundle: str) -> ssl.SSLContext:
    try:
        is_folder = Path(bundle).is_dir()
        return ssl.create_default_context(cafile=None if is_folder else bundle, capath=bundle if is_folder else None)
    except (OSError, ssl.SSLError) as error:
        raise DarkAIInvalidRequestError(
            f"The CA bundle {bundle!r} cannot be read: {error}. Give verify= (or REQUESTS_CA_BUNDLE or "
            "SSL_CERT_FILE) a PEM file or folder."
        ) from error


def map_error(error: Exception, request: _Request, decoder: EventDecoder | None) -> DarkAIError:
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


def _mapped(error: Exception, request: _Request, decoder: EventDecoder | None) -> DarkAIError:
    where = request.endpoint.host
    partial_text = decoder.text if decoder else ""
    if isinstance(error, IdleTimeoutError):
        return _timeout(request, f"the reply {error}", partial_text, "raise stream_chunk_timeout")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        if request.endpoint.proxy:
            return _timeout(request, "no connection was made through the proxy", hint=f"check {_PROXY_SETTINGS}")
        return _timeout(request, "no connection was made", hint="check that the server runs and can be reached")
    if isinstance(error, aiohttp.SocketTimeoutError):
        return _timeout(request, "the server stayed silent", partial_text, "raise stream_chunk_timeout")
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return _timeout(request, "the call took longer than its timeout", partial_text)
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


def _proxy_error(request: _Request, reason: str, status: int | None = None) -> DarkAIError:
    error = DarkAIConnectionError(
        f"The proxy on the way to {request.endpoint.host} cannot be used ({reason}). Check {_PROXY_SETTINGS}.",
        status=status,
    )
    if status is not None:
        error.is_retryable = error_class_for_status(status).is_retryable
    return error


def _timeout(
    request: _Request, what: str, partial_text: str = "", hint: str = "raise timeout, or ask for less"
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
    request: _Request, response: aiohttp.ClientResponse, loop: asyncio.AbstractEventLoop
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
