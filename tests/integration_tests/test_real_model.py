"""A real model, SmolLM2 of 135M parameters on llama.cpp, behind the local server: what it writes reaches the caller.

What the model knows is no part of it: the tests ask for what every model can do.
"""

import asyncio
import gc
import json
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Literal, cast
from urllib.request import urlopen

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer
from langchain_darkai.server.llama_cpp import ChatLlamaCpp
from tests.support import engine

pytestmark = pytest.mark.slow

ENDLESS = "Count from 1 to 1000: 1, 2, 3, 4,"
LONG_REPLY = 3900  # tokens; one thread writes them in longer than PATIENCE
PATIENCE = 10.0  # seconds
COUNTS: tuple[Literal["input_tokens", "output_tokens", "total_tokens"], ...]
COUNTS = ("input_tokens", "output_tokens", "total_tokens")


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
def backend(engine_url: str) -> ChatOpenAI:
    return ChatOpenAI(
        model="smollm2",
        base_url=f"{engine_url}/v1",
        api_key=SecretStr("none"),
        temperature=0,
        max_retries=0,
        stream_usage=True,
        extra_body={"cache_prompt": False},  # what comes of half a prompt in the cache differs by a rounding
    )


@pytest.fixture(scope="module")
def server(backend: ChatOpenAI) -> Iterator[LocalServer]:
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


async def becomes(engine_url: str, *, busy: bool) -> None:
    """Return when the engine writes a reply, or no more; fail if that takes much longer than to notice the caller."""

    async def wait() -> None:
        while await is_busy(engine_url) != busy:  # noqa: ASYNC110 - the engine is another process
            await asyncio.sleep(0.02)

    await asyncio.wait_for(wait(), PATIENCE)


def test_the_tokens_of_a_real_model_stream_and_are_the_reply_of_invoke(model: ChatDarkAI) -> None:
    question = "Name three colours."
    chunks = [chunk for chunk in model.stream(question) if chunk.text]
    assert len(chunks) > 3
    assert "".join(chunk.text for chunk in chunks) == model.invoke(question).text


def test_the_token_counts_of_a_real_engine_are_the_usage(model: ChatDarkAI, backend: ChatOpenAI) -> None:
    question = "Write a long story about a river."
    usage = model.invoke(question, max_tokens=7).usage_metadata
    counted = backend.model_copy(update={"max_tokens": 7}).invoke(question).usage_metadata
    assert usage is not None
    assert counted is not None
    assert [usage[name] for name in COUNTS] == [counted[name] for name in COUNTS]
    assert usage["output_tokens"] == 7


async def test_a_stop_sequence_ends_the_reply_of_a_real_model(model: ChatDarkAI, engine_url: str) -> None:
    whole = (await model.ainvoke("Name three colours.")).text
    before, stop, _ = whole.partition(".")
    reply = await model.ainvoke("Name three colours.", stop=[stop], max_tokens=LONG_REPLY)
    assert reply.text == before
    await becomes(engine_url, busy=False)


async def test_a_call_that_is_cancelled_frees_a_real_engine(model: ChatDarkAI, engine_url: str) -> None:
    call = asyncio.ensure_future(model.ainvoke(ENDLESS, max_tokens=LONG_REPLY))
    await becomes(engine_url, busy=True)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await becomes(engine_url, busy=False)
    assert (await model.ainvoke("Name three colours.")).text


async def test_a_stream_that_is_left_frees_a_real_engine(model: ChatDarkAI, engine_url: str) -> None:
    async with aclosing(
        cast("AsyncGenerator[AIMessageChunk]", model.astream(ENDLESS, max_tokens=LONG_REPLY))
    ) as stream:
        await anext(stream)
        await becomes(engine_url, busy=True)
    await becomes(engine_url, busy=False)
    assert (await model.ainvoke("Name three colours.")).text


def test_a_real_model_fills_a_small_schema(model: ChatDarkAI) -> None:
    structured = model.model_copy(update={"max_reasks": 3}).with_structured_output(City)
    answer = structured.invoke("Give the name and the country of this city: Paris is in France.")
    assert isinstance(answer, City)


def test_a_real_model_makes_a_call_that_is_forced(model: ChatDarkAI) -> None:
    forced = model.bind_tools([get_weather], tool_choice="any")
    reply = forced.invoke("What is the weather in Paris?")
    assert [call["name"] for call in reply.tool_calls] == ["get_weather"]
    assert reply.tool_calls[0]["args"].keys() == {"city"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody closes the class's connections
def test_an_engine_in_this_process_ends_with_its_model() -> None:
    weights = engine.small_weights()
    if weights is None:
        pytest.skip("there is no engine")  # `make test` says so
    model = ChatLlamaCpp.of_file(weights, threads=1, context=512, temperature=0)
    port = int(str(model.openai_api_base).rpartition(":")[2].removesuffix("/v1"))
    with LocalServer(model) as server:
        assert ChatDarkAI(base_url=server.url, max_retries=0, max_tokens=5).invoke("Say hello.").text
    del model, server
    gc.collect()
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("city", ["Paris", "Oslo", "Rome"])
def test_a_real_engine_makes_a_forced_call_by_its_schema(backend: ChatOpenAI, city: str) -> None:
    model = ChatDarkAI.over(backend, native="schema", max_reasks=0, max_tokens=60)
    [call] = model.bind_tools([get_weather], tool_choice="any").invoke(f"What is the weather in {city}?").tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": city})
