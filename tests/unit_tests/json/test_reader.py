"""Near-JSON to JSON: every value in every cut, repairs, and refusals; what is accepted is valid JSON."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_darkai._json.reader import MAX_DEPTH, MAX_TOKEN, LenientJsonReader, coerce, coerce_text, read_value
from langchain_darkai._json.schema import SchemaNode

Outcome = tuple[str, bool, str | None]


def read(text: str, size: int = 10_000, schema: Any = None) -> Outcome:
    stream = LenientJsonReader(None if schema is None else SchemaNode.of(schema))
    written = "".join(stream.feed(text[place : place + size]) for place in range(0, len(text), size))
    return written + stream.finish(), stream.done, stream.failure


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=1500)
@given(json_values, st.lists(st.integers(0, 400), max_size=8), st.booleans(), st.sampled_from([None, 1]))
def test_any_json_in_any_split_is_the_same_value(
    value: Any, cuts: list[int], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    stream = LenientJsonReader()
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    written = "".join(stream.feed(text[a:b]) for a, b in itertools.pairwise(places)) + stream.finish()

    assert stream.done
    assert json.loads(written) == value


@settings(deadline=None, max_examples=800)
@given(json_values, st.integers(1, 5))
def test_letter_by_letter_is_as_whole(value: Any, size: int) -> None:
    text = json.dumps(value)

    assert read(text, size) == read(text)


@settings(deadline=None, max_examples=3000)
@given(
    st.lists(
        st.sampled_from(
            [*"{}[]\",:'\\u0a1-.eE \n“”‘’", "\\u00", "\\ud8", "\\udc00", "true", "None", "nul", '"a": ', "//", "\x00"]
        ),
        max_size=16,
    ).map("".join)
)
@example('{"a": 1]')
@example('"\\ud83d')
@example('{"\\')
def test_garbage_never_raises_and_what_is_accepted_is_json(text: str) -> None:
    written, done, failure = read(text)

    for size in (1, 2, 3):
        assert read(text, size)[1:] == (done, failure)
    assert not (done and failure)
    if done:
        json.loads(written)


@settings(deadline=None, max_examples=800)
@given(json_values.filter(lambda value: isinstance(value, dict | list)), st.data())
def test_half_a_value_is_not_done_and_its_cut_end_cannot_be_completed(value: Any, data: st.DataObject) -> None:
    text = json.dumps({"a": value})
    cut = data.draw(st.integers(1, len(text) - 1))
    stream = LenientJsonReader()
    written = stream.feed(text[:cut])

    assert not stream.done
    closed = written + stream.poison()
    chunk = tool_call_chunk(name="f", args=closed, id="1", index=0)
    assert AIMessageChunk(content="", tool_call_chunks=[chunk]).tool_calls == []
    with pytest.raises(json.JSONDecodeError):
        json.loads(closed)


@settings(deadline=None, max_examples=500)
@given(json_values.filter(lambda value: isinstance(value, dict | list)), st.text(max_size=5))
def test_what_follows_the_value_is_the_rest(value: Any, tail: str) -> None:
    assert read_value(json.dumps(value) + tail) == (value, tail)


REPAIRED = [
    ("single quotes", "{'a': 'b'}", {"a": "b"}),
    ("an apostrophe", "{'a': 'it's'}", {"a": "it's"}),
    ("double quotes in single ones", "{'a': 'say \"x\"'}", {"a": 'say "x"'}),
    ("typographic quotes", "{“a”: “b ‘c’”}", {"a": "b ‘c’"}),
    ("typographic single quotes", "{‘a’: ‘b’}", {"a": "b"}),
    ("apostrophes in double quotes", '{"a": "it’s"}', {"a": "it’s"}),
    ("names without quotes", "{a: 1, b_c: 2, $d: 3}", {"a": 1, "b_c": 2, "$d": 3}),
    ("Python's literals", "[True, False, None]", [True, False, None]),
    ("a comma before a bracket", '{"a": [1, 2,],}', {"a": [1, 2]}),
    ("line ends and tabs", '{"a": "x\ny\tz\r\n"}', {"a": "x\ny\tz\r\n"}),
    ("quotes without an escape", '{"a": "x "y" z", "b": 1}', {"a": 'x "y" z', "b": 1}),
    ("a back-slash before a letter", '{"a": "\\d \\u00e9 \\w"}', {"a": "\\d é \\w"}),
    ("an escaped apostrophe", '{"a": "it\\\'s"}', {"a": "it's"}),
    ("blanks of other kinds", '\ufeff{\xa0"a" : 1 }', {"a": 1}),
    ("surrogates", '"\\ud83c\\udf89"', "🎉"),
    ("a back-slash before what begins like a surrogate", '{"a": "\\ud8zz\\udc00"}', {"a": "\\ud8zz\udc00"}),
    ("an empty name", '{"": 0}', {"": 0}),
]


@pytest.mark.parametrize(("text", "value"), [row[1:] for row in REPAIRED], ids=[row[0] for row in REPAIRED])
def test_near_json_is_repaired(text: str, value: Any) -> None:
    for size in (1, 2, 3, 100):
        written, done, failure = read(text, size)
        assert (done, failure) == (True, None)
        assert json.loads(written) == value


REFUSED = [
    *('{"a": }', '{"a": 1 "b": 2}', "{,}", "[,]", '{"a": 1,,}', "[1 2]", "{1: 2}", "{a}", "}", "]", ")", "{]", "[}"),
    *(
        '{"a": 1]',
        "[1}",
        '{"a": x}',
        "[nan]",
        "[Infinity]",
        "[01]",
        "[1.]",
        "[.5]",
        "[+1]",
        "[- 1]",
        "[0x1]",
        "// x",
        "{/* x */}",
    ),
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_value_is_refused_with_a_reason(text: str) -> None:
    for size in (1, 100):
        _, done, failure = read(text + " ", size)
        assert not done
        assert failure


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "[",
        '{"a"',
        '{"a":',
        '{"a": 1',
        '{"a": "x',
        '{"a": "x"',
        '"x',
        '"x\\',
        '"x\\u00',
        "[1,",
        "-",
        "tru",
        '{"a": {}',
        '{"a" 1}',
    ],
)
def test_what_does_not_end_is_no_value(text: str) -> None:
    for size in (1, 100):
        assert not read(text, size)[1]
    assert read_value(text) is None


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("-1.5e3", -1500.0), ("true", True), ("None", None), ('"x"', "x"), (" 7 ", 7)]
)
def test_a_scalar_ends_with_the_text(text: str, value: Any) -> None:
    assert json.loads(read(text, 1)[0]) == value


def test_strings_flow_and_names_come_with_their_values() -> None:
    stream = LenientJsonReader()

    assert [stream.feed(letter) for letter in '{"a": "xy"}'] == ["{", "", "", "", "", "", '"a": "', "x", "y", "", '"}']


def test_brackets_have_a_limit() -> None:
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH)[1]
    assert "brackets" in (read("[" * (MAX_DEPTH + 1))[2] or "")


def test_numbers_have_a_limit() -> None:
    assert json.loads(read("[" + "1" * MAX_TOKEN + "]")[0]) == [int("1" * MAX_TOKEN)]
    for size in (1, 7, 5000):
        assert read("[" + "1" * (MAX_TOKEN * 2) + "]", size)[2], size


INTEGER, NUMBER, TEXT = {"type": "integer"}, {"type": "number"}, {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "value", "fitted"),
    [
        (INTEGER, "5", 5),
        (INTEGER, " -5 ", -5),
        (INTEGER, 5.0, 5),
        (INTEGER, "5.5", "5.5"),
        (INTEGER, "five", "five"),
        (INTEGER, "007", "007"),
        (INTEGER, "", ""),
        (NUMBER, "1.5", 1.5),
        (NUMBER, "NaN", "NaN"),
        ({"type": "boolean"}, "True", True),
        ({"type": "boolean"}, "yes", "yes"),
        ({"type": "boolean"}, 1, 1),
        ({"type": ["integer", "null"]}, "null", None),
        ({"type": "array", "items": INTEGER}, '[1, "2"]', [1, 2]),
        ({"type": "array", "items": INTEGER}, ["1", "x"], [1, "x"]),
        ({"type": "array"}, "[1, 2] x", "[1, 2] x"),
        ({"type": "object"}, "{'a': 1}", {"a": 1}),
        ({"type": "object"}, "[1]", "[1]"),
        (TEXT, "5", "5"),
        (TEXT, "[1]", "[1]"),
        (TEXT, "null", "null"),
        (TEXT, 5, "5"),
        ({"type": ["string", "integer"]}, "5", "5"),
        ({"type": ["string", "integer"]}, 5, 5),
        ({"anyOf": [TEXT, {"type": "null"}]}, "null", "null"),
        ({}, "5", "5"),
        ({"enum": [1, 2]}, "2", 2),
        ({"enum": ["1", 2]}, "2", "2"),
        ({"const": 3}, "3", 3),
        ({"anyOf": [{"type": "array", "items": INTEGER}, {"type": "null"}]}, ["5"], [5]),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": INTEGER}}, {"a": "5"}, {"a": 5}),
        ({"type": "object", "additionalProperties": INTEGER}, {"a": "5"}, {"a": 5}),
        ({"type": "array", "prefixItems": [INTEGER, TEXT]}, ["5", "5"], [5, "5"]),
    ],
)
def test_the_schema_decides_types(schema: Any, value: Any, fitted: Any) -> None:
    result = coerce(value, SchemaNode.of(schema))

    assert (result, type(result)) == (fitted, type(fitted))
    for size in (1, 3):
        assert json.loads(read(json.dumps(value), size, schema)[0]) == fitted


def test_text_that_is_no_json_stays_text() -> None:
    assert coerce_text("{a", SchemaNode.of({"type": "object"})) == '"{a"'
