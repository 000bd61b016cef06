"""ChatDarkAI and the local server together, where something goes wrong on either side or behind."""

import asyncio
import gc
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psutil
import pytest
from langchain_core import exceptions as core
from langchain_core.messages import BaseMessage

from langchain_darkai import (
    ChatDarkAI,
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIConnectionError,
    DarkAIContextOverflowError,
    DarkAIEmptyResponseError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAINotFoundError,
    DarkAIPermissionDeniedError,
    DarkAIRateLimitError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
)
from langchain_darkai.server import LocalServer
from langchain_darkai.testing import FunctionChatModel, ScriptedServer
from langchain_darkai.testing.wire import CLOSE, STREAM, Step, chunk, text
from tests.support.asker import Asker
from tests.support.models import Piece, ScriptedModel, scripted
from tests.support.programs import complaints, running


def client(server: LocalServer, **settings: Any) -> ChatDarkAI:
    return ChatDarkAI(**{"base_url": server.url, "max_retries": 0, "timeout": 20.0, **settings})


ERRORS: list[tuple[Exception, type[DarkAIError], bool]] = [
    (core.ModelAuthenticationError("no"), DarkAIAPIError, True),  # it is the server's key that was rejected
    (core.ModelPermissionDeniedError("no"), DarkAIPermissionDeniedError, False),
    (core.ModelNotFoundError("no"), DarkAINotFoundError, False),
    (core.ModelInvalidRequestError("no"), DarkAIInvalidRequestError, False),
    (core.ContextOverflowError("no"), DarkAIContextOverflowError, False),
    (core.ModelRateLimitError("no"), DarkAIRateLimitError, True),
    (core.ModelAPIError("no"), DarkAIAPIError, True),
    (core.ModelConnectionError("no"), DarkAIConnectionError, True),
    (core.ModelTimeoutError("no"), DarkAITimeoutError, True),
    (DarkAIStreamTruncatedError("no"), DarkAIConnectionError, True),
    (KeyError("no"), DarkAIAPIError, True),
    (ValueError("no"), DarkAIAPIError, True),
]


@pytest.mark.parametrize("before", [(), ("Hel", "lo")], ids=["before", "during"])
@pytest.mark.parametrize(
    ("error", "kind", "is_retryable"), ERRORS, ids=[type(error).__name__ for error, _, _ in ERRORS]
)
async def test_errors_survive_the_round_trip(
    ask: Asker, error: Exception, kind: type[DarkAIError], is_retryable: bool, before: tuple[str, ...]
) -> None:
    got: list[str] = []
    with LocalServer(scripted(*before, error)) as server, pytest.raises(kind) as caught:
        await (ask.into(got, client(server)) if ask.streams else ask(client(server)))
    assert type(caught.value) is kind
    assert caught.value.is_retryable == is_retryable
    assert caught.value.partial_text == "".join(before)
    if ask.streams:
        assert "".join(got) == "".join(before)
    assert "Traceback" not in str(caught.value)
    tells_more = isinstance(error, core.ModelError) and not isinstance(error, core.ModelAuthenticationError)
    assert ("'no'" in str(caught.value)) == tells_more


async def test_a_rate_limit_of_the_model_behind_is_waited_for_by_the_client(ask: Asker) -> None:
    asked: list[float] = []

    def replying(_messages: Any, _tools: Any) -> str:
        asked.append(time.monotonic())
        if len(asked) == 1:
            raise DarkAIRateLimitError("slow down", retry_after=0.3)
        return "Hello"

    with LocalServer(FunctionChatModel(replying)) as server:
        assert (await ask(client(server, max_retries=1))).content == "Hello"
    assert asked[1] - asked[0] > 0.29


async def test_an_error_keeps_its_class_through_two_servers(ask: Asker) -> None:
    """What breaks two servers away is what it was."""
    script: list[Step] = [STREAM + chunk(text("Hel")), 0.05, CLOSE]
    with ScriptedServer(script, repeat_last=True, keep_alive=True) as far:
        behind = ChatDarkAI(base_url=far.url, max_retries=0)
        with LocalServer(behind) as server, pytest.raises(DarkAIConnectionError) as caught:
            await ask(client(server))
    assert caught.value.partial_text == "Hel"
    assert caught.value.is_retryable


@pytest.mark.parametrize(("pieces", "kind"), [((), DarkAIAPIError), (("", ""), DarkAIEmptyResponseError)])
async def test_a_model_that_says_nothing_is_an_error(
    ask: Asker, pieces: tuple[str, ...], kind: type[DarkAIError]
) -> None:
    with LocalServer(scripted(*pieces)) as server, pytest.raises(DarkAIAPIError) as caught:
        await ask(client(server))
    assert type(caught.value) is kind


