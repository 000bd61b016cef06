"""Reading replies: the table in every cut, text and arguments to the letter, quoted calls left alone."""

import json
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from langchain_darkai._tool_calls.output import ToolCallDelta
from langchain_darkai._tool_calls.parser import ReplyParser
from langchain_darkai._tool_calls.tools import Tool, ToolChoice
from tests.support.reading import EVERY, FRAGMENTS, in_sizes, json_objects, pieces, read
from tests.support.replies import ADD, ADD_BLOCK, ANY, CASES, NOW_BLOCK, TOOLS, Case, bare, block, forced


def parser_of(case: Case) -> ReplyParser:
    return ReplyParser(case.bound, case.choice, parallel=case.parallel)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_reply_gives_its_message(case: Case) -> None:
    result = read(parser_of(case), [case.text])

    assert (result.content, result.calls) == (case.content, list(case.calls))
    assert [name for name, _ in result.invalid] == [name for name, _ in case.invalid]
    for (_, kept), (_, expected) in zip(result.invalid, case.invalid, strict=True):
        assert expected in kept
    assert all(result.reasons)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_reply_gives_the_same_message_in_any_pieces(case: Case) -> None:
    whole = read(parser_of(case), [case.text])

    for size in (1, 2, 3, 5, 7, 16, 100):
        assert read(parser_of(case), in_sizes(case.text, size)) == whole


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_reply_gives_the_same_message_in_every_cut_in_two(case: Case) -> None:
    whole = record_of(case, [case.text])

    for cut in cuts_of(case):
        assert record_of(case, [case.text[:cut], case.text[cut:]]) == whole, case.text[:cut]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_part_of_a_reply_runs_a_call_that_the_reply_does_not_hold(case: Case) -> None:
    allowed = [list(case.calls[:count]) for count in range(len(case.calls) + 1)]

    for cut in cuts_of(case):
        by_end = record_of(case, [case.text[:cut]])[1]
        assert by_end in allowed or by_end == list(case.cut), case.text[:cut]
        assert record_of(case, [case.text[:cut]], is_fault=True)[1] in allowed, case.text[:cut]


def cuts_of(case: Case) -> range:
    """Return where a reply is cut: everywhere, or at some places of a very long one."""
    return range(0, len(case.text), 1 if len(case.text) < 1_500 else 997)


def record_of(case: Case, chunks: list[str], *, is_fault: bool = False) -> tuple[Any, ...]:
    """Return what a parser makes of a reply that ends, or breaks off: its text, its calls, its broken calls."""
    parser = parser_of(case)
    for chunk in chunks:
        parser.feed(chunk)
    parser.abort() if is_fault else parser.finish()
    valid = [(call.name, json.loads(call.arguments)) for call in parser.calls if call.reason is None]
    broken = [(call.name, call.arguments, call.reason) for call in parser.calls if call.reason is not None]
    return parser.content, valid, broken


@settings(deadline=None, max_examples=500)
@given(st.sampled_from(CASES), st.data())
def test_each_reply_gives_the_same_message_in_random_cuts(case: Case, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(case.text)), max_size=8))

    assert read(parser_of(case), pieces(case.text, cuts)) == read(parser_of(case), [case.text])


def test_the_table_has_hundreds_of_replies_with_names_of_their_own() -> None:
    assert len(CASES) >= 900
    assert len({case.name for case in CASES}) == len(CASES)


SYNTAX = (
    "<tool_call>",
    "<function=",
    "<|python_tag|>",
    "[TOOL_CALLS]",
    "<function_call>",
    "<tool_calls>",
    "<|tool_call|>",
)


def has_call_syntax(text: str) -> bool:
    """Tell whether a text holds a mark of a call, or a tool's name where a call without a mark would have it."""
    return any(mark in text for mark in SYNTAX) or (
        any(name in text for name in TOOLS) and ('"name"' in text or "(" in text)
    )


adversarial = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=16).map("".join)


@settings(deadline=None, max_examples=1500)
@given(adversarial, st.integers(1, 9), st.sampled_from([ToolChoice(), ANY]))
@example("[now", 1, ToolChoice())
@example("```\n", 1, ToolChoice())
@example(" ~~", 1, ANY)
def test_text_without_call_syntax_comes_out_as_it_went_in(text: str, size: int, choice: ToolChoice) -> None:
    assume(not has_call_syntax(text))

    result = read(ReplyParser(EVERY, choice), in_sizes(text, size))

    assert result.key == (text, [], [], [])


