"""`serve`, and servers that nobody stops, in processes of their own."""

import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_darkai.server import LocalServer, serve
from tests.support.programs import complaints, is_listening, running

pytestmark = pytest.mark.usefixtures("nothing_left")

JSON = {"content-type": "application/json"}

SERVING = """
from langchain_darkai.server import serve
from tests.support.models import ScriptedModel

model = ScriptedModel(replies=[lambda messages, given: ["Hi", float(messages[-1].text), " there"]])
serve(model, port=0, on_ready=lambda url: print(url, flush=True))
print("served", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_drains_on_a_signal(number: signal.Signals) -> None:
    with running(SERVING) as process, ThreadPoolExecutor(1) as pool:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        request = urllib.request.Request(f"{url}/chat", b'{"query": "1"}', JSON)
        with urllib.request.urlopen(request, timeout=20) as response:
            assert b'"Hi"' in response.readline()
            process.send_signal(number)
            while is_listening(url):
                pass
            rest = pool.submit(response.read).result(20)
            assert b'" there"' in rest
            assert b"stream-end" in rest
        out, error = process.communicate(timeout=20)
        assert (process.returncode, out, complaints(error)) == (0, "served\n", [])


def test_a_second_signal_ends_replies_at_once() -> None:
    with running(SERVING) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        request = urllib.request.Request(f"{url}/chat", b'{"query": "1000"}', JSON)
        with urllib.request.urlopen(request, timeout=20) as response:
            assert b'"Hi"' in response.readline()
            process.terminate()
            while is_listening(url):
                pass
            process.terminate()
            assert b"shutting down" in response.read()
        out, error = process.communicate(timeout=8)
        assert (process.returncode, out, complaints(error)) == (0, "served\n", [])


def test_ctrl_c_ends_serve_also_without_signal_handlers() -> None:
    windows = """
import asyncio
def add_signal_handler(*_): raise NotImplementedError
asyncio.SelectorEventLoop.add_signal_handler = add_signal_handler
"""
    with running(windows + SERVING) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        request = urllib.request.Request(f"{url}/chat", b'{"query": "1000"}', JSON)
        with urllib.request.urlopen(request, timeout=20) as response:
            assert b'"Hi"' in response.readline()
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=20)
        assert (process.returncode, out, complaints(error)) == (0, "served\n", [])


def test_a_model_that_goes_on_does_not_hold_up_the_end_of_serve() -> None:
    going_on = (
        SERVING.replace("import ScriptedModel", "import ScriptedModel, Stubborn")
        .replace("from langchain_darkai.server import", "import threading\nfrom langchain_darkai.server import")
        .replace('float(messages[-1].text), " there"', "Stubborn(threading.Event())")
        .replace("port=0", "port=0, grace_period=0.1")
    )
    with running(going_on) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        request = urllib.request.Request(f"{url}/chat", b'{"query": "Hi"}', JSON)
        with urllib.request.urlopen(request, timeout=20) as response:
            assert b'"Hi"' in response.readline()
            process.terminate()
            out, error = process.communicate(timeout=20)
    said = "A model goes on although it was cancelled. It is left to itself, in a thread."
    assert (process.returncode, out, complaints(error)) == (0, "served\n", [said])


def test_a_signal_handler_of_the_program_may_exit() -> None:
    handler = "import signal, sys\nsignal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))\n"
    with running(handler + SERVING) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGUSR1)
        out, error = process.communicate(timeout=20)
        assert (process.returncode, out, complaints(error)) == (3, "", [])


def test_serve_says_that_the_port_is_taken() -> None:
    model = FakeListChatModel(responses=["Hello"])
    with LocalServer(model) as server, pytest.raises(OSError, match="Cannot listen on"):
        serve(model, port=int(server.url.rpartition(":")[2]))


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param("", id="idle"),
        pytest.param("urllib.request.urlopen(url + '/health').read()", id="used"),
        pytest.param("kept = urllib.request.urlopen(request)", id="during a reply"),
        pytest.param("raise SystemExit(0)", id="exit"),
        pytest.param("del server; import gc; gc.collect()", id="forgotten"),
    ],
)
def test_a_server_that_nobody_stops_does_not_keep_the_process(rest: str) -> None:
    code = SERVING.partition("\nserve(")[0] + (
        "\nimport urllib.request\nfrom langchain_darkai.server import LocalServer\n"
        "server = LocalServer(model, grace_period=0.1).start()\nurl = server.url\n"
        f"request = urllib.request.Request(url + '/chat', b'{{\"query\": \"1000\"}}', {JSON})\n{rest}\n"
    )
    if "kept" in rest:
        code += "kept.readline()\nkept.close()\n"
    with running(code) as process:
        out, error = process.communicate(timeout=30)
        assert (process.returncode, out, complaints(error)) == (0, "", [])


FORKING = """
import os, signal, socket, time, urllib.request, warnings
from langchain_darkai.server import LocalServer

warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
server = LocalServer().start()
port = int(server.url.rpartition(":")[2])
kept = socket.create_connection(("127.0.0.1", port), timeout=20)
kept.sendall(b"GET /health HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n")
assert kept.recv(1000).startswith(b"HTTP/1.1 200 ")
child = os.fork()
if not child:
    time.sleep(60)
    os._exit(0)
try:
    assert urllib.request.urlopen(server.url + "/health", timeout=20).status == 200
    server.stop()
    while kept.recv(1000):
        pass
    kept.close()
    with LocalServer(port=port) as again:
        assert urllib.request.urlopen(again.url + "/health", timeout=20).status == 200
    print("free")
finally:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_a_forked_child_keeps_neither_the_port_nor_the_connections_of_a_server() -> None:
    with running(FORKING) as process:
        out, error = process.communicate(timeout=50)
        assert (process.returncode, out, complaints(error)) == (0, "free\n", [])


FORKING_ITSELF = """
import multiprocessing, sys, time, urllib.request, warnings
from langchain_darkai.server import LocalServer

def serve_in_child(answers):
    with LocalServer() as server:
        answers.put(urllib.request.urlopen(server.url + "/health", timeout=20).status)

if __name__ == "__main__":
    warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
    context = multiprocessing.get_context("fork")
    with LocalServer() as server:
        answers = context.Queue()
        child = context.Process(target=serve_in_child, args=(answers,))
        child.start()
        print(answers.get(timeout=20), flush=True)
        child.join(20)
        print(child.exitcode, urllib.request.urlopen(server.url + "/health", timeout=20).status)
"""


def test_a_forked_child_can_have_a_server_of_its_own() -> None:
    with running(FORKING_ITSELF) as process:
        out, error = process.communicate(timeout=50)
        assert (process.returncode, out, complaints(error)) == (0, "200\n0 200\n", [])
