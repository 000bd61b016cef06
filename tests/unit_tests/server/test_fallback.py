"""Models that are asked in order, by each entry point, with tools and with schemas."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.exceptions import ModelAPIError, ModelInvalidRequestError, ModelRateLimitError
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import Runnable
from langchain_core.tools import tool

from langchain_darkai import DarkAIAPIError, DarkAIRateLimitError
from langchain_darkai.server.fallback import FallbackChatModel
from tests.support.models import GeneratingModel, ScriptedModel, SyncStreamingModel, scripted


def of(*models: Any) -> FallbackChatModel:
    return FallbackChatModel(name="chat", models={f"model {number}": model for number, model in enumerate(models, 1)})


async def ainvoke(model: Runnable[Any, Any]) -> Any:
    return (await model.ainvoke("Hi")).text


async def astream(model: Runnable[Any, Any]) -> Any:
    return "".join([chunk.text async for chunk in model.astream("Hi")])


async def invoke(model: Runnable[Any, Any]) -> Any:
    return model.invoke("Hi").text


async def stream(model: Runnable[Any, Any]) -> Any:
    return "".join(chunk.text for chunk in model.stream("Hi"))


ENTRIES = [
    pytest.param(ainvoke, GeneratingModel, id="ainvoke"),
    pytest.param(astream, ScriptedModel, id="astream"),
    pytest.param(astream, GeneratingModel, id="astream without code for it"),
    pytest.param(invoke, GeneratingModel, id="invoke"),
    pytest.param(stream, SyncStreamingModel, id="stream"),
    pytest.param(stream, GeneratingModel, id="stream without code for it"),
]


@pytest.mark.parametrize(("ask", "kind"), ENTRIES)
class TestByEachEntry:
    async def test_the_first_that_answers_does(self, ask: Callable[..., Any], kind: type[GeneratingModel]) -> None:
        models = [kind(replies=[[ConnectionResetError()]]), kind(replies=[["Hel", "lo"]]), kind(replies=[["never"]])]
        assert await ask(of(*models)) == "Hello"
        assert [len(model.record.asked) for model in models] == [1, 1, 0]

    async def test_where_all_fail_the_last_error_names_all(
        self, ask: Callable[..., Any], kind: type[GeneratingModel]
    ) -> None:
        first, second = kind(replies=[[ConnectionRefusedError(111, "?")]]), kind(replies=[[ModelAPIError("busy")]])
        with pytest.raises(DarkAIAPIError) as caught:
            await ask(of(first, second))
        assert str(caught.value) == (
            "No backend of 'chat' answered. The backend 'model 1' cannot be reached: Connection refused. "
            "Start it, or correct its URL. busy"
        )

    async def test_other_errors_go_through(self, ask: Callable[..., Any], kind: type[GeneratingModel]) -> None:
        for error in (ModelInvalidRequestError("too long"), KeyError("a fault")):
            with pytest.raises(type(error)) as caught:
                await ask(of(kind(replies=[[error]]), kind(replies=[["never"]])))
            assert caught.value is error


async def test_an_empty_chunk_is_no_beginning_and_is_not_lost() -> None:
    empty = AIMessageChunk(content="", id="first")
    broken = scripted(empty, ConnectionResetError())
    assert await astream(of(broken, scripted("Hello"))) == "Hello"
    chunks = [chunk async for chunk in of(scripted(empty, "Hel", "lo")).astream("Hi")]
    assert [chunk.text for chunk in chunks][:3] == ["", "Hel", "lo"]
    assert await astream(of(scripted(empty))) == ""


@pytest.mark.parametrize(
    "begun",
    [
        "Hel",
        AIMessageChunk(content="", tool_call_chunks=[{"name": "f", "args": "", "id": "1", "index": 0}]),
        AIMessageChunk(content=[{"type": "text", "text": "Hel"}]),
        AIMessageChunk(content="", additional_kwargs={"refusal": "No"}),
    ],
    ids=["text", "a call", "a text in a block", "a refusal"],
)
async def test_after_a_beginning_nobody_else_is_asked(begun: Any) -> None:
    second = scripted("never")
    with pytest.raises(ConnectionError, match="The backend 'model 1' broke off the connection"):
        await astream(of(scripted(begun, ConnectionResetError()), second))
    assert second.asked == []


@pytest.mark.parametrize(
    "thought",
    [
        AIMessageChunk(content="", additional_kwargs={"reasoning_content": "Hm"}),
        AIMessageChunk(content=[{"type": "thinking", "thinking": "Hm", "index": 0}]),
        AIMessageChunk(content=[{"type": "reasoning", "reasoning": "Hm", "index": 0}]),
    ],
    ids=["beside the text", "thinking", "reasoning"],
)
async def test_after_thoughts_the_next_one_is_asked_and_they_stay(thought: AIMessageChunk) -> None:
    model = of(scripted(thought, ConnectionResetError()), scripted("Hello"))
    first, *others = [chunk async for chunk in model.astream("Hi")]
    assert (first.content, first.additional_kwargs) == (thought.content, thought.additional_kwargs)
    assert "".join(chunk.text for chunk in others) == "Hello"


async def test_the_shortest_wait_of_all_is_told() -> None:
    limits = [DarkAIRateLimitError("slow down", retry_after=seconds) for seconds in (9.0, 3.0)]
    with pytest.raises(DarkAIRateLimitError) as caught:
        await ainvoke(of(*(GeneratingModel(replies=[[limit]]) for limit in limits)))
    assert caught.value.retry_after == 3.0


class ToolModel(ScriptedModel):
    """As that, with tools of its own."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, Any]:
        return self.bind(tools=[each.name for each in tools], **kwargs)

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        return self.bind(schema=schema, **kwargs) | (lambda message: {"parsed": message.text})


@tool
def get_weather(city: str) -> str:
    """Return the weather."""
    return city


async def test_tools_go_to_each_model() -> None:
    first, second = ToolModel(replies=[[ModelRateLimitError("no")]]), ToolModel(replies=[["Hello"]])
    model = of(first, second)
    assert model.profile == {"tool_calling": True}
    bound = model.bind_tools([get_weather], tool_choice="any")
    assert "".join([chunk.text async for chunk in bound.astream("Hi", stop=["x"])]) == "Hello"
    for each in (first, second):
        [given] = each.record.given
        assert (given["tools"], given["tool_choice"], given["stop"]) == (["get_weather"], "any", ["x"])


def test_a_model_that_calls_no_tools_is_no_model_for_tools() -> None:
    without = FakeListChatModel(responses=["Hello"])
    assert of(ToolModel(), without).profile == {"tool_calling": False}
    with pytest.raises(NotImplementedError):
        of(ToolModel(), without).bind_tools([get_weather])


async def test_a_schema_goes_to_each_model() -> None:
    first, second = ToolModel(replies=[[ConnectionResetError()]]), ToolModel(replies=[["Hello"]])
    structured = of(first, second).with_structured_output({"title": "A"})
    assert [part async for part in structured.astream("Hi")] == [{"parsed": "Hello"}]
    assert second.record.given[0]["schema"] == {"title": "A"}
