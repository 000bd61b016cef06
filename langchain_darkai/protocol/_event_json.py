"""Events as JSON, read by orjson, and by the standard library where orjson refuses or would change something."""

import json
import re
from typing import Any

import orjson

JSON = json.JSONDecoder(strict=False)
"""Reads what servers were seen to send, and orjson refuses: control characters in strings, lone surrogates, NaN."""

_STRING_EVENTS = ("text-chunk", "final-response", "reasoning-chunk")
"""Events of which nothing but strings is read. In others, numbers count, and orjson makes a float of an integer of more
than 64 bits."""

_BETWEEN = "}\n\ndata: {"
_NEXT_OBJECT = re.compile(r",\s*\{")


def split_texts(block: str) -> tuple[list[str], str]:
    """Return the texts of text events, one a line and a blank line between two, and the lines after them.

    At least one line is left: the last one may be another event. The others are text events, or all lines are left.

    They are decoded as one array, which takes half the time. Its items are the lines: no line has two objects side by
    side, so where one began within a line, or ended within one, their numbers would differ.
    """
    head, between, last = block.rpartition(_BETWEEN)
    if not between:
        return [], block
    lines = head.lstrip("\n")
    array = lines[6:].replace(_BETWEEN, "},{")
    if not lines.startswith("data: {") or "\n" in array or _NEXT_OBJECT.search(lines):
        return [], block
    try:
        texts = [event["data"]["text"] for event in orjson.loads(f"[{array}}}]") if event["event"] == "text-chunk"]
        "".join(texts)  # raises TypeError unless all are strings
    except (ValueError, LookupError, TypeError):
        return [], block
    return (texts, f"data: {{{last}") if len(texts) == lines.count(_BETWEEN) + 1 else ([], block)


def event_of(text: str) -> dict[str, Any] | None:
    """Return the event that the JSON text of an object is; None where it is not JSON."""
    event: dict[str, Any]
    try:
        event = orjson.loads(text)
        if event.get("event") in _STRING_EVENTS:
            return event
    except ValueError:
        pass  # what only the standard library reads, or nobody
    try:
        event = JSON.decode(text)
    except (ValueError, RecursionError):
        return None
    return event
