"""Whole values: near-JSON in a text to values, and values to the types that a schema wants."""

import json
from typing import Any

from langchain_darkai._json.reader import MAX_WHOLE, LenientJsonReader
from langchain_darkai._json.schema import SchemaNode, dump


def coerce(value: Any, node: SchemaNode) -> Any:
    """Return a value with the types that the schema wants, as a `LenientJsonReader` with that schema reads it."""
    reader = LenientJsonReader(node)
    written = reader.feed(dump(value)) + reader.finish()
    return json.loads(written) if reader.done else value


def canonical(value: Any) -> str:
    """Return a text that two values share only if they are the same JSON: 1 and 1.0 do, 1 and true do not.

    Unlike the hashes of numbers, those of texts cannot be made to collide.

    Example:
        >>> canonical({"b": [1.0, True], "a": None})
        '{"a": null, "b": [1, true]}'
    """
    return json.dumps(_with_whole_numbers(value), sort_keys=True)


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, list):
        return list(map(_with_whole_numbers, value))
    if isinstance(value, dict):
        return {name: _with_whole_numbers(part) for name, part in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read_value(text: str, node: SchemaNode | None = None) -> tuple[Any, str] | None:
    """Return the near-JSON value that a text begins with, and what follows it; None where there is no whole one.

    A text that is longer than MAX_WHOLE is not read.

    Example:
        >>> read_value("{'a': 1} x")
        ({'a': 1}, ' x')
    """
    read = read_value_at(text, 0, node) if len(text) <= MAX_WHOLE else None
    return (read[0], text[read[1] :]) if read else None


def read_value_at(text: str, position: int, node: SchemaNode | None = None) -> tuple[Any, int] | None:
    """Return the near-JSON value at a position of a text, and where it ends; None where there is no whole one.

    Example:
        >>> read_value_at("x {'a': 1} x", 2)
        ({'a': 1}, 10)
    """
    reader = LenientJsonReader(node)
    written, end = reader.read_from(text, position)
    written += reader.finish()
    if not reader.done:
        return None
    try:
        return json.loads(written), end
    except (ValueError, RecursionError):
        return None
