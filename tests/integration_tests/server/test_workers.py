"""Several processes on one port: `serve --workers`, and gunicorn."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakeredis import TcpFakeServer

ROOT = Path(__file__).parents[3]
SECONDS = 40.0
COMMAND = [sys.executable, "-m", "langchain_darkai.cli", "serve", "--port", "0", "--workers", "2"]
GUNICORN = [sys.executable, "-m", "gunicorn", "langchain_darkai.server:app()", "-k", "aiohttp.GunicornWebWorker"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]  # each starts three processes, on machines that are busy


class Program:
    """A server in processes of its own, with what it writes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.url = ""
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=lambda stream=stream, lines=lines: lines.extend(iter(stream.readline, "")))
            for stream, lines in ((process.stdout, self.out), (process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, what: Callable[[], Any]) -> Any:
        until = time.monotonic() + SECONDS
        while not (found := what()):
            assert time.monotonic() < until, (self.out, self.err)
            time.sleep(0.02)
        return found

    def find_url(self) -> str:
        def url() -> str:
            return next(iter(re.findall(r"http://127\.0\.0\.1:\d+", "".join(self.out + self.err))), "")

        self.url = self.wait_for(url)
        return self.url

    def workers(self, count: int = 2) -> list[psutil.Process]:
        """Return the workers, once there are so many."""

        def children() -> list[psutil.Process] | None:
            found = psutil.Process(self.process.pid).children()
            return found if len(found) == count else None

        found: list[psutil.Process] = self.wait_for(children)
        return found

    def end(self) -> int:
        code = self.process.wait(SECONDS)
        for reader in self._readers:
            reader.join(SECONDS)
        return code


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[Program]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]), **environment}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=ROOT) as process:
        program = Program(process)
        try:
            yield program
        finally:
            children = psutil.Process(process.pid).children() if process.poll() is None else []
            for child in children:
                child.kill()
            process.kill()
            program.end()


def ask(url: str, key: str = "", path: str = "/chat") -> tuple[int, str]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    body = json.dumps({"query": "Count from 1 to 3"}).encode() if path == "/chat" else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, body, headers), timeout=SECONDS) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def ask_both(program: Program, key: str = "") -> int:
    """Ask until each worker has answered, and return how many requests that took, of which all were answered."""
    workers = program.workers()
    count = 0
    # A worker that is stopped leaves what comes to the other, so each has answered one at least.
    for stopped in workers:
        stopped.suspend()
        try:
            for _ in range(2):
                assert ask(program.url, key)[0] == 200
                count += 1
        finally:
            stopped.resume()
    return count


