"""What a schema says of each place in a value, and that a value that it allows is never changed."""

import copy
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_darkai._json.reader import coerce
from langchain_darkai._json.schema import SchemaNode, dump, resolve_ref, with_inlined_root, without_titles


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


def test_a_reference_leads_to_its_place_in_the_schema() -> None:
    root = {"$defs": {"a/b": {"type": "integer"}, "~": {"type": "null"}}}

    assert resolve_ref("#/$defs/a~1b", root) == {"type": "integer"}
    assert resolve_ref("#/$defs/~0", root) == {"type": "null"}
    assert resolve_ref("#", root) == root
    assert resolve_ref("#/anyOf/1", {"anyOf": [True, {"type": "null"}]}) == {"type": "null"}
    assert resolve_ref("#/anyOf/2", {"anyOf": [True, {"type": "null"}]}) is None
    assert resolve_ref("#/$defs/none", root) is None
    assert resolve_ref("#name", root) is None
    assert resolve_ref("other.json#/a", root) is None
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
