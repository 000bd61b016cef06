"""What is measured: one row of the table each."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from benchmarks import contenders, parsing, server
from benchmarks.measure import Clock, Job, Samples, Time, take_turns

# What the server sends, as its URLs say it.
BURST = "prose/2000/50/0"
SINGLE = "prose/2000/1/0"
PACED = "prose/250/1/4"
SHORT = "prose/1/1/0"
MANY, MANY_BURST, MANY_OPEN = 300, "prose/200/50/0", "prose/200/50/250"

PEERS: dict[str, Callable[[str], Any]] = {"openai": contenders.openai, "ollama": contenders.ollama}
PROFILED = "ours"


@dataclass(frozen=True)
class Setting:
    """Where and how long a row is measured: the server's address, the loop of all asynchronous jobs, and the time."""

    url: str
    loop: asyncio.AbstractEventLoop
    time: Time

    def job(self, function: Callable[..., Coroutine[Any, Any, int]], *arguments: Any, times: int = 1) -> Job:
        """Return a job that runs a coroutine function, so many times."""

        async def repeated() -> int:
            return sum([await function(*arguments) for _ in range(times)])

        return lambda: self.loop.run_until_complete(repeated())

    @contextmanager
    def bare(self, path: str, loads: Callable[[str], Any] = orjson.loads) -> Iterator[contenders.BareClient]:
        """Give a bare client of its own."""
        bare = contenders.BareClient(f"{self.url}/{path}", loads)
        try:
            yield bare
        finally:
            self.loop.run_until_complete(bare.aclose())


@dataclass(frozen=True)
class Outcome:
    """A row's result: what this package took, in `unit`s, and ratios by column.

    Against "bare", "json" (the same with the standard library's JSON) and "core" (the bare client under LangChain
    core), a ratio is this package's time over theirs; against its peers, theirs over this package's. What stands at
    "astream" is no ratio: it is how much more this package's server takes than the model behind it alone.
    """

    ours: float
    unit: str
    ratios: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Row:
    """A row of a table. `targets` are by column: at most so many times the bare client, so many times faster.

    Those at "ours" and "astream" are the most that it may be, in the row's unit.
    """

    name: str
    title: str
    clock: str
    targets: Mapping[str, float]
    run: Callable[[Any], Outcome]


AT_MOST = {"bare", "json", "ours", "astream"}
"""The columns where less is better."""


def is_missed(column: str, ratio: float, target: float | None) -> bool:
    """Return whether a ratio is not where it should stand; it may stand anywhere without a target."""
    return target is not None and (ratio > target if column in AT_MOST else ratio < target)


def _contest(jobs: dict[str, Job], setting: Setting, clock: Clock = "wall", unit: float = 1.0) -> Outcome:
    """Let all jobs take turns; `unit` is the number of things that one job does."""
    samples = take_turns(jobs, setting.time)
    ours = samples[PROFILED]
    assert all(its.result == ours.result for its in samples.values()), "The contenders got different texts."
    ratios = {name: _ratio(name, ours, its, clock) for name, its in samples.items() if its is not ours}
    return _timed(ours.median(clock) / unit, ratios)


def _ratio(name: str, ours: Samples, its: Samples, clock: Clock) -> float:
    return its.over(ours, clock) if name in PEERS else ours.over(its, clock)


def _timed(seconds: float, ratios: Mapping[str, float]) -> Outcome:
    return Outcome(seconds * 1e3, "ms", ratios) if seconds > 1e-3 else Outcome(seconds * 1e6, "µs", ratios)


def _asynchronous(
    path: str,
    use: Callable[[Any], Coroutine[Any, Any, int]],
    setting: Setting,
    *,
    peers: tuple[str, ...] = ("openai", "ollama"),
    clock: Clock = "wall",
    unit: float = 1.0,
) -> Outcome:
    """Compare one asynchronous use of all clients."""
    url = f"{setting.url}/{path}"
    with setting.bare(path) as bare, setting.bare(path, json.loads) as bare_with_json:
        jobs = {
            "bare": setting.job(contenders.read, bare),
            "json": setting.job(contenders.read, bare_with_json),
            "core": setting.job(use, contenders.CoreOverBare(bare=bare)),
            "ours": setting.job(use, contenders.darkai(url)),
            **{name: setting.job(use, PEERS[name](url)) for name in peers},
        }
        return _contest(jobs, setting, clock, unit)


def _short_ainvoke(setting: Setting) -> Outcome:
    """Compare a short call; the bare client's time includes what a call of LangChain core costs by itself."""
    url, times = f"{setting.url}/{SHORT}", 30

    async def bare_and_core(bare: contenders.BareClient, core: contenders.CoreOverBare) -> int:
        await contenders.ainvoke(core)
        return await contenders.read(bare)

    with setting.bare(SHORT) as bare:
        core = contenders.CoreOverBare(bare=bare, constant="text")
        jobs = {
            "bare": setting.job(bare_and_core, bare, core, times=times),
            "core": setting.job(contenders.ainvoke, contenders.CoreOverBare(bare=bare), times=times),
            "ours": setting.job(contenders.ainvoke, contenders.darkai(url), times=times),
            **{name: setting.job(contenders.ainvoke, peer(url), times=times) for name, peer in PEERS.items()},
        }
        return _contest(jobs, setting, unit=times)


