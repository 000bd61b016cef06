"""`langchain-darkai completion`."""

import argparse

from langchain_darkai.cli.failures import needs_extra

__all__ = ["HELP", "add_options", "run"]

HELP = "print a script with which a shell completes commands and options: eval it, or save it"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the shell."""
    command.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell that you use")


def run(options: argparse.Namespace) -> None:
    """Print the script for the shell."""
    from langchain_darkai.cli.command import parser

    with needs_extra("completion"):
        import shtab

    print(shtab.complete(parser(), options.shell))
