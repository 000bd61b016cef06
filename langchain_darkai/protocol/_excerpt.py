"""Quotes of a server's words in error messages."""

from collections.abc import Callable

MAX_SECRET = 16 * 1024
"""Characters after the end of a quote that are looked through for a secret that begins in it."""


def excerpt(text: str, length: int, redact: Callable[[str], str]) -> str:
    # Redacted before it is cut and escaped: half a secret would not be known for one.
    redacted = redact(text[: length + MAX_SECRET])
    return repr(redacted) if len(text) <= length else f"{redacted[:length]!r}..."
