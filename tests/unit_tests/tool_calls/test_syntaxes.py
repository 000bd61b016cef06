"""The shapes of calls, whole: which are calls, for which tools, and that Python is read and never run."""

import json
import sys
from typing import Any

import pytest

from langchain_darkai._tool_calls.markup import without_fence
from langchain_darkai._tool_calls.readers import read_calls
from langchain_darkai._tool_calls.syntaxes import (
    arguments_of_value,
    calls_of_value,
    looks_like_a_call,
)
from tests.support.replies import ADD, TOOLS, WEATHER, bare

SUM = ("add", {"a": 1, "b": 2})


def found(text: str, *, exact: bool) -> list[tuple[str, Any]] | None:
    calls = read_calls(text, TOOLS, exact=exact)
    return None if calls is None else [(call.name, call.arguments) for call in calls]


@pytest.mark.parametrize(
    "text",
    [
        ADD,
        f"[{ADD}]",
        f"```json\n{ADD}\n```",
        f"```\n{ADD}",
        '{"type": "function", "function": {"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": 2}"}}',
        '{"tool_calls": [{"name": "add", "args": {"a": "1", "b": "2"}}]}',
        '<function=add>{"a": 1, "b": 2}</function>',
        "<function=add><parameter=a>1</parameter><parameter=b>2</parameter></function>",
        'add{"a": 1, "b": 2}',
        "add(a=1, b=2)",
        "add(1, b=2)",
        "tools.add(1, 2)",
        "add.call(a=1, b=2)",
    ],
)
def test_calls_in_both_readings(text: str) -> None:
    assert found(text, exact=True) == found(text, exact=False) == [SUM]


@pytest.mark.parametrize(
    ("text", "call"),
    [
        (bare("fly", to="Mars"), ("fly", {"to": "Mars"})),
        ('{"name": "now"}', ("now", {})),
        ('{"name": "add", "a": 1, "b": 2}', SUM),
        ('{"add": {"a": 1, "b": 2}}', SUM),
        ('{"tool": "add", "tool_input": {"a": 1, "b": 2}, "thought": "x"}', SUM),
        ("<function=fly>{}</function>", ("fly", {})),
    ],
)
def test_calls_only_between_tags(text: str, call: Any) -> None:
    assert found(text, exact=False) == [call]
    assert found(text, exact=True) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "add",
        "add(",
        "add(a=x)",
        "add(a=1, b=2",
        "add(a=__import__('os').getpid(), b=2)",
        "(lambda: add(1, 2))()",
        "[add(a=1, b=2) for _ in (1,)]",
        "add(*[1, 2])",
        "add(**{'a': 1, 'b': 2})",
        "add(1, 2, 3)",
        "add(a=1, b=2) if True else now()",
        "fly(to='Mars')",
        "print(add(1, 2))",
        f"{ADD} and more",
        f"[{ADD}, 5]",
        f"[{ADD}, [{ADD}]]",
        "[]",
        "{}",
        "null",
        "\x00add()",
        "(" * 3000 + ")" * 3000,
    ],
)
def test_what_is_no_call_in_either_reading(text: str) -> None:
    assert found(text, exact=True) is None
    assert found(text, exact=False) is None


def test_python_is_never_run(tmp_path: Any) -> None:
    target = tmp_path / "made"

    assert found(f"say(text=open({str(target)!r}, 'w').write('x'))", exact=False) is None
    assert not target.exists()


def test_python_too_long_to_read_is_no_call() -> None:
    assert found(f"say(text='{'x' * 30_000}')", exact=True) is None


@pytest.mark.parametrize(
    ("value", "expected"), [("a; b", "a; b"), (r"\d", r"\d"), ("it's", "it's"), ("a\nb", "a\nb"), ("é🎉", "é🎉")]
)
def test_text_in_python_arrives_to_the_letter(value: str, expected: str) -> None:
    assert found(f"search(query={value!r})", exact=True) == [("search", {"query": expected})]


