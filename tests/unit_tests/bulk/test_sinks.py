"""Files of answers: what is kept of one that exists, wherever its writer was killed."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_darkai.bulk.answers import Answer, failure_of, line_of
from langchain_darkai.bulk.rows import Row
from langchain_darkai.bulk.sinks import Answered, FileSink


def answer(number: int, text: str = "Fine.") -> Answer:
    return {"key": f"{number:016x}", "id": number, "text": text, "started": "", "seconds": 0.1}


def failure(number: int) -> Answer:
    return failure_of(Row(number, "Hi", {}, number), ValueError("No."), 0.0, 0.1)


def ids(path: Path) -> list[Any]:
    return [json.loads(line)["id"] for line in path.read_bytes().splitlines()]


LINES = [line_of(answer(1)), line_of(answer(2, "Grüße 🎉")), line_of(answer(3))]
WHOLE = b"".join(LINES)


def test_a_file_that_was_cut_at_any_byte_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    for cut in range(len(WHOLE) + 1):
        path.write_bytes(WHOLE[:cut])
        kept = sum(cut >= sum(map(len, LINES[: number + 1])) - 1 for number in range(3))
        sink = FileSink(path)
        assert [sink.answered.take(number) for number in (1, 2, 3)] == [number <= kept for number in (1, 2, 3)], cut
        sink.write(answer(4))
        sink.close()
        assert ids(path) == [*range(1, kept + 1), 4], cut


def test_a_line_longer_than_what_is_read_at_once_is_found(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(line_of(answer(1, "x" * 200_000)) + line_of(answer(2, "y" * 200_000))[:-100])
    FileSink(path).close()
    assert ids(path) == [1]


def test_failures_count_as_done_until_they_are_to_be_retried(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(line_of(answer(1)) + line_of(failure(2)) + line_of(answer(3)))
    sink = FileSink(path)
    sink.close()
    assert (sink.answered.take(2), sink.failed.take(2), ids(path)) == (False, True, [1, 2, 3])
    sink = FileSink(path, retry_failed=True)
    sink.close()
    assert (sink.answered.take(3), sink.failed.take(2), ids(path)) == (True, False, [1, 3])
    assert list(tmp_path.iterdir()) == [path]


def test_a_broken_line_in_the_midst_is_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(line_of(answer(1)) + b"\0\0\0\n" + line_of(answer(3)))
    FileSink(path).close()
    assert ids(path) == [1, 3]


@pytest.mark.parametrize(
    "content", [b'{"prompt": "Hi"}\n', b"Hi", b'{"id": 1, "prompt": "Hi"}\n{"id": 2}\n', b'{"key": 1}\n{"k']
)
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"answers\.jsonl holds something else than answers"):
        FileSink(path)
    assert path.read_bytes() == content


def test_answers_are_jsonl(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Answers are written as JSONL: name the file .*answers\.jsonl"):
        FileSink(tmp_path / "answers.parquet")


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileSink(tmp_path / "none" / "answers.jsonl")


def test_what_json_cannot_say_becomes_text() -> None:
    line = line_of({**answer(1, "\ud800"), "value": {1, 2}})
    assert json.loads(line)["text"] == "\ud800"
    assert json.loads(line)["value"] == "{1, 2}"


def test_a_key_takes_a_few_bytes() -> None:
    tracemalloc.start()
    answered = Answered()
    for number in range(20_000):
        answered.add(number * 0x9E3779B97F4A7C15 % 2**64)
    assert answered.take(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000 * 16 + 100_000


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_a_key_is_taken_as_often_as_it_was_added(added: list[int], asked: list[int]) -> None:
    answered = Answered()
    for key in added:
        answered.add(key)
    for place, key in enumerate(asked):
        assert answered.take(key) == (asked[:place].count(key) < added.count(key))
