"""The table of formats: what its rows hold, and that each of them is read."""

import itertools

import pytest

from langchain_darkai._tool_calls.formats import FORMATS, LAYOUT, THOUGHTS, Format
from langchain_darkai._tool_calls.parser import ReplyParser
from tests.support.reading import EVERY, in_sizes, read
from tests.support.replies import CASES
from tests.support.replies.written import WRITERS

MARKS = [mark for row in FORMATS for mark in row.marks]
OPENS = [mark for thought in THOUGHTS for mark in thought.opens]


def test_no_mark_begins_with_another_so_that_it_counts_as_soon_as_it_is_there() -> None:
    for one, other in itertools.permutations([mark.lower() for mark in (*MARKS, *OPENS)], 2):
        assert not other.startswith(one), (one, other)


def test_each_row_has_a_title_of_its_own() -> None:
    assert len({row.title for row in FORMATS}) == len(FORMATS)


@pytest.mark.parametrize("mark", MARKS)
def test_each_mark_begins_a_call_in_the_table_of_replies(mark: str) -> None:
    assert any(mark in case.text and case.calls for case in CASES)


@pytest.mark.parametrize("mark", OPENS)
def test_a_call_after_any_mark_of_a_thought_is_a_draft(mark: str) -> None:
    call = '<tool_call>{"name": "now", "arguments": {}}</tool_call>'

    assert read(ReplyParser(EVERY), [f"{mark}{call}"]).key == (f"{mark}{call}", [], [], [])


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.title)
def test_a_row_is_whole(row: Format) -> None:
    assert row.marks
    assert bool(row.separator) == (row.family in ("named", "tags", "tree"))
    assert bool(row.argument and row.argument_end) == (row.family == "tags")
    assert row.pairs is None or row.family == "body"


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("after", LAYOUT)
def test_marks_of_a_turns_end_after_a_call_are_no_text(name: str, after: str) -> None:
    if name in NEED_THE_END:
        return
    text = WRITERS[name]([("add", {"a": 1, "b": 2})]) + after

    for size in (3, len(text)):
        assert read(ReplyParser(EVERY), in_sizes(text, size)).key == ("", [("add", {"a": 1, "b": 2})], [], [])


NEED_THE_END = ("Llama 3.2's Python", "Llama 3's bare JSON", "xLAM")
"""The formats that are a call only if nothing at all follows."""


@pytest.mark.parametrize("name", WRITERS)
def test_line_ends_of_windows_in_any_format(name: str) -> None:
    text = WRITERS[name]([("add", {"a": 1, "b": 2})]).replace("\n", "\r\n")

    assert read(ReplyParser(EVERY), in_sizes(text, 2)).calls == [("add", {"a": 1, "b": 2})]
