"""Text that streams to a terminal: no word is broken at the margin, and nothing in it controls the terminal."""

import re
import unicodedata

__all__ = ["WordWrap", "printable"]

_WIDE = "\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\U0001f300-\U0001faff"
_PART = re.compile(rf"\n|[^\S\n]+|[{_WIDE}]|[^\s{_WIDE}]+")
"""A line end, blanks, a character of two columns, between which lines may break, or a word."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Return a text without the characters that move the cursor or change the terminal, but for tab and line end.

    Example:
        >>> printable("a\\x1b[31mb\\n")
        'a[31mb\\n'
    """
    return _CONTROL.sub("", text)


class WordWrap:
    """Breaks lines between words while their text comes; the last word is held back until it has ended.

    Example:
        >>> wrap = WordWrap(10)
        >>> wrap.feed("one two th") + wrap.feed("ree") + wrap.finish()
        'one two\\nthree'
    """

    def __init__(self, width: int) -> None:
        self._width = max(width, 1)
        self._column = 0
        self._blanks = ""
        self._word = ""
        self._is_too_long = False  # the word at the end of the line: what follows of it goes on there

    def feed(self, text: str) -> str:
        """Return what can be shown of the text so far."""
        parts = _PART.findall(self._word + text)
        self._word = ""
        if parts and not parts[-1].isspace() and _cells(parts[-1]) < self._width:
            self._word = parts.pop()
        return "".join(map(self._placed, parts))

    def finish(self) -> str:
        """Return the rest."""
        word, self._word = self._word, ""
        return self._placed(word) if word else ""

    def _placed(self, part: str) -> str:
        if part.isspace():
            self._is_too_long = False
            if part == "\n":
                self._column, self._blanks = 0, ""
                return part
            self._blanks += part.expandtabs(4)
            return ""
        before, self._blanks = self._blanks, ""
        cells = _cells(part)
        if self._column + len(before) + cells > self._width and not self._is_too_long:
            self._column, before = 0, "\n" if self._column else ""
        self._column += cells + len(before.strip("\n"))
        self._is_too_long = self._is_too_long or cells >= self._width
        if self._column > self._width:
            self._column = self._column % self._width or self._width
        return before + part


def _cells(text: str) -> int:
    """Return how many columns a text takes, near enough."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
