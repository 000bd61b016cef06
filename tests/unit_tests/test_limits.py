"""The limit on calls at once, over loops and threads."""

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable

import pytest

from langchain_darkai._limits import ConcurrencyLimiter


class Meter:
    """Counts who holds a slot, over all threads."""

    def __init__(self) -> None:
        self.now = self.peak = self.served = 0
        self._lock = threading.Lock()

    async def hold(self, limiter: ConcurrencyLimiter, seconds: float = 0.001) -> None:
        async with limiter:
            with self._lock:
                self.now += 1
                self.peak = max(self.peak, self.now)
            await asyncio.sleep(seconds)
            with self._lock:
                self.now -= 1
                self.served += 1


async def turns(times: int = 5) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def test_no_more_than_the_limit_hold_at_once() -> None:
    limiter, meter = ConcurrencyLimiter(3), Meter()
    await asyncio.gather(*(meter.hold(limiter) for _ in range(30)))
    assert (meter.peak, meter.served, limiter.available) == (3, 30, 3)


async def test_without_a_limit_all_hold_at_once() -> None:
    limiter, meter = ConcurrencyLimiter(None), Meter()
    await asyncio.gather(*(meter.hold(limiter) for _ in range(30)))
    assert meter.peak == 30


def test_one_limit_for_many_loops() -> None:
    limiter, meter = ConcurrencyLimiter(4), Meter()

    async def crowd() -> None:
        await asyncio.gather(*(meter.hold(limiter) for _ in range(20)))

    threads = [threading.Thread(target=asyncio.run, args=(crowd(),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (meter.served, limiter.available) == (120, 4)
    assert meter.peak == 4


async def test_who_waits_longest_is_next() -> None:
    order: list[int] = []
    limiter = ConcurrencyLimiter(1)

    async def take(name: int) -> None:
        async with limiter:
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*map(take, range(6)))
    assert order == list(range(6))


async def test_a_slot_is_given_back_after_an_error() -> None:
    limiter = ConcurrencyLimiter(1)
    with pytest.raises(KeyError):
        async with limiter:
            raise KeyError
    assert limiter.available == 1


async def test_a_waiting_call_that_is_cancelled_leaves_the_queue() -> None:
    limiter = ConcurrencyLimiter(1)
    async with limiter:
        waiting = asyncio.create_task(Meter().hold(limiter))
        await turns()
        waiting.cancel()
        await asyncio.wait([waiting])
    assert limiter.available == 1


async def test_a_call_that_is_cancelled_as_its_turn_comes_hands_it_on() -> None:
    limiter, meter = ConcurrencyLimiter(1), Meter()
    async with limiter:
        first, second = asyncio.create_task(meter.hold(limiter)), asyncio.create_task(meter.hold(limiter))
        await turns()
    first.cancel()
    await asyncio.wait_for(second, 5)
    assert (meter.served, limiter.available) == (1, 1)


async def test_a_waiting_call_whose_loop_has_closed_is_passed_over() -> None:
    limiter, loop = ConcurrencyLimiter(1), asyncio.new_event_loop()
    entering = limiter.__aenter__()

    async def begin() -> None:
        entering.send(None)

    async with limiter:
        await asyncio.to_thread(loop.run_until_complete, begin())
        loop.close()
    assert limiter.available == 1
    entering.close()


async def test_a_waiting_call_that_is_destroyed_does_not_keep_its_turn() -> None:
    limiter = ConcurrencyLimiter(1)
    async with limiter:
        entering = limiter.__aenter__()
        entering.send(None)
        entering.close()
    await turns()
    assert limiter.available == 1


@pytest.mark.parametrize("again", [copy.deepcopy, lambda limiter: pickle.loads(pickle.dumps(limiter))])
async def test_a_copy_has_the_limit_and_none_of_the_holders(
    again: Callable[[ConcurrencyLimiter], ConcurrencyLimiter],
) -> None:
    limiter = ConcurrencyLimiter(2)
    async with limiter:
        copied = again(limiter)
    assert (copied.limit, copied.available) == (2, 2)
