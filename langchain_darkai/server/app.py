"""The DarkAI chat API as an aiohttp application over LangChain chat models.

    POST /chat      the protocol of `langchain_darkai.protocol`: {"query", "model", ...} in, an event stream out
    GET /models     {"models": ["name", ...]}, the default first
    GET /health     {"status": "ok"}
    GET /ready      {"status": "ready"}, or 503 with the models that cannot be reached
    GET /metrics    for Prometheus, where it is turned on
    GET /           a page to chat with the models in a browser

A failure before the first text is an HTTP status with {"error": {"type", "message", "status"}}, a later one an error
event with the same members. Details of what broke inside go to the log `langchain_darkai.server`, not to the client.
"""

import logging
from collections.abc import Collection, Mapping
from typing import TypedDict, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from langchain_darkai._gateway.binding import check_native
from langchain_darkai._settings import Native
from langchain_darkai.offline.model import OfflineChatModel
from langchain_darkai.server.bodies import Bodies
from langchain_darkai.server.cors import AllowedOrigins
from langchain_darkai.server.handlers import ChatServer
from langchain_darkai.server.hosts import AllowedHosts
from langchain_darkai.server.operations import Operations, ServerOperations
from langchain_darkai.server.page import load_page, show_page
from langchain_darkai.server.timeouts import ServerTimeouts

__all__ = ["MAX_QUERY_BYTES", "SERVER", "AppOptions", "create_app"]

MAX_QUERY_BYTES = 16 * 1024 * 1024
"""The longest request that is read, in bytes: room for the longest context windows of today, a few million tokens,
while no client can fill the memory."""

SERVER: web.AppKey[ChatServer] = web.AppKey("server", ChatServer)
"""Where an application keeps its `ChatServer`."""

_logger = logging.getLogger("langchain_darkai.server")


def _without_traceback(record: logging.LogRecord) -> bool:
    """Log requests that are not HTTP in one line each: anybody can send many, and they may hold a client's key."""
    error = record.exc_info and record.exc_info[1]
    if isinstance(error, HttpProcessingError):
        _logger.info("%s: %s", record.getMessage(), type(error).__name__)
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError)


_http_logger = logging.getLogger("langchain_darkai.server.http")
_http_logger.addFilter(_without_traceback)


class AppOptions(TypedDict, total=False):
    """The settings of `create_app` that `LocalServer` and `serve` pass on."""

    max_query_bytes: int
    timeout: float | None
    cors_origins: Collection[str]
    allowed_hosts: Collection[str] | None
    prefill: bool | None
    native: Native | Mapping[str, Native]
    page: bool
    timeouts: ServerTimeouts
    operations: ServerOperations


