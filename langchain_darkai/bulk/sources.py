"""Where rows come from: JSONL, CSV and Parquet, by the ending of the file's name, or any iterable."""

import csv
import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sized
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from langchain_darkai.bulk.rows import CONTENTS, KEYS, MalformedRow, Row, row_from

__all__ = ["Source", "source_of"]

Rows = Generator[Row | MalformedRow, None, None]

_ROWS_AT_ONCE = 256
"""Rows of a Parquet file that are in memory together."""


@dataclass(frozen=True)
class Source:
    """Rows, which are read as they are needed, and a function that counts them; None where only reading tells."""

    rows: Rows
    count: Callable[[], int] | None = None


def source_of(rows: "str | os.PathLike[str] | BinaryIO | Iterable[Any]") -> Source:
    """Return the source for a path, an open binary file of JSONL, or an iterable of texts and dicts.

    Raises ValueError for a file of another kind, or without a column that can be asked, ImportError for Parquet
    without pyarrow, and OSError where a file cannot be read.
    """
    if isinstance(rows, str | os.PathLike):
        path = Path(rows)
        kind = _KINDS.get(path.suffix.lower())
        if kind is None:
            raise ValueError(f"{path} is of no kind that can be read: name it {', '.join(sorted(_KINDS))}.")
        path.open("rb").close()  # raises now, and not in the midst of the batch
        return kind(path)
    if hasattr(rows, "readline"):
        return Source(_lines(cast("BinaryIO", rows)))
    if isinstance(rows, Mapping | bytes):
        raise TypeError(f"rows is a {type(rows).__name__}; give a path, or an iterable of texts or dicts.")
    count = rows.__len__ if isinstance(rows, Sized) else None
    return Source((row_from(number, value) for number, value in enumerate(rows, 1)), count)


def _jsonl(path: Path) -> Source:
    def count() -> int:
        with path.open("rb") as file:
            return sum(not line.isspace() for line in file)

    def rows() -> Rows:
        with path.open("rb") as file:
            yield from _lines(file)

    return Source(rows(), count)


def _lines(file: Iterable[bytes]) -> Rows:
    for number, line in enumerate(file, 1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not text.isspace():
            yield _parsed(number, text)


def _parsed(number: int, line: bytes) -> Row | MalformedRow:
    try:
        value = json.loads(line)
    except UnicodeDecodeError:
        return MalformedRow(number, "The line is not UTF-8.")
    except (ValueError, RecursionError) as error:
        return MalformedRow(number, f"The line is not JSON: {error}.")
    return row_from(number, value)


def _csv(path: Path) -> Source:
    # The limit is one for the whole process; what it is by default is less than a long prompt.
    csv.field_size_limit(max(csv.field_size_limit(), min(sys.maxsize, 2**31 - 1)))
    with closing(_records(path)) as records:
        _check_columns(path, next(records, (1, []))[1])

    def count() -> int:
        with closing(_records(path)) as records:
            return max(0, sum(1 for _, cells in records if cells) - 1)

    return Source(_csv_rows(path), count)


def _records(path: Path) -> Generator[tuple[int, list[str]], None, None]:
    """Yield the number of the line where each record begins, and its cells."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        number = 1
        for cells in reader:
            yield number, cells
            number = reader.line_num + 1


def _csv_rows(path: Path) -> Rows:
    with closing(_records(path)) as records:
        _, names = next(records)
        for number, cells in records:
            if len(cells) > len(names):
                yield MalformedRow(number, f"The line has {len(cells)} cells, and there are {len(names)} columns.")
            elif cells:
                yield _csv_row(number, dict(zip(names, cells, strict=False)))


def _csv_row(number: int, cells: dict[str, str]) -> Row | MalformedRow:
    values: dict[str, Any] = {}
    name = ""
    try:
        for name, cell in cells.items():
            cell.encode()  # an escaped byte has no encoding
            if cell and name in KEYS:
                values[name] = json.loads(cell) if name in _CELLS_OF_JSON else cell
    except UnicodeEncodeError:
        return MalformedRow(number, "The line is not UTF-8.")
    except (ValueError, RecursionError) as error:
        return MalformedRow(number, f"The cell {name} is not JSON: {error}.")
    return row_from(number, values)


_CELLS_OF_JSON = ("messages", "input", "temperature", "max_tokens", "timeout", "parameters")


def _parquet(path: Path) -> Source:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ImportError(
            "Parquet is read with pyarrow, which is not installed: pip install 'langchain-darkai[bulk]'"
        ) from error
    try:
        with ParquetFile(path) as file:
            count, names = file.metadata.num_rows, file.schema_arrow.names
    except ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file: {error}") from error
    _check_columns(path, names)

    def rows() -> Rows:
        number = 0
        with ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[name for name in names if name in KEYS]):
                for value in batch.to_pylist():
                    number += 1
                    yield row_from(number, _without_nulls(value))

    return Source(rows(), lambda: count)


def _without_nulls(value: Any) -> Any:
    """Return a value without the members that only others of its column have."""
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _check_columns(path: Path, names: list[str]) -> None:
    if not set(names) & set(CONTENTS):
        raise ValueError(f"{path} has no column {' or '.join(CONTENTS)}; it has {', '.join(names) or 'none'}.")


_KINDS: dict[str, Callable[[Path], Source]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
