"""The answer in a reply: found in whatever is around it, whole or in pieces, and shown while it is still coming."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_darkai._structured_output.extraction import AnswerScanner
from langchain_darkai._structured_output.output_format import InvalidAnswer, OutputFormat, output_format
from tests.support.schemas import ANN, ANN_DICT, SCHEMA, Node, Note, Person, grows

AROUND = {
    "bare": "{}",
    "blanks": "\n\n  {}  \n",
    "fence": "```json\n{}\n```",
    "fence without a language": "```\n{}\n```",
    "fence and prose": "Here it is:\n```json\n{}\n```\nIs it right?",
    "prose": "Sure! The answer is {} as you asked.",
    "inline code": "It is `{}`.",
    "thought": '<think>\nMaybe {{"name": "Bob", "age": 1}}?\n</think>\n{}',
    "thinking": '<thinking>{{"name": "Bob", "age": 1}}</thinking>{}',
    "a draft in <thought>": '<thought>{{"name": "Bob", "age": 1}}</thought>{}',
    "a draft in <reasoning>": '<reasoning>{{"name": "Bob", "age": 1}}</reasoning>{}',
    "a draft in <Reasoning>": '<Reasoning>{{"name": "Bob", "age": 1}}</REASONING>{}',
    "a thought on a line": 'So:\n <think>{{"name": "Bob", "age": 1}}</think> <think>{{"age": 2}}</think>{}',
    "a thought's mark in prose": "I use no <think> tags: {}",
    "harmony without marks": 'analysisMaybe {{"name": "Bob", "age": 1}}.assistantfinal{}',
    "the word analysis": "analysis of it: {}",
    "braces in prose": "A set {{a, b}} and {{x}} and [1] and {{}}: {}",
    "another value before": '{{"name": "Bob"}} lacks the age; {}',
    "LaTeX": "$\\frac{{1}}{{2}}$ {}",
}


def partial(output: OutputFormat, text: str) -> Any:
    scanner = output.scanner()
    scanner.feed(text)
    return scanner.partial()


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_the_answer_is_found_in_what_is_around_it(around: str) -> None:
    written, result = output_format(Person).read(around.format(ANN))

    assert result == Person(name="Ann", age=30)
    assert json.loads(written) == ANN_DICT


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (Node, '{"value": "x", "children": [{"value": 2, "children": []}]}'),
        (Node, '{"value": 1, "children": [{"value": "x", "children": [{"value": 3}]}]}'),
        (Node, '{"value": 1, oops, "children": [{"value": 2, "children": []}]}'),
        (Node, '{"value": 1, "children": [{"value": 2, "children": []}]'),
        (dict[str, int], '{"a": "x", "b": {"c": 1}}'),
        (list[int], '{"value": ["x", [1]]}'),
        ({"type": "object"}, '[{"a": 1}, {"b": 2}]'),
    ],
)
def test_a_part_of_a_wrong_answer_is_no_answer(schema: Any, text: str) -> None:
    with pytest.raises(InvalidAnswer):
        output_format(schema).read(text)


@pytest.mark.parametrize(
    "text",
    [
        "a <think>b</think> c",
        "use <think> tags",
        "<thinking>",
        "</think>",
        "```json\n{}\n```",
        '`{x}` [1] \\ " \n é',
        "<tool_call>",
    ],
)
@pytest.mark.parametrize("lead", ["", "<think>hm</think>\n", "So: "])
def test_text_in_an_answer_is_kept_to_the_letter(text: str, lead: str) -> None:
    answer = json.dumps({"text": text})
    output = output_format(Note)

    assert output.read(lead + answer)[1] == Note(text=text)
    assert partial(output, lead + answer) == {"text": text}


json_objects = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=400)
@given(json_objects, st.sampled_from(list(AROUND)[:7]))
def test_any_object_survives_to_the_letter(value: dict[str, Any], around: str) -> None:
    text = AROUND[around].replace("{}", json.dumps(value, ensure_ascii=False))

    assert output_format({"type": "object"}).read(text)[1] == value


@settings(deadline=None, max_examples=200)
@given(json_objects.filter(bool), st.data())
def test_a_cut_answer_is_never_an_answer(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value)
    cut = data.draw(st.integers(0, len(text) - 1))

    with pytest.raises(InvalidAnswer):
        output_format({"type": "object"}).read(text[:cut])


@pytest.mark.parametrize("lead", ["", "Sure:\n```json\n", '<think>{"b": 1}</think>', '<reasoning>{"b": 1}</reasoning>'])
def test_partial_answers_grow(lead: str) -> None:
    value = {"a": 'x "y" \\ 🎉\n', "n": -12.5, "list": [1, [], {"b": None}], "t": True, "s": ["one", "two"], "": {}}
    text = lead + json.dumps(value)
    output = output_format({"type": "object"})
    partials = [found for end in range(len(text) + 1) if (found := partial(output, text[:end])) is not None]

    assert partials[-1] == value
    assert all(grows(a, b) for a, b in itertools.pairwise(partials))
    assert len({json.dumps(partial) for partial in partials}) > 20


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_an_answer_grows_whatever_is_before_it(around: str) -> None:
    scanner = output_format(SCHEMA).scanner()
    partials = []
    for letter in around.format(ANN):
        scanner.feed(letter)
        partials.append(scanner.partial())

    assert {"name": "A"} in partials
    assert partials[-1] == ANN_DICT


@pytest.mark.parametrize("text", [f"[{ANN}]", f"<thought>{ANN}", f'["a", {ANN}, 1]', "[1, 2]", "{x", "none"])
def test_what_cannot_become_the_answer_is_not_shown_while_it_comes(text: str) -> None:
    scanner = output_format(SCHEMA).scanner()

    for letter in text:
        scanner.feed(letter)
        assert not scanner.partial()


FRAGMENTS = [
    *(ANN, '{"name": "Bob"}', "{'name': 'Ann', 'age': '30',}", '{"value": [1, 2]}', '{"value": {"name": "Ann"', "[1]"),
    *("{", "}", "[", "]", "{x}", '"a": ', '"', "1", ",", ":", "\n", " ", "```json\n", "Sure: ", "\\frac{1}{2}", "é"),
    *("<think>", "</think>", "<thi", "nk>", "<Reasoning>", "</reasoning>", "</", "<"),
]
SCHEMAS = [SCHEMA, Person, {"type": "object"}, list[int], {"type": "array", "items": {"type": "integer"}}]


def outcome(scanner: AnswerScanner) -> Any:
    try:
        return scanner.finish()
    except InvalidAnswer as error:
        return str(error)


@settings(deadline=None, max_examples=1500)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=10).map("".join), st.integers(1, 9), st.sampled_from(SCHEMAS))
def test_anything_holds_the_same_answer_in_any_pieces(text: str, size: int, schema: Any) -> None:
    output = output_format(schema)
    whole, pieces = output.scanner(), output.scanner()
    whole.feed(text)
    for place in range(0, len(text), size):
        pieces.feed(text[place : place + size])

    assert outcome(pieces) == outcome(whole)
    assert pieces.partial() == whole.partial()
    if isinstance(outcome(whole), tuple) and isinstance(value := json.loads(outcome(whole)[0]), dict):
        assert whole.partial() == value
