"""Run a batch: read rows, ask some at a time, write their answers."""

import asyncio
import inspect
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_darkai import _portal
from langchain_darkai._generation.batch import DEFAULT_CONCURRENCY
from langchain_darkai._threads import in_thread
from langchain_darkai._validation import check_count
from langchain_darkai.bulk.answers import Answer, answer_of, failure_of
from langchain_darkai.bulk.report import BatchReport
from langchain_darkai.bulk.rows import MalformedRow, Row
from langchain_darkai.bulk.sinks import FileSink
from langchain_darkai.bulk.sources import Source, source_of

__all__ = ["arun_batch", "run_batch"]

ROWS_AT_ONCE = 256
"""Rows that are read ahead together, in a thread."""

READING_SECONDS = 0.05
"""Seconds after which those that have come are asked, where rows come slowly."""

Sink = str | os.PathLike[str] | Callable[[Answer], object]


def run_batch(
    model: Runnable[Any, Any],
    rows: str | os.PathLike[str] | BinaryIO | Iterable[Any],
    sink: Sink,
    *,
    concurrency: int | None = None,
    rate: float | str | None = None,
    schema: Any = None,
    retry_failed: bool = False,
    config: RunnableConfig | None = None,
    on_progress: Callable[[BatchReport], object] | None = None,
    on_malformed: Callable[[MalformedRow], object] | None = None,
) -> BatchReport:
    """Ask a model, or any runnable, for each of many rows, and write an answer for each as it comes.

    `rows` is the path of a JSONL, CSV or Parquet file, an open binary file of JSONL, or an iterable of prompts and of
    dicts with `prompt`, `messages` or `input`, and perhaps `id`, `model`, `temperature`, `max_tokens`, `stop`,
    `timeout` and `parameters`. It is read as it is needed: memory does not grow with it.

    `sink` is the path of a JSONL file, or a function that is given each `Answer`; it may be asynchronous. A file that
    exists is gone on with: rows that have a line in it are not asked again, whatever ended the run before. Those that
    failed are among them, unless `retry_failed` takes them out of the file.

    - `concurrency`: rows at once; None for the model's `max_concurrency`, else 64.
    - `rate`: rows a second at most, also as "50/s", "600/m" or "10000/h"; None for no limit. Retries do not count.
    - `schema`: what the answers are to be, as `with_structured_output` takes it; None for texts.
    - `config`: LangChain's, for each row.
    - `on_progress`: called with the report so far after each answer, and when the rows are counted.
    - `on_malformed`: called with each row that cannot be asked; None to only count them.

    What a row raises is its answer's `error`. Raises ValueError or TypeError for arguments that cannot work,
    ImportError for Parquet without pyarrow, and OSError where files cannot be read or written. The functions are called
    in a background thread, one at a time; inside a running event loop, `arun_batch` calls them in that.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> model, answers = FakeListChatModel(responses=["Fine."]), []
        >>> report = run_batch(model, ["How are you?", {"promt": "Hi"}], answers.append)
        >>> answers[0]["text"], report.answered, report.malformed
        ('Fine.', 1, 1)
    """
    return _portal.run(
        arun_batch(
            model,
            rows,
            sink,
            concurrency=concurrency,
            rate=rate,
            schema=schema,
            retry_failed=retry_failed,
            config=config,
            on_progress=on_progress,
            on_malformed=on_malformed,
        )
    )


async def arun_batch(
    model: Runnable[Any, Any],
    rows: str | os.PathLike[str] | BinaryIO | Iterable[Any],
    sink: Sink,
    *,
    concurrency: int | None = None,
    rate: float | str | None = None,
    schema: Any = None,
    retry_failed: bool = False,
    config: RunnableConfig | None = None,
    on_progress: Callable[[BatchReport], object] | None = None,
    on_malformed: Callable[[MalformedRow], object] | None = None,
) -> BatchReport:
    """As `run_batch`, on the running event loop. Cancelling it leaves a file from which the next run goes on.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> answers = []
        >>> model = FakeListChatModel(responses=["Fine."])
        >>> asyncio.run(arun_batch(model, ["How are you?"], answers.append)).is_success
        True
    """
    at_once = _own_limit(model) if concurrency is None else check_count("concurrency", concurrency, minimum=1)
    pace = Pace(rate)
    runnable = _with_schema(model, schema)
    source = await in_thread(source_of, rows)
    _refuse_same_file(rows, sink)
    kept = sink if callable(sink) else await in_thread(_open_file, sink, retry_failed)
    run = _Run(runnable, source, kept, pace, config, on_progress, on_malformed)
    try:
        await run.go(at_once)
    finally:
        if isinstance(kept, FileSink):
            kept.close()
    return run.report


def _open_file(path: str | os.PathLike[str], retry_failed: bool) -> FileSink:
    return FileSink(Path(path), retry_failed=retry_failed)


def _own_limit(model: Any) -> int:
    limit = getattr(model, "max_concurrency", None)
    return limit if isinstance(limit, int) else DEFAULT_CONCURRENCY


def _with_schema(model: Any, schema: Any) -> Runnable[Any, Any]:
    if not isinstance(model, Runnable):
        raise TypeError(f"model is a {type(model).__name__}; give a chat model or another runnable of LangChain.")
    if schema is None:
        return model
    with_structured_output: Any = getattr(model, "with_structured_output", None)
    if with_structured_output is None:
        raise TypeError(f"A {type(model).__name__} takes no schema; give a chat model.")
    structured: Runnable[Any, Any] = with_structured_output(schema, include_raw=True)
    return structured