class TestLeaving:
    @pytest.mark.parametrize("entry", ["invoke", "stream", "ainvoke", "astream"])
    async def test_a_client_whose_time_is_up_frees_the_model(self, entry: str) -> None:
        model = scripted("Hel", ...)
        with LocalServer(model) as server:
            with pytest.raises(DarkAITimeoutError):
                await Asker(entry)(client(server, timeout=0.3))
            await asyncio.to_thread(model.comes_to, 0, 0.5)

    def test_a_synchronous_stream_that_is_left_frees_the_model(self) -> None:
        model = scripted("Hel", ...)
        with LocalServer(model) as server:
            for piece in client(server).stream("Hi"):
                assert piece.text == "Hel"
                break
            model.comes_to(0, 0.5)

    async def test_a_batch_that_fails_frees_all_its_models(self) -> None:
        async def reply(messages: list[BaseMessage], _: Any) -> AsyncIterator[str]:
            if messages[-1].text == "fail":
                await asyncio.to_thread(model.comes_to, 20)
                raise core.ModelInvalidRequestError("no")
            yield "Hel"
            await asyncio.Event().wait()

        model = ScriptedModel(replies=[reply])
        with LocalServer(model) as server:
            with pytest.raises(DarkAIInvalidRequestError):
                await client(server).abatch([*["wait"] * 19, "fail"])
            await asyncio.to_thread(model.comes_to, 0, 1.0)

    def test_requests_that_are_never_whole_leave_nothing(self) -> None:
        """Slow, half, abandoned and broken ones; others are served meanwhile, and nothing is left of them."""
        body = json.dumps({"query": "Hi"}).encode()
        whole = b"POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body)
        process = psutil.Process()

        with LocalServer(scripted("Hello")) as server:
            address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
            assert client(server).invoke("Hi").text == "Hello"
            files = process.num_fds()
            for sent in (
                b"",
                b"POST",
                whole[:30],
                whole,
                whole + body[:5],
                b"\x00\xff" * 50,
                b"GET / HTTP/9.9\r\n\r\n",
            ):
                for how in ("close", "reset", "stay"):
                    connection = socket.create_connection(address)
                    connection.sendall(sent)
                    if how == "reset":
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    if how == "stay":
                        assert client(server).invoke("Hi").text == "Hello"
                    connection.close()
            assert client(server).invoke("Hi").text == "Hello"
            gc.collect()
            until = time.monotonic() + 5
            while process.num_fds() > files + 2:
                assert time.monotonic() < until
                time.sleep(0.02)


class TestCrowds:
    async def test_two_hundred_clients_are_served_at_once(self) -> None:
        everybody = asyncio.Event()

        async def reply(messages: list[BaseMessage], _: Any) -> AsyncIterator[str]:
            yield "reply "
            if model.record.working == 200:
                everybody.set()
            await everybody.wait()
            yield f"to {messages[-1].text}"

        model = ScriptedModel(replies=[reply])
        with LocalServer(model) as server:
            clients = [client(server, timeout=40.0, temperature=n / 1000) for n in range(200)]
            replies = await asyncio.gather(*(one.ainvoke(str(n)) for n, one in enumerate(clients)))
            assert [message.text for message in replies] == [f"reply to {n}" for n in range(200)]
            assert model.record.ended == 200

    async def test_wrong_keys_are_refused_among_right_ones(self) -> None:
        model = scripted("Hello")
        with LocalServer(model, api_key="right") as server:
            keys = ["right", "wrong", "", "right ", "Right", "r" * 5000] * 10
            ended = await asyncio.gather(
                *(client(server, api_key=key).ainvoke("Hi") for key in keys), return_exceptions=True
            )
        good = [key.strip() == "right" for key in keys]
        assert [not isinstance(end, DarkAIAuthenticationError) for end in ended] == good
        assert model.record.ended == sum(good)

    async def test_a_prompt_that_is_too_large_is_an_invalid_request(self, ask: Asker) -> None:
        model = ScriptedModel(replies=[lambda messages, _: [str(len(messages[-1].text))]])
        with LocalServer(model, max_query_bytes=1000) as server:
            with pytest.raises(DarkAIInvalidRequestError, match=r"1,000 bytes.*HTTP 413.*send less"):
                await ask(client(server), "x" * 2000)
            assert (await ask(client(server), "x" * 900)).content == "900"

    def test_hundreds_of_calls_and_abandoned_streams_leave_nothing(self) -> None:
        between: dict[str, list[Piece]] = {"Hi": [], "fail": [core.ModelAPIError("no")], "stay": [...]}
        model = ScriptedModel(replies=[lambda messages, _: ["Hel", *between[messages[-1].text], "lo"]])
        process = psutil.Process()

        def round_of_calls(server: LocalServer) -> None:
            ours = client(server)
            assert ours.invoke("Hi").text == "Hello"
            next(ours.stream("stay"))
            with pytest.raises(DarkAIAPIError):
                ours.invoke("fail")
            with pytest.raises(DarkAITimeoutError):
                ours.invoke("stay", timeout=0.02)

        with LocalServer(model) as server:
            for _ in range(5):
                round_of_calls(server)
            model.comes_to(0)
            gc.collect()
            files, threads = process.num_fds(), threading.active_count()
            for _ in range(80):
                round_of_calls(server)
            model.comes_to(0)
            gc.collect()
            time.sleep(0.1)
            assert process.num_fds() <= files + 6
            assert threading.active_count() <= threads + 2


