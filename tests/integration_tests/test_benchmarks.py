"""The benchmarks run: a rough look at the servers, without LiteLLM, measures every row over real processes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import guard
from benchmarks.works import WORKS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]  # the servers of a run import their models one after another

ROOT = Path(__file__).parents[2]
FIGURE = r"[\d.,]+ (?:µs|ms|/s|MB|kB)"


def benchmarks(*arguments: str, module: str = "benchmarks") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=150)


@pytest.mark.parametrize(
    ("rows", "titles"),
    [
        (["gateway-token", "gateway-first"], ["a streamed token", "time to the first text"]),
        (["gateway-rest", "gateway-idle"], ["memory at rest", "- for each idle stream"]),
    ],
    ids=["time", "memory"],
)
def test_the_rows_of_the_gateway_have_a_figure_and_a_floor_each(rows: list[str], titles: list[str]) -> None:
    run = benchmarks(*rows, "--quick", "--seconds", "0.1", "--litellm", "no-such-command")
    assert run.returncode == 0, run.stderr
    header, *shown, load = run.stdout.splitlines()
    assert re.fullmatch(r"The load of the \d+ cores was [\d.]+ before and [\d.]+ after\.", load)
    assert re.split(r" {2,}", header.strip()) == ["this server", "over its model alone", "bare pass-through", "LiteLLM"]
    assert [line[:28].strip() for line in shown] == titles
    floor, litellm = header.index("bare pass-through"), header.index("LiteLLM")
    assert all(re.search(FIGURE, line[:floor]) for line in shown)
    assert all(float(line[floor:].split()[0]) > 0 for line in shown)
    assert not any(line[litellm:].strip() for line in shown)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no-such-row"], "There is no row no-such-row."),
        (["gateway-token", "--record"], "--record needs all rows of a table, and not --quick."),
    ],
)
def test_what_cannot_be_measured_is_said(arguments: list[str], sentence: str) -> None:
    run = benchmarks(*arguments)
    assert run.returncode == 2
    assert sentence in run.stderr


@pytest.mark.parametrize("name", WORKS)
def test_all_work_that_is_guarded_can_be_done_and_has_a_count_for_each_python(name: str) -> None:
    WORKS[name]()
    recorded = json.loads(guard.RECORD.read_text())
    assert all(record["counts"][name] > 1_000_000 for record in recorded.values())


@pytest.mark.parametrize(
    ("before", "now", "is_slower"), [(1000, 1000, False), (1000, 1050, False), (1000, 1051, True), (None, 1, True)]
)
def test_the_guard_fails_for_more_instructions_than_recorded(before: int | None, now: int, is_slower: bool) -> None:
    assert guard.is_slower(before, now) is is_slower


def test_the_guard_says_what_it_needs() -> None:
    run = benchmarks("--valgrind", "no-such-command", module="benchmarks.guard")
    assert run.returncode == 1
    assert run.stderr == "There is no valgrind, which counts instructions (Debian, Ubuntu: apt install valgrind).\n"
