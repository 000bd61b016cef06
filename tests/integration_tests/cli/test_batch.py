"""`langchain-darkai batch`: what it prints, its exit codes, and its progress."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from langchain_darkai.bulk import BatchReport
from langchain_darkai.cli import main
from langchain_darkai.cli.batch_display import display_on, lines_on
from langchain_darkai.testing import ReceivedCall, reply
from langchain_darkai.testing.wire import Step, answer
from tests.support.asker import Serve

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def run(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command on a file of rows over a server that refuses what says so; return its exit code."""

    def respond(request: ReceivedCall) -> list[Step]:
        if "refuse" in request.query:
            return answer(400, '{"error": "no"}')
        return reply('{"name": "Ada"}' if "name" in request.query else "Hello.")

    server = serve(respond)
    monkeypatch.chdir(tmp_path)

    def start(content: str, *options: str, name: str = "rows.jsonl") -> int:
        Path(name).write_text(content, encoding="utf-8")
        arguments = ["batch", name, "-o", "answers.jsonl", "--base-url", server.url, *options]
        try:
            return main(arguments)
        except SystemExit as end:
            return int(str(end.code))

    return start


def answers() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("answers.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_batch_ends_with_a_summary(run: Any, capsys: Captured) -> None:
    assert run('{"prompt": "Hi"}\n{"prompt": "Ho"}\n') == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("2 rows answered, 0 failed, 0 malformed, 0 done before; ")
    assert shown.err == ""
    assert [line["text"] for line in answers()] == ["Hello."] * 2
    assert run('{"prompt": "Hi"}\n{"prompt": "Ho"}\n') == 0
    assert capsys.readouterr().out.startswith("0 rows answered, 0 failed, 0 malformed, 2 done before; ")


def test_malformed_lines_and_failures_are_told_by_the_exit_code(run: Any, capsys: Captured) -> None:
    assert run('{"prompt": "Hi"}\n{"prompt"\n') == 1
    assert "rows.jsonl, row 2: The line is not JSON" in capsys.readouterr().err
    assert run('{"prompt": "refuse"}\n') == 1
    assert "1 row has an error in answers.jsonl; --retry-failed asks again." in capsys.readouterr().err
    assert run('{"prompt": "refuse"}\n') == 1
    assert run('{"prompt": "refuse"}\n', "--retry-failed") == 1
    assert "1 failed, 0 malformed, 0 done before" in capsys.readouterr().out.splitlines()[-1]


def test_many_malformed_lines_are_counted(run: Any, capsys: Captured) -> None:
    assert run("nothing\n" * 50) == 1
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 21
    assert shown[-1] == "... and 30 more malformed rows."


def test_answers_match_a_schema(run: Any) -> None:
    schema = {"title": "Person", "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    Path("schema.json").write_text(json.dumps(schema), encoding="utf-8")
    assert run('{"prompt": "Who is it?"}\n', "--schema", "schema.json", "--rate", "100/s", "--concurrency", "2") == 0
    assert answers()[0]["value"] == {"name": "Ada"}


def test_csv_is_known_by_its_name(run: Any) -> None:
    assert run("id,prompt\na,Hi\n", name="rows.csv") == 0
    assert answers()[0]["id"] == "a"


def test_rows_may_come_from_standard_input(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"prompt": "Hi"}\n{')))
    assert run("", name="-") == 1
    assert [line["id"] for line in answers()] == [1]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--rate", "fast"], 1, "rate is a number of rows a second above 0"),
        (["--concurrency", "0"], 1, "--concurrency 0 is not a whole number of 1 or more"),
        (["--schema", "none.json"], 2, "--schema: none.json cannot be read as JSON"),
        (["--schema", "rows.jsonl"], 2, "--schema: rows.jsonl holds no JSON Schema"),
        (["-o", "rows.jsonl"], 1, "rows.jsonl is the file of the rows"),
        (["-o", "answers.csv"], 1, "Answers are written as JSONL: name the file answers.jsonl"),
        (["-o", "none/answers.jsonl"], 1, "There is no none/answers.jsonl"),
        (["--timeout", "0"], 2, "--timeout 0.0 is not a positive number"),
    ],
)
def test_what_cannot_work_is_told_in_a_line(
    run: Any, capsys: Captured, options: list[str], code: int, said: str
) -> None:
    assert run('"Hi"', *options) == code
    assert said in capsys.readouterr().err


def test_parquet_without_pyarrow_names_the_extra(run: Any, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert run("PAR1", name="rows.parquet") == 1
    assert "pip install 'langchain-darkai[bulk]'" in capsys.readouterr().err


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


REPORT = BatchReport(total=2000, answered=400, failed=100, input_tokens=7, began=0.0, ended=10.0)
WORDS = "500 of 2,000 rows, 50.0/s, 7 tokens, 100 errors, 0:30 left"


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    with display_on(screen) as show:
        show(REPORT)
    assert WORDS in screen.getvalue()
    assert "━" in screen.getvalue()


def test_without_rich_a_terminal_shows_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    screen = Screen()
    with display_on(screen) as show:
        show(REPORT)
    assert screen.getvalue() == ""


def test_lines_come_now_and_then() -> None:
    stream = io.StringIO()
    show = lines_on(stream, interval=0.0)
    show(REPORT)
    assert stream.getvalue() == f"{WORDS}\n"
    show = lines_on(stream, interval=1000.0)
    show(REPORT)
    assert stream.getvalue() == f"{WORDS}\n"