@settings(deadline=None, max_examples=1500)
@example([ADD_BLOCK, "\u2028", "Observation: 3"], 1)
@given(
    st.lists(
        st.sampled_from(
            [*FRAGMENTS, *SYNTAX, "`", "```", "\n```\n", "<think>", ADD, ADD_BLOCK, "</function>", "<TOOL_CALL>"]
        ),
        max_size=12,
    ),
    st.integers(1, 9),
)
def test_anything_reads_alike_in_any_pieces_and_loses_nothing_but_calls(fragments: list[str], size: int) -> None:
    text = "".join(fragments)
    whole = read(ReplyParser(EVERY), [text])

    assert read(ReplyParser(EVERY), in_sizes(text, size)) == whole
    if not whole.calls and not whole.invalid:
        assert whole.content == text


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}\nThis is how you add.</tool_call>',
        f"[TOOL_CALLS][{ADD}]</s>{bare('now')}{NOW_BLOCK}",
    ],
)
def test_calls_that_go_on_in_an_odd_way_read_alike_in_any_cut(text: str) -> None:
    whole = read(ReplyParser(EVERY, ANY), [text])

    for cut in range(len(text)):
        assert read(ReplyParser(EVERY, ANY), pieces(text, [cut])) == whole, text[:cut]


@settings(deadline=None, max_examples=600)
@given(st.lists(st.sampled_from([*FRAGMENTS, "`", "``"]), max_size=8).map("".join), st.sampled_from(["`", "``", "```"]))
def test_no_call_in_code_runs(prose: str, ticks: str) -> None:
    """Quoted calls are text, whatever stands before their fence, which begins on a new line."""
    prose = prose.replace("`", "").replace("~", "")
    assume(not has_call_syntax(prose))
    text = f"Say {prose}\n\n{ticks * 3}\n{ADD_BLOCK}\n{NOW_BLOCK}\n{ticks * 3}\n\nso."

    assert read(ReplyParser(EVERY), [text]).key == (text, [], [], [])


@settings(deadline=None, max_examples=600)
@given(json_objects, st.booleans(), st.sampled_from([None, 2]), st.integers(1, 9), st.sampled_from(["open", "fly"]))
def test_any_arguments_survive_to_the_letter(
    arguments: dict[str, Any], ascii_only: bool, indent: int | None, size: int, name: str
) -> None:
    written = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=ascii_only, indent=indent)
    anything = Tool("open", "", {"type": "object", "properties": {}})

    result = read(ReplyParser([anything]), in_sizes(f"So: <tool_call>\n{written}\n</tool_call>", size))

    assert result.key == ("So:", [(name, arguments)], [], [])


def test_every_call_has_an_id_of_its_own_and_one_name() -> None:
    parser = ReplyParser(EVERY)
    parts = [part for letter in f"{ADD_BLOCK}{ADD_BLOCK}" for part in parser.feed(letter)]
    named = [part for part in parts if isinstance(part, ToolCallDelta) and part.name]

    assert len({call.id for call in parser.calls}) == 2
    assert [(piece.index, piece.id) for piece in named] == [(0, parser.calls[0].id), (1, parser.calls[1].id)]


def test_nothing_counts_once_the_reply_is_done() -> None:
    parser = ReplyParser(EVERY, parallel=False)
    parser.feed(ADD_BLOCK)

    assert parser.done
    assert parser.feed(f" more {NOW_BLOCK}") == []
    assert parser.finish() == []


def test_a_made_up_result_ends_the_reply() -> None:
    parser = ReplyParser(EVERY)
    parser.feed(f"{ADD_BLOCK}\nObservation: 3")

    assert parser.done


@pytest.mark.parametrize("mark", SYNTAX)
def test_a_mark_in_upper_case_in_prose_is_kept_to_the_letter(mark: str) -> None:
    text = f"Some write {mark.upper()} before calls, or {mark.title()} as well."

    for size in (1, 100):
        assert read(ReplyParser(EVERY), in_sizes(text, size)).key == (text, [], [], [])


@pytest.mark.parametrize("text", ["<tool_callſ>{}", "<thınk>{}", "x <reaſoning> y", "<thinK>", "x [TOOL_CALLſ] y"])
def test_a_letter_that_only_folds_to_that_of_a_tag_is_text(text: str) -> None:
    """Where upper case counts too, a long s is an s for Python, and an i without a dot an i."""
    for size in (1, 100):
        assert read(ReplyParser(EVERY), in_sizes(text, size)).key == (text, [], [], [])


@pytest.mark.timeout(10)
def test_many_calls_in_a_fence_with_prose_are_read_in_no_time() -> None:
    """The search for an end must not try each way to divide the calls: that doubles with each of them."""
    text = "```\n" + f"{ADD_BLOCK}\n" * 28 + "and prose"

    assert read(ReplyParser(EVERY), [text]).content == text


@pytest.mark.parametrize(
    "text", ["word " * 4000, block("say", text="word " * 4000), "[" * 4000, "<" * 4000, "`" * 4000]
)
def test_long_replies_are_read_letter_by_letter(text: str) -> None:
    result = read(ReplyParser(EVERY), list(text))

    assert result.content == text or result.calls == [("say", {"text": "word " * 4000})]


def test_forced_names_are_taken_only_where_they_are_bound() -> None:
    assert read(ReplyParser([TOOLS["now"]], forced("get_weather")), ['{"city": "Paris"}']).calls == []
