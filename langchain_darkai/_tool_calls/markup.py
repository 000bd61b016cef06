"""Markup around parts of a reply that only show or draft things: Markdown code, and thoughts."""

import re

_THOUGHTS = ("think", "thinking", "thought", "reasoning")
THOUGHT_STARTS = tuple(f"<{name}>" for name in _THOUGHTS)
"""The tags that open a thought; upper case counts, too. Calls and answers inside a thought are drafts."""

THOUGHT_END = re.compile(rf"</(?:{'|'.join(_THOUGHTS)})>", re.IGNORECASE)
"""What closes a thought."""

_OPENING = re.compile(r"\s*(`{3,}|~{3,})[ \t]*([\w+-]*)[ \t]*\n")

INDENT = 16
"""Blanks and quote signs before a closing fence that are looked through; more of them make it ordinary text."""


def fence_end(ticks: str) -> re.Pattern[str]:
    """Return what ends the fence that these ticks open: as many at a line's start, with no language after them."""
    return re.compile(rf"\n[ \t>]{{0,{INDENT}}}{re.escape(ticks[0])}{{{len(ticks)},}}(?!\w)")


def fence_end_begins(ticks: str) -> re.Pattern[str]:
    """Return what, at the end of a text, may be the beginning of that."""
    return re.compile(rf"\n[ \t>]{{0,{INDENT}}}{re.escape(ticks[0])}*\Z")


def opening_fence(text: str) -> tuple[int, str] | None:
    """Return where the content of the fence begins that a text begins with, and the fence's language."""
    opening = _OPENING.match(text)
    return (opening.end(), opening[2]) if opening else None


def fenced_contents(text: str) -> list[str] | None:
    """Return the contents of the fences that a text consists of, the last one perhaps unclosed; None for other text.

    Example:
        >>> fenced_contents("```json\\n{}\\n```\\n")
        ['{}']
    """
    contents = []
    position = 0
    while opening := _OPENING.match(text, position):
        # The line end before the content is one that may stand before the closing fence, too.
        end = fence_end(opening[1]).search(text, opening.end() - 1)
        contents.append(text[opening.end() : max(end.start(), opening.end()) if end else len(text)])
        position = end.end() if end else len(text)
    return contents if contents and not text[position:].strip() else None


def without_fence(text: str) -> str:
    """Return what stands in the one fence that a text consists of, else the text."""
    contents = fenced_contents(text)
    return contents[0] if contents and len(contents) == 1 else text
