"""`LocalServer`, from threads and loops."""

import asyncio
import errno
import gc
import json
import logging
import socket
import threading
import urllib.request
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from typing import Any

import aiohttp
import psutil
import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_darkai.server import LocalServer, ServerTimeouts, serve
from langchain_darkai.testing import FunctionChatModel
from tests.support.models import GeneratingModel, ScriptedModel, scripted
from tests.support.programs import complaints, is_listening

pytestmark = pytest.mark.usefixtures("nothing_left")


def waiting(first: str = "Hi") -> tuple[ScriptedModel, threading.Event]:
    """Return a model that says "Hi", waits for the event (for ever, if nobody sets it), and says "there"."""
    go_on = threading.Event()
    return scripted(first, go_on, " there"), go_on


def ask(url: str, query: str = "Hi", key: str = "") -> str:
    """Return the text of a whole reply; what is no whole reply fails."""
    request = urllib.request.Request(
        f"{url}/chat", json.dumps({"query": query}).encode(), {"content-type": "application/json"}
    )
    if key:
        request.add_header("authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=20) as response:
        events = [json.loads(line[6:]) for line in response.read().split(b"\n\n") if line]
    assert events.pop()["event"] == "stream-end"
    return "".join(event["data"]["text"] for event in events)


def fake(*replies: str) -> FakeListChatModel:
    return FakeListChatModel(responses=list(replies or ["Hello"]))


def test_a_local_server_serves_between_start_and_stop() -> None:
    server = LocalServer(fake())
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
    with server as entered:
        assert entered is server
        url = server.url
        assert url.startswith("http://127.0.0.1:")
        assert repr(server) == f"<LocalServer {url}>"
        assert ask(url) == "Hello"
    assert not is_listening(url)
    assert repr(server) == "<LocalServer not running>"
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url


def test_a_local_server_can_be_started_and_stopped_again() -> None:
    server = LocalServer(fake())
    server.stop()
    for _ in range(3):
        assert server.start() is server
        url = server.url
        assert server.start().url == url
        assert ask(url) == "Hello"
        server.stop()
        server.stop()
        assert not is_listening(url)


def test_many_threads_start_and_stop_a_local_server_once() -> None:
    server = LocalServer(fake())
    with ThreadPoolExecutor(8) as pool:
        assert len({started.url for started in pool.map(lambda _: server.start(), range(8))}) == 1
        assert list(pool.map(lambda _: ask(server.url), range(8))) == ["Hello"] * 8
        list(pool.map(lambda _: server.stop(), range(8)))


async def test_a_local_server_works_inside_a_running_loop() -> None:
    with LocalServer(fake()) as server:
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}/health") as response:
            assert await response.json() == {"status": "ok"}


async def test_async_with_does_not_block_the_loop() -> None:
    model, go_on = waiting()
    async with aiohttp.ClientSession() as session:
        async with LocalServer(model, grace_period=20) as server:
            response = await session.post(f"{server.url}/chat", json={"query": "Hi"})
            first = await response.content.readuntil(b"\n\n")
            # Stopping waits for this reply, which only goes on while this loop runs.
            asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert b'"Hi"' in first
        rest = await response.content.read()
        assert b'" there"' in rest
        assert b"stream-end" in rest


async def test_a_cancelled_start_leaves_no_server() -> None:
    async def enter() -> None:
        async with LocalServer(fake()):
            await asyncio.Event().wait()

    for turns in range(4):
        task = asyncio.create_task(enter())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("first", ["Hi", "x" * 50_000_000], ids=["reads", "reads nothing"])
def test_stop_ends_replies_that_take_too_long(first: str) -> None:
    model, _ = waiting(first)
    server = LocalServer(model, grace_period=0.1).start()
    with closing(chat_socket(int(server.url.rpartition(":")[2]))) as client:
        assert client.recv(1)
        server.stop()
        last = b"".join(iter(lambda: client.recv(1_000_000), b""))
    assert (b"shutting down" in last) == (first == "Hi")
    assert b"stream-end" not in last


def test_stop_during_new_connections_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    busy, go_on = threading.Event(), threading.Event()

    # It holds up the whole loop, so that all that comes meanwhile comes at once.
    model = scripted(busy.set, lambda: go_on.wait(20), "Hi")
    with ExitStack() as stack:
        server = LocalServer(model).start()
        port = int(server.url.rpartition(":")[2])
        clients = [stack.enter_context(closing(chat_socket(port)))]
        assert busy.wait(20)
        clients += [stack.enter_context(closing(chat_socket(port))) for _ in range(50)]
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        while not server._stopping.done():
            pass
        go_on.set()
        stopper.join()
        assert b"stream-end" in clients[0].recv(65536)
        for client in clients:
            with suppress(ConnectionResetError):
                while client.recv(65536):
                    pass
    said = "\n".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert complaints(said) == []