def _synchronous(path: str, use: Callable[[Any], int], setting: Setting, *, times: int = 1) -> Outcome:
    """Compare one synchronous use of all models; the bare client stays asynchronous."""
    url = f"{setting.url}/{path}"
    elsewhere = contenders.BareClient(url)
    models = {"ours": contenders.darkai(url), **{name: peer(url) for name, peer in PEERS.items()}}
    if use is contenders.invoke:
        models["core"] = contenders.CoreOverBare(bare=elsewhere)

    def repeated(model: Any) -> int:
        return sum(use(model) for _ in range(times))

    with setting.bare(path) as bare:
        jobs: dict[str, Job] = {
            "bare": setting.job(contenders.read, bare, times=times),
            **{name: partial(repeated, model) for name, model in models.items()},
        }
        outcome = _contest(jobs, setting, unit=times)
    asyncio.run_coroutine_threadsafe(elsewhere.aclose(), contenders.background_loop()).result()
    return outcome


def _many(setting: Setting) -> Outcome:
    """Compare many streams at once; a quick look spares langchain-openai, which takes ten seconds for each."""
    url = f"{setting.url}/{MANY_BURST}"
    peers = PEERS if setting.time.rounds > 1 else {"ollama": contenders.ollama}
    with setting.bare(MANY_BURST) as bare:
        uses: dict[str, tuple[Any, Any]] = {
            "bare": (contenders.read, bare),
            "core": (contenders.astream, contenders.CoreOverBare(bare=bare)),
            "ours": (contenders.astream, contenders.darkai(url)),
            **{name: (contenders.astream, peer(url)) for name, peer in peers.items()},
        }
        jobs = {name: setting.job(contenders.at_once, use, client, MANY) for name, (use, client) in uses.items()}
        return _contest(jobs, setting, unit=MANY)


def _growth(kind: str, setting: Setting, *, tools: bool = False, **settings: Any) -> Outcome:
    """Compare the cost of an event in a long reply with that in a short one, without that of the call itself."""

    def write_file(path: str, text: str) -> None:
        """Write a text into a file."""

    def read(events: int, times: int = 1) -> Job:
        model: Any = contenders.darkai(f"{setting.url}/{kind}/{events}/50/0", **settings)
        return setting.job(contenders.astream, model.bind_tools([write_file]) if tools else model, times=times)

    small, large = 1_000, 20_000
    repeats = large // small
    jobs = {"none": read(1, repeats), "few": read(small, repeats), PROFILED: read(large)}
    samples = take_turns(jobs, setting.time)
    if setting.time.only:
        return _timed(samples[PROFILED].median("wall") / large, {})
    none, few, many = (samples[name].median("wall") for name in jobs)
    each = (many - none / repeats) / large
    return _timed(each, {"bare": each / ((few - none) / repeats / small)})


def _history(setting: Setting) -> Outcome:
    """Compare the cost of a message in a long history with that in a short one."""
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

    from langchain_darkai import format_prompt

    text = "".join(server.PIECES)

    def history(messages: int) -> list[BaseMessage]:
        return [(AIMessage if place % 2 else HumanMessage)(f"{place}: {text}") for place in range(messages)]

    small, large = 200, 4_000
    many = history(large)
    parts = [many[start : start + small] for start in range(0, large, small)]  # no hotter in the cache than the whole

    def format_few() -> None:
        for few in parts:
            format_prompt(few)

    def format_many() -> None:
        format_prompt(many)

    samples = take_turns({"few": format_few, PROFILED: format_many}, setting.time)
    ours = samples[PROFILED]
    return _timed(ours.median("wall") / large, {"bare": ours.over(samples["few"], "wall")} if len(samples) > 1 else {})


def _parsing(texts: parsing.Texts, read: Callable[[Sequence[str]], None], setting: Setting) -> Outcome:
    seconds, ratio = parsing.per_character(texts, read, setting.time)
    return Outcome(seconds * 1e3, "ms", {"bare": ratio})


def _construction(setting: Setting) -> Outcome:
    seconds, ratio = parsing.construction(setting.time)
    return Outcome(seconds * 1e6, "µs", {"openai": ratio})


