"""Reading text that comes in pieces: marks that are looked for, and a cursor that waits for more text.

A reader is a generator. It yields where it needs more text, and goes on when there is more, or when there will be none.
So it is written as if the whole text were there.
"""

import json
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from langchain_darkai._json.reader import MAX_WHOLE, LenientJsonReader
from langchain_darkai._tool_calls.markup import IGNORE_CASE, beginnings

T = TypeVar("T")
Wait = Generator[None, None, T]

MAX_HEAD = 512
"""Characters within which the head of a call must end: its name, with what stands around it."""

MAX_BLANK = 64
"""Blank characters after a bracket that are looked past to tell Python from JSON."""

_TOLD_APART = 4
"""Letters that tell a mark from nearly all other text that begins with the first one, such as tags of HTML."""

_SECOND = re.compile(rf".\s{{0,{MAX_BLANK}}}", re.DOTALL)
_PLAIN_PYTHON = re.compile(r"[^'\"()\[\]{}\\#]+")
_IN_STRING = {quote: re.compile(rf"[^{quote}\\\n]+") for quote in "'\""}


class NotReadError(Exception):
    """What looked like a call is text."""


class BrokenCallError(Exception):
    """A call has begun that cannot be read. The message says why."""


class TruncatedCallError(BrokenCallError):
    """A call has begun, and the reply ended in it."""


class Marks:
    """Texts that are looked for together, with no regard to the case of ASCII letters.

    Example:
        >>> marks = Marks(["<a>", "<ab>"])
        >>> marks.search("x <AB> y")[0], marks.begins_at("x <a"), marks.begins_at("x a")
        ('<AB>', 2, 3)
    """

    def __init__(self, marks: Sequence[str]) -> None:
        self.longest = max(map(len, marks), default=0)
        self._pattern = re.compile(_pattern_of({mark.lower() for mark in marks}) if marks else "(?!)", IGNORE_CASE)
        self._first = re.compile(f"[{''.join(sorted({re.escape(mark[0]) for mark in marks}))}]" if marks else "(?!)")
        self.starts = "|".join(_starts(mark.lower() for mark in marks)) or "(?!)"
        """A pattern of a mark's first letter, where the next ones may be of a mark, too, or have not come."""
        self._beginnings = frozenset(mark[:length].lower() for mark in marks for length in range(1, len(mark)))

    def match(self, text: str, position: int = 0) -> re.Match[str] | None:
        """Return the mark at a position."""
        return self._pattern.match(text, position)

    def search(self, text: str, position: int = 0) -> re.Match[str] | None:
        """Return the first mark from a position on."""
        # To look for one letter of a few, and there for a mark, is faster than to look for any of many marks.
        for first in self._first.finditer(text, position):
            if mark := self._pattern.match(text, first.start()):
                return mark
        return None

    def may_begin(self, text: str, position: int = 0) -> bool:
        """Return whether a text ends, after a position, with the beginning of a mark and nothing more."""
        return len(text) - position < self.longest and text[position:].lower() in self._beginnings

    def begins_at(self, text: str, position: int = 0) -> int:
        """Return where the beginning of a mark stands at the text's end; the text's length if there is none."""
        for first in self._first.finditer(text, max(position, len(text) - self.longest + 1)):
            if self.may_begin(text, first.start()):
                return first.start()
        return len(text)


def _starts(marks: Iterable[str]) -> Iterator[str]:
    following: dict[str, set[str]] = {}
    for mark in marks:
        following.setdefault(mark[0], set()).add(mark[1:_TOLD_APART])
    for first, nexts in sorted(following.items()):
        yield f"{re.escape(first)}(?={_pattern_of(nexts)}|(?:{beginnings(*nexts)})?\\Z)"


def _pattern_of(marks: set[str]) -> str:
    """Return a pattern of any of these marks, the longest first; it tells by each letter which of them are left."""
    rests: dict[str, set[str]] = {}
    for mark in marks - {""}:
        rests.setdefault(mark[0], set()).add(mark[1:])
    branches = "|".join(re.escape(letter) + _pattern_of(rest) for letter, rest in sorted(rests.items()))
    return branches and (f"(?:{branches})?" if "" in marks else f"(?:{branches})" if len(rests) > 1 else branches)


@lru_cache(maxsize=512)  # more than the table needs; prefixes that models make up must not fill the memory
def marks_of(*marks: str) -> Marks:
    """Return marks that are made once, where they are known only when they are looked for."""
    return Marks(marks)


