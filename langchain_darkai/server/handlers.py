"""The handlers of the application, and the life of one chat: read, stream, end, whatever breaks in between."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial

from aiohttp import web
from langchain_core.exceptions import ModelError
from langchain_core.language_models import BaseChatModel

from langchain_darkai._gateway.gateway import answer
from langchain_darkai._settings import Native
from langchain_darkai._text import echoed
from langchain_darkai.client import DarkAI
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIError,
    DarkAINotFoundError,
    DarkAITimeoutError,
)
from langchain_darkai.protocol import StreamEnd, encode_event, encode_reply_event
from langchain_darkai.server.backend_errors import backend_errors, describe_backend
from langchain_darkai.server.bodies import Bodies, answer_and_drop
from langchain_darkai.server.chat_request import (
    AskedChat,
    check_content_type,
    check_encoding,
    read_chat,
)
from langchain_darkai.server.cors import AllowedOrigins
from langchain_darkai.server.error_responses import (
    error_members,
    error_response,
    for_log,
    raised_at,
    to_darkai_error,
)
from langchain_darkai.server.exchange import exchange_of
from langchain_darkai.server.fallback import first_answer
from langchain_darkai.server.hosts import AllowedHosts
from langchain_darkai.server.keys import ApiKey
from langchain_darkai.server.operations import DEFAULT_MODEL, Operations
from langchain_darkai.server.timeouts import Deadline, ServerTimeouts
from langchain_darkai.transport import ReplyEvents

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
        operations: Operations,
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
        self.operations: Operations = operations
        self._timeout = timeout
        self._grace_period = grace_period
        self._bodies = bodies
        self._readers = asyncio.Semaphore(_READERS)
        self._prefill = prefill
        self._native: Native | dict[str, Native] = native
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
        return not self.operations.access.is_open

    @property
    def is_busy(self) -> bool:
        """Whether models are at work."""
        return bool(self._running)

    @property
    def running_replies(self) -> int:
        """How many replies are being made for clients that wait for them."""
        return len(self._awaited)

    def expect_request(self, connection: web.RequestHandler) -> None:
        """Close a new connection if no request comes over it in time."""

        def close() -> None:
            del self._first_requests[connection]
            connection.force_close()

        loop = asyncio.get_running_loop()
        self._first_requests[connection] = loop.call_later(self.timeouts.idle_connection, close)

    def add_to(self, app: web.Application) -> None:
        """Add the routes and the hooks to an application."""
        app.router.add_post("/chat", self.chat)
        app.router.add_get("/models", self.list_models)
        app.router.add_get("/health", self.health)
        app.on_response_prepare.append(self.origins.add_headers)
        app.on_shutdown.append(self.drain)
        app.on_cleanup.append(self.forget_models)

    async def health(self, _request: web.Request) -> web.StreamResponse:
        """Answer that the server is there."""
        return web.json_response({"status": "ok"})

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        """Answer with the names of the models, the default first.

        A single model answers to every name, and is listed under those of the hosted service.
        """
        key = self._identify(request)
        service = list(dict.fromkeys([DarkAI.default_model, *DarkAI.models, *DarkAI.model_aliases]))
        names = list(self._models) if isinstance(self._models, dict) else service
        return web.json_response({"models": [name for name in names if self.operations.may_use(key, name)]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a prompt with the model's reply, as an event stream."""
        key = self._identify(request)
        check_content_type(request)
        async with self.operations.key_limits.admit(key):
            return await self._chat(request)

    def _identify(self, request: web.Request) -> ApiKey | None:
        key = exchange_of(request).key = self.operations.access.identify(request)
        return key

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                "content-type": "text/event-stream",
                "cache-control": "no-cache",
                "x-accel-buffering": "no",  # nginx would hold the pieces back
            }
        )
        deadline = Deadline(self._timeout)
        reply = asyncio.ensure_future(self._reply(request, response, deadline))
        reply.add_done_callback(self._forget)
        self._running.add(reply)
        self._awaited.add(reply)
        try:
            # `wait_for` would also wait for a model that goes on although it was cancelled.
            await asyncio.wait([reply, deadline.passed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Also when the client leaves: then aiohttp cancels this handler (`handler_cancellation` in app.py).
            deadline.cancel()
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

    async def _reply(self, request: web.Request, response: web.StreamResponse, deadline: Deadline) -> None:
        async with self._bodies.read(request, self.timeouts.request_body) as held:
            size = len(held.body)
            asked = await self._read_chat(held.body)
            held.hold(asked.size)
            model = self._model_for(asked.model, request)
            name = exchange_of(request).model
            async with self.operations.turn(name, size, deadline):
                with backend_errors(name if isinstance(self._models, dict) else None, model):
                    reply = first_answer(model, partial(self._answer_of, asked, name, size))
                    await self._stream(reply, request, response)

    def _answer_of(self, asked: AskedChat, name: str | None, size: int, model: BaseChatModel) -> ReplyEvents:
        """Return the reply of a model; one that is asked in its turn as one of several keeps to its own settings."""
        served = self._models if isinstance(self._models, dict) else {}
        own = name if served.get(name or "") is model else next((own for own in served if served[own] is model), None)
        natives = self._native if isinstance(self._native, dict) else {}
        default: Native = "auto" if isinstance(self._native, dict) else self._native
        native = natives.get(name or "") or natives.get(own or "", default)
        reply = answer(model, asked.asked, asked.parameters, native=native, prefill=self._prefill)
        return reply if own is None or own == name else self.operations.in_turn(own, size, reply)

    async def _read_chat(self, body: bytearray) -> AskedChat:
        data = bytes(body)
        body.clear()
        if len(data) <= _READ_AT_ONCE:
            return read_chat(data)
        async with self._readers:
            return await asyncio.to_thread(read_chat, data)

    async def _stream(self, reply: ReplyEvents, request: web.Request, response: web.StreamResponse) -> None:
        async with aclosing(reply) as events:
            async for event in events:
                if is_end := isinstance(event, StreamEnd):
                    exchange_of(request).usage = event.usage or {}
                elif isinstance(event, str):
                    exchange_of(request).note_text()
                await self._send(request, response, encode_reply_event(event), is_end=is_end)

    async def _send(
        self, request: web.Request, response: web.StreamResponse, events: bytes, *, is_end: bool = False
    ) -> None:
        if asyncio.current_task() not in self._awaited:
            # The model went on although it was cancelled. Its client has had another answer, so cancel it again.
            raise asyncio.CancelledError
        if not response.prepared:
            await response.prepare(request)
        await (response.write_eof if is_end else response.write)(events)

    def _model_for(self, name: str | None, request: web.Request) -> BaseChatModel:
        exchange = exchange_of(request)
        if not isinstance(self._models, dict):
            exchange.model = DEFAULT_MODEL
            self.operations.check_model(exchange.key, name or DarkAI.default_model)
            return self._models
        if name is None:
            name = next(iter(self._models))
        elif name not in self._models:
            names = ", ".join(known for known in self._models if self.operations.may_use(exchange.key, known))
            raise DarkAINotFoundError(f"There is no model {echoed(name)} here. There are: {names}.")
        exchange.model = name
        self.operations.check_model(exchange.key, name)
        return self._models[name]

    def _describe(self, name: str | None) -> str:
        if isinstance(self._models, dict):
            return describe_backend(name, self._models.get(name or ""))
        return describe_backend(None, self._models)

    async def _fail(
        self, request: web.Request, response: web.StreamResponse, error: BaseException
    ) -> web.StreamResponse:
        """Answer with an error: as an HTTP status where nothing was sent yet, else as the last event."""
        exchange = exchange_of(request)
        if isinstance(error, TimeoutError | asyncio.TimeoutError) and not isinstance(error, ModelError):
            error = DarkAITimeoutError(f"{self._describe(exchange.model)} took too long. Ask again.")
        if isinstance(error, ModelError):
            _logger.info("A chat failed, and the client is told: %s: %s", type(error).__name__, for_log(str(error)))
        else:
            _logger.error("A chat failed, for a reason that the client is not told: %s", raised_at(error))
            _logger.info("Its traceback, with what the error says.", exc_info=error)
        if not response.prepared:
            return error_response(error, exchange)
        response.force_close()
        if request.transport is not None:
            asyncio.get_running_loop().call_later(self.timeouts.error_write, request.transport.abort)
        with suppress(ConnectionError):  # the client has left
            await response.write_eof(encode_event("error", error_members(error, exchange)))
        return response

    async def drain(self, _app: web.Application) -> None:
        """Let running replies finish within the grace period, then end them."""
        if self._awaited:
            await asyncio.wait(self._awaited, timeout=self._grace_period)
        self.end_replies()
        if self._running:
            await asyncio.wait(self._running, timeout=self.timeouts.cleanup)

    async def forget_models(self, _app: web.Application) -> None:
        """Let go of the models once the application has ended: aiohttp keeps its handlers in a cache."""
        self._models = {}

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
            allow = error.headers.get("allow")
            return error_response(to_darkai_error(error, request), exchange_of(request), allow=allow)
        except DarkAIError as error:
            return error_response(error, exchange_of(request))
