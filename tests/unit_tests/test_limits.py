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

    async def hold(self, slots: ConcurrencyLimiter, seconds: float = 0.001) -> None:
        async with slots:
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
    slots, meter = ConcurrencyLimiter(3), Meter()
    await asyncio.gather(*(meter.hold(slots) for _ in range(30)))
    assert (meter.peak, meter.served, slots.free) == (3, 30, 3)


async def test_without_a_limit_all_hold_at_once() -> None:
    slots, meter = ConcurrencyLimiter(None), Meter()
    await asyncio.gather(*(meter.hold(slots) for _ in range(30)))
    assert meter.peak == 30


def test_one_limit_for_many_loops() -> None:
    slots, meter = ConcurrencyLimiter(4), Meter()

    async def crowd() -> None:
        await asyncio.gather(*(meter.hold(slots) for _ in range(20)))

    threads = [threading.Thread(target=asyncio.run, args=(crowd(),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (meter.served, slots.free) == (120, 4)
    assert meter.peak == 4


async def test_who_waits_longest_is_next() -> None:
    order: list[int] = []
    slots = ConcurrencyLimiter(1)

    async def take(name: int) -> None:
        async with slots:
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*map(take, range(6)))
    assert order == list(range(6))


async def test_a_slot_is_given_back_after_an_error() -> None:
    slots = ConcurrencyLimiter(1)
    with pytest.raises(KeyError):
        async with slots:
            raise KeyError
    assert slots.free == 1


async def test_a_waiting_call_that_is_cancelled_leaves_the_queue() -> None:
    slots = ConcurrencyLimiter(1)
    async with slots:
        waiting = asyncio.create_task(Meter().hold(slots))
        await turns()
        waiting.cancel()
        await asyncio.wait([waiting])
    assert slots.free == 1


async def test_a_call_that_is_cancelled_as_its_turn_comes_hands_it_on() -> None:
    slots, meter = ConcurrencyLimiter(1), Meter()
    async with slots:
        first, second = asyncio.create_task(meter.hold(slots)), asyncio.create_task(meter.hold(slots))
        await turns()
    first.cancel()
    await asyncio.wait_for(second, 5)
    assert (meter.served, slots.free) == (1, 1)


async def test_a_waiting_call_whose_loop_has_closed_is_passed_over() -> None:
    slots, loop = ConcurrencyLimiter(1), asyncio.new_event_loop()
    entering = slots.__aenter__()

    async def begin() -> None:
        entering.send(None)

    async with slots:
        await asyncio.to_thread(loop.run_until_complete, begin())
        loop.close()
    assert slots.free == 1
    entering.close()


async def test_a_waiting_call_that_is_destroyed_does_not_keep_its_turn() -> None:
    slots = ConcurrencyLimiter(1)
    async with slots:
        entering = slots.__aenter__()
        entering.send(None)
        entering.close()
    await turns()
    assert slots.free == 1


@pytest.mark.parametrize("again", [copy.deepcopy, lambda slots: pickle.loads(pickle.dumps(slots))])
async def test_a_copy_has_the_limit_and_none_of_the_holders(
    again: Callable[[ConcurrencyLimiter], ConcurrencyLimiter],
) -> None:
    slots = ConcurrencyLimiter(2)
    async with slots:
        copied = again(slots)
    assert (copied.limit, copied.free) == (2, 2)
