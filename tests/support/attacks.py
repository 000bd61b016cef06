"""Requests that are small, or valid, and mean far more work than they look."""

import json
from typing import Any


def wanting(schema: Any, question: str = "Hello") -> dict[str, Any]:
    """Return a request for JSON of a schema."""
    return {"query": f"System: <json_schema>\n{json.dumps(schema)}\n</json_schema>\nUser: {question}\nAssistant:"}


def offering(tools: list[dict[str, Any]], question: str) -> dict[str, Any]:
    """Return a request that offers tools."""
    lines = "\n".join(map(json.dumps, tools))
    return {"query": f"System: <tools>\n{lines}\n</tools>\nUser: {question}\nAssistant:"}


def after_calls(arguments: str, results: str) -> dict[str, Any]:
    """Return a request after one call of a tool, with its results."""
    call = f'<tool_call>\n{{"name": "f", "arguments": {arguments}}}\n</tool_call>'
    return {"query": f'User: x\nAssistant (calls=["1"]): \n{call}\n{results}\nAssistant:'}


def doubling(word: str, depth: int = 40) -> dict[str, Any]:
    """Return a schema of a few lines, whose references stand for 2 ** depth schemas."""
    parts = {f"a{n}": {word: [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(depth)}
    return {"$defs": {**parts, f"a{depth}": {"type": "string"}}, "$ref": "#/$defs/a0"}


def doubling_members(depth: int = 40) -> dict[str, Any]:
    parts = {
        f"a{n}": {"properties": {key: {"$ref": f"#/$defs/a{n + 1}"} for key in "xy"}, "required": ["x", "y"]}
        for n in range(depth)
    }
    return {"$defs": {**parts, f"a{depth}": {"type": "string"}}, "$ref": "#/$defs/a0"}


def nested(word: str, depth: int, width: int) -> dict[str, Any]:
    """Return unions in unions, which no value meets."""
    schema: dict[str, Any] = {"type": "string", "minLength": 5, "maxLength": 4}
    for _ in range(depth):
        schema = {word: [schema] * width}
    return schema


def shared(part: Any, count: int, question: str = "Hello") -> dict[str, Any]:
    """Return a request for an object whose members are all of one part, by reference."""
    names = [f"a{n}" for n in range(count)]
    members = {name: {"$ref": "#/$defs/part"} for name in names}
    return wanting({"$defs": {"part": part}, "properties": members, "required": names}, question)


OPTIONS = ["a b " * 500 + f"{n:04d}" for n in range(300)]
ZEROS = [0] * 20_000
# Small requests that make the rules copy, or look through, the same large part again and again.
COPIES: dict[str, dict[str, Any]] = {
    "a long default": shared({"type": "array", "default": ZEROS}, 500),
    "a long default with items": shared({"type": "array", "items": False, "default": ZEROS}, 500),
    "a default of many members": shared(
        {"type": "object", "default": {f"k{n}": n for n in range(5000)}, "additionalProperties": False}, 500
    ),
    "members of each branch": wanting(
        {"properties": {f"a{n}": 0 for n in range(5000)}, "anyOf": [{"properties": {}}] * 500}
    ),
    "required members of each branch": wanting({"required": ["a"] * 10_000, "anyOf": [{"required": []}] * 500}),
    "members of each type": wanting(
        {"properties": {f"a{n}": 0 for n in range(5000)}, "type": ["object", "array"] * 250}
    ),
    "a long reference": shared({"$ref": "#" + "/x" * 100_000}, 500),
    "options of many words": shared({"enum": OPTIONS}, 200, "a b " * 500),
    "many types": shared({"type": ["null"] * 50_000}, 500),
    "many rules without a word": shared({"enum": [1], "allOf": [True] * 20_000}, 500),
    "a description that is no text": shared({"type": "string", "description": ZEROS}, 500),
    "a format that is no text": shared({"type": "string", "format": ZEROS}, 500),
    "many required names": shared({"type": "object", "required": ["a"] * 20_000}, 500),
    "long options and a default": shared(
        {"enum": [[*ZEROS[:2000], n] for n in range(20)], "default": [*ZEROS[:2000]]}, 500
    ),
    "numbers with one hash": wanting(
        {"type": "array", "uniqueItems": True, "default": [n * (2**61 - 1) for n in range(15_000)]}
    ),
    "results in JSON": after_calls(
        "{}",
        'Tool (id="1"): {"a": ['
        + ("{}," * 200_000)
        + "{}]}\n"
        + "".join(f'Tool (id="{n}"): {{"a": [{"{}," * 200_000}{{}}]}}\n' for n in range(2, 8)),
    ),
}

NESTED_QUANTIFIERS = "^((((((((a+)+)+)+)+)+)+)+)+$"
ALMOST = "a" * 14 + "!"
TOOLS = [
    {"name": f"tool_{n}", "description": "do it " * 20, "parameters": {"properties": {"a": {"type": "string"}}}}
    for n in range(2000)
]

ATTACKS: dict[str, dict[str, Any]] = {
    "a long array": wanting({"type": "array", "minItems": 10**9}),
    "a large object": wanting({"type": "object", "minProperties": 10**9}),
    "a large set": wanting({"type": "array", "uniqueItems": True, "items": {"type": "integer"}, "minItems": 10**6}),
    "a set that cannot be": wanting({"type": "array", "uniqueItems": True, "items": {"const": 1}, "minItems": 10**6}),
    "a long text": wanting({"type": "string", "minLength": 10**10}),
    "a long text a thousand times": wanting({"type": "array", "minItems": 1000, "items": {"const": "x" * 100_000}}),
    "a pattern that goes back": wanting({"type": "string", "pattern": NESTED_QUANTIFIERS}, f"'{ALMOST}'"),
    "a pattern of names": wanting({"required": [ALMOST], "propertyNames": {"pattern": NESTED_QUANTIFIERS}}),
    "patterns of many repetitions": wanting(
        {"enum": ["a" * 252 + f"{n:04d}" for n in range(1900)], "pattern": "^(?:[a-z0-9]?){60000}$"}
    ),
    "large patterns": wanting(
        {"anyOf": [{"type": "string", "pattern": f"^(?:[a-z0-9]?){{{1500 + n}}}$"} for n in range(300)]}
    ),
    "many patterns": wanting({"anyOf": [{"type": "string", "pattern": rf"\w{{{n}}}"} for n in range(300, 900)]}),
    "doubling allOf": wanting(doubling("allOf")),
    "doubling anyOf": wanting(doubling("anyOf")),
    "doubling oneOf": wanting(doubling("oneOf")),
    "doubling members": wanting(doubling_members()),
    "nested anyOf": wanting(nested("anyOf", 6, 4)),
    "nested not": wanting({"not": nested("anyOf", 6, 4)}),
    "many options": wanting({"enum": [f"option {n}" for n in range(50_000)]}, "option " * 200),
    "many members": wanting({"properties": {f"a{n}": {"type": "string"} for n in range(20_000)}}, "a" * 1000),
    "many required members": wanting({"type": "object", "required": [f"a{n}" for n in range(50_000)]}),
    "many tools": offering(TOOLS, "Do x. Get y, then z. " * 90),
    "tools that are not closed": {"query": "System: x\n" + "<tools>\n" * 100_000 + "\nUser: Hello\nAssistant:"},
    "a schema that is not closed": {"query": "System: x\n" + "<json_schema>\n" * 100_000 + "\nUser: Hi\nAssistant:"},
    "a rule that is not closed": {"query": "System: " + "JSON " * 100_000 + "\nUser: Hello\nAssistant:"},
    "a long list of stops": {"query": "Count from 1 to 9999", "stop": [f"x{n}" for n in range(100_000)]},
    "long numbers": {"query": f"Count from 1{'0' * 900} to 2{'0' * 900}"},
    "a question in circles": {"query": "what is my " * 90 + " " * 1000 + ";"},
    "a result of two-letter words": after_calls("{}", f'Tool (id="1"): {"a " * 10**6}'),
    "a result of many members": after_calls("{}", f'Tool (id="1"): {json.dumps({f"k{n}": n for n in range(10**5)})}'),
    "long arguments for each result": after_calls(json.dumps({"a": "x" * 100_000}), 'Tool (id="1"): y\n' * 5000),
    "no multiple": wanting({"type": "number", "multipleOf": 0}),
    "a huge step": wanting({"type": "number", "multipleOf": 1e308, "minimum": 1e308}),
    "a step beyond floats": wanting({"type": "number", "multipleOf": 10**400}),
    "a tiny step": wanting({"type": "number", "multipleOf": 1e-320, "minimum": 5}),
    "a bound beyond floats": wanting({"type": "number", "minimum": 10**4000}),
    "not a number": wanting({"const": float("nan")}),
    "a tool without an object": offering([{"name": "f", "parameters": [1], "description": 5}], "Use the tool f."),
    **COPIES,
}
