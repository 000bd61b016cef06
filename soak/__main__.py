"""Make the calls of the soak test, print the counts, and exit with 1 if a promise was broken."""

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
MAX_FILES, MAX_THREADS, MAX_MEGABYTES = 20, 4, 40  # that the end may hold more than the end of the warm-up


class Usage(NamedTuple):
    """The resources that the process holds at one moment."""

    files: int
    threads: int
    megabytes: float

    @classmethod
    def now(cls) -> "Usage":
        """Return what is held now, after objects and connections that are about to end had time to do so."""
        gc.collect()
        time.sleep(1.5)
        gc.collect()
        process = psutil.Process()
        return cls(process.num_fds(), threading.active_count(), process.memory_info().rss / 2**20)


class Soak:
    """One run: which call comes next, and the counts."""

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
        """Return the next question and the name of the way to ask it, a key of WAYS."""
        with self.lock:
            self.number += 1
            way = self.chance.choices(list(WAYS), [weight for weight, _ in WAYS.values()])[0]
            kind = self.chance.random()
            if kind < 0.55:
                return Question(self.number), way
            if kind < 0.7:
                return Question(self.number, "cut"), way
            if kind < 0.8:
                retryable = [fault.name for fault in TABLE.values() if fault.is_retryable and not fault.settings]
                return Question(self.number, self.chance.choice(retryable), 1), way
            return Question(self.number, self.chance.choice(list(TABLE))), way

    def model(self, question: Question) -> ChatDarkAI:
        """Return the shared model, or one for this question alone."""
        fault = TABLE.get(question.fault)
        if question.times == 1 or (fault is None and not question.fault and question.number % 2):
            return self.shared
        settings = {"timeout": 20.0, **(fault.settings if fault else {})}
        return ChatDarkAI(base_url=self.url, max_retries=0, **settings)

    def ended(self, question: Question, way: str, got: str, error: BaseException | None, *, streams: bool) -> None:
        """Count a call that ended, and compare its text and error with what the question must give."""
        fault = TABLE.get(question.fault)
        # A fault that arrives in one packet with the text before it can be retried: the text was not handed over yet.
        was_retried = question.times == 1 and (error is None or not (streams and fault is not None and fault.text))
        is_good = not question.fault or was_retried
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

    def abandoned(self, question: Question, way: str, got: str) -> None:
        """Count a call that was abandoned or cancelled."""
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
    """Return the text that a call must give before a fault; for a cut reply, what it gave, if that can be right."""
    if fault is not None:
        return fault.text
    least = "" if question.cut[1] else question.text_before_the_cut
    return got if got.startswith(least) and question.text.startswith(got) else least


def invoke(soak: Soak, question: Question) -> None:
    """Call invoke."""
    got, error = "", None
    try:
        got = soak.model(question).invoke(str(question)).text
    except DarkAIError as failure:
        error = failure
    soak.ended(question, "invoke", got, error, streams=False)


def stream(soak: Soak, question: Question) -> None:
    """Read a stream to its end or its error."""
    got, error = [], None
    try:
        for chunk in soak.model(question).stream(str(question)):
            got.append(chunk.text)  # noqa: PERF401 - the text before an error counts, too
    except DarkAIError as failure:
        error = failure
    soak.ended(question, "stream", "".join(got), error, streams=True)


def abandon(soak: Soak, question: Question) -> None:
    """Abandon a stream after its first chunk."""
    got = ""
    with suppress(DarkAIError):
        for chunk in soak.model(question).stream(str(question)):
            got = chunk.text
            break
    soak.abandoned(question, "stream, abandoned", got)


def batch(soak: Soak, question: Question) -> None:
    """Ask five questions without a fault at once."""
    questions = [Question(question.number * 10 + n) for n in range(5)]
    replies = soak.shared.batch([str(one) for one in questions], return_exceptions=True)
    for one, message in zip(questions, replies, strict=True):
        if isinstance(message, Exception):
            soak.ended(one, "batch", "", message, streams=False)
        else:
            soak.ended(one, "batch", message.text, None, streams=False)


