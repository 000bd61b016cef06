"""JSON Schemas: made whole from Python types, and asked which types a value may have."""

import json
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from typing_extensions import NotRequired, Required, TypedDict, get_type_hints, is_typeddict

JsonSchema = dict[str, Any]


def schema_of_type(type_: Any) -> JsonSchema:
    """Return the JSON Schema of anything that Pydantic validates: models, dataclasses, TypedDicts, unions, lists.

    Unlike langchain_core's converter it keeps `$defs`, so recursive types stay whole. Models of Pydantic v1 are taken
    too. Raises TypeError for what has no schema.

    Example:
        >>> schema_of_type(list[int])
        {'items': {'type': 'integer'}, 'type': 'array'}
    """
    if isinstance(type_, type) and not issubclass(type_, BaseModel) and hasattr(type_, "__fields__"):
        return _without_titles(type_.schema())  # type: ignore[attr-defined]
    try:
        schema = with_inlined_root(adapter_of_type(type_).json_schema())
    except PydanticUserError as error:
        raise TypeError(f"{type_!r} has no JSON Schema: {error}") from error
    _add_annotated_descriptions(type_, schema)
    return _without_titles(schema)


def with_inlined_root(schema: JsonSchema) -> JsonSchema:
    """Return a schema whose root is no `$ref`, as a recursive type's is, so that its members stand at the root."""
    others = {key: value for key, value in schema.items() if key != "$ref"}
    return {**(resolve(schema["$ref"], schema) or {}), **others} if isinstance(schema.get("$ref"), str) else schema


def adapter_of_type(type_: Any) -> TypeAdapter[Any]:
    """Return what validates values of a type; TypeError for a type that Pydantic knows nothing of."""
    try:
        return TypeAdapter(_modern(type_))
    except (PydanticSchemaGenerationError, PydanticUserError, RecursionError) as error:
        raise TypeError(f"{type_!r} has no JSON Schema: {error}") from error


def _modern(type_: Any) -> Any:
    """Return a type with each `typing.TypedDict` made anew, since Pydantic refuses those of Python before 3.12."""
    if sys.version_info >= (3, 12):
        return type_
    if is_typeddict(type_):
        members = {
            name: (Required if name in type_.__required_keys__ else NotRequired)[_modern(_bare_hint(hint))]
            for name, hint in get_type_hints(type_, include_extras=True).items()
        }
        remade: Any = TypedDict(type_.__name__, members)  # type: ignore[misc]
        remade.__doc__ = type_.__doc__
        return remade
    arguments = typing.get_args(type_)
    modern = tuple(_modern(argument) for argument in arguments)
    if modern == arguments:
        return type_
    origin = typing.get_origin(type_)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[modern]  # noqa: UP007 - made of a tuple
    if origin is Annotated:
        annotated: Any = Annotated
        parts = (modern[0], *type_.__metadata__)
        return annotated[parts]
    return origin[modern]


def _bare_hint(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) in (Required, NotRequired) else hint


def _add_annotated_descriptions(type_: Any, schema: JsonSchema) -> None:
    """Take over LangChain's way to describe a TypedDict's field: `Annotated[int, ..., "how many"]`."""
    if not is_typeddict(type_):
        return
    for name, hint in get_type_hints(type_, include_extras=True).items():
        texts = [text for text in getattr(hint, "__metadata__", ()) if isinstance(text, str)]
        member = schema.get("properties", {}).get(name)
        if texts and isinstance(member, dict):
            member.setdefault("description", texts[0])


def _without_titles(schema: JsonSchema) -> JsonSchema:
    """Return a copy of a schema without the titles that Pydantic makes of names, which tell a model nothing."""
    bare: JsonSchema = without_titles(schema)
    return bare


