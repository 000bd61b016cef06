"""Prompts to messages: the inverse of `format_prompt`, in time and memory in proportion to a prompt's length."""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_darkai._prompts.grammar import BREAKS, CALL_END, CALL_START
from langchain_darkai._prompts.quoting import unquote
from langchain_darkai._text import structure_of
from langchain_darkai.errors import DarkAIInvalidRequestError

MAX_TURNS = 20_000
"""Turns of a prompt. A message takes a kilobyte of memory, even one of a single letter. So many take 20 MB and a
quarter of a second, and at a hundred tokens each they are as long as the longest context windows."""

MAX_CALL_STRUCTURE = 1024 * 1024
"""Characters of all calls of a prompt that may stand outside of strings. Each can stand for an object of 70 bytes."""

_ATTRIBUTES = frozenset({"id", "name", "status", "calls"})
_JSON = json.JSONDecoder()


class _Patterns(NamedTuple):
    label: re.Pattern[str]
    name: re.Pattern[str]
    end: re.Pattern[str]
    line_end: re.Pattern[str]
    call: re.Pattern[str]


class _Head(NamedTuple):
    """The head of a turn: its label and attributes, where it starts, and where the text behind it starts."""

    label: str
    attributes: dict[str, Any]
    start: int
    end: int


def parse_prompt(query: str) -> list[BaseMessage]:
    """Return the messages of a prompt string; the inverse of `format_prompt`.

    A query that does not begin with the head of a turn is one human message. The label at the end, for the model to
    continue, is not a message. A query of many megabytes takes seconds, so a server leaves it to a thread.

    Raises DarkAIInvalidRequestError, with status 400, for more than `MAX_TURNS` turns, and for calls whose arguments
    have more than `MAX_CALL_STRUCTURE` characters outside of strings.

    Example:
        >>> parse_prompt("System: Be brief.\\nUser: Hi\\nAssistant:")
        [SystemMessage(content='Be brief.', additional_kwargs={}, response_metadata={}), \
HumanMessage(content='Hi', additional_kwargs={}, response_metadata={})]
    """
    heads = _heads(query)
    head = next(heads, None)
    if head is None or head.start != 0:
        return [HumanMessage(unquote(query))]
    messages: list[BaseMessage] = []
    calls = _CallReader()
    while head is not None:
        following = next(heads, None)
        body = query[head.end : following.start - 1 if following else len(query)]
        written = query[head.start : head.end]
        if following is None and written == "Assistant:" and not body.strip():
            break
        if len(messages) == MAX_TURNS:
            raise DarkAIInvalidRequestError(
                f"The prompt has more than {MAX_TURNS:,} turns. Leave out the oldest ones, or sum them up.", status=400
            )
        if not written.endswith(" "):
            body = body.removeprefix("\n")  # other clients put the text on the line below the label
        messages.append(_message(head, body, calls))
        head = following
    return messages


def _heads(query: str) -> Iterator[_Head]:
    """Yield the heads of a prompt as they are written by `format_prompt`, or by clients that write no attributes."""
    for label in _patterns().label.finditer(query):
        if not label[0].endswith("("):
            yield _Head(label[1], {}, label.start(), label.end())
            continue
        line_end = query.find("\n", label.end())
        # The line alone, since an error of the JSON decoder counts the lines of the whole text that it is given.
        line = query[label.end() : line_end if line_end >= 0 else len(query)]
        try:
            attributes, length = _attributes(line)
        except ValueError:
            continue
        yield _Head(label[1], attributes, label.start(), label.end() + length)


def _attributes(line: str) -> tuple[dict[str, Any], int]:
    """Return the attributes at the start of a line, and the length of the rest of the head that begins with them.

    Raises ValueError for what `format_prompt` cannot have written. The JSON decoder reads the values: for a long one, a
    regular expression takes hundreds of times its memory.
    """
    attributes: dict[str, Any] = {}
    place = 0
    while name := _patterns().name.match(line, place):
        value, place = (_list if line.startswith("[", name.end()) else _text)(line, name.end())
        if name[1] in _ATTRIBUTES:
            attributes[name[1]] = value
        if end := _patterns().end.match(line, place):
            if _patterns().line_end.search(line, 0, place):
                break
            return attributes, end.end()
        place = _after(", ", line, place)
    raise ValueError("This is not the head of a turn.")