SERVING = """
from langchain_darkai.server import serve
from tests.support.models import AsyncGeneratingModel, ScriptedModel

exits = {"SystemExit": SystemExit(), "KeyboardInterrupt": KeyboardInterrupt()}
slow = ScriptedModel(replies=[lambda messages, _: ["Hel", float(messages[-1].text), "lo"]])
exiting = AsyncGeneratingModel(replies=[lambda messages, _: [exits[messages[-1].text]]])
models = {"llama-3-70b": slow, "exits": exiting}
serve(models, port=0, grace_period=2.0, on_ready=lambda url: print(url, flush=True))
"""


@pytest.fixture
def program() -> Iterator["subprocess.Popen[str]"]:
    with running(SERVING) as process:
        yield process


async def test_sigterm_during_forty_streams_lets_those_finish_that_can(program: "subprocess.Popen[str]") -> None:
    """Those that can finish in time do; the others end with an error that asking again can help, and say no more."""
    assert program.stdout is not None
    assert program.stderr is not None
    url = (await asyncio.to_thread(program.stdout.readline)).strip()
    model, going, texts = ChatDarkAI(base_url=url, max_retries=0), 0, {}

    async def read(n: int) -> DarkAIError | None:
        nonlocal going
        texts[n] = ""
        try:
            async for piece in model.astream("1" if n % 2 else "1000"):
                going += not texts[n]
                texts[n] += piece.text
                if going == 40:
                    going += 1
                    program.send_signal(signal.SIGTERM)
        except DarkAIError as error:
            return error
        return None

    ended = await asyncio.wait_for(asyncio.gather(*map(read, range(40))), 20)
    assert [texts[n] for n in range(40)] == ["Hel", "Hello"] * 20
    assert ended[1::2] == [None] * 20
    assert {type(error) for error in ended[::2]} == {DarkAIAPIError}
    for error in ended[::2]:
        assert error is not None
        assert error.is_retryable
        assert "shutting down" in str(error)
    await asyncio.to_thread(program.wait, 10)
    assert (program.returncode, complaints(program.stderr.read())) == (0, [])
    with pytest.raises(DarkAIConnectionError, match="cannot be reached"):
        await model.ainvoke("1")


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt"])
async def test_serve_outlives_a_model_that_exits(program: "subprocess.Popen[str]", kind: str) -> None:
    """In the main thread, too, where a signal may raise these."""
    assert program.stdout is not None
    url = (await asyncio.to_thread(program.stdout.readline)).strip()
    with pytest.raises(DarkAIAPIError, match="The server failed"):
        await ChatDarkAI(base_url=url, model="exits", max_retries=0).ainvoke(kind)
    assert (await ChatDarkAI(base_url=url, max_retries=0).ainvoke("0")).text == "Hello"
    program.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(program.wait, 10) == 0


async def test_a_server_that_is_killed_during_streams_truncates_them(program: "subprocess.Popen[str]") -> None:
    assert program.stdout is not None
    url = (await asyncio.to_thread(program.stdout.readline)).strip()
    model = ChatDarkAI(base_url=url, max_retries=0)
    streams = [model.astream("1000") for _ in range(10)]
    assert [(await anext(stream)).text for stream in streams] == ["Hel"] * 10
    program.kill()
    for stream in streams:
        with pytest.raises(DarkAIStreamTruncatedError) as caught:
            await anext(stream)
        assert caught.value.partial_text == "Hel"


async def test_a_server_that_comes_back_is_used_again(ask: Asker) -> None:
    with LocalServer(scripted("Hello")) as first:
        port = int(first.url.rpartition(":")[2])
        model = client(first, max_retries=3)
        assert (await ask(model)).content == "Hello"
    back = LocalServer(scripted("Hello"), port=port)
    threading.Timer(0.2, back.start).start()
    try:
        assert (await ask(model)).content == "Hello"
    finally:
        back.stop()
