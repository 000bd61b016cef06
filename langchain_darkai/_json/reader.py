"""Near-JSON, as models write it, to JSON, piece by piece.

What is accepted beside JSON: single and typographic quotes, names without quotes, Python's literals, a comma before a
closing bracket, line ends in strings, quotes in strings that nobody escaped, and back-slashes before letters that need
none. Everything else is a failure, as is a value that does not end: nothing is made up.

Where a schema is given, it decides types: text stands for a number, a truth value, an array or an object only where the
schema allows no text there.
"""

import json
import re
from typing import Any

from langchain_darkai._json.schema import SchemaNode, dump

MAX_DEPTH = 100
"""Brackets within brackets; deeper values break the JSON readers behind."""

MAX_TOKEN = 400
"""Letters of one number; Python itself refuses to read numbers of more than 4,300."""

_SPACE = re.compile(r"[ \t\r\n\ufeff\xa0]*")
_TOKEN = re.compile(r"[^\s,\]}\[{:\"'“”‘’]+")
_NAME = re.compile(r"[A-Za-z_$][\w$-]*\Z")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?\Z")
_INTEGER = re.compile(r"-?(?:0|[1-9]\d*)\Z")
_ROUND = re.compile(r"(-?(?:0|[1-9]\d*))\.0+\Z")
_HIGH_HALF = re.compile(r"\\u[dD][89abAB]")
_LOW_HALF = re.compile(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_LOW_HALF_BEGINS = re.compile(r"(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?")
_LITERALS = {"true": "true", "True": "true", "false": "false", "False": "false", "null": "null", "None": "null"}
# For each opening quote, those that close it, and a run of text that needs no second look.
_QUOTES = {
    '"': ('"', re.compile(r'[^"\\\x00-\x1f]+')),
    "'": ("'", re.compile(r"[^'\"\\\x00-\x1f]+")),
    "“": ("”“", re.compile(r"[^“”\"\\\x00-\x1f]+")),
    "”": ("”“", re.compile(r"[^“”\"\\\x00-\x1f]+")),
    "‘": ("’‘", re.compile(r"[^‘’\"\\\x00-\x1f]+")),
    "’": ("’‘", re.compile(r"[^‘’\"\\\x00-\x1f]+")),
}


class LenientJsonReader:
    """Reads one near-JSON value that comes in pieces, and writes it as JSON, as far as it is certain.

    `feed` and `finish` return JSON text; all that they returned, joined, is the value. `done` tells that the value is
    complete, `failure` is the reason why the text is no value, or None; `rest` is what was fed after either.

    Example:
        >>> stream = LenientJsonReader()
        >>> stream.feed("{'city': 'Par"), stream.feed("is',} and"), stream.done, stream.rest
        ('{"city": "Par', 'is"}', True, ' and')
    """

    def __init__(self, schema: SchemaNode | None = None) -> None:
        self.done = False
        self.failure: str | None = None
        self.rest = ""
        self._state = self._value
        self._node = schema or SchemaNode.of({})
        self._frames: list[_Frame] = []
        self._lead = ""  # separator and name, written together with the value they lead to
        self._pending = ""  # letters that cannot be told yet: half an escape, a token's start, a quote that may close
        self._closing = ""
        self._run = _QUOTES['"'][1]
        self._is_name = False
        self._held: list[str] | None = None  # a string that is kept whole: a name, or text that may become another type
        self._out: list[str] = []

    def feed(self, text: str) -> str:
        """Return the JSON that this piece makes certain."""
        self._out = []
        text, self._pending = self._pending + text, ""
        position = 0
        while position < len(text) and not self.done and self.failure is None:
            position = self._state(text, position)
        if self.done or self.failure is not None:
            self.rest += text[position:]
        return "".join(self._out)

    def finish(self) -> str:
        """Return the rest of the JSON at the end of the text, which ends a number, or a string outside brackets."""
        self._out = []
        if not self.done and self.failure is None and not self._frames:
            if self._state == self._maybe_end:
                self._close_string()
            elif self._state == self._token and self._pending:
                self._end_token(self._pending)
        return "".join(self._out)

    def poison(self) -> str:
        """Return what makes the JSON so far one that nobody can complete: it broke off, and must not be used."""
        wrong_end = {"{": "]", "[": "}"}[self._frames[-1].bracket] if self._frames else "]"
        in_string = self._state in (self._string, self._maybe_end) and self._held is None
        return f'"{wrong_end}' if in_string else wrong_end

    def completion(self) -> str:
        """Return what would complete the JSON so far, for a look at a value that is still coming."""
        in_string = self._state in (self._string, self._maybe_end) and self._held is None
        brackets = ("}" if frame.bracket == "{" else "]" for frame in reversed(self._frames))
        return "".join(('"' if in_string else "", *brackets))

    @property
    def pending_text(self) -> str:
        """What was read and not written yet: a name without its value, a string that is kept whole, half a token."""
        held = f'"{"".join(self._held)}' if self._held is not None else ""
        return self._lead + held + self._pending

    def _fail(self, reason: str) -> None:
        self.failure = reason

    def _write(self, text: str) -> None:
        if self._lead:
            self._out.append(self._lead)
            self._lead = ""
        self._out.append(text)

    def _value(self, text: str, position: int) -> int:
        position = _space_end(text, position)
        if position == len(text):
            return position
        letter = text[position]
        frame = self._frames[-1] if self._frames else None
        if letter == "]" and frame and frame.bracket == "[":
            return self._after(text, position)
        if frame and frame.bracket == "[":
            self._node = frame.node.element(frame.count)
            self._lead = ", " if frame.count else ""
            frame.count += 1
        if letter in "{[":
            if len(self._frames) == MAX_DEPTH:
                self._fail(f"more than {MAX_DEPTH} brackets within each other")
                return position
            self._write(letter)
            self._frames.append(_Frame(letter, self._node))
            self._state = self._name if letter == "{" else self._value
            return position + 1
        if letter in _QUOTES:
            types = self._node.types()
            self._begin_string(letter, is_name=False, hold=types is not None and "string" not in types)
            return position + 1
        if letter in ",:}])(":
            self._fail(f"a value is missing before {letter!r}")
            return position
        self._state = self._token
        return position

    def _name(self, text: str, position: int) -> int:
        position = _space_end(text, position)
        if position == len(text):
            return position
        letter = text[position]
        if letter == "}":
            return self._after(text, position)
        if letter in _QUOTES:
            self._begin_string(letter, is_name=True, hold=True)
            return position + 1
        token = _TOKEN.match(text, position)
        if token is None:
            self._fail(f"a name is missing before {letter!r}")
        elif token.end() == len(text):
            self._pending = text[position:]
            if len(self._pending) > MAX_TOKEN:
                self._fail("a name without quotes does not end")
            return len(text)
        elif not _NAME.match(token[0]):
            self._fail(f"{token[0]!r} is no name")
        else:
            self._take_name(token[0])
        return token.end() if token else position

    def _take_name(self, name: str) -> None:
        frame = self._frames[-1]
        self._lead = f"{', ' if frame.count else ''}{dump(name)}: "
        frame.count += 1
        self._node = frame.node.member(name)
        self._state = self._colon

    def _colon(self, text: str, position: int) -> int:
        position = _space_end(text, position)
        if position < len(text):
            if text[position] == ":":
                self._state = self._value
                return position + 1
            self._fail(f"a colon is missing before {text[position]!r}")
        return position

    def _after(self, text: str, position: int) -> int:
        """Read on after a value within brackets, or close them."""
        position = _space_end(text, position)
        if position == len(text):
            return position
        letter, frame = text[position], self._frames[-1]
        if letter == ",":
            self._state = self._name if frame.bracket == "{" else self._value
        elif letter == {"{": "}", "[": "]"}[frame.bracket]:
            self._lead = ""
            self._write(letter)
            self._frames.pop()
            self._end_value()
        else:
            self._fail(f"a comma or a closing bracket is missing before {letter!r}")
        return position + 1

    def _end_value(self) -> None:
        self.done = not self._frames
        self._state = self._after

    def _token(self, text: str, position: int) -> int:
        token = _TOKEN.match(text, position)
        end = token.end() if token else position
        if end == len(text):
            self._pending = text[position:]
            if len(self._pending) > MAX_TOKEN:
                self._fail("a number does not end")
        else:
            self._end_token(text[position:end])
        return end

    def _end_token(self, token: str) -> None:
        if len(token) > MAX_TOKEN:
            self._fail("a number does not end")
            return
        types = self._node.types()
        written = _LITERALS.get(token) or (token if _NUMBER.match(token) else None)
        if written is None:
            self._fail(f"{token!r} is no JSON value")
            return
        if types is not None and _INTEGER.match(token) and "string" in types and not types & {"integer", "number"}:
            written = dump(token)
        elif types is not None and "integer" in types and "number" not in types and (whole := _ROUND.match(token)):
            written = whole[1]
        self._write(written)
        self._end_value()

    def _begin_string(self, quote: str, *, is_name: bool, hold: bool) -> None:
        self._closing, self._run = _QUOTES[quote]
        self._is_name = is_name
        self._held = [] if hold else None
        if not hold:
            self._write('"')
        self._state = self._string

    def _add(self, escaped: str) -> None:
        if self._held is None:
            self._out.append(escaped)
        else:
            self._held.append(escaped)

    def _string(self, text: str, position: int) -> int:
        run = self._run.match(text, position)
        if run:
            self._add(run[0])
            return run.end()
        letter = text[position]
        if letter in self._closing:
            self._state = self._maybe_end
            self._pending = letter
            return self._maybe_end(text, position) if position + 1 < len(text) else position + 1
        if letter == "\\":
            return self._escape(text, position)
        self._add(dump(letter)[1:-1])
        return position + 1

    def _escape(self, text: str, position: int) -> int:
        kind = text[position + 1 : position + 2]
        length = 6 if kind == "u" else 2
        if not kind or (kind == "u" and len(text) - position < 6 and _is_hex(text[position + 2 :])):
            self._pending = text[position:]
            return len(text)
        escape = text[position : position + length]
        if _HIGH_HALF.match(escape):
            # Both halves of a letter are written together, so that nobody sees one alone.
            low = text[position + 6 : position + 12]
            if len(low) < 6 and _LOW_HALF_BEGINS.fullmatch(low):
                self._pending = text[position:]
                return len(text)
            if _LOW_HALF.match(low):
                self._add(escape + low)
                return position + 12
        if (kind == "u" and _is_hex(escape[2:]) and len(escape) == 6) or kind in '"\\/bfnrt':
            self._add(escape)
        elif kind in self._closing or kind in "'\n":
            self._add(dump(kind)[1:-1])
        else:
            self._add("\\\\")
            return position + 1
        return position + length

    def _maybe_end(self, text: str, position: int) -> int:
        """Tell a closing quote from one in the text, by what follows it."""
        self._pending = ""
        follows = _space_end(text, position + 1)
        if self._frames and follows == len(text) and follows - position <= MAX_TOKEN:
            self._pending = text[position:]
            return len(text)
        if follows == len(text):
            ends = True
        elif self._is_name:
            ends = text[follows] == ":"
        else:
            ends = not self._frames or text[follows] in ("," + {"{": "}", "[": "]"}[self._frames[-1].bracket])
        if ends:
            self._close_string()
            return position + 1
        self._add(dump(text[position])[1:-1])
        self._state = self._string
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
            self._take_name(value)
        else:
            self._write(fit_text(value, self._node))
            self._end_value()


class _Frame:
    """An open bracket: the place in the schema, and how many members came."""

    __slots__ = ("bracket", "count", "node")

    def __init__(self, bracket: str, node: SchemaNode) -> None:
        self.bracket = bracket
        self.node = node
        self.count = 0


def fit_text(text: str, node: SchemaNode) -> str:
    """Return JSON for a string at a place of a schema: what it stands for, where text is not allowed there.

    Example:
        >>> fit_text("[1, 2]", SchemaNode.of({"type": "array"})), fit_text("[1, 2]", SchemaNode.of({"type": "string"}))
        ('[1, 2]', '"[1, 2]"')
    """
    types = node.types()
    stripped = text.strip()
    if types is not None and "string" not in types:
        if types & {"integer", "number"} and _NUMBER.match(stripped):
            if "number" in types or _INTEGER.match(stripped):
                return stripped
        elif "boolean" in types and stripped.lower() in ("true", "false"):
            return stripped.lower()
        elif "null" in types and stripped.lower() in ("null", "none"):
            return "null"
        elif types & {"array", "object"} and stripped[:1] in ("[", "{"):
            inner = LenientJsonReader(node)
            written = inner.feed(stripped)
            if inner.done and not inner.rest.strip() and ("array" if stripped[0] == "[" else "object") in types:
                return written
    return dump(text)


def fit(value: Any, node: SchemaNode) -> Any:
    """Return a value with its types as the schema wants them, like a `LenientJsonReader` with that schema."""
    stream = LenientJsonReader(node)
    written = stream.feed(dump(value)) + stream.finish()
    return json.loads(written) if stream.done else value


def read_value(text: str, node: SchemaNode | None = None) -> tuple[Any, str] | None:
    """Return the near-JSON value that a text begins with, and what follows it; None where there is no whole one.

    Example:
        >>> read_value("{'a': 1} x")
        ({'a': 1}, ' x')
    """
    stream = LenientJsonReader(node)
    written = stream.feed(text) + stream.finish()
    if not stream.done:
        return None
    try:
        return json.loads(written), stream.rest
    except (ValueError, RecursionError):
        return None


def _space_end(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _is_hex(text: str) -> bool:
    return all(letter in "0123456789abcdefABCDEF" for letter in text)
