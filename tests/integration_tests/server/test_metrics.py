"""What /metrics says after requests."""

import asyncio
import re
import sys
import threading
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_darkai import DarkAIRateLimitError
from langchain_darkai.server import BackendLimits, ServerOperations, create_app
from tests.support.app_client import Client, serving, soon
from tests.support.models import scripted

USAGE = AIMessageChunk(content="", usage_metadata={"input_tokens": 12, "output_tokens": 34, "total_tokens": 46})


async def metrics(client: Client) -> dict[str, float]:
    async with client.session.get(f"{client.url}/metrics") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        text = await response.text()
    found = re.findall(r"^langchain_darkai_(\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found if "_created" not in name}


def counting(**limits: Any) -> ServerOperations:
    return ServerOperations(metrics=True, limits=BackendLimits(**limits))


async def test_requests_errors_times_and_tokens_are_counted() -> None:
    models = {"good": scripted("Hi", USAGE), "bad": scripted("Hi", DarkAIRateLimitError("no"))}
    async with serving(models, operations=counting()) as client:
        for _ in range(3):
            await client.events(model="good")
        async with client.chat(model="bad", headers={"connection": "close"}) as response:
            await response.read()
        await client.error(model="nowhere")
        found = await metrics(client)
    assert found['requests_total{model="good",path="/chat",status="200"}'] == 3
    assert found['requests_total{model="bad",path="/chat",status="200"}'] == 1
    assert found['requests_total{model="",path="/chat",status="404"}'] == 1
    assert found['errors_total{error="ModelRateLimitError",model="bad"}'] == 1
    assert found['errors_total{error="ModelNotFoundError",model=""}'] == 1
    assert found['tokens_total{direction="input",model="good"}'] == 36
    assert found['tokens_total{direction="output",model="good"}'] == 102
    for name in ("first_text", "duration"):
        assert found[f'{name}_seconds_count{{model="good"}}'] == 3
        assert found[f'{name}_seconds_count{{model="bad"}}'] == 1
        assert 0 < found[f'{name}_seconds_sum{{model="good"}}'] < 30
    assert not [name for name in found if "nowhere" in name]  # clients must not make up labels


async def test_what_runs_and_waits_is_counted() -> None:
    go_on = threading.Event()
    model = scripted("Hi", go_on)
    async with serving({"m": model}, operations=counting(max_concurrency=1)) as client:
        tasks = [asyncio.ensure_future(client.events()) for _ in range(3)]
        while (found := await metrics(client)).get('queued{model="m"}') != 2:
            pass
        assert found['running{model="m"}'] == 1
        go_on.set()
        await soon(asyncio.gather(*tasks))
        found = await metrics(client)
        assert (found['running{model="m"}'], found['queued{model="m"}']) == (0, 0)


async def test_two_applications_count_for_themselves() -> None:
    async with serving(scripted("Hi"), operations=counting()) as one, serving(operations=counting()) as other:
        await one.events()
        assert 'requests_total{model="default",path="/chat",status="200"}' in await metrics(one)
        assert 'requests_total{model="default",path="/chat",status="200"}' not in await metrics(other)


async def test_there_are_none_unless_they_are_asked_for() -> None:
    async with serving() as client, client.session.get(f"{client.url}/metrics") as response:
        assert response.status == 404


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ValueError, match=r"pip install 'langchain-darkai\[metrics\]'"):
        create_app(operations=counting())
