"""Text that streams to a terminal: where its lines break, and what is left out of it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_darkai.cli.word_wrap import WordWrap, printable


def wrapped(width: int, *pieces: str) -> str:
    wrap = WordWrap(width)
    return "".join([*map(wrap.feed, pieces), wrap.finish()])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("one two three four", "one two\nthree four"),
        ("one two th\nfour", "one two th\nfour"),
        ("  one\n\n  two", "  one\n\n  two"),
        ("one two   three", "one two\nthree"),
        ("   abcdefghi", "abcdefghi"),
        ("a\tb", "a    b"),
        ("one abcdefghijklm two", "one\nabcdefghijklm two"),
        ("中文字符很多很多字", "中文字符很\n多很多字"),
    ],
)
def test_lines_break_between_words(text: str, shown: str) -> None:
    assert [wrapped(10, text), wrapped(10, *text)] == [shown, shown]


WORDS = st.text(alphabet="ab", max_size=9)


@given(words=st.lists(WORDS), ends=st.lists(st.sampled_from([" ", "\n", "  "])), cuts=st.sets(st.integers(0, 60)))
def test_no_line_is_too_long_and_no_word_is_lost_wherever_the_text_is_cut(
    words: list[str], ends: list[str], cuts: set[int]
) -> None:
    text = "".join(word + end for word, end in zip(words, ends, strict=False))
    places = [0, *sorted(cuts), len(text)]
    shown = wrapped(10, *(text[a:b] for a, b in itertools.pairwise(places) if a < b))
    assert shown == wrapped(10, text)
    assert shown.split() == text.split()
    assert max(map(len, shown.split("\n"))) <= 10


def test_nothing_in_a_text_controls_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x07\x9b1mc\r\x7f\td\n") == "a[2Jb1mc\td\n"
