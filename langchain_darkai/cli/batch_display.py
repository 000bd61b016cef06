"""The progress of a batch: a bar at a terminal, where rich is installed, else a line now and then."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from langchain_darkai.bulk.progress import describe

if TYPE_CHECKING:
    from langchain_darkai.bulk import BatchReport

__all__ = ["display_on", "lines_on"]

LINE_INTERVAL = 30.0
"""Seconds between two lines."""

Show = Callable[["BatchReport"], object]


@contextlib.contextmanager
def display_on(stream: TextIO) -> Iterator[Show]:
    """Yield a function that shows a report."""
    if not stream.isatty():
        yield lines_on(stream)
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
    except ImportError:  # it is an extra
        yield lines_on(stream)
        return
    columns = (BarColumn(), TextColumn("{task.fields[status]}", markup=False))
    with Progress(*columns, console=Console(file=stream)) as progress:
        bar = progress.add_task("batch", total=None, status="")

        def show(report: "BatchReport") -> None:
            progress.update(bar, completed=report.done, total=report.total, status=describe(report))

        yield show


def lines_on(stream: TextIO, interval: float = LINE_INTERVAL) -> Show:
    """Return a function that prints a report, if it is some seconds since it last did so."""
    due = time.monotonic() + interval

    def show(report: "BatchReport") -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + interval
            print(describe(report), file=stream, flush=True)

    return show
