"""What goes wrong in a command, in one line for a person, and in the words of the command line."""

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from langchain_darkai._text import one_line

__all__ = ["CommandError", "expected_errors", "in_terminal_words", "needs_extra", "sentence_of", "usage_error"]


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


@contextlib.contextmanager
def needs_extra(what: str) -> Iterator[None]:
    """Import what the extra `cli` brings; where it is not there, the error says how to get it.

    Example:
        >>> with needs_extra("a conversation"):
        ...     raise ModuleNotFoundError
        Traceback (most recent call last):
            ...
        langchain_darkai.cli.failures.CommandError: For a conversation, install: pip install 'langchain-darkai[cli]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(f"For {what}, install: pip install 'langchain-darkai[cli]'") from error


def sentence_of(error: BaseException) -> str:
    """Return what an error says, in one line, without what pydantic adds around a setting's message."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return " ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(text) or type(error).__name__


_WORDS = (
    (r"\b(Set|Check|in|of) base_url\b", r"\1 --base-url"),
    (r"\bSet api_key, or DARKAI_API_KEY\b", "Set --api-key-file, or DARKAI_API_KEY"),
    (r"\bCheck (--base-url,) proxy and key\b", r"Check \1 the proxy and the key"),
    (r"\braise (?:timeout|stream_chunk_timeout)\b", "raise --timeout"),
    (r" Use None for no limit\.", ""),
    (r"\bpass verify='.*?' or set SSL_CERT_FILE; for .*? pass an ssl\.SSLContext\.", "set SSL_CERT_FILE to its file."),
    (r"(?<=[Cc]heck )proxy=, ", "DARKAI_PROXY, "),
    (r"\bthere is an api_key: use one\b", "there is a key: use one"),
    (r"^api_key has\b", "The key has"),
)
"""Words of the Python interface in the errors of this package, and what a user of the commands calls the same."""


def in_terminal_words(text: str, words: Sequence[str] = ()) -> str:
    """Return an error's text with options where it has Python's names for them.

    `words` are those of the command line: the value of an option that was given is named by the option.

    Example:
        >>> in_terminal_words("127.0.0.1:1 cannot be reached. Check base_url and the network.")
        '127.0.0.1:1 cannot be reached. Check --base-url and the network.'
        >>> in_terminal_words("max_tokens=0 is not a whole number of 1 or more.", ["chat", "--max-tokens", "0"])
        '--max-tokens 0 is not a whole number of 1 or more.'
    """
    for pattern, replacement in _WORDS:
        text = re.sub(pattern, replacement, text)
    for option in {word.partition("=")[0] for word in words if word.startswith("--")}:
        name = option.removeprefix("--").replace("-", "_")
        text = re.sub(rf"\b{re.escape(name)}(?:=(?=\S)| (?=is \S|must ))", f"{option} ", text)
    return text
