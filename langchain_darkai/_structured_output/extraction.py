"""Finding the answer in a reply: the first whole JSON value that is valid, anywhere outside thoughts."""

import json
import re
from collections.abc import Callable
from typing import Any

from langchain_darkai._json.reader import LenientJsonReader
from langchain_darkai._json.schema import SchemaNode, dump
from langchain_darkai._tool_calls.markup import IGNORE_CASE, THOUGHT_END, THOUGHT_STARTS

MAX_CANDIDATES = 64
"""Brackets in one reply at which an answer is looked for. After so many, a reply has no answer."""

_MARK = re.compile(rf"[{{\[]|{'|'.join(THOUGHT_STARTS)}", IGNORE_CASE)
_LONGEST_MARK = max(map(len, THOUGHT_STARTS)) + len("/")


class InvalidAnswer(ValueError):
    """A reply without a valid answer. The message says what is wrong, for the model and for people."""


class AnswerScanner:
    """Looks for the answer in a reply that may come in pieces.

    `accept` returns the result of a JSON value, or raises InvalidAnswer. `node` is the schema that decides types; None
    keeps them as they are written. With `is_wrapped`, the answer is the member "value" of an object.

    The scanner goes on after a value that is not valid, and after a bracket in prose. It does not look inside a value
    that is broken or does not end, since a part of an answer must not be taken for the answer.

    Example:
        >>> scanner = AnswerScanner(lambda value: value, None, is_wrapped=False)
        >>> scanner.feed('Sure: {"name": "Al')
        >>> scanner.partial()
        {'name': 'Al'}
        >>> scanner.feed('ice"} I hope that helps.')
        >>> scanner.finish()
        ('{"name": "Alice"}', {'name': 'Alice'})
    """

    def __init__(self, accept: Callable[[Any], Any], node: SchemaNode | None, *, is_wrapped: bool) -> None:
        self._accept = accept
        self._node = node
        self._is_wrapped = is_wrapped
        self._answer: tuple[str, Any] | None = None
        self._fault: str | None = None  # the first one
        self._is_over = False
        self._in_thought = False
        self._tail = ""  # the text's end, in which a mark may have begun
        self._candidates = 0
        self._in_candidate = False  # a candidate is a JSON value that may be the answer
        # Of the candidate that is read, or was read last:
        self._reader: LenientJsonReader | None = None
        self._text: list[str] = []
        self._written: list[str] = []  # as JSON

    def feed(self, text: str) -> None:
        """Read a piece of the reply."""
        while text and not self._is_over:
            text = self._read_candidate(text) if self._in_candidate else self._find_candidate(text)

    def finish(self) -> tuple[str, Any]:
        """Return the answer: its JSON, and its result. Raises InvalidAnswer where the reply has none."""
        if self._answer is not None:
            return self._answer
        if self._in_candidate:
            self._add_fault("the JSON ends too early")
        raise InvalidAnswer("there is no JSON value" if self._fault is None else self._fault)

    def partial(self) -> Any:
        """Return the answer as far as it has come; None where it has not begun."""
        if self._reader is None:
            return None
        value = json.loads("".join((*self._written, self._reader.completion())))
        if not isinstance(value, dict):
            return None
        return value.get("value") if self._is_wrapped else value

    def _find_candidate(self, text: str) -> str:
        """Read up to the next bracket outside thoughts; return the text from there on."""
        text, self._tail = self._tail + text, ""
        mark = (THOUGHT_END if self._in_thought else _MARK).search(text)
        if mark is None:
            self._tail = text[-_LONGEST_MARK:]
            return ""
        if mark[0] not in ("{", "["):
            self._in_thought = not self._in_thought
            return text[mark.end() :]
        if self._candidates == MAX_CANDIDATES:
            self._is_over = True
            return ""
        self._candidates += 1
        self._in_candidate = True
        self._reader = LenientJsonReader(self._node)
        self._text, self._written = [], []
        return text[mark.start() :]

    def _read_candidate(self, text: str) -> str:
        """Read more of the candidate; return the text after it, or after its bracket if that is only prose."""
        reader = self._reader
        assert reader is not None
        self._text.append(text)
        self._written.append(reader.feed(text))
        if reader.done:
            self._judge("".join(self._written))
            return reader.rest
        if reader.failure is None:
            return ""
        self._in_candidate = False
        self._add_fault(reader.failure)
        if len("".join(self._written)) > 1:
            self._is_over = True
            return ""
        return "".join(self._text)[1:]

    def _judge(self, written: str) -> None:
        """Keep a whole value as the answer if it is valid."""
        self._in_candidate = False
        value = json.loads(written)
        try:
            result = self._accept(value)
        except InvalidAnswer as error:
            self._add_fault(str(error))
            return
        self._is_over = True
        self._answer = (dump(value["value"]) if self._is_wrapped and is_wrapper(value) else written), result

    def _add_fault(self, fault: str) -> None:
        if self._fault is None:
            self._fault = fault


def is_wrapper(value: Any) -> bool:
    """Return whether a value is the object around an answer: one with the member "value" only."""
    return isinstance(value, dict) and value.keys() == {"value"}
