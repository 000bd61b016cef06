"""Replies that are made to take long, or to break the parser: the time grows with the length only, nothing raises."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_darkai._generation.stop import StopSequenceFilter
from langchain_darkai._json.reader import MAX_WHOLE
from langchain_darkai._json.schema import SchemaNode
from langchain_darkai._structured_output.extraction import AnswerScanner, InvalidAnswer
from langchain_darkai._text import MAX_SLICE
from langchain_darkai._tool_calls.parser import ReplyParser
from langchain_darkai._tool_calls.readers import read_calls
from langchain_darkai._tool_calls.tools import ToolChoice
from tests.support.adversarial import ADVERSARIAL, assert_linear
from tests.support.reading import EVERY, in_sizes, read
from tests.support.replies import ANY, AUTO, TOOLS, bare, block, forced

Reader = Callable[[str, int], object]


def parse(text: str, size: int, choice: ToolChoice = AUTO) -> ReplyParser:
    parser = ReplyParser(EVERY if choice.name is None else [TOOLS[choice.name]], choice)
    for piece in in_sizes(text, size):
        parser.feed(piece)
    parser.finish()
    return parser


def record(parser: ReplyParser) -> tuple[Any, ...]:
    return parser.content, [(call.name, call.arguments, call.reason) for call in parser.calls]


def scan(text: str, size: int, node: SchemaNode | None = None) -> None:
    scanner = AnswerScanner(refuse, node, is_wrapped=False)
    for piece in in_sizes(text, size):
        scanner.feed(piece)
        scanner.partial()
    with pytest.raises(InvalidAnswer):
        scanner.finish()


def refuse(value: object) -> object:
    raise InvalidAnswer("no")


def stop(text: str, size: int) -> None:
    stop_filter = StopSequenceFilter(["Observation:", "\n\n\n", "`" * 100 + "x", "E" * 300 + "ND"])
    for piece in in_sizes(text, size):
        stop_filter.feed(piece)
    stop_filter.finish()


READERS: dict[str, Reader] = {
    "parser, any tool forced": lambda text, size: parse(text, size, ANY),
    "parser, one tool forced": lambda text, size: parse(text, size, forced("say")),
    "answer": scan,
    "answer with a schema": lambda text, size: scan(text, size, SchemaNode.of(TOOLS["save"].parameters)),
    "stop sequences": stop,
}


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_a_reply_that_comes_at_once_takes_time_in_proportion_to_its_length(kind: str) -> None:
    assert_linear(lambda text: parse(text, len(text)), ADVERSARIAL[kind], 4_000)


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_a_reply_that_comes_letter_by_letter_takes_time_in_proportion_to_its_length(kind: str) -> None:
    assert_linear(lambda text: parse(text, 1), ADVERSARIAL[kind], 1_500)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 1_000_000])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_each_other_reader_takes_time_in_proportion_to_the_length(kind: str, reader: str, size: int) -> None:
    assert_linear(lambda text: READERS[reader](text, size), ADVERSARIAL[kind], 4_000 if size > 1 else 1_500)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_300_kilobytes_cost_as_much_for_each_letter_as_ten(kind: str) -> None:
    assert_linear(lambda text: parse(text, len(text)), ADVERSARIAL[kind], 10_000, 30)


@pytest.mark.parametrize("choice", [ToolChoice(), ANY, forced("say")], ids=["auto", "any", "one"])
@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_each_of_these_replies_gives_the_same_message_in_any_pieces(kind: str, choice: ToolChoice) -> None:
    text = ADVERSARIAL[kind](900)
    whole = read(ReplyParser(EVERY, choice), [text])

    for size in (1, 7, 64):
        assert read(ReplyParser(EVERY, choice), in_sizes(text, size)) == whole


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_slices_of_a_long_reply_give_the_message_of_the_whole(kind: str) -> None:
    text = ADVERSARIAL[kind](MAX_SLICE + 900)

    assert record(parse(text, len(text))) == record(parse(text, 1_000))


def test_a_long_reply_is_read_in_slices_and_its_end_too() -> None:
    parser = ReplyParser(EVERY)
    text = ADVERSARIAL["bare JSON, a long text"](10 * MAX_SLICE)
    pauses = [len(list(parser.slices(text))), len(list(parser.slices(None)))]

    assert min(pauses) >= 8
    assert parser.take() == [text]


# Calls in Python that are nested or chained too deeply for Python to read or to walk through.
DEEP_PYTHON = {
    "names": lambda depth: "add." * depth + "add()",
    "calls": lambda depth: "add(" * depth + ")" * depth,
    "lists": lambda depth: "add(a=" + "[" * depth + "]" * depth + ")",
    "dicts": lambda depth: "add(a=" + "{'a': " * depth + "1" + "}" * depth + ")",
    "sums": lambda depth: "add(a=" + "1+" * depth + "1)",
    "signs": lambda depth: "add(a=" + "-" * depth + "1)",
    "results": lambda depth: "add()" + ".add()" * depth,
    "items": lambda depth: "add" + "[0]" * depth + "()",
    "numbers": lambda depth: "add(a=0x" + "f" * depth + ")",
}


@pytest.mark.parametrize("depth", [50, 120, 1_500, 3_900])
@pytest.mark.parametrize("kind", DEEP_PYTHON)
@pytest.mark.parametrize("around", ["<|python_tag|>{}", "[{}]", "<tool_call>{}</tool_call>", "```tool_code\n{}\n```"])
def test_deep_python_is_a_call_or_text_and_never_an_error(kind: str, depth: int, around: str) -> None:
    text = around.replace("{}", DEEP_PYTHON[kind](depth))
    result = read(ReplyParser(EVERY), [text])

    assert result.content == text or result.calls or result.invalid


python_texts = st.recursive(
    st.sampled_from(
        ["1", "'x'", "add", "now()", "None", "-1", "1e999", "...", "b'x'", "f'{1}'", "é", "0xff", "*a", "a=1"]
    ),
    lambda inner: st.one_of(
        st.tuples(
            st.sampled_from(["add(%s)", "[%s]", "{%s}", "(%s,)", "-%s", "%s.add", "not %s", "a=%s", "{'a': %s}"]), inner
        ).map(lambda filled: filled[0].replace("%s", filled[1])),
        st.lists(inner, max_size=3).map(", ".join),
        st.tuples(
            st.sampled_from(["add(", "[", "-", "add.", "{1: ", "1+", "(", "lambda: "]), st.integers(1, 3_000), inner
        ).map(lambda deep: deep[0] * deep[1] + deep[2]),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=400)
@given(python_texts, st.booleans())
@example("add." * 1_500 + "add()", True)
@example("add(a=0x" + "f" * 5_000 + ")", False)
def test_any_python_reads_as_calls_with_json_arguments_or_as_none(text: str, exact: bool) -> None:
    for call in read_calls(text, TOOLS, exact=exact) or ():
        json.dumps(call.arguments)


def test_a_call_in_the_form_that_is_asked_for_may_be_of_any_length() -> None:
    text = "a\n" * MAX_WHOLE

    (call,) = parse(block("say", text=text), 10_000_000).calls
    assert (call.reason, json.loads(call.arguments)) == (None, {"text": text})


@pytest.mark.parametrize("size", [1_000, 10_000_000])
@pytest.mark.parametrize(
    "around",
    [
        "<tool_call>{}</tool_call>",
        "<tool_call>{}",
        "[TOOL_CALLS][{}]</s>",
        "<function=say>{}</function>",
        "<|python_tag|>{}",
    ],
)
def test_a_call_in_another_form_that_is_too_long_is_invalid_and_says_so(around: str, size: int) -> None:
    arguments = json.dumps({"text": "a" * MAX_WHOLE})
    call = arguments if "function" in around else f'{{"arguments": {arguments}, "name": "say"}}'
    text = around.replace("{}", call)
    (invalid,) = parse(text, size).calls

    assert invalid.name == "say"
    assert invalid.reason == f"it is longer than {MAX_WHOLE:,} characters, and not in the form that was asked for"


@pytest.mark.parametrize("size", [1_000, 10_000_000])
@pytest.mark.parametrize("around", ["{}", "[{}]", "```json\n{}\n```"])
def test_a_call_without_our_tag_that_is_too_long_is_text(around: str, size: int) -> None:
    text = around.replace("{}", bare("say", text="a" * MAX_WHOLE))

    assert record(parse(text, size)) == (text, [])


def test_a_fence_is_a_forced_call_after_a_few_that_are_none() -> None:
    text = "x\n" + '```json\n{"wrong": 1}\n```\nor\n' * 20 + '```json\n{"text": "right"}\n```'

    assert read(ReplyParser([TOOLS["say"]], forced("say")), [text]).calls == [("say", {"text": "right"})]


def test_a_partial_answer_lags_behind_by_a_small_share_of_its_length_and_not_at_all_when_short() -> None:
    scanner = AnswerScanner(lambda value: value, None, is_wrapped=False)
    scanner.feed('{"text": "')
    for length in range(1, 5_000):
        scanner.feed("a")
        assert length - len(scanner.partial()["text"]) <= (length / 30 if length > 2_000 else 0)
    scanner.feed('"}')

    assert scanner.partial() == {"text": "a" * 4_999}
