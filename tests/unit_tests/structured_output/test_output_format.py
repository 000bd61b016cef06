"""Structured answers: found in whatever is around them, checked to the last member, told exactly what is wrong."""

import copy
import dataclasses
import datetime as dt
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import typing
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator
from pydantic.v1 import BaseModel as BaseModelV1

from langchain_darkai import DarkAIError
from langchain_darkai._structured_output.output_format import (
    InvalidAnswer,
    PartialAnswer,
    format_of_response_format,
    output_format,
)
from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.protocol import StreamEnd
from tests.support.asker import Asker
from tests.support.scripted_transport import ScriptedTransport


class Person(BaseModel):
    name: str
    age: int


class Node(BaseModel):
    value: int
    children: list["Node"] = []


class Note(BaseModel):
    text: str


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: Colour
    size: Literal["S", "L"]
    day: dt.date
    rating: int = Field(ge=1, le=5)

    @field_validator("rating")
    @classmethod
    def odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("ratings are odd")
        return value


class OldPerson(BaseModelV1):
    name: str
    age: int


class PersonDict(typing.TypedDict):
    name: str
    age: Annotated[int, ..., "In years."]


class PersonDictExtended(typing_extensions.TypedDict):
    name: str
    age: typing_extensions.NotRequired[int]


@dataclasses.dataclass
class PersonData:
    name: str
    age: int


