"""Calls in programs whose threads gevent has made greenlets, before the import or after it; and in gunicorn."""

import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from langchain_darkai.server import LocalServer
from langchain_darkai.testing import ReceivedCall, ScriptedServer, reply
from langchain_darkai.testing.wire import HOLD, STREAM, Step, chunk, text
from tests.support.asker import Serve
from tests.support.programs import ROOT, run

pytestmark = pytest.mark.slow

PATCH = """
import warnings
from gevent import monkey, spawn, joinall, sleep
warnings.filterwarnings("ignore", "Monkey-patching")  # that ssl was imported before, which tests do on purpose
monkey.patch_all()
"""
USE = """
model.invoke("Hi"), list(model.stream("Hi"))
"""


Program = Callable[[ScriptedServer, str], list[str]]


@pytest.fixture(params=["before the import", "after the import", "after the first call"])
def program(request: pytest.FixtureRequest) -> Program:
    """Run code in a process that gevent has patched at a given moment, and return the words that it prints."""

    def run_patched(server: ScriptedServer, code: str) -> list[str]:
        if request.param == "before the import":
            return run(server, code, before=PATCH)
        return run(server, (USE + PATCH if request.param == "after the first call" else PATCH) + code)

    return run_patched


def test_each_way_of_calling_returns(serve: Serve, program: Program) -> None:
    code = """
print(model.invoke("Hi").text, "".join(chunk.text for chunk in model.stream("Hi")))
print(*(message.text for message in model.batch(["a", "b", "c"])))
print(*sorted(message.text for _, message in model.batch_as_completed(["a", "b"])))
print(asyncio.run(model.ainvoke("Hi")).text)
"""
    assert program(serve(reply("Hello")), code) == ["Hello"] * 8


def test_a_name_is_looked_up(serve: Serve, program: Program) -> None:
    code = """
named = ChatDarkAI(base_url=url.replace("127.0.0.1", "localhost"), max_retries=0, timeout=10)
print(named.invoke("Hi").text, "".join(chunk.text for chunk in named.stream("Hi")))
"""
    assert program(serve(reply("Hello")), code) == ["Hello"] * 2


def test_other_greenlets_go_on_while_one_waits(serve: Serve, program: Program) -> None:
    """The server answers no call before all of them have come."""

    def together(request: ReceivedCall) -> Iterator[Step]:
        server.wait_for(lambda server: len([one for one in server.calls if one.query == request.query]) >= 20, 15)
        yield from reply("Hello")

    server = serve(lambda request: together(request) if request.query == "together" else reply("Hello"))
    code = """
def ask(n):
    return model.invoke("together").text if n % 2 else "".join(chunk.text for chunk in model.stream("together"))

jobs = [spawn(ask, n) for n in range(20)]
joinall(jobs, timeout=20)
print(*(job.value for job in jobs))
"""
    assert program(server, code) == ["Hello"] * 20


def test_a_stream_comes_in_pieces_and_can_be_left(serve: Serve, program: Program) -> None:
    server = serve(lambda request: [STREAM + chunk(text("Hel")), HOLD] if request.query == "left" else reply("Hello"))
    code = """
for how in range(3):
    stream = model.stream("left")
    print(next(stream).text)
    stream.close()
print(model.invoke("Hi").text)
"""
    assert program(server, code) == ["Hel"] * 3 + ["Hello"]
    server.wait_for(lambda server: server.left == 3)


def test_an_error_is_raised(serve: Serve, program: Program) -> None:
    code = """
for call in (model.invoke, lambda query: list(model.stream(query))):
    try:
        call("broken")
    except Exception as error:
        print(type(error).__name__)
"""
    server = serve(lambda request: [STREAM + chunk(b"")] if request.query == "broken" else reply("Hello"))
    assert program(server, code) == ["DarkAIStreamTruncatedError"] * 2


def test_a_callback_can_call_the_model_within_a_call(serve: Serve, program: Program) -> None:
    code = """
from langchain_core.callbacks import BaseCallbackHandler

class Asks(BaseCallbackHandler):
    run_inline = True
    raise_error = True

    def on_llm_end(self, response, **kwargs):
        print(model.invoke("again").text, "".join(chunk.text for chunk in model.stream("again")))

print(model.batch(["Hi"], config={"callbacks": [Asks()]})[0].text)
"""
    assert program(serve(reply("Hello")), code) == ["Hello"] * 3


@pytest.mark.parametrize("program", ["before the import", "after the import"], indirect=True)
def test_a_fork_after_use(serve: Serve, program: Program) -> None:
    code = """
model.invoke("before")
if pid := os.fork():
    os.waitpid(pid, 0)
    print(model.invoke("parent").text)
else:
    print(model.invoke("child").text, *(chunk.text for chunk in model.stream("child")), flush=True)
    os._exit(0)
"""
    assert program(serve(reply("Hello")), code) == ["Hello"] * 3


APP = """
from langchain_darkai import ChatDarkAI

model = ChatDarkAI(base_url={url!r}, max_retries=0, timeout=10)
{warm}

def app(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    if environ["PATH_INFO"] == "/invoke":
        return [model.invoke("Count from 1 to 5").text.encode()]
    return (chunk.text.encode() for chunk in model.stream("Count from 1 to 5"))
"""


@contextmanager
def gunicorn(folder: Path) -> Iterator[str]:
    """Run gunicorn with the `app` of the module `tiny` in a folder; yield its URL."""
    options = ["-k", "gevent", "--preload", "-w", "1", "-b", "127.0.0.1:0", "--graceful-timeout", "2"]
    command = [sys.executable, "-m", "gunicorn", *options, "--pythonpath", f"{folder},{ROOT}", "tiny:app"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        yield next(found[1] for line in lines if (found := re.search(r"Listening at: (http://[\d.:]+)", line)))
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.parametrize("warm", ["", 'model.invoke("Hello"), list(model.stream("Hello"))'], ids=["cold", "warm"])
def test_gunicorn_with_gevent_and_preload(tmp_path: Path, warm: str) -> None:
    with LocalServer() as server:
        (tmp_path / "tiny.py").write_text(APP.format(url=server.url, warm=warm), encoding="utf-8")
        with gunicorn(tmp_path) as url, ThreadPoolExecutor(8) as threads:

            def get(path: str) -> str:
                with urllib.request.urlopen(url + path, timeout=15) as response:
                    return str(response.read().decode())

            assert list(threads.map(get, ["/invoke", "/stream"] * 8)) == ["1, 2, 3, 4, 5"] * 16
