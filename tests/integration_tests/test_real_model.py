"""A real model, SmolLM2 of 135M parameters on llama.cpp, behind the local server: what it writes reaches the caller.

What the model knows is no part of it: the tests ask for what every model can do.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from urllib.request import urlopen

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer
from tests.support import engine

pytestmark = pytest.mark.slow

LONG_REPLY = 3000  # tokens; more than the engine writes in the time of a test


class City(BaseModel):
    """A city."""

    name: str
    country: str


def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return f"It is sunny in {city}."


@pytest.fixture(scope="module")
def engine_url() -> Iterator[str]:
    weights = engine.small_weights()
    if weights is None:
        pytest.skip("there is no engine")  # `make test` says so
    with engine.running(weights) as url:
        yield url


@pytest.fixture(scope="module")
def server(engine_url: str) -> Iterator[LocalServer]:
    backend = ChatOpenAI(
        model="smollm2",
        base_url=f"{engine_url}/v1",
        api_key=SecretStr("none"),
        temperature=0,
        max_retries=0,
        stream_usage=True,
    )
    with LocalServer(backend) as server:
        yield server


@pytest.fixture
def model(server: LocalServer) -> ChatDarkAI:
    return ChatDarkAI(base_url=server.url, max_retries=0, max_tokens=60, timeout=50.0)


async def is_busy(engine_url: str) -> bool:
    """Return whether the engine writes a reply."""

    def slots() -> list[dict[str, bool]]:
        with urlopen(f"{engine_url}/slots", timeout=10) as response:
            found: list[dict[str, bool]] = json.load(response)
        return found

    return any(slot["is_processing"] for slot in await asyncio.to_thread(slots))


async def becomes_free(engine_url: str) -> None:
    """Return when the engine writes nothing."""
    while await is_busy(engine_url):
        await asyncio.sleep(0.05)  # noqa: ASYNC110 - the engine is another process


def test_the_tokens_of_a_real_model_stream_and_are_the_reply_of_invoke(model: ChatDarkAI) -> None:
    question = "Name three colours."
    chunks = [chunk for chunk in model.stream(question) if chunk.text]
    assert len(chunks) > 3
    assert "".join(chunk.text for chunk in chunks) == model.invoke(question).text


def test_the_token_counts_of_a_real_engine_are_the_usage(model: ChatDarkAI) -> None:
    usage = model.bind(max_tokens=7).invoke("Write a long story about a river.").usage_metadata
    assert usage is not None
    assert usage["output_tokens"] == 7
    assert 5 < usage["input_tokens"] < 100
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_stop_sequence_ends_the_reply_of_a_real_model(model: ChatDarkAI) -> None:
    question = "Name three colours."
    whole = model.invoke(question).text
    stop = whole[len(whole) // 2 :].split()[1]
    stopped = model.invoke(question, stop=[stop]).text
    assert stopped == whole[: whole.index(stop)].rstrip() or stopped == whole[: whole.index(stop)]


@pytest.mark.parametrize("end", ["cancel", "leave"])
async def test_a_call_that_is_given_up_frees_a_real_engine(model: ChatDarkAI, engine_url: str, end: str) -> None:
    endless = model.bind(max_tokens=LONG_REPLY, stop=["no model writes this"])
    stream = endless.astream("Count from 1 to 1000: 1, 2, 3, 4,")
    assert isinstance(await anext(stream), AIMessageChunk)
    assert await is_busy(engine_url)
    if end == "leave":
        await stream.aclose()  # type: ignore[attr-defined]
    else:
        rest = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        rest.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await rest
    await asyncio.wait_for(becomes_free(engine_url), 20)
    assert (await model.ainvoke("Name three colours.")).text


def test_a_real_model_fills_a_small_schema(model: ChatDarkAI) -> None:
    answer = model.model_copy(update={"max_reasks": 3}).with_structured_output(City).invoke("Paris is in France.")
    assert isinstance(answer, City)


def test_a_real_model_makes_a_call_that_is_forced(model: ChatDarkAI) -> None:
    forced = model.bind_tools([get_weather], tool_choice="any")
    reply = forced.invoke("What is the weather in Paris?")
    assert [call["name"] for call in reply.tool_calls] == ["get_weather"]
    assert isinstance(reply.tool_calls[0]["args"]["city"], str)
