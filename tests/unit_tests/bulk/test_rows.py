"""What is a row, and what is none."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_darkai.bulk.rows import MalformedRow, Row, row_from

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
KEYS = st.sampled_from(["prompt", "messages", "input", "id", "model", "temperature", "stop", "parameters"])


def row(value: Any, number: int = 7) -> Row:
    made = row_from(number, value)
    assert isinstance(made, Row), made
    return made


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ("Hi", "Hi"),
        ({"prompt": "Hi"}, "Hi"),
        ({"prompt": "Hi", "messages": None}, "Hi"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, [HumanMessage("Hi")]),
        ({"messages": [["system", "Be brief."], ["user", "Hi"]]}, [SystemMessage("Be brief."), HumanMessage("Hi")]),
        ({"messages": [HumanMessage("Hi"), AIMessage("Hello")]}, [HumanMessage("Hi"), AIMessage("Hello")]),
        ({"input": {"topic": "tea"}}, {"topic": "tea"}),
    ],
)
def test_a_row_has_one_thing_that_is_asked(value: Any, asked: Any) -> None:
    assert row(value).input == asked


def test_a_row_has_an_id_or_its_number() -> None:
    assert row("Hi").id == 7
    assert row({"prompt": "Hi", "id": "a"}).id == "a"
    assert row({"prompt": "Hi", "id": 0}).id == 0


def test_a_row_has_parameters_of_its_own() -> None:
    assert row({"prompt": "Hi", "temperature": 0, "stop": ["x"], "max_tokens": None}).parameters == {
        "temperature": 0,
        "stop": ["x"],
    }
    assert row({"prompt": "Hi", "model": "a", "parameters": {"top_p": 0.5}}).parameters == {"model": "a", "top_p": 0.5}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "has one of prompt, messages, input; this one has none of them"),
        ({"prompt": "Hi", "messages": []}, "this one has prompt and messages"),
        ({"promt": "Hi"}, "'promt' is no key of a row; there are prompt, messages"),
        ({"prompt": 5}, "The prompt 5 is not a text"),
        ({"messages": "Hi"}, "The messages 'Hi' are not a list"),
        ({"messages": [{"role": "nobody", "content": "Hi"}]}, "nobody"),
        ({"prompt": "Hi", "parameters": []}, "The parameters \\[\\] are not an object"),
        (5, "5 is neither a text nor an object"),
        (None, "None is neither"),
        (["Hi"], "\\['Hi'\\] is neither"),
    ],
)
def test_what_is_no_row_says_why(value: Any, reason: str) -> None:
    made = row_from(7, value)
    assert isinstance(made, MalformedRow)
    assert made.number == 7
    with pytest.raises(ValueError, match=reason):
        raise ValueError(made.reason)


def test_the_same_row_has_the_same_key_and_another_has_another() -> None:
    first = {"id": 1, "prompt": "Hi", "temperature": 0}
    assert row(first, 1).key == row(dict(reversed(first.items())), 2).key
    others = [{**first, "prompt": "Ho"}, {**first, "id": 2}, {**first, "temperature": 1}, "Hi"]
    assert len({row(value).key for value in [first, *others]}) == 5
    assert row("Hi").key == row({"prompt": "Hi"}).key


@settings(max_examples=50)
@given(JSON_VALUES | st.dictionaries(KEYS, JSON_VALUES, max_size=4))
def test_any_value_of_json_is_a_row_or_says_why_not(value: Any) -> None:
    made = row_from(1, value)
    if isinstance(made, MalformedRow):
        assert made.reason
    else:
        assert row_from(2, json.loads(json.dumps(value))).key == made.key  # type: ignore[union-attr]