class Cursor:
    """A place in text that comes in pieces. `add` adds text; the other methods wait for it."""

    def __init__(self) -> None:
        self.is_over = False
        self._text = ""
        self._position = 0

    def add(self, text: str) -> None:
        """Add text, which has come."""
        self._text = self._text[self._position :] + text
        self._position = 0

    @property
    def rest(self) -> str:
        """The text that was not read."""
        return self._text[self._position :]

    def peek(self) -> Wait[str]:
        """Return the next letter, "" at the end."""
        while self._position == len(self._text) and not self.is_over:
            yield
        return self._text[self._position : self._position + 1]

    def peek_second(self) -> Wait[str]:
        """Return the letter that follows the next one and blanks; "" where there is none near."""
        while True:
            found = _SECOND.match(self._text, self._position)
            end = found.end() if found else self._position
            is_far = end - self._position > MAX_BLANK
            if end < len(self._text) or is_far or self.is_over:
                return "" if is_far else self._text[end : end + 1]
            yield

    def line(self, length: int) -> Wait[str]:
        """Return as much of the line that follows, unread, as fits into so many characters."""
        while len(self._text) - self._position < length and "\n" not in self.rest and not self.is_over:
            yield
        return self._text[self._position : self._position + length]

    def run(self, pattern: re.Pattern[str], limit: int | None = None) -> Wait[str]:
        """Read what a pattern of any number of letters matches. More than the limit is no call."""
        pieces: list[str] = []
        size = 0
        while True:
            found = pattern.match(self._text, self._position)
            end = found.end() if found else self._position
            if limit is not None and size + end - self._position > limit:
                self._position += limit - size
                raise NotReadError
            size += end - self._position
            pieces.append(self._text[self._position : end])
            self._position = end
            if end < len(self._text) or self.is_over:
                return "".join(pieces)
            yield

    def at(self, marks: Marks) -> Wait[str]:
        """Return the mark that follows, "" for none. It is not read."""
        while not self.is_over and (self._position == len(self._text) or marks.may_begin(self._text, self._position)):
            yield
        mark = marks.match(self._text, self._position)
        return mark[0] if mark else ""

    def take(self, marks: Marks) -> Wait[str]:
        """Read the mark that follows; return "" for none."""
        mark = yield from self.at(marks)
        self._position += len(mark)
        return mark

    def head(self, marks: Marks) -> Wait[tuple[str, str]]:
        """Return the text before a mark and the mark, which are read; "" for the end. No mark near is no call."""
        while True:
            start = self._position
            mark = marks.search(self._text, start)
            is_far = (mark.start() if mark else len(self._text) - marks.longest) - start > MAX_HEAD
            if is_far:
                raise NotReadError
            if mark or self.is_over:
                end = mark.start() if mark else len(self._text)
                self._position = mark.end() if mark else end
                return self._text[start:end], mark[0] if mark else ""
            yield

    def until(self, marks: Marks) -> Wait[tuple[str, str]]:
        """Read up to a mark and past it; return both, the mark as "" for the end."""
        pieces: list[str] = []
        while True:
            mark = marks.search(self._text, self._position)
            certain = mark.start() if mark else len(self._text)
            if mark is None and not self.is_over:
                certain = marks.begins_at(self._text, self._position)
            pieces.append(self._text[self._position : certain])
            self._position = certain
            if mark or self.is_over:
                self._position += len(mark[0]) if mark else 0
                return "".join(pieces), mark[0] if mark else ""
            yield

    def json(self) -> Wait[Any]:
        """Read a near-JSON value."""
        reader = LenientJsonReader()
        written: list[str] = []
        size = 0
        while True:
            text, self._text, self._position = self.rest, "", 0
            piece = reader.feed(text)
            size += len(piece)
            if size <= MAX_WHOLE:
                written.append(piece)
            if reader.done or reader.failure is not None:
                self._text = reader.rest
                break
            if self.is_over:
                raise TruncatedCallError
            yield
        if reader.failure is not None:
            raise BrokenCallError(reader.failure)
        if size > MAX_WHOLE:
            raise BrokenCallError("it is too long")
        try:
            return json.loads("".join(written))
        except (ValueError, RecursionError) as error:
            raise BrokenCallError("the JSON cannot be read") from error

    def brackets(self) -> Wait[str]:
        """Read Python from a bracket up to the one that closes it."""
        pieces: list[str] = []
        depth = 0
        while True:
            letter = yield from self.peek()
            if not letter:
                raise TruncatedCallError
            if letter in "'\"":
                pieces.append((yield from self._python_string(letter)))
                continue
            plain = yield from self._some(_PLAIN_PYTHON)
            if not plain:
                plain = letter
                self._position += 1
                depth += (letter in "([{") - (letter in ")]}")
            pieces.append(plain)
            if depth <= 0:
                return "".join(pieces)

    def _some(self, pattern: re.Pattern[str]) -> Wait[str]:
        """Read what there is of a pattern, without waiting for more of it."""
        found = pattern.match(self._text, self._position)
        self._position = found.end() if found else self._position
        return found[0] if found else ""
        yield

    def _python_string(self, quote: str) -> Wait[str]:
        pieces = [quote]
        self._position += 1
        while True:
            letter = yield from self.peek()
            if not letter:
                raise TruncatedCallError
            plain = yield from self._some(_IN_STRING[quote])
            if not plain:
                self._position += 1
                plain = letter
                if letter == "\\":
                    plain += yield from self.peek()
                    self._position += len(plain) - 1
            pieces.append(plain)
            if letter == quote:
                return "".join(pieces)
