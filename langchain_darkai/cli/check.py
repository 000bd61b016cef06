"""`langchain-darkai check`."""

import argparse
import time

from langchain_darkai.cli.endpoint import add_endpoint_options, model_or_exit
from langchain_darkai.cli.failures import CommandError

__all__ = ["HELP", "add_options", "run"]

HELP = "check that the endpoint answers; the exit code is 0 if it does"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_endpoint_options(command, timeout=30.0)


def run(options: argparse.Namespace) -> None:
    """Send a short prompt, and tell how long the reply took."""
    from langchain_darkai.client import DarkAI

    model = model_or_exit(options)
    started = time.perf_counter()
    first: float | None = None
    length = 0
    for chunk in model.stream("Say hello."):
        first = first or time.perf_counter() - started
        length += len(chunk.text)
    total = time.perf_counter() - started
    host = DarkAI(base_url=model.base_url).host
    if not length:
        raise CommandError(f"{host} sent an empty reply, after {total:.2f} s.")
    print(f"{host} answers as {options.model}: first text after {first:.2f} s, {length} characters in {total:.2f} s.")
