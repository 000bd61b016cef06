"""How much a model is asked for at once, how long, and with how long a request."""

import asyncio
import threading
from typing import Any

import pytest

from langchain_darkai.server import BackendLimits, ServerOperations, create_app
from tests.support.app_client import Client, serving, soon, text_of
from tests.support.models import ScriptedModel, Stubborn, scripted

pytestmark = pytest.mark.usefixtures("nothing_left")


def limited(*args: Any, **limits: Any) -> ServerOperations:
    return ServerOperations(limits=args[0] if args else BackendLimits(**limits))


async def answer(client: Client, **body: Any) -> tuple[int, str]:
    async with client.chat(**body) as response:
        return response.status, await response.text()


async def waiting(client: Client, behind: ScriptedModel, count: int, **body: Any) -> list[asyncio.Task[Any]]:
    """Ask so often, and return once the server has all the requests: those before the last are queued before it."""
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.ensure_future(answer(client, **body)))
        await asyncio.sleep(0.05)
    await asyncio.to_thread(behind.comes_to, 1)
    return tasks


async def test_requests_wait_for_their_turn_and_too_many_are_refused() -> None:
    go_on = threading.Event()
    model = scripted("Hi", go_on)
    async with serving(model, operations=limited(max_concurrency=1, max_queue=2)) as client:
        tasks = await waiting(client, model, 3)
        async with client.chat() as response:
            assert response.status == 429
            assert 1 <= int(response.headers["retry-after"]) <= 60
            error = (await response.json())["error"]
            assert error["type"] == "ModelRateLimitError"
            assert error["message"] == "The model 'default' is busy, and 2 requests wait for it. Ask again later."
        assert model.record.working == 1
        go_on.set()
        assert [status for status, _ in await soon(asyncio.gather(*tasks))] == [200, 200, 200]
        assert (await answer(client))[0] == 200
    assert len(model.asked) == 4


async def test_each_model_has_places_of_its_own() -> None:
    go_on = threading.Event()
    busy, free = scripted("Hi", go_on), scripted("Hi")
    limits = {"busy": BackendLimits(max_concurrency=1, max_queue=0)}
    async with serving({"busy": busy, "free": free}, operations=limited(limits)) as client:
        (task,) = await waiting(client, busy, 1, model="busy")
        assert [(await answer(client, model=name))[0] for name in ("busy", "free", "free")] == [429, 200, 200]
        go_on.set()
        assert (await soon(task))[0] == 200


async def test_a_client_that_leaves_the_queue_makes_room() -> None:
    go_on = threading.Event()
    model = scripted("Hi", go_on)
    async with serving(model, operations=limited(max_concurrency=1, max_queue=1)) as client:
        first, second = await waiting(client, model, 2)
        second.cancel()
        while (third := await refused_or_waits(client)) is None:
            pass
        go_on.set()
        assert [status for status, _ in await soon(asyncio.gather(first, third))] == [200, 200]
    assert len(model.asked) == 2


async def refused_or_waits(client: Client) -> "asyncio.Task[Any] | None":
    task = asyncio.ensure_future(answer(client))
    done, _ = await asyncio.wait([task], timeout=0.2)
    return None if done else task


async def test_a_model_that_goes_on_although_it_was_cancelled_keeps_its_place() -> None:
    end = threading.Event()
    model = scripted(Stubborn(end))
    limits = limited(max_concurrency=1, max_queue=0, timeout=0.2)
    async with serving(model, operations=limits) as client:
        assert (await soon(answer(client)))[0] == 504
        assert (await soon(answer(client)))[0] == 429
        end.set()
        while (await soon(answer(client)))[0] == 429:
            pass


@pytest.mark.parametrize("general", [600.0, 0.05, None])
async def test_the_timeout_of_a_model_takes_the_place_of_the_general_one(general: float | None) -> None:
    models = {"slow": scripted("a", 0.3, "b"), "hangs": scripted("a", ...)}
    limits = {"slow": BackendLimits(timeout=30), "*": BackendLimits(timeout=0.2)}
    async with serving(models, operations=limited(limits), timeout=general) as client:
        assert text_of(await soon(client.events(model="slow"))) == "ab"
        events = await soon(client.events(model="hangs"))
        assert (events[-1]["event"], events[-1]["data"]["type"]) == ("error", "ModelTimeoutError")


async def test_the_wait_for_a_turn_counts() -> None:
    go_on = threading.Event()
    model = scripted("Hi", go_on)
    async with serving(model, operations=limited(max_concurrency=1, timeout=0.3)) as client:
        statuses = [status for status, _ in await soon(asyncio.gather(*(answer(client) for _ in range(3))))]
        # One whose turn came just before its time ran out has begun to answer, too.
        assert set(statuses) == {200, 504}
        go_on.set()


async def test_a_model_gets_requests_up_to_a_length() -> None:
    models = {"small": scripted("s"), "big": scripted("b")}
    limits = {"small": BackendLimits(max_prompt_bytes=200)}
    async with serving(models, operations=limited(limits)) as client:
        assert (await answer(client, query="x" * 100, model="small"))[0] == 200
        assert (await answer(client, query="x" * 1000, model="big"))[0] == 200
        status, error = await client.error("x" * 1000, model="small")
        assert (status, error["type"]) == (413, "ContextOverflowError")
        assert "The model 'small' takes at most 200." in error["message"]
    assert len(models["small"].asked) == 1


async def test_the_length_of_a_model_takes_the_place_of_the_general_one() -> None:
    models = {"long": scripted("l"), "others": scripted("o")}
    limits = {"long": BackendLimits(max_prompt_bytes=5000)}
    async with serving(models, operations=limited(limits), max_query_bytes=1000) as client:
        assert (await answer(client, query="x" * 4000, model="long"))[0] == 200
        assert (await client.error("x" * 4000, model="others"))[0] == 413
        assert (await client.error("x" * 6000, model="long"))[0] == 413
    assert [len(model.asked) for model in models.values()] == [1, 0]


@pytest.mark.parametrize(
    "limits",
    [{"max_concurrency": 0}, {"max_queue": -1}, {"timeout": 0.0}, {"timeout": float("nan")}, {"max_prompt_bytes": -5}],
)
def test_limits_that_cannot_work_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(limits))):
        BackendLimits(**limits)


def test_limits_of_a_model_that_is_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"There are limits for other, which is no model here. There are: mine\."):
        create_app({"mine": scripted("Hi")}, operations=limited({"other": BackendLimits()}))
