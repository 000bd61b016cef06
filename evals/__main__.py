"""Measure how well a model calls tools: `python -m evals MODEL`; README.md, beside this file, tells more."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue

from tqdm import tqdm

from evals import leaderboard
from evals.cost import instruction_tokens
from evals.subject import Client, Subject, of_file, of_provider
from evals.tables import Result, record, report
from evals.tasks import MORE_WAYS, WAYS, Outcome, Task, tasks

CATEGORIES = (*leaderboard.CATEGORIES, "structured", "agent", "cost")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "langchain-darkai-evals"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    for name, known in (("ways", (*WAYS, *MORE_WAYS)), ("categories", CATEGORIES)):
        if unknown := set(getattr(options, name)) - set(known):
            parser.error(f"--{name}: there is no {min(unknown)}. There are: {','.join(known)}")
    os.environ["LANGSMITH_TRACING"] = "false"
    asked = [category for category in options.categories if category != "cost"]
    with _subject(parser, options) as subject:
        results = list(_results(subject, tasks(options.ways, asked, options.sample), options.jobs))
        costs = instruction_tokens(subject) if "cost" in options.categories and subject.is_engine else {}
    if options.details:
        lines = (json.dumps(result._asdict(), ensure_ascii=False) + "\n" for result in results)
        options.details.write_text("".join(lines), encoding="utf-8")
    section = report(subject.name, _command(options, parser), results, costs)
    print(section)
    if options.record:
        record(subject.name, section)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evals", description=__doc__)

    def names(text: str) -> list[str]:
        return text.split(",")

    parser.add_argument("model", metavar="MODEL", help="a GGUF file, or provider:name, as init_chat_model takes it")
    parser.add_argument("--base-url", help="where the provider's API is; needed for provider:name")
    parser.add_argument(
        "--ways", type=names, default=list(WAYS), help=f"default: {','.join(WAYS)}; also: {','.join(MORE_WAYS)}"
    )
    parser.add_argument("--categories", type=names, default=list(CATEGORIES), help=f"default: {','.join(CATEGORIES)}")
    parser.add_argument("--sample", type=int, default=40, help="questions of each category at most; default: 40")
    parser.add_argument("--jobs", type=int, default=2, help="questions at once; default: 2")
    parser.add_argument("--context", type=int, default=8192, help="tokens of the engine's context; default: 8192")
    threads = max(1, (os.cpu_count() or 1) - 1)  # they wait for each other, and would for one that has no core
    parser.add_argument("--threads", type=int, default=threads, help="of the engine; default: a core is left to others")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"the folder for replies; default: {CACHE.name}")
    parser.add_argument("--details", type=Path, metavar="FILE", help="write each verdict, and why, as lines of JSON")
    parser.add_argument("--record", action="store_true", help="put the tables into README.md")
    return parser


def _subject(parser: argparse.ArgumentParser, options: argparse.Namespace) -> AbstractContextManager[Subject]:
    weights = Path(options.model).expanduser()
    if weights.is_file():
        if find_spec("xllamacpp") is None:
            parser.error(
                "xllamacpp is not installed, which reads GGUF files; there may be no wheel of it for this machine."
            )
        size = {"slots": options.jobs, "context": options.context, "threads": options.threads}
        return of_file(weights, options.cache, **size)
    if ":" not in options.model:
        parser.error(f"{options.model} is no file, and no provider:name.")
    if not options.base_url:
        parser.error("--base-url is needed for a provider's model: the replies are kept between it and the clients.")
    return of_provider(options.model, options.base_url, options.cache)


def _results(subject: Subject, todo: list[Task], jobs: int) -> Iterator[Result]:
    """Yield the results in the order of the tasks."""
    free: SimpleQueue[Client] = SimpleQueue()

    def run(task: Task) -> Result:
        client = free.get()
        client.forget()
        try:
            outcome = task.run(client)
        except Exception as error:  # noqa: BLE001 - whatever a model's class raises is what is counted
            outcome = Outcome("raised", f"{type(error).__name__}: {error}")
        tally = client.tally()
        free.put(client)
        return Result(
            task.way, task.category, task.id, outcome.verdict, tally.prompt_tokens, tally.requests, outcome.detail
        )

    with subject.clients(jobs) as clients, ThreadPoolExecutor(jobs) as executor:
        for client in clients:
            free.put(client)
        yield from tqdm(executor.map(run, todo), total=len(todo), unit="task", file=sys.stderr, disable=None)


def _command(options: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """Return the command as another machine would run it, without where its files are."""
    words = [Path(options.model).name]
    for name in ("base_url", "ways", "categories", "sample", "jobs", "context", "threads"):
        value = getattr(options, name)
        if value != parser.get_default(name):
            words += [f"--{name.replace('_', '-')}", ",".join(value) if isinstance(value, list) else str(value)]
    return f"python -m evals {shlex.join(words)}"


if __name__ == "__main__":
    main()
