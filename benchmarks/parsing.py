"""The rows without a server: what a character of a long reply costs the parser, and what a new model costs.

The package is imported when its code is measured first, like that of its peers.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import AnyStr

from benchmarks import contenders, server
from benchmarks.measure import Time, take_turns

PROSE = "".join(server.PIECES)
CALL = '<tool_call>\n{"name": "write_file", "arguments": {"path": "a.txt", "text": "The river."}}\n</tool_call>\n'
CODE = f"Here is how:\n\n```python\nfor boat in boats:\n    print(boat)\n```\n\nThen `boat` is *out*. {PROSE}"
READ = 2500
"""Bytes or characters that a burst brings at once, about as many as 50 events have."""
SMALL, LARGE = 10_000, 1_000_000

Texts = Callable[[int], str]


def prose(size: int) -> str:
    """Return prose of about so many characters."""
    return PROSE * (size // len(PROSE))


def code(size: int) -> str:
    """Return prose with code in it."""
    return CODE * (size // len(CODE))


def argument(size: int) -> str:
    """Return a call with one long argument."""
    return call_with(prose(size))


def call_with(text: str) -> str:
    """Return a call whose argument is a text."""
    return f"{server.ARGUMENT_START}{json.dumps(text)[1:-1]}{server.ARGUMENT_END}"


def calls(size: int) -> str:
    """Return many calls, 10,000 of a million characters."""
    return CALL * (size // len(CALL))


def answer(size: int) -> str:
    """Return a structured answer."""
    return json.dumps({"text": prose(size)})


def parse(pieces: Sequence[str]) -> None:
    """Read a reply's text with a tool bound."""
    from langchain_darkai._tool_calls.parser import ReplyParser
    from langchain_darkai._tool_calls.tools import Tool

    properties = {"path": {"type": "string"}, "text": {"type": "string"}}
    parser = ReplyParser([Tool("write_file", "", {"type": "object", "properties": properties})])
    for piece in pieces:
        parser.feed(piece)
    parser.finish()


def read_answer(pieces: Sequence[str], name: str = "text") -> None:
    """Read a structured answer, which is shown while it comes; `name` is that of its first member."""
    from langchain_darkai._structured_output.answer_text import AnswerText
    from langchain_darkai._structured_output.extraction import AnswerScanner

    scanner = AnswerScanner(lambda value: value, None, is_wrapped=False, first_names=frozenset({name}))
    text = AnswerText(scanner)
    for piece in pieces:
        text.feed([piece])
    text.check()


def per_character(texts: Texts, read: Callable[[Sequence[str]], None], time_for: Time) -> tuple[float, float]:
    """Return the seconds that a million characters take, and a character of theirs over one of ten thousand."""
    few, many = (cut(texts(size)) for size in (SMALL, LARGE))
    repeats = round(_size(many) / _size(few))

    def read_few() -> None:
        for _ in range(repeats):
            read(few)

    samples = take_turns({"few": read_few, "ours": partial(read, many)}, time_for)
    ours = samples["ours"]
    ratio = ours.over(samples["few"], "cpu") * repeats * _size(few) / _size(many) if len(samples) > 1 else 1.0
    return min(ours.cpu.values()) / _size(many) * LARGE, ratio


def construction(time_for: Time) -> tuple[float, float]:
    """Return the seconds that a new model takes, and langchain-openai's over them."""
    url, times = "http://127.0.0.1:8000", 100

    def make(model: Callable[[str], object]) -> None:
        for _ in range(times):
            model(url)

    samples = take_turns(
        {"ours": partial(make, contenders.darkai), "openai": partial(make, contenders.openai)}, time_for
    )
    ours = samples["ours"]
    ratio = samples["openai"].over(ours, "cpu") if len(samples) > 1 else 1.0
    return min(ours.cpu.values()) / times, ratio


def cut(text: AnyStr) -> list[AnyStr]:
    """Return a text, or bytes, as bursts bring it."""
    return [text[at : at + READ] for at in range(0, len(text), READ)]


def _size(pieces: Sequence[str]) -> int:
    return sum(map(len, pieces))
