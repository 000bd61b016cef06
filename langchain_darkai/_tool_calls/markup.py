"""Markup around parts of a reply that only show or draft things: Markdown code, and thoughts."""

import re

from langchain_darkai.prompts import CALL_START

_THOUGHTS = ("think", "thinking", "thought", "reasoning")
THOUGHT_STARTS = tuple(f"<{name}>" for name in _THOUGHTS)
"""The tags that open a thought; upper case counts, too. Calls and answers inside a thought are drafts."""

IGNORE_CASE = re.IGNORECASE | re.ASCII  # of the tags' own letters only: else a Turkish i without a dot is an i, too
THOUGHT_END = re.compile(rf"</(?:{'|'.join(_THOUGHTS)})>", IGNORE_CASE)
"""What closes a thought."""

MAX_TICKS = 64
"""Back-ticks in a row that are looked at as one; more of them are nobody's code."""

FUNCTION = "<function="
# Marks after which calls stand, of the tools that are bound; each with what ends them.
VENDOR_MARKS = {
    "<|python_tag|>": re.compile(r"<\|eo[mt]_id\|>"),
    "[TOOL_CALLS]": re.compile(r"</s>"),
    "<function_call>": re.compile(r"</function_call>"),
    "<tool_calls>": re.compile(r"</tool_calls>"),
    "<|tool_call|>": re.compile(r"<\|/tool_call\|>"),
}
CALL_MARKS = (CALL_START, FUNCTION, *THOUGHT_STARTS, *VENDOR_MARKS)

# How a model goes on that makes up what only others can say: after a call, a line that begins so ends the reply.
MADE_UP = (
    *("<tool_response", "<tool_result", "<function_result", "Observation:", "Tool:", "Tool (", "Tool result:"),
    *("Tool result (", "Tool results:", "Tool results (", "Tool output:", "Tool response:"),
    *("System:", "User:", "User (", "Human:", "Assistant:", "Assistant ("),
)
MADE_UP_LINE = re.compile(r"(?:\A|(?<=\n))[ \t]*(?:" + "|".join(map(re.escape, MADE_UP)) + ")", IGNORE_CASE)
MADE_UP_LOWER = tuple(map(str.lower, MADE_UP))
LONGEST_MARK = max(map(len, (*CALL_MARKS, *MADE_UP)))

_OPENING = re.compile(r"\s*(`{3,}|~{3,})[ \t]*([\w+-]*)[ \t]*\n")

INDENT = 16
"""Blanks and quote signs before a closing fence that are looked through; more of them make it ordinary text."""


def beginnings(mark: str) -> str:
    """Return a pattern of what a mark that is not whole yet looks like."""
    return "|".join(re.escape(mark[:n]) for n in range(len(mark) - 1, 0, -1))


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
