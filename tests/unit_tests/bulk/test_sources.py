"""Rows of files: JSONL, CSV and Parquet."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet, table

from langchain_darkai.bulk.rows import MalformedRow, Row
from langchain_darkai.bulk.sources import source_of


def read(rows: Any) -> list[tuple[Any, Any]]:
    """Return the id and the input of each row, and the number and the reason of those that are none."""
    found = [
        (row.id, row.input) if isinstance(row, Row) else (row.number, row.reason.split(".")[0].split(":")[0])
        for row in source_of(rows).rows
    ]
    source = source_of(rows)
    if source.count is not None:
        assert source.count() == len(found)
    return found


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_jsonl_has_a_row_a_line(tmp_path: Path) -> None:
    content = '\ufeff{"prompt": "One"}\r\n\n{"prompt": "Dos \u2028 ñ", "id": "b"}\n"Three"\n  \n{"prompt": "No end"}'
    rows = [(1, "One"), ("b", "Dos \u2028 ñ"), (4, "Three"), (6, "No end")]
    assert read(written(tmp_path / "rows.jsonl", content)) == rows
    assert read(written(tmp_path / "rows.ndjson", content)) == rows


def test_an_open_file_is_read_as_jsonl() -> None:
    (row,) = source_of(io.BytesIO(b'{"prompt": "One"}\n')).rows
    assert isinstance(row, Row)
    assert row.input == "One"


def test_a_malformed_line_of_jsonl_has_its_number_and_the_others_are_read(tmp_path: Path) -> None:
    lines = [b'{"prompt": "One"}', b'{"prompt": ', b'{"prompt": "\xff"}', b"[" * 100_000, b"{}", b'{"prompt": "Six"}']
    found = read(written(tmp_path / "rows.jsonl", b"\n".join(lines)))
    assert [number for number, _ in found] == [1, 2, 3, 4, 5, 6]
    assert [said for _, said in found[1:3]] == ["The line is not JSON", "The line is not UTF-8"]
    assert [said for _, said in found[::5]] == ["One", "Six"]


def test_csv_has_cells_by_the_names_of_its_columns(tmp_path: Path) -> None:
    content = (
        "\ufeffid,prompt,temperature,stop,label\r\n"
        'a,"One,\ntwo",0.5,x,ignored\r\n'
        "\r\n"
        ",Three,,,\r\n"
        "d,Four\r\n"
        "e,Five,hot,,\r\n"
        "f,Six,,,,,\r\n"
        "g,Seven,,,\r\n"
    )
    path = written(tmp_path / "rows.csv", content)
    assert read(path) == [
        ("a", "One,\ntwo"),
        (5, "Three"),
        ("d", "Four"),
        (7, "The cell temperature is not JSON"),
        (8, "The line has 7 cells, and there are 5 columns"),
        ("g", "Seven"),
    ]
    first = next(source_of(path).rows)
    assert isinstance(first, Row)
    assert first.parameters == {"temperature": 0.5, "stop": "x"}


def test_a_cell_of_csv_may_hold_messages_or_a_long_prompt(tmp_path: Path) -> None:
    messages = json.dumps([{"role": "user", "content": "Hi"}]).replace('"', '""')
    (row,) = source_of(written(tmp_path / "a.csv", f'messages\n"{messages}"\n')).rows
    assert isinstance(row, Row)
    assert [message.content for message in row.input] == ["Hi"]
    assert read(written(tmp_path / "b.csv", f"prompt\n{'x' * 200_000}\n"))[0][1] == "x" * 200_000


def test_a_line_of_csv_that_is_not_utf_8_is_malformed(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.csv", b"prompt\nOne\n\xff\nThree\n")
    assert read(path) == [(2, "One"), (3, "The line is not UTF-8"), (4, "Three")]


def test_parquet_has_rows_with_parameters_and_messages(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "prompt": "One", "temperature": 0.5, "label": 1},
        {"id": None, "messages": [{"role": "user", "content": "Two", "name": None}]},
        {"id": "c", "label": 3},
        *({"prompt": str(number)} for number in range(4, 600)),
    ]
    names = {name: None for row in rows for name in row}
    path = tmp_path / "rows.parquet"
    columns = {name: [row.get(name) for row in rows] for name in names}
    parquet.write_table(table(columns), path)
    found = read(path)
    assert found[0] == ("a", "One")
    assert found[1][0] == 2
    assert [message.content for message in found[1][1]] == ["Two"]
    assert found[2] == (3, "A row has one of prompt, messages, input; this one has none of them")
    assert found[3:] == [(number, str(number)) for number in range(4, 600)]


@pytest.mark.parametrize(
    ("name", "content", "error", "match"),
    [
        ("rows.txt", "Hi", ValueError, r"rows\.txt is of no kind that can be read: name it \.csv, \.jsonl"),
        ("rows.csv", "text,id\nHi,1\n", ValueError, "has no column prompt or messages or input; it has text, id"),
        ("rows.csv", "", ValueError, "it has none"),
        ("rows.parquet", "Hi", ValueError, r"rows\.parquet is not a Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_at_once(
    tmp_path: Path, name: str, content: str, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        source_of(written(tmp_path / name, content))


def test_a_file_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    for name in ("rows.jsonl", "rows.csv", "rows.parquet"):
        with pytest.raises(FileNotFoundError):
            source_of(tmp_path / name)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'langchain-darkai\[bulk\]'"):
        source_of(written(tmp_path / "rows.parquet", "Hi"))


@pytest.mark.parametrize("rows", [{"prompt": "Hi"}, b"Hi", 5])
def test_what_holds_no_rows_is_refused(rows: Any) -> None:
    with pytest.raises(TypeError):
        source_of(rows)


@given(st.binary(max_size=60))
def test_any_bytes_are_rows_or_malformed_rows(content: bytes) -> None:
    for row in source_of(io.BytesIO(content)).rows:
        assert isinstance(row, Row | MalformedRow)
