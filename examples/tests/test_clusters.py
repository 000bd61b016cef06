"""Ray Data and Dask lose nothing, and ask for nothing twice: a run is killed, and then a worker of the next one."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples.tests.support import HeldModel, kill, running, wait_for
from langchain_darkai.server import LocalServer

ROWS = [
    {"id": f"row {n}", "prompt": f"{'Nobody' if n % 50 == 7 else 'Alice'} is {n} years old, as far as anyone knows."}
    for n in range(600)
]
PROMPTS = {row["prompt"]: row["id"] for row in ROWS}
WORKERS = {"ray_data.py": "ray::MapWorker", "dask_dataframe.py": "multiprocessing.spawn import spawn_main"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep Ray out of the home and of other clusters, and let it take its time on a busy machine."""
    folder = tempfile.mkdtemp(prefix="ray")  # its sockets want a short path
    for name in ("RAY_ADDRESS", "DASK_SCHEDULER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_TMPDIR", folder)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "150")
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "150000")
    yield
    shutil.rmtree(folder, ignore_errors=True)


def written(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of all files that are whole."""
    return [row for file in folder.glob("*.parquet") for row in rows_of(file)]


def rows_of(file: Path) -> list[dict[str, Any]]:
    try:
        return list(pq.read_table(file).to_pylist())
    except pa.ArrowInvalid:
        return []


def workers(process: "subprocess.Popen[str]", mark: str) -> list[psutil.Process]:
    """Return the processes whose command line has a mark, of all that a process started."""
    family = psutil.process_iter(["cmdline", "pid"])
    children = {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
    return [one for one in family if one.pid in children and mark in " ".join(one.info["cmdline"] or ())]


@pytest.mark.timeout(1500)
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("script", WORKERS)
def test_nothing_is_lost_and_nothing_answered_is_asked_again(script: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    answers, model = tmp_path / "answers", HeldModel()
    with LocalServer(model.model) as server:
        model.answer(300)
        with running(script, "rows.jsonl", "answers", folder=tmp_path, DARKAI_BASE_URL=server.url) as process:
            wait_for(lambda: len(written(answers)) >= 64, process)
            kill(process)
        done = {row["id"] for row in written(answers)}
        (answers / "cut.parquet").write_bytes(b"PAR1 and no end")

        model.answer(100)
        with running(script, "rows.jsonl", "answers", folder=tmp_path, DARKAI_BASE_URL=server.url) as process:
            wait_for(lambda: len(model.asked) > 110, process)
            both = workers(process, WORKERS[script])
            assert len(both) == 2
            both[0].kill()
            model.release()
            output, _ = process.communicate(timeout=600)
            assert process.returncode == 0, (tmp_path / "errors.txt").read_text()[-3000:]

    rows = written(answers)
    assert sorted(row["id"] for row in rows) == sorted(PROMPTS.values())
    assert {PROMPTS[prompt] for prompt in model.asked} == set(PROMPTS.values()) - done
    assert {row["id"] for row in rows if row["error"]} == {PROMPTS[prompt] for prompt in PROMPTS if "Nobody" in prompt}
    for row in rows:
        if row["error"]:
            assert (row["name"], row["age"]) == (None, None)
            assert "nobody is that old" in row["error"]
        else:
            assert row["prompt"].startswith(f"{row['name']} is {row['age']} years old")
    printed = output.splitlines()  # Ray tells there of the worker that died, too
    assert f"{len(done)} rows before" in printed
    assert "600 rows now, 12 of them failed" in printed
