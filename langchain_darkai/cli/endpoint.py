"""The endpoint that a command calls: its options, and the model for it."""

import argparse
from typing import TYPE_CHECKING

from langchain_darkai.cli.failures import sentence_of, usage_error

if TYPE_CHECKING:
    from langchain_darkai.chat_models import ChatDarkAI

__all__ = ["DEFAULT_MODEL", "add_endpoint_options", "model_or_exit"]

DEFAULT_MODEL = "llama-3-70b"
"""That of `DarkAI`, which takes long to import."""


def add_endpoint_options(command: argparse.ArgumentParser, *, timeout: float) -> None:
    """Add the options of a command that calls an endpoint; `timeout` is the default of that option."""
    command.add_argument("--model", default=DEFAULT_MODEL, help="the model's name (default: %(default)s)")
    command.add_argument("--base-url", metavar="URL", help="where the API is (default: DARKAI_BASE_URL)")
    command.add_argument(
        "--timeout", type=float, default=timeout, metavar="SECONDS", help="for a whole call (default: %(default)g)"
    )


def model_or_exit(options: argparse.Namespace) -> "ChatDarkAI":
    """Return the model that the options name, or end the program where they cannot work."""
    from langchain_darkai.chat_models import ChatDarkAI

    given = {"base_url": options.base_url} if options.base_url else {}
    try:
        return ChatDarkAI(model=options.model, timeout=options.timeout, allow_empty=True, **given)
    except ValueError as error:
        usage_error(sentence_of(error))