def create_app(
    model: BaseChatModel | Mapping[str, BaseChatModel] | None = None,
    *,
    api_key: str | SecretStr | None = None,
    max_query_bytes: int = MAX_QUERY_BYTES,
    timeout: float | None = 600.0,
    grace_period: float = 10.0,
    cors_origins: Collection[str] = (),
    allowed_hosts: Collection[str] | None = None,
    prefill: bool | None = None,
    native: Native | Mapping[str, Native] = "auto",
    page: bool = True,
    timeouts: ServerTimeouts = ServerTimeouts(),  # noqa: B008 - it cannot be changed
    operations: ServerOperations = ServerOperations(),  # noqa: B008 - likewise
) -> web.Application:
    """Return an aiohttp application that answers the DarkAI chat API with a LangChain chat model.

    - `model`: the model behind every name that a client asks for; or a mapping of names to models, of which the first
      is the default and other names are 404; or None for `OfflineChatModel`.
    - `api_key`: what clients of `/chat` and `/models` must send as `Authorization: Bearer KEY`; None lets everyone in.
    - `max_query_bytes`: the longest request body; a longer one is 413. The `max_prompt_bytes` of a model's limits takes
      its place.
    - `timeout`: seconds for a whole reply, after which it is a timeout error (504, or an error event), so that no
      client of a model that hangs waits for ever; None for no limit.
    - `grace_period`: seconds that running replies get to finish when the server shuts down.
    - `cors_origins`: origins of web pages that may use the server, such as "https://app.example", or "*" for all. Pages
      of other origins are refused (403), so that no page in a browser can use a server on the same machine; programs
      are not affected.
    - `allowed_hosts`: names by which clients may call the server, beside localhost and the addresses of loopback, such
      as "chat.example" behind a proxy that passes on its own name; "*" for every name. None asks for a name only where
      the server listens on loopback, since a web page can let a name of its own point there (421).
    - `prefill`: whether the model gets the beginning of a tool call or of JSON that a client begins for it, as an
      assistant message at the end. Models that run locally continue it, and so answer in that form more surely. False
      leaves it out, for APIs that refuse such a message. None leaves it out for those known to do so: Anthropic's,
      Amazon Bedrock's, Google's and Mistral's.
    - `native`: whether tools and JSON schemas that a client asks for are bound to the model, so that it calls and
      answers by its own means, and not by the prompt's words. "auto" binds what the model takes; "always" also where
      its profile says that it has no tool calls; "never" leaves all in the prompt; "schema" is for engines that
      constrain JSON but do not call tools: a call that must be made and an answer in JSON are asked for by their
      schema, with OpenAI's `response_format`, and all else in the prompt. A mapping of the models' names to these
      values sets it by model, "auto" for the others. Those that a FallbackChatModel asks go by their own, unless it is
      named.
    - `page`: whether `GET /` answers with a page to chat in a browser. It calls only the server that it came from, and
      may do so by an address, localhost or one of `allowed_hosts`. False answers 404 there.
    - `timeouts`: how long to wait for clients and models that do not go on.
    - `operations`: keys for several clients, limits, and metrics, for a server that is left running.

    The prompt is parsed back into messages. `stop` is passed on to the model; temperature, max_tokens, top_p, top_k,
    seed, presence_penalty and frequency_penalty set the model's field of that name where it has one; other parameters
    are ignored. Tool calls that a model makes natively are written out in the prompt grammar, as they come.

    Raises TypeError and ValueError for settings that cannot work.

    Example:
        >>> app = create_app(api_key="secret")
        >>> sorted(resource.canonical for resource in app.router.resources())
        ['/', '/chat', '/health', '/models', '/ready']
    """
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout is {timeout!r}; it must be positive, or None for no limit.")
    if not grace_period >= 0:
        raise ValueError(f"grace_period is {grace_period!r}; it must not be negative.")
    if max_query_bytes <= 0:
        raise ValueError(f"max_query_bytes is {max_query_bytes!r}; it must be positive.")
    models = _checked_models(model)
    running = Operations(operations, models, plain_key=_checked_key(api_key), max_query_bytes=max_query_bytes)
    hosts = AllowedHosts(allowed_hosts)
    server = ChatServer(
        models,
        operations=running,
        timeout=timeout,
        grace_period=grace_period,
        bodies=Bodies(running.max_query_bytes),
        hosts=hosts,
        origins=AllowedOrigins(cors_origins, own_page_of=hosts if page else None),
        prefill=prefill,
        native=_checked_native(native, models),
        timeouts=timeouts,
    )
    app = web.Application(
        client_max_size=running.max_query_bytes,
        middlewares=[running.observe, server.answer_errors],
        handler_args={
            # Whatever runs the application, a client that leaves ends the model's work, also while nothing is sent.
            "handler_cancellation": True,
            # aiohttp would inflate a body that nobody has asked for yet, also of a client without a key.
            "auto_decompress": False,
            "lingering_time": 0,  # it has no limit of bytes; `answer_and_drop` has
            "logger": _http_logger,
        },
    )
    if page:
        load_page()  # now, since it reads files
        app.router.add_get("/", show_page)
    server.add_to(app)
    running.add_to(app)
    app[SERVER] = server
    return app


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


def _checked_native(
    native: Native | Mapping[str, Native], models: BaseChatModel | dict[str, BaseChatModel]
) -> Native | dict[str, Native]:
    named = models if isinstance(models, dict) else {}
    if not isinstance(native, Mapping):
        for model in named.values() or [models]:
            check_native(cast("BaseChatModel", model), native)
        return native
    if unknown := sorted(native.keys() - named.keys()):
        raise ValueError(f"native names {unknown[0]!r}, which is none of the models: {', '.join(named) or 'one only'}.")
    return {name: check_native(named[name], value) for name, value in native.items()}


def _checked_key(api_key: str | SecretStr | None) -> bytes | None:
    if api_key is None:
        return None
    key = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
    if not key.strip():
        raise ValueError("api_key is empty; give a key, or None for a server without one.")
    return key.strip().encode("utf-8", "surrogateescape")  # a header cannot carry blanks around it
