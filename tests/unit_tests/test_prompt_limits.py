"""Long prompts: parsing and formatting cost time and memory in proportion to their length, and turns are limited."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.prompts import MAX_TURNS, format_prompt, parse_prompt


def test_as_many_turns_as_allowed_are_parsed() -> None:
    query = "User: a\n" * MAX_TURNS + "Assistant:"
    messages = parse_prompt(query)
    assert len(messages) == MAX_TURNS
    assert set(map(repr, messages)) == {repr(HumanMessage("a"))}


@pytest.mark.parametrize("head", ["User: a", "User:", 'User (name="Ann"): a', "Assistant: a", "Tool: a", "System: a"])
def test_one_turn_more_is_refused(head: str) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=rf"more than {MAX_TURNS:,} turns") as caught:
        parse_prompt(f"{head}\n" * (MAX_TURNS + 1) + "Assistant:")
    assert caught.value.status == 400


def test_lines_that_are_no_heads_do_not_count_as_turns() -> None:
    text = "\n".join(["User: a"] * (MAX_TURNS + 1))
    assert parse_prompt(format_prompt([HumanMessage(text)])) == [HumanMessage(text)]
    assert parse_prompt(f"Hi\n{text}") == [HumanMessage(f"Hi\n{text}")]


@pytest.mark.parametrize("calls", [1, 10])
def test_calls_of_very_many_values_are_refused(calls: int) -> None:
    def conversation(values: int) -> str:
        numbers = ",".join("{}" for _ in range(values // calls))
        call = '<tool_call>\n{"name": "f", "arguments": {"a": [' + numbers + "]}}\n</tool_call>"
        return "User: a\nAssistant: \n" + "\n".join([call] * calls) + "\nUser: b\nAssistant:"

    message = parse_prompt(conversation(300_000))[1]
    assert isinstance(message, AIMessage)
    assert [len(call["args"]["a"]) for call in message.tool_calls] == [300_000 // calls] * calls
    with pytest.raises(DarkAIInvalidRequestError, match="calls in the prompt have more than") as caught:
        parse_prompt(conversation(400_000))
    assert caught.value.status == 400


def test_long_texts_in_calls_are_no_values() -> None:
    call = AIMessage("", tool_calls=[{"name": "write", "args": {"text": '{}[],"' * 500_000}, "id": "1"}])
    messages = [HumanMessage("a"), call, ToolMessage("done", tool_call_id="1"), HumanMessage("b")]
    assert parse_prompt(format_prompt(messages)) == messages


ADVERSARIES: dict[str, Callable[[int], str]] = {
    "heads": lambda size: "User: a\n" * (size // 8),
    "one attribute": lambda size: f'User (name="{"a" * size}"): hi',
    "one attribute of escapes": lambda size: 'User (name="' + '\\"' * (size // 2) + '"): hi',
    "one attribute that does not end": lambda size: 'User (name="' + "a" * size,
    "escapes that do not end": lambda size: 'User (name="' + "\\" * size,
    "many attributes": lambda size: "User (" + ", ".join(['a="b"'] * (size // 7)) + "): hi",
    "ids of calls": lambda size: "Assistant (calls=[" + ", ".join(['"a"'] * (size // 5)) + "]): hi",
    "lists in lists": lambda size: "Assistant (calls=" + "[" * size,
    "heads with broken attributes": lambda size: 'User (a="\n' * (size // 10),
    "heads with half attributes": lambda size: 'User (a="b", \n' * (size // 13),
    "heads with open lists": lambda size: "User (a=[null, \n" * (size // 16),
    "text": lambda size: "A line of words: yes, of words.\n" * (size // 32),
    "text of one line": lambda size: "a" * size,
    "text of many lines": lambda size: "User: a" + "\na" * (size // 2),
    "line feeds": lambda size: "\n" * size,
    "carriage returns": lambda size: "User: a" + "\r" * size + "x",
    "carriage returns before a head": lambda size: "User: a" + "\r" * size + "User:",
    "carriage returns between letters": lambda size: "User: a\nU" + "\r" * (size // 2) + "s" + "\r" * (size // 2),
    "letters between carriage returns": lambda size: "User: a" + "\rU\u200bs" * (size // 4),
    "blanks": lambda size: "User: a\n" + " " * size + "x",
    "unseen characters": lambda size: "User: a\n" + "\u200b" * size + "x",
    "unseen characters before a head": lambda size: "User: a\n" + "\u200b" * size + "User:",
    "quotes": lambda size: "User: a\n" + ">" * size + "x",
    "quoted heads": lambda size: "User: a\n" + ">User:\n" * (size // 7),
    "quoted heads in full width": lambda size: "User: a\n" + ">\uff35ser:\n" * (size // 7),
    "open brackets": lambda size: "User: a\n" + "User (\r" * (size // 7),
    "brackets on one line": lambda size: "User: a\n>User " + "()" * (size // 2),
    "brackets and blanks": lambda size: "User: a\n>User (" + ")  \u200b " * (size // 5),
    "combining marks": lambda size: "User: a\nU" + "\u0301\u0316" * (size // 2),
    "ligatures": lambda size: "User: a" + "\n\ufdfa" * (size // 2),
    "calls": lambda size: (
        "Assistant: \n" + '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>\n' * (size // 56)
    ),
    "a call that does not end": lambda size: "Assistant: \n<tool_call>\n" + "\n" * size,
    "broken calls": lambda size: "Assistant: a" + "\n<tool_call>\n" * (size // 13),
    "deep arguments": lambda size: "Assistant: \n<tool_call>\n" + "[" * size + "\n</tool_call>",
}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_parsing_takes_memory_in_proportion_to_the_prompt(name: str) -> None:
    query = ADVERSARIES[name](500_000)
    tracemalloc.start()
    try:
        _parse(query)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A message is about 1 kB; a character of this text has up to 4 bytes, and is copied a few times.
    assert peak < MAX_TURNS * 1_500 + len(query) * 30


@pytest.mark.parametrize("name", ADVERSARIES)
def test_time_grows_with_the_prompt_and_no_faster(name: str) -> None:
    make = ADVERSARIES[name]
    small, large = make(20_000), make(320_000)
    for work in (_parse, lambda text: format_prompt([AIMessage(text), ToolMessage(text, tool_call_id="1")])):
        # 16 times the text: 16 times the time, or 256 times where it is quadratic.
        assert _fastest(work, large) < 64 * _fastest(work, small) + 0.05


def _parse(query: str) -> Any:
    try:
        return parse_prompt(query)
    except DarkAIInvalidRequestError:
        return None


def _fastest(work: Callable[[str], Any], text: str) -> float:
    times = []
    for _ in range(3):
        start = time.thread_time()  # of the processor, since other processes may hold up this one
        work(text)
        times.append(time.thread_time() - start)
    return min(times)


@pytest.mark.parametrize("name", ["a" * 300_000, '"\\\n\x00' * 80_000, "\u2028\x85" * 100_000])
def test_a_name_of_any_length_comes_back(name: str) -> None:
    messages = [HumanMessage("h", name=name), ToolMessage("t", tool_call_id=name)]
    assert parse_prompt(format_prompt(messages)) == messages
