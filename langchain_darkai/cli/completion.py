"""`langchain-darkai completion`."""

import argparse
from collections.abc import Iterator

from langchain_darkai.cli.failures import needs_extra

__all__ = ["HELP", "add_options", "run"]

_FILES = ("FILE", "ROWS")
"""What stands in the help for arguments that are files."""

HELP = "print a script with which a shell completes commands and options: eval it, or save it"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the shell."""
    command.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell that you use")


def run(options: argparse.Namespace) -> None:
    """Print the script for the shell."""
    from langchain_darkai.cli.command import parser

    with needs_extra("completion"):
        import shtab

    whole = parser()
    for action in _actions(whole):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(whole, options.shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the options and arguments of a parser, and those of its commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        yield action
        if isinstance(action.choices, dict):  # by name, the parsers of the commands
            for command in action.choices.values():
                yield from _actions(command)
