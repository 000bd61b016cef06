"""What the offline model says where neither a tool nor a schema is asked for."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from tests.support.offline import ask, say


@pytest.mark.parametrize(
    ("question", "answer"),
    [("Count from 1 to 20", ", ".join(map(str, range(1, 21)))), ("count down from 3 to -1", "3, 2, 1, 0, -1")],
)
def test_counting_up_and_down(question: str, answer: str) -> None:
    assert ask(question) == answer


@pytest.mark.parametrize(
    ("question", "result"),
    [
        ("What is 2+2?", "= 4,"),
        ("what's 10 / 4", "= 2.5,"),
        ("10 divided by 4", "= 2.5,"),
        ("What is 1,200 - 7.5?", "= 1192.5,"),
        ("How much is 7 times 6?", "= 42,"),
        ("1 / 0", "no value"),
    ],
)
def test_sums_of_two_numbers_are_worked_out(question: str, result: str) -> None:
    assert result in ask(question)


@pytest.mark.parametrize("question", ["What are you?", "hi", "Are you a language model?", "Why is the sky blue?"])
def test_the_offline_model_says_that_it_is_no_language_model(question: str) -> None:
    assert "no language model" in ask(question)


def test_other_questions_are_answered_with_what_was_asked() -> None:
    questions = [
        "Why is the sky blue?",
        "Tell me about LangChain",
        "Write a poem about the sea.",
        "Who was Ada Lovelace?",
    ]
    answers = [ask(question) for question in questions]
    assert len(set(answers)) == len(answers)
    for answer, word in zip(answers, ["sky", "LangChain", "sea", "Ada Lovelace"], strict=True):
        assert word in answer
        assert len(answer.split()) > 12


@pytest.mark.parametrize(
    ("earlier", "question", "answer"),
    [
        ("My name is Bob", "What is my name?", "Bob"),
        ("My favorite color is teal.", "What's my favorite color?", "teal"),
        ("Hello", "What is my name?", "have not told me"),
    ],
)
def test_the_offline_model_remembers_what_was_called_my(earlier: str, question: str, answer: str) -> None:
    assert answer in say(HumanMessage(earlier), AIMessage("I see."), HumanMessage(question))


@pytest.mark.parametrize(
    ("prefill", "rest"),
    [("1, 2,", " 3, 4, 5"), ("Sure, here it is:", " 1, 2, 3, 4, 5"), ("Here it is: ", "1, 2, 3, 4, 5")],
)
def test_a_prefill_is_continued(prefill: str, rest: str) -> None:
    assert say(HumanMessage("Count from 1 to 5"), AIMessage(prefill)) == rest


def test_a_prefill_of_other_words_is_followed_by_the_answer() -> None:
    text = say(HumanMessage("Why is the sky blue?"), AIMessage("Well, it"))
    assert text.startswith(" ")
    assert "Well, it" not in text


def test_more_than_two_numbers_are_not_added_up() -> None:
    assert " = " not in ask("What is 12 * (3 + 4)?")