SCHEMA: dict[str, Any] = {
    "title": "person",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
ANN = '{"name": "Ann", "age": 30}'
ANN_DICT = {"name": "Ann", "age": 30}

AROUND = {
    "bare": "{}",
    "blanks": "\n\n  {}  \n",
    "fence": "```json\n{}\n```",
    "fence without a language": "```\n{}\n```",
    "fence and prose": "Here it is:\n```json\n{}\n```\nIs it right?",
    "prose": "Sure! The answer is {} as you asked.",
    "inline code": "It is `{}`.",
    "thought": '<think>\nMaybe {{"name": "Bob", "age": 1}}?\n</think>\n{}',
    "thinking": '<thinking>{{"name": "Bob", "age": 1}}</thinking>{}',
    "a draft in <thought>": '<thought>{{"name": "Bob", "age": 1}}</thought>{}',
    "a draft in <reasoning>": '<reasoning>{{"name": "Bob", "age": 1}}</reasoning>{}',
    "a draft in <Reasoning>": '<Reasoning>{{"name": "Bob", "age": 1}}</REASONING>{}',
    "braces in prose": "A set {{a, b}} and {{x}} and [1] and {{}}: {}",
    "another value before": '{{"name": "Bob"}} lacks the age; {}',
    "LaTeX": "$\\frac{{1}}{{2}}$ {}",
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_the_answer_is_found_in_what_is_around_it(around: str) -> None:
    written, result = output_format(Person).read(around.format(ANN))

    assert result == Person(name="Ann", age=30)
    assert json.loads(written) == ANN_DICT


@pytest.mark.parametrize(
    ("schema", "text", "result"),
    [
        (Person, ANN, Person(name="Ann", age=30)),
        (OldPerson, ANN, OldPerson(name="Ann", age=30)),
        (PersonData, ANN, PersonData("Ann", 30)),
        (PersonDict, ANN, ANN_DICT),
        (PersonDictExtended, '{"name": "Ann"}', {"name": "Ann"}),
        (SCHEMA, ANN, ANN_DICT),
        ({"name": "person", "description": "x", "parameters": SCHEMA}, ANN, ANN_DICT),
        ({"name": "person", "input_schema": SCHEMA}, ANN, ANN_DICT),
        ({"type": "function", "function": {"name": "person", "parameters": SCHEMA}}, ANN, ANN_DICT),
        ({"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}, ANN, ANN_DICT),
        (Node, '{"value": 1, "children": [{"value": 2}]}', Node(value=1, children=[Node(value=2)])),
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (list[int], "[1, 2]", [1, 2]),
        (list[Person], f'{{"value": [{ANN}]}}', [Person(name="Ann", age=30)]),
        (list[Person], f"```json\n[{ANN}]\n```", [Person(name="Ann", age=30)]),
        (int, '{"value": 42}', 42),
        (Literal["a", "b"], '{"value": "b"}', "b"),
        (Person | None, '{"value": null}', None),
        (Person | Note, f'{{"value": {ANN}}}', Person(name="Ann", age=30)),
        (Person | Note, '{"text": "x"}', Note(text="x")),
        (RootModel[list[int]], '{"value": [1]}', RootModel[list[int]]([1])),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        ({"type": "array", "items": {"type": "integer"}}, '{"value": [1]}', [1]),
        ({"type": "string", "enum": ["a", "b"]}, '{"value": "a"}', "a"),
        ({"anyOf": [SCHEMA, {"type": "null"}]}, '{"value": null}', None),
    ],
)
def test_every_kind_of_schema(schema: Any, text: str, result: Any) -> None:
    before = copy.deepcopy(schema) if isinstance(schema, dict) else None

    read = output_format(schema).read(text)[1]

    assert (read, type(read)) == (result, type(result))
    assert before is None or schema == before


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{'name': 'Ann', 'age': 30,}", ANN_DICT),
        ('{"name": "Ann", "age": "30"}', ANN_DICT),
        ('{"name": "Ann O\'Hara, the "boss"", "age": 30.0}', {"name": 'Ann O\'Hara, the "boss"', "age": 30}),
        ('{name: "Ann", age: 30}', ANN_DICT),
        ('{"name": 7, "age": 30}', {"name": "7", "age": 30}),
    ],
)
@pytest.mark.parametrize("schema", [SCHEMA, PersonDict])
def test_near_json_is_taken_and_types_are_fitted(schema: Any, text: str, result: Any) -> None:
    assert output_format(schema).read(text)[1] == result


@pytest.mark.parametrize("schema", [SCHEMA, PersonDict, Person])
def test_strict_converts_nothing(schema: Any) -> None:
    with pytest.raises(InvalidAnswer):
        output_format(schema, strict=True).read('{"name": "Ann", "age": "30"}')
    assert output_format(schema, strict=True).read(ANN)[1]


def test_strict_takes_what_json_has_no_type_for() -> None:
    answer = '{"colour": "red", "size": "L", "day": "2024-02-29", "rating": 3}'

    assert output_format(Strict, strict=True).read(answer)[1].day == dt.date(2024, 2, 29)


def test_a_response_formats_own_strict_is_kept() -> None:
    inner = {"name": "person", "schema": SCHEMA, "strict": True}
    output = format_of_response_format({"type": "json_schema", "json_schema": inner})

    assert output is not None
    with pytest.raises(InvalidAnswer):
        output.read('{"name": "Ann", "age": "30"}')


@pytest.mark.parametrize(
    ("schema", "text", "words"),
    [
        (Person, '{"name": "Ann"}', ["age", "required"]),
        (Person, '{"name": "Ann", "age": "old"}', ["age", "integer"]),
        (Strict, '{"colour": "green", "size": "L", "day": "2024-02-29", "rating": 3}', ["colour", "'red' or 'blue'"]),
        (Strict, '{"colour": "red", "size": "M", "day": "2024-02-29", "rating": 3}', ["size", "'S' or 'L'"]),
        (Strict, '{"colour": "red", "size": "L", "day": "2023-02-29", "rating": 3}', ["day"]),
        (Strict, '{"colour": "red", "size": "L", "day": "2024-02-29", "rating": 9}', ["rating", "5"]),
        (Strict, '{"colour": "red", "size": "L", "day": "2024-02-29", "rating": 4}', ["rating", "ratings are odd"]),
        (Strict, '{"colour": "red", "size": "L", "day": "2024-02-29", "rating": 3, "x": 1}', ["x", "not permitted"]),
        (OldPerson, '{"name": "Ann", "age": "old"}', ["age", "integer"]),
        (PersonDict, '{"name": "Ann"}', ["age", "required"]),
        (PersonData, '{"name": "Ann", "age": "old"}', ["age", "integer"]),
        (
            Node,
            '{"value": 1, "children": [{"value": 2, "children": [{"value": "x"}]}]}',
            ["children.0.children.0.value"],
        ),
        (SCHEMA, '{"name": "Ann"}', ["'age' is a required property"]),
        (SCHEMA, '{"name": "Ann", "age": "old"}', ["age", "'old' is not of type 'integer'"]),
        (
            {"type": "object", "properties": {"c": {"enum": ["red", "blue"]}}},
            '{"c": "green"}',
            ["c", "'green'", "'red', 'blue'"],
        ),
        (
            {"type": "object", "properties": {"c": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}},
            '{"c": "green"}',
            ["c", "'green'"],
        ),
        (
            {"type": "object", "properties": {"c": {"$ref": "#/$defs/c"}}, "$defs": {"c": {"const": 1}}},
            '{"c": 2}',
            ["c", "1 was expected"],
        ),
        (list[int], '{"value": [1, "x"]}', ["1", "integer"]),
        (Person, "I do not know.", ["no JSON value"]),
        (Person, "", ["no JSON value"]),
        (Person, '{"name": "Ann", "age": 3', ["ends too early"]),
        (Person, '{"name": "Ann", "age": 30, "tags": ["a"', ["ends too early"]),
        (list[int], '{"value": [1, 2', ["ends too early"]),
        (Person, "```json\n" + ANN[:-1], ["ends too early"]),
        (Person, f"<think>{ANN}</think>", ["no JSON value"]),
        (Person, f"<think>{ANN}", ["no JSON value"]),
        (Person, '{"name": "Ann", "age": }', ["missing"]),
    ],
)
def test_what_is_wrong_is_told_exactly(schema: Any, text: str, words: list[str]) -> None:
    with pytest.raises(InvalidAnswer) as caught:
        output_format(schema).read(text)

    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (Node, '{"value": "x", "children": [{"value": 2, "children": []}]}'),
        (Node, '{"value": 1, "children": [{"value": "x", "children": [{"value": 3}]}]}'),
        (Node, '{"value": 1, oops, "children": [{"value": 2, "children": []}]}'),
        (Node, '{"value": 1, "children": [{"value": 2, "children": []}]'),
        (dict[str, int], '{"a": "x", "b": {"c": 1}}'),
        (list[int], '{"value": ["x", [1]]}'),
        ({"type": "object"}, '[{"a": 1}, {"b": 2}]'),
    ],
)
def test_a_part_of_a_wrong_answer_is_no_answer(schema: Any, text: str) -> None:
    with pytest.raises(InvalidAnswer):
        output_format(schema).read(text)


