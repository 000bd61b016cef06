"""A reply that takes long to read: other tasks go on, and the call's timeout and its cancellation count."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable

from langchain_darkai import ChatDarkAI, DarkAITimeoutError
from langchain_darkai.protocol import StreamEnd
from tests.support.scripted_transport import ScriptedTransport

LONG = '{"type": "' + "\\u00e9" * 60_000  # held back to the end, then read again as text


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def model_of(text: str, **settings: object) -> ChatDarkAI:
    return ScriptedTransport([text, StreamEnd()]).model(**settings)


async def turns_during(task: "asyncio.Task[object]", most: int = 10_000) -> int:
    """Return how often the event loop comes round until a task is done, and no more than `most`."""
    turns = 0
    while not task.done() and turns < most:
        await asyncio.sleep(0)
        turns += 1
    return turns


async def test_the_event_loop_goes_on_while_a_long_reply_is_read() -> None:
    await model_of("first").bind_tools([add]).ainvoke("Hello")  # loads what the first call in a process loads
    short = asyncio.create_task(model_of("short").bind_tools([add]).ainvoke("Hello"))
    turns_of_short = await turns_during(short)
    long = asyncio.create_task(model_of(LONG).bind_tools([add]).ainvoke("Hello"))

    assert await turns_during(long) >= turns_of_short + 2 * len(LONG) // 16_384
    assert long.result().content == LONG


WITH_ANSWERS: dict[str, Callable[[ChatDarkAI], Runnable[LanguageModelInput, Any]]] = {
    "response_format": lambda model: model.bind(response_format={"type": "object"}),
    "with_structured_output": lambda model: model.with_structured_output({"type": "object"}),
    "response_format and tools": lambda model: model.bind_tools([add], response_format={"type": "object"}),
}


@pytest.mark.parametrize("way", WITH_ANSWERS)
async def test_the_event_loop_goes_on_while_a_long_answer_is_read(way: str) -> None:
    long_answer = '{"numbers": [' + "1," * 100_000 + "1]}"
    await WITH_ANSWERS[way](model_of('{"numbers": [1]}')).ainvoke("Hello")
    short = asyncio.create_task(WITH_ANSWERS[way](model_of('{"numbers": [1]}')).ainvoke("Hello"))
    turns_of_short = await turns_during(short)
    long = asyncio.create_task(WITH_ANSWERS[way](model_of(long_answer)).ainvoke("Hello"))

    assert await turns_during(long) >= turns_of_short + len(long_answer) // 16_384
    answer = await long
    read = json.loads(answer.text) if isinstance(answer, AIMessage) else answer
    assert read == {"numbers": [1] * 100_001}


async def test_a_call_is_cancelled_while_its_reply_is_read() -> None:
    await model_of("first").bind_tools([add]).ainvoke("Hello")
    task = asyncio.create_task(model_of(LONG).bind_tools([add]).ainvoke("Hello"))
    await turns_during(task, 14)
    task.cancel()

    assert await turns_during(task) < 5
    assert task.cancelled()


async def drain(model: Runnable[LanguageModelInput, AIMessage]) -> None:
    async for _ in model.astream("Hello"):
        pass


WAYS: dict[str, Callable[[Runnable[LanguageModelInput, AIMessage]], Awaitable[object]]] = {
    "invoke": lambda model: asyncio.to_thread(model.invoke, "Hello"),
    "ainvoke": lambda model: model.ainvoke("Hello"),
    "astream": drain,
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_reply_that_takes_longer_to_read_than_the_call_may_take_is_a_timeout(way: str) -> None:
    text = "word ` word\n\n" * 20_000
    model = model_of(text, timeout=0.01).bind_tools([add])

    with pytest.raises(DarkAITimeoutError, match="while its reply was read") as caught:
        await WAYS[way](model)
    assert caught.value.partial_text == text


async def test_a_slow_consumer_of_a_stream_is_no_timeout() -> None:
    model = model_of("one ` two", timeout=0.02).bind_tools([add])
    async for _ in model.astream("Hello"):
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("tools", [[], [add]])
async def test_the_text_of_a_long_read_is_one_chunk(tools: list[Any]) -> None:
    text = "All work and no play. " * 10_000
    model = model_of(text)
    stream = (model.bind_tools(tools) if tools else model).astream("Hello")
    texts = [chunk.content async for chunk in stream if isinstance(chunk, AIMessageChunk) and chunk.content]

    assert [str(part).strip() for part in texts if str(part).strip()] == [text.strip()]
