"""Near-JSON, as models write it, to JSON, piece by piece.

Accepted beside JSON are single and typographic quotes, names without quotes, Python's literals, a comma before a
closing bracket, line ends in strings, quotes in strings that are not escaped, and back-slashes before letters that need
none. Anything else is a failure, and so is a value that does not end: nothing is guessed.

A schema, where there is one, decides types. Where it allows no string, a string is read as the number, boolean, null,
array or object that it holds.
"""

import json
import sys

from langchain_darkai._json.patterns import (
    ESCAPES,
    HIGH_HALF,
    INTEGER,
    LITERALS,
    LOW_HALF,
    LOW_HALF_BEGINS,
    NAME,
    NUMBER,
    QUOTES,
    SPACE,
    TOKEN,
    WHOLE_FLOAT,
    is_infinite,
)
from langchain_darkai._json.schema import SchemaNode, dump

MAX_DEPTH = 100
"""Brackets within brackets. Python's own reader, which gets the JSON next, fails on values that are much deeper."""

MAX_WHOLE = 256 * 1024
"""Characters of near-JSON that are read in one go, where they cannot be read as they come. In the worst case that takes
a second, in which the event loop stands still."""

MAX_TOKEN = 400
"""Characters of one number, or of one name without quotes. Python refuses to read numbers of more than 4,300 digits."""


