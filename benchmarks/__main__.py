"""Measure the package: `python -m benchmarks`; README.md, beside this file, tells more."""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import server
from benchmarks.chart import draw
from benchmarks.measure import Time
from benchmarks.profiles import summary
from benchmarks.rows import PROFILED, ROWS, Outcome, Row, Setting, is_missed

HERE = Path(__file__).parent
COLUMNS = {"bare": "bare aiohttp", "core": "core on it", "openai": "langchain-openai", "ollama": "langchain-ollama"}
TITLE, CELL = 28, 22
TABLE_IN_README = re.compile(r"(?<=<!-- table -->\n```text\n).*?(?=```\n<!-- end -->)", re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"what to measure; all, where none is named: {names}")
    parser.add_argument("--quick", action="store_true", help="a rough look, in less than a minute")
    parser.add_argument("--seconds", type=float, help="for each row: 15, or 1 with --quick")
    parser.add_argument("--record", action="store_true", help="put the table into README.md, and draw the chart anew")
    parser.add_argument("--profile", metavar="ROW", choices=names, help="show where this package's time goes in a row")
    parser.add_argument("--only-ours", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if unknown := set(options.rows) - set(names):
        parser.error(f"There is no row {min(unknown)}.")
    if options.record and (options.rows or options.quick):
        parser.error("--record needs all rows, and not --quick.")
    if options.profile:
        print(_profile(options.profile))
        return
    time_for = Time(options.seconds or (1.0 if options.quick else 15.0), 1 if options.quick else 3)
    if options.only_ours:
        time_for = Time(time_for.seconds, 1, only=PROFILED)
    os.environ["LANGSMITH_TRACING"] = "false"
    outcomes: dict[Row, Outcome] = {}
    table = [_line("", "", "this package", list(COLUMNS.values()))]
    print(table[0])
    for row, outcome in _measured([row for row in ROWS if row.name in (options.rows or names)], time_for):
        outcomes[row] = outcome
        table.append(_shown(row, outcome))
        print(table[-1], flush=True)
    if options.record:
        readme = HERE / "README.md"
        text = "\n".join((*table, ""))
        readme.write_text(TABLE_IN_README.sub(lambda _: text, readme.read_text()))
        draw(outcomes, HERE / "chart")


def _measured(rows: list[Row], time_for: Time) -> Iterator[tuple[Row, Outcome]]:
    loop = asyncio.new_event_loop()
    with server.running() as url:
        for row in rows:
            yield row, row.run(Setting(url, loop, time_for))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _shown(row: Row, outcome: Outcome) -> str:
    cells = []
    for column in COLUMNS:
        ratio, target = outcome.ratios.get(column), row.targets.get(column)
        if ratio is None:
            cells.append("")
            continue
        limit = "" if target is None else f"{'≤' if column == 'bare' else '≥'} {target:g}"
        shown = f"{ratio:.3g}" if ratio >= 10 else f"{ratio:.2f}"
        cells.append(f"{shown:>5} {limit:<6} {'MISSED' if is_missed(column, ratio, target) else ''}")
    ours = f"{outcome.ours:.3g}" if outcome.ours < 1000 else f"{outcome.ours:,.0f}"
    return _line(row.title, row.clock, f"{ours} {outcome.unit}", cells)


def _line(title: str, clock: str, ours: str, cells: list[str]) -> str:
    return f"{title:<{TITLE}} {clock:<4} {ours:>12}   {' '.join(f'{cell:<{CELL}}' for cell in cells)}".rstrip()


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
