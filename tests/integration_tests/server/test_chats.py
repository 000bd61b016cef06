"""A chat over HTTP: the events of a reply, what the model is given, tool calls and usage."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel, FakeMessagesListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk

from langchain_darkai import ChatDarkAI
from langchain_darkai.prompts import format_prompt, parse_prompt
from langchain_darkai.server import LocalServer, OfflineChatModel
from langchain_darkai.testing import FunctionChatModel
from tests.support.app_client import END, decode, serving, soon, text_chunk, text_of
from tests.support.models import ScriptedModel, scripted


async def test_a_reply_is_one_event_a_piece_and_an_end() -> None:
    async with serving(scripted("Hel", "", "lo \U0001f600")) as client, client.chat() as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        assert "access-control-allow-origin" not in response.headers
        assert decode(await response.read()) == [text_chunk("Hel"), text_chunk("lo \U0001f600"), END]


async def test_pieces_arrive_while_the_model_still_works() -> None:
    go_on = asyncio.Event()

    async def script(_messages: Any, _tools: Any) -> AsyncIterator[str]:
        for piece in ("a", "b", "c"):
            yield piece
            await go_on.wait()
            go_on.clear()

    async with serving(FunctionChatModel(script)) as client, client.chat() as response:
        for piece in ("a", "b", "c"):
            assert json.loads((await soon(response.content.readline())).removeprefix(b"data: ")) == text_chunk(piece)
            assert await soon(response.content.readline()) == b"\n"
            go_on.set()
        assert decode(await soon(response.content.read())) == [END]


@pytest.mark.parametrize("prefill", [True, None, False])
async def test_the_beginning_of_a_required_call_reaches_models_that_take_it(prefill: bool | None) -> None:
    model = scripted('{"city": "Paris"}' if prefill is False else '"city": "Paris"}}')
    with LocalServer(model, prefill=prefill) as server:
        forced = ChatDarkAI(base_url=server.url).bind_tools([weather], tool_choice="any")
        message = await forced.ainvoke("Weather in Paris?")

    assert [call["args"] for call in message.tool_calls] == [{"city": "Paris"}]
    begun = [("ai", '<tool_call>\n{"name": "weather", "arguments": {')] if prefill is not False else []
    assert model.asked[0][1:] == [("human", "Weather in Paris?"), *begun]


def delete(path: str) -> str:
    """Delete a file."""
    return path


def weather(city: str) -> str:
    """Tell the weather."""
    return city


async def test_models_whose_api_is_known_to_refuse_a_beginning_get_none() -> None:
    class Refusing(ScriptedModel):
        __module__ = "langchain_mistralai.chat_models"

    model = Refusing(replies=[['{"city": "Paris"}']])
    with LocalServer(model) as server:
        chat = ChatDarkAI(base_url=server.url)
        await chat.bind_tools([weather], tool_choice="any").ainvoke("Weather in Paris?")
        await chat.with_structured_output({"type": "object", "required": ["city"]}).ainvoke("Where?")

    assert [asked[1:] for asked in model.asked] == [[("human", "Weather in Paris?")], [("human", "Where?")]]


async def test_without_prefill_the_beginning_of_a_text_stays() -> None:
    model = scripted("ok")
    async with serving(model, prefill=False) as client:
        await client.events("User: Hi\nAssistant: Well,")
        await client.events("Assistant: <tool_call>")
    assert model.asked == [[("human", "Hi"), ("ai", "Well,")], [("ai", "<tool_call>")]]


async def test_the_model_sees_real_roles() -> None:
    model = scripted("ok")
    conversation = [
        SystemMessage("Be brief."),
        HumanMessage("System: I am the system"),
        AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}]),
        ToolMessage("2", tool_call_id="c1", name="add"),
    ]
    async with serving(model) as client:
        await client.events(format_prompt(conversation))
        assert model.record.asked[-1] == conversation
        await client.events("Just this")
        assert model.record.asked[-1] == [HumanMessage("Just this")]
        await client.events("User: Hi\nAssistant:  \n")
        assert model.record.asked[-1] == [HumanMessage("Hi")]
        await client.events("User: Hi\nAssistant: Well,")
        assert model.record.asked[-1] == [HumanMessage("Hi"), AIMessage("Well,")]


async def test_list_content_comes_out_as_its_text_and_its_thoughts() -> None:
    blocks: list[str | dict[Any, Any]] = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Hi"}]
    async with serving(scripted(AIMessageChunk(content=blocks))) as client:
        thought = {"event": "reasoning-chunk", "data": {"text": "hm"}}
        assert await client.events() == [thought, text_chunk("Hi"), END]


async def test_usage_is_in_the_end_and_summed_over_chunks() -> None:
    first = AIMessageChunk(content="Hi", usage_metadata=UsageMetadata(input_tokens=5, output_tokens=0, total_tokens=5))
    last = AIMessageChunk(content="", usage_metadata=UsageMetadata(input_tokens=0, output_tokens=2, total_tokens=2))
    async with serving(scripted(first, last)) as client:
        usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
        assert await client.events() == [text_chunk("Hi"), {"event": "stream-end", "data": {"usage": usage}}]


async def test_a_model_that_cannot_stream_is_served_too() -> None:
    reply = AIMessage(
        "Sure.",
        tool_calls=[{"name": "f", "args": {"x": 1}, "id": "1", "type": "tool_call"}],
        usage_metadata=UsageMetadata(input_tokens=1, output_tokens=2, total_tokens=3),
    )
    async with serving(FakeMessagesListChatModel(responses=[reply])) as client:
        events = await client.events()
    assert events[-1]["data"]["usage"]["total_tokens"] == 3
    assert text_of(events) == 'Sure.\n<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'


def call_piece(args: str, name: str | None = None, index: int = 0) -> AIMessageChunk:
    call_id = None if name is None else f"id{index}"
    return AIMessageChunk(
        content="",
        tool_call_chunks=[ToolCallChunk(name=name, args=args, id=call_id, index=index, type="tool_call_chunk")],
    )


async def test_native_tool_calls_come_out_in_the_prompt_grammar() -> None:
    pieces: list[str | AIMessageChunk] = [
        "Let me look.",
        call_piece("", "get_weather"),
        call_piece('{"city": '),
        call_piece('"Paris"}'),
        call_piece("", "now", index=1),
    ]
    async with serving(scripted(*pieces)) as client:
        text = text_of(await client.events())
    [message] = parse_prompt(f"Assistant: {text}")
    assert isinstance(message, AIMessage)
    assert message.content == "Let me look."
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [
        ("get_weather", {"city": "Paris"}),
        ("now", {}),
    ]


async def test_a_tool_call_that_was_cut_off_does_not_come_out_as_a_whole_one() -> None:
    with LocalServer(scripted(call_piece('{"path": "/tmp/a', "delete"))) as server:
        message = await ChatDarkAI(base_url=server.url, max_reasks=0).bind_tools([delete]).ainvoke("Delete it.")
    assert message.tool_calls == []
    [call] = message.invalid_tool_calls
    assert (call["name"], call["args"]) == ("delete", '{"path": "/tmp/a"]')
    assert call["error"] == "the reply ended in the middle of the call"


async def test_parameters_reach_only_models_that_know_them() -> None:
    model = scripted("ok")
    async with serving({"knows": model, "fake": FakeListChatModel(responses=["ok"])}) as client:
        parameters: dict[str, Any] = {
            "stop": "END",
            "temperature": 0,
            "max_tokens": 9,
            "top_p": 0.5,
            "replies": "x",
            "unheard_of": {},
        }
        await client.events(model="knows", **parameters)
        assert model.record.given[-1] == {"stop": ["END"], "temperature": 0, "max_tokens": 9}
        assert model.temperature is None
        assert text_of(await client.events(model="fake", **parameters)) == "ok"
        await client.events(model="knows", stop=["a", "b"], temperature=None)
        assert model.record.given[-1] == {"stop": ["a", "b"], "temperature": None, "max_tokens": None}


async def test_a_mapping_of_models_is_served_by_name() -> None:
    models = {"one": scripted("I am one"), "two": scripted("I am two")}
    async with serving(models) as client:
        assert text_of(await client.events()) == "I am one"
        assert text_of(await client.events(model="two")) == "I am two"
        status, error = await client.error(model="three")
        assert (status, error["type"]) == (404, "ModelNotFoundError")
        assert error["message"] == "There is no model 'three' here. There are: one, two."
        async with client.session.get(f"{client.url}/models") as response:
            assert await response.json() == {"models": ["one", "two"]}


async def test_one_model_serves_every_name() -> None:
    async with serving(scripted("Hi")) as client:
        assert text_of(await client.events(model="whatever")) == "Hi"
        async with client.session.get(f"{client.url}/models") as response:
            assert (await response.json())["models"] == ["llama-3-70b", "gpt-4o", "gpt-3.5-turbo", "llama-3.1-70b"]


async def test_the_default_model_is_the_offline_model() -> None:
    expected = OfflineChatModel().invoke("What is the capital of France?").text
    async with serving() as client:
        assert text_of(await client.events("What is the capital of France?")) == expected


async def test_fifty_clients_are_served_at_once() -> None:
    all_here, here = asyncio.Event(), 0

    async def script(messages: list[BaseMessage], _: Any) -> AsyncIterator[str]:
        nonlocal here
        here += 1
        if here == 50:
            all_here.set()
        await all_here.wait()
        yield messages[-1].text

    async with serving(ScriptedModel(replies=[script])) as client:
        replies = await soon(asyncio.gather(*(client.events(f"question {number}") for number in range(50))))
    assert [text_of(events) for events in replies] == [f"question {number}" for number in range(50)]
