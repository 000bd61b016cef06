"""The transport over HTTP: sends a call as one POST of aiohttp, and decodes the response as it comes.

The client imports this module with its first call, since aiohttp takes a while to import.
"""

import asyncio
import ssl
from typing import NamedTuple

import aiohttp
from typing_extensions import Self

from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai._http.environment import environment_proxy, tls_setting
from langchain_darkai._http.error_mapping import error_from_response, is_compressed, map_error, timeout_error
from langchain_darkai._http.idle_timer import IdleTimer
from langchain_darkai._http.open_files import is_out_of_files, may_wait
from langchain_darkai._http.private_api import take_buffered
from langchain_darkai._http.sessions import SharedSession, close_shared_session, shared_session
from langchain_darkai._log import log
from langchain_darkai.errors import DarkAIEmptyResponseError, DarkAIError, DarkAIStreamDecodeError
from langchain_darkai.protocol import MAX_REPLY_BYTES, Decoded, EventDecoder, StreamEnd, StreamFailure, encode_request
from langchain_darkai.transport import ApiCall, ReplyEvents

CONNECT_TIMEOUT = 30.0
"""Seconds for DNS lookup, connection and TLS handshake together."""

ERROR_BODY_TIMEOUT = 3.0
"""Seconds that the body of an HTTP error may take; what has come by then is quoted."""

BODY_END_TIMEOUT = 1.0
"""Seconds that a body may take to end after `stream-end`, for its connection to be used again."""


class _Limits(NamedTuple):
    idle: float | None
    connect: float
    error_body: float
    body_end: float
    reply_bytes: int | None


class AiohttpTransport:
    """Sends calls to one endpoint over aiohttp.

    - `idle_timeout`: how long a reply may bring no content, in seconds; None for no limit.
    - `max_reply_bytes`: the most text of one reply; None for no limit.
    - `session`: used where it is given, and never closed. Otherwise all transports on an event loop share one.
    - `connect_timeout`, `error_body_timeout`, `body_end_timeout`: as the constants that are their defaults.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        idle_timeout: float | None,
        max_reply_bytes: int | None = MAX_REPLY_BYTES,
        session: aiohttp.ClientSession | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        error_body_timeout: float = ERROR_BODY_TIMEOUT,
        body_end_timeout: float = BODY_END_TIMEOUT,
    ) -> None:
        self._endpoint = endpoint
        self._session = session
        self._limits = _Limits(idle_timeout, connect_timeout, error_body_timeout, body_end_timeout, max_reply_bytes)

    async def stream(self, call: ApiCall, deadline: float | None) -> ReplyEvents:
        """Yield the text of the reply as it comes, one piece a network read, then its `StreamEnd`.

        Raises a DarkAIError for everything that goes wrong; text that came before has been yielded.
        """
        endpoint = self._endpoint.through(self._endpoint.proxy or environment_proxy(self._endpoint.url))
        shared = SharedSession(self._session) if self._session else await shared_session()
        try:
            with (
                shared,
                _ReplyReader(
                    await self._send(shared, endpoint, call, deadline), shared, endpoint, call, self._limits
                ) as reply,
            ):
                await reply.check_status()
                end = None
                while end is None:
                    texts, end = await reply.read()
                    for text in texts:
                        yield text
                yield reply.checked_end(end)
        except DarkAIError as error:
            error.__context__ = None  # aiohttp's error, which still has the details that the cause has not
            raise

    async def aclose(self) -> None:
        """Close the running loop's connections as soon as no call uses them; a later call opens new ones."""
        await close_shared_session()

    async def _send(
        self, shared: SharedSession, endpoint: Endpoint, call: ApiCall, deadline: float | None
    ) -> aiohttp.ClientResponse:
        """Return the response when its headers have come.

        A request that fails on a kept connection, which the server may have closed meanwhile, is sent a second time.
        One for whose connection the system has no file waits until there is one, or until the deadline.
        """
        body = encode_request(call.query, call.model, call.parameters)
        tls = await tls_setting(endpoint.verify) if _needs_tls(endpoint) else True
        has_failed = False
        while True:
            shared.expect_connection(endpoint.host)
            try:
                return await self._post(shared, endpoint, body, tls, deadline)
            except Exception as error:  # noqa: BLE001 - raised again, as a DarkAIError
                lacks_file = is_out_of_files(error) and may_wait(deadline)
                broke = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
                if not lacks_file and (has_failed or not (broke and shared.reused_connection())):
                    raise map_error(  # noqa: B904 - it has its cause
                        error, endpoint, is_users_session=self._session is not None
                    )
            if lacks_file:
                log(call, "too many files are open; the request waits for a place")
                await shared.wait_for_place(deadline)
            else:
                has_failed = True
                log(call, "the server had closed the kept connection; the request is sent on a new one")

    async def _post(
        self,
        shared: SharedSession,
        endpoint: Endpoint,
        body: bytes,
        tls: bool | ssl.SSLContext,
        deadline: float | None,
    ) -> aiohttp.ClientResponse:
        return await shared.session.post(
            endpoint.url,
            data=body,
            headers=endpoint.headers,
            timeout=self._client_timeout(endpoint, deadline),
            allow_redirects=False,  # a redirect would take the prompt to a host that the user did not name
            auto_decompress=False,  # a small body can inflate to one that fills the memory
            raise_for_status=False,  # the user's own session may be set to do so
            proxy=endpoint.proxy,
            ssl=tls,
        )

    def _client_timeout(self, endpoint: Endpoint, deadline: float | None) -> aiohttp.ClientTimeout:
        remaining = None if deadline is None else deadline - asyncio.get_running_loop().time()
        if remaining is not None and remaining <= 0:
            raise timeout_error(endpoint, "the call's timeout had run out before the request was sent")
        return aiohttp.ClientTimeout(total=remaining, connect=self._limits.connect, sock_read=self._limits.idle)