def counted(url: str) -> dict[str, float]:
    status, text = ask(url, path="/metrics")
    assert status == 200
    found = re.findall(r"^langchain_darkai_(\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


ANSWERED = 'requests_total{model="default",path="/chat",status="200"}'


def test_two_workers_answer_at_one_port_and_count_together() -> None:
    with started([*COMMAND, "--metrics"]) as program:
        url = program.find_url()
        count = ask_both(program)
        program.wait_for(
            lambda: counted(url).get(ANSWERED) == count
        )  # a request counts after its client has the answer
        for _ in range(5):  # whoever answers
            found = counted(url)
            assert found[ANSWERED] == found['duration_seconds_count{model="default"}'] == count
            assert found['running{model="default"}'] == 0
        program.process.terminate()
        assert program.end() == 0
        assert program.out == [f"Serving the offline model at {url}, no key needed (Ctrl+C stops).\n"]
        assert len(program.err) == count, program.err
        assert all("path=/chat model=default status=200" in line for line in program.err)


def test_a_worker_that_dies_is_replaced_and_its_counts_stay() -> None:
    with started([*COMMAND, "--metrics", "--log-format", "none"]) as program:
        url = program.find_url()
        count = ask_both(program)
        program.wait_for(lambda: counted(url).get(ANSWERED) == count)
        victim = program.workers()[0]
        victim.kill()
        program.wait_for(lambda: any("Another takes its place" in line for line in program.err))
        assert f"The worker {victim.pid} has ended with -9." in program.err[0]
        assert victim.pid not in [worker.pid for worker in program.workers()]
        assert ask(url)[0] == 200
        program.wait_for(lambda: counted(url).get(ANSWERED) == count + 1)
        program.process.send_signal(signal.SIGINT)
        assert program.end() == 0
        assert len(program.out) == 1


HELD = """
import asyncio
from pathlib import Path
import langchain.chat_models
from langchain_core.language_models import FakeListChatModel

class Held(FakeListChatModel):
    async def _astream(self, *args, **kwargs):
        async for chunk in super()._astream(*args, **kwargs):
            yield chunk
            while not Path({file!r}).exists():
                await asyncio.sleep(0.02)

langchain.chat_models.init_chat_model = lambda *_args, **_kwargs: Held(responses=["abcd"])
"""


@contextmanager
def holding(folder: Path, *words: str, **environment: str) -> Iterator[Program]:
    """Run workers over a model that waits after its first text until there is a file `go-on` in the folder."""
    (folder / "held_model.py").write_text(HELD.format(file=str(folder / "go-on")))
    (folder / "sitecustomize.py").write_text(
        "import sys\nif 'langchain_darkai.cli' in sys.orig_argv: import held_model\n"
    )
    path = os.pathsep.join([str(folder), str(ROOT), *filter(None, sys.path)])
    with started([*COMMAND, "--backend", "held:model", *words], PYTHONPATH=path, **environment) as program:
        program.find_url()
        program.workers()
        yield program


def begin(url: str, key: str = "") -> Any:
    """Ask, and return the response as soon as its first text is there."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    return urllib.request.urlopen(urllib.request.Request(f"{url}/chat", b'{"query": "Hi"}', headers), timeout=SECONDS)


def test_a_worker_that_cannot_be_replaced_at_once_is_tried_again(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(line("one"))
    with started([*COMMAND, "--keys-file", str(keys)]) as program:
        url = program.find_url()
        ask_both(program, "one")
        keys.rename(tmp_path / "away")
        program.workers()[0].kill()
        program.wait_for(lambda: sum("Another takes its place" in line for line in program.err) >= 2)
        assert ask(url, "one")[0] == 200  # the other goes on
        (tmp_path / "away").rename(keys)
        ask_both(program, "one")
        program.process.terminate()
        assert program.end() == 0


def test_a_signal_lets_replies_finish_in_every_worker(tmp_path: Path) -> None:
    with holding(tmp_path) as program:
        responses = [begin(program.url) for _ in range(4)]
        program.process.terminate()
        (tmp_path / "go-on").touch()
        for response in responses:
            assert b"stream-end" in response.read()
        assert program.end() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])  # the latter: the terminal was closed
def test_workers_stop_where_their_parent_has_to(number: signal.Signals) -> None:
    with started(COMMAND) as program:
        program.find_url()
        workers = program.workers()
        program.process.send_signal(number)
        assert psutil.wait_procs(workers, SECONDS)[1] == []


def test_what_cannot_work_is_told_once() -> None:
    with started([*COMMAND, "--keys-file", "/no/such/file"]) as program:
        assert program.end() == 1
        said = "langchain-darkai serve: The file of keys /no/such/file cannot be read: No such file or directory."
        assert (program.out, program.err) == ([], [f"{said}\n"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started([*COMMAND, "--port", str(port)]) as program:
            assert program.end() == 1
            assert len(program.err) == 1
            assert program.err[0].startswith(f"langchain-darkai serve: Cannot listen on 127.0.0.1:{port}: ")


def test_sighup_reaches_every_worker(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(line("one"))
    with started([*COMMAND, "--keys-file", str(keys)]) as program:
        url = program.find_url()
        ask_both(program, "one")
        keys.write_text(line("two"))
        program.process.send_signal(signal.SIGHUP)
        program.wait_for(lambda: sum("keys were read again" in line for line in program.err) == 2)
        ask_both(program, "two")
        assert ask(url, "one")[0] == 401
        program.process.terminate()
        assert program.end() == 0


def line(key: str, options: str = "") -> str:
    return f"{key}-name:{sha256(key.encode()).hexdigest()} {options}"


@pytest.fixture
def redis() -> Iterator[str]:
    server = TcpFakeServer(("127.0.0.1", 0))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    server.shutdown()
    thread.join()
    server.server_close()


def test_two_workers_share_the_requests_a_minute_through_redis(redis: str) -> None:
    with started([*COMMAND, "--limits-url", redis], DARKAI_SERVER_KEYS=line("one", "per-minute=4")) as program:
        url = program.find_url()
        assert ask_both(program, "one") == 4
        for stopped in program.workers():
            stopped.suspend()
            try:
                status, text = ask(url, "one")
                assert (status, "may send 4 requests a minute" in text) == (429, True)
            finally:
                stopped.resume()
        assert not [line for line in program.err if "does not answer" in line]


def test_two_workers_share_the_requests_at_once_through_redis(redis: str, tmp_path: Path) -> None:
    with holding(tmp_path, "--limits-url", redis, DARKAI_SERVER_KEYS=line("one", "at-once=3")) as program:
        responses = [begin(program.url, "one") for _ in range(3)]
        for stopped in program.workers():
            stopped.suspend()
            try:
                assert ask(program.url, "one")[0] == 429
            finally:
                stopped.resume()
        (tmp_path / "go-on").touch()
        for response in responses:
            assert b"stream-end" in response.read()
        # The reply has ended a moment before its place is free.
        program.wait_for(lambda: ask(program.url, "one")[0] == 200)
        assert not [line for line in program.err if "does not answer" in line]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def test_gunicorn_runs_it_in_two_processes(redis: str, tmp_path: Path) -> None:
    settings = {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "DARKAI_SERVER_METRICS": "1",
        "DARKAI_SERVER_LIMITS_URL": redis,
        "DARKAI_SERVER_KEYS": f"{line('one', 'per-minute=4')};{line('two')}",
        "DARKAI_SERVER_LOG_FORMAT": "json",
    }
    with started([*GUNICORN, "--workers", "2", "--bind", f"127.0.0.1:{free_port()}"], **settings) as program:
        url = program.find_url()
        program.wait_for(lambda: sum("Booting worker" in line for line in program.err) == 2)
        program.wait_for(lambda: answers(url))
        assert ask_both(program, "one") == 4
        assert ask(url, "one")[0] == 429
        assert ask_both(program, "two") == 4
        assert ask(url)[0] == 401
        program.wait_for(lambda: counted(url).get(ANSWERED) == 8)
        program.process.terminate()
        assert program.end() == 0
        requests = [json.loads(line) for line in program.err if line.startswith("{") and '"/chat"' in line]
        assert sorted(request["status"] for request in requests) == [200] * 8 + [401, 429]


def answers(url: str) -> bool:
    try:
        return ask(url, path="/health")[0] == 200
    except OSError:
        return False
