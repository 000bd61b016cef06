"""JSON values that a JSON Schema accepts: found in a text where it has them, made up where it has not."""

import importlib
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from jsonschema import Draft202012Validator
from jsonschema.exceptions import UnknownType
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from langchain_darkai.offline.text_values import TEXTS, TextValues, words_of

Schema = dict[str, Any]

DEEPEST = 4
"""Nesting below which only what a schema demands is written: recursive schemas have no end of their own."""
_BOTTOM = 16
_TRIES = 40
_MOST_ITEMS = 100

_SAMPLES = {
    "date": "2025-01-{n:02d}",
    "date-time": "2025-01-{n:02d}T12:00:00Z",
    "time": "12:{n:02d}:00Z",
    "duration": "P{n}D",
    "email": "user{n}@example.com",
    "idn-email": "user{n}@example.com",
    "hostname": "host{n}.example.com",
    "idn-hostname": "host{n}.example.com",
    "ipv4": "192.0.2.{n}",
    "ipv6": "2001:db8::{n}",
    "uri": "https://example.com/{n}",
    "uri-reference": "https://example.com/{n}",
    "uri-template": "https://example.com/{n}",
    "iri": "https://example.com/{n}",
    "iri-reference": "https://example.com/{n}",
    "uuid": "00000000-0000-4000-8000-{n:012d}",
    "json-pointer": "/{n}",
    "relative-json-pointer": "{n}",
    "json-string": "{n}",
    "regex": "x{n}",
}
_KEYWORDS = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "patternProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "contains"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_LARGER = frozenset(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"))
_SMALLER = frozenset(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"))


def fill(schema: Any, findings: TextValues, *, reach: int = 1, topic: str = "") -> Any:
    """A JSON value that `schema` accepts, with what `findings` holds in it.

    `reach` is how freely required strings take words of the text (see `TextValues.text`). `topic` ends made-up texts
    of an answer; where it is empty, a made-up text is the parameter's own name. A schema that no value can meet, or
    that is no schema, gets the nearest value the rules can make.

    Example:
        >>> schema = {
        ...     "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        ...     "required": ["name", "age"],
        ... }
        >>> fill(schema, TextValues("Alice is 30 years old"))
        {'name': 'Alice', 'age': 30}
    """
    filler = _Filler(schema, findings, topic)
    try:
        tries = (filler.value(schema, _At(reach=reach if not salt else 0, salt=salt)) for salt in range(_TRIES))
        first = next(tries)
        return first if filler.accepts(first, schema) else next((v for v in tries if filler.accepts(v, schema)), first)
    except (TypeError, ValueError, AttributeError, KeyError):  # `type: 3`, `minItems: "many"`: no schema at all
        return {}


class _At(NamedTuple):
    """Where a value goes: the parameter's name, the nesting, how far to reach, and which of the values to make up."""

    name: str = ""
    depth: int = 0
    reach: int = 0
    salt: int = 0

    def below(self, **changes: Any) -> "_At":
        return self._replace(**{"depth": self.depth + 1, **changes})


class _Filler:
    def __init__(self, root: Any, findings: TextValues, topic: str) -> None:
        self._root = root
        self._findings = findings
        self._topic = topic
        kind: Any = validator_for(root, default=Draft202012Validator)
        # An empty registry, since the default one would fetch remote references.
        self._validator = kind(self._root, registry=Registry(), format_checker=kind.FORMAT_CHECKER)

    def accepts(self, value: Any, schema: Any) -> bool:
        try:
            return bool(self._validator.evolve(schema=schema).is_valid(value))
        except (Unresolvable, UnknownType, re.error, TypeError, AttributeError, RecursionError):
            return True

    def value(self, schema: Any, at: _At) -> Any:
        flat = self._flatten(schema)
        if "const" in flat:
            return flat["const"]
        if flat.get("enum"):
            return self._option(flat, at)
        for word in ("oneOf", "anyOf"):
            if flat.get(word):
                return self._branch(flat, word, at)
        kinds = _kinds(flat)
        if len(kinds) > 1:
            return self._branch({**flat, "anyOf": [{"type": kind} for kind in kinds]}, "anyOf", at)
        if at.depth > _BOTTOM or kinds[0] == "null":
            return None
        makers: dict[str, Callable[[Schema, _At], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "boolean": self._boolean,
        }
        return makers.get(kinds[0], self._number)(flat, at)

    def _option(self, flat: Schema, at: _At) -> Any:
        options = [o for o in flat["enum"] if self.accepts(o, flat)] or flat["enum"]
        found = None if at.salt else self._findings.choice(options)
        default = flat.get("default", options[0])
        if found is None:
            found = default if not at.salt and default in options else options[at.salt % len(options)]
        return found

    def _branch(self, flat: Schema, word: str, at: _At) -> Any:
        base = {key: value for key, value in flat.items() if key != word and (key != "type" or word == "oneOf")}
        branches = [self._merge(base, self._flatten(branch)) for branch in flat[word]]
        rule = {word: flat[word]}
        if not at.salt and at.depth < DEEPEST:
            before = self._findings.used
            for branch in branches:
                value = self.value(branch, at.below())
                if self._findings.used != before and self.accepts(value, rule):
                    return value
                self._findings.used = before
            if "default" in flat and self.accepts(flat["default"], flat):
                return flat["default"]
        # What was not found is null where it may be; deep down, plain values come before those that nest further.
        branches.sort(key=lambda branch: (_kinds(branch) != ["null"], at.depth >= DEEPEST and _nests(branch)))
        for turn in range(at.salt, at.salt + _TRIES):
            for index in range(len(branches)):
                value = self.value(branches[(index + at.salt) % len(branches)], at.below(reach=0, salt=turn))
                if self.accepts(value, rule):
                    return value
        return None

    def _boolean(self, flat: Schema, at: _At) -> bool:
        found = None if at.salt else self._findings.truth(at.name)
        return bool(at.salt % 2 or flat.get("default")) if found is None else found

    def _number(self, flat: Schema, at: _At) -> Any:
        def ok(value: Any) -> bool:
            return isinstance(value, (int, float)) and not isinstance(value, bool) and self.accepts(value, flat)

        found = None if at.salt else self._findings.known(at.name, ok)
        found = self._findings.number(at.name, ok) if found is None and not at.salt else found
        if found is not None:
            return found
        fitting = list(filter(ok, dict.fromkeys([*_offered(flat), *_numbers(flat)])))
        return fitting[at.salt % len(fitting)] if fitting else 0

    def _string(self, flat: Schema, at: _At) -> str:
        def ok(value: Any) -> bool:
            return isinstance(value, str) and self.accepts(value, flat)

        form, describe = str(flat.get("format", "")), str(flat.get("description") or flat.get("title") or "")
        if not at.salt:
            found = self._findings.known(at.name, ok) or self._findings.formatted(form, ok)
            if not found and form not in _SAMPLES:
                found = self._findings.text(at.name, describe, reach=at.reach, ok=ok)
            if found:
                return str(found)
        sample = (
            [_SAMPLES[form].format(n=1 + max(at.salt - 1, 0) % 28)]
            if form in _SAMPLES and "pattern" not in flat
            else []
        )
        made = [*([] if at.salt else _offered(flat)), *sample, *self._texts(flat, at)]
        return next(filter(ok, made), "")

    def _texts(self, flat: Schema, at: _At) -> Iterator[str]:
        shortest, longest = int(flat.get("minLength", 0)), int(flat.get("maxLength", 10_000))
        label = " ".join(words_of(at.name)) or "text"
        if self._topic:
            about = str(flat.get("description") or flat.get("title") or label).strip().rstrip(".")
            label = f"{about} about {self._topic}"
        ending = f" {at.salt}" if at.salt else ""
        yield (label + "." * (shortest - len(label) - len(ending)))[: max(longest - len(ending), 0)] + ending
        yield (chr(97 + at.salt % 26) * max(shortest, 1))[:longest]
        if "pattern" in flat:
            for more in range(shortest + at.salt + 2):
                text = text_like(flat["pattern"], more, at.salt)
                yield from (text, text.ljust(shortest, "a"))

    def _array(self, flat: Schema, at: _At) -> list[Any]:
        items, first = flat.get("items", True), flat.get("prefixItems", [])
        if isinstance(items, list):  # how drafts before 2020-12 wrote tuples
            items, first = flat.get("additionalItems", True), items
        least, most = int(flat.get("minItems", 0)), int(flat.get("maxItems", 1000))
        unique = bool(flat.get("uniqueItems"))
        out = [self.value(part, at.below()) for part in first[:most]]
        if "contains" in flat:
            for turn in range(int(flat.get("minContains", 1))):
                both = {"allOf": [flat["contains"], items]}
                self._append(out, both, at._replace(salt=at.salt + turn), unique=unique)
        if items is not False and not at.salt and at.depth < DEEPEST:
            self._find_items(out, items, at, most, unique=unique)
        if not out and "default" in flat and not at.salt and self.accepts(flat["default"], flat):
            return list(flat["default"])
        while len(out) < least and self._append(out, items, at, unique=unique):
            pass
        return out

    def _find_items(self, out: list[Any], items: Any, at: _At, most: int, *, unique: bool) -> None:
        flat = self._flatten(items)
        reach, most_found, most = at.reach, 0, min(most, _MOST_ITEMS)
        if _kinds(flat) == ["string"] and not flat.keys() & {"enum", "const", "anyOf", "oneOf", "format"}:
            listed = [v for v in dict.fromkeys(self._findings.listed(at.name, reach)) if self.accepts(v, items)]
            out += listed[: most - len(out)]
            reach = 0 if listed else reach
        while len(out) < most:
            before = self._findings.used
            value = self.value(items, at.below(reach=reach))
            found = len(self._findings.used) - len(before)
            # One that the text tells less of than of the one before is not a member, but a word left over.
            if not found or found < most_found or not self.accepts(value, items) or (unique and value in out):
                self._findings.used = before
                return
            out.append(value)
            reach, most_found = min(reach, 1), found

    def _append(self, out: list[Any], items: Any, at: _At, *, unique: bool) -> bool:
        seen = {json.dumps(value, sort_keys=True) for value in out} if unique else set()
        for salt in range(at.salt, at.salt + _TRIES + len(out)):
            # A value of the text was handed out already: `_find_items` took all there are.
            value = self.value(items, at.below(reach=0, salt=max(salt, 1)))
            if json.dumps(value, sort_keys=True) not in seen and self.accepts(value, items):
                out.append(value)
                return True
        return False

    def _object(self, flat: Schema, at: _At) -> dict[str, Any]:
        properties: dict[str, Any] = flat.get("properties", {})
        required = flat.get("required", [])
        out: dict[str, Any] = {}
        for key in sorted(properties, key=lambda key: self._rank(key, properties[key], key not in required)):
            part = self._flatten(properties[key])
            before = self._findings.used
            if key in required or "const" in part or len(part.get("enum", "..")) == 1:
                out[key] = self.value(part, at.below(name=key))
            elif at.depth < DEEPEST and not at.salt:
                value = self.value(part, at.below(name=key, reach=0))
                wanted = self._topic and "default" not in part and not required and not at.depth
                if self._findings.used != before or (wanted and self.accepts(value, part)):
                    out[key] = value
        self._add_demanded(out, flat, at)
        return {key: out[key] for key in dict.fromkeys([*properties, *out]) if key in out}

    def _add_demanded(self, out: dict[str, Any], flat: Schema, at: _At) -> None:
        """The members that are asked for by other words than `properties`."""
        properties: dict[str, Any] = flat.get("properties", {})
        patterns: dict[str, Any] = flat.get("patternProperties", {})
        others, least = flat.get("additionalProperties", True), int(flat.get("minProperties", 0))
        demanded = [*flat.get("required", [])]
        for key, more in flat.get("dependentRequired", {}).items():
            demanded += more if key in out else []
        shape = self._flatten(flat.get("propertyNames", {})).get("pattern") or (
            others is False and next(iter(patterns), None)
        )
        made = (text_like(shape, index, index) if shape else f"key{index + 1}" for index in range(least))
        for key in dict.fromkeys([*demanded, *properties, *made]):
            if key not in out and (key in demanded or len(out) < least):
                rules = (
                    [properties[key]] if key in properties else [v for k, v in patterns.items() if re.search(k, key)]
                )
                out[key] = self.value({"allOf": rules} if rules else others, at.below(name=key, reach=0))

    def _rank(self, key: str, schema: Any, optional: bool) -> tuple[bool, bool, int]:
        # Labelled values first, then those that only one kind of word can be, so that no phrase swallows a number.
        flat = self._flatten(schema)
        branches = [self._flatten(branch) for branch in flat.get("anyOf", [])] or [flat]
        loose = any(
            {"string", "object", "array"} & set(_kinds(b)) and not b.keys() & {"enum", "const", "format"}
            for b in branches
        )
        return not self._findings.is_labelled(key), optional, loose + (loose and bool(TEXTS & set(words_of(key))))

    def _flatten(self, schema: Any, seen: tuple[str, ...] = ()) -> Schema:
        """The schema with its references and `allOf` parts merged in, at the top level."""
        if not isinstance(schema, dict):
            return {"not": {}} if schema is False else {}
        flat = {key: value for key, value in schema.items() if key not in {"$ref", "allOf"}}
        ref = schema.get("$ref")
        parts = [self._flatten(part, seen) for part in schema.get("allOf", ())]
        if isinstance(ref, str) and ref not in seen:
            parts.append(self._flatten(_pointed(self._root, ref), (*seen, ref)))
        for part in parts:
            flat = self._merge(part, flat)
        return flat

    def _merge(self, one: Schema, two: Schema) -> Schema:
        out = dict(one)
        for key, new in two.items():
            old: Any = out.get(key)
            if key not in out or old == new:
                out[key] = new
            elif key in _LARGER:
                out[key] = max(old, new)
            elif key in _SMALLER:
                out[key] = min(old, new)
            elif key == "required":
                out[key] = [*old, *new]
            elif key in {"properties", "patternProperties"}:
                out[key] = {**old, **{k: {"allOf": [old[k], v]} if k in old else v for k, v in new.items()}}
            elif key in {"items", "additionalProperties", "contains", "propertyNames"}:
                out[key] = {"allOf": [old, new]}
            elif key in {"anyOf", "oneOf"}:
                out[key] = [{"allOf": [a, b]} for a in old for b in new]
            elif key == "enum":
                out[key] = [option for option in old if option in new]
            elif key == "type":
                out[key] = [k for k in _kinds(one) if k in _kinds(two) or (k == "integer" and "number" in _kinds(two))]
                out[key] += ["integer"] if "number" in _kinds(one) and "integer" in _kinds(two) else []
            else:
                out[key] = new
        return out


def _nests(flat: Schema) -> bool:
    return bool({"object", "array"} & set(_kinds(flat)) or flat.keys() & {"anyOf", "oneOf"})


def _kinds(flat: Schema) -> list[str]:
    kinds = flat.get("type")
    if isinstance(kinds, list) and kinds:
        return kinds
    if isinstance(kinds, str):
        return [kinds] if kinds in {*_KEYWORDS, "integer", "boolean", "null"} else ["string"]
    return [next((kind for kind, words in _KEYWORDS.items() if flat.keys() & set(words)), "string")]


def _pointed(root: Any, ref: str) -> Any:
    """What a local reference points at; anything where it points nowhere."""
    target = root
    for part in unquote(ref).lstrip("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(target, list) and key.isdigit() and int(key) < len(target):
            target = target[int(key)]
        elif isinstance(target, dict) and key in target:
            target = target[key]
        else:
            return True
    return target


def _offered(flat: Schema) -> list[Any]:
    return [*([flat["default"]] if "default" in flat else []), *flat.get("examples", [])]


def _numbers(flat: Mapping[str, Any]) -> Iterator[int | float]:
    """Candidates within the bounds, the plainest first; the caller checks them."""
    low = max(flat.get("minimum", -math.inf), flat.get("exclusiveMinimum", -math.inf))
    high = min(flat.get("maximum", math.inf), flat.get("exclusiveMaximum", math.inf))
    step = flat.get("multipleOf", 1)
    start = min(max(1, low), high)
    nearest = math.ceil(start / step)
    for away in range(_TRIES + 2):
        for count in (nearest + away, nearest - away):
            yield count * step
            yield round(count * step, 6)
            yield count * step + 0.5
    if low > -math.inf and high < math.inf:
        yield from (low, high, *(low + (high - low) * part / (_TRIES + 1) for part in range(1, _TRIES + 1)))
    else:
        yield from (start + sign / part for part in range(2, _TRIES) for sign in (1, -1))


def text_like(pattern: str, more: int = 0, salt: int = 0) -> str:
    r"""A text that a regular expression finds itself in, best effort.

    `more` is how often to repeat beyond the least, `salt` tells which characters and branches to take.

    Example:
        >>> text_like(r"^[A-Z]{2}-\d+$")
        'AA-0'
    """
    # The parser of regular expressions has had two homes, and warns in the older one.
    parser: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
    try:
        return _written(parser.parse(pattern), more, salt)
    except (re.error, OverflowError, RecursionError):
        return ""


def _written(tokens: Any, more: int, salt: int) -> str:
    out = ""
    for token, value in tokens:
        kind = str(token)
        if kind == "LITERAL":
            out += chr(value)
        elif kind in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            low, high, part = value
            out += _written(part, more, salt) * min(int(high), int(low) + more)
        elif kind == "SUBPATTERN":
            out += _written(value[3], more, salt)
        elif kind == "ATOMIC_GROUP":
            out += _written(value, more, salt)
        elif kind == "BRANCH":
            out += _written(value[1][salt % len(value[1])], more, salt)
        elif kind in {"IN", "ANY", "NOT_LITERAL"}:
            test = [("NEGATE", None), ("LITERAL", value)] if kind == "NOT_LITERAL" else value
            out += chr(97 + salt % 26) if kind == "ANY" else _one_of(test, salt)
    return out


def _one_of(test: Any, salt: int) -> str:
    """A character of a class, tried out with `re` itself rather than by the rules of classes."""
    ranges = "".join(chr(v) if str(t) == "LITERAL" else chr(v[0]) for t, v in test if str(t) in {"LITERAL", "RANGE"})
    fitting = [c for c in ranges + "a0A1b_ -.!é" + "".join(map(chr, range(33, 127))) if _in_class(test, c)]
    unique = list(dict.fromkeys(fitting)) or ["a"]
    return unique[salt % len(unique)]


def _in_class(test: Any, char: str) -> bool:
    hit = False
    for token, value in test:
        kind = str(token)
        if kind == "LITERAL":
            hit |= ord(char) == value
        elif kind == "RANGE":
            hit |= value[0] <= ord(char) <= value[1]
        elif kind == "CATEGORY":
            *_, negation, name = f"_{value}".split("_")
            letter = name[0].upper() if negation == "NOT" else name[0].lower()
            hit |= bool(re.match(rf"\{letter}", char))
    return hit != (str(test[0][0]) == "NEGATE")
