"""`langchain-darkai serve`."""

import argparse
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

from langchain_darkai.cli.failures import sentence_of, usage_error

if TYPE_CHECKING:
    from langchain_darkai.server import ServerOperations
    from langchain_darkai.server.backends import Plan
    from langchain_darkai.server.workers import Worker

__all__ = ["HELP", "add_options", "run"]

HELP = "run the local server; clients must send the key in DARKAI_API_KEY, if it is set"


def add_options(serve: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    _add_server_options(serve)
    _add_operation_options(serve)


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
    serve.add_argument("--check", action="store_true", help="only say what would be served, or what is wrong")


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


def run(options: argparse.Namespace) -> int:
    """Serve until a signal, or only say what would be served."""
    from langchain_darkai.server.backends import BackendError
    from langchain_darkai.server.environment import log_settings, operations_from, plan_from, workers_from
    from langchain_darkai.server.request_log import logging_to_stderr
    from langchain_darkai.server.workers import run_workers, this_worker

    try:
        plan = plan_from(options)
    except BackendError as error:
        usage_error(sentence_of(error))
    worker, count = this_worker(), workers_from(options, plan.config)
    operations = operations_from(options, plan)
    settings = _server_settings(options, plan)
    place = settings["host"], settings["port"]
    style, with_prompts = log_settings(options, plan.config)
    if options.check:
        from langchain_darkai.server.runner import netloc

        _check(plan, settings, operations)
        print(*plan.lines(), f"Would listen on {netloc(*place)}, {_keys(plan, operations)}.", sep="\n")
        return 0
    with logging_to_stderr(style, with_prompts=with_prompts):
        if count > 1 and worker is None:
            reloads = operations.keys_file is not None
            return run_workers(options.words, count, *place, metrics=operations.metrics, reloads=reloads)
        _serve_here(plan, settings, operations, worker)
    return 0


def _check(plan: "Plan", settings: dict[str, Any], operations: "ServerOperations") -> None:
    """Raise what `serve` would raise, but for what takes the models themselves, their keys or the port."""
    from langchain_darkai.server import create_app
    from langchain_darkai.server.runner import check_port

    check_port(settings["port"])
    of_app = {name: value for name, value in settings.items() if name not in {"host", "port"}}
    create_app(plan.stand_ins(), operations=operations, **of_app)


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
