"""The parts of a JSON Schema that a client sent. What is read or copied here is charged by its size."""

from typing import Any

from langchain_darkai._json.schema import resolve_ref
from langchain_darkai.offline.budget import Budget
from langchain_darkai.offline.words import MAX_READ

__all__ = ["Schema", "SchemaParts", "description_of", "form_of"]

Schema = dict[str, Any]

_KEYWORDS = {
    "object": ("properties", "required", "additionalProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""The words that tell the type of a schema that names none."""


class SchemaParts:
    """Reads the parts of one schema, as steps of a budget: one for each entry of a list or an object.

    A reference makes one large part stand in a thousand places, so each time counts.
    """

    def __init__(self, root: Any, budget: Budget) -> None:
        self._root = root
        self._budget = budget

    def resolve(self, reference: Any) -> Any:
        """Return what a `$ref` points at; None where it points at nothing there."""
        self._budget.spend(1 + len(reference) // 10)
        return resolve_ref(reference, self._root)

    def copy(self, entries: Any) -> Any:
        """Return a copy of a list or an object."""
        self._budget.spend(1 + len(entries))
        return entries.copy()

    def without(self, schema: Schema, *words: str) -> Schema:
        """Return a schema without some of its words."""
        self._budget.spend(1 + len(schema))
        return {word: given for word, given in schema.items() if word not in words}

    def merged(self, one: Schema, two: Schema) -> Schema:
        """Return two schemas as one; where both say something about the same, the second counts."""
        self._budget.spend(1 + len(one) + len(two))
        merged = {**one, **two}
        for word in ("properties", "required"):
            if word in one and word in two:
                self._budget.spend(len(one[word]) + len(two[word]))
        if "properties" in one and "properties" in two:
            merged["properties"] = {**one["properties"], **two["properties"]}
        if "required" in one and "required" in two:
            merged["required"] = [*one["required"], *two["required"]]
        return merged

    def flat(self, schema: Any, seen: tuple[str, ...] = ()) -> Schema:
        """Return a schema with what its `$ref` and its `allOf` say merged in, at the top level."""
        self._budget.spend()
        if not isinstance(schema, dict):
            return {"not": {}} if schema is False else {}
        flat = self.without(schema, "$ref", "allOf")
        reference = schema.get("$ref")
        parts = [self.flat(part, seen) for part in schema.get("allOf", ())]
        if isinstance(reference, str) and reference not in seen:
            parts.append(self.flat(self.resolve(reference), (*seen, reference)))
        for part in parts:
            flat = self.merged(part, flat)
        return flat

    def types(self, schema: Schema) -> list[str]:
        """Return the types that a schema names, or the one that its other words speak of; a string if nothing tells."""
        types = schema.get("type")
        if isinstance(types, list) and types:
            self._budget.spend(len(types))
            return types
        if isinstance(types, str):
            return [types] if types in {*_KEYWORDS, "integer", "boolean", "null"} else ["string"]
        return [next((name for name, words in _KEYWORDS.items() if schema.keys() & set(words)), "string")]

    def nests(self, schema: Schema) -> bool:
        """Return whether values of a schema may have values in them."""
        return bool({"object", "array"} & set(self.types(schema)) or schema.keys() & {"anyOf", "oneOf"})


def description_of(schema: Schema) -> str:
    """Return the beginning of a schema's description, or of its title."""
    described = schema.get("description") or schema.get("title")
    return described[:MAX_READ] if isinstance(described, str) else ""


def form_of(schema: Schema) -> str:
    """Return a schema's format, or ""."""
    form = schema.get("format")
    return form if isinstance(form, str) else ""