def without_titles(schema: Any) -> Any:
    """Return a copy of a schema, or of a part of one, without titles."""
    if isinstance(schema, list):
        return [without_titles(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {}
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions", "patternProperties") and isinstance(value, Mapping):
            kept[key] = {name: without_titles(item) for name, item in value.items()}
        elif key in ("enum", "const", "default", "examples"):
            kept[key] = value
        elif key != "title" or not isinstance(value, str):
            kept[key] = without_titles(value)
    return kept


@dataclass(frozen=True)
class SchemaNode:
    """A place in a schema: asks what the schema says of the value there, `$ref`s and unions followed.

    Example:
        >>> node = SchemaNode.of({"properties": {"n": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}})
        >>> sorted(node.member("n").types())
        ['integer', 'null']
    """

    options: tuple[Mapping[str, Any], ...]
    root: Mapping[str, Any]

    @classmethod
    def of(cls, schema: Any) -> "SchemaNode":
        """Return the root of a schema."""
        root = schema if isinstance(schema, Mapping) else {}
        return cls((root,), root)

    def types(self) -> frozenset[str] | None:
        """Return the JSON types that a value may have here; None where the schema leaves that open."""
        types: set[str] = set()
        for option in self._expanded():
            named = _named_types(option)
            if named is None:
                return None
            types |= named
        return frozenset(types) if types else None

    def member(self, name: str) -> "SchemaNode":
        """Return the place of an object's member."""
        found: list[Any] = []
        for option in self._expanded():
            properties, extra = option.get("properties"), option.get("additionalProperties", {})
            if isinstance(properties, Mapping) and name in properties:
                found.append(properties[name])
            elif "object" in (_named_types(option) or {"object"}) and extra is not False:
                found.append(extra)
        return self._at(found)

    def element(self, place: int) -> "SchemaNode":
        """Return the place of an array's element."""
        found: list[Any] = []
        for option in self._expanded():
            prefix = option.get("prefixItems")
            if isinstance(prefix, list) and place < len(prefix):
                found.append(prefix[place])
            elif "array" in (_named_types(option) or {"array"}):
                found.append(option.get("items", {}))
        return self._at(found)

    def _at(self, schemas: list[Any]) -> "SchemaNode":
        # A schema that is no object, `true` above all, leaves everything open.
        return SchemaNode(tuple(item if isinstance(item, Mapping) else {} for item in schemas) or ({},), self.root)

    def member_names(self) -> frozenset[str]:
        """Return the names of the members that the schema lists."""
        lists = (option.get("properties") for option in self._expanded())
        return frozenset(name for properties in lists if isinstance(properties, Mapping) for name in properties)

    def _expanded(self) -> list[Mapping[str, Any]]:
        expanded: list[Mapping[str, Any]] = []
        pending: list[Any] = list(self.options)
        seen: set[int] = set()
        while pending:
            option = pending.pop()
            if not isinstance(option, Mapping):
                option = {}
            elif id(option) in seen:
                continue
            seen.add(id(option))
            inner = [option[key] for key in ("anyOf", "oneOf", "allOf") if isinstance(option.get(key), list)]
            if isinstance(option.get("$ref"), str):
                pending.append(resolve(option["$ref"], self.root))
            elif inner:
                pending += [item for items in inner for item in items]
                if "properties" in option:
                    expanded.append(option)
            else:
                expanded.append(option)
        return expanded


def _named_types(option: Mapping[str, Any]) -> set[str] | None:
    """Return the types that one schema names, itself; None where it leaves them open."""
    named = option.get("type")
    if isinstance(named, str):
        return {named}
    if isinstance(named, list):
        return {name for name in named if isinstance(name, str)}
    if "enum" in option or "const" in option:
        return set(map(_json_type, option.get("enum", [option.get("const")])))
    return {"object"} if "properties" in option else None


def resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a local `$ref` points at; None where it points at nothing."""
    target: Any = root
    for step in reference.removeprefix("#").strip("/").split("/") if reference.strip("#/") else ():
        target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
    return target if isinstance(target, Mapping) and reference.startswith("#") else None


def _json_type(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null", list: "array"}
    return names.get(type(value), "object")


def dump(value: Any) -> str:
    """Return JSON text as this package writes it: one line, letters as they are."""
    return json.dumps(value, ensure_ascii=False)
