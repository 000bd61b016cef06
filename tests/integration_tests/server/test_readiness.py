"""/ready: whether the models behind the server can be reached."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from langchain_core.language_models import FakeListChatModel
from langchain_openai import ChatOpenAI

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import readiness
from tests.support.app_client import Client, serving, soon
from tests.support.models import ScriptedModel


@asynccontextmanager
async def engine(status: int = 200, seconds: float = 0.0) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """Run a server that answers /v1/models, and yield its URL and what it was asked."""
    asked: list[web.Request] = []

    async def models(request: web.Request) -> web.Response:
        asked.append(request)
        await asyncio.sleep(seconds)
        return web.json_response({"data": []}, status=status)

    app = web.Application()
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", asked
    finally:
        await runner.cleanup()


def openai(url: str) -> ChatOpenAI:
    return ChatOpenAI(model="m", base_url=url, api_key="hidden")  # type: ignore[arg-type]


async def ready(client: Client) -> tuple[int, Any]:
    async with client.session.get(f"{client.url}/ready") as response:
        return response.status, await response.json()


DOWN = "http://user:hidden@127.0.0.1:1/v1"


async def test_models_without_a_url_are_ready() -> None:
    async with serving() as client:
        assert await ready(client) == (200, {"status": "ready"})


@pytest.mark.parametrize("status", [200, 401, 404])
async def test_an_engine_that_answers_is_ready_and_gets_no_key(status: int) -> None:
    async with engine(status) as (url, asked), serving({"m": openai(url)}) as client:
        assert await ready(client) == (200, {"status": "ready"})
        assert "authorization" not in asked[0].headers


async def test_it_says_which_models_cannot_be_reached() -> None:
    async with engine() as (url, _), engine(503) as (broken, _):
        models = {
            "good": openai(url),
            "broken": openai(broken),
            "down": openai(DOWN),
            "darkai": ChatDarkAI(base_url="http://127.0.0.1:1"),
            "here": ChatDarkAI(base_url=url),
        }
        async with serving(models, api_key="a key") as client:
            reasons = {"broken": "HTTP 503", "down": "cannot be reached", "darkai": "cannot be reached"}
            assert await ready(client) == (503, {"status": "not ready", "models": reasons})
            async with client.session.get(f"{client.url}/health") as response:
                assert response.status == 200


async def test_an_engine_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_CHECK_SECONDS", 0.2)
    async with engine(seconds=60) as (url, _), serving({"m": openai(url)}) as client:
        status, answer = await soon(ready(client))
        assert (status, answer["models"]) == (503, {"m": "no answer within 0.2 seconds"})


async def test_an_answer_is_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async with engine(seconds=0.1) as (url, asked), serving({"m": openai(url)}) as client:
        assert {status for status, _ in await asyncio.gather(*(ready(client) for _ in range(5)))} == {200}
        await ready(client)
        assert len(asked) == 1
        monkeypatch.setattr(readiness, "_FRESH_SECONDS", 0.0)
        await ready(client)
        assert len(asked) == 2


class Fallback(ScriptedModel):
    models: dict[str, Any]


@pytest.mark.parametrize(("second", "status"), [("good", 200), ("down", 503), ("local", 200)])
async def test_a_model_that_goes_on_to_others_is_ready_where_one_is(second: str, status: int) -> None:
    async with engine() as (url, _):
        others = {"good": openai(url), "down": openai(DOWN), "local": FakeListChatModel(responses=["Hi"])}
        async with serving({"m": Fallback(models={"a": openai(DOWN), "b": others[second]})}) as client:
            assert (await ready(client))[0] == status
