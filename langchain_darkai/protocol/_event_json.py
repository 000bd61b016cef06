"""Events as JSON, read by orjson, and by the standard library where orjson refuses or would change something."""

import json
import re
from typing import Any

import orjson

JSON = json.JSONDecoder(strict=False)
"""Reads what servers were seen to send, and orjson refuses: control characters in strings, lone surrogates, NaN."""

_STRING_EVENTS = ("text-chunk", "final-response", "reasoning-chunk")
"""Events of which nothing but strings is read. In others, numbers count."""

_LONG_NUMBER = re.compile(r"\d{19}")
"""What may be an integer of more than 64 bits, of which orjson makes a float."""

_TEXT_HEAD = re.compile(r'data: \{ *"event" *: *"text-chunk" *, *"data" *: *\{ *"text" *: *"')
_TEXT_END = '"}}\n\n'
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?" + _TEXT_END)
"""The end of a text within an escape; or of one that ends in an escaped backslash, which is not told apart."""


def join_texts(block: str) -> tuple[str, str]:
    """Return the text of the text events at the start of a block as one, and the lines after them.

    At least one line is left: the last one may be another event. Where the others are not alike but for their texts,
    all lines are left.

    The texts are decoded as one JSON string, made by cutting out what is between two texts. It holds line ends, and no
    JSON string does, so each place is one where a line ends and another begins.
    """
    head = _TEXT_HEAD.match(block) if _TEXT_END in block else None
    if head is None:
        return "", block
    between = _TEXT_END + head[0]
    texts, found, last = block.rpartition(between)
    if not found or _CUT_ESCAPE.search(texts, head.end()):
        return "", block
    try:
        text: str = orjson.loads(f'"{texts[head.end() :].replace(between, "")}"')
    except ValueError:
        return "", block
    return text, head[0] + last


def event_of(text: str) -> dict[str, Any] | None:
    """Return the event that the JSON text of an object is; None where it is not JSON."""
    event: dict[str, Any]
    try:
        event = orjson.loads(text)
        if event.get("event") in _STRING_EVENTS or not _LONG_NUMBER.search(text):
            return event
    except ValueError:
        pass  # what only the standard library reads, or nobody
    try:
        event = JSON.decode(text)
    except (ValueError, RecursionError):
        return None
    return event
