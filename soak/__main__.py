"""Run the soak, print what it counted, and exit with 1 where something broke a promise."""

import argparse
import asyncio
import gc
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import psutil

from langchain_darkai import ChatDarkAI, DarkAI, DarkAIConnectionError, DarkAIError, DarkAIStreamTruncatedError
from soak.replies import Question
from tests.support.faults import FAULTS, Fault

TABLE = {fault.name: fault for fault in FAULTS if fault.where == "here" and fault.name != "an event that is too long"}
MOST_FILES, MOST_THREADS, MOST_MEGABYTES = 20, 4, 40  # how much more there may be at the end than after the warm-up


class Use(NamedTuple):
    """What the process holds at one moment."""

    files: int
    threads: int
    megabytes: float

    @classmethod
    def now(cls) -> "Use":
        """Return it, after what is on its way out is gone."""
        gc.collect()
        time.sleep(1.5)
        gc.collect()
        process = psutil.Process()
        return cls(process.num_fds(), threading.active_count(), process.memory_info().rss / 2**20)


class Soak:
    """The calls of one run, and what was counted."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.chance = random.Random(seed)
        self.lock = threading.Lock()
        self.number = seed * 10_000_000
        self.calls: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.lost = 0
        self.characters = 0
        self.surprises: list[str] = []
        self.shared = ChatDarkAI(base_url=url, max_retries=3, max_concurrency=100)

    def question(self) -> tuple[Question, str]:
        """Return the next question, and the way to ask it."""
        with self.lock:
            self.number += 1
            way = self.chance.choices(list(WAYS), [weight for weight, _ in WAYS.values()])[0]
            kind = self.chance.random()
            if kind < 0.55:
                return Question(self.number), way
            if kind < 0.7:
                return Question(self.number, "cut"), way
            if kind < 0.8:
                again = [fault.name for fault in TABLE.values() if fault.is_retryable and not fault.settings]
                return Question(self.number, self.chance.choice(again), 1), way
            return Question(self.number, self.chance.choice(list(TABLE))), way

    def model(self, question: Question) -> ChatDarkAI:
        """Return the shared model, or one for this question alone."""
        fault = TABLE.get(question.fault)
        if question.times == 1 or (fault is None and not question.fault and question.number % 2):
            return self.shared
        settings = {"timeout": 20.0, **(fault.settings if fault else {})}
        return ChatDarkAI(base_url=self.url, max_retries=0, **settings)

    def ended(self, question: Question, way: str, got: str, error: BaseException | None, *, streams: bool) -> None:
        """Count a call, and hold what came of it against what had to."""
        fault = TABLE.get(question.fault)
        # A fault that came in one packet with the text before it may have taken that along, and was retried unseen.
        again = question.times == 1 and (error is None or not (streams and fault is not None and fault.text))
        is_good = not question.fault or again
        expected = question.text if is_good else _text_before(question, fault, got)
        problem = None
        if is_good and error is not None:
            problem = f"failed: {error!r}"
        elif not is_good and not _is_expected(question, fault, error):
            problem = f"became {error!r}"
        elif isinstance(error, DarkAIError) and streams and error.partial_text != got:
            problem = f"gave {got!r}, and the error has {error.partial_text!r}"
        with self.lock:
            self.calls[way] += 1
            if error is not None:
                self.errors[type(error).__name__] += 1
            if error is None or streams:
                self.characters += len(got)
                self.lost += len(expected) - next(
                    (n for n, c in enumerate(expected) if got[n : n + 1] != c), len(expected)
                )
                if problem is None and got != expected:
                    problem = f"gave {got!r} for {expected!r}"
            if problem is not None:
                self.surprises.append(f"{question} by {way} {problem}")

    def left(self, question: Question, way: str, got: str) -> None:
        """Count a call that was left or cancelled."""
        with self.lock:
            self.calls[way] += 1
            self.characters += len(got)
            if not question.fault and not question.text.startswith(got):
                self.surprises.append(f"{question} by {way} gave {got!r} for {question.text!r}")
                self.lost += 1


def _is_expected(question: Question, fault: Fault | None, error: BaseException | None) -> bool:
    if question.fault == "cut":
        return isinstance(error, DarkAIStreamTruncatedError)
    assert fault is not None
    return type(error) is fault.kind or (
        fault.kind is DarkAIConnectionError and isinstance(error, DarkAIConnectionError)
    )


def _text_before(question: Question, fault: Fault | None, got: str) -> str:
    """Return the text that comes before a fault; of a cut reply there may be a little more, but not of another text."""
    if fault is not None:
        return fault.text
    least = "" if question.cut[1] else question.text_before_the_cut
    return got if got.startswith(least) and question.text.startswith(got) else least


def invoke(soak: Soak, question: Question) -> None:
    """Ask for a reply whole."""
    got, error = "", None
    try:
        got = soak.model(question).invoke(str(question)).text
    except DarkAIError as failure:
        error = failure
    soak.ended(question, "invoke", got, error, streams=False)


def stream(soak: Soak, question: Question) -> None:
    """Read a stream to its end, or its error."""
    got, error = [], None
    try:
        for chunk in soak.model(question).stream(str(question)):
            got.append(chunk.text)  # noqa: PERF401 - what came before an error counts, too
    except DarkAIError as failure:
        error = failure
    soak.ended(question, "stream", "".join(got), error, streams=True)


def leave(soak: Soak, question: Question) -> None:
    """Leave a stream after its first piece."""
    got = ""
    with suppress(DarkAIError):
        for chunk in soak.model(question).stream(str(question)):
            got = chunk.text
            break
    soak.left(question, "stream, left", got)


def batch(soak: Soak, question: Question) -> None:
    """Ask five good questions at once."""
    asked = [Question(question.number * 10 + n) for n in range(5)]
    for one, message in zip(asked, soak.shared.batch([str(one) for one in asked], return_exceptions=True), strict=True):
        if isinstance(message, Exception):
            soak.ended(one, "batch", "", message, streams=False)
        else:
            soak.ended(one, "batch", message.text, None, streams=False)


def own_loop(soak: Soak, question: Question) -> None:
    """Read a stream on a loop that is made for it."""
    asyncio.run(astream(soak, question, "astream, in a loop of its own"))


def own_loop_left(soak: Soak, question: Question) -> None:
    """Ask on a loop that is closed without a word."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(ainvoke(soak, question, "ainvoke, in a loop left open"))
    loop.close()


