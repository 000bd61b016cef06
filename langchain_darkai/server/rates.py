"""How many requests of a key: a minute, counted by the library `limits`, and at once; on Redis for all processes."""

import logging
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any, TypeVar

from yarl import URL

from langchain_darkai.errors import DarkAIRateLimitError

__all__ = ["RequestRates", "import_limits", "too_many_at_once"]

_T = TypeVar("_T")

_STORE_SECONDS = 1.0
"""How long Redis may take to answer."""
_AWAY_SECONDS = 5.0
"""How long Redis is not asked again after it did not answer."""
_LEASE_SECONDS = 900
"""After which a place of a key is free again whose process was killed."""
_SCHEMES = ("redis", "rediss", "redis+unix")

_logger = logging.getLogger("langchain_darkai.server")


class RequestRates:
    """Counts the requests of each key, within the last minute and at once; `url` names a Redis to count on.

    While Redis does not answer, each process counts for itself, and the log says so.

    Raises ValueError for a URL that is none of Redis, and where a package is not installed.
    """

    def __init__(self, url: str | None = None) -> None:
        self._own: Any = None
        self._shared: Any = None if url is None else _redis(url)
        self._away_until = 0.0

    async def count(self, name: str, most: int) -> None:
        """Count a request; DarkAIRateLimitError where there were too many within the last minute."""
        item = import_limits().RateLimitItemPerMinute(most, namespace="langchain-darkai")
        seconds = await self._ask(lambda: _hit(self._shared, item, name))
        if seconds is None:
            self._own = self._own or _limiter(import_limits().aio.storage.MemoryStorage())
            seconds = await _hit(self._own, item, name)
        if seconds:
            raise DarkAIRateLimitError(
                f"The key {name} may send {most} requests a minute, and has sent them. Ask again in {seconds} s.",
                retry_after=seconds,
            )

    @asynccontextmanager
    async def at_once(self, name: str, most: int) -> AsyncIterator[None]:
        """Hold one of the places of a key in all processes; DarkAIRateLimitError where they are taken."""
        place, ticket = f"langchain-darkai/at-once/{name}", secrets.token_hex(8)
        taken = await self._ask(lambda: self._take(place, ticket))
        try:
            if taken is not None and taken > most:
                raise too_many_at_once(name, most)
            yield
        finally:
            if taken is not None:
                await self._ask(lambda: self._client.zrem(place, ticket))

    async def _take(self, place: str, ticket: str) -> int:
        """Take a place, and return how many are taken with it. Two at the same time may both see one too many."""
        now = time.time()
        async with self._client.pipeline() as steps:
            steps.zremrangebyscore(place, "-inf", now)
            steps.zadd(place, {ticket: now + _LEASE_SECONDS})
            steps.zcard(place)
            steps.expire(place, _LEASE_SECONDS)
            taken: int = (await steps.execute())[2]
        return taken

    @property
    def _client(self) -> Any:
        return self._shared.storage.bridge.storage

    async def _ask(self, ask: Callable[[], Awaitable[_T]]) -> _T | None:
        """Return what Redis answers, or None where there is none, or it does not answer."""
        if self._shared is None or time.monotonic() < self._away_until:
            return None
        try:
            return await ask()
        except Exception as error:  # noqa: BLE001 - whatever breaks there must not break the server
            self._away_until = time.monotonic() + _AWAY_SECONDS
            # Not its message: it may hold the URL, with a password.
            _logger.warning(
                "The Redis of the limits does not answer (%s). This process counts for itself for %g seconds.",
                type(error).__name__,
                _AWAY_SECONDS,
            )
            return None

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._shared is not None:
            await self._client.aclose()


def too_many_at_once(name: str, most: int) -> DarkAIRateLimitError:
    """Return the error of a key that has as many requests at once as it may have."""
    return DarkAIRateLimitError(
        f"The key {name} has {most} requests at once here, and may have no more. Ask again later.", retry_after=1
    )


def import_limits() -> ModuleType:
    """Return the library `limits`; ValueError where it is not installed."""
    try:
        import limits.aio.storage
        import limits.aio.strategies
    except ImportError as error:
        raise ValueError(
            "Requests a minute are counted by the library limits: pip install 'langchain-darkai[limits]'."
        ) from error
    return limits


def _limiter(storage: Any) -> Any:
    return import_limits().aio.strategies.MovingWindowRateLimiter(storage)


def _redis(url: str) -> Any:
    try:
        is_one = URL(url).scheme in _SCHEMES
    except ValueError:  # its message may quote the URL
        is_one = False
    if not is_one:
        raise ValueError("The URL for limits is none of Redis. Write it such as redis://localhost:6379/0.")
    library = import_limits()
    try:
        storage = library.aio.storage.RedisStorage(
            f"async+{url}",
            implementation="redispy",
            socket_timeout=_STORE_SECONDS,
            socket_connect_timeout=_STORE_SECONDS,
        )
    except library.errors.ConfigurationError:
        raise ValueError("Limits on Redis need its client: pip install 'langchain-darkai[redis]'.") from None
    return _limiter(storage)


async def _hit(limiter: Any, item: Any, name: str) -> int:
    """Count a request, and return 0; or the seconds to wait where there were too many."""
    if await limiter.hit(item, name):
        return 0
    reset: float = (await limiter.get_window_stats(item, name)).reset_time
    return max(math.ceil(reset - time.time()), 1)