@pytest.mark.parametrize(
    "text",
    [
        "a <think>b</think> c",
        "use <think> tags",
        "<thinking>",
        "</think>",
        "```json\n{}\n```",
        '`{x}` [1] \\ " \n é',
        "<tool_call>",
    ],
)
@pytest.mark.parametrize("lead", ["", "<think>hm</think>\n", "So: "])
def test_text_in_an_answer_is_kept_to_the_letter(text: str, lead: str) -> None:
    answer = json.dumps({"text": text})
    output = output_format(Note)

    assert output.read(lead + answer)[1] == Note(text=text)
    assert PartialAnswer(output).feed(lead + answer) == {"text": text}


json_objects = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=400)
@given(json_objects, st.sampled_from(list(AROUND)[:7]))
def test_any_object_survives_to_the_letter(value: dict[str, Any], around: str) -> None:
    text = AROUND[around].replace("{}", json.dumps(value, ensure_ascii=False))

    assert output_format({"type": "object"}).read(text)[1] == value


@settings(deadline=None, max_examples=200)
@given(json_objects.filter(bool), st.data())
def test_a_cut_answer_is_never_an_answer(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value)
    cut = data.draw(st.integers(0, len(text) - 1))

    with pytest.raises(InvalidAnswer):
        output_format({"type": "object"}).read(text[:cut])


def grows(before: Any, after: Any) -> bool:
    """Tell whether a partial value goes on where another one left off."""
    if isinstance(before, dict):
        return (
            isinstance(after, dict)
            and list(after)[: len(before)] == list(before)
            and all(grows(before[key], after[key]) for key in before)
        )
    if isinstance(before, list):
        return isinstance(after, list) and len(after) >= len(before) and all(map(grows, before, after))
    if isinstance(before, str):
        return isinstance(after, str) and after.startswith(before)
    return bool(before == after)


@pytest.mark.parametrize("lead", ["", "Sure:\n```json\n", '<think>{"b": 1}</think>', '<reasoning>{"b": 1}</reasoning>'])
def test_partial_answers_grow(lead: str) -> None:
    value = {"a": 'x "y" \\ 🎉\n', "n": -12.5, "list": [1, [], {"b": None}], "t": True, "s": ["one", "two"], "": {}}
    text = lead + json.dumps(value)
    output = output_format({"type": "object"})
    partials = [
        partial for end in range(len(text) + 1) if (partial := PartialAnswer(output).feed(text[:end])) is not None
    ]

    assert partials[-1] == value
    assert all(grows(a, b) for a, b in itertools.pairwise(partials))
    assert len({json.dumps(partial) for partial in partials}) > 20


