"""JSON Schemas: what their references point at, and what they say of each place in a value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JsonSchema = dict[str, Any]


def dump(value: Any) -> str:
    """Return JSON text as this package writes it: on one line, with no letters escaped."""
    return json.dumps(value, ensure_ascii=False)


def resolve_ref(reference: str, root: Any) -> Any:
    """Return what a `$ref` such as "#/$defs/Node" points at in a schema; None where it points at nothing there."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    target = root
    for step in reference.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(target, list) and key.isdecimal() and int(key) < len(target):
            target = target[int(key)]
        elif isinstance(target, Mapping) and key in target:
            target = target[key]
        else:
            return None
    return target


def with_inlined_root(schema: JsonSchema) -> JsonSchema:
    """Return a schema with its members at the root, where the root is a `$ref`, as it is for a recursive type."""
    if not isinstance(schema.get("$ref"), str):
        return schema
    target = resolve_ref(schema["$ref"], schema)
    others = {key: value for key, value in schema.items() if key != "$ref"}
    return {**target, **others} if isinstance(target, Mapping) else others


def without_titles(schema: Mapping[str, Any]) -> JsonSchema:
    """Return a copy of a schema without titles: Pydantic makes them of names, and they tell a model nothing new."""
    copied: JsonSchema = _without_titles(schema)
    return copied


def _without_titles(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {}
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions", "patternProperties") and isinstance(value, Mapping):
            kept[key] = {name: _without_titles(item) for name, item in value.items()}
        elif key in ("enum", "const", "default", "examples"):
            kept[key] = value
        elif key != "title" or not isinstance(value, str):
            kept[key] = _without_titles(value)
    return kept


@dataclass(frozen=True)
class SchemaNode:
    """A place in a schema: tells what the schema says of the value there. `$ref`s and unions are followed.

    Example:
        >>> node = SchemaNode.of({"properties": {"n": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}})
        >>> sorted(node.member("n").types())
        ['integer', 'null']
    """

    options: tuple[Mapping[str, Any], ...]
    root: Mapping[str, Any]

    @classmethod
    def of(cls, schema: Any) -> "SchemaNode":
        """Return the place of the whole value."""
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

    def allows(self, value: Any) -> bool:
        """Return whether a value is of a type that it may have here. Its members are not looked at."""
        types, found = self.types(), _json_type(value)
        return types is None or found in types or (found == "integer" and "number" in types)

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
        # A schema need not be an object: `true` allows everything.
        return SchemaNode(tuple(item if isinstance(item, Mapping) else {} for item in schemas) or ({},), self.root)

    def member_names(self) -> frozenset[str]:
        """Return the names of the members that the schema lists."""
        lists = (option.get("properties") for option in self._expanded())
        return frozenset(name for properties in lists if isinstance(properties, Mapping) for name in properties)

    def _expanded(self) -> list[Mapping[str, Any]]:
        """Return the schemas that apply here: in place of a `$ref`, `anyOf`, `oneOf` or `allOf`, those behind it."""
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
                pending.append(resolve_ref(option["$ref"], self.root))
            elif inner:
                pending += [item for items in inner for item in items]
                if "properties" in option:
                    expanded.append(option)
            else:
                expanded.append(option)
        return expanded


def _named_types(option: Mapping[str, Any]) -> set[str] | None:
    """Return the types that a schema names without a look at others; None where it leaves them open."""
    named = option.get("type")
    if isinstance(named, str):
        return {named}
    if isinstance(named, list):
        return {name for name in named if isinstance(name, str)}
    if "enum" in option or "const" in option:
        return set(map(_json_type, option.get("enum", [option.get("const")])))
    return {"object"} if "properties" in option else None


def _json_type(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null", list: "array"}
    return names.get(type(value), "object")
