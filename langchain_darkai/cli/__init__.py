"""The command line: langchain-darkai demo | chat | batch | serve | check | key."""

from langchain_darkai.cli.command import main

__all__ = ["main"]
