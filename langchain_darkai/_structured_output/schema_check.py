"""The check of an answer against a JSON Schema: what jsonschema says, in a time that grows with the answer's length."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from langchain_darkai._json.schema import JsonSchema
from langchain_darkai._json.values import canonical
from langchain_darkai._text import shortened

MAX_ERRORS = 5
"""Faults of one answer that the model is told of. The first ones mostly cause the others."""

MAX_FAULT = 300
"""Characters of one fault that are told. jsonschema quotes the whole value that is wrong, which may be all of it."""

MAX_FAULTS = 2000
"""Characters of all of them: of an error of a type's own, too, which may say anything."""


def schema_checker(schema: JsonSchema) -> Callable[[Any], Any]:
    """Return what returns a value that the schema allows, and raises ValueError with the faults of any other.

    Raises ValueError for a dict that is no JSON Schema.
    """
    import jsonschema
    from jsonschema.validators import extend, validator_for

    kind = validator_for(schema, default=jsonschema.Draft202012Validator)
    if not schema.keys() & kind.VALIDATORS.keys():
        raise ValueError("it has no keyword of JSON Schema that an answer is checked by, such as type or properties")
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"it is not valid JSON Schema: {error.message}") from error
    linear: Any = extend(kind, {word: rule for word, rule in _LINEAR.items() if word in kind.VALIDATORS})  # type: ignore[no-untyped-call]
    # Without "$schema", which would make jsonschema take its own class again where a reference points at the root.
    validator = linear({word: given for word, given in schema.items() if word != "$schema"})

    def check(value: Any) -> Any:
        errors = sorted(islice(validator.iter_errors(value), MAX_ERRORS + 1), key=_path)
        if errors:
            raise ValueError(joined([(".".join(_path(error)), error.message) for error in errors]))
        return value

    return check


def joined(faults: Sequence[tuple[str, str]]) -> str:
    """Return the first faults, each a path and a message, as one text."""
    texts = [f"{path}: {message}" if path else message for path, message in faults[:MAX_ERRORS]]
    return "; ".join(shortened(text, MAX_FAULT) for text in texts) + ("; and more" if len(faults) > MAX_ERRORS else "")


def _path(error: Any) -> list[str]:
    return list(map(str, error.absolute_path))


def _unique_items(validator: Any, given: Any, value: Any, _schema: Any) -> Iterator[Exception]:
    """Check "uniqueItems". That of jsonschema compares each item with every other."""
    if given and validator.is_type(value, "array") and len(set(map(canonical, value))) < len(value):
        yield _error(f"{value!r} has non-unique elements")


def _any_of(validator: Any, branches: list[Any], value: Any, _schema: Any) -> Iterator[Exception]:
    """Check "anyOf". That of jsonschema collects every fault of every branch."""
    if not any(_fits(validator, branch, value) for branch in branches):
        yield _error(f"{value!r} is not valid under any of the given schemas")


def _one_of(validator: Any, branches: list[Any], value: Any, _schema: Any) -> Iterator[Exception]:
    """Check "oneOf", in the same way."""
    fitting = [branch for branch in branches if _fits(validator, branch, value)]
    if not fitting:
        yield _error(f"{value!r} is not valid under any of the given schemas")
    elif len(fitting) > 1:
        yield _error(f"{value!r} is valid under each of {', '.join(map(repr, fitting))}")


_LINEAR = {"uniqueItems": _unique_items, "anyOf": _any_of, "oneOf": _one_of}


def _fits(validator: Any, schema: Any, value: Any) -> bool:
    return next(iter(validator.descend(value, schema)), None) is None


def _error(message: str) -> Exception:
    from jsonschema import ValidationError

    return ValidationError(message)
