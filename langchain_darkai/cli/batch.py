"""`langchain-darkai batch`."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_darkai.cli.endpoint import add_endpoint_options, model_or_exit
from langchain_darkai.cli.failures import CommandError, usage_error

if TYPE_CHECKING:
    from langchain_darkai.bulk import BatchReport, MalformedRow

__all__ = ["HELP", "add_options", "run"]

HELP = "ask for each row of a file, and write the answers; the same command goes on after an interruption"

SHOWN_MALFORMED = 20
"""Malformed rows that are shown; the others are counted."""


def add_options(batch: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    batch.add_argument(
        "rows", metavar="ROWS", help="a JSONL, CSV or Parquet file with a prompt or messages a row; - for JSONL"
    )
    batch.add_argument("-o", "--output", required=True, metavar="FILE", help="the JSONL file of the answers")
    batch.add_argument("--concurrency", type=int, metavar="NUMBER", help="rows at once (default: 64)")
    batch.add_argument("--rate", metavar="RATE", help="rows at most in a time, such as 50/s, 600/m or 10000/h")
    batch.add_argument("--schema", metavar="FILE", help="a JSON Schema that the answers are to match")
    batch.add_argument("--retry-failed", action="store_true", help="ask again for rows whose answer is an error")
    add_endpoint_options(batch, timeout=600.0)


def run(options: argparse.Namespace) -> int:
    """Ask for the rows; return 0 where all have an answer."""
    from langchain_darkai.bulk import run_batch
    from langchain_darkai.bulk.progress import summary
    from langchain_darkai.cli.batch_display import display_on

    schema = _schema(options.schema) if options.schema else None
    model = model_or_exit(options).model_copy(update={"allow_empty": False})
    source = sys.stdin.buffer if options.rows == "-" else options.rows
    malformed = _Malformed(options.rows)
    try:
        with display_on(sys.stderr) as show:
            report = run_batch(
                model,
                source,
                options.output,
                concurrency=options.concurrency,
                rate=options.rate,
                schema=schema,
                retry_failed=options.retry_failed,
                on_progress=show,
                on_malformed=malformed.show,
            )
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from here.", end="", file=sys.stderr)
        raise
    except ImportError as error:
        raise CommandError(str(error)) from error
    except FileNotFoundError as error:
        raise CommandError(f"There is no {error.filename}.") from error
    malformed.end()
    print(summary(report))
    _advise(report, options.output)
    return 0 if report.is_success else 1


def _schema(path: str) -> dict[str, Any]:
    try:
        schema = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        usage_error(f"--schema: {path} cannot be read as JSON: {error}")
    if not isinstance(schema, dict):
        usage_error(f"--schema: {path} holds no JSON Schema, which is an object.")
    return schema


def _advise(report: "BatchReport", output: str) -> None:
    failed = report.failed + report.kept_failures
    if failed:
        rows = "row has" if failed == 1 else "rows have"
        print(f"{failed:,} {rows} an error in {output}; --retry-failed asks again.", file=sys.stderr)


class _Malformed:
    """Shows malformed rows as they come, as many as a person reads."""

    def __init__(self, name: str) -> None:
        self._name = "standard input" if name == "-" else name
        self._count = 0

    def show(self, row: "MalformedRow") -> None:
        self._count += 1
        if self._count <= SHOWN_MALFORMED:
            print(f"{self._name}, row {row.number}: {row.reason}", file=sys.stderr)

    def end(self) -> None:
        if self._count > SHOWN_MALFORMED:
            print(f"... and {self._count - SHOWN_MALFORMED:,} more malformed rows.", file=sys.stderr)
