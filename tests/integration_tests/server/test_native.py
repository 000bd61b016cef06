"""Models with tools, JSON and thoughts of their own behind the server: the same for the caller as prompted ones."""

import threading
from itertools import accumulate
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata

from langchain_darkai import ChatDarkAI
from langchain_darkai.errors import DarkAIEmptyResponseError, DarkAIRefusalError
from langchain_darkai.server import LocalServer, create_app
from tests.support.native import NativeModel, TextModel, call_chunk

WHERE = {"city": "Paris"}


def weather(city: str) -> str:
    """Tell the weather."""
    return city


def native(*pieces: Any, **fields: Any) -> NativeModel:
    return NativeModel(replies=[pieces], **fields)


def chat(server: LocalServer, **settings: Any) -> ChatDarkAI:
    return ChatDarkAI(base_url=server.url, max_reasks=0, **settings)


async def test_a_native_call_is_a_call_as_any_other() -> None:
    model = native("Let me look.", call_chunk("", "weather"), call_chunk('{"city": '), call_chunk('"Paris"}'))
    with LocalServer(model) as server:
        message = await chat(server).bind_tools([weather]).ainvoke([("system", "Be brief."), ("user", "Weather?")])
    assert message.content == "Let me look."
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [("weather", WHERE)]
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert model.last_asked == [("system", "Be brief."), ("human", "Weather?")]
    [[tool]] = model.given("tools")
    assert tool["function"]["name"] == "weather"


async def test_arguments_stream_on_while_the_model_writes_them() -> None:
    texts = ['{"city": "P', "ari", 's"}']
    seen = [threading.Event() for _ in texts]
    pieces = [piece for text, event in zip(texts, seen, strict=True) for piece in (call_chunk(text), event)]
    arguments: list[str] = []
    with LocalServer(native(call_chunk("", "weather"), *pieces)) as server:
        async for chunk in chat(server).bind_tools([weather]).astream("Weather?"):
            assert isinstance(chunk, AIMessageChunk)
            arguments += [piece["args"] for piece in chunk.tool_call_chunks if piece["args"]]
            for text, event in zip(accumulate(texts), seen, strict=True):
                if "".join(arguments).startswith(text.rstrip("}")):  # the last bracket waits for the call's end
                    event.set()
        assert "".join(arguments) == '{"city": "Paris"}'


@pytest.mark.parametrize(
    ("choice", "bound"), [("any", "weather"), ("weather", "weather"), ("auto", None), (None, None)]
)
async def test_the_choice_reaches_the_model(choice: str | None, bound: str | None) -> None:
    model = native(call_chunk('{"city": "Paris"}', "weather"))
    with LocalServer(model) as server:
        tools = chat(server).bind_tools([weather], tool_choice=choice, parallel_tool_calls=False)
        assert (await tools.ainvoke("Weather?")).tool_calls[0]["args"] == WHERE
    assert model.given("tool_choice", "parallel_tool_calls") == [bound, False]
    assert model.last_asked == [("human", "Weather?")]


async def test_the_history_is_one_of_real_calls_and_results() -> None:
    model = native("It is sunny.")
    call = {"name": "weather", "args": WHERE, "id": "call_1", "type": "tool_call"}
    conversation = [
        SystemMessage("Be brief."),
        HumanMessage("Weather?"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("sunny", tool_call_id="call_1", name="weather"),
    ]
    with LocalServer(model) as server:
        await chat(server).bind_tools([weather]).ainvoke(conversation)
    assert model.record.asked[-1] == conversation


async def test_an_answer_in_json_comes_from_the_models_own_decoding() -> None:
    model = native('{"age":', " 30}")
    schema = {"title": "Person", "type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    with LocalServer(model) as server:
        assert await chat(server).with_structured_output(schema).ainvoke("How old?") == {"age": 30}
        grown = [part async for part in chat(server).with_structured_output(schema).astream("How old?")]
    assert grown[-1] == {"age": 30}
    assert model.last_asked == [("human", "How old?")]
    assert model.given("schema")[0]["properties"] == schema["properties"]


async def test_a_forced_call_comes_as_json_where_an_engine_only_constrains() -> None:
    model = NativeModel(replies=[['{"name": "weather", ', '"arguments": {"city": "Paris"}}']])
    with LocalServer(model, native="schema") as server:
        message = await chat(server).bind_tools([weather], tool_choice="any").ainvoke("Weather?")
    assert [call["args"] for call in message.tool_calls] == [WHERE]
    assert model.given("response_format")[0]["json_schema"]["schema"]["properties"]["name"] == {"const": "weather"}


async def test_never_leaves_all_in_the_prompt_and_the_setting_can_be_by_model() -> None:
    pieces = ('<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>',)
    models = {"asked": native(*pieces), "bound": native(*pieces)}
    with LocalServer(models, native={"asked": "never"}) as server:
        for name, model in models.items():
            message = await chat(server, model=name).bind_tools([weather]).ainvoke("Weather?")
            assert message.tool_calls[0]["args"] == WHERE
            assert ("<tools>" in model.last_asked[0][1]) == (name == "asked")


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="native names 'other', which is none of the models: one"):
        create_app({"one": TextModel()}, native={"other": "never"})
    with pytest.raises(ValueError, match="TextModel has no bind_tools"):
        create_app({"one": TextModel()}, native="always")
    with pytest.raises(ValueError, match="native is 'both'"):
        create_app(native="both")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "pieces",
    [
        [AIMessageChunk(content="", additional_kwargs={"reasoning_content": "Hm, "}), "Yes", "."],
        [AIMessageChunk(content=[{"type": "thinking", "thinking": "Hm, ", "index": 0}]), "Yes", "."],
        [AIMessageChunk(content=[{"type": "reasoning", "reasoning": "Hm, "}]), "Yes", "."],
    ],
)
@pytest.mark.parametrize("reasoning", [None, True, False])
async def test_thoughts_stand_beside_the_text(pieces: list[Any], reasoning: bool | None) -> None:
    pieces = [pieces[0], pieces[0], *pieces[1:]]
    if isinstance(pieces[0].content, list) and pieces[0].content[0]["type"] == "thinking":
        for piece in pieces[:2]:
            piece.response_metadata["model_provider"] = "anthropic"
    with LocalServer(native(*pieces)) as server:
        model = chat(server, reasoning=reasoning)
        message = await model.ainvoke("Well?")
        chunks = [chunk async for chunk in model.astream("Well?")]
    thoughts = {} if reasoning is False else {"reasoning_content": "Hm, Hm, "}
    assert (message.content, message.additional_kwargs) == ("Yes.", thoughts)
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert (whole.content, whole.additional_kwargs) == ("Yes.", thoughts)


