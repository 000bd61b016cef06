"""Many calls at once on one event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

DEFAULT_CONCURRENCY = 64
"""Calls of one batch at once, where neither its config nor the model says how many.

It keeps a server busy that works on many requests at a time, and stays far below the 256 files that some systems let a
process open.
"""


async def as_completed(
    call: Callable[[int], Coroutine[Any, Any, T]], count: int, *, limit: int, return_exceptions: bool
) -> AsyncGenerator[tuple[int, T | Exception], None]:
    """Yield the number and the result of each of `count` calls as they end, with at most `limit` of them at once.

    A call gets its task when it begins, so there are never more than `limit` unfinished tasks. The calls go on while
    the consumer works. The first failure is raised and cancels the other calls; with `return_exceptions` it is yielded
    as a result. Closing the generator cancels the calls that still run.
    """
    numbers = iter(range(count))
    running: set[asyncio.Task[tuple[int, T | Exception]]] = set()
    done: asyncio.Queue[asyncio.Task[tuple[int, T | Exception]]] = asyncio.Queue()

    async def one(number: int) -> tuple[int, T | Exception]:
        try:
            return number, await call(number)
        except Exception as error:
            if not return_exceptions:
                raise
            return number, error

    def begin(most: int) -> None:
        for number in islice(numbers, most):
            task = asyncio.ensure_future(one(number))
            running.add(task)
            task.add_done_callback(end)

    def end(task: asyncio.Task[tuple[int, T | Exception]]) -> None:
        running.discard(task)
        done.put_nowait(task)
        if not task.cancelled() and task.exception() is None:
            begin(1)

    begin(limit)
    try:
        for _ in range(count):
            task = await done.get()
            yield await task
    finally:
        numbers = iter(())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