def _after(expected: str, line: str, place: int) -> int:
    """Return the place behind an expected text. Raises ValueError if it is not there."""
    if not line.startswith(expected, place):
        raise ValueError(f"There is no {expected!r}.")
    return place + len(expected)


def _text(line: str, place: int) -> tuple[str, int]:
    """Return the JSON string at a place of a line, and the place behind it. Raises ValueError if there is none."""
    _after('"', line, place)
    text: tuple[str, int] = _JSON.raw_decode(line, place)
    return text


def _list(line: str, place: int) -> tuple[list[str | None], int]:
    """Return the JSON list of strings and nulls at a place of a line, and the place behind it. Raises as `_text`."""
    values: list[str | None] = []
    place = _after("[", line, place)
    while not line.startswith("]", place):
        place = _after(", ", line, place) if values else place
        value, place = (None, place + 4) if line.startswith("null", place) else _text(line, place)
        values.append(value)
    return values, place + 1


def _message(head: _Head, body: str, calls: "_CallReader") -> BaseMessage:
    name = _string(head.attributes.get("name"))
    if head.label == "System":
        return SystemMessage(unquote(body), name=name)
    if head.label == "User":
        return HumanMessage(unquote(body), name=name)
    if head.label == "Assistant":
        return _assistant_message(head, name, *calls.split(body))
    return ToolMessage(
        unquote(body),
        tool_call_id=_string(head.attributes.get("id")) or "",
        name=name,
        status="error" if head.attributes.get("status") == "error" else "success",
    )


def _assistant_message(head: _Head, name: str | None, text: str, calls: list[dict[str, Any]]) -> AIMessage:
    ids = head.attributes.get("calls")
    ids = ids if isinstance(ids, list) else []
    message = AIMessage(unquote(text, by_assistant=True), name=name)
    for place, call in enumerate(calls):
        call_id = ids[place] if place < len(ids) else None
        if isinstance(call["arguments"], dict) and isinstance(call["name"], str):
            message.tool_calls.append(tool_call(name=call["name"], args=call["arguments"], id=call_id))
        else:
            message.invalid_tool_calls.append(
                invalid_tool_call(name=_string(call["name"]), args=_string(call["arguments"]), id=call_id, error=None)
            )
    return message


class _CallReader:
    """Reads the calls of one prompt."""

    def __init__(self) -> None:
        self._left = MAX_CALL_STRUCTURE

    def split(self, body: str) -> tuple[str, list[dict[str, Any]]]:
        """Return the text of an assistant's turn, and the calls after it.

        Lines of the text are quoted if they look like a call, so the first line that opens a call begins the calls. If
        they are not what `format_prompt` writes, another client wrote the turn, and all of it is text.
        """
        opening = f"{CALL_START}\n"
        text_end = 0 if body.startswith(opening) else body.find(f"\n{opening}")
        if text_end < 0:
            return body, []
        calls = []
        place = body.index(CALL_START, text_end)
        while block := _patterns().call.match(body, place):
            call = self._call(block[1])
            if call is None:
                break
            calls.append(call)
            if not block[2]:
                return body[:text_end], calls
            place = block.end()
        return body, []

    def _call(self, text: str) -> dict[str, Any] | None:
        """Return the members of a call, or None where `format_prompt` cannot have written it."""
        self._left -= structure_of(text, self._left)
        if self._left < 0:
            raise DarkAIInvalidRequestError(
                f"The calls in the prompt have more than {MAX_CALL_STRUCTURE:,} characters outside of strings. Leave "
                "out the oldest ones.",
                status=400,
            )
        try:
            call = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return call if isinstance(call, dict) and call.keys() == {"name", "arguments"} else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


@functools.cache
def _patterns() -> _Patterns:
    """Return the patterns, compiled for the first prompt, so that the import stays fast."""
    return _Patterns(
        label=re.compile(r"^(System|User|Assistant|Tool)(?::(?: |$)| \()", re.MULTILINE),
        name=re.compile("([a-z]+)="),
        end=re.compile(r"\):(?: |\Z)"),
        line_end=re.compile(f"[{BREAKS}]"),
        call=re.compile(rf"{CALL_START}\n([^\n]*)\n{CALL_END}(\n|\Z)"),
    )
