"""Batches that are larger than the number of files that a process may open, and the connections that they leave."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from langchain_darkai import ChatDarkAI, DarkAIConnectionError
from langchain_darkai.testing import ScriptedServer, reply
from langchain_darkai.testing.wire import END, STREAM, chunk, text
from tests.support.asker import ModelOf, Serve
from tests.support.programs import ROOT
from tests.support.waiting_server import waiting_server

PROGRAM = """
import asyncio, json, os, resource, sys
url, files, ways = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from langchain_darkai import ChatDarkAI, DarkAIConnectionError
model = ChatDarkAI(base_url=url, max_retries=0, timeout=150)

def good(replies):
    return [reply.text for reply in replies].count("Hello")

async def batch():
    return good(model.batch(["Hi"] * 1100))

async def at_once():
    return good(await model.abatch(["Hi"] * 1100, config={"max_concurrency": 1100}))

async def streams():
    async def ask():
        return "".join([piece.text async for piece in model.astream("Hi")])
    return (await asyncio.gather(*[ask() for _ in range(300)])).count("Hello")

def opened():
    "Open all files that there are."
    held = []
    try:
        while True:
            held.append(open(os.devnull))
    except OSError:
        return held

async def another_part_closes_files():
    held = opened()
    asking = asyncio.ensure_future(model.ainvoke("Hi"))
    await asyncio.sleep(0.3)
    was_done = asking.done()
    for file in held[:40]:
        file.close()
    return [was_done, (await asking).text]

async def timeout():
    held = opened()
    try:
        await model.ainvoke("Hi", timeout=0.5)
    except DarkAIConnectionError as error:
        return str(error)
    finally:
        for file in held:
            file.close()

async def another_host():
    await model.ainvoke("Hi")
    held = opened()
    by_proxy = model.model_copy(update={"base_url": "http://elsewhere.invalid", "proxy": url})
    return (await by_proxy.ainvoke("Hi")).text

print(json.dumps({name: asyncio.run(globals()[name]()) for name in ways}))
"""


@pytest.fixture(scope="module")
def few_files() -> dict[str, Any]:
    return run(256, "batch", "streams")


@pytest.fixture(scope="module")
def no_files() -> dict[str, Any]:
    """Each way opens all files itself; without a batch before, whose idle connections are closed a second later."""
    return run(256, "another_host", "another_part_closes_files", "timeout")


def run(files: int, *ways: str) -> dict[str, Any]:
    with waiting_server(0.1) as url:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, url, str(files), *ways],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert (done.stderr, done.returncode) == ("", 0)
    outcomes: dict[str, Any] = json.loads(done.stdout)
    return outcomes


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_batch_larger_than_the_usual_limit_of_files_loses_nothing() -> None:
    assert run(1024, "at_once") == {"at_once": 1100}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_batch_under_a_low_limit_loses_nothing(few_files: dict[str, Any]) -> None:
    assert few_files["batch"] == 1100


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_streams_wait_for_a_place_too(few_files: dict[str, Any]) -> None:
    assert few_files["streams"] == 300


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_call_gets_the_place_of_a_file_that_another_part_of_the_program_closes(no_files: dict[str, Any]) -> None:
    assert no_files["another_part_closes_files"] == [False, "Hello"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_wait_for_a_place_ends_with_the_timeout(no_files: dict[str, Any]) -> None:
    assert no_files["timeout"].startswith("Too many files are open for another connection to 127.0.0.1:")
    assert "ulimit -n" in no_files["timeout"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_kept_connection_to_another_host_makes_room(no_files: dict[str, Any]) -> None:
    assert no_files["another_host"] == "Hello"


@pytest.fixture
def gated(serve: Serve) -> Iterator[Any]:
    """Serve replies that wait until so many requests have come at once, and a moment more."""
    threads: list[threading.Thread] = []

    def start(most: int) -> ScriptedServer:
        gate = threading.Event()
        server = serve([STREAM, gate, 0.05, chunk(text("Hello")) + END])

        def open_gate() -> None:
            server.wait_for(lambda server: server.peak >= most, 40.0)
            gate.set()

        threads.append(threading.Thread(target=open_gate))
        threads[-1].start()
        return server

    yield start
    for thread in threads:
        thread.join()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_batch_leaves_a_few_dozen_connections(gated: Any, model_of: ModelOf) -> None:
    server = gated(70)
    model = model_of(server, timeout=50.0)
    assert len(await model.abatch(["Hi"] * 70, config={"max_concurrency": 70})) == 70
    assert server.connections == 70
    for _ in range(400):
        if _open_to(server.url) <= 32:
            break
        await asyncio.sleep(0.02)
    assert _open_to(server.url) == 32
    assert len(await model.abatch(["Hi"] * 20)) == 20
    assert server.connections == 70, "the kept connections were not used again"


def _open_to(url: str) -> int:
    port = int(url.rpartition(":")[2])
    connections = psutil.Process().net_connections("tcp")
    return sum(bool(one.raddr) and one.raddr[1] == port and one.status == "ESTABLISHED" for one in connections)


@pytest.mark.parametrize("way", ["batch", "abatch", "batch_as_completed", "abatch_as_completed"])
async def test_a_batch_asks_for_64_at_a_time(gated: Any, model_of: ModelOf, way: str) -> None:
    server = gated(64)
    assert len(await _batched(model_of(server, timeout=50.0), way, 100)) == 100
    assert server.peak == 64


@pytest.mark.parametrize("most", [3, 80])
async def test_the_limit_of_the_model_is_that_of_its_batches(gated: Any, model_of: ModelOf, most: int) -> None:
    server = gated(most)
    assert len(await _batched(model_of(server, max_concurrency=most, timeout=50.0), "batch", most * 2)) == most * 2
    assert server.peak == most


async def _batched(model: ChatDarkAI, way: str, count: int) -> list[Any]:
    inputs, method = ["Hi"] * count, getattr(model, way)
    if way == "abatch":
        return list(await method(inputs))
    if way == "abatch_as_completed":
        return [pair async for pair in method(inputs)]
    return await asyncio.to_thread(lambda: list(method(inputs)))


async def test_a_large_batch_makes_tasks_only_for_the_calls_that_run(serve: Serve) -> None:
    most = 0

    class Counting(ChatDarkAI):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            nonlocal most
            most = max(most, len(asyncio.all_tasks()))
            raise DarkAIConnectionError("No need to ask.")

    model = Counting(base_url=serve(reply("Hello")).url, max_retries=0)
    outcomes: list[Any] = await model.abatch(["Hi"] * 1000, return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"No need to ask."}
    assert 64 <= most < 200  # core makes another for each call
