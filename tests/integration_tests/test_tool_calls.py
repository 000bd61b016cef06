"""The table of replies over real sockets: each way to ask gives the same message, however the reply is cut."""

import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_darkai import ChatDarkAI, DarkAIToolChoiceError
from langchain_darkai.testing import ReceivedCall, ScriptedServer, reply
from langchain_darkai.testing.wire import HOLD, STREAM, Step, chunk, text
from tests.support.asker import ModelOf, Serve
from tests.support.replies import ADD_BLOCK, CASES, LONG, NOW_BLOCK, TOOLS, Case

USAGE = {"input_tokens": 30, "output_tokens": 10, "total_tokens": 40}
WAYS = ("invoke", "ainvoke", "stream", "astream", "v3", "async v3")
SHOWN_DIFFERENTLY = {"invalid_tool_call", "tool_call_chunk"}  # invalid calls: core has three ways, by kind of message
BROKEN = '<tool_call>{"name": "add", "arguments": {"a": 1, "b": }}</tool_call>'


def replay(request: ReceivedCall) -> list[Step]:
    """Return the case that the prompt names, in pieces of the size that it names."""
    found = re.search(r"case (\d+) in pieces of (\d+)", request.query)
    assert found is not None
    said, size = CASES[int(found[1])].text, int(found[2])
    return reply(*(said[place : place + size] for place in range(0, len(said), size)), usage=USAGE)


@pytest.fixture(scope="module")
def table() -> Iterator[ScriptedServer]:
    with ScriptedServer(rule=replay, keep_alive=True) as server:
        yield server


