"""Whether a value is valid for a JSON Schema that a client sent, which may be no schema, or meant to do harm."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import UnknownType, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

__all__ = ["SchemaChecker", "without_dialects"]

_LONGEST_MATCHED = 16
"""Characters of a text that is matched with a pattern. A client's pattern could run for hours on a long one."""


class SchemaChecker:
    """Checks values against a schema from `without_dialects`, and against parts of it.

    Example:
        >>> checker = SchemaChecker({"items": {"type": "integer"}})
        >>> checker.accepts([1, 2], {"items": {"type": "integer"}})
        True
    """

    def __init__(self, root: Any) -> None:
        # An empty registry, since the default one would fetch remote references.
        self._validator = _Validator(root, registry=Registry(), format_checker=_Validator.FORMAT_CHECKER)

    def accepts(self, value: Any, schema: Any) -> bool:
        """Return whether the schema, or a part of it, accepts a value; True where it cannot be told."""
        try:
            return bool(self._validator.evolve(schema=schema).is_valid(value))
        except (Unresolvable, UnknownType, re.error, TypeError, AttributeError, RecursionError):
            return True


def without_dialects(schema: Any) -> Any:
    """Return a copy of a schema without `$schema`, by which `jsonschema` would choose another validator than ours."""
    if isinstance(schema, list):
        return [without_dialects(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: without_dialects(value) for key, value in schema.items() if key != "$schema" or not isinstance(value, str)
    }


def _ignore(*_: Any) -> tuple[()]:
    return ()


def _check_pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and (len(value) > _LONGEST_MATCHED or not re.search(pattern, value)):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _check_other_properties(validator: Any, allowed: Any, value: Any, schema: Any) -> Iterable[ValidationError]:
    check: Any = Draft202012Validator.VALIDATORS["additionalProperties"]
    return () if "patternProperties" in schema else check(validator, allowed, value, schema)


_extend: Any = extend
_Validator = _extend(
    Draft202012Validator,
    {
        "pattern": _check_pattern,
        "patternProperties": _ignore,
        "additionalProperties": _check_other_properties,
        "unevaluatedProperties": _ignore,
    },
)
"""A validator that matches a client's patterns with nothing but short texts."""
