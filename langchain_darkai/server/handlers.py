"""The handlers of the application, and the life of one chat: read, stream, end, whatever breaks in between."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

from aiohttp import web
from langchain_core.exceptions import ModelError
from langchain_core.language_models import BaseChatModel

from langchain_darkai._gateway.gateway import answer
from langchain_darkai._settings import Native
from langchain_darkai.client import DarkAI
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIError,
    DarkAINotFoundError,
    DarkAITimeoutError,
)
from langchain_darkai.protocol import StreamEnd, encode_event, encode_reply_event
from langchain_darkai.server.bodies import Bodies, answer_and_drop
from langchain_darkai.server.chat_request import (
    AskedChat,
    check_content_type,
    check_encoding,
    read_chat,
)
from langchain_darkai.server.cors import AllowedOrigins
from langchain_darkai.server.error_responses import echoed, error_members, error_response, for_log, to_darkai_error
from langchain_darkai.server.hosts import AllowedHosts
from langchain_darkai.server.timeouts import ServerTimeouts

__all__ = ["ChatServer"]

_READ_AT_ONCE = 64 * 1024
"""Bytes of a request that are understood on the event loop, in a few milliseconds; a longer one would hold it up."""
_READERS = 2
"""Longer requests that are understood at once, in threads: the loop waits for its turn among them."""

_logger = logging.getLogger("langchain_darkai.server")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ChatServer:
    """The handlers of an application, with what they share; the arguments are those of `create_app`, checked."""

    def __init__(
        self,
        models: BaseChatModel | dict[str, BaseChatModel],
        *,
        key: bytes | None,
        timeout: float | None,
        grace_period: float,
        bodies: Bodies,
        hosts: AllowedHosts,
        origins: AllowedOrigins,
        prefill: bool | None,
        native: Native | dict[str, Native],
        timeouts: ServerTimeouts,
    ) -> None:
        self._models = models
        self._key = key
        self._timeout = timeout
        self._grace_period = grace_period
        self._bodies = bodies
        self._readers = asyncio.Semaphore(_READERS)
        self._prefill = prefill
        self._native = native
        self.origins = origins
        self.hosts = hosts
        self.timeouts = timeouts
        self._running: set[asyncio.Task[None]] = set()
        # Those of them whose clients still wait. A model that goes on although it was cancelled is running only.
        self._awaited: set[asyncio.Task[None]] = set()
        self._is_shutting_down = False
        self._first_requests: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    @property
    def has_key(self) -> bool:
        """Whether clients need a key."""
        return self._key is not None

    @property
    def is_busy(self) -> bool:
        """Whether models are at work."""
        return bool(self._running)

    def expect_request(self, connection: web.RequestHandler) -> None:
        """Close a new connection if no request comes over it in time."""

        def close() -> None:
            del self._first_requests[connection]
            connection.force_close()

        loop = asyncio.get_running_loop()
        self._first_requests[connection] = loop.call_later(self.timeouts.idle_connection, close)

    async def health(self, _request: web.Request) -> web.StreamResponse:
        """Answer that the server is there."""
        return web.json_response({"status": "ok"})

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        """Answer with the names of the models, the default first.

        A single model answers to every name, and is listed under those of the hosted service.
        """
        self._check_key(request)
        service = list(dict.fromkeys([DarkAI.default_model, *DarkAI.models, *DarkAI.model_aliases]))
        return web.json_response({"models": list(self._models) if isinstance(self._models, dict) else service})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a prompt with the model's reply, as an event stream."""
        self._check_key(request)
        check_content_type(request)
        response = web.StreamResponse(
            headers={
                "content-type": "text/event-stream",
                "cache-control": "no-cache",
                "x-accel-buffering": "no",  # nginx would hold the pieces back
            }
        )
        reply = asyncio.ensure_future(self._reply(request, response))
        reply.add_done_callback(self._forget)
        self._running.add(reply)
        self._awaited.add(reply)
        try:
            # `wait_for` would also wait for a model that goes on although it was cancelled.
            await asyncio.wait([reply], timeout=self._timeout)
        finally:
            # Also when the client leaves: then aiohttp cancels this handler (`handler_cancellation` in app.py).
            self._awaited.discard(reply)
            reply.cancel()
        error = self._error_of(reply)
        has_left = request.transport is None or request.transport.is_closing()
        if error is None or (isinstance(error, ConnectionError) and has_left):
            return response
        return await self._fail(request, response, error)

    def _forget(self, reply: asyncio.Task[None]) -> None:
        self._running.discard(reply)
        if not reply.cancelled():
            reply.exception()  # for a reply that was given up: asyncio complains of errors that nobody looks at

    def _error_of(self, reply: asyncio.Task[None]) -> BaseException | None:
        """Return what broke a reply, or None where it is whole."""
        if not reply.done():
            return asyncio.TimeoutError()
        if not reply.cancelled():
            return reply.exception()
        what = (
            "The server is shutting down"
            if self._is_shutting_down
            else "The model behind the server broke off its reply"
        )
        return DarkAIAPIError(f"{what}. Ask again later.", status=503)

    async def _reply(self, request: web.Request, response: web.StreamResponse) -> None:
        async with self._bodies.read(request, self.timeouts.request_body) as held:
            asked = await self._read_chat(held.body)
            held.hold(asked.size)
            model, native = self._model_for(asked.model), self._native_of(asked.model)
            reply = answer(model, asked.asked, asked.parameters, native=native, prefill=self._prefill)
            async with aclosing(reply) as events:
                async for event in events:
                    await self._send(request, response, encode_reply_event(event), is_end=isinstance(event, StreamEnd))

    async def _read_chat(self, body: bytearray) -> AskedChat:
        data = bytes(body)
        body.clear()
        if len(data) <= _READ_AT_ONCE:
            return read_chat(data)
        async with self._readers:
            return await asyncio.to_thread(read_chat, data)

    async def _send(
        self, request: web.Request, response: web.StreamResponse, events: bytes, *, is_end: bool = False
    ) -> None:
        if asyncio.current_task() not in self._awaited:
            # The model went on although it was cancelled. Its client has had another answer, so cancel it again.
            raise asyncio.CancelledError
        if not response.prepared:
            await response.prepare(request)
        await (response.write_eof if is_end else response.write)(events)

    def _model_for(self, name: str | None) -> BaseChatModel:
        if not isinstance(self._models, dict):
            return self._models
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            names = ", ".join(self._models)
            raise DarkAINotFoundError(f"There is no model {echoed(name)} here. There are: {names}.")
        return self._models[name]

    def _native_of(self, name: str | None) -> Native:
        if not isinstance(self._native, dict):
            return self._native
        names = list(self._models) if isinstance(self._models, dict) else []
        return self._native.get(name or next(iter(names), ""), "auto")

    def _check_key(self, request: web.Request) -> None:
        if self._key is None:
            return
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        given = key.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._key):
            what = "The API key was rejected" if scheme else "An API key is needed"
            raise DarkAIAuthenticationError(f"{what}: send the header Authorization: Bearer KEY.")

    async def _fail(
        self, request: web.Request, response: web.StreamResponse, error: BaseException
    ) -> web.StreamResponse:
        """Answer with an error: as an HTTP status where nothing was sent yet, else as the last event."""
        if isinstance(error, TimeoutError | asyncio.TimeoutError) and not isinstance(error, ModelError):
            error = DarkAITimeoutError("The model behind the server took too long.")
        if isinstance(error, ModelError):
            _logger.info("A chat failed, and the client is told: %s: %s", type(error).__name__, for_log(str(error)))
        else:
            _logger.error("A chat failed, for a reason that the client is not told.", exc_info=error)
        if not response.prepared:
            return error_response(error)
        response.force_close()
        if request.transport is not None:
            asyncio.get_running_loop().call_later(self.timeouts.error_write, request.transport.abort)
        with suppress(ConnectionError):  # the client has left
            await response.write_eof(encode_event("error", error_members(error)))
        return response

    async def drain(self, _app: web.Application) -> None:
        """Let running replies finish within the grace period, then end them."""
        if self._awaited:
            await asyncio.wait(self._awaited, timeout=self._grace_period)
        self.end_replies()
        if self._running:
            await asyncio.wait(self._running, timeout=self.timeouts.cleanup)

    def end_replies(self) -> None:
        """End all running replies now, each with an error."""
        self._is_shutting_down = True
        for reply in self._awaited:
            reply.cancel()

    @web.middleware
    async def answer_errors(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer errors as JSON with a sentence, preflight requests, and what is refused before its body is read."""
        if timer := self._first_requests.pop(request.protocol, None):
            timer.cancel()
        response = await self._answer(request, handler)
        await answer_and_drop(request, response)
        return response

    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            self.hosts.check(request)
            self.origins.check(request)
            check_encoding(request)
            if self.origins.is_preflight(request):
                return web.Response(status=204)
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return error_response(to_darkai_error(error, request), allow=error.headers.get("allow"))
        except DarkAIError as error:
            return error_response(error)
