"""A reply that must be a call is begun for the model, which continues it or begins anew."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_darkai import DarkAIToolChoiceError
from langchain_darkai._generation.prefill import call_prefill
from langchain_darkai._tool_calls.tools import tool_from
from langchain_darkai.prompts import format_prompt, parse_prompt
from langchain_darkai.protocol import StreamEnd
from tests.support.adversarial import assert_linear, repeated
from tests.support.scripted_transport import Script, ScriptedTransport

ONE = '<tool_call>\n{"name": "get_weather", "arguments": {'
AGAIN = f'{ONE}"city":'  # where the reply was wrong
ANY = '<tool_call>\n{"name": "'
PARIS = {"city": "Paris"}
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'


def get_weather(city: str, unit: str = "celsius") -> str:
    """Get the weather."""
    return city + unit


def now() -> str:
    """Tell the time."""
    return "12:00"


def invoke(transport: ScriptedTransport, choice: str, tools: Sequence[Callable[..., Any]] = (get_weather, now)) -> Any:
    return transport.model().bind_tools(tools, tool_choice=choice).invoke("Weather?")


def replying(*replies: str, size: int = 1_000) -> ScriptedTransport:
    """Return a transport with these replies, in pieces of a size."""
    scripts: list[Script] = [
        [*(text[at : at + size] for at in range(0, len(text), size)), StreamEnd()] for text in replies
    ]
    return ScriptedTransport(*scripts)


@pytest.mark.parametrize(
    ("choice", "tools", "end"),
    [
        ("get_weather", (get_weather, now), ONE),
        ("any", (get_weather, now), ANY),
        ("any", (get_weather,), ONE),
    ],
)
def test_the_prompt_of_a_required_call_ends_in_its_beginning(
    choice: str, tools: Sequence[Callable[..., Any]], end: str
) -> None:
    transport = replying(CALL)
    invoke(transport, choice, tools)
    query = transport.calls[0].query

    assert query.endswith(f"\nAssistant: {end}")
    assert parse_prompt(query)[-1] == AIMessage(end)


def test_the_prompt_of_a_call_that_is_not_required_begins_nothing() -> None:
    transport = replying("Sunny.")
    invoke(transport, "auto")

    assert transport.calls[0].query.endswith("\nUser: Weather?\nAssistant:")


# What a model may write behind the beginning.
CONTINUED = {
    ("get_weather", "goes on"): '"city": "Paris"}}\n</tool_call>',
    ("get_weather", "goes on after a blank"): ' "city": "Paris"}}\n</tool_call>',
    ("get_weather", "goes on in single quotes"): "'city': 'Paris'}}\n</tool_call>",
    ("get_weather", "goes on without quotes"): 'city: "Paris"}}\n</tool_call>',
    ("get_weather", "goes on, and forgets a bracket"): '"city": "Paris"}',
    ("get_weather", "goes on, and forgets a bracket and half of the tag"): '"city": "Paris"}\n</tool',
    ("get_weather", "repeats the beginning"): f'{ONE}"city": "Paris"}}}}\n</tool_call>',
    ("get_weather", "begins anew"): CALL,
    ("get_weather", "begins anew after a blank"): f"\n{CALL}",
    ("get_weather", "bare arguments"): '{"city": "Paris"}',
    ("get_weather", "arguments in a fence"): '```json\n{"city": "Paris"}\n```',
    ("get_weather", "a bare call"): '{"name": "get_weather", "arguments": {"city": "Paris"}}',
    ("any", "goes on"): 'get_weather", "arguments": {"city": "Paris"}}\n</tool_call>',
    ("any", "goes on, and forgets a bracket"): 'get_weather", "arguments": {"city": "Paris"}',
    ("any", "repeats the beginning"): f'{ANY}get_weather", "arguments": {{"city": "Paris"}}}}\n</tool_call>',
    ("any", "begins anew"): CALL,
    ("any", "a fence"): '```json\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n```',
}


@pytest.mark.parametrize("size", [1, 3, 1_000])
@pytest.mark.parametrize(("choice", "how"), CONTINUED)
def test_a_reply_that_continues_or_begins_anew_is_the_call(choice: str, how: str, size: int) -> None:
    transport = replying(CONTINUED[choice, how], size=size)
    message = invoke(transport, choice)

    assert (message.content, [(call["name"], call["args"]) for call in message.tool_calls]) == (
        "",
        [("get_weather", PARIS)],
    )
    assert len(transport.calls) == 1


@pytest.mark.parametrize(("choice", "how"), CONTINUED)
def test_a_streamed_reply_is_the_same_call(choice: str, how: str) -> None:
    model = replying(CONTINUED[choice, how], size=2).model().bind_tools([get_weather, now], tool_choice=choice)
    first, *others = model.stream("Weather?")
    merged: Any = first.__add__(others)

    assert [(call["name"], call["args"]) for call in merged.tool_calls] == [("get_weather", PARIS)]


@pytest.mark.parametrize("choice", ["get_weather", "any"])
@pytest.mark.parametrize("text", ["It is sunny.", "now is the time", "", "city", "g", "unit cells are small"])
def test_text_behind_the_beginning_is_text_and_asked_about_again(choice: str, text: str) -> None:
    transport = replying(text or " ", CALL)
    message = invoke(transport, choice)

    assert [call["args"] for call in message.tool_calls] == [PARIS]
    again = parse_prompt(transport.calls[1].query)
    assert [type(turn) for turn in again[-3:]] == [AIMessage, HumanMessage, AIMessage]
    assert "must" in str(again[-2].content)
    assert transport.calls[1].query.endswith(AGAIN if choice == "get_weather" else ANY)


@pytest.mark.parametrize(
    ("written", "end"),
    [
        ('get_whether", "arguments": {"town": "Paris"}}\n</tool_call>', AGAIN),
        ('nows", "arguments": {}}\n</tool_call>', f'{ANY}now", "arguments": {{'),
        ('fly_to", "arguments": {"town": "Paris"}}\n</tool_call>', ANY),
    ],
)
def test_a_name_that_no_tool_has_leads_to_the_tool_that_is_meant(written: str, end: str) -> None:
    transport = replying(written, CALL)
    message = invoke(transport, "any")

    assert [call["args"] for call in message.tool_calls] == [PARIS]
    assert transport.calls[1].query.endswith(f"\nAssistant: {end}")


def test_a_model_that_only_talks_is_an_error_with_its_text() -> None:
    with pytest.raises(DarkAIToolChoiceError) as caught:
        invoke(replying("It is sunny."), "any")
    assert caught.value.partial_text == "It is sunny."


def test_a_continued_call_that_is_cut_is_invalid_and_shown_whole_when_asked_again() -> None:
    transport = replying('"city": "Par', CALL)
    message = invoke(transport, "get_weather")

    assert [call["args"] for call in message.tool_calls] == [PARIS]
    assert parse_prompt(transport.calls[1].query)[-3].content == f'{ONE}"city": "Par'


def test_a_conversation_that_ends_in_a_beginning_of_its_own_gets_no_other() -> None:
    transport = replying('"quoted"', CALL)
    model = transport.model(max_reasks=0).bind_tools([get_weather], tool_choice="any")
    with pytest.raises(DarkAIToolChoiceError) as caught:
        model.invoke([HumanMessage("Weather?"), AIMessage("I say")])

    assert transport.calls[0].query.endswith("Assistant: I say")
    assert caught.value.partial_text == '"quoted"'


names = st.text(min_size=1).filter(lambda name: max(name) < "\ud800" or max(name) > "\udfff")


@given(st.lists(names, min_size=1, max_size=3, unique=True), st.booleans(), st.text(max_size=20))
def test_the_beginning_is_json_for_every_name_and_the_prompt_gives_it_back(
    tool_names: list[str], is_named: bool, question: str
) -> None:
    tools = [tool_from({"name": name, "description": "", "parameters": {"type": "object"}}) for name in tool_names]
    prefill = call_prefill(tools[:1] if is_named else tools)
    messages = [SystemMessage("Help."), HumanMessage(question)]
    if is_named:
        assert json.loads(prefill.text.partition("\n")[2] + "}}")["name"] == tool_names[0]

    query = format_prompt(messages, prefill=prefill.text)
    assert parse_prompt(query)[-1] == AIMessage(prefill.text)
    assert parse_prompt(query)[:-1] == parse_prompt(format_prompt(messages))


@given(st.lists(names, min_size=1, max_size=3, unique=True), st.data())
def test_what_is_known_of_a_reply_does_not_change_with_more_of_it(tool_names: list[str], data: st.DataObject) -> None:
    tools = [tool_from({"name": name, "description": "", "parameters": {"type": "object"}}) for name in tool_names]
    prefill = call_prefill(tools)
    reply = data.draw(st.sampled_from([json.dumps(name)[1:] for name in tool_names]) | st.text(max_size=12))
    known = [prefill.is_continued_by(reply[:end]) for end in range(len(reply) + 1)]
    decided = [value for value in known if value is not None]

    assert len(set(decided)) <= 1
    assert known == [None] * (len(known) - len(decided)) + decided


ANSWER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
# What a model may write behind the beginning of an answer, `{"city":` or `{`.
ANSWERS = {
    "goes on": (' "Paris"}', '"city": "Paris"}'),
    "goes on after a line end": ('\n"Paris"\n}', '\n  "city": "Paris"\n}'),
    "goes on in single quotes": ("'Paris'}", "'city': 'Paris'}"),
    "repeats the beginning": ('{"city": "Paris"}', '{"city": "Paris"}'),
    "a fence": ('Here it is:\n```json\n{"city": "Paris"}\n```', '```json\n{"city": "Paris"}\n```'),
}
METHODS: dict[Literal["json_schema", "json_mode"], dict[str, Any]] = {
    "json_schema": ANSWER,
    "json_mode": {"type": "object"},
}


@pytest.mark.parametrize("size", [1, 1_000])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ANSWERS)
def test_an_answer_in_json_is_begun_and_read_however_the_model_takes_it(
    how: str, method: Literal["json_schema", "json_mode"], size: int
) -> None:
    is_known = method == "json_schema"
    transport = replying(ANSWERS[how][0 if is_known else 1], size=size)
    model = transport.model().with_structured_output(METHODS[method], method=method)

    assert model.invoke("Where?") == PARIS
    assert list(model.stream("Where?"))[-1] == PARIS
    assert transport.calls[0].query.endswith('\nAssistant: {"city":' if is_known else "\nAssistant: {")


# The types of a first value, whether the prompt goes up to it, and such a value.
VALUES = {
    "string": (True, "a"),
    "integer": (True, -1),
    "number": (True, 0.5),
    "boolean": (True, False),
    "array": (True, ["a"]),
    "object": (False, {"b": 1}),
    "null": (False, None),
}


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("kind", VALUES)
def test_the_first_value_may_be_of_any_type(kind: str, goes_on: bool) -> None:
    is_begun, value = VALUES[kind]
    schema = {"type": "object", "properties": {"a": {"type": kind}}, "required": ["a"]}
    begun = '{"a":' if is_begun else "{"
    written = json.dumps({"a": value})
    transport = replying(written.removeprefix(begun) if goes_on else written)

    assert transport.model().with_structured_output(schema).invoke("?") == {"a": value}
    assert [call.query.endswith(f"\nAssistant: {begun}") for call in transport.calls] == [True]


@pytest.mark.parametrize("written", ['{"value": [1, 2]}', '"value": [1, 2]}', "[1, 2]"])
def test_an_answer_that_is_no_object_may_come_in_one_or_not(written: str) -> None:
    assert replying(written).model().with_structured_output(list[int]).invoke("?") == [1, 2]


@pytest.mark.parametrize("how", ANSWERS)
def test_the_content_under_response_format_is_the_whole_json(how: str) -> None:
    model = replying(ANSWERS[how][0], size=3).model().bind(response_format=ANSWER)
    first, *others = model.stream("Where?")
    merged: Any = first.__add__(others)

    assert json.loads(model.invoke("Where?").text) == PARIS
    assert json.loads(merged.text) == PARIS


def test_an_answer_beside_tools_is_not_begun() -> None:
    transport = replying('{"city": "Paris"}')
    transport.model().bind_tools([now], response_format=ANSWER).invoke("Where?")

    assert transport.calls[0].query.endswith("\nAssistant:")


@pytest.mark.parametrize("before", ["", "city", "now", "It is"])
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_reply_of_blanks_is_told_apart_in_time_in_proportion_to_its_length(before: str, size: int) -> None:
    prefill = call_prefill([tool_from(get_weather)])

    def tell(text: str) -> None:
        ends = range(size, len(text) + size, size)
        assert next((known for end in ends if (known := prefill.is_continued_by(text[:end])) is not None), None) in (
            None,
            False,
        )

    assert_linear(tell, repeated(" ", before), 1_500)
