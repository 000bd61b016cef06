"""Reading a reply with the parser, in any pieces, and what it makes of it."""

import itertools
import json
from typing import Any

from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_darkai._tool_calls.output import Part, ToolCallDelta
from langchain_darkai._tool_calls.parser import ReplyParser
from tests.support.replies import TOOLS

EVERY = list(TOOLS.values())
Pair = tuple[str | None, str]


class Result:
    """What a parser made of a reply, as its own record and as LangChain's reading of the chunks."""

    def __init__(self, parser: ReplyParser, parts: list[Part]) -> None:
        self.content = "".join(part for part in parts if isinstance(part, str))
        assert self.content == parser.content
        self.calls = [(call.name, json.loads(call.arguments)) for call in parser.calls if call.reason is None]
        self.invalid: list[Pair] = [(call.name, call.arguments) for call in parser.calls if call.reason is not None]
        self.reasons = [call.reason for call in parser.calls if call.reason is not None]
        merged = merge(parts)
        assert merged.text == self.content
        assert [(call["name"], call["args"]) for call in merged.tool_calls] == self.calls
        assert [(call["name"], call["args"]) for call in merged.invalid_tool_calls] == self.invalid
        assert [call["id"] for call in merged.tool_call_chunks] == [call.id for call in parser.calls]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Result) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.content)

    def __repr__(self) -> str:
        return repr(self.key)

    @property
    def key(self) -> tuple[Any, ...]:
        return self.content, self.calls, self.invalid, self.reasons


def merge(parts: list[Part]) -> AIMessageChunk:
    merged = AIMessageChunk(content="")
    return merged + [chunk_of(part) for part in parts] if parts else merged


def chunk_of(part: Part) -> AIMessageChunk:
    if isinstance(part, str):
        return AIMessageChunk(content=part)
    assert isinstance(part, ToolCallDelta)
    chunk = tool_call_chunk(name=part.name, args=part.arguments, id=part.id, index=1000 + part.index)
    return AIMessageChunk(content="", tool_call_chunks=[chunk])


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(places)]


def in_sizes(text: str, size: int) -> list[str]:
    return [text[place : place + size] for place in range(0, len(text), size)]


def read(parser: ReplyParser, chunks: list[str]) -> Result:
    parts = [part for chunk in chunks for part in parser.feed(chunk)]
    return Result(parser, parts + parser.finish())


# Pieces of text that look like something to a reader of calls, and mean nothing without their rest.
FRAGMENTS = [
    *("<tool", "tool_call>", "</tool_call>", "<tool_ call>", "<tool_calling>", "<function", "function=", "<|python"),
    *("_tag|>", "[TOOL", "_CALLS]", "<thin", "</think>", "think>", "[ARGS]", "<parameter=a>", "Observation: 3"),
    *("Tool: 3", "User: x", '{"name": "fly", "arguments": {}}', '{"name": "add"', '"arguments": {"a": 1}'),
    *("{", "}", "[", "]", '"', "'", "\\", ":", ",", "get_weather", "add(", "now)", "\n", "\n\n", " ", "\t", "\r\n"),
    *("~~", "~", "<", ">", "|", "é", "🎉", "\x00", "\u2028", "a", "1"),
]

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(FRAGMENTS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(FRAGMENTS), inner, max_size=4)
    ),
    max_leaves=10,
)
json_objects = st.dictionaries(st.text() | st.sampled_from(FRAGMENTS), json_values, max_size=4)
