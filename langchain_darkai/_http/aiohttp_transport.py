"""One POST over aiohttp: sessions, one an event loop; the reply as events; foreign errors as ours.

This is the only module of the package's client side that knows aiohttp. It is imported with the first call, so that
`import langchain_darkai` stays light.
"""

import asyncio
from typing import Any

import aiohttp
from yarl import URL

from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai._http.environment import environment_proxy, tls_setting
from langchain_darkai._http.error_mapping import Request, error_from_response, map_error, timeout_error
from langchain_darkai._http.idle_timer import IdleTimer
from langchain_darkai._http.private_api import take_buffered
from langchain_darkai._http.sessions import SharedSession, close_session, shared_session
from langchain_darkai.errors import (
    DarkAIEmptyResponseError,
    DarkAIError,
    DarkAIStreamDecodeError,
)
from langchain_darkai.protocol import EventDecoder, StreamEnd, StreamFailure, encode_request
from langchain_darkai.transport import ApiCall, ReplyEvents

CONNECT_TIMEOUT = 30.0
"""Seconds for name look-up, connection and TLS hand-shake together."""

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
        endpoint = self._endpoint.through(self._endpoint.proxy or environment_proxy(self._endpoint.url))
        request = Request(
            endpoint,
            encode_request(call.query, call.model, call.parameters),
            deadline,
            self._idle_timeout,
            self._session is not None,
        )
        decoder = EventDecoder(endpoint.host, endpoint.redact, per_event=call.per_event)
        shared = SharedSession(self._session) if self._session else await shared_session(loop)
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


async def _open(
    request: Request, session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop
) -> aiohttp.ClientResponse:
    """Return the response, its headers read; a kept connection that turns out dead makes way for a new one."""
    has_retried = False
    while True:
        remaining = None if request.deadline is None else request.deadline - loop.time()
        if remaining is not None and remaining <= 0:
            raise timeout_error(request, "the call's timeout had run out before the request was sent")
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


def _way(request: Request) -> dict[str, Any]:
    proxy = request.endpoint.proxy
    is_tls = request.endpoint.url.startswith("https:") or (proxy is not None and proxy.lower().startswith("https:"))
    return {"proxy": proxy, "ssl": tls_setting(request.endpoint.verify) if is_tls else True}
