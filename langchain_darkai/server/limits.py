"""How much at once: the places of each model with a bounded queue, and what each key may ask for.

A limit that is reached is 429 with a Retry-After. Those of models hold for each process; what several processes count
together for keys is in rates.py.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass

from langchain_darkai._text import echoed
from langchain_darkai.errors import DarkAIContextOverflowError, DarkAIRateLimitError
from langchain_darkai.server.keys import ApiKey
from langchain_darkai.server.metrics import Metrics
from langchain_darkai.server.rates import RequestRates, too_many_at_once

__all__ = ["BackendLimits", "BackendPlaces", "KeyLimits", "places_for"]

_OTHERS = "*"
"""Whose limits the models have that are not named."""
_LONGEST_WAIT = 60
"""The greatest Retry-After of a full queue, in seconds."""


@dataclass(frozen=True, kw_only=True)
class BackendLimits:
    """How much one model is asked for; None does not limit it. Raises ValueError for limits that cannot work.

    Example:
        >>> BackendLimits(max_concurrency=8, timeout=120).max_queue
        100
    """

    max_concurrency: int | None = None
    """How many replies it makes at once, in each process. More requests wait for their turn."""

    max_queue: int = 100
    """How many requests may wait. A further one is 429."""

    timeout: float | None = None
    """Seconds for a whole reply with the wait for its turn, in place of the `timeout` of `create_app`."""

    max_prompt_bytes: int | None = None
    """The longest request that it gets, in bytes, in place of the `max_query_bytes` of `create_app`. A longer one is
    413."""

    def __post_init__(self) -> None:
        for name in ("max_concurrency", "timeout", "max_prompt_bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value!r}; it must be positive, or None for no limit.")
        if not self.max_queue >= 0:
            raise ValueError(f"max_queue is {self.max_queue!r}; it must not be negative.")


class BackendPlaces:
    """The places of one model: so many replies at once, and so many that wait."""

    def __init__(
        self, name: str, limits: BackendLimits, metrics: Metrics | None = None, *, longest: int | None = None
    ) -> None:
        self._name = name
        self.limits: BackendLimits = limits
        self.longest: int | None = limits.max_prompt_bytes or longest
        self._metrics = metrics
        self._free = asyncio.Semaphore(limits.max_concurrency) if limits.max_concurrency else None
        self._queued = 0
        self._seconds = 1.0  # that a reply took of late

    def check_size(self, size: int) -> None:
        """Raise DarkAIContextOverflowError for a request that is longer than this model gets, in bytes."""
        if self.longest is not None and size > self.longest:
            raise DarkAIContextOverflowError(
                f"The request has {size:,} bytes. The model {echoed(self._name)} takes at most {self.longest:,}.",
                status=413,
            )

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a place within the block, after a wait where all are taken; DarkAIRateLimitError where too many wait."""
        if self._free is None:
            with self._counted("running"):
                yield
            return
        if self._free.locked() and self._queued >= self.limits.max_queue:
            raise DarkAIRateLimitError(
                f"The model {echoed(self._name)} is busy, and {self._queued} requests wait for it. Ask again later.",
                retry_after=self._wait(),
            )
        self._queued += 1
        try:
            with self._counted("queued"):
                await self._free.acquire()
        finally:
            self._queued -= 1
        started = time.monotonic()
        try:
            with self._counted("running"):
                yield
        finally:
            self._free.release()
            self._seconds += 0.2 * (time.monotonic() - started - self._seconds)

    @contextmanager
    def _counted(self, what: str) -> Iterator[None]:
        if self._metrics is None:
            yield
            return
        self._metrics.count(what, self._name, 1)
        try:
            yield
        finally:
            self._metrics.count(what, self._name, -1)

    def _wait(self) -> int:
        """Return about how many seconds those that wait will take."""
        seconds = self._seconds * (self._queued + 1) / (self.limits.max_concurrency or 1)
        return min(max(math.ceil(seconds), 1), _LONGEST_WAIT)


def places_for(
    limits: BackendLimits | Mapping[str, BackendLimits],
    names: list[str],
    metrics: Metrics | None = None,
    *,
    longest: int | None = None,
) -> dict[str, BackendPlaces]:
    """Return the places of each model; ValueError for the limits of a model that is not there.

    `longest` is the length of requests, in bytes, to those whose limits say nothing of it.
    """
    by_name = {_OTHERS: limits} if isinstance(limits, BackendLimits) else limits
    unknown = ", ".join(sorted(by_name.keys() - {*names, _OTHERS}))
    if unknown:
        raise ValueError(f"There are limits for {unknown}, which is no model here. There are: {', '.join(names)}.")
    others = by_name.get(_OTHERS, BackendLimits())
    return {name: BackendPlaces(name, by_name.get(name, others), metrics, longest=longest) for name in names}


class KeyLimits:
    """What each key may ask for: requests at once, and requests a minute, counted by `rates`."""

    def __init__(self, rates: RequestRates) -> None:
        self._at_once: Counter[str] = Counter()
        self._rates = rates

    @asynccontextmanager
    async def admit(self, key: ApiKey | None) -> AsyncIterator[None]:
        """Let a request in for the block; DarkAIRateLimitError where its key has had what it may have."""
        if key is None:
            yield
            return
        if key.at_once is not None and self._at_once[key.name] >= key.at_once:
            raise too_many_at_once(key.name, key.at_once)
        self._at_once[key.name] += 1
        try:
            async with self._rates.at_once(key.name, key.at_once) if key.at_once is not None else nullcontext():
                if key.per_minute is not None:
                    await self._rates.count(key.name, key.per_minute)
                yield
        finally:
            self._at_once[key.name] -= 1
