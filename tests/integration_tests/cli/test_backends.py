"""`serve` over real models: what it prints when it starts, and when it is told to stop, and what cannot be served."""

import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from langchain_darkai import ChatDarkAI
from langchain_darkai.cli import main
from tests.support import engine
from tests.support.command_line import SECONDS
from tests.support.scripted_engine import ScriptedEngine

ENDLESS = "Count from 1 to 1000: 1, 2, 3, 4,"


@contextmanager
def serving(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run `serve`; yield the process and what it prints first."""
    process = subprocess.Popen(
        [sys.executable, "-m", "langchain_darkai.cli", "serve", "--port", "0", "--log-format", "none", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def url_in(banner: str) -> str:
    found = re.search(r"http://[\d.]+:\d+", banner)
    assert found, banner
    return found[0]


@pytest.fixture
def weights() -> Path:
    found = engine.small_weights()
    if found is None:
        pytest.skip("there is no engine")  # `make test` says so
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_gguf_file_is_served_by_one_command(
    number: signal.Signals, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://no-such-host.invalid:3128")  # the engine is not behind it
    monkeypatch.delenv("PYTHONWARNINGS")
    path = tmp_path / "gateway.toml"
    path.write_text(
        f'[backends]\nsmall = {{ model = "llama.cpp:{weights}", options = {{ threads = 1, context = 4096 }} }}'
    )
    with serving("--config", str(path)) as (process, banner):
        assert banner.startswith("Serving small at http://127.0.0.1:")
        model = ChatDarkAI(base_url=url_in(banner), model="small", max_retries=0, timeout=50.0)
        reply = model.invoke("Name three colours.", max_tokens=20, temperature=0)
        assert reply.text
        assert reply.usage_metadata is not None
        assert 0 < reply.usage_metadata["output_tokens"] <= 20
        stream = model.stream(ENDLESS, max_tokens=3000)
        next(stream)
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.readline() == "Waiting for 1 reply to finish; press Ctrl+C again to end it.\n"
        process.send_signal(number)
        output, error = process.communicate(timeout=SECONDS)
        assert (process.returncode, output, error) == (0, "", "")


def test_a_broken_gguf_file_is_told_in_one_line(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.gguf"
    with weights.open("rb") as file:
        broken.write_bytes(file.read(100_000))
    assert main(["serve", "--backend", f"llama.cpp:{broken}"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"llama.cpp cannot load {broken}. The file is broken, or" in error


def test_every_address_is_told_as_one_by_which_others_reach_it() -> None:
    with serving("--host", "0.0.0.0") as (_, banner):
        url = url_in(banner)
        assert not url.startswith("http://0.0.0.0")
        with urllib.request.urlopen(f"{url}/health", timeout=SECONDS) as response:
            assert response.status == 200


def test_several_backends_are_served_by_name_and_one_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKAI_API_KEY", "a secret")
    with (
        ScriptedEngine([["Hello"]]) as running,
        serving(
            "--backend", f"m/1=openai:meta/m@{running.url}/v1", "--backend", "down=ollama:m@http://127.0.0.1:1"
        ) as (process, banner),
    ):  # fmt: skip
        assert re.fullmatch(
            r"Serving m/1 and down at http://127.0.0.1:\d+, with the key in DARKAI_API_KEY \(Ctrl\+C stops\)\.\n",
            banner,
        )
        model = ChatDarkAI(base_url=url_in(banner), max_retries=0)
        assert model.invoke("Hi", model="m/1").text == "Hello"
        with pytest.raises(ConnectionError, match=r"The backend 'down' \(http://127\.0\.0\.1:1\) cannot be reached"):
            model.invoke("Hi", model="down")
        process.terminate()
        _, error = process.communicate(timeout=SECONDS)
        [line] = error.splitlines()
        assert line.endswith(
            "WARNING langchain_darkai.server: The backend 'down' (http://127.0.0.1:1) cannot be reached: Connection "
            "refused. Start it, or correct its URL."
        )


def test_a_stop_waits_for_each_reply_and_says_so() -> None:
    with (
        ScriptedEngine([["Hel", go_on := threading.Event(), "lo"]]) as running,
        serving("--backend", f"openai:m@{running.url}/v1") as (process, banner),
    ):
        model = ChatDarkAI(base_url=url_in(banner), max_retries=0)
        streams = [model.stream("Hi") for _ in range(3)]
        assert {next(stream).text for stream in streams} == {"Hel"}
        process.terminate()
        assert process.stdout is not None
        assert process.stdout.readline() == "Waiting for 3 replies to finish; press Ctrl+C again to end them.\n"
        go_on.set()
        assert {"".join(chunk.text for chunk in stream) for stream in streams} == {"lo"}
        assert process.wait(SECONDS) == 0
