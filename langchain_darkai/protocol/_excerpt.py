"""Quotes of a server's words in error messages."""

from collections.abc import Callable

MAX_SECRET = 16 * 1024
"""Characters beyond the end of an excerpt that are searched for the rest of a secret that begins within it."""


def excerpt(text: str, length: int, redact: Callable[[str], str]) -> str:
    """Return the first characters of a text, quoted and without secrets.

    The order matters: `redact` must see the text before it is cut and escaped, since it would not know half a secret.

    Example:
        >>> excerpt("No such key: sesame-1", 12, lambda text: text.replace("sesame-1", "***"))
        "'No such key:'..."
    """
    redacted = redact(text[: length + MAX_SECRET])
    return repr(redacted) if len(text) <= length else f"{redacted[:length]!r}..."
