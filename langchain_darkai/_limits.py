"""A limit on calls at once, shared by every thread and event loop that uses a client."""

import asyncio
import os
import threading
from collections import deque
from types import TracebackType


class ConcurrencyLimiter:
    """An asynchronous semaphore that serves any number of event loops, first come, first served.

    `asyncio.Semaphore` belongs to one loop; a model is called from many. `limit` is the number of holders at once; None
    for no limit.

    Example:
        >>> async def hold(slots):
        ...     async with slots:
        ...         return slots.free
        >>> asyncio.run(hold(ConcurrencyLimiter(2)))
        1
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.free = limit or 0
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __reduce__(self) -> tuple[type["ConcurrencyLimiter"], tuple[int | None]]:
        return type(self), (self.limit,)

    async def __aenter__(self) -> None:
        if self.limit is None:
            return
        if self._process != os.getpid():  # forked meanwhile: who holds and who waits is in the parent
            self.__init__(self.limit)  # type: ignore[misc]
        with self._lock:
            if self.free:
                self.free -= 1
                return
            loop = asyncio.get_running_loop()
            turn = loop.create_future()
            self._waiting.append((loop, turn))
        try:
            await turn
        except BaseException:
            with self._lock:
                still_waiting = (loop, turn) in self._waiting
                if still_waiting:
                    self._waiting.remove((loop, turn))
            if not still_waiting:
                self._release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.limit is not None:
            self._release()

    def _release(self) -> None:
        """Hand the slot to the longest waiting call; to the next one, where that one's loop has closed meanwhile."""
        while True:
            with self._lock:
                if not self._waiting:
                    self.free += 1
                    return
                loop, turn = self._waiting.popleft()
            try:
                loop.call_soon_threadsafe(_wake, turn)
            except RuntimeError:
                continue
            return


def _wake(turn: asyncio.Future[None]) -> None:
    # A turn that was cancelled meanwhile passes its slot on by itself, in `__aenter__`.
    if not turn.done():
        turn.set_result(None)