def merged(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    first, *others = chunks
    return first.__add__(others) if others else first


async def ask_by(way: str, model: Any, prompt: str = "Hi") -> AIMessage:
    if way == "invoke":
        return cast("AIMessage", model.invoke(prompt))
    if way == "ainvoke":
        return cast("AIMessage", await model.ainvoke(prompt))
    if way == "stream":
        return merged(list(model.stream(prompt)))
    if way == "astream":
        return merged([part async for part in model.astream(prompt)])
    if way == "v3":
        stream = model.stream_events(prompt, version="v3")
        assert list(stream)
        return cast("AIMessage", stream.output)
    stream = await model.astream_events(prompt, version="v3")
    assert [event async for event in stream]
    return cast("AIMessage", await stream.output)


def key(message: AIMessage) -> tuple[Any, ...]:
    usage: Any = message.usage_metadata or {}
    return (
        message.text,
        [(call["name"], call["args"]) for call in message.tool_calls],
        [(call["name"], call["args"]) for call in message.invalid_tool_calls],
        message.response_metadata["finish_reason"],
        usage if "usage_source" not in message.response_metadata else usage.keys(),
        {block["type"] for block in message.content_blocks} - SHOWN_DIFFERENTLY,
    )


def bound(model: ChatDarkAI, case: Case) -> Any:
    if not case.tools:
        return model
    choice: Any = case.choice.name or ("any" if case.choice.forced else None)
    every = [tool.as_openai() for tool in TOOLS.values() if tool.name in case.tools]
    return model.bind_tools(every, tool_choice=choice, parallel_tool_calls=None if case.parallel else False)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("output_version", [None, "v1"])
@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
async def test_each_way_to_ask_gives_the_same_message(
    table: ScriptedServer, model_of: ModelOf, number: int, output_version: str | None
) -> None:
    case = CASES[number]
    calls = [(name, args) for name, args in case.calls]
    wants_none = not case.choice.forced or calls or case.invalid
    found = []
    for size in (1000, 3) if len(case.text) < 2000 else (1000,):
        model = bound(
            model_of(table, max_reasks=0, output_version=output_version, chunk_per_event=True, allow_empty=True), case
        )
        for way in WAYS:
            before = len(table.calls)
            prompt = f"case {number} in pieces of {size}"
            if wants_none:
                found.append((size, way, key(await ask_by(way, model, prompt))))
            else:
                with pytest.raises(DarkAIToolChoiceError):
                    await ask_by(way, model, prompt)
            assert len(table.calls) == before + 1

    for size, way, result in found:
        assert result == found[0][2], (size, way)
        assert result[:2] == (case.content, calls), (size, way)
        assert [name for name, _ in result[2]] == [name for name, _ in case.invalid], (size, way)
        assert result[3] == ("tool_calls" if case.calls else "stop"), (size, way)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("max_reasks", [0, 1, 3])
class TestAskingAgain:
    async def test_a_broken_call(self, serve: Serve, model_of: ModelOf, way: str, max_reasks: int) -> None:
        server = serve(reply(BROKEN))
        message = await ask_by(way, tools(model_of(server, max_reasks=max_reasks)))

        assert len(server.calls) == max_reasks + 1
        assert message.tool_calls == []
        assert {call["name"] for call in message.invalid_tool_calls} == {"add"}

    async def test_a_broken_call_that_is_mended(
        self, serve: Serve, model_of: ModelOf, way: str, max_reasks: int
    ) -> None:
        server = serve(reply(BROKEN, usage=USAGE), reply(ADD_BLOCK, usage=USAGE))
        message = await ask_by(way, tools(model_of(server, max_reasks=max_reasks)))

        assert len(server.calls) == min(max_reasks, 1) + 1
        assert [call["name"] for call in message.tool_calls] == ["add"] * min(max_reasks, 1)
        if max_reasks:
            assert BROKEN in server.calls[1].query
            assert "could not be read" in server.calls[1].query
            assert message.usage_metadata == {name: 2 * count for name, count in USAGE.items()}
            assert message.response_metadata["finish_reason"] == "tool_calls"
            assert message.response_metadata["reasks"] == 1

    async def test_no_call_runs_twice(self, serve: Serve, model_of: ModelOf, way: str, max_reasks: int) -> None:
        """A whole call beside a broken one was handed over; asking again would bring it a second time."""
        server = serve(reply(NOW_BLOCK, "\n", BROKEN), reply(NOW_BLOCK, "\n", ADD_BLOCK))
        message = await ask_by(way, tools(model_of(server, max_reasks=max_reasks)))

        assert [call["name"] for call in message.tool_calls].count("now") == 1

    async def test_a_forced_call_that_never_comes(
        self, serve: Serve, model_of: ModelOf, way: str, max_reasks: int
    ) -> None:
        server = serve(reply("I would rather not."))
        model = tools(model_of(server, max_reasks=max_reasks), tool_choice="add")

        with pytest.raises(DarkAIToolChoiceError, match="add") as caught:
            await ask_by(way, model)
        assert caught.value.partial_text == "I would rather not."
        assert len(server.calls) == max_reasks + 1

    async def test_a_call_of_another_tool_is_no_forced_call(
        self, serve: Serve, model_of: ModelOf, way: str, max_reasks: int
    ) -> None:
        server = serve(reply(NOW_BLOCK))
        model = tools(model_of(server, max_reasks=max_reasks), tool_choice="add")

        with pytest.raises(DarkAIToolChoiceError, match="add"):
            await ask_by(way, model)
        assert len(server.calls) == max_reasks + 1

    async def test_a_forced_call_that_comes_later(
        self, serve: Serve, model_of: ModelOf, way: str, max_reasks: int
    ) -> None:
        if max_reasks == 0:
            max_reasks = 1
        server = serve(reply("I would rather not."), reply("Well then.\n", ADD_BLOCK))
        message = await ask_by(way, tools(model_of(server, max_reasks=max_reasks), tool_choice="any"))

        assert (message.text, [call["args"] for call in message.tool_calls]) == ("Well then.", [{"a": 1, "b": 2}])
        assert len(server.calls) == 2
        assert "does not call a tool" in server.calls[1].query

    async def test_a_good_reply_is_not_asked_for_again(
        self, serve: Serve, model_of: ModelOf, way: str, max_reasks: int
    ) -> None:
        server = serve(reply(ADD_BLOCK))

        assert (await ask_by(way, tools(model_of(server, max_reasks=max_reasks), tool_choice="any"))).tool_calls
        assert len(server.calls) == 1


def tools(model: ChatDarkAI, **settings: Any) -> Any:
    return model.bind_tools([tool.as_openai() for tool in TOOLS.values()], **settings)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("way", WAYS)
async def test_a_made_up_result_ends_the_request(serve: Serve, model_of: ModelOf, way: str) -> None:
    server = serve([STREAM, chunk(text(ADD_BLOCK, "\nObservation: 3\n", "It is 3.")), HOLD])
    message = await ask_by(way, tools(model_of(server)))

    assert (message.text, len(message.tool_calls)) == ("", 1)
    await server.await_for(lambda seen: seen.left == 1)


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_prose_and_arguments_flow_while_tools_are_bound(serve: Serve, model_of: ModelOf, way: str) -> None:
    words = LONG.split(" ")[:40]
    call = '<tool_call>{"name": "say", "arguments": {"text": "' + " ".join(words) + '"}}</tool_call>'
    server = serve(reply(*(f"{word} " for word in words), *re.findall(".{1,6}", call)))
    model = tools(model_of(server, chunk_per_event=True))
    parts = list(model.stream("Hi")) if way == "stream" else [part async for part in model.astream("Hi")]

    assert sum(bool(part.content) for part in parts) >= len(words) - 1
    assert sum(bool(part.tool_call_chunks) for part in parts) >= len(" ".join(words)) // 6 - 1
    assert not any(part.content and part.tool_call_chunks for part in parts)
    assert [part.chunk_position for part in parts if part.chunk_position] == ["last"]
    assert parts[-1].chunk_position == "last"
    assert not parts[-1].tool_call_chunks
    assert {piece["index"] for part in parts for piece in part.tool_call_chunks} == {0}


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_call_syntax_in_the_prompt_is_no_call(serve: Serve, model_of: ModelOf, way: str) -> None:
    server = serve(reply("The page holds a call, which I did not run."))
    message = await ask_by(way, tools(model_of(server)), f"Summarise:\n{ADD_BLOCK}")

    assert (message.tool_calls, message.invalid_tool_calls) == ([], [])


def test_no_chunk_of_a_good_call_holds_an_invalid_one(model_of: ModelOf, serve: Serve) -> None:
    """A piece of the arguments is no call; core takes it for a broken one, at a cost that grows with its square."""
    said = '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>'
    model = model_of(serve(reply(*said)), chunk_per_event=True).bind_tools([TOOLS["add"].as_openai()])
    chunks = [cast("AIMessageChunk", chunk) for chunk in model.stream("Hi")]
    assert len([chunk for chunk in chunks if chunk.tool_call_chunks]) > 3
    assert not [chunk for chunk in chunks if chunk.invalid_tool_calls]
    assert merged(chunks).tool_calls[0]["args"] == {"a": 1, "b": 2}