def _import_time(setting: Setting) -> Outcome:
    """Compare fresh interpreters that import this package with such that import core's chat models.

    Each pair imports from another depth of calls: at some depths Python 3.11 and later ask the system for memory with
    every call and give it back with every return, which costs up to a quarter of the time, now here, now there.
    """
    core = "from langchain_core.language_models.chat_models import BaseChatModel"
    ours = "from langchain_darkai import ChatDarkAI"

    def fresh(statement: str, depth: int) -> float:
        return float(_output([sys.executable, "-c", IMPORT_AT_DEPTH.format(statement=statement, depth=depth)]))

    fresh(ours, 0)  # compiles
    both = [(fresh(core, 3 * turn), fresh(ours, 3 * turn)) for turn in range(max(5, int(setting.time.seconds * 5)))]
    mine, its = (statistics.median(times) for times in zip(*((mine, its) for its, mine in both), strict=True))
    return _timed(mine, {"bare": mine / its})


IMPORT_AT_DEPTH = """
from time import perf_counter as now

def at(depth):
    if depth:
        at(depth - 1)
    else:
        start = now()
        {statement}
        print(now() - start)

at({depth})
"""


def _memory(setting: Setting) -> Outcome:
    """Compare the peak memory of many streams, each contender in a process of its own."""
    url = f"{setting.url}/{MANY_OPEN}"
    bare, core, ours = (
        statistics.median(
            float(_output([sys.executable, "-m", "benchmarks.memory", name, url, str(MANY)]))
            for _ in range(setting.time.rounds)
        )
        for name in ("bare", "core", "ours")
    )
    return Outcome(ours / 1024, "KiB", {"bare": ours / bare, "core": ours / core})


def _output(command: list[str]) -> str:
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=compiled).stdout


ROWS = (
    Row(
        "astream-burst",
        "astream, 50 events a write",
        "wall",
        {"bare": 1.0, "json": 0.55, "openai": 20, "ollama": 3.5},
        partial(_asynchronous, BURST, contenders.astream),
    ),
    Row(
        "astream-single",
        "astream, 1 event a write",
        "wall",
        {"bare": 1.25, "openai": 20, "ollama": 5},
        partial(_asynchronous, SINGLE, contenders.astream),
    ),
    Row(
        "astream-paced",
        "astream, a token every 4 ms",
        "CPU",
        {"bare": 1.4, "openai": 3.5, "ollama": 1.7},
        partial(_asynchronous, PACED, contenders.astream, clock="cpu", unit=250),
    ),
    Row(
        "ainvoke",
        "ainvoke of 2,000 events",
        "wall",
        {"bare": 1.0, "json": 0.55, "ollama": 6},
        partial(_asynchronous, BURST, contenders.ainvoke, peers=("ollama",)),
    ),
    Row(
        "stream",
        "stream of 2,000 events",
        "wall",
        {"openai": 15, "ollama": 3},
        partial(_synchronous, BURST, contenders.stream),
    ),
    Row(
        "ainvoke-short",
        "ainvoke, short reply",
        "wall",
        {"bare": 1.3, "openai": 3.2, "ollama": 2},
        _short_ainvoke,
    ),
    Row(
        "invoke-short",
        "invoke, short reply",
        "wall",
        {"openai": 2.2, "ollama": 1.6},
        partial(_synchronous, SHORT, contenders.invoke, times=30),
    ),
    Row("many", "300 streams at once", "wall", {"bare": 1.2, "openai": 25, "ollama": 7}, _many),
    Row(
        "growth-plain",
        "an event, 20,000 over 1,000",
        "wall",
        {"bare": 1.1},
        partial(_growth, "prose"),
    ),
    Row(
        "growth-stop",
        "- with a stop sequence",
        "wall",
        {"bare": 1.1},
        partial(_growth, "prose", stop=["\nThe end"]),
    ),
    Row("growth-tools", "- with tools bound", "wall", {"bare": 1.1}, partial(_growth, "prose", tools=True)),
    Row(
        "growth-argument",
        "- in one tool argument",
        "wall",
        {"bare": 1.1},
        partial(_growth, "argument", tools=True),
    ),
    Row("growth-history", "a message, 4,000 over 200", "wall", {"bare": 1.1}, _history),
    Row(
        "parse-prose",
        "1 MB of prose, tools bound",
        "CPU",
        {"ours": 50, "bare": 1.1},
        partial(_parsing, parsing.prose, parsing.parse),
    ),
    Row(
        "parse-code",
        "- of prose with code",
        "CPU",
        {"ours": 50, "bare": 1.1},
        partial(_parsing, parsing.code, parsing.parse),
    ),
    Row(
        "parse-argument", "- of one argument", "CPU", {"bare": 1.1}, partial(_parsing, parsing.argument, parsing.parse)
    ),
    Row(
        "parse-answer",
        "- of a structured answer",
        "CPU",
        {"bare": 1.1},
        partial(_parsing, parsing.answer, parsing.read_answer),
    ),
    Row("parse-calls", "- of 10,000 calls", "CPU", {"bare": 1.1}, partial(_parsing, parsing.calls, parsing.parse)),
    Row("construction", "ChatDarkAI()", "CPU", {"ours": 60}, _construction),
    Row("import", "import, over core's", "wall", {"bare": 1.03}, _import_time),
    Row("memory", "peak of 300 streams, each", "heap", {"bare": 1.2}, _memory),
)
