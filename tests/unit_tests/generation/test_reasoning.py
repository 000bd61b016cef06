"""`reasoning`: thoughts stay in the text, are taken out of it, or are dropped; in a stream as in a whole reply."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessageChunk
from pydantic import BaseModel

from langchain_darkai import ChatDarkAI
from langchain_darkai.errors import DarkAIConnectionError, DarkAIInvalidRequestError
from langchain_darkai.protocol import StreamEnd
from tests.support.reading import in_sizes
from tests.support.replies.case import ADD_BLOCK
from tests.support.replies.shown import THOUGHT_MARKS
from tests.support.scripted_transport import Script, ScriptedTransport

THOUGHT = 'First {"name": "Bob"}\nthen  more.'
THINKING = f"<think>\n{THOUGHT}\n</think>\n\nIt is 3."
CALLING = f"<think>\n{THOUGHT}\n</think>\nI add.\n{ADD_BLOCK}"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Person(BaseModel):
    """A person."""

    name: str


def model_of(*replies: str, size: int = 5, **settings: Any) -> ChatDarkAI:
    scripts: list[Script] = [[*in_sizes(text, size), StreamEnd()] for text in replies]
    return ScriptedTransport(*scripts).model(**settings)


def streamed(model: Any) -> AIMessageChunk:
    chunks = list(model.stream("Hi"))
    merged: BaseMessageChunk = chunks[0]
    for chunk in chunks[1:]:
        merged = merged + chunk
    assert isinstance(merged, AIMessageChunk)
    return merged


def seen(message: AIMessage) -> tuple[Any, ...]:
    calls = [(call["name"], call["args"]) for call in message.tool_calls]
    return message.text, message.additional_kwargs.get("reasoning_content"), calls


CALL = ("add", {"a": 1, "b": 2})


@pytest.mark.parametrize("output_version", [None, "v1"])
@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    ("reasoning", "content", "thought"),
    [(None, THINKING, None), (True, "It is 3.", THOUGHT), (False, "It is 3.", None)],
)
def test_a_thought_goes_where_reasoning_says(
    reasoning: bool | None, content: str, thought: str | None, size: int, output_version: str | None
) -> None:
    model = model_of(THINKING, size=size, reasoning=reasoning, output_version=output_version)

    assert seen(model.invoke("Hi")) == seen(streamed(model)) == (content, thought, [])


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    ("reasoning", "content", "thought"),
    [
        (None, f"<think>\n{THOUGHT}\n</think>\nI add.", None),
        (True, "I add.", THOUGHT),
        (False, "I add.", None),
    ],
)
def test_a_thought_before_a_call(reasoning: bool | None, content: str, thought: str | None, size: int) -> None:
    model = model_of(CALLING, size=size, reasoning=reasoning).bind_tools([add])

    assert seen(model.invoke("Hi")) == seen(streamed(model)) == (content, thought, [CALL])


@pytest.mark.parametrize("with_tools", [False, True])
@pytest.mark.parametrize("name", THOUGHT_MARKS)
def test_every_kind_of_thought_is_taken_out(name: str, with_tools: bool) -> None:
    opens, closes = THOUGHT_MARKS[name]
    plain = model_of(f"{opens}Hm: {ADD_BLOCK}.{closes}It is 3.", size=3, reasoning=True)
    model = plain.bind_tools([add]) if with_tools else plain

    assert seen(model.invoke("Hi")) == seen(streamed(model)) == ("It is 3.", f"Hm: {ADD_BLOCK}.", [])


@pytest.mark.parametrize(
    ("reply", "content", "thought"),
    [
        (
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Three.<|return|>",
            "Three.",
            "Hm.",
        ),
        ("analysisHm.assistantfinalThree.", "Three.", "Hm."),
        ("<|think|>Hm.<|end|><|begin|>assistant<|content|>Three.<|end|>", "Three.", "Hm."),
        (
            "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Three.<|END_RESPONSE|>",
            "Three.",
            "Hm.",
        ),
        ("One\n<think>a</think>\ntwo\n <think> b </think>\nthree", "One\ntwo\nthree", "a\n\nb"),
        ("I wrap it in a <think> tag.", "I wrap it in a <think> tag.", None),
        ("<think>Hm.</think>Use <|end|>, not <|return|> .", "Use <|end|>, not <|return|> .", "Hm."),
        ("Use <|end|> and <|content|>,<|end|>\n<|return|> ", "Use <|end|> and <|content|>,", None),
        ("<think></think>Three.", "Three.", None),
        ("<think>Hm.", "", "Hm."),
        ("Write `<think>` first.", "Write `<think>` first.", None),
        (f"{ADD_BLOCK} is text.", f"{ADD_BLOCK} is text.", None),
    ],
)
def test_what_is_thought_and_what_is_answer(reply: str, content: str, thought: str | None) -> None:
    model = model_of(reply, size=2, reasoning=True)

    assert seen(model.invoke("Hi")) == seen(streamed(model)) == (content, thought, [])


def test_a_thought_comes_out_while_it_is_written() -> None:
    chunks = list(model_of(THINKING, size=1, reasoning=True).stream("Hi"))
    thoughts = [chunk.additional_kwargs["reasoning_content"] for chunk in chunks if chunk.additional_kwargs]

    assert "".join(thoughts) == THOUGHT
    assert len(thoughts) > 10


def test_blocks_of_the_standard_content() -> None:
    model = model_of(CALLING, reasoning=True, output_version="v1").bind_tools([add])
    kinds = ["reasoning", "text", "tool_call"]

    for message in (model.invoke("Hi"), streamed(model)):
        assert [block["type"] for block in message.content_blocks] == kinds
        assert message.content_blocks[0].get("reasoning") == THOUGHT


def test_an_argument_of_the_call_replaces_the_setting() -> None:
    assert seen(model_of(THINKING).invoke("Hi", reasoning=True)) == ("It is 3.", THOUGHT, [])
    assert seen(model_of(THINKING, reasoning=True).invoke("Hi", reasoning=None)) == (THINKING, None, [])
    assert seen(model_of(THINKING, reasoning=True).bind(reasoning=False).invoke("Hi")) == ("It is 3.", None, [])


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_output_beside_a_thought(method: Any) -> None:
    reply = '<think>{"name": "Bob"}</think>{"name": "Ann"}'
    structured = model_of(reply, reasoning=True).with_structured_output(Person, method=method, include_raw=True)
    answer = structured.invoke("Hi")

    assert isinstance(answer, dict)
    assert answer["parsed"] == Person(name="Ann")
    assert answer["raw"].additional_kwargs["reasoning_content"] == '{"name": "Bob"}'


def test_json_of_a_response_format_beside_a_thought() -> None:
    model = model_of('<think>{"name": "Bob"}</think>{"name": "Ann"}', reasoning=True).bind(response_format=Person)

    assert seen(model.invoke("Hi")) == seen(streamed(model)) == ('{"name": "Ann"}', '{"name": "Bob"}', [])


def test_the_model_is_asked_again_with_its_thought() -> None:
    transport = ScriptedTransport(
        ['<think>a</think><tool_call>{"name": "add", "arguments": {"a": }}</tool_call>', StreamEnd()],
        [f"<think>b</think>{ADD_BLOCK}", StreamEnd()],
    )
    message = transport.model(reasoning=True).bind_tools([add]).invoke("Hi")

    assert seen(message) == ("", "b", [CALL])
    assert "<think>a</think>" in transport.calls[1].query


def test_thoughts_of_two_replies_are_parted_in_a_stream() -> None:
    replies = (
        '<think>a</think><tool_call>{"name": "add", "arguments": {"a": }}</tool_call>',
        f"<think>b</think>{ADD_BLOCK}",
    )
    message = streamed(model_of(*replies, reasoning=True).bind_tools([add]))

    assert seen(message) == ("", "a\n\nb", [CALL])


def test_a_thought_that_breaks_off_is_handed_over() -> None:
    model = ScriptedTransport(["<think>Hm", DarkAIConnectionError("gone")]).model(reasoning=True, max_retries=0)
    stream = model.stream("Hi")
    first = next(stream)

    assert first.additional_kwargs == {"reasoning_content": "Hm"}
    with pytest.raises(DarkAIConnectionError):
        next(stream)


@pytest.mark.parametrize("wrong", ["yes", 1, "high"])
def test_what_reasoning_cannot_be(wrong: Any) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match="reasoning"):
        model_of(THINKING).invoke("Hi", reasoning=wrong)


OPENED = f"I could write {ADD_BLOCK}, but no.\n</think>\n\nIt is 3."
"""A reply that begins within its thought: the chat template has opened it."""


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    ("reasoning", "content", "thought"),
    [(None, OPENED, None), (True, "It is 3.", f"I could write {ADD_BLOCK}, but no."), (False, "It is 3.", None)],
)
def test_a_thought_that_the_prompt_has_opened(
    reasoning: bool | None, content: str, thought: str | None, size: int
) -> None:
    model = model_of(OPENED, size=size, reasoning=reasoning)

    assert seen(model.bind_tools([add]).invoke("Hi")) == (content, thought, [])


@pytest.mark.parametrize("reasoning", [None, True, False])
@pytest.mark.parametrize("output_version", [None, "v1"])
def test_a_call_that_was_streamed_runs_not_if_its_thought_ends_later(
    reasoning: bool | None, output_version: str | None
) -> None:
    transport = ScriptedTransport([*OPENED, StreamEnd()])
    model = transport.model(reasoning=reasoning, output_version=output_version).bind_tools([add])
    message = streamed(model)

    assert seen(message) == ("I could write , but no.\n</think>\n\nIt is 3.", None, [])
    assert [call["name"] for call in message.invalid_tool_calls] == ["add"]
    assert len(transport.calls) == 1
    assert message.response_metadata["finish_reason"] == "stop"


def test_bare_json_after_a_thought_that_the_prompt_has_opened() -> None:
    reply = f'Maybe {ADD_BLOCK}?</think>{{"name": "add", "arguments": {{"a": 1, "b": 2}}}}'

    assert seen(model_of(reply).bind_tools([add]).invoke("Hi")) == (f"Maybe {ADD_BLOCK}?</think>", None, [CALL])


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("reasoning", [None, True, False])
@pytest.mark.parametrize("draft", ['{"name": "Bob"}? No.\n', 'Not {"name": 1, oops}.\n', "{x} [" * 70 + ".", ""])
def test_an_answer_after_a_thought_that_the_prompt_has_opened(draft: str, reasoning: bool | None, size: int) -> None:
    model = model_of(f'{draft}</think>\n\n{{"name": "Ann"}}', size=size, reasoning=reasoning, max_reasks=0)

    assert model.with_structured_output(Person).invoke("Hi") == Person(name="Ann")
    assert list(model.with_structured_output(Person).stream("Hi")) == [Person(name="Ann")]
    if '"name"' not in draft:  # which a stream has shown, and `invoke` returns what a stream shows
        assert seen(model.bind(response_format=Person).invoke("Hi"))[0] == '{"name": "Ann"}'
