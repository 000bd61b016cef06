"""Schemas made of types stay whole; what a schema allows is never changed."""

import copy
import dataclasses
import typing
from typing import Annotated, Any

import jsonschema
import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1

from langchain_darkai._json.reader import coerce
from langchain_darkai._json.schema import SchemaNode, dump, resolve, schema_of_type, with_inlined_root, without_titles


class Node(BaseModel):
    """A tree."""

    value: int
    children: list["Node"] = []


class OldPoint(BaseModelV1):
    x: int
    y: int = 0


class Plain(typing.TypedDict):
    """A book."""

    title: str
    year: Annotated[int, ..., "When it came out."]


class Extended(typing_extensions.TypedDict):
    """A shelf."""

    inner: typing_extensions.NotRequired[Plain]
    both: Plain | None


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


def test_a_recursive_model_stays_recursive_with_its_members_at_the_root() -> None:
    schema = schema_of_type(Node)

    assert schema["type"] == "object"
    assert schema["properties"]["value"] == {"type": "integer"}
    jsonschema.validate({"value": 1, "children": [{"value": 2, "children": []}]}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"value": 1, "children": [{"value": 2, "children": [{"value": "x"}]}]}, schema)


def test_a_model_of_pydantic_v1() -> None:
    assert schema_of_type(OldPoint) == {
        "type": "object",
        "properties": {"x": {"type": "integer"}, "y": {"default": 0, "type": "integer"}},
        "required": ["x"],
    }


def test_typed_dicts_of_both_modules_with_descriptions() -> None:
    assert schema_of_type(Plain)["properties"] == {
        "title": {"type": "string"},
        "year": {"type": "integer", "description": "When it came out."},
    }
    schema = schema_of_type(Extended)
    assert (schema["description"], schema["$defs"]["Plain"]["description"]) == ("A shelf.", "A book.")
    assert schema["required"] == ["both"]
    jsonschema.validate({"both": {"title": "x", "year": 1}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"both": {"title": "x"}}, schema)


@pytest.mark.parametrize(
    ("type_", "valid", "invalid"),
    [
        (Point, {"x": 1}, {"y": 1}),
        (list[Point], [{"x": 1}], [{"y": 1}]),
        (int | Point, 5, "x"),
        (Plain | None, None, 5),
        (dict[str, list[int]], {"a": [1]}, {"a": ["x"]}),
        (typing.Literal["a", 1], "a", "b"),
        (Annotated[int, Field(gt=3)], 4, 3),
    ],
)
def test_anything_that_pydantic_validates_has_a_schema(type_: Any, valid: Any, invalid: Any) -> None:
    schema = schema_of_type(type_)

    jsonschema.validate(valid, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(invalid, schema)


def test_what_has_no_schema_is_a_type_error() -> None:
    class Odd:
        pass

    with pytest.raises(TypeError, match="no JSON Schema"):
        schema_of_type(Odd)


def test_titles_go_but_members_called_title_stay() -> None:
    schema = {
        "title": "Book",
        "type": "object",
        "properties": {"title": {"title": "Title", "type": "string"}, "properties": {"title": "P", "type": "object"}},
        "default": {"title": "kept"},
        "enum": [{"title": "kept"}],
        "required": ["title"],
        "$defs": {"title": {"title": "T", "type": "integer"}},
    }
    before = copy.deepcopy(schema)

    assert without_titles(schema) == {
        "type": "object",
        "properties": {"title": {"type": "string"}, "properties": {"type": "object"}},
        "default": {"title": "kept"},
        "enum": [{"title": "kept"}],
        "required": ["title"],
        "$defs": {"title": {"type": "integer"}},
    }
    assert schema == before


def test_references() -> None:
    root = {"$defs": {"a/b": {"type": "integer"}, "~": {"type": "null"}}}

    assert resolve("#/$defs/a~1b", root) == {"type": "integer"}
    assert resolve("#/$defs/~0", root) == {"type": "null"}
    assert resolve("#", root) == root
    assert resolve("#/$defs/none", root) is None
    assert resolve("other.json#/a", root) is None
    assert with_inlined_root({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}})["type"] == "null"


def test_a_schema_that_refers_to_itself_ends() -> None:
    assert SchemaNode.of({"$ref": "#"}).types() is None
    looped = {"anyOf": [{"$ref": "#"}, {"type": "integer"}]}
    assert SchemaNode.of(looped).types() == frozenset({"integer"})
    SchemaNode.of(looped).member("x").element(0).types()


OPEN = [
    {"anyOf": [{"$ref": "other.json"}, {"type": "integer"}]},
    {"anyOf": [True, {"type": "integer"}]},
    {"anyOf": [{}, {"type": "integer"}]},
    {"oneOf": [{"minLength": 1}, {"type": "integer"}]},
]


@pytest.mark.parametrize("schema", OPEN)
def test_a_place_that_one_branch_leaves_open_is_open(schema: Any) -> None:
    assert SchemaNode.of(schema).types() is None
    assert coerce("5", SchemaNode.of(schema)) == "5"


leaves = st.sampled_from(
    [{"type": name} for name in ("string", "integer", "number", "boolean", "null", "array", "object")]
    + [
        {},
        True,
        {"type": ["string", "null"]},
        {"type": ["integer", "boolean"]},
        {"enum": ["1", 2]},
        {"enum": [1]},
        {"const": "true"},
    ]
)
schemas: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: (
        st.fixed_dictionaries(
            {"type": st.just("array")},
            optional={"items": inner, "prefixItems": st.lists(inner, min_size=1, max_size=2)},
        )
        | st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2)},
            optional={"additionalProperties": inner | st.booleans()},
        )
        | st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options})
        | st.lists(inner, min_size=1, max_size=2).map(lambda options: {"allOf": options})
    ),
    max_leaves=5,
)
texts = st.sampled_from(["1", "2", "true", "null", "[]", "{}", "[1]", '{"a": "1"}', "", "x", "1.0", " 1 "])
values: st.SearchStrategy[Any] = st.recursive(
    texts | st.sampled_from([1, 2, True, None, 1.5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=3000)
@given(schemas, values)
def test_what_the_schema_allows_is_never_changed(schema: Any, value: Any) -> None:
    if jsonschema.Draft202012Validator(schema).is_valid(value):
        assert dump(coerce(value, SchemaNode.of(schema))) == dump(value)
