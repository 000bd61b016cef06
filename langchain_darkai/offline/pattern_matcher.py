"""Matching a text with a client's pattern, in a time that is known before.

`re` is no choice: it can take years, and holds up every thread meanwhile. Pydantic's engine never goes back. It takes
the size of the pattern times the length of the text, and lets no other thread run, so both have a limit.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError

from langchain_darkai.offline.budget import Budget

__all__ = ["PatternMatcher", "size_of"]

LONGEST_MATCHED = 256
"""Characters of a text that is matched with a pattern or a format: no made-up text of theirs is longer."""
_MAX_PATTERNS = 20
"""Patterns of one schema that are read. One of the largest size needs a fiftieth of a second."""
_MAX_SIZE = 5000
"""The size of a pattern that is read: its characters, each as often as its repetitions say."""
_MATCH_STEPS = 100
"""The steps of any match, and of reading a pattern."""
_SIZE_A_STEP = 250
"""The size of a pattern times the length of a text that one step stands for."""

_PART = re.compile(
    r"\\[pPxuU]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\s*(\d+)\s*(?:,\s*(\d*)\s*)?\}|\(\?[a-zA-Z-]*x|.", re.DOTALL
)
_WIDE = re.compile(r"\\[pPwWdDsS]|^\[\^")
_WIDE_SIZE = 30
"""The size of what stands for thousands of letters, such as a word character."""


class PatternMatcher:
    """Matches texts with the patterns of one schema.

    Example:
        >>> matcher = PatternMatcher(Budget())
        >>> matcher.matches("^a+$", "aaa"), matcher.matches("^a+$", "b"), matcher.matches("(?:a?){100000}", "b")
        (True, False, True)
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._sizes: dict[str, int] = {}
        self._matchers: dict[str, Callable[[str], bool]] = {}

    def matches(self, pattern: str, text: str) -> bool:
        """Return whether a text matches a pattern; True for one that cannot be read, is too large, or one too many."""
        self._budget.spend(_MATCH_STEPS)
        if pattern not in self._sizes:
            self._budget.spend(len(pattern) // 10)
            self._sizes[pattern] = size_of(pattern)
        size = self._sizes[pattern]
        if size > _MAX_SIZE:
            return True
        if pattern not in self._matchers:
            if len(self._matchers) >= _MAX_PATTERNS:
                return True
            self._budget.spend(_MATCH_STEPS + size)
            self._matchers[pattern] = _matcher(pattern)
        if len(text) > LONGEST_MATCHED:
            return False
        self._budget.spend(size * len(text) // _SIZE_A_STEP)
        return self._matchers[pattern](text)


def size_of(pattern: str) -> int:
    """Return the size of a pattern for the engine: that of its parts, each as often as its repetitions say.

    Example:
        >>> size_of("^(?:ab){10}$"), size_of("((a{10}){10}){10}") > 1000
        (42, True)
    """
    sizes = [0]  # of each group that is open
    last = 0  # the size of what a repetition would repeat
    for part in _PART.finditer(pattern):
        if part[0].startswith("(?") and len(part[0]) > 2:
            return _MAX_SIZE + 1  # blanks and comments may stand anywhere
        if part[1]:
            times = min(max(int(part[1][:9]), int((part[2] or "0")[:9]), 1), _MAX_SIZE + 1)
            sizes[-1] += last * (times - 1)
            last *= times
        elif part[0] == "(":
            sizes.append(1)
            last = 0
        elif part[0] == ")" and len(sizes) > 1:
            last = sizes.pop()
            sizes[-1] += last
        elif part[0] not in "?*+":
            last = _WIDE_SIZE if _WIDE.search(part[0]) else 1
            sizes[-1] += last
    return sum(sizes)


def _matcher(pattern: str) -> Callable[[str], bool]:
    adapter: TypeAdapter[str] | None = None
    with suppress(Exception):  # no public name has what pydantic raises for a pattern that it cannot read
        adapter = TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])

    def matches(text: str) -> bool:
        try:
            return adapter is None or adapter.validate_python(text) == text
        except ValidationError:
            return False

    return matches
