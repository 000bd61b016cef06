"""Code fences, and lines that a model makes up. The marks of calls and thoughts are in `formats`."""

import re
from functools import cache

IGNORE_CASE = re.IGNORECASE | re.ASCII
"""Upper case counts too, for ASCII letters only: else Python also takes a Turkish dotless i for an i."""

_MADE_UP = (
    *("<tool_response", "<tool_result", "<function_result", "Observation:", "Tool:", "Tool (", "Tool result:"),
    *("Tool result (", "Tool results:", "Tool results (", "Tool output:", "Tool response:"),
    *("System:", "User:", "User (", "Human:", "Assistant:", "Assistant ("),
)
MADE_UP_LINE = re.compile(rf"(?:\A|(?<=\n))[ \t]*(?:{'|'.join(map(re.escape, _MADE_UP))})", IGNORE_CASE)
"""The beginning of a line in which a model makes up what only others can say: a tool's result, or a user's message."""

MAX_TICKS = 64
"""Back-ticks in a row that are looked at together, and characters of the line that opens a fence; a longer row counts
as several. So no more than this has to wait for what follows."""

MAX_INDENT = 16
"""Blanks and quote signs that may stand before a closing fence."""

_OPENING_FENCE = re.compile(rf"\s*(`{{3,{MAX_TICKS}}}|~{{3,{MAX_TICKS}}})[ \t]*(?:([\w+-]+)[ \t]*)?\n")


def beginnings(*marks: str) -> str:
    """Return a pattern of what marks look like while they are still coming: each beginning of each, the longest first.

    Example:
        >>> beginnings("abc", "ax")
        'ab|a'
    """
    found = {mark[:length] for mark in marks for length in range(1, len(mark))}
    return "|".join(map(re.escape, sorted(found, key=lambda beginning: (-len(beginning), beginning))))


MADE_UP_LINE_BEGINS = re.compile(rf"[ \t]*(?:{beginnings(*_MADE_UP)})\Z", IGNORE_CASE)
"""What may be the beginning of such a line; to be matched at the beginning of a line."""


@cache  # for each number of each sign
def fence_end(ticks: str) -> re.Pattern[str]:
    """Return what ends the fence that these ticks open: as many, at a line's start, with no language after them."""
    return re.compile(rf"\n[ \t>]{{0,{MAX_INDENT}}}{re.escape(ticks[0])}{{{len(ticks)},{MAX_TICKS}}}(?!\w)")


@cache
def fence_end_begins(ticks: str) -> re.Pattern[str]:
    """Return what may be the beginning of that, at the end of a text."""
    return re.compile(rf"\n[ \t>]{{0,{MAX_INDENT}}}{re.escape(ticks[0])}{{0,{MAX_TICKS}}}\Z")


def opening_fence(text: str) -> tuple[int, str] | None:
    """Return where the content begins of the fence at a text's start, and the fence's language; None for no fence."""
    opening = _OPENING_FENCE.match(text)
    return (opening.end(), opening[2] or "") if opening else None


def fenced_contents(text: str) -> list[str] | None:
    """Return the contents of the fences that a text consists of; None for a text of anything else.

    The last fence may lack its end.

    Example:
        >>> fenced_contents("```json\\n{}\\n```\\n")
        ['{}']
    """
    contents = []
    position = 0
    while opening := _OPENING_FENCE.match(text, position):
        # Of an empty fence, the line end that ends the opening line also begins the closing one.
        end = fence_end(opening[1]).search(text, opening.end() - 1)
        contents.append(text[opening.end() : max(end.start(), opening.end()) if end else len(text)])
        position = end.end() if end else len(text)
    return contents if contents and not text[position:].strip() else None


def without_fence(text: str) -> str:
    """Return the content of the one fence that a text consists of; any other text as it is."""
    contents = fenced_contents(text)
    return contents[0] if contents and len(contents) == 1 else text


def begins_line_after(text: str, begins_line: bool) -> bool:
    """Return whether what follows a text begins a line, blanks aside. `begins_line`: whether the text does."""
    return ("\n" in text or begins_line) and not text.rpartition("\n")[2].strip(" \t")
