"""Whether the models behind a server can be reached: the answer of `/ready`, for load balancers."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web
from langchain_core.language_models import BaseChatModel
from yarl import URL

__all__ = ["Readiness"]

_CHECK_SECONDS = 3.0
"""How long a model's server may take to answer."""
_FRESH_SECONDS = 5.0
"""How long an answer holds, so that those who ask often cost no more."""

_URL_FIELDS = (
    "openai_api_base",
    "base_url",
    "anthropic_api_url",
    "azure_endpoint",
    "endpoint_url",
    "endpoint",
    "inference_server_url",
)
"""Fields by which chat models name where their API is."""


class Readiness:
    """Asks the servers of models whether they are there; a model without a URL is ready.

    A server that speaks OpenAI's protocol is asked for `/models`, without a key: whatever it answers but a 5xx shows
    that it is there. To others, a connection is opened. Nothing of it costs tokens.
    """

    def __init__(self, models: Mapping[str, BaseChatModel]) -> None:
        self._places = {name: _places_of(model) for name, model in models.items()}
        self._checking: asyncio.Task[dict[str, str]] | None = None
        self._checked_at = 0.0

    async def answer(self, _request: web.Request) -> web.StreamResponse:
        """Answer whether all models can be reached: 503 says which cannot."""
        failed = await self._failed()
        if not failed:
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready", "models": failed}, status=503)

    async def _failed(self) -> dict[str, str]:
        """Return what is wrong with each model that cannot be reached."""
        is_old = time.monotonic() - self._checked_at > _FRESH_SECONDS
        if self._checking is None or (self._checking.done() and is_old):
            self._checking = asyncio.ensure_future(self._check_all())
        return await asyncio.shield(self._checking)  # a client that leaves does not end it for the others

    async def _check_all(self) -> dict[str, str]:
        timeout = aiohttp.ClientTimeout(total=_CHECK_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            found = await asyncio.gather(*(_check(session, places) for places in self._places.values()))
        self._checked_at = time.monotonic()
        return {name: reason for name, reason in zip(self._places, found, strict=True) if reason is not None}


class _Place(NamedTuple):
    """Where a model is; None is this process."""

    url: URL | None
    speaks_openai: bool = False


async def _check(session: aiohttp.ClientSession, places: list[_Place]) -> str | None:
    """Return None where one of the places can be reached; else what is wrong with the first."""
    reasons = await asyncio.gather(*(_reason(session, place) for place in places))
    return None if None in reasons else reasons[0]


async def _reason(session: aiohttp.ClientSession, place: _Place) -> str | None:
    """Return what keeps a place from being reached, without its URL: it may hold a password."""
    if place.url is None:
        return None
    try:
        if place.speaks_openai:
            async with session.get(place.url / "models", allow_redirects=False) as response:
                return f"HTTP {response.status}" if response.status >= 500 else None
        opening = asyncio.open_connection(place.url.host, place.url.port)
        _, writer = await asyncio.wait_for(opening, _CHECK_SECONDS)
        writer.close()
    except (TimeoutError, asyncio.TimeoutError):
        return f"no answer within {_CHECK_SECONDS:g} seconds"
    except (OSError, aiohttp.ClientError):
        return "cannot be reached"
    return None


def _places_of(model: BaseChatModel, depth: int = 2) -> list[_Place]:
    """Return where the API of a model is, or where those are that it goes on to."""
    client = getattr(model, "root_async_client", None)
    of_ollama = getattr(getattr(model, "_async_client", None), "_client", None)  # its URL is not in the model's field
    given = [getattr(of_client, "base_url", "") for of_client in (client, of_ollama)]
    given += [getattr(model, name, "") for name in _URL_FIELDS]
    url = next(filter(None, map(_url, given)), None)
    inner = _models_in(model) if url is None and depth else ()
    places = [place for other in inner for place in _places_of(other, depth - 1)]
    return places or [_Place(url, client is not None)]


def _url(given: object) -> URL | None:
    try:
        url = URL(str(given or ""))
    except ValueError:
        return None
    return url if url.scheme in {"http", "https"} and url.host and url.port else None


def _models_in(model: BaseChatModel) -> Iterator[BaseChatModel]:
    for value in vars(model).values():
        values: Any = value.values() if isinstance(value, dict) else value
        values = values if isinstance(value, dict | list | tuple) else [value]
        yield from (inner for inner in values if isinstance(inner, BaseChatModel))
