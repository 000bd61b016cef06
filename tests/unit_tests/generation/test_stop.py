"""Stop sequences: the same cut wherever the network cuts the text."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_darkai._generation.stop import StopSequenceFilter

LETTERS = st.text("abc", max_size=12)
SEQUENCES = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=4)


def cut(sequences: list[str], pieces: list[str]) -> tuple[str, bool]:
    stop_filter = StopSequenceFilter(sequences)
    passed = "".join([stop_filter.feed(piece) for piece in pieces])
    return passed + stop_filter.finish(), stop_filter.stopped


def split(text: str, cuts: list[int]) -> list[str]:
    places = sorted({place % (len(text) + 1) for place in cuts})
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@example(sequences=["abcd", "bc"], text="abcd", cuts=[3])
@given(SEQUENCES, LETTERS, st.lists(st.integers(0, 12)))
def test_the_cut_does_not_depend_on_the_pieces(sequences: list[str], text: str, cuts: list[int]) -> None:
    assert cut(sequences, split(text, cuts)) == cut(sequences, list(text)) == cut(sequences, [text])


@example(sequences=["abcd", "bc"], text="abcd")
@given(SEQUENCES, LETTERS)
def test_the_text_ends_before_the_sequence_that_is_complete_first(sequences: list[str], text: str) -> None:
    complete = next((n for n in range(len(text) + 1) if text[:n].endswith(tuple(sequences))), None)
    passed, stopped = cut(sequences, [text])
    assert stopped == (complete is not None)
    if complete is None:
        assert passed == text
    else:
        assert text[:complete].startswith(passed)
        assert text[len(passed) : complete] in sequences


@given(SEQUENCES, LETTERS)
def test_only_what_could_begin_a_sequence_is_held_back(sequences: list[str], text: str) -> None:
    stop_filter = StopSequenceFilter(sequences)
    passed = stop_filter.feed(text)
    if not stop_filter.stopped:
        beginnings = {sequence[:n] for sequence in sequences for n in range(len(sequence))}
        longest = max(len(beginning) for beginning in beginnings if text.endswith(beginning))
        assert passed == text[: len(text) - longest]


@pytest.mark.parametrize(
    ("sequences", "text", "expected"),
    [
        pytest.param(["END"], "one END two", "one ", id="in the middle"),
        pytest.param(["END"], "END", "", id="at once"),
        pytest.param(["END"], "one EN", "one EN", id="only its beginning"),
        pytest.param(["END"], "EENEND", "EEN", id="after false starts"),
        pytest.param(["\n\n", "."], "a\nb. c\n\n", "a\nb", id="the first of several"),
        pytest.param([".*"], "a.b.*c", "a.b", id="letters, not a pattern"),
        pytest.param(["🎉"], "hé🎉x", "hé", id="beyond ASCII"),
    ],
)
def test_text_ends_before_the_first_stop_sequence(sequences: list[str], text: str, expected: str) -> None:
    assert cut(sequences, list(text))[0] == cut(sequences, [text])[0] == expected


def test_after_a_stop_nothing_more_comes() -> None:
    stop_filter = StopSequenceFilter(["x"])
    assert [stop_filter.feed("ax"), stop_filter.feed("b"), stop_filter.finish()] == ["a", "", ""]


def test_text_without_a_sequence_is_passed_on_to_the_letter() -> None:
    text = "".join(re.findall(r"[a-z]", "the quick brown fox")) * 50
    assert cut(["STOP"], list(text)) == (text, False)