def test_what_is_shown_is_the_schema_whole_on_one_line() -> None:
    lines = output_format(Node).instructions().split("\n")

    assert lines[1:4:2] == ["<json_schema>", "</json_schema>"]
    assert "$defs" in json.loads(lines[2])
    assert "schema" not in output_format(Node, method="json_mode").instructions()


def test_a_root_that_is_no_object_is_wrapped_with_its_references_intact() -> None:
    tree = {"type": "array", "items": {"$ref": "#"}}
    shown = output_format(tree).schema
    import jsonschema

    jsonschema.validate({"value": [[], [[]]]}, shown)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"value": [[1]]}, shown)


@pytest.mark.parametrize(
    "schema", [{"type": 5}, {"type": "json_schema"}, object(), 5, "Person", {"$ref": 5, "type": "wrong"}]
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match="no schema"):
        output_format(schema)


def test_what_is_no_method_is_refused(api: ScriptedTransport) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match="method='xml'"):
        api.model().with_structured_output(Person, method="xml")  # type: ignore[call-overload]


RESPONSE_FORMATS = [
    {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}},
    {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}},
    {"type": "json_object"},
    SCHEMA,
    Person,
    PersonDict,
    PersonData,
]


def script(*texts: str) -> list[Any]:
    return [*texts, StreamEnd()]


