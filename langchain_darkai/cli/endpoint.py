"""The endpoint that a command calls: its options, and the model for it."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_darkai.cli.failures import in_terminal_words, sentence_of, usage_error

if TYPE_CHECKING:
    from langchain_darkai.chat_models import ChatDarkAI

__all__ = ["DEFAULT_MODEL", "add_endpoint_options", "add_request_options", "model_or_exit", "reached_model"]

DEFAULT_MODEL = "llama-3-70b"
"""That of `DarkAI`, which takes long to import."""


def add_endpoint_options(command: argparse.ArgumentParser, *, timeout: float, with_model: bool = True) -> None:
    """Add the options of a command that calls an endpoint; `timeout` is the default of that option."""
    command.set_defaults(model=DEFAULT_MODEL)
    if with_model:
        command.add_argument("--model", default=DEFAULT_MODEL, help="the model's name (default: %(default)s)")
    command.add_argument("--base-url", metavar="URL", help="where the API is (default: DARKAI_BASE_URL)")
    command.add_argument(
        "--api-key-file", metavar="FILE", help="a file with nothing but the API key (default: DARKAI_API_KEY)"
    )
    command.add_argument(
        "--timeout", type=float, default=timeout, metavar="SECONDS", help="for a whole call (default: %(default)g)"
    )


def add_request_options(command: argparse.ArgumentParser) -> None:
    """Add the parameters of a request that a model may heed."""
    command.add_argument("--temperature", type=float, metavar="NUMBER", help="how varied replies are; 0 for the least")
    command.add_argument("--max-tokens", type=int, metavar="NUMBER", help="the most tokens of a reply")
    command.add_argument(
        "--stop", action="append", metavar="TEXT", help="a text before which a reply ends; may be repeated"
    )


def model_or_exit(options: argparse.Namespace, **settings: Any) -> "ChatDarkAI":
    """Return the model that the options name, with further settings, or end the program where they cannot work."""
    from langchain_darkai.chat_models import ChatDarkAI

    given = {name: getattr(options, name, None) for name in ("base_url", "temperature", "max_tokens", "stop")}
    given = {name: value for name, value in given.items() if value not in (None, "")}
    try:
        if options.api_key_file:
            given["api_key"] = Path(options.api_key_file).read_text(encoding="utf-8").strip()
        # One limit for the user to know: --timeout is also the longest gap in a reply.
        limits = {"timeout": options.timeout, "stream_chunk_timeout": options.timeout}
        return ChatDarkAI(model=options.model, allow_empty=True, **{**limits, **given, **settings})
    except OSError as error:
        usage_error(f"--api-key-file {options.api_key_file} cannot be read: {error.strerror}.")
    except ValueError as error:
        usage_error(in_terminal_words(sentence_of(error), options.words))


@contextlib.contextmanager
def reached_model(options: argparse.Namespace) -> "Iterator[ChatDarkAI]":
    """Make the model that the options name, and end the program where they cannot work.

    Where nobody has named an endpoint, it says where prompts would go. At a terminal it offers a local server instead,
    which runs until the end of the `with` statement.
    """
    from langchain_darkai.client import DarkAI

    model = model_or_exit(options)
    if model.base_url:
        yield model
        return
    state = "" if DarkAI.working else ", which is down at the moment"
    print(
        f"Neither DARKAI_BASE_URL nor --base-url is set: requests go to {DarkAI.api_endpoint}, the hosted service"
        f"{state}. `langchain-darkai serve` runs a server here.",
        file=sys.stderr,
    )
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty() and _wants_local_server()):
        yield model
        return
    from langchain_darkai.server import LocalServer

    with LocalServer() as server:
        yield model_or_exit(options, base_url=server.url)


def _wants_local_server() -> bool:
    print("Use a local server with the offline model for now? [Y/n] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        raise KeyboardInterrupt
    return not answer.strip().lower().startswith("n")
