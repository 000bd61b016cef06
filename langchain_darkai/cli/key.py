"""`langchain-darkai key`."""

import argparse

__all__ = ["HELP", "add_options", "run"]

HELP = "make a key for a client of the server, and its line for the file of keys"


def add_options(key: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    key.add_argument("name", metavar="NAME", help="what the server's log calls the key")
    key.add_argument("--model", action="append", metavar="NAME", help="a model that it may use; may be repeated")
    key.add_argument("--at-once", type=int, metavar="NUMBER", help="how many of its requests may run at once")
    key.add_argument("--per-minute", type=int, metavar="NUMBER", help="how many requests it may send a minute")


def run(options: argparse.Namespace) -> None:
    """Make a key, and print it and its line."""
    from langchain_darkai.server.keys import new_key

    limits = {"models": options.model, "at_once": options.at_once, "per_minute": options.per_minute}
    secret, key = new_key(options.name, **limits)
    print(f"The key, which is shown only now: {secret}")
    print(f"Its line for the file of keys:    {key.line}")
