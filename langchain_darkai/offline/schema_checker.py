"""Whether a value is valid for a JSON Schema that a client sent, which may be no schema, or meant to do harm.

A validator that knows every keyword takes a time without bounds: references that double, unions in unions, patterns.
This one knows those that the rules make values for, and counts its steps.
"""

import operator
from collections.abc import Callable
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator

from langchain_darkai.offline.budget import Budget
from langchain_darkai.offline.pattern_matcher import LONGEST_MATCHED, PatternMatcher
from langchain_darkai.offline.schema_parts import SchemaParts

__all__ = ["FORMATS", "SchemaChecker"]

FORMATS = "date date-time time duration email hostname ipv4 ipv6 uri uuid json-pointer".split()
"""The formats that are checked, where their library is there. Not "regex": that would compile a client's pattern."""

_FORMAT_CHECKER = Draft202012Validator.FORMAT_CHECKER
_FORMAT_STEPS = 100
"""The steps of a check of a format."""
_TEXT_A_STEP = 50
"""Characters of a text that one step compares."""


class SchemaChecker:
    """Checks values against the parts of one schema.

    Example:
        >>> checker = SchemaChecker({"$defs": {"n": {"type": "integer"}}}, Budget())
        >>> checker.accepts([1, 2], {"items": {"$ref": "#/$defs/n"}})
        True
    """

    def __init__(self, root: Any, budget: Budget) -> None:
        self.parts: SchemaParts = SchemaParts(root, budget)
        self.budget = budget
        self._matcher = PatternMatcher(budget)

    def accepts(self, value: Any, schema: Any) -> bool:
        """Return whether a part of the schema accepts a value; True where it cannot be told."""
        self.budget.spend()
        if not isinstance(schema, dict):
            return schema is not False
        self.budget.spend(len(schema))
        try:
            return all(_RULES[word](self, given, value, schema) for word, given in schema.items() if word in _RULES)
        except (TypeError, ValueError, ArithmeticError, AttributeError, RecursionError):
            return True

    def matches(self, pattern: Any, text: str) -> bool:
        """Return whether a text matches a client's pattern; True where it cannot be read, or is one of too many."""
        return not isinstance(pattern, str) or self._matcher.matches(pattern, text)

    def key(self, value: Any) -> Any:
        """Return what two values have in common only if they are the same JSON: 1 and 1.0 are, 1 and true are not.

        Numbers are written out, since a client can choose many that have one hash.
        """
        if isinstance(value, str):
            self.budget.spend(1 + len(value) // _TEXT_A_STEP)
            return value
        self.budget.spend(1 + (len(value) if isinstance(value, list | dict) else 0))
        if isinstance(value, list):
            return tuple(map(self.key, value))
        if isinstance(value, dict):
            return frozenset((name, self.key(part)) for name, part in value.items())
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return b"%x" % value if type(value) is int else repr(value).encode()


_Rule = Callable[[SchemaChecker, Any, Any, dict[str, Any]], bool]

_TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has_type(value: Any, name: str) -> bool:
    if name == "integer":
        return _is_number(value) and (isinstance(value, int) or value.is_integer())
    return _is_number(value) if name == "number" else isinstance(value, _TYPES.get(name, object))


def _is_type(checker: SchemaChecker, given: Any, value: Any, _schema: Any) -> bool:
    checker.budget.spend(len(given) if isinstance(given, list) else 0)
    return any(_has_type(value, name) for name in (given if isinstance(given, list) else [given]))


def _is_reference(checker: SchemaChecker, given: Any, value: Any, _schema: Any) -> bool:
    return checker.accepts(value, checker.parts.resolve(given))


def _is_option(checker: SchemaChecker, given: Any, value: Any, _schema: Any) -> bool:
    return checker.key(value) in map(checker.key, given)


def _is_multiple(_checker: SchemaChecker, given: Any, value: Any, _schema: Any) -> bool:
    if not _is_number(value):
        return True
    return float(value / given).is_integer() if isinstance(given, float) else bool(value % given == 0)


def _is_format(checker: SchemaChecker, given: Any, value: Any, _schema: Any) -> bool:
    if not isinstance(value, str) or given not in FORMATS:
        return True
    checker.budget.spend(_FORMAT_STEPS)
    return len(value) <= LONGEST_MATCHED and _FORMAT_CHECKER.conforms(value, given)


def _is_unique(checker: SchemaChecker, given: Any, value: Any, _schema: Any) -> bool:
    return not given or not isinstance(value, list) or len(set(map(checker.key, value))) == len(value)


def _items_fit(checker: SchemaChecker, given: Any, value: Any, schema: dict[str, Any]) -> bool:
    rest = islice(value, len(schema.get("prefixItems", ())), None) if isinstance(value, list) else ()
    return all(checker.accepts(item, given) for item in rest)


def _first_items_fit(checker: SchemaChecker, given: Any, value: Any, _schema: Any) -> bool:
    return not isinstance(value, list) or all(map(checker.accepts, value, given))


def _members_fit(checker: SchemaChecker, given: Any, value: Any, _schema: Any) -> bool:
    checker.budget.spend(len(value) if isinstance(value, dict) else 0)
    return not isinstance(value, dict) or all(checker.accepts(value[key], given[key]) for key in value if key in given)


def _other_members_fit(checker: SchemaChecker, given: Any, value: Any, schema: dict[str, Any]) -> bool:
    if not isinstance(value, dict) or "patternProperties" in schema:
        return True
    checker.budget.spend(len(value))
    return all(checker.accepts(value[key], given) for key in value if key not in schema.get("properties", ()))


def _has_required(checker: SchemaChecker, given: Any, value: Any, _schema: Any) -> bool:
    checker.budget.spend(len(given))
    return not isinstance(value, dict) or all(key in value for key in given)


def _compares(kind: Any, compare: Callable[[Any, Any], bool]) -> _Rule:
    """Return the rule of a bound: on a number itself, or on the length of another kind of value."""
    if kind is float:
        return lambda _, given, value, __: not _is_number(value) or compare(value, given)
    return lambda _, given, value, __: not isinstance(value, kind) or compare(len(value), given)


_RULES: dict[str, _Rule] = {
    "$ref": _is_reference,
    "type": _is_type,
    "const": lambda checker, given, value, _: checker.key(value) == checker.key(given),
    "enum": _is_option,
    "allOf": lambda checker, given, value, _: all(checker.accepts(value, part) for part in given),
    "anyOf": lambda checker, given, value, _: any(checker.accepts(value, part) for part in given),
    "oneOf": lambda checker, given, value, _: sum(checker.accepts(value, part) for part in given) == 1,
    "not": lambda checker, given, value, _: not checker.accepts(value, given),
    "minimum": _compares(float, operator.ge),
    "maximum": _compares(float, operator.le),
    "exclusiveMinimum": _compares(float, operator.gt),
    "exclusiveMaximum": _compares(float, operator.lt),
    "multipleOf": _is_multiple,
    "minLength": _compares(str, operator.ge),
    "maxLength": _compares(str, operator.le),
    "pattern": lambda checker, given, value, _: not isinstance(value, str) or checker.matches(given, value),
    "format": _is_format,
    "minItems": _compares(list, operator.ge),
    "maxItems": _compares(list, operator.le),
    "uniqueItems": _is_unique,
    "items": _items_fit,
    "prefixItems": _first_items_fit,
    "minProperties": _compares(dict, operator.ge),
    "maxProperties": _compares(dict, operator.le),
    "required": _has_required,
    "properties": _members_fit,
    "additionalProperties": _other_members_fit,
    "propertyNames": lambda checker, given, value, _: (
        not isinstance(value, dict) or all(checker.accepts(key, given) for key in value)
    ),
}
