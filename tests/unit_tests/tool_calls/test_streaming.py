"""What comes out while a reply comes in: text as soon as it can be no call, arguments as they arrive."""

import pytest

from langchain_darkai._tool_calls.output import ToolCallDelta
from langchain_darkai._tool_calls.parser import ReplyParser
from tests.support.reading import EVERY
from tests.support.replies import NOW_BLOCK

PROSE = 'It\'s 18 °C, sunny; I like 3 of them (really): {a} [b] #1 "x" 漢字!\nNext line > 2 = ok.\n'


def test_ordinary_letters_come_out_at_once() -> None:
    parser = ReplyParser(EVERY)
    parser.feed("S")
    for letter in PROSE * 3:
        out = "".join(str(part) for part in parser.feed(letter))
        assert letter in out or letter.isspace() or letter in "[]"  # which could begin a mark


def test_ordinary_letters_come_out_at_once_after_a_call() -> None:
    parser = ReplyParser(EVERY)
    parser.feed(f"{NOW_BLOCK}\nWell, ")
    for letter in "let me see what it says":
        out = "".join(str(part) for part in parser.feed(letter))
        assert letter in out or letter.isspace()


@pytest.mark.parametrize(
    "text", ["a <b", "x <tool_cat", "x <functor", "x [TOOLS", "x <|pygmy", "x <thunder", "a ~~ b", "x <tool_callz"]
)
def test_text_waits_only_while_it_can_become_a_mark(text: str) -> None:
    parser = ReplyParser(EVERY)

    assert "".join(str(part) for letter in text for part in parser.feed(letter)) == text


@pytest.mark.parametrize(
    "text",
    ['{"title": "', "{x y", "[1, 2", "[see", '{"name": "Alice", ', '["a", ', "[[1", "```python\nx", "[n](", "{}."],
)
def test_a_reply_that_begins_like_a_call_waits_only_until_it_is_none(text: str) -> None:
    parser = ReplyParser(EVERY)

    assert "".join(str(part) for letter in text for part in parser.feed(letter)).strip() == text.strip()


@pytest.mark.parametrize("tag", ["<|python_tag|>", "[TOOL_CALLS] ", "<tool_call>", "<function_call>"])
def test_prose_after_a_tag_waits_only_until_it_is_no_call(tag: str) -> None:
    text = f"The tag {tag}nowadays begins calls; it is long and winding."
    parser = ReplyParser(EVERY)

    assert "".join(str(part) for part in parser.feed(text)) == text


def test_arguments_come_out_as_they_arrive() -> None:
    parser = ReplyParser(EVERY)
    parser.feed('<tool_call>\n{"name": "say", "arguments": {"text": "')
    out = [part.arguments for letter in "Once upon" for part in parser.feed(letter) if isinstance(part, ToolCallDelta)]

    assert out == list("Once upon")
