"""Token counts without a network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_darkai import ChatDarkAI, format_prompt
from langchain_darkai._generation.messages import estimate_tokens


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("four", 1), ("fiver", 2), ("語", 1), ("語語", 2), ("\ud800", 1)]
)
def test_an_estimate_goes_by_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text(), st.text())
def test_an_estimate_grows_with_the_text(one: str, two: str) -> None:
    both = estimate_tokens(one + two)
    assert max(estimate_tokens(one), estimate_tokens(two)) <= both <= estimate_tokens(one) + estimate_tokens(two)


def test_a_model_counts_offline() -> None:
    model = ChatDarkAI()
    messages = [SystemMessage("Be brief."), HumanMessage("Hi")]
    assert model.get_num_tokens("Hello, world!") == 4
    assert model.get_num_tokens_from_messages(messages) == estimate_tokens(format_prompt(messages))


def test_a_tokenizer_of_the_users_own_counts_instead() -> None:
    model = ChatDarkAI(custom_get_token_ids=lambda text: list(range(len(text.split()))))
    assert model.get_token_ids("one two three") == [0, 1, 2]
    assert model.get_num_tokens("one two three") == 3
    assert model.get_num_tokens_from_messages([HumanMessage("one two three four")]) == 4
