"""The command line: langchain-darkai demo | chat | serve | check."""

import argparse
import contextlib
import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import ValidationError

from langchain_darkai._text import one_line
from langchain_darkai._version import __version__
from langchain_darkai.chat_models import ChatDarkAI
from langchain_darkai.client import DarkAI

__all__ = ["main"]


class _CommandError(Exception):
    """What ends a command with exit code 1, in one line for a person."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 for success, 1 for a failure, 2 for wrong usage, 130 for Ctrl+C.

    `arguments` are the words after the command's name; None takes them from the process.
    """
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character still shows the others
    warnings.formatwarning = lambda message, *_, **__: f"langchain-darkai: {message}\n"
    try:
        code: int = options.run(options) or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has left, like `head`. That is no failure, and Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (_CommandError, ModelError, ValueError, OSError) as error:
        print(f"langchain-darkai {options.command}: {_sentence_of(error)}", file=sys.stderr)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="langchain-darkai", description="Chat over the DarkAI API, and serve any LangChain chat model by it."
    )
    parser.add_argument("--version", action="version", version=f"langchain-darkai {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(run=run)
        return command

    add("demo", _demo, "show the package at work, on DARKAI_BASE_URL or on a local server")

    chat = add("chat", _chat, "send a prompt, or standard input, or talk at a terminal; replies are streamed")
    chat.add_argument("prompt", nargs="?", metavar="PROMPT", help="the prompt; none, or -, for standard input")
    chat.add_argument("--system", metavar="TEXT", help="a system message to begin with")

    check = add("check", _check, "check that the endpoint answers; the exit code is 0 if it does")
    for command, timeout in ((chat, 600.0), (check, 30.0)):
        command.add_argument("--model", default=DarkAI.default_model, help="the model's name (default: %(default)s)")
        command.add_argument("--base-url", metavar="URL", help="where the API is (default: DARKAI_BASE_URL)")
        command.add_argument(
            "--timeout", type=float, default=timeout, metavar="SECONDS", help="for a whole call (default: %(default)g)"
        )

    serve = add("serve", _serve, "run the local server; clients must send the key in DARKAI_API_KEY, if it is set")
    _add_server_options(serve)
    return parser


def _add_server_options(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="the port; 0 for a free one (default: %(default)s)")
    serve.add_argument(
        "--allowed-host",
        action="append",
        metavar="NAME",
        help="a name by which clients may call the server, such as that of a proxy before it; may be repeated",
    )
    serve.add_argument(
        "--no-prefill",
        action="store_true",
        help="do not begin tool calls and JSON for the model behind, for APIs that refuse it",
    )
    serve.add_argument("--no-page", action="store_true", help="do not offer the page to chat in a browser, at /")
    serve.add_argument(
        "--backend",
        metavar="PROVIDER:MODEL",
        help="the model behind, as langchain's init_chat_model names it (default: the offline model)",
    )


def _demo(_options: argparse.Namespace) -> None:
    from langchain_darkai._demo import run_demo

    run_demo()


def _chat(options: argparse.Namespace) -> None:
    model = _model_or_exit(options)
    history: list[BaseMessage | tuple[str, str]] = [("system", options.system)] if options.system else []
    if options.prompt in (None, "-"):
        if options.prompt is None and sys.stdin.isatty():
            _converse(model, history)
            return
        prompt = sys.stdin.read().strip("\n")
    else:
        prompt = options.prompt
    if not prompt.strip():
        _usage_error("there is no prompt: give one as an argument, or on standard input.")
    shown: list[str] = []
    try:
        _print_reply(model, [*history, HumanMessage(prompt)], shown)
    finally:
        if shown and not shown[-1].endswith("\n"):
            print()


def _model_or_exit(options: argparse.Namespace) -> ChatDarkAI:
    given = {"base_url": options.base_url} if options.base_url else {}
    try:
        return ChatDarkAI(model=options.model, timeout=options.timeout, allow_empty=True, **given)
    except ValueError as error:
        _usage_error(_sentence_of(error))


def _usage_error(message: str) -> NoReturn:
    print(f"langchain-darkai: {message}", file=sys.stderr)
    raise SystemExit(2)


def _converse(model: ChatDarkAI, history: list[BaseMessage | tuple[str, str]]) -> None:
    """Talk at the terminal until the input ends.

    Ctrl+C ends a reply; what was shown of it stays in the conversation. Where a message failed, an empty line sends it
    again.
    """
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
            print(_sentence_of(error), file=sys.stderr)
            if not shown:
                unsent = text
                print("Your message is kept: press Enter to send it again.", file=sys.stderr)
                continue
        print()
        history += [HumanMessage(text), AIMessage("".join(shown))]


def _print_reply(model: ChatDarkAI, messages: Sequence[BaseMessage | tuple[str, str]], shown: list[str]) -> None:
    """Print a reply as it comes, and add what is printed to `shown`."""
    for chunk in model.stream(list(messages)):
        shown.append(chunk.text)
        print(chunk.text, end="", flush=True)


def _check(options: argparse.Namespace) -> None:
    model = _model_or_exit(options)
    started = time.perf_counter()
    first: float | None = None
    length = 0
    for chunk in model.stream("Say hello."):
        first = first or time.perf_counter() - started
        length += len(chunk.text)
    total = time.perf_counter() - started
    host = DarkAI(base_url=model.base_url).host
    if not length:
        raise _CommandError(f"{host} sent an empty reply, after {total:.2f} s.")
    print(f"{host} answers as {options.model}: first text after {first:.2f} s, {length} characters in {total:.2f} s.")


def _serve(options: argparse.Namespace) -> None:
    from langchain_darkai.server import serve

    backend = None
    name = "the offline model"
    if options.backend:
        try:
            from langchain.chat_models import init_chat_model
        except ImportError as error:
            raise _CommandError(
                "--backend needs langchain: pip install langchain, and the provider's package."
            ) from error
        try:
            backend = init_chat_model(options.backend)
        except ImportError as error:
            raise _CommandError(_sentence_of(error)) from error
        name = options.backend
    serve(
        backend,
        host=options.host,
        port=options.port,
        api_key=os.environ.get("DARKAI_API_KEY"),
        allowed_hosts=options.allowed_host,
        prefill=False if options.no_prefill else None,
        page=not options.no_page,
        on_ready=lambda url: print(f"Serving {name} at {url} (Ctrl+C stops).", flush=True),
    )


def _sentence_of(error: BaseException) -> str:
    """Return what an error says, in one line, without what pydantic adds around a setting's message."""
    if isinstance(error, ValidationError):
        return " ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(text) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
