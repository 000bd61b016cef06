"""The engine that reads calls by the table of formats: one generator for each family of formats.

A reader begins after the mark. It returns the calls up to what closes them, or `Inner` where another row's mark
follows. It raises NotReadError for text, and BrokenCallError for a call that cannot be read.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_darkai._json.reader import MAX_WHOLE
from langchain_darkai._json.schema import dump
from langchain_darkai._json.values import read_value
from langchain_darkai._tool_calls.cursor import (
    MAX_HEAD,
    BrokenCallError,
    Cursor,
    Marks,
    NotReadError,
    T,
    TruncatedCallError,
    Wait,
    marks_of,
)
from langchain_darkai._tool_calls.formats import BARE, BARE_THOUGHT, FORMATS, LAYOUT, START_MARKS, Format, prefixed
from langchain_darkai._tool_calls.markup import MADE_UP_LINE, without_fence
from langchain_darkai._tool_calls.syntaxes import (
    RawToolCall,
    call_of,
    calls_of_value,
    clean_name,
    keyed_calls,
    read_python,
)
from langchain_darkai._tool_calls.tag_reader import BLANK, TagReader
from langchain_darkai._tool_calls.tools import Tool

_BETWEEN = re.compile(r"[\s;,]+")
_TICKS = re.compile(r"[`~]+")
_LANGUAGE = re.compile(r"[\w+-]*[ \t]*")
_NAME = re.compile(r"[\w.:/-]+")
_HEADER = re.compile(r"[^{<\n]+")
_RECIPIENT = re.compile(r"\bto=(?:functions\.)?([\w./:-]+)")

MAX_MADE_UP = 24
"""Characters of a line within which it shows whether the model has made it up."""

AT_START = Marks(START_MARKS)

_ALL = Marks([mark for row in FORMATS if not row.at_start for mark in row.marks])
_AFTER_BARE = Marks([*START_MARKS, *BARE_THOUGHT.closes])
_MESSAGE = Marks(["<|message|>"])
_MISTRAL_ARGUMENTS = Marks(["[ARGS]"])
_MISTRAL_ID = Marks(["[CALL_ID]"])
_TOOL_SEPARATOR = Marks(["<tool_sep>", "<tool_sep:opensource>"])
_GEMMA_QUOTES = ('<|"|>', "<escape>")


class Inner(NamedTuple):
    """What a reader returns where a mark of another row follows: the calls of that row are read by its own reader."""

    mark: str


class HeaderError(Exception):
    """A header of harmony is that of a thought, or of the answer."""

    def __init__(self, *, is_thought: bool) -> None:
        super().__init__()
        self.is_thought = is_thought


class FormatReader(TagReader):
    """Reads calls after a mark of a row. `exact` is for marks that are not ours: only bound tools count after them."""

    allows_python = False
    """Whether Python counts without a mark."""

    def read(self, mark: str) -> Wait[list[RawToolCall] | Inner]:
        """Read the calls after a mark."""
        if self.row.family == "named":
            return (yield from self._named())
        if self.row.family == "tags":
            return (yield from self.read_tags())
        if self.row.family == "tree":
            return (yield from self.read_tree())
        if self.row.family == "message":
            return (yield from self._message(mark))
        return (yield from self._body())

    def _body(self) -> Wait[list[RawToolCall] | Inner]:
        calls: list[RawToolCall] = []
        while True:
            between = yield from self.cursor.run(_BETWEEN)
            if calls and (yield from self.cursor.take(marks_of(*self.row.closes, *LAYOUT))):
                return calls
            mark = yield from self.cursor.at(_ALL)
            if not mark and self.row.inner:
                mark = yield from self.cursor.at(marks_of(self.row.inner))
            if not mark and calls and self.row.at_start:
                mark = yield from self.cursor.at(AT_START)
            if mark:
                return calls or Inner(mark)
            letter = yield from self.cursor.peek()
            if not letter:
                return self._end(calls)
            if letter in "`~":
                yield from self._fence_line()
                continue
            if calls and "\n" in between and MADE_UP_LINE.match((yield from self.cursor.line(MAX_MADE_UP))):
                return calls
            if calls and not self.exact and letter not in "{[":
                return calls  # the closing tag is missing
            found = yield from self._values(letter)
            if not found:
                raise NotReadError
            calls += found

    def _end(self, calls: list[RawToolCall]) -> list[RawToolCall]:
        if calls:
            return calls
        raise NotReadError if self.exact else TruncatedCallError

    def _values(self, letter: str) -> Wait[list[RawToolCall] | None]:
        """Read what may be calls; return None for what is none."""
        if letter == "[":
            second = yield from self.cursor.peek_second()
            if second.isalpha() or second == "_":
                return self._python((yield from self.cursor.brackets()))
        if letter in "{[":
            value = yield from self.cursor.json()
            found = calls_of_value(value, self.tools, exact=self.exact)
            if not found and self.row.marks:
                found = keyed_calls(value, self.tools)
            if not found and not self.exact:
                raise BrokenCallError("it is not an object with a name and arguments")
            return found
        if _NAME.match(letter):
            return (yield from self._name_first())
        return None

    def _name_first(self) -> Wait[list[RawToolCall] | None]:
        written = yield from self.cursor.run(_NAME, MAX_HEAD)
        self.name = name = self._tool_name(written)
        if written.startswith("call:") and (yield from self.cursor.peek()) == "(":
            return self._python(name + (yield from self.cursor.brackets()))
        if written.startswith("call:"):
            return (yield from self._gemma(name))
        if name not in self.tools and not any(part in self.tools for part in written.split(".")):
            return None
        yield from self.cursor.run(BLANK)
        if (yield from self.cursor.peek()) == "(" and (self.row.marks or self.allows_python):
            return self._python(written + (yield from self.cursor.brackets()))
        if name not in self.tools:
            return None
        return (yield from self._arguments(name))

    def _tool_name(self, written: str) -> str:
        """Return the name of the tool in a name as it is written, with a prefix or a number."""
        if written in self.tools:
            return written
        name = clean_name(written.removeprefix("call:"))
        # DeepSeek V3, its marks taken out, writes the kind of the call right before the name.
        is_marked = name not in self.tools and name.removeprefix("function") in self.tools
        return name.removeprefix("function") if is_marked else name

    def _arguments(self, name: str) -> Wait[list[RawToolCall] | None]:
        """Read the arguments after a name: JSON, or tagged pairs."""
        if (yield from self.cursor.take(_MISTRAL_ID)):
            yield from self.cursor.head(_MISTRAL_ARGUMENTS)
        else:
            yield from self.cursor.take(_MISTRAL_ARGUMENTS)
        yield from self.cursor.take(_TOOL_SEPARATOR)
        yield from self._fence()
        letter = yield from self.cursor.peek()
        if letter == "{":
            call = call_of(name, (yield from self.cursor.json()), self.tools.get(name), exact=self.exact)
            return [call] if call else None
        pairs = self.row.pairs
        if pairs is None or letter != "<" or not (yield from self.cursor.at(marks_of(pairs.key, *self.row.closes))):
            return None
        call = yield from self.read_pairs(name, pairs)
        return [call] if call.arguments or not self.tools[name].parameters.get("required") else None

    def _gemma(self, name: str) -> Wait[list[RawToolCall] | None]:
        """Read arguments as Gemma writes them: `{city:<|"|>Paris<|"|>}`."""
        if name not in self.tools or (yield from self.cursor.peek()) != "{":
            return None
        pieces: list[str] = []
        depth = 0
        brackets = marks_of("{", "}", "[", "]", *_GEMMA_QUOTES)
        while True:
            text, mark = yield from self.cursor.until(brackets)
            if not mark:
                raise TruncatedCallError
            pieces.append(text)
            if mark in "{[]}":
                depth += 1 if mark in "{[" else -1
                pieces.append(mark)
            else:
                inner, end = yield from self.cursor.until(marks_of(mark))
                if not end:
                    raise TruncatedCallError
                pieces.append(dump(inner))
            if not depth:
                break
        read = gemma_arguments("".join(pieces))
        if read is None:
            self.fail("the arguments cannot be read")
        call = call_of(name, read, self.tools.get(name), exact=False)
        return [call] if call else None

    def _python(self, text: str) -> list[RawToolCall] | None:
        return read_python(text, self.tools)

    def _named(self) -> Wait[list[RawToolCall] | Inner]:
        yield from self.cursor.run(BLANK)
        if mark := (yield from self.cursor.at(_ALL)):
            return Inner(mark)
        head, separator = yield from self.cursor.head(marks_of(self.row.separator))
        name = self._tool_name(head.rpartition("|>")[2].strip())
        if name == "function" and name not in self.tools:  # DeepSeek V3 writes the kind of the call first
            yield from self.cursor.run(BLANK)
            if mark := (yield from self.cursor.at(_ALL)):
                return Inner(mark)
            head, separator = yield from self.cursor.head(marks_of("\n"))
            name = head.strip()
        if not separator or not name or BLANK.search(name):
            raise NotReadError
        if self.row.at_start and name not in self.tools:
            raise NotReadError
        return (yield from self._one(name))

    def _one(self, name: str) -> Wait[list[RawToolCall]]:
        """Read the arguments of one call as JSON, a fence around them, and what closes it."""
        self.name = name
        yield from self._fence()
        if (yield from self.cursor.peek()) != "{":
            raise NotReadError
        value = yield from self.cursor.json()
        yield from self._fence()
        closed = yield from self.cursor.take(marks_of(*self.row.closes, *LAYOUT))
        if not closed and (yield from self._text_follows()):
            raise NotReadError
        call = call_of(name, value, self.tools.get(name), exact=self.exact) if self.is_known(name) else None
        if call is None:
            raise NotReadError
        return [call]

    def _text_follows(self) -> Wait[bool]:
        """Return whether text follows that is no next call."""
        if not (yield from self.cursor.peek()) or (yield from self.cursor.at(_ALL)):
            return False
        return not (self.row.at_start and (yield from self.cursor.at(_AFTER_BARE)))

    def _fence(self) -> Wait[None]:
        yield from self.cursor.run(BLANK)
        if (yield from self.cursor.peek()) in ("`", "~"):
            yield from self._fence_line()
            yield from self.cursor.run(BLANK)

    def _fence_line(self) -> Wait[None]:
        yield from self.cursor.run(_TICKS, MAX_HEAD)
        yield from self.cursor.run(_LANGUAGE, MAX_HEAD)

    def _message(self, mark: str) -> Wait[list[RawToolCall]]:
        head = yield from self.cursor.run(_HEADER, MAX_HEAD)
        is_whole = False
        while (yield from self.cursor.peek()) == "<":
            is_whole = bool((yield from self.cursor.take(_MESSAGE)))
            if is_whole:
                break
            if not (yield from self.cursor.at(marks_of("<|channel|>", "<|constrain|>"))):
                raise NotReadError
            _, found = yield from self.cursor.head(marks_of("<|channel|>", "<|constrain|>"))
            head += found + (yield from self.cursor.run(_HEADER, MAX_HEAD))
        recipient = _RECIPIENT.search("".join(mark.rpartition("to=")[1:]) + head if "to=" in mark else head)
        name = recipient[1] if recipient else ""
        if name not in self.tools and name.endswith("json"):
            name = name.removesuffix("json")
        if not name and is_whole:
            raise HeaderError(is_thought="analysis" in head)
        if not name:
            raise NotReadError
        return (yield from self._one(name))


def gemma_arguments(text: str) -> Any:
    """Return the arguments that Gemma wrote; its marks around strings may be missing."""
    read = read_value(text)
    if read is None:
        members = re.findall(r"([\w-]+)\s*:\s*([^,{}\[\]:]*)(?:,|\Z)", text.strip()[1:-1])
        written = ",".join(f"{name}:{value}" for name, value in members)
        return dict(members) if members and written == text.strip()[1:-1] else None
    return read[0]


_ROWS = {mark.lower(): row for row in FORMATS for mark in row.marks}


def row_of(mark: str) -> Format:
    """Return the row of a mark as it stands in a text."""
    return _ROWS.get(mark.lower()) or prefixed(mark)


def read_calls(text: str, tools: Mapping[str, Tool], *, exact: bool) -> list[RawToolCall] | None:
    """Return the calls that a text consists of; None for a text of anything else.

    `exact` is for a text without our tag around it, which may be ordinary text. It must be unmistakably a call: of a
    tool that is bound, with arguments, and with no members that calls do not have. A text that is longer than MAX_WHOLE
    is not read.

    Example:
        >>> read_calls('{"name": "now", "arguments": {}}', {}, exact=False)
        [RawToolCall(name='now', arguments={}, reason=None, raw=None)]
    """
    if len(text) > MAX_WHOLE:
        return None
    cursor = Cursor()
    cursor.add(without_fence(text))
    cursor.is_over = True
    calls: list[RawToolCall] = []
    mark = ""
    try:
        while cursor.rest.strip():
            reader = FormatReader(cursor, row_of(mark) if mark else BARE, tools, exact=exact)
            reader.allows_python = True
            found = _run(reader.read(mark))
            if isinstance(found, Inner):
                if mark and found.mark == mark:
                    return None
                mark = found.mark
                _run(cursor.take(marks_of(mark)))
                continue
            mark = ""
            calls += found
            while _run(cursor.take(CLOSERS)) or _run(cursor.run(_BETWEEN)):
                pass
    except (NotReadError, BrokenCallError, HeaderError):
        return None
    return calls or None


CLOSERS = Marks([*LAYOUT, *(close for row in FORMATS for close in row.closes)])
"""What may follow a call and is layout: it closes the call, or something around it."""


def _run(reading: Wait[T]) -> T:
    """Return what a generator returns that has nothing to wait for."""
    try:
        while True:
            next(reading)
    except StopIteration as stop:
        result: T = stop.value
        return result
