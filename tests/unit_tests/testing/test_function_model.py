"""A model that is a function: every kind of function, by every way to call it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.exceptions import ModelRateLimitError
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from pydantic import BaseModel

from langchain_darkai import ChatDarkAI, DarkAIRateLimitError
from langchain_darkai.testing import FunctionChatModel
from tests.support.asker import Asker


def whole(messages: list[BaseMessage], tools: list[Any]) -> str:
    return f"You said: {messages[-1].text}"


def pieces(messages: list[BaseMessage], tools: list[Any]) -> Iterator[str]:
    yield "You said: "
    yield messages[-1].text


async def later(messages: list[BaseMessage], tools: list[Any]) -> AIMessage:
    await asyncio.sleep(0)
    return AIMessage(f"You said: {messages[-1].text}")


async def pieces_later(messages: list[BaseMessage], tools: list[Any]) -> AsyncIterator[AIMessageChunk]:
    yield AIMessageChunk(content="You said: ")
    await asyncio.sleep(0)
    yield AIMessageChunk(content=messages[-1].text)


def weather(city: str) -> str:
    """Tell the weather."""
    return city


@pytest.mark.parametrize("function", [whole, pieces, later, pieces_later])
async def test_any_function_makes_the_reply(ask: Asker, function: Any) -> None:
    model = FunctionChatModel(function)
    chunks = await ask.chunks(model)
    assert "".join(chunk.text for chunk in chunks) == "You said: Hi"
    if ask.streams:
        texts = [chunk.text for chunk in chunks if chunk.text]
        assert texts == (["You said: ", "Hi"] if "pieces" in function.__name__ else ["You said: Hi"])
    assert [call.messages for call in model.calls] == [[HumanMessage("Hi")]]


async def test_a_generator_ends_with_the_stream_that_is_left() -> None:
    ended = []

    async def pieces_for_ever(messages: list[BaseMessage], tools: list[Any]) -> AsyncIterator[str]:
        try:
            while True:
                yield "again "
        finally:
            ended.append(True)

    async for chunk in FunctionChatModel(pieces_for_ever).astream("Hi"):
        assert chunk.text == "again "
        break
    for _ in range(10):
        await asyncio.sleep(0)  # LangChain leaves the generator to the event loop
    assert ended == [True]


async def test_a_message_keeps_all_that_it_has(ask: Asker) -> None:
    usage: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    call = {"name": "weather", "args": {"city": "Paris"}, "id": "call_1", "type": "tool_call"}
    given = AIMessage("Let me look.", tool_calls=[call], usage_metadata=usage, response_metadata={"a": "b"})
    message = await ask(FunctionChatModel(lambda messages, tools: given))
    assert (message.text, message.tool_calls, message.usage_metadata) == ("Let me look.", [call], usage)
    assert message.response_metadata["a"] == "b"


async def test_the_function_gets_the_tools_that_are_bound(ask: Asker) -> None:
    def names(messages: list[BaseMessage], tools: list[dict[str, Any]]) -> str:
        return ", ".join(f"{tool['name']}: {tool['description']}" for tool in tools)

    model = FunctionChatModel(names)
    bound = model.bind_tools([weather], tool_choice="any").bind(stop=["\n"])
    assert (await ask(bound)).text == "weather: Tell the weather."
    [call] = model.calls
    assert call.tools[0]["parameters"]["required"] == ["city"]
    assert call.options == {"tool_choice": "any", "stop": ["\n"]}


async def test_what_the_function_raises_comes_out(ask: Asker) -> None:
    def refuse(messages: list[BaseMessage], tools: list[Any]) -> str:
        raise DarkAIRateLimitError("slow down")

    with pytest.raises(ModelRateLimitError, match="slow down"):
        await ask(FunctionChatModel(refuse))


async def test_a_reply_of_another_type_is_refused(ask: Asker) -> None:
    with pytest.raises(TypeError, match="Return a string or an AIMessage"):
        await ask(FunctionChatModel(lambda messages, tools: [42]))


async def test_structured_output_is_a_call_of_the_function() -> None:
    class City(BaseModel):
        name: str

    def fill(messages: list[BaseMessage], tools: list[dict[str, Any]]) -> AIMessage:
        return AIMessage("", tool_calls=[{"name": tools[0]["name"], "args": {"name": "Paris"}, "id": "1"}])

    assert await FunctionChatModel(fill).with_structured_output(City).ainvoke("Where?") == City(name="Paris")


async def test_it_stands_behind_the_model_of_the_package() -> None:
    def call_once(messages: list[BaseMessage], tools: list[dict[str, Any]]) -> AIMessage:
        return AIMessage("", tool_calls=[{"name": tools[0]["name"], "args": {"city": "Paris"}, "id": "1"}])

    message = await ChatDarkAI.over(FunctionChatModel(call_once)).bind_tools([weather]).ainvoke("Weather?")
    assert [call["args"] for call in message.tool_calls] == [{"city": "Paris"}]