async def ainvoke(soak: Soak, question: Question, way: str = "ainvoke") -> None:
    """Ask for a reply whole, asynchronously."""
    got, error = "", None
    try:
        got = (await soak.model(question).ainvoke(str(question))).text
    except DarkAIError as failure:
        error = failure
    soak.ended(question, way, got, error, streams=False)


async def astream(soak: Soak, question: Question, way: str = "astream") -> None:
    """Read a stream, now and then slowly."""
    got: list[str] = []
    error = None
    try:
        async for chunk in soak.model(question).astream(str(question)):
            got.append(chunk.text)
            if question.number % 7 == 0:
                await asyncio.sleep(0.001)
    except DarkAIError as failure:
        error = failure
    soak.ended(question, way, "".join(got), error, streams=True)


async def generate(soak: Soak, question: Question) -> None:
    """Read by the provider interface."""
    got: list[str] = []
    error = None
    fault = TABLE.get(question.fault)
    settings = dict(fault.settings) if fault else {}
    messages = [{"role": "user", "content": str(question)}]
    pieces: AsyncIterator[str] = DarkAI.create_async_generator(
        None, messages, base_url=soak.url, max_retries=1 if question.times == 1 else 0, **settings
    )
    try:
        async for piece in pieces:
            got.append(piece)  # noqa: PERF401 - what came before an error counts
    except DarkAIError as failure:
        error = failure
    soak.ended(question, "create_async_generator", "".join(got), error, streams=True)


async def cancel(soak: Soak, question: Question) -> None:
    """Cancel a stream at any moment."""
    got: list[str] = []

    async def read() -> None:
        async for chunk in soak.model(question).astream(str(question)):
            got.append(chunk.text)  # noqa: PERF401 - what came before the end counts

    task = asyncio.create_task(read())
    await asyncio.sleep(question.number % 20 / 1000)
    task.cancel()
    with suppress(asyncio.CancelledError, DarkAIError):
        await task
    soak.left(question, "astream, cancelled", "".join(got))


WAYS: dict[str, tuple[float, Callable[[Soak, Question], object]]] = {
    "invoke": (3, invoke),
    "stream": (3, stream),
    "leave": (1, leave),
    "batch": (0.5, batch),
    "own loop": (0.5, own_loop),
    "own loop, left": (0.2, own_loop_left),
    "ainvoke": (3, ainvoke),
    "astream": (3, astream),
    "generate": (1, generate),
    "cancel": (1, cancel),
}


async def run(soak: Soak, until: float, workers: int) -> None:
    """Make calls until the time is up, synchronous ones in threads."""

    async def work() -> None:
        while time.monotonic() < until:
            question, way = soak.question()
            call = WAYS[way][1]
            if asyncio.iscoroutinefunction(call):
                await call(soak, question)
            else:
                await asyncio.to_thread(call, soak, question)

    await asyncio.gather(*(work() for _ in range(workers)))


@contextmanager
def serving() -> Iterator[str]:
    """Run the server, and tell where it is."""
    with subprocess.Popen(
        [sys.executable, "-m", "soak.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


def report(soak: Soak, seconds: float, before: Use, after: Use) -> tuple[str, bool]:
    """Return what is printed at the end, and whether all promises were kept."""
    grown = Use(after.files - before.files, after.threads - before.threads, after.megabytes - before.megabytes)
    kept = not soak.surprises and not soak.lost
    kept = kept and grown.files <= MOST_FILES and grown.threads <= MOST_THREADS and grown.megabytes <= MOST_MEGABYTES
    lines = [
        f"{sum(soak.calls.values()):,} calls in {seconds:.0f} s, {soak.characters:,} characters of text",
        *(f"  {count:7,} {way}" for way, count in soak.calls.most_common()),
        f"{sum(soak.errors.values()):,} errors",
        *(f"  {count:7,} {name}" for name, count in soak.errors.most_common()),
        f"{soak.lost} lost characters",
        f"{after.files} open files ({grown.files:+} since the warm-up)",
        f"{after.threads} threads ({grown.threads:+})",
        f"{after.megabytes:.0f} MB of memory ({grown.megabytes:+.0f})",
        *(f"BROKEN: question {surprise[:500]}" for surprise in soak.surprises[:20]),
        "All promises were kept." if kept else f"BROKEN: {len(soak.surprises)} surprises, or more left than may be.",
    ]
    return "\n".join(lines) + "\n", kept


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long to make calls (default: 180)")
    parser.add_argument("--workers", type=int, default=24, help="how many at once (default: 24)")
    parser.add_argument("--seed", type=int, default=1, help="another one makes other calls (default: 1)")
    options = parser.parse_args()
    with serving() as url:
        soak = Soak(url, options.seed)
        started = time.monotonic()
        asyncio.run(run(soak, started + options.seconds / 5, options.workers))
        before = Use.now()
        asyncio.run(run(soak, started + options.seconds, options.workers))
        seconds = time.monotonic() - started
        text, kept = report(soak, seconds, before, Use.now())
    sys.stdout.write(text)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
