"""The limits of calls: how many run at once, and how long one may take with all of its requests."""

import asyncio
import os
import threading
import time
from collections import deque
from types import TracebackType


class ConcurrencyLimiter:
    """An asynchronous semaphore that serves any number of event loops, first come, first served.

    `asyncio.Semaphore` belongs to one loop, but a model is called from many. `limit` is the number of calls at once;
    None for no limit. `available` is how many more could begin now.

    Example:
        >>> async def hold(limiter):
        ...     async with limiter:
        ...         return limiter.available
        >>> asyncio.run(hold(ConcurrencyLimiter(2)))
        1
    """

    def __init__(self, limit: int | None) -> None:
        self.limit: int | None = limit
        self.available: int = limit or 0
        self._waiters: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __reduce__(self) -> tuple[type["ConcurrencyLimiter"], tuple[int | None]]:
        return type(self), (self.limit,)

    async def __aenter__(self) -> None:
        if self.limit is None:
            return
        if self._process != os.getpid():  # after a fork: the running and the waiting calls belong to the parent
            self.__init__(self.limit)  # type: ignore[misc]
        with self._lock:
            if self.available:
                self.available -= 1
                return
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            self._waiters.append((loop, waiter))
        try:
            await waiter
        except BaseException:
            with self._lock:
                still_waiting = (loop, waiter) in self._waiters
                if still_waiting:
                    self._waiters.remove((loop, waiter))
            if not still_waiting:  # the call got its place and was cancelled at the same moment
                self._release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.limit is not None:
            self._release()

    def _release(self) -> None:
        """Hand the place to the call that has waited longest and whose loop is still open."""
        while True:
            with self._lock:
                if not self._waiters:
                    self.available += 1
                    return
                loop, waiter = self._waiters.popleft()
            try:
                loop.call_soon_threadsafe(_wake, waiter)
            except RuntimeError:  # the loop was closed
                continue
            return


def _wake(waiter: asyncio.Future[None]) -> None:
    # A waiter that was cancelled in the meantime passes its place on itself, in `__aenter__`.
    if not waiter.done():
        waiter.set_result(None)


class TimeBudget:
    """The seconds that one call may take, with all of its requests; None for no limit.

    Time counts only inside `async with`. The wait for a place under `max_concurrency` is outside of it.

    Example:
        >>> async def spend(budget):
        ...     async with budget:
        ...         await asyncio.sleep(0.01)
        ...     return budget.remaining < 5
        >>> asyncio.run(spend(TimeBudget(5.0)))
        True
    """

    def __init__(self, seconds: float | None) -> None:
        self.remaining = seconds
        self._entered: float | None = None

    @property
    def left(self) -> float | None:
        """The seconds that are left now; None for no limit."""
        if self.remaining is None or self._entered is None:
            return self.remaining
        return self.remaining - (time.monotonic() - self._entered)

    @property
    def is_spent(self) -> bool:
        """Whether no time is left, now."""
        return self.left is not None and self.left <= 0

    async def __aenter__(self) -> float | None:
        """Return the deadline, a time of the running loop's clock."""
        self._entered = time.monotonic()
        return None if self.remaining is None else asyncio.get_running_loop().time() + self.remaining

    async def __aexit__(self, *_: object) -> None:
        if self.remaining is not None and self._entered is not None:
            self.remaining -= time.monotonic() - self._entered
        self._entered = None