class LenientJsonReader:
    """Reads one near-JSON value that comes in pieces, and writes it as JSON, as far as it is certain.

    `feed` and `finish` return JSON text; joined, it is the value. `done` tells that the value is complete. `failure`
    says why the text is not a value, and is None while it may be one. `rest` is what was fed after either, `unwritten`
    what was fed since JSON was written last, to the letter.

    Example:
        >>> reader = LenientJsonReader()
        >>> reader.feed("{'city': 'Par"), reader.feed("is',} and"), reader.done, reader.rest
        ('{"city": "Par', 'is"}', True, ' and')
    """

    def __init__(self, schema: SchemaNode | None = None) -> None:
        self.done = False
        self.failure: str | None = None
        self.rest = ""
        self._state = self._read_value  # reads the text from a position on; returns the position up to which it read
        self._node = schema or SchemaNode.of({})
        self._frames: list[_Frame] = []
        self._lead = ""  # the comma and the name before a value, written together with it
        self._pending = ""  # read again with the next piece: half an escape, half a token, a quote that may close
        self._closing_quotes = ""
        self._plain_text = QUOTES['"'][1]
        self._is_name = False
        self._held: list[str] | None = None  # a string written as a whole: a name, or what may become another type
        self._out: list[str] = []
        self.unwritten: list[str] = []
        self._written_to = 0  # in the text that is read: where JSON was written last

    def feed(self, text: str) -> str:
        """Return the JSON that this piece makes certain."""
        self.unwritten.append(text)
        text, self._pending = self._pending + text, ""
        written, end = self.read_from(text, 0)
        if self._out:
            self.unwritten = [text[self._written_to :]]
        if self.done or self.failure is not None:
            self.rest += text[end:]
        return written

    def read_from(self, text: str, position: int) -> tuple[str, int]:
        """Return the JSON that a text from a position on makes certain, and where reading ended."""
        self._out = []
        while position < len(text) and not self.done and self.failure is None:
            pieces = len(self._out)
            position = self._state(text, position)
            if len(self._out) > pieces:
                self._written_to = position
        return "".join(self._out), position

    def finish(self) -> str:
        """Return the JSON that the text's end makes certain: of a value without brackets."""
        self._out = []
        if not self.done and self.failure is None and not self._frames:
            if self._state == self._read_quote:
                self._close_string()
            elif self._state == self._read_token and self._pending:
                self._end_token(self._pending)
        return "".join(self._out)

    def poison(self) -> str:
        """Return an end for the JSON so far that keeps readers from completing it.

        LangChain reads partial JSON and completes it: of `{"city": "Par` it makes `{"city": "Par"}`. So a truncated
        tool call would run, with half of its arguments. The end is a closing bracket that nothing opened: after it, no
        reader finds a value, whatever it adds.
        """
        wrong_bracket = {"{": "]", "[": "}"}[self._frames[-1].bracket] if self._frames else "]"
        return f'"{wrong_bracket}' if self._is_in_string() else wrong_bracket

    def completion(self) -> str:
        """Return what completes the JSON so far, for a look at a value that is still coming."""
        brackets = ("}" if frame.bracket == "{" else "]" for frame in reversed(self._frames))
        return "".join(('"' if self._is_in_string() else "", *brackets))

    @property
    def pending_text(self) -> str:
        """What was read and not written yet: a name without its value, a string that is held, half a token."""
        held = f'"{"".join(self._held)}' if self._held is not None else ""
        return self._lead + held + self._pending

    def _is_in_string(self) -> bool:
        """Return whether the JSON so far ends within a string."""
        return self._state in (self._read_string, self._read_quote) and self._held is None

    def _write(self, text: str) -> None:
        if self._lead:
            self._out.append(self._lead)
            self._lead = ""
        self._out.append(text)

    def _read_value(self, text: str, position: int) -> int:
        position = _space_end(text, position)
        if position == len(text):
            return position
        letter = text[position]
        frame = self._frames[-1] if self._frames else None
        if letter == "]" and frame and frame.bracket == "[":
            return self._read_after_value(text, position)
        if frame and frame.bracket == "[":
            self._node = frame.node.element(frame.count)
            self._lead = ", " if frame.count else ""
            frame.count += 1
        if letter in "{[":
            if len(self._frames) == MAX_DEPTH:
                self.failure = f"more than {MAX_DEPTH} brackets within each other"
                return position
            self._write(letter)
            self._frames.append(_Frame(letter, self._node))
            self._state = self._read_name if letter == "{" else self._read_value
            return position + 1
        if letter in QUOTES:
            types = self._node.types()
            self._begin_string(letter, is_name=False, hold=types is not None and "string" not in types)
            return position + 1
        if letter in ",:}])(":
            self.failure = f"a value is missing before {letter!r}"
            return position
        self._state = self._read_token
        return position

    def _read_name(self, text: str, position: int) -> int:
        position = _space_end(text, position)
        if position == len(text):
            return position
        letter = text[position]
        if letter == "}":
            return self._read_after_value(text, position)
        if letter in QUOTES:
            self._begin_string(letter, is_name=True, hold=True)
            return position + 1
        token = TOKEN.match(text, position)
        if token is None:
            self.failure = f"a name is missing before {letter!r}"
        elif token.end() == len(text):
            self._pending = text[position:]
            if len(self._pending) > MAX_TOKEN:
                self.failure = "a name without quotes does not end"
            return len(text)
        elif len(token[0]) > MAX_TOKEN:
            self.failure = "a name without quotes does not end"
        elif not NAME.match(token[0]):
            self.failure = f"{token[0]!r} is not a name"
        else:
            self._begin_member(token[0])
        return token.end() if token else position

    def _begin_member(self, name: str) -> None:
        frame = self._frames[-1]
        self._lead = f"{', ' if frame.count else ''}{dump(name)}: "
        frame.count += 1
        self._node = frame.node.member(name)
        self._state = self._read_colon

    def _read_colon(self, text: str, position: int) -> int:
        position = _space_end(text, position)
        if position < len(text):
            if text[position] == ":":
                self._state = self._read_value
                return position + 1
            self.failure = f"a colon is missing before {text[position]!r}"
        return position

    def _read_after_value(self, text: str, position: int) -> int:
        """Read what follows a value within brackets: a comma, or the closing bracket."""
        position = _space_end(text, position)
        if position == len(text):
            return position
        letter, frame = text[position], self._frames[-1]
        if letter == ",":
            self._state = self._read_name if frame.bracket == "{" else self._read_value
        elif letter == {"{": "}", "[": "]"}[frame.bracket]:
            self._lead = ""
            self._write(letter)
            self._frames.pop()
            self._end_value()
        else:
            self.failure = f"a comma or a closing bracket is missing before {letter!r}"
        return position + 1

    def _end_value(self) -> None:
        self.done = not self._frames
        self._state = self._read_after_value

    def _read_token(self, text: str, position: int) -> int:
        token = TOKEN.match(text, position)
        end = token.end() if token else position
        if end == len(text):
            self._pending = text[position:]
            if len(self._pending) > MAX_TOKEN:
                self.failure = "a number does not end"
        else:
            self._end_token(text[position:end])
        return end

    def _end_token(self, token: str) -> None:
        if len(token) > MAX_TOKEN:
            self.failure = "a number does not end"
            return
        types = self._node.types()
        written = LITERALS.get(token) or (token if NUMBER.match(token) else None)
        if written is None or is_infinite(token):
            self.failure = f"{token!r} is not a JSON value"
            self._pending = token
            return
        if types is not None and INTEGER.match(token) and "string" in types and not types & {"integer", "number"}:
            written = dump(token)  # such as a postal code
        elif types is not None and "integer" in types and "number" not in types and (whole := WHOLE_FLOAT.match(token)):
            written = whole[1]
        self._write(written)
        self._end_value()

    def _begin_string(self, quote: str, *, is_name: bool, hold: bool) -> None:
        self._closing_quotes, self._plain_text = QUOTES[quote]
        self._is_name = is_name
        self._held = [] if hold else None
        if not hold:
            self._write('"')
        self._state = self._read_string

    def _add_to_string(self, escaped: str) -> None:
        if self._held is None:
            self._out.append(escaped)
        else:
            self._held.append(escaped)

    def _read_string(self, text: str, position: int) -> int:
        run = self._plain_text.match(text, position)
        if run:
            self._add_to_string(run[0])
            return run.end()
        letter = text[position]
        if letter in self._closing_quotes:
            self._state = self._read_quote
            self._pending = letter
            return self._read_quote(text, position) if position + 1 < len(text) else position + 1
        if letter == "\\":
            return self._read_escape(text, position)
        self._add_to_string(ESCAPES[letter])
        return position + 1

    def _read_escape(self, text: str, position: int) -> int:
        kind = text[position + 1 : position + 2]
        if kind == "u":
            return self._read_unicode_escape(text, position)
        if not kind:
            self._pending = text[position:]
            return len(text)
        if kind in '"\\/bfnrt':
            self._add_to_string(text[position : position + 2])
        elif kind in self._closing_quotes or kind in "'\n":
            self._add_to_string(ESCAPES[kind])
        else:
            self._add_to_string("\\\\")
            return position + 1
        return position + 2

    def _read_unicode_escape(self, text: str, position: int) -> int:
        escape = text[position : position + 6]
        if not all(letter in "0123456789abcdefABCDEF" for letter in escape[2:]):
            self._add_to_string("\\\\")
            return position + 1
        following = text[position + 6 : position + 12]
        if len(escape) < 6 or (HIGH_HALF.match(escape) and len(following) < 6 and LOW_HALF_BEGINS.fullmatch(following)):
            self._pending = text[position:]
            return len(text)
        if HIGH_HALF.match(escape) and LOW_HALF.match(following):
            # Both halves are written together: a chunk that ends between them would hold half a character.
            escape += following
        self._add_to_string(escape)
        return position + len(escape)

    def _read_quote(self, text: str, position: int) -> int:
        """Tell by what follows a quote whether it closes the string, or belongs to its text and should be escaped."""
        self._pending = ""
        follows = _space_end(text, position + 1, position + 1 + MAX_TOKEN)
        is_far = follows - position > MAX_TOKEN
        if self._frames and follows == len(text) and not is_far:
            self._pending = text[position:]
            return len(text)
        if is_far or follows == len(text):
            ends = True
        elif self._is_name:
            ends = text[follows] == ":"
        else:
            ends = not self._frames or text[follows] in ("," + {"{": "}", "[": "]"}[self._frames[-1].bracket])
        if ends:
            self._close_string()
            return position + 1
        self._add_to_string(ESCAPES[text[position]])
        self._state = self._read_string
        return position + 1

    def _close_string(self) -> None:
        self._pending = ""
        if self._held is None:
            self._out.append('"')
            self._end_value()
            return
        value = json.loads(f'"{"".join(self._held)}"')
        self._held = None
        if self._is_name:
            self._begin_member(value)
        else:
            self._write(coerce_text(value, self._node))
            self._end_value()


