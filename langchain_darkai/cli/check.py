"""`langchain-darkai check`."""

import argparse
import time
from typing import TYPE_CHECKING

from langchain_darkai.cli.endpoint import add_endpoint_options, reached_model
from langchain_darkai.cli.failures import CommandError

if TYPE_CHECKING:
    from langchain_darkai.chat_models import ChatDarkAI

__all__ = ["HELP", "add_options", "run"]

HELP = "check that the endpoint answers; the exit code is 0 if it does"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_endpoint_options(command, timeout=30.0)


def run(options: argparse.Namespace) -> None:
    """Send a short prompt, and tell how long the reply took."""
    from langchain_darkai.cli.model_names import host_of

    with reached_model(options) as model:
        host = host_of(model)
        _check_name(model, host)
        started = time.perf_counter()
        first: float | None = None
        length = 0
        for chunk in model.stream("Say hello."):
            first = first or time.perf_counter() - started
            length += len(chunk.text)
        total = time.perf_counter() - started
    if not length:
        raise CommandError(f"{host} sent an empty reply, after {total:.2f} s.")
    print(f"{host} answers as {options.model}: first text after {first:.2f} s, {length} characters in {total:.2f} s.")


def _check_name(model: "ChatDarkAI", host: str) -> None:
    """Raise an error for a model that the endpoint does not list; a server of one model answers to every name."""
    from langchain_darkai.cli.model_names import model_names

    names = model_names(model)
    if names and model.model not in names:
        raise CommandError(f"There is no model {model.model!r} at {host}. There are: {', '.join(names)}.")
