"""The JSON that the offline model writes: valid for the schema, with values of the text."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage

from langchain_darkai._tool_calls.tools import MUST_CALL
from tests.support.offline import INTEGER, PERSON, STRING, called, calls_in, offer, say, tool, want


@pytest.mark.parametrize(
    ("question", "schema", "expected"),
    [
        ("Alice is 30 years old", PERSON, {"name": "Alice", "age": 30}),
        ("My neighbour Carol Jones has 3 cats and is 41 years old.", PERSON, {"name": "Carol Jones", "age": 41}),
        (
            "Alice is 30 and Bob is 25.",
            {"type": "array", "items": {"$ref": "#/$defs/P"}, "$defs": {"P": PERSON}},
            [{"name": "Alice", "age": 30}, {"name": "Bob", "age": 25}],
        ),
        (
            "Extract: Bob, 25, bob@x.org",
            {
                "type": "object",
                "properties": {
                    "name": {"anyOf": [STRING, {"type": "null"}], "default": None},
                    "email": {"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}], "default": None},
                    "nickname": {"anyOf": [STRING, {"type": "null"}], "default": None},
                },
            },
            {"name": "Bob", "email": "bob@x.org"},
        ),
        (
            "Erin called.",
            {**PERSON, "properties": {"name": STRING, "age": {"type": ["integer", "null"]}}},
            {"name": "Erin", "age": None},
        ),
        ("The colors are red, green and blue", {"type": "array", "items": STRING}, ["red", "green", "blue"]),
        (
            "Ship 2 lamps to John Smith in Boston by card",
            {
                "type": "object",
                "properties": {
                    "customer": {
                        "type": "object",
                        "properties": {"name": STRING, "address": {"type": "object", "properties": {"city": STRING}}},
                        "required": ["name", "address"],
                    },
                    "quantity": {"type": "integer", "minimum": 1},
                    "payment": {"enum": ["cash", "card"]},
                },
                "required": ["customer", "quantity", "payment"],
            },
            {"customer": {"name": "John Smith", "address": {"city": "Boston"}}, "quantity": 2, "payment": "card"},
        ),
    ],
)
def test_json_takes_its_values_from_the_question(question: str, schema: Any, expected: Any) -> None:
    assert json.loads(say(want(schema), HumanMessage(question))) == expected


def test_json_that_has_to_be_made_up_is_about_the_question() -> None:
    described = {"type": "string", "description": "question to set up a joke"}
    schema = {
        "type": "object",
        "properties": {"setup": described, "punchline": STRING},
        "required": ["setup", "punchline"],
    }
    value = json.loads(say(want(schema), HumanMessage("Tell me a joke about cats.")))
    assert value == {"setup": "question to set up a joke about cats", "punchline": "punchline about cats"}


def test_json_takes_values_from_tool_results() -> None:
    schema = {
        "type": "object",
        "properties": {"city": STRING, "temperature": {"type": "number"}, "conditions": STRING},
        "required": ["city", "temperature", "conditions"],
    }
    turns = [HumanMessage("What is the weather there?"), called("get_weather", "1", city="paris")]
    results = [ToolMessage('{"temperature": 22.5}', tool_call_id="1"), ToolMessage("bright skies", tool_call_id="2")]
    assert json.loads(say(want(schema), *turns, *results)) == {
        "city": "paris",
        "temperature": 22.5,
        "conditions": "bright skies",
    }


@pytest.mark.parametrize(
    ("system", "question", "keys"),
    [
        (
            "Reply with only a JSON object.",
            "Tell me a joke. Return a JSON with 'setup' and 'punchline' keys.",
            {"setup", "punchline"},
        ),
        ("Reply with JSON only.", "Describe Rome with the keys city, country and age.", {"city", "country", "age"}),
        ("Answer in JSON only.", "Who wrote Faust?", {"answer"}),
    ],
)
def test_json_mode_has_the_keys_that_are_asked_for(system: str, question: str, keys: set[str]) -> None:
    assert json.loads(say(SystemMessage(system), HumanMessage(question))).keys() == keys


NAMES = st.sampled_from(["name", "age", "city", "tags", "count", "email", "query", "is_ok", "Straße"])
FORMATS = ["date", "date-time", "time", "email", "uuid", "ipv4", "ipv6", "uri", "hostname", "duration", "json-pointer"]
PATTERNS = [r"^[A-Z]{2}-\d+$", r"[^aeiou]+", r"^\w+@\w+\.com$", r"^#[0-9a-fA-F]{6}$", r"^\S+$", r"^.{3,5}$"]


@st.composite
def integer_schemas(draw: st.DrawFn) -> dict[str, Any]:
    low, step = draw(st.integers(-1000, 1000)), draw(st.sampled_from([1, 2, 7]))
    schema = {"type": "integer", draw(st.sampled_from(["minimum", "exclusiveMinimum"])): low, "multipleOf": step}
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = low + 2 * step + draw(st.integers(0, 9))
    return schema


@st.composite
def number_schemas(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.floats(-100, 100))
    narrow = {"exclusiveMinimum": low, "exclusiveMaximum": low + 0.5}
    return {
        "type": "number",
        **draw(st.sampled_from([{}, narrow, {"maximum": low}, {"minimum": 3, "multipleOf": 0.1}])),
    }


@st.composite
def string_schemas(draw: st.DrawFn) -> dict[str, Any]:
    least = draw(st.integers(0, 30))
    rule = st.sampled_from([{"minLength": least}, {"minLength": least, "maxLength": least + 2}])
    rule |= st.builds(lambda form: {"format": form}, st.sampled_from(FORMATS))
    rule |= st.builds(lambda pattern: {"pattern": pattern}, st.sampled_from(PATTERNS))
    return {"type": "string", **draw(rule)}


SCALARS = st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.none())
LEAVES = st.one_of(
    integer_schemas(),
    number_schemas(),
    string_schemas(),
    st.sampled_from(
        [{}, {"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {"$ref": "#/$defs/Node"}]
    ),
    st.lists(SCALARS, min_size=1, max_size=4).map(lambda options: {"enum": options}),
    SCALARS.map(lambda value: {"const": value}),
)


@st.composite
def array_schemas(draw: st.DrawFn, items: st.SearchStrategy[Any]) -> dict[str, Any]:
    least = draw(st.integers(0, 4))
    if draw(st.booleans()):
        numbers = {"type": "integer", "minimum": 0, "maximum": draw(st.integers(4, 9))}
        return {"type": "array", "items": numbers, "minItems": least, "uniqueItems": True}
    schema = {"type": "array", "items": draw(items), "minItems": least, "maxItems": least + draw(st.integers(0, 2))}
    return {**schema, "prefixItems": [draw(items)]} if draw(st.booleans()) else schema


@st.composite
def object_schemas(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, values, max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    others: dict[str, Any] = draw(st.sampled_from([{}, {"additionalProperties": False}, {"minProperties": 3}]))
    return {"type": "object", "properties": properties, "required": required, **others}


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        array_schemas(inner),
        object_schemas(inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda any_of: {"anyOf": any_of}),
    ),
    max_leaves=8,
)
NODE = {
    "type": "object",
    "properties": {
        "value": STRING,
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
    },
    "required": ["value", "children", "next"],
    "additionalProperties": False,
}
QUESTIONS = st.text(max_size=60) | st.sampled_from(
    [
        "Alice is 30 years old and Bob Stone is 25",
        "Add 2, 3.5 and -7 in Paris; 'quoted', a@b.io, 2024-05-06 and https://x.org/y.",
        "count: 4. The name is Bob, tags red, green and blue; it is not ok.",
    ]
)


@settings(max_examples=150, deadline=None)
@given(schema=SCHEMAS, question=QUESTIONS)
def test_json_validates_against_any_schema(schema: dict[str, Any], question: str) -> None:
    whole = {**schema, "$defs": {"Node": NODE}}
    value = json.loads(say(want(whole), HumanMessage(question)))
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


@settings(max_examples=100, deadline=None)
@given(properties=st.dictionaries(NAMES, SCHEMAS, max_size=4), question=QUESTIONS)
def test_arguments_validate_against_any_parameters(properties: dict[str, Any], question: str) -> None:
    offered = tool("do_it", **properties)
    offered["parameters"]["$defs"] = {"Node": NODE}
    for _, arguments in calls_in(say(offer(offered, rule=MUST_CALL), HumanMessage(question))):
        Draft202012Validator(offered["parameters"]).validate(arguments)


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        {"allOf": [{"type": "object", "properties": {"a": INTEGER}}, {"required": ["a", "b"]}]},
        {"type": "object", "additionalProperties": {"type": "integer", "maximum": -1}, "minProperties": 2},
        {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"kind": {"const": kind}, "size": INTEGER},
                    "required": ["kind", "size"],
                }
                for kind in ("cat", "dog")
            ]
        },
    ],
)
def test_rarer_schema_keywords_are_met(schema: dict[str, Any]) -> None:
    value = json.loads(say(want(schema), HumanMessage("Whatever you like, 12 times.")))
    validator_for(schema, default=Draft202012Validator)(schema).validate(value)


LONG_KEY = "a" * 40 + "!"


DRAFT_7 = "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize("dialect", [{}, {"$schema": DRAFT_7}], ids=["no dialect", "draft 7"])
@pytest.mark.parametrize(
    "rule",
    [
        {"properties": {LONG_KEY: {"type": "string", "pattern": r"^(a+)+$"}}},
        {"patternProperties": {r"^(a+)+$": INTEGER}},
        {"patternProperties": {r"^(a+)+$": INTEGER}, "additionalProperties": False},
        {"patternProperties": {r"^(a+)+$": INTEGER}, "unevaluatedProperties": False},
        {"propertyNames": {"pattern": r"^(a+)+$"}},
    ],
)
def test_a_pattern_that_would_run_for_hours_is_not_run(rule: dict[str, Any], dialect: dict[str, Any]) -> None:
    schema = {"type": "object", "required": [LONG_KEY], **rule, **dialect}
    value = json.loads(say(want(schema), HumanMessage(f"Take {LONG_KEY!r}")))
    assert list(value) == [LONG_KEY]


DEEP: dict[str, Any] = {}
for _ in range(300):
    DEEP = {"allOf": [DEEP]}


@pytest.mark.parametrize(
    "schema", [{"type": 3}, {"minItems": "many", "type": "array"}, {"$ref": "#/nowhere"}, True, DEEP]
)
def test_an_invalid_schema_still_gets_json(schema: Any) -> None:
    json.loads(say(want(schema), HumanMessage("Hi")))
