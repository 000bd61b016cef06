"""What an answer has to be: every kind of schema, checked to the last member, told exactly what is wrong."""

import copy
import datetime as dt
import json
from typing import Any, Literal

import pytest
from pydantic import RootModel

from langchain_darkai._structured_output.output_format import InvalidAnswer, format_of_response_format, output_format
from langchain_darkai.errors import DarkAIInvalidRequestError
from tests.support.schemas import (
    ANN,
    ANN_DICT,
    SCHEMA,
    Node,
    Note,
    OldPerson,
    Person,
    PersonData,
    PersonDict,
    PersonDictExtended,
    Strict,
)
from tests.support.scripted_transport import ScriptedTransport


@pytest.mark.parametrize(
    ("schema", "text", "result"),
    [
        (Person, ANN, Person(name="Ann", age=30)),
        (OldPerson, ANN, OldPerson(name="Ann", age=30)),
        (PersonData, ANN, PersonData("Ann", 30)),
        (PersonDict, ANN, ANN_DICT),
        (PersonDictExtended, '{"name": "Ann"}', {"name": "Ann"}),
        (SCHEMA, ANN, ANN_DICT),
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


FORMS = {
    "OpenAI's response format": {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}},
    "its inner dict": {"name": "person", "schema": SCHEMA},
    "its inner dict, strict": {"name": "person", "strict": True, "schema": SCHEMA},
    "OpenAI's Responses": {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True},
    "Anthropic's output format": {"type": "json_schema", "schema": SCHEMA},
    "OpenAI's tool": {"type": "function", "function": {"name": "person", "parameters": SCHEMA}},
    "Responses' tool": {"type": "function", "name": "person", "parameters": SCHEMA, "strict": True},
    "a function": {"name": "person", "description": "x", "parameters": SCHEMA},
    "Anthropic's tool": {"name": "person", "input_schema": SCHEMA},
    "MCP's tool": {"name": "person", "inputSchema": SCHEMA},
    "MCP's tool with what it returns": {"name": "person", "inputSchema": SCHEMA, "outputSchema": {"type": "object"}},
    "what an MCP tool returns": {"name": "person", "outputSchema": SCHEMA},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_schema_within_a_known_form_is_shown_and_checked(form: Any) -> None:
    output = output_format(form)

    assert output.schema["properties"] == SCHEMA["properties"]
    assert output.read(ANN)[1] == ANN_DICT
    with pytest.raises(InvalidAnswer, match="age"):
        output.read('{"name": "Ann"}')
    assert "name" not in output.schema
    assert output.name in ("person", "answer")


@pytest.mark.parametrize("name", ["its inner dict, strict", "OpenAI's Responses", "Responses' tool"])
def test_strict_within_a_form_counts_unless_it_is_given(name: str) -> None:
    text = '{"name": "Ann", "age": "30"}'

    with pytest.raises(InvalidAnswer):
        output_format(FORMS[name]).read(text)
    assert output_format(FORMS[name], strict=False).read(text)[1] == ANN_DICT


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"properties": {"a": {}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}},
        {"anyOf": [{"type": "null"}]},
        {"oneOf": [{"type": "null"}]},
        {"allOf": [{"type": "null"}]},
        {"enum": [1]},
        {"const": 1},
        {"items": {"type": "string"}},
        {"required": ["a"]},
    ],
)
def test_a_json_schema_is_known_by_a_keyword_that_constrains(schema: Any) -> None:
    assert output_format(schema).schema


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"foo": "bar"},
        {"name": {"type": "string"}, "age": {"type": "integer"}},
        {"title": "Person", "description": "A person."},
        {"name": "person", "description": "A person."},
        {"name": "person", "strict": True},
        {"name": "person", "schema": {}},
        {"name": "person", "schema": {"foo": "bar"}},
        {"name": "person", "inputSchema": {}},
        {"type": "json_schema", "json_schema": {"name": "person", "schema": {}}},
        {"type": "json_schema", "name": "person"},
        {"type": "function", "function": {"name": "person"}},
        None,
    ],
    ids=repr,
)
@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_what_constrains_nothing_is_refused_with_what_was_expected(
    api: ScriptedTransport, schema: Any, method: Any
) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=r"is not a schema for an answer: .*Pydantic.*JSON Schema"):
        api.model().with_structured_output(schema, method=method)


def test_a_refused_schema_is_not_shown_at_full_length() -> None:
    with pytest.raises(DarkAIInvalidRequestError) as caught:
        output_format({"foo": "bar" * 1000})

    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "schema", [{"type": 5}, {"type": "json_schema"}, object(), 5, "Person", {"$ref": 5, "type": "wrong"}]
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match="is not a schema"):
        output_format(schema)


def test_what_is_no_method_is_refused(api: ScriptedTransport) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match="method='xml'"):
        api.model().with_structured_output(Person, method="xml")  # type: ignore[call-overload]
