"""Schemas of every kind, and an answer that is valid for most of them."""

import dataclasses
import datetime as dt
import typing
from enum import Enum
from typing import Annotated, Any, Literal

import typing_extensions
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.v1 import BaseModel as BaseModelV1


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
