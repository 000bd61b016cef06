"""The DarkAI chat API as an aiohttp application over LangChain chat models.

    POST /chat      the protocol of `langchain_darkai.protocol`: {"query", "model", ...} in, an event stream out
    GET /models     {"models": ["name", ...]}, the default first
    GET /health     {"status": "ok"}

A failure before the first text is an HTTP status with {"error": {"type", "message", "status"}}, a later one an error
event with the same members. Details of what broke inside go to the log `langchain_darkai.server`, not to the client.
"""

import asyncio
import hmac
import json
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing, suppress
from typing import Any, Literal, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from langchain_core.exceptions import ModelError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import add_ai_message_chunks
from pydantic import SecretStr

from langchain_darkai.client import DarkAI
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAINotFoundError,
    DarkAIPermissionDeniedError,
    DarkAITimeoutError,
)
from langchain_darkai.offline.model import OfflineChatModel
from langchain_darkai.prompts import format_call, parse_prompt
from langchain_darkai.protocol import decode_request, encode_error, encode_event, error_class_for_status

MAX_QUERY_BYTES = 16 * 1024 * 1024
"""The longest request that is read, in bytes: room for the longest context windows of today, a few million tokens,
while no client can fill the memory."""

REQUEST_BODY_TIMEOUT = 60.0
"""How long a client may take to send its request, which is on its way already; one that stops midway must not stay."""

ERROR_WRITE_TIMEOUT = 10.0
"""How long a client may take to read the end of a reply that failed, before its connection is cut."""

CLEANUP_TIMEOUT = 1.0
"""How long a model may take to clean up when its reply is ended by a shutdown."""

# Parameters of a request that set a model's field of the same name. A list, and not every field that a model has: where
# it lives, and with which key, is no client's business.
_WHOLE_NUMBERS = frozenset({"max_tokens", "top_k", "seed"})
_NUMBERS = _WHOLE_NUMBERS | {"temperature", "top_p", "presence_penalty", "frequency_penalty"}

_logger = logging.getLogger("langchain_darkai.server")


def _without_traceback(record: logging.LogRecord) -> bool:
    """Let aiohttp tell of requests that are not HTTP in one line: anybody can send many."""
    error = record.exc_info and record.exc_info[1]
    if isinstance(error, HttpProcessingError):
        _logger.info("%s: %s", record.getMessage(), _in_one_line(error)[:200])
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError)


_http_logger = logging.getLogger("langchain_darkai.server.http")
_http_logger.addFilter(_without_traceback)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(
    model: BaseChatModel | Mapping[str, BaseChatModel] | None = None,
    *,
    api_key: str | SecretStr | None = None,
    max_query_bytes: int = MAX_QUERY_BYTES,
    timeout: float | None = 600.0,
    grace_period: float = 10.0,
    cors_origins: Collection[str] = (),
) -> web.Application:
    """Return an aiohttp application that answers the DarkAI chat API with a LangChain chat model.

    - `model`: the model behind every name that a client asks for; or a mapping of names to models, of which the first
      is the default and other names are 404; or None for `OfflineChatModel`.
    - `api_key`: what clients of `/chat` and `/models` must send as `Authorization: Bearer KEY`; None lets everyone in.
    - `max_query_bytes`: the longest request body; a longer one is 413.
    - `timeout`: seconds for a whole reply, after which it is a timeout error (504, or an error event), so that no
      client of a model that hangs waits for ever; None for no limit.
    - `grace_period`: seconds that running replies get to finish when the server shuts down.
    - `cors_origins`: origins of web pages that may use the server, such as "https://app.example", or "*" for all. Pages
      of other origins are refused (403), so that no page in a browser can use a server on the same machine; programs
      are not affected.

    The prompt is parsed back into messages. `stop` is passed on to the model; temperature, max_tokens, top_p, top_k,
    seed, presence_penalty and frequency_penalty set the model's field of that name where it has one; other parameters
    are ignored. Tool calls that a model makes natively are written out in the prompt grammar, after the text.

    Raises TypeError and ValueError for settings that cannot work.

    Example:
        >>> app = create_app(api_key="secret")
        >>> sorted(resource.canonical for resource in app.router.resources())
        ['/chat', '/health', '/models']
    """
    server = ChatServer(
        model,
        api_key=api_key,
        timeout=timeout,
        grace_period=grace_period,
        cors_origins=cors_origins,
    )
    if max_query_bytes <= 0:
        raise ValueError(f"max_query_bytes is {max_query_bytes!r}; it must be positive.")
    app = web.Application(
        client_max_size=max_query_bytes,
        middlewares=[server.answer_errors],
        # Whatever runs the application, a client that leaves ends the model's work, also while nothing is being sent.
        handler_args={"handler_cancellation": True, "logger": _http_logger},
    )
    app.router.add_post("/chat", server.chat)
    app.router.add_get("/models", server.list_models)
    app.router.add_get("/health", server.health)
    app.on_response_prepare.append(server.add_cors_headers)
    app.on_shutdown.append(server.drain)
    app[SERVER] = server
    return app


