"""The command line: langchain-darkai demo | chat | serve | check | key."""

import argparse
import contextlib
import io
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import ValidationError

from langchain_darkai._text import one_line
from langchain_darkai._version import __version__
from langchain_darkai.chat_models import ChatDarkAI
from langchain_darkai.client import DarkAI

if TYPE_CHECKING:
    from langchain_darkai.server import ServerOperations
    from langchain_darkai.server.backends import Plan
    from langchain_darkai.server.workers import Worker

__all__ = ["main"]


class _CommandError(Exception):
    """What ends a command with exit code 1, in one line for a person."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 for success, 1 for a failure, 2 for wrong usage, 130 for Ctrl+C.

    `arguments` are the words after the command's name; None takes them from the process.
    """
    options = _parser().parse_args(arguments)
    options.words = list(sys.argv[1:] if arguments is None else arguments)
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
    _add_operation_options(serve)
    _add_key_options(add("key", _key, "make a key for a client of the server, and its line for the file of keys"))
    return parser


def _add_server_options(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, help="the port; 0 for a free one (default: 8000)")
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
        action="append",
        default=[],
        metavar="[NAME=]PROVIDER:MODEL[@URL]",
        help="a model behind, such as llama.cpp:FILE.gguf, ollama:llama3.1, openai:MODEL@http://gpu-1:8000/v1 or "
        "offline; may be repeated, the first is the default (default: the offline model)",
    )
    serve.add_argument(
        "--config", metavar="FILE", help="a TOML file with settings and backends; options given here override it"
    )
    serve.add_argument(
        "--native",
        action="append",
        metavar="[MODEL=]WHEN",
        help="when tools and schemas are bound to the models, and not written into the prompt: auto (where they can), "
        "always, never, or schema (engines that constrain JSON); may be repeated (default: auto)",
    )
    serve.add_argument("--check", action="store_true", help="only say what would be served")


def _add_operation_options(serve: argparse.ArgumentParser) -> None:
    group = serve.add_argument_group(
        "options for a server that is left running",
        "Each may also be given as an environment variable, such as DARKAI_SERVER_KEYS_FILE.",
    )
    group.add_argument("--keys-file", metavar="FILE", help="keys of clients, as `langchain-darkai key` makes them")
    for_models = {
        "--max-concurrency": ("NUMBER", "how many replies a model makes at once; further requests wait"),
        "--max-queue": ("NUMBER", "how many requests may wait for a model (default: 100); further ones are refused"),
        "--timeout": ("SECONDS", "for a whole reply with its wait (default: 600)"),
        "--max-prompt-bytes": ("NUMBER", "the longest request (default: 16777216)"),
    }
    for option, (what, text) in for_models.items():
        shown = f"{text}; with MODEL= for that one alone; may be repeated"
        group.add_argument(option, action="append", metavar=f"[MODEL=]{what}", help=shown)
    group.add_argument("--limits-url", metavar="URL", help="a Redis on which several processes count requests together")
    group.add_argument("--metrics", action="store_true", default=None, help="answer /metrics for Prometheus")
    group.add_argument("--log-format", metavar="FORMAT", help="plain, json or none (default: plain)")
    group.add_argument("-v", "--verbose", action="store_true", default=None, help="log what is sent to the models, too")
    group.add_argument("--workers", metavar="NUMBER", help="how many processes answer at the port (default: 1)")


def _add_key_options(key: argparse.ArgumentParser) -> None:
    key.add_argument("name", metavar="NAME", help="what the server's log calls the key")
    key.add_argument("--model", action="append", metavar="NAME", help="a model that it may use; may be repeated")
    key.add_argument("--at-once", type=int, metavar="NUMBER", help="how many of its requests may run at once")
    key.add_argument("--per-minute", type=int, metavar="NUMBER", help="how many requests it may send a minute")


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


def _key(options: argparse.Namespace) -> None:
    from langchain_darkai.server.keys import new_key

    limits = {"models": options.model, "at_once": options.at_once, "per_minute": options.per_minute}
    secret, key = new_key(options.name, **limits)
    print(f"The key, which is shown only now: {secret}")
    print(f"Its line for the file of keys:    {key.line}")


