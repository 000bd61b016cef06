"""`langchain-darkai chat`."""

import argparse
import os
import stat
import sys
from typing import TYPE_CHECKING

from langchain_darkai.cli.endpoint import add_endpoint_options, add_request_options, reached_model
from langchain_darkai.cli.failures import needs_extra, usage_error

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

__all__ = ["HELP", "add_options", "run"]

HELP = "send a prompt, or standard input, or both; or talk at a terminal"


def add_options(chat: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    chat.add_argument(
        "prompt",
        nargs="?",
        metavar="PROMPT",
        help="the prompt; what is piped in follows it. Without it, or with -, that alone is sent",
    )
    chat.add_argument("--system", metavar="TEXT", help="a system message to begin with")
    add_endpoint_options(chat, timeout=600.0)
    add_request_options(chat)
    chat.add_argument("--plain", action="store_true", help="show replies as text, without Markdown and colours")
    chat.add_argument("--json", action="store_true", help="print one JSON object a reply, in one line")
    chat.add_argument("--no-stream", action="store_true", help="ask for whole replies, not piece by piece")


def run(options: argparse.Namespace) -> None:
    """Send the prompt, or talk at the terminal."""
    at_terminal = options.prompt is None and sys.stdin.isatty() and sys.stdout.isatty()
    prompt = "" if at_terminal else _prompt(options.prompt)
    with reached_model(options) as model:
        if at_terminal:
            with needs_extra("a conversation at the terminal"):
                from langchain_darkai.cli.conversation import Conversation

            Conversation(model, options).run()
            return
        from langchain_core.messages import HumanMessage, SystemMessage

        from langchain_darkai.cli.displays import display_for
        from langchain_darkai.cli.reply import Reply, fetch

        messages: list[BaseMessage] = [SystemMessage(options.system)] if options.system else []
        with display_for(options) as display:
            fetch(model, [*messages, HumanMessage(prompt)], Reply(), display, streams=not options.no_stream)


def _prompt(argument: str | None) -> str:
    """Return the prompt of the command line with what is piped in, or end the program where there is none."""
    words = "" if argument in (None, "-") else str(argument)
    given = sys.stdin.read().strip("\n") if argument in (None, "-") or _is_piped() else ""
    prompt = "\n\n".join(part for part in (words, given) if part.strip())
    return prompt or usage_error("there is no prompt: give one as an argument, or on standard input.")


def _is_piped() -> bool:
    """Return whether standard input is a pipe or a file. Anything else could be left open by what runs the command."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)
