"""Finding the answer in a reply: the first whole JSON value that is valid, anywhere outside thoughts."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from langchain_darkai._json.reader import LenientJsonReader
from langchain_darkai._json.schema import SchemaNode, dump
from langchain_darkai._tool_calls.cursor import Marks, marks_of
from langchain_darkai._tool_calls.formats import BARE_THOUGHT, HARMONY_THOUGHT, OPENED_THOUGHT, THOUGHTS, Thought
from langchain_darkai._tool_calls.markup import begins_line_after
from langchain_darkai._tool_calls.thoughts import BARE_THOUGHT_BEGINS, may_close, thought_of

MAX_CANDIDATES = 64
"""Brackets in one reply at which an answer is looked for. After so many, a reply has no answer."""

MAX_VAIN = 16 * 1024
"""Characters after brackets in prose that are read as JSON in vain, and once more as prose; such a bracket mostly shows
what it is within a few. After so many, a reply has no answer."""

MAX_FREE_PARTIAL = 2_000
"""Characters up to which a partial answer is read again for each piece of the reply."""

PARTIAL_GROWTH = 32
"""Beyond that, it is read again when it has grown by one part in so many: at 10,000 characters for every 250. Each time
all of it is read, so that to do so for each piece would cost the square of the length."""

MAX_JUDGED_AT_ONCE = 4096
"""Characters of an answer that is judged at once, in a few milliseconds; most answers are shorter. What a longer one
takes depends on its schema: an event loop lets it be judged in a thread."""

_ANALYSIS = "<|channel|>analysis<|message|>"
_THOUGHT_CLOSES = frozenset(mark.lower() for mark in OPENED_THOUGHT.closes)
_MARKS = Marks(["{", "[", _ANALYSIS, *OPENED_THOUGHT.closes, *(mark for thought in THOUGHTS for mark in thought.opens)])


class InvalidAnswer(ValueError):
    """A reply without a valid answer. The message says what is wrong, for the model and for people."""


class Judgement:
    """A long JSON value that is to be judged: a call does so, from any thread, and changes nothing else.

    `accepted` is then whether it is valid, `value` the JSON value, `result` its result, and `fault` what is wrong.
    Where nobody calls it, the value is not accepted.
    """

    def __init__(self, accept: Callable[[Any], Any], written: str) -> None:
        self._accept = accept
        self._written = written
        self.accepted = False
        self.fault: str | None = None
        self.value: Any = None
        self.result: Any = None

    def __call__(self) -> None:
        self.value = json.loads(self._written)
        try:
            self.result = self._accept(self.value)
            self.accepted = True
        except InvalidAnswer as error:
            self.fault = str(error)


class AnswerScanner:
    """Looks for the answer in a reply that may come in pieces.

    `accept` returns the result of a JSON value, or raises InvalidAnswer. `node` is the schema that decides types; None
    keeps them as they are written. With `is_wrapped`, the answer is the member "value" of an object.

    What stands before a mark that closes a thought which nothing has opened is that thought. If `is_shown`, an
    answer that is found stays the answer, since it is shown at once.

    The scanner goes on after a value that is not valid, and after a bracket in prose. It does not look inside a value
    that is broken or does not end, since a part of an answer must not be taken for the answer.

    With `first_names`, an object that begins with one of these members, or with any if there are none, is the answer.
    It stays so if it turns out not to be valid, which lets it be shown while it comes: `drain` returns what is new.

    Example:
        >>> scanner = AnswerScanner(lambda value: value, None, is_wrapped=False)
        >>> scanner.feed('Sure: {"name": "Al')
        >>> scanner.partial()
        {'name': 'Al'}
        >>> scanner.feed('ice"} I hope that helps.')
        >>> scanner.finish()
        ('{"name": "Alice"}', {'name': 'Alice'})
    """

    def __init__(
        self,
        accept: Callable[[Any], Any],
        node: SchemaNode | None,
        *,
        is_wrapped: bool,
        first_names: frozenset[str] | None = None,
    ) -> None:
        self._accept = accept
        self._node = node
        self._is_wrapped = is_wrapped
        self._first_names = first_names
        self._has_begun = False
        self._tail = ""  # the text's end, in which a mark may have begun
        self._last = ""  # the letter before that
        self._begins_line = True  # whether the text that comes next does, or what follows a thought
        self._may_be_in_thought = True  # no mark of thoughts came: what came may be one that the prompt has opened
        self.is_shown = False
        self._drained = 0  # characters
        self._begin()

    def _begin(self) -> None:
        """Begin to look for the answer."""
        self._answer: tuple[str, Any] | None = None
        self._fault: str | None = None  # the first one
        self._is_over = False
        self._thought: Thought | None = None  # the one that the text is in
        self._candidates = 0
        self._vain = 0  # characters that were read as JSON, and are prose
        self._whole: str | None = None  # a value that is to be judged now
        self._in_candidate = False  # a candidate is a JSON value that may be the answer
        self._after_fault: list[str] = []  # text from the fault on, if the answer is broken
        # Of the candidate that is read, or was read last:
        self._reader: LenientJsonReader | None = None
        self._text: list[str] = []
        self._written: list[str] = []  # as JSON
        self._size = 0  # of that, in characters
        self._next_partial = 0  # the size at which it is read again
        self._partial: Any = None
        self._drained_pieces = 0  # of that
        self._is_taken: bool | None = None  # for the answer, by its first member; None until that has come

    def feed(self, text: str) -> None:
        """Read a piece of the reply."""
        for judge in self.steps(text):
            judge()

    def steps(self, text: str) -> Iterator[Judgement]:
        """Read a piece of the reply, in steps: yield each long value, to be judged before the next step."""
        if self._after_fault:
            self._after_fault.append(text)
        while text and not (self._is_over and not self._may_begin_anew):
            text = self._read_candidate(text) if self._in_candidate else self._find_candidate(text)
            if self._whole is not None:
                yield from self._judged(self._whole)

    def finish(self) -> tuple[str, Any]:
        """Return the answer: its JSON, and its result. Raises InvalidAnswer where the reply has none."""
        if self._answer is not None:
            return self._answer
        if self._in_candidate:
            self._add_fault("the JSON ends too early")
        raise InvalidAnswer("there is no JSON value" if self._fault is None else self._fault)

    def partial(self) -> Any:
        """Return the answer as far as it has come, but for the last part of it; None where it has not begun."""
        if self._reader is not None and self._size >= self._next_partial:
            self._next_partial = self._size + 1 + max(0, self._size - MAX_FREE_PARTIAL) // PARTIAL_GROWTH
            is_object = self._written[0].startswith("{")
            value = json.loads("".join((*self._written, self._reader.completion()))) if is_object else None
            self._partial = value.get("value") if self._is_wrapped and value is not None else value
        return self._partial

    @property
    def is_found(self) -> bool:
        """Whether the answer has begun, for certain: no other value in the reply can be it."""
        return self._answer is not None or bool(self._is_taken)

    def drain(self) -> str:
        """Return what can be shown of the answer's JSON since the last time: all but the end of one not yet judged."""
        if self._answer is not None:
            new = self._answer[0][self._drained :]
        elif self._is_taken and self._in_candidate:
            new, self._drained_pieces = "".join(self._written[self._drained_pieces :]), len(self._written)
        else:
            new = ""
        self._drained += len(new)
        return new

    def rest(self) -> str:
        """Return what the reply's end adds to what was drained. If the answer is broken, that is its text as it is."""
        if self._answer is not None:
            return self._answer[0][self._drained :]
        if self._reader is None:
            return ""
        end = [] if self._reader.done else self._after_fault or self._reader.unwritten
        return "".join((*self._written[self._drained_pieces :], *end))

    def _begins(self, start: str) -> bool:
        """Tell whether the reply begins with a thought without its mark; return False while that is uncertain."""
        if any(word.startswith(start[: len(word) + 1]) for word in ("analysis", "assistantanalysis")):
            self._tail = start
            return False
        self._has_begun = True
        self._thought = BARE_THOUGHT if BARE_THOUGHT_BEGINS.match(start) else self._thought
        return True

    def _find_candidate(self, text: str) -> str:
        """Read up to the next bracket outside thoughts; return the text from there on."""
        text, self._tail = self._tail + text, ""
        position = 0
        if not self._has_begun and not self._begins(text.lstrip()):
            return ""
        while True:
            marks = self._marks()
            mark = marks.search(text, position)
            begins = marks.begins_at(text, position) if mark is None or mark[0] == "[" else len(text)
            before = text[position : begins if mark is None else min(begins, mark.start())]
            self._begins_line = begins_line_after(before, self._begins_line)
            if mark is None or begins <= mark.start():
                self._tail, self._last = text[begins:], text[begins - 1 : begins] or self._last
                return ""
            if mark[0] in ("{", "["):
                break
            position = mark.end()
            self._read_mark(mark[0], text[mark.start() - 1 : mark.start()] or self._last)
        if self._candidates == MAX_CANDIDATES or self._vain > MAX_VAIN:
            self._is_over = True
            return text[mark.end() :]
        self._candidates += 1
        self._in_candidate, self._begins_line, self._last = True, False, mark[0]
        self._reader = LenientJsonReader(self._node)
        self._text, self._written, self._drained_pieces, self._is_taken = [], [], 0, None
        self._size = self._next_partial = 0
        return text[mark.start() :]

    @property
    def _may_begin_anew(self) -> bool:
        return self._may_be_in_thought and not (self.is_shown and self.is_found)

    def _marks(self) -> Marks:
        if self._thought or self._is_over:
            return marks_of(*(self._thought or OPENED_THOUGHT).closes)
        return _MARKS

    def _read_mark(self, mark: str, before: str) -> None:
        """Read a mark that opens or closes a thought; `before` is the letter before it."""
        if self._thought:
            self._thought, self._begins_line = None, True
        elif mark.lower() in _THOUGHT_CLOSES:
            if not (self._may_begin_anew and may_close(before)):
                return
            self._begin()
            self._begins_line = True
        elif self._begins_line or mark.lower() == _ANALYSIS:
            self._thought = thought_of(mark) or HARMONY_THOUGHT
        self._may_be_in_thought = False

    def _read_candidate(self, text: str) -> str:
        """Read more of the candidate; return the text after it, or after its bracket if that is only prose."""
        reader = self._reader
        assert reader is not None
        self._text.append(text)
        if written := reader.feed(text):
            self._written.append(written)
            self._size += len(written)
            if self._is_taken is None and self._first_names is not None:
                self._is_taken = self._begins_with(self._first_names)
        if reader.done:
            self._in_candidate, self._whole = False, "".join(self._written)
            return reader.rest
        if reader.failure is None:
            return ""
        self._in_candidate = False
        self._add_fault(reader.failure)
        if self._size > 1:
            self._is_over = True
            self._after_fault = reader.unwritten if self._is_taken else []
            return reader.rest
        text = "".join(self._text)
        self._vain += len(text) - len(reader.rest)
        return text[1:]

    def _begins_with(self, names: frozenset[str]) -> bool | None:
        """Return whether the candidate is an object and its first member is one of these; None if it has not come."""
        beginning = "".join(self._written)
        if len(beginning) < 2:
            return None
        # A name is written together with the beginning of its value.
        return beginning.startswith('{"') and (not names or json.JSONDecoder().raw_decode(beginning, 1)[0] in names)

    def _judged(self, written: str) -> Iterator[Judgement]:
        """Keep a whole value as the answer if it is valid."""
        self._whole, self._next_partial = None, 0
        judgement = Judgement(self._accept, written)
        self._is_over = True  # if nobody goes on after the judgement
        if len(written) > MAX_JUDGED_AT_ONCE:
            yield judgement
        else:
            judgement()
        if judgement.accepted:
            value = judgement.value
            shown = dump(value["value"]) if self._is_wrapped and is_wrapper(value) else written
            self._answer = shown, judgement.result
        else:
            self._add_fault(judgement.fault or "it was not judged")
            self._is_over = bool(self._is_taken)

    def _add_fault(self, fault: str) -> None:
        if self._fault is None or self._is_taken:
            self._fault = fault


def is_wrapper(value: Any) -> bool:
    """Return whether a value is the object around an answer: one with the member "value" only."""
    return isinstance(value, dict) and value.keys() == {"value"}