def test_a_call_of_python_with_an_odd_escape_gives_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    assert found(r'search(query="\d+")', exact=True) == [("search", {"query": r"\d+"})]
    assert not recwarn.list


def test_arguments_that_are_no_object_leave_a_reason() -> None:
    (call,) = read_calls('{"name": "add", "arguments": [1]}', TOOLS, exact=False) or []

    assert (call.name, call.arguments) == ("add", None)
    assert "list" in (call.reason or "")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
        {"type": "object", "properties": {"type": {"type": "string"}}},
    ],
)
@pytest.mark.parametrize("name", ["now", "search", "add"])
def test_a_tools_schema_is_no_call(schema: Any, name: str) -> None:
    definition = {"name": name, "parameters": schema}

    for value in (definition, [definition], {"type": "function", "function": definition}):
        assert calls_of_value(value, TOOLS, exact=True) is None


def test_a_schema_in_place_of_arguments_is_a_broken_call() -> None:
    value = {"name": "add", "arguments": {"type": "object", "properties": {"a": {"type": "integer"}}}}

    (call,) = calls_of_value(value, TOOLS, exact=True) or []

    assert (call.name, call.arguments) == ("add", None)
    assert "JSON Schema" in (call.reason or "")


@pytest.mark.parametrize(
    ("value", "tool", "arguments"),
    [
        ({"city": "Paris"}, "get_weather", {"city": "Paris"}),
        ({"a": "1", "b": 2}, "add", {"a": 1, "b": 2}),
        ({}, "now", {}),
        ({}, "add", None),
        ({"town": "Paris"}, "get_weather", None),
        ({"city": "Paris", "town": "x"}, "get_weather", None),
        (["Paris"], "get_weather", None),
        ("Paris", "get_weather", None),
        (None, "now", None),
    ],
)
def test_bare_arguments_of_a_forced_tool(value: Any, tool: str, arguments: Any) -> None:
    assert arguments_of_value(value, TOOLS[tool]) == arguments


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("```json\nx\n```", "x"),
        ("```\nx\n```\n", "x"),
        ("~~~\nx\n~~~", "x"),
        ("```json\nx", "x"),
        ("````\n```\nx\n```\n````", "```\nx\n```"),
        ("x", "x"),
        ("a\n```\nx\n```", "a\n```\nx\n```"),
        ("`x`", "`x`"),
    ],
)
def test_one_fence_around_the_whole_text_is_removed(text: str, inner: str) -> None:
    assert without_fence(text) == inner


@pytest.mark.parametrize(
    ("prefix", "verdict"),
    [
        ("", None),
        ("{", None),
        ("[", None),
        ("[{", None),
        ('{"na', None),
        ('{"arguments": {', None),
        ('{"type": "function"', None),
        ('{"name": "ad', True),
        ('{"name": "add"', True),
        ('[{"name": "add"', True),
        ('{"name": "Alice', False),
        ('{"name": "ad"', False),
        ('{"name": 5', False),
        ('{"title": ', False),
        ("[1", False),
        ('["a', False),
        ("[[", False),
        ("{}", False),
        ("[]", False),
    ],
)
def test_what_a_beginning_tells(prefix: str, verdict: bool | None) -> None:
    assert looks_like_a_call(prefix, list(TOOLS)) in ((True, None) if verdict is True else (verdict,))


def test_deep_json_is_no_call() -> None:
    deep = "[" * 5000 + "]" * 5000

    assert found(deep, exact=False) is None
    assert found(f'{{"name": "save", "arguments": {{"data": {deep}}}}}', exact=False) is None
    assert sys.getrecursionlimit() >= 1000


def test_two_calls_with_anything_between() -> None:
    for between in ("", "\n", ", ", "; ", ";\n"):
        assert found(f"{ADD}{between}{WEATHER}", exact=True) == [SUM, ("get_weather", {"city": "Paris"})]
    assert json.loads(ADD)["name"] == "add"
