"""Measure the package: `python -m benchmarks`; README.md, beside this file, tells more."""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import server
from benchmarks.bulk import BULK_ROWS
from benchmarks.chart import draw
from benchmarks.gateway_rows import GATEWAY_ROWS, gateway_setting
from benchmarks.gateways import LITELLM
from benchmarks.measure import Time
from benchmarks.profiles import summary
from benchmarks.rows import AT_MOST, PROFILED, ROWS, Outcome, Row, Setting, is_missed

HERE = Path(__file__).parent
TITLE, CELL = 28, 22


@dataclass(frozen=True)
class Table:
    """A table of README.md: its rows, what its columns are called, and how wide the first one is."""

    name: str
    rows: tuple[Row, ...]
    columns: Mapping[str, str]
    width: int


CLIENTS = Table(
    "clients",
    ROWS,
    {
        PROFILED: "this package",
        "bare": "bare aiohttp",
        "json": "with json",
        "core": "core on it",
        "openai": "langchain-openai",
        "ollama": "langchain-ollama",
    },
    12,
)
GATEWAY = Table(
    "gateway",
    GATEWAY_ROWS,
    {PROFILED: "this server", "astream": "over its model alone", "bare": "bare pass-through", "litellm": "LiteLLM"},
    21,
)
BULK = Table("bulk", BULK_ROWS, {PROFILED: "run_batch", "bare": "over abatch in memory"}, 12)
TABLES = (CLIENTS, GATEWAY, BULK)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    names = [name for table in TABLES for name in (table.name, *(row.name for row in table.rows))]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    what = f"what to measure, a row or a table; all, where none is named: {names}"
    parser.add_argument("rows", nargs="*", metavar="ROW", help=what)
    parser.add_argument("--quick", action="store_true", help="a rough look, in a minute or two")
    parser.add_argument("--seconds", type=float, help="for each row: 15, or 1 with --quick")
    parser.add_argument("--record", action="store_true", help="put the tables into README.md, and draw the chart anew")
    profiled = [row.name for row in CLIENTS.rows]
    parser.add_argument(
        "--profile", metavar="ROW", choices=profiled, help="show where this package's time goes in a row"
    )
    parser.add_argument("--litellm", type=Path, default=LITELLM, help="LiteLLM's command; without it, it is left out")
    parser.add_argument("--only-ours", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if unknown := set(options.rows) - set(names):
        parser.error(f"There is no row {min(unknown)}.")
    if options.record and (set(options.rows) - {table.name for table in TABLES} or options.quick):
        parser.error("--record needs all rows of a table, and not --quick.")
    if options.profile:
        print(_profile(options.profile))
        return
    time_for = Time(options.seconds or (1.0 if options.quick else 15.0), 1 if options.quick else 3)
    if options.only_ours:
        time_for = Time(time_for.seconds, 1, only=PROFILED)
    os.environ["LANGSMITH_TRACING"] = "false"
    loop = asyncio.new_event_loop()
    for table in TABLES:
        wanted = [row for row in table.rows if not options.rows or {row.name, table.name} & set(options.rows)]
        if not wanted:
            continue
        before = os.getloadavg()[0]
        outcomes = _measure(table, wanted, loop, time_for, options.litellm)
        load = f"The load of the {os.cpu_count()} cores was {before:.1f} before and {os.getloadavg()[0]:.1f} after."
        print(load)
        if options.record:
            _record(table, outcomes, load)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _measure(
    table: Table, rows: list[Row], loop: asyncio.AbstractEventLoop, time_for: Time, litellm: Path
) -> dict[Row, Outcome]:
    """Measure rows of one table, and print them as they come."""
    print(_header(table), flush=True)
    outcomes = {}
    with server.running() as url, _setting(table, url, loop, time_for, litellm) as setting:
        for row in rows:
            outcomes[row] = row.run(setting)
            print(_shown(table, row, outcomes[row]), flush=True)
    return outcomes


@contextmanager
def _setting(table: Table, url: str, loop: asyncio.AbstractEventLoop, time_for: Time, litellm: Path) -> Iterator[Any]:
    if table is not GATEWAY:
        yield Setting(url, loop, time_for)
        return
    with gateway_setting(url, loop, time_for, litellm) as setting:
        yield setting


def _record(table: Table, outcomes: dict[Row, Outcome], load: str) -> None:
    readme = HERE / "README.md"
    rows = (_shown(table, row, outcome) for row, outcome in outcomes.items())
    text = "\n".join((_header(table), *rows, load, ""))
    place = re.compile(rf"(?<=<!-- {table.name} -->\n```text\n).*?(?=```\n<!-- end -->)", re.DOTALL)
    readme.write_text(place.sub(lambda _: text, readme.read_text()))
    if table is CLIENTS:
        draw(outcomes, HERE / "chart")


def _header(table: Table) -> str:
    ours, *others = table.columns.values()
    return _line("", "", f"{ours:>12}", others, table)


def _shown(table: Table, row: Row, outcome: Outcome) -> str:
    ours = f"{outcome.ours:.3g}" if outcome.ours < 1000 else f"{outcome.ours:,.0f}"
    first = f"{ours} {outcome.unit}".rjust(12) + _judged(PROFILED, outcome.ours, row)
    cells = []
    for column in list(table.columns)[1:]:
        ratio = outcome.ratios.get(column)
        if ratio is None:
            cells.append("")
            continue
        shown = f"{ratio:.3g}" if abs(ratio) >= 10 else f"{ratio:.2f}"
        cells.append(f"{shown:>5}{_judged(column, ratio, row)}")
    return _line(row.title, row.clock, first, cells, table)


def _judged(column: str, ratio: float, row: Row) -> str:
    """Return the target beside a figure, and whether it is missed."""
    target = row.targets.get(column)
    limit = "" if target is None else f"{'≤' if column in AT_MOST else '≥'} {target:g}"
    return f" {limit:<6} {'MISSED' if is_missed(column, ratio, target) else ''}"


def _line(title: str, clock: str, first: str, cells: list[str], table: Table) -> str:
    rest = " ".join(f"{cell:<{CELL}}" for cell in cells)
    return f"{title:<{TITLE}} {clock:<4} {first.rstrip():<{table.width}}   {rest}".rstrip()


def _profile(row: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder) / "stacks"
        measured = [sys.executable, "-m", "benchmarks", row, "--only-ours"]
        py_spy = [str(Path(sys.executable).with_name("py-spy")), "record", "--rate", "500", "--format", "raw"]
        command = [*py_spy, "--output", str(stacks), "--", *measured]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return summary(stacks.read_text())


if __name__ == "__main__":
    main()
