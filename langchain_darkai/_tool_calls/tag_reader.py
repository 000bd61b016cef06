"""Arguments of which each has a tag, or one tag for its name and one for its value."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn

from langchain_darkai._json.reader import MAX_DEPTH
from langchain_darkai._tool_calls.cursor import (
    BrokenCallError,
    Cursor,
    NotReadError,
    TruncatedCallError,
    Wait,
    marks_of,
)
from langchain_darkai._tool_calls.formats import Format, Pairs
from langchain_darkai._tool_calls.syntaxes import RawToolCall, call_of, call_of_texts, call_of_tree
from langchain_darkai._tool_calls.tools import Tool

BLANK = re.compile(r"\s+")
_ATTRIBUTE_NAME = re.compile(r"""\s*=?\s*(?:(?:name|tool|key)\s*=\s*)?["']?([^"'>\s]+)""")
_IS_JSON = re.compile(r"""\bstring\s*=\s*["']false|\btype\s*=\s*["'](?!str)""")


@lru_cache(maxsize=128)  # as `marks_of`: a row may be made of a prefix in the text
def _tags_of(row: Format) -> dict[str, str]:
    """Return the tags that tell where a tagged argument ends, also of calls that it may show, each with its kind."""
    kinds = dict.fromkeys(row.marks, "call") | dict.fromkeys(row.closes, "call's end")
    kinds |= {row.argument: "argument", row.argument_end: "argument's end"}
    return {tag.lower(): kind for tag, kind in kinds.items()}


class _Tag:
    """A tag of a tree, with the text and the tags in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text: list[str] = []
        self.inner: list[_Tag] = []

    def value(self) -> Any:
        """Return a text, an object of tags, or a list where these have one name."""
        if not self.inner:
            return "".join(self.text)
        values: dict[str, list[Any]] = {}
        for tag in self.inner:
            values.setdefault(tag.name, []).append(tag.value())
        if values.keys() == {"item"}:
            return values["item"]
        return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


class TagReader:
    """Reads arguments of which each has a tag. The base of `FormatReader`, so that each can be read in a few screens.

    `exact` is for marks that are not ours: only bound tools count after them.
    """

    def __init__(self, cursor: Cursor, row: Format, tools: Mapping[str, Tool], *, exact: bool) -> None:
        self.cursor = cursor
        self.row = row
        self.tools = tools
        self.exact = exact
        self.name: str | None = None  # the tool's, once it is known
        self.closes = marks_of(*row.closes)
        self._has_open_value = False  # whether the end of an argument was missing so far

    def read_pairs(self, name: str, pairs: Pairs) -> Wait[RawToolCall]:
        """Read arguments of which each has a tag for its name and one for its value, and what closes the call."""
        arguments: dict[str, str] = {}
        while True:
            yield from self.cursor.run(BLANK)
            if not (yield from self.cursor.take(marks_of(pairs.key))):
                break
            key, end = yield from self.cursor.head(marks_of(pairs.key_end))
            if not end:
                raise NotReadError if BLANK.search(key.strip()) and not arguments else TruncatedCallError
            yield from self.cursor.run(BLANK)
            if not (yield from self.cursor.take(marks_of(pairs.value))):
                self.fail(f"the value of {key.strip()} is missing")
            arguments[key.strip()] = yield from self._paired_value(pairs)
        if self.row.closes and not (yield from self.cursor.at(self.closes)):
            self.fail("an argument or the closing tag is missing")
        return call_of_texts(name, arguments, self.tools.get(name), ())

    def _paired_value(self, pairs: Pairs) -> Wait[str]:
        tags = marks_of(pairs.value, pairs.value_end)
        follows = marks_of(pairs.key, *self.row.closes)
        pieces: list[str] = []
        shown = 0  # values that this value shows
        while True:
            text, tag = yield from self.cursor.until(tags)
            pieces.append(text)
            if not tag:
                raise TruncatedCallError
            if tag == pairs.value:
                shown += 1
            elif shown:
                shown -= 1
            else:
                blank = yield from self.cursor.run(BLANK)
                if (yield from self.cursor.at(follows)) or (not self.row.closes and self.cursor.is_over):
                    return "".join(pieces)
                pieces += (tag, blank)
                continue
            pieces.append(tag)

    def _named_tag(self) -> Wait[str]:
        """Read the rest of the tag that has the tool's name; return the name."""
        head, end = yield from self.cursor.head(marks_of(self.row.separator, "\n"))
        name = attribute_name(head)
        if end != self.row.separator or not name:
            raise NotReadError
        self.name = name
        return name

    def read_tags(self) -> Wait[list[RawToolCall]]:
        name = yield from self._named_tag()
        yield from self.cursor.run(BLANK)
        if (yield from self.cursor.peek()) == "{":
            return (yield from self._json_in_tag(name))
        if not (yield from self.cursor.at(marks_of(self.row.argument, *self.row.closes))):
            if not (yield from self.cursor.peek()) and name in self.tools:
                raise TruncatedCallError
            raise NotReadError
        tool = self.tools.get(name)
        arguments, json_keys = yield from self._tagged(tool)
        if not self.is_known(name):
            raise NotReadError
        return [call_of_texts(name, arguments, tool, json_keys)]

    def _json_in_tag(self, name: str) -> Wait[list[RawToolCall]]:
        value = yield from self.cursor.json()
        yield from self.cursor.run(BLANK)
        if not (yield from self.cursor.take(self.closes)) and (yield from self.cursor.peek()):
            self.fail("the closing tag is missing")
        call = call_of(name, value, self.tools.get(name), exact=False)
        if call is None or not self.is_known(name):
            raise NotReadError
        return [call]

    def _tagged(self, tool: Tool | None) -> Wait[tuple[dict[str, str], list[str]]]:
        """Read tagged arguments up to what closes the call. Return them, and which of them are marked as JSON."""
        arguments: dict[str, str] = {}
        json_keys: list[str] = []
        follows = marks_of(self.row.argument, *self.row.closes)
        head: str | None = None
        while True:
            if head is None:
                yield from self.cursor.run(BLANK)
                mark = yield from self.cursor.take(follows)
                if mark != self.row.argument:
                    if not mark and not (yield from self.cursor.peek()):
                        raise TruncatedCallError
                    return (arguments, json_keys) if mark else self.fail("an argument or the closing tag is missing")
                head, end = yield from self.cursor.head(marks_of(self.row.separator))
                if not end:
                    raise TruncatedCallError
            key = attribute_name(head)
            if self._has_open_value and key in arguments:
                self.fail(f"the end of a value is missing, and {key} comes twice")
            if _IS_JSON.search(head):
                json_keys.append(key)
            known = tool.node.member_names() - arguments.keys() - {key} if tool else frozenset()
            arguments[key], head = yield from self._tagged_value(known)
            self._has_open_value = self._has_open_value or head is not None

    def _tagged_value(self, others: frozenset[str]) -> Wait[tuple[str, str | None]]:
        """Read a value up to its end. If that is missing, return the head of the argument that follows, too.

        A value may show calls: their tags are counted, so that they do not end it. `others` are the arguments that the
        tool has besides; where one of them begins on a new line, the end of the value is missing.
        """
        row, kinds = self.row, _tags_of(self.row)
        pieces: list[str] = []
        shown: list[str] = []  # the tags of calls that the value shows, as far as they are open
        while True:
            text, tag = yield from self.cursor.until(marks_of(*kinds))
            pieces.append(text)
            if not tag:
                raise TruncatedCallError
            kind = kinds[tag.lower()]
            head = ""
            if kind == "argument":
                head, end = yield from self.cursor.head(marks_of(row.separator))
                if not shown and attribute_name(head) in others and "".join(pieces[-3:]).rstrip(" \t").endswith("\n"):
                    return "".join(pieces), head
                head += end
            elif kind == "argument's end" and "argument" not in shown:
                head = yield from self.cursor.run(BLANK)
                if (yield from self.cursor.at(marks_of(row.argument, *row.closes))):
                    return "".join(pieces), None
                if self._has_open_value:
                    self.fail("the end of a value is missing, and another value has two")
            _count(kind, shown)
            pieces += (tag, head)

    def read_tree(self) -> Wait[list[RawToolCall]]:
        name = yield from self._named_tag()
        root = tag = _Tag("")
        open_tags: list[_Tag] = []
        while True:
            text, mark = yield from self.cursor.until(marks_of(self.row.argument))
            tag.text.append(text)
            if not mark:
                raise TruncatedCallError
            head, _ = yield from self.cursor.head(marks_of(self.row.separator))
            if head == "</invoke" and not open_tags:
                break
            if head.startswith("</"):
                if head[2:] != tag.name or not open_tags:
                    self.fail(f"{head}> closes nothing")
                tag = open_tags.pop()
            else:
                if len(open_tags) == MAX_DEPTH:
                    self.fail(f"more than {MAX_DEPTH} tags within each other")
                open_tags.append(tag)
                tag = _Tag(head.removeprefix("<"))
                open_tags[-1].inner.append(tag)
        if not self.is_known(name):
            raise NotReadError
        return [call_of_tree(name, {inner.name: inner.value() for inner in root.inner}, self.tools.get(name))]

    def is_known(self, name: str) -> bool:
        return name in self.tools or not self.exact

    def fail(self, reason: str) -> NoReturn:
        raise BrokenCallError(reason)


def _count(kind: str, shown: list[str]) -> None:
    """Count a tag of a call that a value shows. A tag that closes what is not open is just text."""
    opens = kind.removesuffix("'s end")
    if opens == kind:
        shown.append(kind)
    elif opens in shown:
        while shown.pop() != opens:
            pass


def attribute_name(head: str) -> str:
    """Return the name in what follows a tag's beginning.

    Example:
        >>> attribute_name('"city" string="true"'), attribute_name("city")
        ('city', 'city')
    """
    found = _ATTRIBUTE_NAME.match(head)
    return found[1] if found else ""
