"""How much work one reply of the offline model may be.

What a client asks for has no bounds of its own: a line of JSON Schema can stand for more values than fit into any
memory. A thread cannot be killed, so each rule counts its steps, and gives up when they are spent.
"""

from typing import Any

__all__ = ["MAX_REPLY", "MAX_STEPS", "Budget", "BudgetSpentError", "check_size"]

MAX_STEPS = 200_000
"""Steps of one reply, of a few microseconds each: half a second. A schema of a hundred members takes a tenth."""

MAX_REPLY = 100_000
"""Characters of one reply: twice what counting to ten thousand takes."""


class BudgetSpentError(Exception):
    """A reply is more work than its budget allows."""


class Budget:
    """Counts the steps of one reply.

    Example:
        >>> Budget(steps=1).spend(2)
        Traceback (most recent call last):
            ...
        langchain_darkai.offline.budget.BudgetSpentError
    """

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self._left = steps
        self._is_stopped = False

    def spend(self, steps: int = 1) -> None:
        """Count steps; raise BudgetSpentError where there are none left, or nobody waits for the reply."""
        self._left -= steps
        if self._left < 0 or self._is_stopped:
            raise BudgetSpentError

    def stop(self) -> None:
        """Let the next step raise, from any thread: nobody waits for the reply any more."""
        self._is_stopped = True


def check_size(value: Any) -> None:
    """Raise BudgetSpentError where a JSON value is longer than a reply may be.

    It is measured before it is written: a value may hold the same long text a thousand times.
    """
    size, parts = 0, [value]
    while parts:
        part = parts.pop()
        size += 2 + len(part if isinstance(part, str | list | dict) else str(part))
        if size > MAX_REPLY:
            raise BudgetSpentError
        if isinstance(part, dict):
            parts += [*part, *part.values()]
        elif isinstance(part, list):
            parts += part
