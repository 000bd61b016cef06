"""What goes wrong in a command, in one line for a person."""

import sys
from typing import NoReturn

from langchain_darkai._text import one_line

__all__ = ["CommandError", "expected_errors", "sentence_of", "usage_error"]


class CommandError(Exception):
    """What ends a command with exit code 1, in one line for a person."""


def expected_errors() -> tuple[type[Exception], ...]:
    """Return the errors that are told in one line; any other is a fault of the program, and has a traceback."""
    from langchain_core.exceptions import ModelError

    return CommandError, ModelError, ValueError, OSError


def usage_error(message: str) -> NoReturn:
    """End the program with exit code 2."""
    print(f"langchain-darkai: {message}", file=sys.stderr)
    raise SystemExit(2)


def sentence_of(error: BaseException) -> str:
    """Return what an error says, in one line, without what pydantic adds around a setting's message."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return " ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(text) or type(error).__name__
