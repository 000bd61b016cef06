"""Text for people, how much of a text is JSON's own, and how much is read at once."""

import json
import reprlib
from typing import Any

MAX_SLICE = 8 * 1024
"""Characters of a reply that are read at once. The event loop goes on between two slices: the worst text takes some
20 ms for one."""

_JSON = json.JSONDecoder()


def one_line(text: str) -> str:
    """Return a text in one line: each run of blanks and line ends as one blank.

    Example:
        >>> one_line("It broke,\\n  in two\\nlines.")
        'It broke, in two lines.'
    """
    return " ".join(text.split())


MAX_REPR = 120
"""Characters of a value that an error message shows. A schema can have thousands."""


def short_repr(value: object) -> str:
    """Return what an error message shows of a value: its repr, or the beginning of a long one.

    Example:
        >>> short_repr({"a": 1})
        "{'a': 1}"
    """
    shown = repr(value)
    return shown if len(shown) <= MAX_REPR else f"{shown[:MAX_REPR]}..."


def shortened(text: str, most: int) -> str:
    """Return a text without its middle where it is longer than `most`: what is wrong stands at either end of an error.

    Example:
        >>> shortened("'aaaaaaaaaaaaaaaaaaaa' is too long", 20)
        "'aaaaaaa...too long"
    """
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def structure_of(text: str, most: int) -> int:
    """Return how many characters of a JSON text stand outside its strings; where it is broken, how many before that.

    Each of them can stand for an object of its own, of tens of bytes; a string takes little more memory than its text.
    The count ends soon after `most`.

    Example:
        >>> structure_of('["[[[["]', 100), structure_of("[[[[[[", 100)
        (4, 6)
    """
    place = outside = 0
    while (quote := text.find('"', place)) >= 0 and outside <= most:
        outside += quote - place + len('""')
        try:
            place = _JSON.raw_decode(text, quote)[1]
        except ValueError:
            return outside
    return outside if outside > most else outside + len(text) - place


_MAX_ECHOED = 200
"""Characters of a client's value that are sent back to it."""

_echo = reprlib.Repr()
_echo.maxstring = _echo.maxother = _MAX_ECHOED // 2


def echoed(value: Any) -> str:
    """Return what a client sent as a message can show it: in quotes, and with its middle left out where it is long.

    Example:
        >>> len(echoed("x" * 10_000_000))
        100
    """
    shown = _echo.repr(value)
    return shown if len(shown) <= _MAX_ECHOED else f"{shown[:_MAX_ECHOED]}..."