def _refuse_same_file(rows: Any, sink: Any) -> None:
    paths = [Path(path) for path in (rows, sink) if isinstance(path, str | os.PathLike)]
    if len(paths) == 2 and all(path.exists() for path in paths) and paths[0].samefile(paths[1]):
        raise ValueError(f"{sink} is the file of the rows. Name another for the answers.")


_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class Pace:
    """At most so many turns a second, evenly; None for no limit.

    Example:
        >>> Pace("30/m").interval
        2.0
    """

    def __init__(self, rate: float | str | None) -> None:
        if isinstance(rate, str):
            match = _RATE.fullmatch(rate.strip())
            rate = float(match[1]) / _SECONDS[match[2]] if match else 0
        if rate is not None and not 0 < rate < float("inf"):
            raise ValueError("rate is a number of rows a second above 0, or a text such as 50/s, 600/m or 10000/h.")
        self.interval: float = 1 / rate if rate else 0.0
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for the next turn."""
        if self.interval:
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self.interval
            await asyncio.sleep(at - now)


class _Run:
    """One run of a batch: workers that take rows, ask them and keep their answers."""

    def __init__(
        self,
        runnable: Runnable[Any, Any],
        source: Source,
        sink: FileSink | Callable[[Answer], object],
        pace: Pace,
        config: RunnableConfig | None,
        on_progress: Callable[[BatchReport], object] | None,
        on_malformed: Callable[[MalformedRow], object] | None,
    ) -> None:
        self.report = BatchReport()
        self._runnable = runnable
        self._source = source
        self._sink = sink
        self._pace = pace
        self._config = config
        self._on_progress = on_progress or (lambda _: None)
        self._on_malformed = on_malformed or (lambda _: None)
        self._rows: deque[Row] = deque()
        self._has_more = True
        self._reading = asyncio.Lock()
        self._thread: asyncio.Future[Any] | None = None

    async def go(self, at_once: int) -> None:
        workers = [asyncio.ensure_future(self._work()) for _ in range(at_once)]
        counting = asyncio.ensure_future(self._count())
        try:
            await asyncio.gather(*workers)
            self.report.total = self.report.done
        finally:
            for task in (*workers, counting):
                task.cancel()
            await asyncio.gather(*workers, counting, return_exceptions=True)
            await self._close_rows()
            self.report.ended = time.monotonic()

    async def _close_rows(self) -> None:
        """Close the files of the rows, unless a thread still waits for a row: no iterator can be closed amid that."""
        if self._thread is not None:
            await asyncio.wait([self._thread], timeout=1.0)
        if self._thread is None or self._thread.done():
            self._source.rows.close()

    async def _count(self) -> None:
        if self._source.count is not None:
            self.report.total = await in_thread(self._source.count)
            self._on_progress(self.report)

    async def _work(self) -> None:
        while (row := await self._next_row()) is not None:
            await self._pace.turn()
            # A task of its own, whose context variables do not reach the next row.
            answer = await asyncio.ensure_future(self._ask(row))
            await self._keep(answer)

    async def _next_row(self) -> Row | None:
        while not self._rows and self._has_more:
            async with self._reading:
                if not self._rows and self._has_more:
                    self._thread = asyncio.ensure_future(in_thread(self._read))
                    found, self._has_more = await asyncio.shield(self._thread)
                    self._take(found)
        return self._rows.popleft() if self._rows else None

    def _read(self) -> tuple[list[Row | MalformedRow], bool]:
        """Return rows that need an answer, and whether there may be more. This runs in a thread."""
        found: list[Row | MalformedRow] = []
        end = time.monotonic() + READING_SECONDS
        for row in self._source.rows:
            if isinstance(row, MalformedRow) or not self._has_line(row):
                found.append(row)
            if len(found) == ROWS_AT_ONCE or time.monotonic() > end:
                return found, True
        return found, False

    def _has_line(self, row: Row) -> bool:
        if not isinstance(self._sink, FileSink):
            return False
        has_failed = not self._sink.answered.take(row.key)
        if has_failed and not self._sink.failed.take(row.key):
            return False
        self.report.skipped += 1
        self.report.kept_failures += has_failed
        return True

    def _take(self, found: list[Row | MalformedRow]) -> None:
        for row in found:
            if isinstance(row, MalformedRow):
                self.report.malformed += 1
                self._on_malformed(row)
            else:
                self._rows.append(row)

    async def _ask(self, row: Row) -> Answer:
        started, clock = time.time(), time.perf_counter()
        try:
            result = await self._runnable.ainvoke(row.input, self._config, **row.parameters)
            return answer_of(row, result, started, time.perf_counter() - clock)
        except Exception as error:  # noqa: BLE001 - it is the row's answer
            return failure_of(row, error, started, time.perf_counter() - clock)

    async def _keep(self, answer: Answer) -> None:
        if isinstance(self._sink, FileSink):
            self._sink.write(answer)
        else:
            kept = self._sink(answer)
            if inspect.isawaitable(kept):
                await kept
        self.report.count(answer)
        self._on_progress(self.report)
