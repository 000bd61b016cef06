"""What near-JSON is made of: numbers, names, literals, quotes and escapes."""

import json
import math
import re

SPACE = re.compile(r"[ \t\r\n\ufeff\xa0]*")
TOKEN = re.compile(r"[^\s,\]}\[{:\"'“”‘’]+")
NAME = re.compile(r"[A-Za-z_$][\w$-]*\Z")
NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?\Z")
INTEGER = re.compile(r"-?(?:0|[1-9]\d*)\Z")
WHOLE_FLOAT = re.compile(r"(-?(?:0|[1-9]\d*))\.0+\Z")
# A character beyond the first 65,536 is escaped as two halves, a high and a low one.
HIGH_HALF = re.compile(r"\\u[dD][89abAB]")
LOW_HALF = re.compile(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
LOW_HALF_BEGINS = re.compile(r"(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?")
LITERALS = {"true": "true", "True": "true", "false": "false", "False": "false", "null": "null", "None": "null"}
QUOTES = {
    '"': ('"', re.compile(r'[^"\\\x00-\x1f]+')),
    "'": ("'", re.compile(r"[^'\"\\\x00-\x1f]+")),
    "“": ("”“", re.compile(r"[^“”\"\\\x00-\x1f]+")),
    "”": ("”“", re.compile(r"[^“”\"\\\x00-\x1f]+")),
    "‘": ("’‘", re.compile(r"[^‘’\"\\\x00-\x1f]+")),
    "’": ("’‘", re.compile(r"[^‘’\"\\\x00-\x1f]+")),
}
"""For each opening quote: the quotes that close it, and a run of characters that mean nothing but themselves."""

ESCAPES = {letter: json.dumps(letter, ensure_ascii=False)[1:-1] for letter in (*map(chr, range(0x20)), *QUOTES)}
"""How a string writes the characters that mean more than themselves, or that cannot stand in one."""


def is_infinite(token: str) -> bool:
    """Return whether a token is a number with an exponent that Python reads as infinity, which JSON has not.

    Example:
        >>> is_infinite("1e999"), is_infinite("1e9"), is_infinite("true")
        (True, False, False)
    """
    return ("e" in token or "E" in token) and NUMBER.match(token) is not None and math.isinf(float(token))