def chat_socket(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    body = b'{"query": "Hi"}'
    client.sendall(b"POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    return client


def test_many_calls_of_a_model_without_async_code_run_at_once() -> None:
    barrier = threading.Barrier(40)
    model = GeneratingModel(replies=[[lambda: barrier.wait(20), "done"]])
    with LocalServer(model) as server, ThreadPoolExecutor(40) as pool:
        assert list(pool.map(lambda _: ask(server.url), range(40))) == ["done"] * 40


def test_a_server_that_stops_leaves_the_replies_of_another_alone() -> None:
    blocked, go_on = threading.Event(), threading.Event()
    model = GeneratingModel(replies=[[blocked.set, lambda: go_on.wait(20), "done"]])
    with LocalServer(model) as server, ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, server.url)
        assert blocked.wait(20)
        with LocalServer(GeneratingModel(replies=[["Hello"]])) as other:
            assert ask(other.url) == "Hello"
        go_on.set()
        assert reply.result(20) == "done"


def test_a_model_can_have_a_server_of_its_own_where_it_does_not_block_the_loop() -> None:
    async def reply(_messages: Any, _tools: Any) -> AsyncIterator[str]:
        with pytest.raises(RuntimeError, match="Use `async with LocalServer"):
            LocalServer(fake()).start()
        async with LocalServer(fake("from within")) as within:
            yield await asyncio.to_thread(ask, within.url)

    with LocalServer(FunctionChatModel(reply)) as server:
        assert ask(server.url) == "from within"


def test_a_server_that_has_stopped_does_not_keep_its_model() -> None:
    """A model may be a file of gigabytes, run in this process."""
    model = fake()
    with LocalServer(model) as server:
        assert ask(server.url) == "Hello"
    kept = weakref.ref(model)
    del model, server
    gc.collect()
    assert kept() is None


def test_hundreds_of_calls_leave_no_open_sockets() -> None:
    with LocalServer(fake()) as server:
        ask(server.url)
        before = psutil.Process().num_fds()
        for _ in range(200):
            ask(server.url)
        assert psutil.Process().num_fds() <= before + 2


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"POST /chat HTTP/1.1\r\nhost: localhost\r\n", id="half a head"),
        pytest.param(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n", id="one request"),
        pytest.param(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\nGET /he", id="one request and a half"),
    ],
)
def test_a_connection_without_a_request_is_closed_in_time(sent: bytes) -> None:
    timeouts = ServerTimeouts(idle_connection=0.2)
    with LocalServer(fake(), timeouts=timeouts) as server, closing(socket.socket()) as client:
        client.settimeout(20)
        client.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        client.sendall(sent)
        got = b"".join(iter(lambda: client.recv(65536), b""))
    assert got.endswith(b'{"status": "ok"}') == (b"/health" in sent)


def test_a_reply_may_take_longer_than_an_idle_connection() -> None:
    model, go_on = waiting()
    threading.Timer(0.3, go_on.set).start()
    with LocalServer(model, timeouts=ServerTimeouts(idle_connection=0.05)) as server:
        assert ask(server.url) == "Hi there"


def test_a_local_server_passes_its_options_to_the_application() -> None:
    with LocalServer(fake(), api_key="k", max_query_bytes=100) as server:
        assert ask(server.url, key="k") == "Hello"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(server.url)
        with pytest.raises(urllib.error.HTTPError, match="413"):
            ask(server.url, "x" * 100, key="k")


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"port": 65536}, ValueError, "port"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"unknown": 1}, TypeError, "unknown"),
    ],
)
def test_a_local_server_refuses_settings_that_cannot_work_at_once(
    options: Any, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        LocalServer(fake(), **options)
    with pytest.raises(kind, match=said):
        serve(fake(), **options)


async def test_a_port_in_use_is_named_in_the_error() -> None:
    with LocalServer(fake()) as server:
        port = int(server.url.rpartition(":")[2])
        said = rf"Cannot listen on 127\.0\.0\.1:{port}: Address already in use\. Choose another"
        other = LocalServer(fake(), port=port)
        for _ in range(2):
            with pytest.raises(OSError, match=said) as caught:
                other.start()
            assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(OSError, match=said):
            async with other:
                pass
        assert await asyncio.to_thread(ask, server.url) == "Hello"


def test_a_host_that_is_not_there_is_named_in_the_error() -> None:
    with pytest.raises(OSError, match=r"Cannot listen on 192\.0\.2\.1:0"):
        LocalServer(fake(), host="192.0.2.1").start()


def test_an_ipv6_host_is_bracketed_in_the_url() -> None:
    with LocalServer(fake(), host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert ask(server.url) == "Hello"


@pytest.mark.parametrize(
    ("host", "options", "warned"),
    [
        ("0.0.0.0", {}, True),
        ("0.0.0.0", {"api_key": "k"}, False),
        ("127.0.0.1", {}, False),
        ("localhost", {}, False),
    ],
)
def test_an_open_server_without_a_key_is_warned_about(
    host: str, options: Any, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, "langchain_darkai.server"),
        LocalServer(fake(), host=host, **options) as server,
    ):
        assert ask(server.url, key="k") == "Hello"
    said = [record.getMessage() for record in caplog.records if record.name == "langchain_darkai.server"]
    assert [sentence.partition(",")[0] for sentence in said] == (
        ["The server on 0.0.0.0 can be used by other machines"] if warned else []
    )