def own_loop(soak: Soak, question: Question) -> None:
    """Read a stream on an event loop of its own."""
    asyncio.run(astream(soak, question, "astream, on a loop of its own"))


def own_loop_not_shut_down(soak: Soak, question: Question) -> None:
    """Call ainvoke on an event loop that is closed without being shut down."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(ainvoke(soak, question, "ainvoke, on a loop that is only closed"))
    loop.close()


async def ainvoke(soak: Soak, question: Question, way: str = "ainvoke") -> None:
    """Call ainvoke."""
    got, error = "", None
    try:
        got = (await soak.model(question).ainvoke(str(question))).text
    except DarkAIError as failure:
        error = failure
    soak.ended(question, way, got, error, streams=False)


async def astream(soak: Soak, question: Question, way: str = "astream") -> None:
    """Read an asynchronous stream, sometimes slowly."""
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
    """Read a stream through the provider interface."""
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
            got.append(piece)  # noqa: PERF401 - the text before an error counts, too
    except DarkAIError as failure:
        error = failure
    soak.ended(question, "create_async_generator", "".join(got), error, streams=True)


async def cancel(soak: Soak, question: Question) -> None:
    """Cancel an asynchronous stream after up to 20 ms."""
    got: list[str] = []

    async def read() -> None:
        async for chunk in soak.model(question).astream(str(question)):
            got.append(chunk.text)  # noqa: PERF401 - the text before the cancellation counts

    task = asyncio.create_task(read())
    await asyncio.sleep(question.number % 20 / 1000)
    task.cancel()
    with suppress(asyncio.CancelledError, DarkAIError):
        await task
    soak.abandoned(question, "astream, cancelled", "".join(got))


# The ways to make a call, each with its weight: how often it is chosen.
WAYS: dict[str, tuple[float, Callable[[Soak, Question], object]]] = {
    "invoke": (3, invoke),
    "stream": (3, stream),
    "abandon": (1, abandon),
    "batch": (0.5, batch),
    "own loop": (0.5, own_loop),
    "own loop, not shut down": (0.2, own_loop_not_shut_down),
    "ainvoke": (3, ainvoke),
    "astream": (3, astream),
    "generate": (1, generate),
    "cancel": (1, cancel),
}


async def run(soak: Soak, until: float, workers: int) -> None:
    """Make calls until the time is up; synchronous ones run in threads."""

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
    """Run the server in a process of its own, and yield its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "soak.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


def report(soak: Soak, seconds: float, before: Usage, after: Usage) -> tuple[str, bool]:
    """Return the text to print at the end, and whether all promises were kept."""
    grown = Usage(after.files - before.files, after.threads - before.threads, after.megabytes - before.megabytes)
    kept = not soak.surprises and not soak.lost
    kept = kept and grown.files <= MAX_FILES and grown.threads <= MAX_THREADS and grown.megabytes <= MAX_MEGABYTES
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
        "All promises were kept." if kept else f"BROKEN: {len(soak.surprises)} surprises, or too much is still held.",
    ]
    return "\n".join(lines) + "\n", kept


def main() -> int:
    """Run the soak test."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long to make calls (default: 180)")
    parser.add_argument("--workers", type=int, default=24, help="how many at once (default: 24)")
    parser.add_argument("--seed", type=int, default=1, help="another one makes other calls (default: 1)")
    options = parser.parse_args()
    with serving() as url:
        soak = Soak(url, options.seed)
        started = time.monotonic()
        asyncio.run(run(soak, started + options.seconds / 5, options.workers))
        before = Usage.now()
        asyncio.run(run(soak, started + options.seconds, options.workers))
        seconds = time.monotonic() - started
        text, kept = report(soak, seconds, before, Usage.now())
    sys.stdout.write(text)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