class ChatServer:
    """The handlers of an application, with what they share; the arguments are those of `create_app`."""

    def __init__(
        self,
        model: BaseChatModel | Mapping[str, BaseChatModel] | None,
        *,
        api_key: str | SecretStr | None,
        timeout: float | None,
        grace_period: float,
        cors_origins: Collection[str],
    ) -> None:
        self._models = _checked_models(model)
        self._key = _checked_key(api_key)
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout is {timeout!r}; it must be positive, or None for no limit.")
        if not grace_period >= 0:
            raise ValueError(f"grace_period is {grace_period!r}; it must not be negative.")
        if isinstance(cors_origins, str):
            raise TypeError(f"cors_origins is a string; give a list of origins: [{cors_origins!r}].")
        self._timeout = timeout
        self._grace_period = grace_period
        self._cors_origins = frozenset(origin.rstrip("/") for origin in cors_origins)
        self._running: set[asyncio.Task[None]] = set()
        self._awaited: set[asyncio.Task[None]] = set()  # those of them that were not given up
        self._ending = False
        self._new: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    @property
    def has_key(self) -> bool:
        """Whether clients need a key."""
        return self._key is not None

    @property
    def is_busy(self) -> bool:
        """Whether models are at work."""
        return bool(self._running)

    def expect_request(self, connection: web.RequestHandler, seconds: float) -> None:
        """Close a new connection if no request has come over it by then."""

        def close() -> None:
            del self._new[connection]
            connection.force_close()

        self._new[connection] = asyncio.get_running_loop().call_later(seconds, close)

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
            # Not `wait_for`: it would wait for a model that goes on although it was cancelled.
            await asyncio.wait([reply], timeout=self._timeout)
        finally:
            self._awaited.discard(reply)
            reply.cancel()
        error: BaseException | None
        if not reply.done():
            error = asyncio.TimeoutError()
        elif reply.cancelled():  # by `end_replies`, or by the model itself
            what = "The server is shutting down" if self._ending else "The model behind the server broke off its reply"
            error = DarkAIAPIError(f"{what}. Ask again later.", status=503)
        else:
            error = reply.exception()
        if error is None or (isinstance(error, ConnectionError) and _has_left(request)):
            return response
        return await self._fail(request, response, error)

    def _forget(self, reply: asyncio.Task[None]) -> None:
        self._running.discard(reply)
        if not reply.cancelled():
            reply.exception()  # asyncio would complain of one that nobody has seen, as when the reply was given up

    async def _reply(self, request: web.Request, response: web.StreamResponse) -> None:
        query, name, parameters = decode_request(await _read_body(request))
        model, stop = _configured(self._model_for(name), parameters)
        messages = _conversation(query)
        rest: list[AIMessageChunk] = []
        has_text, end = False, b""
        stream = cast("AsyncGenerator[AIMessage, None]", model.astream(messages, stop=stop))
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                if text := chunk.text:
                    has_text = True
                    await self._send(request, response, encode_event("text-chunk", {"text": text}))
                if chunk.tool_calls or chunk.invalid_tool_calls or chunk.usage_metadata:
                    rest.append(_without_text(chunk))
        calls, usage = _calls_and_usage(rest)
        if calls:
            end = encode_event("text-chunk", {"text": f"\n{calls}" if has_text else calls})
        end += encode_event("stream-end", {"usage": usage} if usage else {})
        await self._send(request, response, end, is_end=True)

    async def _send(
        self, request: web.Request, response: web.StreamResponse, events: bytes, *, is_end: bool = False
    ) -> None:
        if asyncio.current_task() not in self._awaited:
            raise asyncio.CancelledError  # again: the model went on, but its client has had another answer
        if not response.prepared:
            await response.prepare(request)
        await (response.write_eof if is_end else response.write)(events)

    def _model_for(self, name: str | None) -> BaseChatModel:
        if not isinstance(self._models, dict):
            return self._models
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            raise DarkAINotFoundError(f"There is no model {name!r} here. There are: {', '.join(self._models)}.")
        return self._models[name]

    def _check_key(self, request: web.Request) -> None:
        if self._key is None:
            return
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        given = key.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._key):
            what = "Another API key is needed" if scheme else "An API key is needed"
            raise DarkAIAuthenticationError(f"{what}: send the header Authorization: Bearer KEY.")

    async def _fail(
        self, request: web.Request, response: web.StreamResponse, error: BaseException
    ) -> web.StreamResponse:
        if isinstance(error, TimeoutError | asyncio.TimeoutError) and not isinstance(error, ModelError):
            error = DarkAITimeoutError("The model behind the server took too long.")
        if isinstance(error, ModelError):
            _logger.info("A chat failed, and the client is told: %s: %s", type(error).__name__, error)
        else:
            _logger.error("A chat failed, for a reason that the client is not told.", exc_info=error)
        if not response.prepared:
            return _error_response(error)
        response.force_close()
        if request.transport is not None:
            asyncio.get_running_loop().call_later(ERROR_WRITE_TIMEOUT, request.transport.abort)
        with suppress(ConnectionError):  # it has left, so there is nobody to tell
            await response.write_eof(encode_event("error", encode_error(error)))
        return response

    async def drain(self, _app: web.Application) -> None:
        """Let running replies finish within the grace period, then end them."""
        if self._awaited:
            await asyncio.wait(self._awaited, timeout=self._grace_period)
        self.end_replies()
        if self._running:
            await asyncio.wait(self._running, timeout=CLEANUP_TIMEOUT)

    def end_replies(self) -> None:
        """End all running replies now, each with an error."""
        self._ending = True
        for reply in self._awaited:
            reply.cancel()

    @web.middleware
    async def answer_errors(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer errors as JSON with a sentence, preflight requests, and pages of origins that are not allowed."""
        if timer := self._new.pop(request.protocol, None):
            timer.cancel()
        origin = request.headers.get("origin")
        try:
            if origin is not None and not self._allows(origin):
                raise DarkAIPermissionDeniedError(
                    f"Web pages of {origin!r} may not use this server: its cors_origins say which may."
                )
            if origin is not None and request.method == "OPTIONS":
                return web.Response(status=204)
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _error_response(_to_darkai_error(error, request), allow=error.headers.get("allow"))
        except DarkAIError as error:
            return _error_response(error)

    async def add_cors_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell a browser that a page of an allowed origin may read the answer."""
        if not self._cors_origins:
            return
        response.headers["vary"] = "origin"
        origin = request.headers.get("origin")
        if origin is None or not self._allows(origin):
            return
        response.headers["access-control-allow-origin"] = origin
        response.headers["access-control-expose-headers"] = "retry-after"
        if request.method == "OPTIONS":
            wanted = request.headers.get("access-control-request-headers", "")
            response.headers["access-control-allow-methods"] = "GET, POST"
            response.headers["access-control-allow-headers"] = wanted or "authorization, content-type"

    def _allows(self, origin: str) -> bool:
        return "*" in self._cors_origins or origin in self._cors_origins


SERVER: web.AppKey[ChatServer] = web.AppKey("server", ChatServer)
"""Where an application keeps its `ChatServer`."""


def _checked_models(
    model: BaseChatModel | Mapping[str, BaseChatModel] | None,
) -> BaseChatModel | dict[str, BaseChatModel]:
    if model is None:
        return OfflineChatModel()
    if isinstance(model, BaseChatModel):
        return model
    if not isinstance(model, Mapping):
        raise TypeError(
            f"model is a {type(model).__name__}; give a LangChain chat model, or a mapping of names to them."
        )
    if not model:
        raise ValueError("model is an empty mapping; give at least one name with its chat model.")
    for name, named in model.items():
        if not isinstance(named, BaseChatModel):
            raise TypeError(f"model[{name!r}] is a {type(named).__name__}; give a LangChain chat model.")
    return dict(model)


def _checked_key(api_key: str | SecretStr | None) -> bytes | None:
    if api_key is None:
        return None
    key = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
    if not key.strip():
        raise ValueError("api_key is empty; give a key, or None for a server without one.")
    return key.strip().encode("utf-8", "surrogateescape")  # a header cannot carry blanks around it


async def _read_body(request: web.Request) -> bytes:
    try:
        return await asyncio.wait_for(request.read(), REQUEST_BODY_TIMEOUT)
    except asyncio.TimeoutError as error:
        raise DarkAITimeoutError(
            f"The request's body did not arrive within {REQUEST_BODY_TIMEOUT:g} seconds.", status=408
        ) from error
    except web.HTTPRequestEntityTooLarge as error:
        raise _to_darkai_error(error, request) from error
    except web.RequestPayloadError as error:
        raise DarkAIInvalidRequestError(f"The request's body cannot be read: {_in_one_line(error)}.") from error


def _configured(model: BaseChatModel, parameters: Mapping[str, Any]) -> tuple[BaseChatModel, list[str] | None]:
    """Return the model with the fields that the parameters set, and the stop strings, which every model takes."""
    stop = parameters.get("stop")
    stop = [stop] if isinstance(stop, str) else stop
    if stop is not None and not (isinstance(stop, list) and all(isinstance(text, str) for text in stop)):
        raise DarkAIInvalidRequestError('"stop" is neither a string nor a list of strings.')
    fields: dict[str, int | float] = {}
    for name in _NUMBERS:
        value = parameters.get(name)
        if value is None:
            continue
        if type(value) is not int and (type(value) is not float or name in _WHOLE_NUMBERS or not math.isfinite(value)):
            kind = "whole number" if name in _WHOLE_NUMBERS else "number"
            raise DarkAIInvalidRequestError(f'"{name}" is {value!r}; it must be a {kind}.')
        if name in type(model).model_fields:
            fields[name] = value
    # A copy, since models differ in the keyword arguments that they take per call, and agree on their fields.
    return (model.model_copy(update=fields) if fields else model), stop or None


def _conversation(query: str) -> list[BaseMessage]:
    messages = parse_prompt(query)
    if (
        messages
        and isinstance(last := messages[-1], AIMessage)
        and not (last.text.strip() or last.tool_calls or last.invalid_tool_calls)
    ):
        messages.pop()
    if not messages:
        raise DarkAIInvalidRequestError('"query" has no message, only the label for the model to continue.')
    return messages


def _without_text(chunk: AIMessage) -> AIMessageChunk:
    """Return what counts at the end of a reply, without its text, so that a long reply is not kept."""
    calls: dict[str, Any] = (
        {"tool_call_chunks": chunk.tool_call_chunks}
        if isinstance(chunk, AIMessageChunk)
        else {"tool_calls": chunk.tool_calls, "invalid_tool_calls": chunk.invalid_tool_calls}
    )
    return AIMessageChunk(content="", usage_metadata=chunk.usage_metadata, **calls)


def _calls_and_usage(chunks: list[AIMessageChunk]) -> tuple[str, dict[str, int]]:
    """Return a reply's tool calls in the prompt grammar, and its token counts."""
    if not chunks:
        return "", {}
    message = add_ai_message_chunks(*chunks)
    calls = []
    for call in message.tool_call_chunks:
        # Not from `tool_calls`, where core completes the arguments of a call that was cut off: it would run.
        try:
            arguments = json.loads(call["args"] or "{}")
        except ValueError:
            arguments = call["args"]
        calls.append(format_call(call["name"], arguments, "The model's reply"))
    counts = message.usage_metadata
    names: tuple[Literal["input_tokens", "output_tokens", "total_tokens"], ...]
    names = ("input_tokens", "output_tokens", "total_tokens")
    return "\n".join(calls), {name: counts[name] for name in names} if counts else {}


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _has_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _to_darkai_error(error: web.HTTPException, request: web.Request) -> DarkAIError:
    if error.status == 413:
        message = f"The request is longer than the {request.client_max_size:,} bytes that this server reads."
    elif error.status == 404:
        message = f"There is nothing at {request.path!r}. There are POST /chat, GET /models and GET /health."
    elif error.status == 405:
        message = f"{request.path} does not take {request.method}, only {error.headers.get('allow')}."
    else:
        message = f"{error.reason}."
    return error_class_for_status(error.status)(message, status=error.status)


def _error_response(error: BaseException, allow: str | None = None) -> web.Response:
    members = encode_error(error)
    headers = {
        "retry-after": str(math.ceil(members["retry_after"])) if "retry_after" in members else None,
        "www-authenticate": "Bearer" if isinstance(error, DarkAIAuthenticationError) else None,
        "allow": allow,
    }
    return web.json_response(
        {"error": members},
        status=members["status"],
        headers={name: value for name, value in headers.items() if value is not None},
    )
