"""The errors inside an error."""

from collections.abc import Iterator

MAX_CAUSES = 10
"""Errors inside each other that are looked at. A chain may lead back to its beginning."""


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those inside it, the outermost first.

    Example:
        >>> error = ValueError("outer")
        >>> error.__cause__ = OSError("inner")
        >>> list(causes_of(error))
        [ValueError('outer'), OSError('inner')]
    """
    inner: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if inner is None:
            return
        yield inner
        inner = inner.__cause__ or inner.__context__