async def test_thoughts_are_blocks_of_their_own_in_v1() -> None:
    pieces = [AIMessageChunk(content="", additional_kwargs={"reasoning_content": "Hm."}), "Yes."]
    with LocalServer(native(*pieces)) as server:
        message = await chat(server, output_version="v1").ainvoke("Well?")
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"done_reason": "length"}, "length"),
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"stop_reason": "end_turn"}, "stop"),
        ({"finish_reason": "because"}, "stop"),
        ({}, "stop"),
    ],
)
async def test_why_the_model_stopped_is_in_the_metadata(metadata: dict[str, str], expected: str) -> None:
    model = native("Well", AIMessageChunk(content="", response_metadata=metadata))
    with LocalServer(model) as server:
        for message in (await chat(server).ainvoke("Hi"), [c async for c in chat(server).astream("Hi")][-1]):
            assert message.response_metadata["finish_reason"] == expected


async def test_a_reply_that_is_cut_before_its_text_is_no_error() -> None:
    thought = AIMessageChunk(content="", additional_kwargs={"reasoning_content": "Hm, hm, hm"})
    model = native(thought, AIMessageChunk(content="", response_metadata={"finish_reason": "length"}))
    with LocalServer(model) as server:
        message = await chat(server).ainvoke("Hi")
    assert (message.content, message.response_metadata["finish_reason"]) == ("", "length")
    assert message.additional_kwargs == {"reasoning_content": "Hm, hm, hm"}


async def test_a_call_that_is_cut_says_length_and_does_not_run() -> None:
    end = AIMessageChunk(content="", response_metadata={"finish_reason": "length"})
    model = native(call_chunk('{"city": "Par', "weather"), end)
    with LocalServer(model) as server:
        message = await chat(server).bind_tools([weather]).ainvoke("Weather?")
    assert message.tool_calls == []
    assert len(message.invalid_tool_calls) == 1
    assert message.response_metadata["finish_reason"] == "length"


async def test_usage_comes_with_its_details() -> None:
    usage = UsageMetadata(
        input_tokens=9,
        output_tokens=5,
        total_tokens=14,
        input_token_details={"cache_read": 4},
        output_token_details={"reasoning": 3},
    )
    with LocalServer(native(AIMessageChunk(content="Hi", usage_metadata=usage))) as server:
        assert (await chat(server).ainvoke("Hi")).usage_metadata == usage
        assert [chunk async for chunk in chat(server).astream("Hi")][-1].usage_metadata == usage


async def test_a_refusal_is_an_error_where_there_is_nothing_else() -> None:
    refusal = AIMessageChunk(content="", additional_kwargs={"refusal": "I will not."})
    block = AIMessageChunk(content=[{"type": "refusal", "refusal": "I will not."}])
    none = AIMessageChunk(content="", additional_kwargs={"refusal": None})
    models = {"no": native(refusal), "block": native(block), "but": native("Well.", refusal), "none": native(none)}
    with LocalServer(models) as server:
        for name in ("no", "block"):
            with pytest.raises(DarkAIRefusalError, match=r"I will not\."):
                await chat(server, model=name).ainvoke("Hi")
        with pytest.raises(DarkAIEmptyResponseError):
            await chat(server, model="none", max_retries=0).ainvoke("Hi")
        assert (await chat(server, model="but").ainvoke("Hi")).content == "Well."


async def test_a_wrong_answer_is_asked_for_again_natively() -> None:
    replies = [["It is sunny."], [call_chunk('{"city": "Paris"}', "weather")]]
    model = NativeModel(replies=replies)
    with LocalServer(model) as server:
        forced = ChatDarkAI(base_url=server.url).bind_tools([weather], tool_choice="any")
        message = await forced.ainvoke("Weather?")
    assert message.tool_calls[0]["args"] == WHERE
    assert [kind for kind, _ in model.last_asked] == ["human", "ai", "human"]
    assert model.given("tool_choice") == ["weather"]
