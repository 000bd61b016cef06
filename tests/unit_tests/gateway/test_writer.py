"""Native calls come out as blocks while they come, and what is not whole never looks like a call."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.messages.tool import ToolCallChunk

from langchain_darkai._gateway.writer import ConstrainedCallWriter, ReplyWriter
from langchain_darkai._tool_calls.parser import ReplyParser
from langchain_darkai._tool_calls.tools import Tool, ToolChoice

TOOLS = tuple(Tool(name, "", {"type": "object", "properties": {}}) for name in ("a", "b", "ab"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=3)


def piece(args: str | None, name: str | None = None, index: int | None = 0, id_: str | None = None) -> ToolCallChunk:
    return ToolCallChunk(name=name, args=args, id=id_, index=index, type="tool_call_chunk")


def written(*pieces: str | ToolCallChunk | list[ToolCallChunk]) -> list[str]:
    """Return what a writer writes for each of these pieces, and at the end."""
    writer = ReplyWriter()
    texts = []
    for each in pieces:
        if isinstance(each, str):
            texts.append(writer.text(each))
        else:
            texts.append(writer.calls(each if isinstance(each, list) else [each]))
    return [*texts, writer.finish()]


def read(text: str) -> ReplyParser:
    """Return what ChatDarkAI reads."""
    parser = ReplyParser(TOOLS, ToolChoice(), parallel=True, reasoning=None)
    for part in (text, None):
        for _ in parser.slices(part):
            pass
    return parser


def calls_in(*pieces: Any) -> list[tuple[str | None, Any]]:
    """Return the calls that can run: name and arguments."""
    calls = read("".join(written(*pieces))).calls
    return [(call.name, json.loads(call.arguments)) for call in calls if call.reason is None]


def block(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def test_arguments_are_written_as_they_come() -> None:
    assert written(piece("", "a"), piece('{"x": '), piece("1"), piece("}")) == [
        "",
        '<tool_call>\n{"name": "a", "arguments": {"x": ',
        "1",
        "}",
        "}\n</tool_call>",
    ]


def test_text_and_calls_stand_on_lines_of_their_own() -> None:
    pieces = ("One.", piece("{}", "a"), "Two.\n", piece("{}", "b", 1))
    assert "".join(written(*pieces)) == f"One.\n{block('a', '{}')}\nTwo.\n{block('b', '{}')}"


@given(st.lists(st.tuples(st.sampled_from("ab"), ARGUMENTS), max_size=4), st.data())
def test_calls_are_the_same_wherever_they_are_cut(calls: list[tuple[str, dict[str, Any]]], data: st.DataObject) -> None:
    pieces: list[Any] = []
    for index, (name, arguments) in enumerate(calls):
        text = json.dumps(arguments, ensure_ascii=data.draw(st.booleans()))
        cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
        pieces.append(piece("", name, index, f"id{index}"))
        pieces += [piece(text[start:end], None, index) for start, end in pairwise(cuts)]
    assert calls_in(*pieces) == [(name, arguments) for name, arguments in calls]


@given(ARGUMENTS, ARGUMENTS, st.data())
def test_calls_that_come_at_once_are_written_one_after_the_other(
    first: dict[str, Any], second: dict[str, Any], data: st.DataObject
) -> None:
    left = [[piece(c, None, index) for c in json.dumps(value)] for index, value in enumerate((first, second))]
    pieces: list[Any] = [piece("", "a", 0, "x"), piece("", "b", 1, "y")]
    while any(left):
        pieces.append(data.draw(st.sampled_from([queue for queue in left if queue])).pop(0))
    assert calls_in(*pieces) == [("a", first), ("b", second)]


@given(ARGUMENTS, st.data())
def test_a_call_that_is_cut_never_runs_whatever_follows(arguments: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(arguments, ensure_ascii=False)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    after = data.draw(st.lists(st.just(piece('{"y": 1}', "b", 1, "y")) | st.just("So it is.\n"), max_size=3))
    calls = read("".join(written("Hm.", piece(cut, "a", 0, "x"), *after))).calls
    assert [(call.name, call.reason) for call in calls] == [("a", "the reply ended in the middle of the call")]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param([piece("", "a")], [("a", {})], id="no arguments"),
        pytest.param([piece(None, "a"), "Text.", piece("{}", "b", 1)], [("a", {}), ("b", {})], id="none, then more"),
        pytest.param([piece('{"x": 1}'), piece("", "a")], [("a", {"x": 1})], id="the name comes last"),
        pytest.param([piece("", "a"), piece("{}", "b")], [("ab", {})], id="a name in pieces"),
        pytest.param([piece(None, "a"), piece(None, "b")], [("ab", {})], id="a name in pieces alone"),
        pytest.param(
            [piece("", "a"), piece('{"x"', "a"), piece(": 1}", "a")], [("a", {"x": 1})], id="a name each time"
        ),
        pytest.param([piece("{}", "a", 0, "1"), piece("{}", "b", 0, "2")], [("a", {}), ("b", {})], id="one index"),
        pytest.param([[piece("{}", "a", None), piece("{}", "b", None)]], [("a", {}), ("b", {})], id="no index"),
        pytest.param([piece("{'x': True,}", "a")], [("a", {"x": True})], id="nearly JSON"),
        pytest.param([piece('{}{"x": 1}', "a"), piece("{}", "b", 1)], [], id="two values in one"),
        pytest.param([piece("nonsense", "a")], [], id="no JSON at all"),
        pytest.param([piece("[1]", "a")], [], id="no object"),
        pytest.param([piece('{"x": 1}')], [], id="no name"),
    ],
)
def test_calls_of_odd_providers(pieces: Any, calls: Any) -> None:
    assert calls_in(*pieces) == calls


def test_whole_calls_are_written_with_their_text_and_the_broken_ones_too() -> None:
    message = AIMessage(
        "",
        tool_calls=[{"name": "a", "args": {"x": "\u2028"}, "id": "1", "type": "tool_call"}],
        invalid_tool_calls=[{"name": "b", "args": '{"x', "id": "2", "error": None, "type": "invalid_tool_call"}],
    )
    writer = ReplyWriter()
    text = writer.text("Sure.") + writer.whole_calls(message) + writer.finish()
    parser = read(text)
    assert [(call.name, call.reason is None) for call in parser.calls] == [("a", True), ("b", False)]
    assert parser.content == "Sure."
    assert json.loads(parser.calls[0].arguments) == {"x": "\u2028"}


@given(ARGUMENTS, st.sampled_from(["", "\n ", "  "]), st.data())
def test_a_call_in_json_comes_out_as_its_block(arguments: dict[str, Any], blank: str, data: st.DataObject) -> None:
    text = blank + json.dumps({"name": "a", "arguments": arguments}, indent=data.draw(st.none() | st.just(2)))
    cut = data.draw(st.integers(0, len(text)))
    writer = ConstrainedCallWriter()
    whole = writer.feed(text[:cut]) + writer.feed(text[cut:]) + writer.finish()
    assert [json.loads(call.arguments) for call in read(whole).calls if call.reason is None] == [arguments]


@given(ARGUMENTS, st.data())
def test_a_call_in_json_that_is_cut_never_runs(arguments: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps({"name": "a", "arguments": arguments})
    writer = ConstrainedCallWriter()
    whole = writer.feed(text[: data.draw(st.integers(1, len(text) - 1))]) + writer.finish()
    assert [call for call in read(whole).calls if call.reason is None] == []


def test_what_is_no_json_stays_as_it_is() -> None:
    writer = ConstrainedCallWriter()
    assert writer.feed("I") + writer.feed(' say {"name": 1}') + writer.finish() == 'I say {"name": 1}'
