"""What a server that is left running has beside its chats: keys, limits, a log, metrics, traces, and its readiness."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from langchain_core.language_models import BaseChatModel

from langchain_darkai._text import echoed
from langchain_darkai.errors import DarkAIPermissionDeniedError
from langchain_darkai.server.exchange import REQUEST_ID, Exchange, exchange_of
from langchain_darkai.server.keys import Access, ApiKey
from langchain_darkai.server.limits import BackendLimits, KeyLimits, places_for
from langchain_darkai.server.metrics import Metrics
from langchain_darkai.server.rates import RequestRates
from langchain_darkai.server.readiness import Readiness
from langchain_darkai.server.request_log import log_request, prompts_of
from langchain_darkai.server.timeouts import Deadline
from langchain_darkai.server.tracing import Tracing
from langchain_darkai.transport import ReplyEvents

__all__ = ["DEFAULT_MODEL", "Operations", "ServerOperations"]

DEFAULT_MODEL = "default"
"""What logs and metrics call a model that answers to every name: those that clients make up are no end."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class ServerOperations:
    """Who may ask for how much, and what is counted, where a server is left running for a team.

    Example:
        >>> ServerOperations(limits=BackendLimits(max_concurrency=4)).metrics
        False
    """

    keys_file: str | Path | None = None
    """A file of keys, one `name:sha256 [models=a,b] [at-once=2] [per-minute=60]` a line. `serve` reads it again on
    SIGHUP. None for none. A client needs one of its keys, or the `api_key` of `create_app`."""

    keys: str | None = field(default=None, repr=False)
    """The same as a text, for an environment variable; `;` may stand for the end of a line."""

    limits: BackendLimits | Mapping[str, BackendLimits] = BackendLimits()  # noqa: RUF009 - it cannot be changed
    """How much the models are asked for: all alike, or each by its name, and "*" for those that are not named."""

    limits_url: str | None = field(default=None, repr=False)
    """The URL of a Redis on which several processes count the requests of keys together, such as
    "redis://localhost:6379/0". None counts in each process."""

    metrics: bool = False
    """Whether `/metrics` answers in the format of Prometheus. Everyone can read it, as `/health` and `/ready`."""


class Operations:
    """That of one application; the models are those that it serves. Raises ValueError for what cannot work."""

    def __init__(
        self,
        settings: ServerOperations,
        models: BaseChatModel | Mapping[str, BaseChatModel],
        *,
        plain_key: bytes | None,
        max_query_bytes: int,
    ) -> None:
        named = models if isinstance(models, Mapping) else {DEFAULT_MODEL: models}
        file = None if settings.keys_file is None else Path(settings.keys_file)
        self.access: Access = Access(plain_key, file=file, text=settings.keys)
        self._rates = RequestRates(settings.limits_url)
        self.key_limits: KeyLimits = KeyLimits(self._rates)
        self._metrics = Metrics() if settings.metrics else None
        self._places = places_for(settings.limits, list(named), self._metrics, longest=max_query_bytes)
        self.max_query_bytes: int = max(max_query_bytes, *(one.longest or 0 for one in self._places.values()))
        self._readiness = Readiness(named)
        self._tracing = Tracing()

    def add_to(self, app: web.Application) -> None:
        """Add the routes and the hooks to an application."""
        app.router.add_get("/ready", self._readiness.answer)
        if self._metrics is not None:
            app.router.add_get("/metrics", self._metrics.answer)
            app.on_cleanup.append(self._metrics.leave)
        app.on_response_prepare.append(_add_request_id)
        app.on_cleanup.append(self._close)

    @asynccontextmanager
    async def turn(self, model: str | None, size: int, deadline: Deadline) -> AsyncIterator[None]:
        """Let a request of so many bytes wait for its turn at a model, within its limits; the turn is the block."""
        places = self._places[model or DEFAULT_MODEL]
        places.check_size(size)
        if places.limits.timeout is not None:
            deadline.move(places.limits.timeout)
        async with places.take():
            yield

    async def in_turn(self, model: str, size: int, reply: ReplyEvents) -> ReplyEvents:
        """Yield the reply of a model that is asked in place of another, within its own limits but for the timeout."""
        places = self._places[model]
        places.check_size(size)
        async with places.take(), aclosing(reply) as events:
            async for event in events:
                yield event

    def may_use(self, key: ApiKey | None, model: str) -> bool:
        """Return whether a key may use a model; without keys, everyone may."""
        return key is None or key.may_use(model)

    def check_model(self, key: ApiKey | None, model: str) -> None:
        """Raise DarkAIPermissionDeniedError where a key may not use a model."""
        if not self.may_use(key, model):
            assert key is not None
            names = ", ".join(sorted(key.models or ()))
            raise DarkAIPermissionDeniedError(
                f"The key {key.name} may not use the model {echoed(model)}. It may use: {names}."
            )

    @web.middleware
    async def observe(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Take down each request: in the log, in the metrics, and in a span."""
        exchange = Exchange(request)
        status = 500
        with ExitStack() as stack:
            stack.enter_context(self._tracing.span(request, exchange))
            stack.callback(lambda: self._end(exchange, status))
            stack.enter_context(prompts_of(exchange))
            try:
                response = await handler(request)
            except asyncio.CancelledError:
                status = 499  # as nginx calls a client that has left
                raise
            status = response.status
            return response

    def _end(self, exchange: Exchange, status: int) -> None:
        exchange.end(status)
        log_request(exchange)
        if self._metrics is not None:
            self._metrics.observe(exchange)

    async def _close(self, _app: web.Application) -> None:
        await self._rates.close()


async def _add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[REQUEST_ID] = exchange_of(request).request_id
