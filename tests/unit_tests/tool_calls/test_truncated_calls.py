"""No call runs of which only a part came, whether the reply ends there or breaks off with an error."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_darkai._tool_calls.parser import ReplyParser
from tests.support.reading import EVERY, in_sizes, json_objects, merge, read
from tests.support.replies import NOW_BLOCK, bare, block

CUTTABLE = [
    block("add", a=1, b=2),
    block("say", text='Once "upon" \\ a\n🎉 time </tool_call> x', more={"a": [1, {"b": None}], "c": -1.5e3}),
    block("save", data={"x": {"y": []}}, tags="[1]", sure="true"),
    block("fly", {"to": "Mars", "with": ["you"]}),
    "<tool_call>{'name': 'save', 'arguments': {'data': {'x': 'it's'}, 'ratio': '1.5',}}</tool_call>",
    '<tool_call>{"arguments": {"a": 1, "b": 2}, "name": "add"}</tool_call>',
    '<tool_call>[{"name": "add", "arguments": {"a": 1, "b": 2}}]</tool_call>',
    bare("add", a=1, b=2),
    f"[{bare('add', a=1, b=2)}]",
    f"```json\n{bare('add', a=1, b=2)}\n```",
    f"[TOOL_CALLS] [{bare('add', a=1, b=2)}]",
    f"<function_call>{bare('add', a=1, b=2)}</function_call>",
    '<function=add>{"a": 1, "b": 2}</function>',
    "<function=add><parameter=a>1</parameter><parameter=b>2</parameter></function>",
    "<|python_tag|>add(a=1, b=2)",
    "[add(a=1, b=2)]",
]


def end_of_call(text: str) -> int:
    """Return from where on a call is whole: after the bracket around its arguments, or what stands for it."""
    if text.startswith("<function="):
        body = text[: text.index("</function>")]
        return max(body.rfind("}") + 1, body.rfind("</parameter>") + len("</parameter>"))
    return max(text.rfind(bracket) for bracket in ("}", "]", ")")) + 1


@pytest.mark.parametrize("text", CUTTABLE)
@pytest.mark.parametrize("lead", ["", "Let me see.\n"])
def test_half_a_call_never_runs(text: str, lead: str) -> None:
    for size in (1, 1000):
        for cut in range(end_of_call(text)):
            parser = ReplyParser(EVERY)
            result = read(parser, in_sizes(lead + text[:cut], size))
            assert result.calls == [], text[:cut]


@pytest.mark.parametrize("text", CUTTABLE)
def test_half_a_call_never_runs_when_the_reply_breaks_off(text: str) -> None:
    for size in (1, 1000):
        for cut in range(end_of_call(text)):
            parser = ReplyParser(EVERY)
            parts = [part for piece in in_sizes(text[:cut], size) for part in parser.feed(piece)]
            parts += parser.abort()
            assert [call for call in parser.calls if call.reason is None] == [], text[:cut]
            assert merge(parts).tool_calls == [], text[:cut]


@pytest.mark.parametrize("after", [" x", ', "id": ', ', "id": "1"'])
def test_a_call_that_breaks_off_after_its_arguments_never_runs(after: str) -> None:
    parser = ReplyParser(EVERY)
    parts = parser.feed(f'<tool_call>{{"name": "add", "arguments": {{"a": 1, "b": 2}}{after}') + parser.abort()

    (call,) = merge(parts).invalid_tool_calls
    assert merge(parts).tool_calls == []
    assert after.strip() in str(call["args"])
    assert parser.calls[0].reason


@settings(deadline=None, max_examples=400)
@given(json_objects, st.data())
def test_half_of_any_call_never_runs(arguments: dict[str, Any], data: st.DataObject) -> None:
    text = block("open", arguments)
    cut = data.draw(st.integers(0, end_of_call(text.removesuffix("</tool_call>")) - 1))

    assert read(ReplyParser(EVERY), in_sizes(text[:cut], data.draw(st.integers(1, 5)))).calls == []


def test_a_call_that_breaks_off_keeps_what_came_before_it() -> None:
    parser = ReplyParser(EVERY)
    parts = parser.feed(f'Hm.\n{NOW_BLOCK}\n<tool_call>{{"name": "add", "arguments": {{"a": 1, "b"')
    parts += parser.abort()

    merged = merge(parts)
    assert merged.text == "Hm."
    assert [call["name"] for call in merged.tool_calls] == ["now"]
    assert [call["name"] for call in merged.invalid_tool_calls] == ["add"]
    assert parser.calls[1].reason
