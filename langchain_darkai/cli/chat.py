"""`langchain-darkai chat`."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from langchain_darkai.cli.endpoint import add_endpoint_options, model_or_exit
from langchain_darkai.cli.failures import sentence_of, usage_error

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_darkai.chat_models import ChatDarkAI

__all__ = ["HELP", "add_options", "run"]

HELP = "send a prompt, or standard input, or talk at a terminal; replies are streamed"


def add_options(chat: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    chat.add_argument("prompt", nargs="?", metavar="PROMPT", help="the prompt; none, or -, for standard input")
    chat.add_argument("--system", metavar="TEXT", help="a system message to begin with")
    add_endpoint_options(chat, timeout=600.0)


def run(options: argparse.Namespace) -> None:
    """Send the prompt, or standard input, or talk at the terminal."""
    from langchain_core.messages import HumanMessage

    model = model_or_exit(options)
    history: list[BaseMessage | tuple[str, str]] = [("system", options.system)] if options.system else []
    if options.prompt in (None, "-"):
        if options.prompt is None and sys.stdin.isatty():
            _converse(model, history)
            return
        prompt = sys.stdin.read().strip("\n")
    else:
        prompt = options.prompt
    if not prompt.strip():
        usage_error("there is no prompt: give one as an argument, or on standard input.")
    shown: list[str] = []
    try:
        _print_reply(model, [*history, HumanMessage(prompt)], shown)
    finally:
        if shown and not shown[-1].endswith("\n"):
            print()


def _converse(model: "ChatDarkAI", history: "list[BaseMessage | tuple[str, str]]") -> None:
    """Talk at the terminal until the input ends.

    Ctrl+C ends a reply; what was shown of it stays in the conversation. Where a message failed, an empty line sends it
    again.
    """
    from langchain_core.exceptions import ModelError
    from langchain_core.messages import AIMessage, HumanMessage

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - editing and history for input()
    print("Ctrl+C ends a reply, Ctrl+D the conversation.")
    unsent = ""
    while True:
        try:
            text = input("> ") or unsent
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            continue
        if not text.strip():
            continue
        shown: list[str] = []
        unsent = ""
        try:
            _print_reply(model, [*history, HumanMessage(text)], shown)
        except KeyboardInterrupt:
            print(" [interrupted]", end="")
            if not shown:
                unsent = text
                print("\nYour message is kept: press Enter to send it again.")
                continue
        except ModelError as error:
            if shown:
                print(flush=True)
            print(sentence_of(error), file=sys.stderr)
            if not shown:
                unsent = text
                print("Your message is kept: press Enter to send it again.", file=sys.stderr)
                continue
        print()
        history += [HumanMessage(text), AIMessage("".join(shown))]


def _print_reply(model: "ChatDarkAI", messages: "Sequence[BaseMessage | tuple[str, str]]", shown: list[str]) -> None:
    """Print a reply as it comes, and add what is printed to `shown`."""
    for chunk in model.stream(list(messages)):
        shown.append(chunk.text)
        print(chunk.text, end="", flush=True)
