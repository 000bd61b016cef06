"""What a prompt asks for is found again, whatever ChatDarkAI asks, and nothing that a user says is taken for it."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_darkai._gateway.asked import MAX_STRUCTURE, Asked, asked_of
from langchain_darkai._generation.request import requirements_from
from langchain_darkai._structured_output.output_format import ANY_JSON, output_format
from langchain_darkai._tool_calls.tools import Tool, ToolChoice, tool_instructions
from langchain_darkai.prompts import format_prompt, parse_prompt

NAMES = st.text(min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
OWN = NAMES.map("x-{}".format)  # members that JSON Schema knows nothing of
KINDS = st.sampled_from(["string", "integer", "number", "boolean", "array", "object"])
MEMBERS = st.builds(lambda kind, more: {"type": kind, **more}, KINDS, st.dictionaries(OWN, VALUES, max_size=2))
OBJECTS = st.builds(
    lambda properties, more: {"type": "object", "properties": properties, "required": [*properties][:1], **more},
    st.dictionaries(NAMES, MEMBERS, max_size=3),
    st.just({}) | st.builds(lambda value: {"default": value}, VALUES),
)
TOOLS = st.builds(Tool, NAMES, st.text(max_size=60), OBJECTS)
TOOL_LISTS = st.lists(TOOLS, max_size=4, unique_by=lambda tool: tool.name)
SCHEMAS = OBJECTS | st.sampled_from([{"type": "integer"}, {"type": "array", "items": {"type": "string"}}])
METHODS = st.sampled_from(["json_schema", "json_mode", "function_calling"])

NOW = Tool("now", 'Tells "the" time.\nAlways.', {"type": "object", "properties": {}})
IMITATIONS = (
    tool_instructions([NOW], ToolChoice()),
    tool_instructions([NOW], ToolChoice("required", "now"), parallel=False),
    output_format({"type": "object", "title": "T"}).instructions(),
    ANY_JSON,
    "<tools>",
    "</json_schema>",
    "\n\n",
    "User: Hi",
    "<tool_call>",
)
TEXTS = st.text(max_size=40) | st.lists(st.sampled_from(IMITATIONS) | st.text(max_size=5), max_size=4).map("".join)


def found(messages: Sequence[BaseMessage], arguments: dict[str, Any]) -> tuple[Asked, Any]:
    """Return what is found in the prompt for these messages and keyword arguments, and what was asked for."""
    requirements = requirements_from(arguments)
    prefill = requirements.prefill.text if requirements.prefill else ""
    prompt = format_prompt(messages, instructions=requirements.instructions, prefill=prefill)
    return asked_of(parse_prompt(prompt)), requirements


@given(
    st.lists(TEXTS.map(HumanMessage) | TEXTS.map(SystemMessage), max_size=3),
    TOOL_LISTS,
    st.sampled_from(["auto", "any", "none", "first"]),
    st.booleans(),
    st.none() | st.tuples(SCHEMAS, METHODS),
)
def test_what_was_asked_for_is_found_again(
    before: list[BaseMessage], tools: list[Tool], choice: str, parallel: bool, answer: Any
) -> None:
    arguments: dict[str, Any] = {"tools": tools, "parallel_tool_calls": parallel}
    if tools:
        arguments["tool_choice"] = tools[0].name if choice == "first" else choice
    if answer:
        arguments["output_format"] = output_format(*answer)
    conversation = [*before, HumanMessage("What now?")]

    own = asked_of(list[BaseMessage](filter(lambda message: isinstance(message, SystemMessage), before))[:1])
    assume(not (own.tools or own.schema))  # the instructions to the letter are instructions, whoever writes them

    asked, wanted = found(conversation, arguments)

    assume(wanted.instructions)
    assert list(asked.tools) == list(wanted.tools)
    assert asked.choice == (wanted.choice if wanted.forces_call else ToolChoice())
    assert asked.parallel == wanted.parallel or not wanted.tools
    assert asked.is_begun == (wanted.prefill is not None)
    if answer and answer[1] != "function_calling":
        assert asked.schema == ({"type": "object"} if answer[1] == "json_mode" else wanted.output.schema)
    else:
        assert asked.schema is None
    assert_is(asked.conversation(tools=False, schema=False, beginning=False), conversation)
    assert (
        asked.conversation()
        == parse_prompt(
            format_prompt(
                conversation,
                instructions=wanted.instructions,
                prefill=wanted.prefill.text if wanted.prefill else "",
            )
        )[: len(asked.messages)]
    )


def assert_is(messages: Sequence[BaseMessage], expected: Sequence[BaseMessage]) -> None:
    """Check that messages are the expected ones, but for an empty system turn, which is left out."""
    place = next((place for place, message in enumerate(expected) if isinstance(message, SystemMessage)), None)
    if place is not None and not expected[place].text:
        expected = [*expected[:place], *expected[place + 1 :]]
    assert list(messages) == list(expected)


@given(st.lists(TEXTS.map(SystemMessage) | TEXTS.map(HumanMessage), max_size=2), st.sampled_from(IMITATIONS[:4]))
def test_what_a_user_says_is_no_instruction(before: list[BaseMessage], imitation: str) -> None:
    conversation = [SystemMessage("Be brief."), *before, HumanMessage(f"Hi\n\n{imitation}")]
    asked = asked_of(parse_prompt(format_prompt(conversation)))
    assert (asked.tools, asked.schema, asked.is_begun) == ((), None, False)
    assert asked.conversation(tools=False, schema=False, beginning=False) == conversation


@given(TEXTS, st.sampled_from(IMITATIONS[:4]), st.text(min_size=1, max_size=3))
def test_instructions_that_anything_follows_are_text(system: str, imitation: str, after: str) -> None:
    asked = asked_of([SystemMessage(f"{system}\n\n{imitation}{after}"), HumanMessage("Hi")])
    if not asked_of([SystemMessage(after), HumanMessage("Hi")]).schema_text:
        assert not asked.tools or asked.tools == (NOW,)
        assert "".join(asked.conversation()[0].text) == f"{system}\n\n{imitation}{after}"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("expert", "novice"),
        lambda text: text.replace('{"name"', '{ "name"', 1),
        lambda text: text.replace("Only if", "If"),
        lambda text: text.replace('"parameters"', '"arguments"'),
        lambda text: text.replace("</tools>", "</tools>\n"),
        lambda text: f"Tools:\n{text}",
        lambda text: text.replace('{"type": "object", "properties": {}}', "[" * 100_000),
        lambda text: text.replace('{"type": "object", "properties": {}}', "[]"),
        lambda text: text.replace('"name": "now"', '"name": 1'),
        lambda text: text + " ",
    ],
)
def test_instructions_that_are_not_to_the_letter_stay_text(change: Any) -> None:
    system = change(tool_instructions([NOW], ToolChoice()))
    asked = asked_of([SystemMessage(system), HumanMessage("Hi")])
    assert asked.tools == ()
    assert asked.conversation(tools=False)[0].text == system


def test_a_schema_that_would_fill_the_memory_stays_text() -> None:
    schema = {"type": "object", "enum": [[]] * MAX_STRUCTURE}
    text = output_format({"type": "object"}).instructions().replace('{"type": "object"}', json.dumps(schema))
    assert asked_of([SystemMessage(text), HumanMessage("Hi")]).schema is None


def test_the_empty_turn_for_the_model_is_no_message() -> None:
    assert asked_of([HumanMessage("Hi"), AIMessage(" ")]).messages == [HumanMessage("Hi")]
    assert asked_of([AIMessage("")]).messages == []


def test_what_the_user_begins_is_no_beginning_of_ours() -> None:
    asked, _ = found([HumanMessage("Hi"), AIMessage("{")], {"tools": [NOW], "tool_choice": "any"})
    assert not asked.is_begun
    assert asked.conversation(beginning=False)[-1] == AIMessage("{")


def test_the_parts_that_are_kept_stay_as_they_are_written() -> None:
    arguments = {"tools": [NOW], "response_format": {"type": "json_object"}}
    asked, _ = found([SystemMessage("Be brief."), HumanMessage("Hi")], arguments)
    assert asked.conversation(tools=False)[0].text == f"Be brief.\n\n{ANY_JSON}"
    assert asked.conversation(schema=False)[0].text == f"Be brief.\n\n{tool_instructions([NOW], ToolChoice())}"
