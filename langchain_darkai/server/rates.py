"""How many requests a minute: counted by the library `limits`, here, or on Redis by several processes together."""

import logging
import math
import time
from types import ModuleType
from typing import Any

from yarl import URL

from langchain_darkai.errors import DarkAIRateLimitError

__all__ = ["RequestRates", "import_limits"]

_STORE_SECONDS = 1.0
"""How long Redis may take to answer."""
_AWAY_SECONDS = 5.0
"""How long Redis is not asked again after it did not answer."""
_SCHEMES = ("redis", "rediss", "redis+unix")

_logger = logging.getLogger("langchain_darkai.server")


class RequestRates:
    """Counts the requests of each name within the last minute; `url` names a Redis to count on.

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
        seconds = None
        if self._is_shared:
            try:
                seconds = await _hit(self._shared, item, name)
            except Exception as error:  # noqa: BLE001 - whatever breaks there must not break the server
                self._away_until = time.monotonic() + _AWAY_SECONDS
                # Not its message: it may hold the URL, with a password.
                _logger.warning(
                    "The Redis of the limits does not answer (%s). This process counts for itself for %g seconds.",
                    type(error).__name__,
                    _AWAY_SECONDS,
                )
        if not self._is_shared:
            self._own = self._own or _limiter(import_limits().aio.storage.MemoryStorage())
            seconds = await _hit(self._own, item, name)
        if seconds is not None:
            raise DarkAIRateLimitError(
                f"The key {name} may send {most} requests a minute, and has sent them. Ask again in {seconds} s.",
                retry_after=seconds,
            )

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._shared is not None:
            await self._shared.storage.bridge.storage.aclose()

    @property
    def _is_shared(self) -> bool:
        return self._shared is not None and time.monotonic() >= self._away_until


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


async def _hit(limiter: Any, item: Any, name: str) -> int | None:
    """Count a request, and return None; or the seconds to wait where there were too many."""
    if await limiter.hit(item, name):
        return None
    reset: float = (await limiter.get_window_stats(item, name)).reset_time
    return max(math.ceil(reset - time.time()), 1)
