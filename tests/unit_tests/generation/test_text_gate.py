"""What is handed over at once while a reply streams, and what waits until it is known to be part of the answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_darkai._generation.text_gate import AnswerGate, TextGate
from langchain_darkai._tool_calls.output import Part, ToolCallDelta

CALL = ToolCallDelta(0, "call_1", "now", "")
MORE = ToolCallDelta(0, None, None, "{}")


def texts_of(parts: list[Part]) -> str:
    return "".join(part for part in parts if isinstance(part, str))


def test_ordinary_text_is_handed_over_as_it_comes() -> None:
    gate = TextGate(hold=False)
    assert gate.feed(["a", "b"]) == ["a", "b"]
    assert gate.feed([CALL, "c"]) == [CALL, "c"]
    assert gate.end() == ""


def test_text_waits_where_only_a_call_or_json_is_an_answer() -> None:
    gate = TextGate(hold=True)
    assert gate.feed(["a", "b"]) == []
    assert gate.end() == "ab"


def test_held_text_goes_before_the_call_that_follows_it() -> None:
    gate = TextGate(hold=True)
    assert gate.feed(["Let me ", "see."]) == []
    assert gate.feed([CALL, MORE]) == ["Let me see.", CALL, MORE]
    assert gate.feed(["Done."]) == ["Done."]
    assert gate.end() == ""


def test_held_text_of_a_wrong_reply_is_dropped() -> None:
    gate = TextGate(hold=True)
    gate.feed(["I will not."])
    gate.begin_reply()
    assert gate.feed([CALL]) == [CALL]
    assert gate.end() == ""


def test_text_after_a_shown_reply_waits_and_begins_a_paragraph() -> None:
    gate = TextGate(hold=False)
    assert gate.feed(["One."]) == ["One."]
    gate.begin_reply()
    assert gate.feed(["Two."]) == []
    assert gate.end() == "\n\nTwo."


def test_text_after_a_shown_reply_is_dropped_where_a_call_follows() -> None:
    gate = TextGate(hold=False)
    gate.feed(["One."])
    gate.begin_reply()
    assert gate.feed(["Two.", CALL]) == [CALL]
    assert gate.end() == ""


@pytest.mark.parametrize(
    ("shown", "answer", "rest"),
    [
        ([], '{"a": 1}', '{"a": 1}'),
        (['{"a": 1'], '{"a": 1}', "}"),
        (['{"a"', ': "x'], '{"a": "x", "b": 2}', '", "b": 2}'),
        (['{"a": "y'], '{"a": "x", "b": 2}', '", "a": "x", "b": 2}'),
        (['{"a": [1, {"c": "y"'], '{"a": [], "b": 2}', '}], "a": [], "b": 2}'),
        (['{"a": [1'], '{"a": []}', '], "a": []}'),
        (['{"a": 2'], '{"b": 2}', '\n\n{"b": 2}'),
        (['{"a": 2'], "I will not.", "\n\nI will not."),
        (["Sure: "], '{"a": 1}', '\n\n{"a": 1}'),
    ],
)
def test_a_new_answer_goes_on_where_the_shown_text_ends(shown: list[Part], answer: str, rest: str) -> None:
    gate = AnswerGate()
    assert gate.feed(shown) == shown
    gate.begin_reply()
    handed_over = gate.feed([answer])
    assert texts_of(handed_over) + gate.end() == rest


def test_an_answer_after_a_shown_one_is_dropped_where_a_call_follows() -> None:
    gate = AnswerGate()
    gate.feed(['{"a": 2'])
    gate.begin_reply()
    assert gate.feed(['{"a": 1}', CALL]) == [CALL]
    assert gate.end() == ""


@given(st.booleans(), st.lists(st.one_of(st.text(min_size=1), st.just(CALL), st.just(MORE))))
def test_no_text_of_a_single_reply_is_lost(hold: bool, parts: list[Part]) -> None:
    gate = TextGate(hold=hold)
    passed = [each for part in parts for each in gate.feed([part])]
    assert texts_of(passed) + gate.end() == texts_of(parts)
    assert [part for part in passed if not isinstance(part, str)] == [p for p in parts if not isinstance(p, str)]