class TestResponseFormat:
    @pytest.mark.parametrize("response_format", RESPONSE_FORMATS, ids=str)
    async def test_the_content_is_bare_json(self, api: ScriptedTransport, ask: Asker, response_format: Any) -> None:
        api.scripts = [script("<think>Hm {.</think>Sure!\n```json\n", ANN, "\n```\nDone.")]

        message = await ask(api.model().bind(response_format=response_format))

        assert json.loads(message.text) == ANN_DICT
        assert message.tool_calls == []

    async def test_text_is_left_alone(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [script("Sure: ", ANN)]

        assert (await ask(api.model().bind(response_format={"type": "text"}))).content == f"Sure: {ANN}"

    async def test_the_content_is_valid_against_the_very_schema_that_was_given(
        self, api: ScriptedTransport, ask: Asker
    ) -> None:
        api.scripts = [script('{"value": [1, 2]}')]

        message = await ask(
            api.model().bind(response_format={"title": "list", "type": "array", "items": {"type": "integer"}})
        )

        assert json.loads(message.text) == [1, 2]

    async def test_no_answer_is_an_error_with_the_text(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [script("I will not.")]

        with pytest.raises(OutputParserException) as caught:
            await ask(api.model(max_reasks=1).bind(response_format=SCHEMA))
        assert caught.value.llm_output == "I will not."
        assert len(api.calls) == 2

    async def test_a_call_beside_a_response_format_is_a_call(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [script('<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>')]
        add = {
            "name": "add",
            "description": "",
            "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
        }

        message = await ask(api.model().bind_tools([add], response_format=SCHEMA))

        assert (message.text, [call["name"] for call in message.tool_calls]) == ("", ["add"])
        assert len(api.calls) == 1

    def test_a_schema_that_is_none_is_refused(self, api: ScriptedTransport) -> None:
        with pytest.raises(DarkAIInvalidRequestError):
            api.model().invoke(
                "Hi", response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}}
            )


METHODS = ["json_schema", "json_mode", "function_calling"]
CALL = f'<tool_call>{{"name": "Person", "arguments": {ANN}}}</tool_call>'


class Starts(BaseCallbackHandler):
    def __init__(self) -> None:
        self.starts = 0

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.starts += 1


async def results(ask: Asker, runnable: Any, **kwargs: Any) -> list[Any]:
    return await ask.chunks(runnable, "Who?", **kwargs)


class TestWithStructuredOutput:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("schema", [Person, OldPerson, PersonDict, PersonData, {**SCHEMA, "title": "Person"}])
    async def test_every_method_and_schema(self, api: ScriptedTransport, ask: Asker, method: Any, schema: Any) -> None:
        name = output_format(schema).name
        api.scripts = [script(CALL.replace("Person", name) if method == "function_calling" else ANN)]

        result = (await results(ask, api.model().with_structured_output(schema, method=method)))[-1]

        assert result == (schema(**ANN_DICT) if isinstance(schema, type) else ANN_DICT)

    @pytest.mark.parametrize("method", METHODS)
    async def test_bad_bad_good(self, api: ScriptedTransport, ask: Asker, method: Any) -> None:
        bad = ['{"name": "Ann"}', '{"name": "Ann", "age": "old"}', ANN, "never sent"]
        if method == "function_calling":
            bad = [f'<tool_call>{{"name": "Person", "arguments": {text}}}</tool_call>' for text in bad]
        api.scripts = [script(text) for text in bad]
        handler = Starts()

        runnable = api.model(max_reasks=2).with_structured_output(Person, method=method)
        found = await results(ask, runnable, config={"callbacks": [handler]})

        assert found[-1] == Person(name="Ann", age=30)
        assert len(found) == 1
        assert len(api.calls) == 3
        assert handler.starts == 1
        again = [call.query for call in api.calls]
        assert "age: Field required" in again[1]
        assert "unable to parse" in again[2]
        assert all("Ann" in request for request in again[1:])

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize(
        "text",
        [
            "I will not.",
            '{"name": "Ann"}',
            ANN[:-1],
            "null",
            '<tool_call>{"name": "Person", "arguments": {"name": "Ann"}}</tool_call>',
        ],
    )
    async def test_never_a_silent_none(self, api: ScriptedTransport, ask: Asker, method: Any, text: str) -> None:
        api.scripts = [script(text)]

        with pytest.raises(OutputParserException) as caught:
            await results(ask, api.model().with_structured_output(Person, method=method))

        assert caught.value.llm_output
        assert len(api.calls) == 2

    @pytest.mark.parametrize("method", METHODS)
    async def test_include_raw_keeps_the_reply_and_the_error(self, api: ScriptedTransport, method: Any) -> None:
        api.scripts = [script('{"name": "Ann"}')]

        result = (
            await api.model(max_reasks=0)
            .with_structured_output(Person, method=method, include_raw=True)
            .ainvoke("Who?")
        )

        assert isinstance(result["raw"], AIMessage)
        assert result["parsed"] is None
        assert isinstance(result["parsing_error"], OutputParserException)

    @pytest.mark.parametrize("method", METHODS)
    async def test_include_raw_with_a_good_answer_after_a_bad_one(self, api: ScriptedTransport, method: Any) -> None:
        good = CALL if method == "function_calling" else ANN
        api.scripts = [script("Hm."), script(good)]
        runnable = api.model().with_structured_output(Person, method=method, include_raw=True)

        result = await runnable.ainvoke("Who?")

        assert (result["parsed"], result["parsing_error"]) == (Person(name="Ann", age=30), None)
        assert result["raw"].response_metadata["reasks"] == 1
        api.scripts = [script("Hm."), script(good)]
        merged: dict[str, Any] = {}
        async for chunk in runnable.astream("Who?"):
            for key, value in chunk.items():
                merged[key] = merged[key] + value if key == "raw" and key in merged else value
        assert (merged["parsed"], merged["parsing_error"]) == (Person(name="Ann", age=30), None)

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("schema", [{**SCHEMA, "title": "Person"}, PersonDict])
    async def test_a_stream_grows_and_ends_validated(self, api: ScriptedTransport, method: Any, schema: Any) -> None:
        text = CALL.replace("Person", output_format(schema).name) if method == "function_calling" else f"Sure: {ANN}"
        api.scripts = [script(*text)]

        found = [
            item
            async for item in api.model(chunk_per_event=True)
            .with_structured_output(schema, method=method)
            .astream("Who?")
        ]

        assert found[-1] == ANN_DICT
        assert all(grows(a, b) for a, b in itertools.pairwise(found))
        assert {"name": "A"} in found

    async def test_a_stream_of_a_bad_answer_ends_in_an_error(self, api: ScriptedTransport) -> None:
        api.scripts = [script('{"name": "Ann", ', '"age": "old"}')]

        with pytest.raises(OutputParserException, match="age"):
            async for _ in api.model(max_reasks=0).with_structured_output(SCHEMA).astream("Who?"):
                pass

    async def test_a_stream_begins_anew_with_the_next_try(self, api: ScriptedTransport) -> None:
        api.scripts = [script('{"name": "Bob"}'), script(ANN)]

        found = [item async for item in api.model().with_structured_output(SCHEMA).astream("Who?")]

        assert found[-1] == ANN_DICT

    @pytest.mark.parametrize("schema", [list[int], int, Person | Note])
    @pytest.mark.parametrize("method", ["json_schema", "function_calling"])
    async def test_roots_that_are_no_objects(
        self, api: ScriptedTransport, ask: Asker, schema: Any, method: Any
    ) -> None:
        value, result = {list[int]: ("[1, 2]", [1, 2]), int: ("42", 42)}.get(schema, (ANN, Person(name="Ann", age=30)))
        name = output_format(schema).name
        text = f'{{"value": {value}}}'
        api.scripts = [
            script(
                f'<tool_call>{{"name": "{name}", "arguments": {text}}}</tool_call>'
                if method == "function_calling"
                else text
            )
        ]

        assert (await results(ask, api.model().with_structured_output(schema, method=method)))[-1] == result

    async def test_bare_arguments_count_as_the_call(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [script(ANN)]

        found = await results(ask, api.model().with_structured_output(Person, method="function_calling"))

        assert found[-1] == Person(name="Ann", age=30)
        assert len(api.calls) == 1

    async def test_an_optional_answer_may_be_none(self, api: ScriptedTransport) -> None:
        api.scripts = [script('{"value": null}')]

        assert await api.model().with_structured_output(Person | None).ainvoke("Who?") is None

    async def test_a_failure_of_the_service_is_no_parsing_error(self, api: ScriptedTransport) -> None:
        api.scripts = [[DarkAIError("down")]]

        with pytest.raises(DarkAIError, match="down"):
            await api.model().with_structured_output(Person, include_raw=True).ainvoke("Who?")

    async def test_the_schema_is_traced(self, api: ScriptedTransport) -> None:
        runnable: Any = api.model().with_structured_output(Person, strict=True)

        traced = runnable.first.kwargs["ls_structured_output_format"]
        assert traced == {"kwargs": {"method": "json_schema", "strict": True}, "schema": Person}


TYPED = """
from pydantic import BaseModel
from typing_extensions import TypedDict, reveal_type
from langchain_darkai import ChatDarkAI

class Person(BaseModel):
    name: str

class PersonDict(TypedDict):
    name: str

model = ChatDarkAI(api_key="key")
reveal_type(model.with_structured_output(Person).invoke("Who?"))
reveal_type(model.with_structured_output(PersonDict, method="json_mode", strict=True).invoke("Who?"))
reveal_type(model.with_structured_output(list[int]).invoke("Who?"))
reveal_type(model.with_structured_output(Person, include_raw=True).invoke("Who?")["parsed"])
reveal_type(model.with_structured_output(Person, include_raw=True).invoke("Who?")["parsing_error"])
reveal_type(model.bind_tools([Person], tool_choice="any").invoke("Who?"))
name: str = model.with_structured_output(Person).invoke("Who?").name
"""
REVEALED = ["Person", "PersonDict", "list[int]", "Person | None", "Exception | None", "AIMessage"]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_type_checkers_see_the_result(tmp_path: Path, checker: str) -> None:
    file = tmp_path / "typed.py"
    file.write_text(TYPED)
    (tmp_path / "pyrightconfig.json").write_text("{}")
    root = str(Path(__file__).parents[3])
    mypy = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", f"--cache-dir={root}/.mypy_cache", str(file)]
    pyright = [
        str(shutil.which("pyright", path=str(Path(sys.executable).parent))),
        "--pythonpath",
        sys.executable,
        "-p",
        str(tmp_path),
    ]
    done = subprocess.run(
        mypy if checker == "mypy" else pyright,
        cwd=root,
        env={**os.environ, "MYPYPATH": root, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )

    revealed = [
        line.partition("Revealed type is ")[2] or line.partition('" is ')[2]
        for line in done.stdout.splitlines()
        if "Revealed type is" in line or "information: Type of" in line
    ]
    names = [re.sub(r"\w+\.(?=\w)|[\"`]|TypedDict\(|, \{.*", "", shown) for shown in revealed]
    assert names == REVEALED, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