class _Frame:
    """An open bracket: its place in the schema, and how many members came so far."""

    __slots__ = ("bracket", "count", "node")

    def __init__(self, bracket: str, node: SchemaNode) -> None:
        self.bracket = bracket
        self.node = node
        self.count = 0


def coerce_text(text: str, node: SchemaNode) -> str:
    """Return JSON for a string at a place in a schema: where no string is allowed, the value that it holds.

    Example:
        >>> (
        ...     coerce_text("[1, 2]", SchemaNode.of({"type": "array"})),
        ...     coerce_text("[1, 2]", SchemaNode.of({"type": "string"})),
        ... )
        ('[1, 2]', '"[1, 2]"')
    """
    types = node.types()
    stripped = text.strip()
    if types is not None and "string" not in types:
        if types & {"integer", "number"} and NUMBER.match(stripped) and not is_infinite(stripped):
            if "number" in types or INTEGER.match(stripped):
                return stripped
        elif "boolean" in types and stripped.lower() in ("true", "false"):
            return stripped.lower()
        elif "null" in types and stripped.lower() in ("null", "none"):
            return "null"
        elif types & {"array", "object"} and stripped[:1] in ("[", "{") and len(stripped) <= MAX_WHOLE:
            inner = LenientJsonReader(node)
            written = inner.feed(stripped)
            if inner.done and not inner.rest.strip() and ("array" if stripped[0] == "[" else "object") in types:
                return written
    return dump(text)


def _space_end(text: str, position: int, limit: int = sys.maxsize) -> int:
    found = SPACE.match(text, position, limit)
    return found.end() if found else position
