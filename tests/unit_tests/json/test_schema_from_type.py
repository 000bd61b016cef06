"""Schemas made from types: of every kind of type, whole, with their references and descriptions."""

import dataclasses
import typing
from typing import Annotated, Any

import jsonschema
import pytest
import typing_extensions
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1

from langchain_darkai._json.schema_from_type import schema_from_type


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
    schema = schema_from_type(Node)

    assert schema["type"] == "object"
    assert schema["properties"]["value"] == {"type": "integer"}
    jsonschema.validate({"value": 1, "children": [{"value": 2, "children": []}]}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"value": 1, "children": [{"value": 2, "children": [{"value": "x"}]}]}, schema)


def test_a_model_of_pydantic_v1() -> None:
    assert schema_from_type(OldPoint) == {
        "type": "object",
        "properties": {"x": {"type": "integer"}, "y": {"default": 0, "type": "integer"}},
        "required": ["x"],
    }


def test_typed_dicts_of_both_modules_with_descriptions() -> None:
    assert schema_from_type(Plain)["properties"] == {
        "title": {"type": "string"},
        "year": {"type": "integer", "description": "When it came out."},
    }
    schema = schema_from_type(Extended)
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
    schema = schema_from_type(type_)

    jsonschema.validate(valid, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(invalid, schema)


def test_what_has_no_schema_is_a_type_error() -> None:
    class Odd:
        pass

    with pytest.raises(TypeError, match="no JSON Schema"):
        schema_from_type(Odd)
