"""A batch whose process is killed goes on: nothing is lost, and nothing that was answered is asked again."""

import json
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_darkai.testing import ReceivedCall, ScriptedServer, reply
from langchain_darkai.testing.wire import HOLD, STREAM, Step, answer
from tests.support.asker import Serve
from tests.support.batch_runs import Mother, mother

ROWS, KILLS = 400, 12


def written(path: Path) -> list[dict[str, Any]]:
    """Return the answers whose lines are whole."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def kill_at(server: ScriptedServer, asked: int) -> None:
    server.wait_for(lambda server: len(server.calls) >= asked, 60.0)


@pytest.fixture(scope="module")
def runs() -> Iterator[Mother]:
    with mother() as runs:
        yield runs


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_batch_that_is_killed_again_and_again_loses_nothing_and_asks_nothing_twice(
    serve: Serve, tmp_path: Path, runs: Mother
) -> None:
    def respond(request: ReceivedCall) -> list[Step]:
        number = int(request.query.split()[-1])
        return answer(400, '{"error": "no"}') if number % 50 == 0 else [0.005, *reply(f"reply {number}")]

    server = serve(respond)
    rows, answers = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    rows.write_text("".join(json.dumps({"id": n, "prompt": f"prompt {n}"}) + "\n" for n in range(ROWS)))
    arguments = [str(rows), "-o", str(answers), "--base-url", server.url, "--concurrency", "8"]
    choose = random.Random(5)
    known: set[int] = set()
    for _ in range(KILLS):
        before = len(server.calls)
        child = runs.start(*arguments)
        kill_at(server, before + choose.randint(1, 30))
        runs.kill(child)
        again = {int(request.query.split()[-1]) for request in server.calls[before:]} & known
        assert again == set(), "answered and written, and asked again"
        known = {line["id"] for line in written(answers)}
        if choose.random() < 0.5 and known:  # as if the kill had come within the last write
            whole = answers.read_bytes()
            last = whole.rstrip(b"\n").rfind(b"\n") + 1
            answers.write_bytes(whole[: choose.randrange(last, len(whole) - 1)])
            known = {line["id"] for line in written(answers)}
    before = len(server.calls)
    runs.start(*arguments)
    assert runs.wait() == 1  # some rows failed
    again = {int(request.query.split()[-1]) for request in server.calls[before:]} & known
    assert again == set()
    lines = written(answers)
    assert Counter(line["id"] for line in lines) == Counter(range(ROWS))
    assert {line["id"] for line in lines if "error" in line} == set(range(0, ROWS, 50))
    assert {line["text"] for line in lines if "error" not in line} == {f"reply {n}" for n in range(ROWS) if n % 50}
    before = len(server.calls)
    runs.start(*arguments)
    assert (runs.wait(), len(server.calls)) == (1, before), "a finished batch asks nothing"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_batch_that_is_interrupted_says_so_and_goes_on(serve: Serve, tmp_path: Path, runs: Mother) -> None:
    def respond(request: ReceivedCall) -> list[Step]:
        return reply("Hello") if request.query == "0" or len(server.calls) > 4 else [STREAM, HOLD]

    server = serve(respond)
    rows, answers = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    rows.write_text("".join(f'"{number}"\n' for number in range(6)), encoding="utf-8")
    arguments = [str(rows), "-o", str(answers), "--base-url", server.url, "--concurrency", "3"]
    child = runs.start(*arguments)
    kill_at(server, 4)
    assert runs.kill(child, signal.SIGINT) == 130
    assert [line["id"] for line in written(answers)] == [1]
    runs.start(*arguments)
    assert runs.wait() == 0
    assert sorted(line["id"] for line in written(answers)) == [1, 2, 3, 4, 5, 6]
