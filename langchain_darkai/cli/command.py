"""What `langchain-darkai` does with the words after it: the commands, and the exit codes.

Each command is a module of this folder with `HELP`, `add_options` and `run`. Those modules, and this one, import
nothing heavy before a command runs, so that `--version` and help are there at once.
"""

import argparse
import importlib
import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from langchain_darkai._version import __version__
from langchain_darkai.cli.failures import expected_errors, sentence_of

__all__ = ["COMMANDS", "main", "parser"]

COMMANDS: tuple[str, ...] = (
    "demo",
    "chat",
    "check",
    "serve",
    "key",
)
"""The commands in the order of the help, each the name of a module here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 for success, 1 for a failure, 2 for wrong usage, 130 for Ctrl+C.

    `arguments` are the words after the command's name; None takes them from the process.
    """
    options = parser().parse_args(arguments)
    options.words = list(sys.argv[1:] if arguments is None else arguments)
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
        print(f"langchain-darkai {options.command}: {sentence_of(error)}", file=sys.stderr)
        return 1
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    whole = argparse.ArgumentParser(
        prog="langchain-darkai", description="Chat over the DarkAI API, and serve any LangChain chat model by it."
    )
    whole.add_argument("--version", action="version", version=f"langchain-darkai {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module: Any = importlib.import_module(f"langchain_darkai.cli.{name}")
        text: str = module.HELP
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(run=module.run)
        module.add_options(command)
    return whole
