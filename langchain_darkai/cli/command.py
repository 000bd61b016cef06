"""What `langchain-darkai` does with the words after it: the commands, and the exit codes.

Each command is a module of this folder with `HELP`, `add_options` and `run`. Those modules, and this one, import
nothing heavy before a command runs, so that `--version` and help are there at once.
"""

import argparse
import difflib
import importlib
import io
import os
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from langchain_darkai._version import __version__
from langchain_darkai.cli.failures import expected_errors, in_terminal_words, sentence_of

__all__ = ["COMMANDS", "Parser", "main", "parser"]

COMMANDS: tuple[str, ...] = (
    "demo",
    "chat",
    "batch",
    "models",
    "check",
    "serve",
    "key",
    "completion",
    "help",
)
"""The commands in the order of the help, each the name of a module here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 for success, 1 for a failure, 2 for wrong usage, 130 for Ctrl+C.

    `arguments` are the words after the command's name; None takes them from the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    options, unknown = parser().parse_known_args(words)
    if unknown:
        options.parser.refuse(unknown)
    options.words = words
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character still shows the others
    warnings.formatwarning = lambda message, *_, **__: f"langchain-darkai: {message}\n"
    try:
        code: int = options.run(options) or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has left, like `head`. That is no failure, and Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except expected_errors() as error:
        print(f"langchain-darkai {options.command}: {in_terminal_words(sentence_of(error), words)}", file=sys.stderr)
        return 1
    return code


class Parser(argparse.ArgumentParser):
    """A parser that suggests what a mistyped word may have meant."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the words, and end the program with exit code 2."""
        if chosen := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)$", message):
            known = re.findall(r"[\w-]+", chosen[2])
            message = f"there is no {chosen[1]!r} here.{_nearest(chosen[1], known)} There are: {', '.join(known)}."
        super().error(message)

    def refuse(self, words: Iterable[str]) -> NoReturn:
        """End the program for words that the command does not know."""
        known = set(re.findall(r"(?<![\w-])--?[\w-]+", self.format_help()))
        unknown = [word for word in words if word.startswith("-")] or list(words)
        meant = _nearest(unknown[0].partition("=")[0], known)
        self.error(f"unrecognized arguments: {' '.join(words)}{'.' if meant else ''}{meant}")


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def parser() -> Parser:
    """Return the parser of the whole command line."""
    whole = Parser(
        prog="langchain-darkai",
        description="Chat over the DarkAI API, and serve any LangChain chat model by it.",
        epilog="`langchain-darkai help COMMAND` shows the options of one.",
    )
    whole.add_argument("-V", "--version", action="version", version=f"langchain-darkai {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module: Any = importlib.import_module(f"langchain_darkai.cli.{name}")
        text: str = module.HELP
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(run=module.run, parser=command)
        module.add_options(command)
    return whole
