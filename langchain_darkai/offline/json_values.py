"""JSON values for a JSON Schema: found in a text where it has them, made up where it has not.

The rules know the words that Pydantic writes: types, `enum`, `const`, `anyOf`, `oneOf`, `allOf`, local `$ref`s, bounds
of numbers, texts and arrays, `format`, `prefixItems`, `uniqueItems`, `required`, `additionalProperties` and
`minProperties`. For any other word, for a `pattern` that no sample matches, and for a schema that asks for more than a
reply may be, the value is as near as they come.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice
from typing import Any, NamedTuple

from langchain_darkai.offline.budget import BudgetSpentError
from langchain_darkai.offline.schema_checker import SchemaChecker
from langchain_darkai.offline.schema_parts import Schema, description_of, form_of
from langchain_darkai.offline.text_values import FREE_TEXT, Freedom, TextValues
from langchain_darkai.offline.words import words_of

__all__ = ["generate"]

_MAX_DEPTH = 4
"""Nesting below which only what a schema demands is written: recursive schemas have no end of their own."""
_BOTTOM = 16
"""Nesting below which everything is null."""
_TRIES = 40
"""Variants of a value that are tried before the nearest one is taken."""
_MAX_ITEMS = 100
"""Items of an array that are looked for in a text."""
_MAX_MADE_UP = 1000
"""Items of an array, and members of an object, that are made up: more than anybody reads."""
_MAX_TEXT = 2000
"""Characters of a text that is made up."""

_SAMPLES = {
    "date": "2025-01-{n:02d}",
    "date-time": "2025-01-{n:02d}T12:00:00Z",
    "time": "12:{n:02d}:00Z",
    "duration": "P{n}D",
    "email": "user{n}@example.com",
    "hostname": "host{n}.example.com",
    "ipv4": "192.0.2.{n}",
    "ipv6": "2001:db8::{n}",
    "uri": "https://example.com/{n}",
    "uuid": "00000000-0000-4000-8000-{n:012d}",
    "json-pointer": "/{n}",
    "json-string": "{n}",
    "regex": "x{n}",
}
_PATTERN_SAMPLES = (
    "{n} a A abc AA-{n} {n:04d} {n:05d} #{n:06d} {n}.0.0 2025-01-{n:02d} +1202555{n:04d} a{n}@b.com"
).split()
"""Texts that are tried where a schema has a `pattern`."""
_INVALID = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError)
"""What breaks where a schema is none: `type: 3`, `minItems: "many"`."""


def generate(schema: Any, values: TextValues, *, freedom: Freedom = Freedom.LIKELY, topic: str = "") -> Any:
    """Return a JSON value that `schema` accepts, with what `values` holds in it.

    `freedom` is how freely required strings take words of the text. `topic` ends made-up texts of an answer; where it
    is empty, a made-up text is the parameter's own name. A schema that no value can meet, or that is no schema, gets
    the nearest value that the rules can make.

    Raises BudgetSpentError where not even one value can be made within the budget of `values`.

    Example:
        >>> schema = {
        ...     "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        ...     "required": ["name", "age"],
        ... }
        >>> generate(schema, TextValues("Alice is 30 years old"))
        {'name': 'Alice', 'age': 30}
    """
    try:
        generator = _Generator(schema, values, topic)
        first = generator.value(schema, _Place(freedom=freedom))
    except _INVALID:
        return {}
    with suppress(BudgetSpentError, *_INVALID):
        if not generator.accepts(first, schema):
            others = (generator.value(schema, _Place(variant=variant)) for variant in range(1, _TRIES))
            return next((value for value in others if generator.accepts(value, schema)), first)
    return first


class _Place(NamedTuple):
    """Where a value goes: the parameter's name, the nesting, and how its value is made.

    Variant 0 takes values of the text. The others make up different values, for arrays of unique items and for schemas
    that do not accept the first one.
    """

    name: str = ""
    depth: int = 0
    freedom: Freedom = Freedom.LABELLED
    variant: int = 0

    def below(self, **changes: Any) -> "_Place":
        return self._replace(**{"depth": self.depth + 1, **changes})


class _Generator:
    """Makes the values of one schema."""

    def __init__(self, root: Any, values: TextValues, topic: str) -> None:
        self._values = values
        self._topic = topic
        self._budget = values.budget
        self._checker = SchemaChecker(root, values.budget)
        self._parts = self._checker.parts

    def accepts(self, value: Any, schema: Any) -> bool:
        """Return whether the schema, or a part of it, accepts a value."""
        return self._checker.accepts(value, schema)

    def value(self, schema: Any, place: _Place) -> Any:
        """Return a value for the schema, or for a part of it."""
        schema = self._parts.flat(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._option(schema, place)
        for word in ("oneOf", "anyOf"):
            if schema.get(word):
                return self._branch(schema, word, place)
        types = self._parts.types(schema)
        if len(types) > 1:
            branches = {"anyOf": [{"type": name} for name in types]}
            return self._branch(self._parts.merged(schema, branches), "anyOf", place)
        if place.depth > _BOTTOM or types[0] == "null":
            return None
        makers: dict[str, Callable[[Schema, _Place], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "boolean": self._boolean,
        }
        return makers.get(types[0], self._number)(schema, place)

    def _option(self, schema: Schema, place: _Place) -> Any:
        others = self._parts.without(schema, "enum")
        options = [option for option in schema["enum"] if self.accepts(option, others)] or schema["enum"]
        if place.variant:
            return options[place.variant % len(options)]
        found = self._values.choice(options)
        if found is not None:
            return found
        default = schema.get("default")
        return default if "default" in schema and self.accepts(default, {"enum": options}) else options[0]

    def _branch(self, schema: Schema, word: str, place: _Place) -> Any:
        """Return a value of the branch that the text speaks of, else the plainest one."""
        base = self._parts.without(schema, word, *(["type"] if word == "anyOf" else []))
        branches = [self._parts.merged(base, self._parts.flat(branch)) for branch in schema[word]]
        rule = {word: schema[word]}
        if not place.variant and place.depth < _MAX_DEPTH:
            before = self._values.used
            for branch in branches:
                value = self.value(branch, place.below())
                if self._values.used != before and self.accepts(value, rule):
                    return value
                self._values.used = before
            if "default" in schema and self.accepts(schema["default"], schema):
                return schema["default"]
        # What was not found is null where it may be. Deep down, plain values come before those that nest further.
        branches.sort(
            key=lambda branch: (
                self._parts.types(branch) != ["null"],
                place.depth >= _MAX_DEPTH and self._parts.nests(branch),
            )
        )
        for variant in range(place.variant, place.variant + _TRIES):
            for index in range(len(branches)):
                branch = branches[(index + place.variant) % len(branches)]
                value = self.value(branch, place.below(freedom=Freedom.LABELLED, variant=variant))
                if self.accepts(value, rule):
                    return value
        return None

    def _boolean(self, schema: Schema, place: _Place) -> bool:
        return bool(place.variant % 2 or schema.get("default"))

    def _number(self, schema: Schema, place: _Place) -> Any:
        def accepts(value: Any) -> bool:
            return isinstance(value, (int, float)) and not isinstance(value, bool) and self.accepts(value, schema)

        if not place.variant:
            found = self._values.known(place.name, accepts)
            found = self._values.number(place.name, accepts) if found is None else found
            if found is not None:
                return found
        self._budget.spend(_TRIES)
        numbers: dict[Any, None] = {}
        with suppress(ArithmeticError):  # `multipleOf: 0`, or bounds that are too far apart for a float
            numbers.update((number, None) for number in chain(_offered(schema), _numbers(schema)))
        fitting = list(islice(filter(accepts, numbers), place.variant + 1))
        return fitting[place.variant % len(fitting)] if fitting else 0

    def _string(self, schema: Schema, place: _Place) -> str:
        def accepts(value: Any) -> bool:
            return isinstance(value, str) and self.accepts(value, schema)

        form = form_of(schema)
        candidates: list[Any] = []
        if not place.variant:
            found = self._found_text(schema, place, accepts)
            if found:
                return found
            candidates += _offered(schema)
        samples = [_SAMPLES[form]] if form in _SAMPLES else []
        samples += _PATTERN_SAMPLES if "pattern" in schema else ()
        candidates += [sample.format(n=1 + max(place.variant - 1, 0) % 28) for sample in samples]
        plain = self._plain_texts(schema, place)
        return next(filter(accepts, [*candidates, *plain]), plain[0])

    def _found_text(self, schema: Schema, place: _Place, accepts: Callable[[Any], bool]) -> str | None:
        form = form_of(schema)
        found = self._values.known(place.name, accepts) or self._values.formatted(form, accepts)
        if not found and form not in _SAMPLES:
            found = self._values.text(place.name, description_of(schema), freedom=place.freedom, accepts=accepts)
        return found

    def _plain_texts(self, schema: Schema, place: _Place) -> list[str]:
        """Return made-up texts: the parameter's name, and a letter as often as it has to be."""
        shortest = min(int(schema.get("minLength", 0)), _MAX_TEXT)
        longest = min(int(schema.get("maxLength", _MAX_TEXT)), _MAX_TEXT)
        self._budget.spend((shortest + len(place.name) + len(description_of(schema))) // 50)
        text = " ".join(words_of(place.name)) or "text"
        if self._topic:
            text = f"{description_of(schema).strip().rstrip('.') or text} about {self._topic}"
        ending = f" {place.variant}" if place.variant else ""
        return [
            text.ljust(shortest - len(ending), ".")[: max(longest - len(ending), 0)] + ending,
            (chr(ord("a") + place.variant % 26) * max(shortest, 1))[:longest],
        ]

    def _array(self, schema: Schema, place: _Place) -> list[Any]:
        items, first = schema.get("items", True), schema.get("prefixItems", [])
        shortest = min(int(schema.get("minItems", 0)), _MAX_MADE_UP)
        longest = min(int(schema.get("maxItems", _MAX_MADE_UP)), _MAX_MADE_UP)
        unique = bool(schema.get("uniqueItems"))
        array = [self.value(part, place.below()) for part in first[:longest]]
        if items is not False and not place.variant and place.depth < _MAX_DEPTH:
            self._add_found(array, items, place, longest, unique=unique)
        default = schema.get("default")
        if not array and isinstance(default, list) and not place.variant and self.accepts(default, schema):
            copied: list[Any] = self._parts.copy(default)
            return copied
        if len(array) < shortest:
            self._add_made_up(array, items, place, shortest, unique=unique)
        return array

    def _add_found(self, array: list[Any], items: Any, place: _Place, longest: int, *, unique: bool) -> None:
        """Add the items that the text has."""
        schema = self._parts.flat(items)
        freedom, most_found, longest = place.freedom, 0, min(longest, _MAX_ITEMS)
        if self._parts.types(schema) == ["string"] and not schema.keys() & {
            "enum",
            "const",
            "anyOf",
            "oneOf",
            "format",
        }:
            listed = dict.fromkeys(self._values.listed(place.name, freedom))
            array += [text for text in listed if self.accepts(text, items)][: longest - len(array)]
            freedom = Freedom.LABELLED if listed else freedom
        seen = {self._checker.key(value) for value in array} if unique else set()
        while len(array) < longest:
            before = self._values.used
            value = self.value(items, place.below(freedom=freedom))
            found = len(self._values.used) - len(before)
            # An item of which the text has less than of the one before is no item, but words that are left over.
            is_new = bool(found and found >= most_found and self.accepts(value, items))
            if not is_new or (unique and self._checker.key(value) in seen):
                self._values.used = before
                return
            array.append(value)
            seen |= {self._checker.key(value)} if unique else set()
            freedom, most_found = min(freedom, Freedom.LIKELY), found

    def _add_made_up(self, array: list[Any], items: Any, place: _Place, shortest: int, *, unique: bool) -> None:
        """Add items that are not of the text, until there are enough, or none are found any more."""
        seen = {self._checker.key(value) for value in array}
        variant = max(place.variant, 1)
        last = variant + len(array)
        while len(array) < shortest and variant < last + _TRIES:
            value = self.value(items, place.below(freedom=Freedom.LABELLED, variant=variant))
            variant += 1
            if self.accepts(value, items) and not (unique and self._checker.key(value) in seen):
                array += [value] if unique else [value] * (shortest - len(array))
                seen.add(self._checker.key(value))
                last = variant

    def _object(self, schema: Schema, place: _Place) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties", {})
        required = dict.fromkeys(self._parts.copy(schema.get("required", [])))
        self._budget.spend(2 * (len(properties) + len(required)))  # they are put in order, and listed below
        members: dict[str, Any] = {}
        for key in sorted(properties, key=lambda key: self._rank(key, properties[key], key not in required)):
            part = self._parts.flat(properties[key])
            before = self._values.used
            if key in required or "const" in part or len(part.get("enum", "..")) == 1:
                members[key] = self.value(part, place.below(name=key))
            elif place.depth < _MAX_DEPTH and not place.variant:
                value = self.value(part, place.below(name=key, freedom=Freedom.LABELLED))
                is_wanted = self._topic and "default" not in part and not required and not place.depth
                if self._values.used != before or (is_wanted and self.accepts(value, part)):
                    members[key] = value
        self._add_missing(members, schema, place)
        return {key: members[key] for key in dict.fromkeys([*properties, *members]) if key in members}

    def _add_missing(self, members: dict[str, Any], schema: Schema, place: _Place) -> None:
        """Add the members that are required without being described, and those that make up `minProperties`."""
        properties, required = schema.get("properties", {}), dict.fromkeys(self._parts.copy(schema.get("required", [])))
        fewest = min(int(schema.get("minProperties", 0)), _MAX_MADE_UP)
        others = (f"key{number}" for number in range(1, fewest + 1))
        for key in dict.fromkeys([*required, *properties, *others]):
            if key not in members and (key in required or len(members) < fewest):
                part = properties.get(key, schema.get("additionalProperties", True))
                members[key] = self.value(part, place.below(name=key, freedom=Freedom.LABELLED))

    def _rank(self, key: str, schema: Any, is_optional: bool) -> tuple[bool, bool, int]:
        """Return what puts members in order: labelled ones first, and free text last, so that it takes no number."""
        schema = self._parts.flat(schema)
        branches = [self._parts.flat(branch) for branch in schema.get("anyOf", [])] or [schema]
        is_loose = any(
            {"string", "object", "array"} & set(self._parts.types(branch))
            and not branch.keys() & {"enum", "const", "format"}
            for branch in branches
        )
        is_text = bool(FREE_TEXT & set(words_of(key)))
        return not self._values.is_labelled(key), is_optional, is_loose + (is_loose and is_text)


def _offered(schema: Schema) -> list[Any]:
    """Return the values that a schema itself offers."""
    return [*([schema["default"]] if "default" in schema else []), *schema.get("examples", [])[:_TRIES]]


def _numbers(schema: Mapping[str, Any]) -> Iterator[int | float]:
    """Yield numbers within the bounds, or nearly, the plainest first; the caller checks them."""
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    step = schema.get("multipleOf", 1)
    start = min(max(1, low), high)
    nearest = math.ceil(start / step)
    for distance in range(_TRIES + 2):
        for count in (nearest + distance, nearest - distance):
            yield count * step
            yield round(count * step, 6)
            yield count * step + 0.5
    if low > -math.inf and high < math.inf:
        yield from (low, high, *(low + (high - low) * part / (_TRIES + 1) for part in range(1, _TRIES + 1)))
    else:
        yield from (start + sign / part for part in range(2, _TRIES) for sign in (1, -1))