def _serve(options: argparse.Namespace) -> int:
    from langchain_darkai.server.backends import BackendError
    from langchain_darkai.server.environment import log_settings, operations_from, plan_from, workers_from
    from langchain_darkai.server.request_log import logging_to_stderr
    from langchain_darkai.server.workers import run_workers, this_worker

    try:
        plan = plan_from(options)
    except BackendError as error:
        _usage_error(_sentence_of(error))
    worker, count = this_worker(), workers_from(options, plan.config)
    operations = operations_from(options, plan.config)
    settings = _server_settings(options, plan)
    place = settings["host"], settings["port"]
    style, with_prompts = log_settings(options, plan.config)
    if options.check:
        from langchain_darkai.server.runner import netloc

        print(*plan.lines(), f"Would listen on {netloc(*place)}, {_keys(plan, operations)}.", sep="\n")
        return 0
    with logging_to_stderr(style, with_prompts=with_prompts):
        if count > 1 and worker is None:
            reloads = operations.keys_file is not None
            return run_workers(options.words, count, *place, metrics=operations.metrics, reloads=reloads)
        _serve_here(plan, settings, operations, worker)
    return 0


def _server_settings(options: argparse.Namespace, plan: "Plan") -> dict[str, Any]:
    """Return the settings of the server that the configuration has, and those of the options, which come first."""
    from langchain_darkai.server.environment import native_from

    given: dict[str, Any] = {"host": options.host, "port": options.port, "allowed_hosts": options.allowed_host}
    given |= {"prefill": False if options.no_prefill else None, "page": False if options.no_page else None}
    settings = {"host": "127.0.0.1", "port": 8000, **plan.server.given(), "native": native_from(options, plan)}
    return settings | {name: value for name, value in given.items() if value is not None}


def _keys(plan: "Plan", operations: "ServerOperations") -> str:
    """Return which key clients need, and where it is."""
    variable = plan.server.api_key_env or "DARKAI_API_KEY"
    places = [f"the key in {variable}"] if os.environ.get(variable) or plan.server.api_key_env else []
    places += [f"a key of {operations.keys_file}"] if operations.keys_file else []
    places += ["a key of DARKAI_SERVER_KEYS"] if operations.keys else []
    return f"with {' or '.join(places)}" if places else "no key needed"


def _serve_here(
    plan: "Plan", settings: dict[str, Any], operations: "ServerOperations", worker: "Worker | None"
) -> None:
    """Serve in this process, as the only one or as a worker, of which the first says where they are."""
    from langchain_darkai.server import serve

    key = plan.api_key()

    def on_ready(url: str) -> None:
        if worker is None or worker.is_first:
            reachable = _reachable(url, settings["host"])
            print(f"Serving {plan.names} at {reachable}, {_keys(plan, operations)} (Ctrl+C stops).", flush=True)
        if worker is not None:
            worker.tell_ready()

    serve(
        plan.make(),
        **settings,
        api_key=key,
        operations=operations,
        on_ready=on_ready,
        on_stop=_print_waiting,
        sock=worker and worker.listener,
    )


def _reachable(url: str, host: str) -> str:
    """Return the URL by which other machines reach a server that listens on every address, else the URL as it is."""
    from langchain_darkai.server.runner import netloc

    probes = {"0.0.0.0": "192.0.2.1", "::": "2001:db8::1"}  # noqa: S104 - addresses for examples, which nobody has
    if host not in probes:
        return url
    with contextlib.suppress(OSError):  # there is no network
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((probes[host], 9))  # sends nothing: the system only chooses the address to send from
            return f"http://{netloc(probe.getsockname()[0], int(url.rpartition(':')[2]))}"
    return url


def _print_waiting(replies: int) -> None:
    if replies:
        what = "1 reply" if replies == 1 else f"{replies} replies"
        print(
            f"Waiting for {what} to finish; press Ctrl+C again to end {'it' if replies == 1 else 'them'}.", flush=True
        )


def _sentence_of(error: BaseException) -> str:
    """Return what an error says, in one line, without what pydantic adds around a setting's message."""
    if isinstance(error, ValidationError):
        return " ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(text) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