def _needs_tls(endpoint: Endpoint) -> bool:
    return any(url.lower().startswith("https:") for url in (endpoint.url, endpoint.proxy or ""))


class _ReplyReader:
    """Reads and decodes one response; a `with` statement around that gives its connection back, or closes it.

    Error reporters such as Sentry show local variables. A response shows its URL and headers there, so it is no local
    variable of the functions that raise errors, but a part of this object, which shows nothing.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        shared: SharedSession,
        endpoint: Endpoint,
        call: ApiCall,
        limits: _Limits,
    ) -> None:
        self._response = response
        self._shared = shared
        self._endpoint = endpoint
        self._limits = limits
        self._call = call
        self._decoder = EventDecoder(
            endpoint.host, endpoint.redact, per_event=call.per_event, max_reply_bytes=limits.reply_bytes
        )
        self._timer = IdleTimer(response.content, limits.idle)
        if response.connection is not None and response.connection.protocol is not None:
            # The headers have come, and the idle timer counts from here on. aiohttp would start its own at each read.
            response.connection.protocol.read_timeout = None
        self._has_text = False
        self._is_complete = False

    def __enter__(self) -> Self:
        self._shared.hold(self._response)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        body_end_timeout = self._limits.body_end if self._is_complete else 0.0
        self._shared.release(self._response, self._endpoint.host, body_end_timeout)

    async def check_status(self) -> None:
        """Raise an error for a response that is no reply, by its status and content type."""
        log(self._call, "status %d", self._response.status)
        if self._response.status != 200:
            raise await error_from_response(self._endpoint, self._response, self._limits.error_body)
        if self._response.content_type == "text/html":
            raise DarkAIStreamDecodeError(
                f"{self._endpoint.host} answered with an HTML page, a login or error page perhaps, and no event "
                "stream. Check base_url, proxy and key.",
                status=200,
            )
        if is_compressed(self._response):
            raise DarkAIStreamDecodeError(
                f"{self._endpoint.host} sent a compressed reply, which is not read. Turn compression off there or at a "
                "proxy on the way, and leave accept-encoding out of default_headers.",
                status=200,
            )

    async def read(self) -> Decoded:
        """Return what the next read of the network brings."""
        self._timer.resume()
        try:
            data = await self._response.content.readany()
        except Exception as error:  # noqa: BLE001 - raised again, as a DarkAIError
            data = take_buffered(self._response.content)  # text that has arrived comes first; the next read fails again
            if not data:
                raise map_error(error, self._endpoint, self._decoder.text)  # noqa: B904 - it has its cause
        decoded = self._decoder.feed(data) if data else self._decoder.finish()
        if decoded.texts:
            self._has_text = self._has_text or any(isinstance(text, str) for text in decoded.texts)
            self._timer.pause()
        return decoded

    def checked_end(self, end: StreamEnd | StreamFailure) -> StreamEnd:
        """Return the end of a complete reply; raise the error of one that failed, or that has no text."""
        if isinstance(end, StreamFailure):
            raise end.error
        self._is_complete = True
        if not (self._has_text or self._call.may_be_empty(end)):
            raise DarkAIEmptyResponseError(
                f"{self._endpoint.host} sent a complete reply without any text. Ask again, or set allow_empty=True "
                "where nothing is an answer."
            )
        return end
