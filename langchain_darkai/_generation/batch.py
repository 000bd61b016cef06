"""Many calls at once on one event loop."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def as_completed(
    call: Callable[[int], Awaitable[T]], count: int, *, limit: int, return_exceptions: bool
) -> AsyncGenerator[tuple[int, T | Exception], None]:
    """Yield the number and the result of each of `count` calls as they end, with at most `limit` of them at once.

    The first failure is raised and cancels the other calls; with `return_exceptions` it is yielded as a result.
    Closing the generator cancels the calls that still run.
    """
    semaphore = asyncio.Semaphore(limit)

    async def one(number: int) -> tuple[int, T | Exception]:
        async with semaphore:
            try:
                return number, await call(number)
            except Exception as error:
                if not return_exceptions:
                    raise
                return number, error

    tasks = [asyncio.ensure_future(one(number)) for number in range(count)]
    try:
        for completed in asyncio.as_completed(tasks):
            yield await completed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
