"""`langchain-darkai help`."""

import argparse

__all__ = ["HELP", "add_options", "run"]

HELP = "show the commands, or the options of one"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the command that help is wanted for."""
    command.add_argument("about", nargs="?", metavar="COMMAND", help="the command; without it, all are listed")


def run(options: argparse.Namespace) -> int:
    """Print the help, as `--help` does."""
    from langchain_darkai.cli.command import parser

    try:
        parser().parse_args([options.about, "--help"] if options.about else ["--help"])
    except SystemExit as end:
        return int(end.code or 0)
    return 0
