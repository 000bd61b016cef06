"""ChatDarkAI and the local server together, where something goes wrong on either side or behind."""

import asyncio
import gc
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from langchain_core import exceptions as core
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

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
from tests.support.asker import Asker
from tests.support.scripted_server import CLOSE, STREAM, ScriptedServer, Step, chunk, text

ROOT = Path(__file__).parents[2]

Script = Callable[[str], AsyncIterator[str]]


class Behind(BaseChatModel):
    """The model behind the server: streams what its script yields for the question, and counts its work."""

    script: Script
    working: int = 0
    ended: int = 0

    @property
    def _llm_type(self) -> str:
        return "behind"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise AssertionError("the server streams")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.working += 1
        try:
            async for piece in self.script(messages[-1].text):
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        finally:
            self.working -= 1
            self.ended += 1

    def comes_to(self, working: int, seconds: float = 5.0) -> None:
        until = time.monotonic() + seconds
        while self.working != working:
            assert time.monotonic() < until, self.working
            time.sleep(0.01)


def failing(error: Exception, *before: str) -> Behind:
    async def script(_: str) -> AsyncIterator[str]:
        for piece in before:
            yield piece
        raise error

    return Behind(script=script)


async def for_ever(question: str) -> AsyncIterator[str]:
    yield "Hel"
    await asyncio.sleep(1000)


def client(server: LocalServer, **settings: Any) -> ChatDarkAI:
    return ChatDarkAI(**{"base_url": server.url, "max_retries": 0, "timeout": 20.0, **settings})


ERRORS: list[tuple[Exception, type[DarkAIError], bool]] = [
    (core.ModelAuthenticationError("no"), DarkAIAuthenticationError, False),
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


@pytest.mark.parametrize("before", [(), ("Hel", "lo")], ids=["before", "amid"])
@pytest.mark.parametrize(
    ("error", "kind", "is_retryable"), ERRORS, ids=[type(error).__name__ for error, _, _ in ERRORS]
)
async def test_errors_survive_the_round_trip(
    ask: Asker, error: Exception, kind: type[DarkAIError], is_retryable: bool, before: tuple[str, ...]
) -> None:
    got: list[str] = []
    with LocalServer(failing(error, *before)) as server, pytest.raises(kind) as caught:
        await (ask.into(got, client(server)) if ask.streams else ask(client(server)))
    assert type(caught.value) is kind
    assert caught.value.is_retryable == is_retryable
    assert caught.value.partial_text == "".join(before)
    if ask.streams:
        assert "".join(got) == "".join(before)
    assert "Traceback" not in str(caught.value)
    assert ("'no'" in str(caught.value)) == isinstance(error, core.ModelError)


async def test_a_rate_limit_behind_is_waited_for_in_front(ask: Asker) -> None:
    asked: list[float] = []

    async def script(_: str) -> AsyncIterator[str]:
        asked.append(time.monotonic())
        if len(asked) == 1:
            raise DarkAIRateLimitError("slow down", retry_after=0.3)
        yield "Hello"

    with LocalServer(Behind(script=script)) as server:
        assert (await ask(client(server, max_retries=1))).content == "Hello"
    assert asked[1] - asked[0] > 0.29


async def test_a_server_behind_a_server(ask: Asker) -> None:
    """What breaks two servers away is what it was."""
    script: list[Step] = [STREAM + chunk(text("Hel")), 0.05, CLOSE]
    with ScriptedServer(script) as far:
        behind = ChatDarkAI(base_url=far.url, max_retries=0)
        with LocalServer(behind) as server, pytest.raises(DarkAIConnectionError) as caught:
            await ask(client(server))
    assert caught.value.partial_text == "Hel"
    assert caught.value.is_retryable


@pytest.mark.parametrize(("pieces", "kind"), [((), DarkAIAPIError), (("", ""), DarkAIEmptyResponseError)])
async def test_a_model_that_says_nothing(ask: Asker, pieces: tuple[str, ...], kind: type[DarkAIError]) -> None:
    async def script(_: str) -> AsyncIterator[str]:
        for piece in pieces:
            yield piece

    with LocalServer(Behind(script=script)) as server, pytest.raises(DarkAIAPIError) as caught:
        await ask(client(server))
    assert type(caught.value) is kind


class Exiting(BaseChatModel):
    """Raises what ends a process or says "Hello", as the question is, in the method that its subclass names."""

    kind: type[BaseException]

    @property
    def _llm_type(self) -> str:
        return "exiting"

    def says(self, messages: list[BaseMessage]) -> AIMessage:
        if messages[-1].text == "exit":
            raise self.kind
        return AIMessage("Hello")

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.says(messages))])


class ExitingAsync(Exiting):
    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return self._generate(messages)


class ExitingStream(Exiting):
    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(content=self.says(messages).text))


class ExitingAsyncStream(Exiting):
    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(content=self.says(messages).text))


class TestModelsThatWouldEndTheServer:
    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
    @pytest.mark.parametrize("model", [Exiting, ExitingAsync, ExitingStream, ExitingAsyncStream])
    def test_it_is_an_error_of_one_request(self, model: type[Exiting], kind: type[BaseException]) -> None:
        with LocalServer(model(kind=kind)) as server:
            for _ in range(2):
                with pytest.raises(DarkAIAPIError, match="The server failed"):
                    client(server).invoke("exit")
                assert client(server).invoke("Hi").text == "Hello"

    def test_others_are_served_meanwhile(self) -> None:
        other = Behind(script=for_ever)
        with LocalServer({"exiting": ExitingAsync(kind=SystemExit), "other": other}) as server:
            replies = [client(server, model="other").stream("Hi") for _ in range(3)]
            assert [next(reply).text for reply in replies] == ["Hel"] * 3
            with pytest.raises(DarkAIAPIError):
                client(server, model="exiting").invoke("exit")
            assert other.working == 3
            assert client(server, model="exiting").invoke("Hi").text == "Hello"


class Stubborn(Behind):
    """Goes on although it is cancelled, until it is let go."""

    let_go: threading.Event


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stubborn]]:
    """Make stubborn models, which say some words first; they are let go after the test."""
    for module in ("app", "local"):
        monkeypatch.setattr(f"langchain_darkai.server.{module}.CLEANUP_TIMEOUT", 0.1)
    let_go = threading.Event()
    models: list[Stubborn] = []

    def make(*before: str) -> Stubborn:
        async def script(_: str) -> AsyncIterator[str]:
            for piece in before:
                yield piece
            while not let_go.is_set():
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)

        models.append(Stubborn(script=script, let_go=let_go))
        return models[-1]

    yield make
    let_go.set()
    for model in models:
        model.comes_to(0)
    until = time.monotonic() + 5
    while any(thread.name == "langchain-darkai-left" for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)


class TestModelsThatWillNotEnd:
    @pytest.mark.parametrize("before", [(), ("Hel", "lo")], ids=["before", "amid"])
    async def test_the_client_is_told_in_time(
        self, ask: Asker, stubborn: Callable[..., Stubborn], before: tuple[str, ...]
    ) -> None:
        with (
            LocalServer(stubborn(*before), timeout=0.2) as server,
            pytest.raises(DarkAITimeoutError, match="model behind the server took too long") as caught,
        ):
            await ask(client(server))
        assert caught.value.partial_text == "".join(before)

    def test_a_generator_that_will_not_close_does_not_hold_up_the_end(
        self, stubborn: Callable[..., Stubborn], caplog: pytest.LogCaptureFixture
    ) -> None:
        model = stubborn()
        left: list[AsyncIterator[str]] = []

        async def generate() -> AsyncIterator[str]:
            try:
                yield "Hello"
            finally:
                while not model.let_go.is_set():  # noqa: ASYNC110 - the event belongs to another thread
                    await asyncio.sleep(0.01)

        async def script(_: str) -> AsyncIterator[str]:
            left.append(generate())
            yield await anext(left[0])

        model.script = script
        with LocalServer(model) as server:
            assert client(server).invoke("Hi").text == "Hello"
        assert [record.getMessage()[:34] for record in caplog.records if record.levelno > logging.INFO] == [
            "A model goes on although it was ca"
        ]

    @pytest.mark.parametrize("end", ["timeout", "client", "stop"])
    def test_the_server_ends_and_says_that_one_goes_on(
        self, end: str, stubborn: Callable[..., Stubborn], caplog: pytest.LogCaptureFixture
    ) -> None:
        model = stubborn("Hel")
        with LocalServer(model, timeout=0.2 if end == "timeout" else None, grace_period=0.1) as server:
            reply = client(server).stream("Hi")
            assert next(reply).text == "Hel"
            if end == "timeout":
                with pytest.raises(DarkAITimeoutError):
                    next(reply)
            elif end == "client":
                del reply
        assert model.working == 1
        if end == "stop":
            with pytest.raises(DarkAIError):
                next(reply)
        said = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
        assert said == ["A model goes on although it was cancelled. It is left to itself, in a thread."]


class TestLeaving:
    @pytest.mark.parametrize("entry", ["invoke", "stream", "ainvoke", "astream"])
    async def test_a_client_whose_time_is_up_frees_the_model(self, entry: str) -> None:
        model = Behind(script=for_ever)
        with LocalServer(model) as server:
            with pytest.raises(DarkAITimeoutError):
                await Asker(entry)(client(server, timeout=0.3))
            await asyncio.to_thread(model.comes_to, 0, 0.5)

    def test_a_synchronous_stream_that_is_left_frees_the_model(self) -> None:
        model = Behind(script=for_ever)
        with LocalServer(model) as server:
            for piece in client(server).stream("Hi"):
                assert piece.text == "Hel"
                break
            model.comes_to(0, 0.5)

    async def test_a_batch_that_fails_frees_them_all(self) -> None:
        async def script(question: str) -> AsyncIterator[str]:
            if question == "fail":
                await asyncio.to_thread(model.comes_to, 20)
                raise core.ModelInvalidRequestError("no")
            async for piece in for_ever(question):
                yield piece

        model = Behind(script=script)
        with LocalServer(model) as server:
            with pytest.raises(DarkAIInvalidRequestError):
                await client(server).abatch([*["wait"] * 19, "fail"])
            await asyncio.to_thread(model.comes_to, 0, 1.0)

    def test_requests_that_never_become_one(self) -> None:
        """Slow, half, abandoned and broken ones; others are served meanwhile, and nothing is left of them."""
        body = json.dumps({"query": "Hi"}).encode()
        whole = b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        process = psutil.Process()

        async def script(question: str) -> AsyncIterator[str]:
            yield "Hello"

        with LocalServer(Behind(script=script)) as server:
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
    async def test_two_hundred_clients_at_once(self) -> None:
        everybody = asyncio.Event()

        async def script(question: str) -> AsyncIterator[str]:
            yield "reply "
            if model.working == 200:
                everybody.set()
            await everybody.wait()
            yield f"to {question}"

        model = Behind(script=script)
        with LocalServer(model) as server:
            clients = [client(server, timeout=40.0, temperature=n / 1000) for n in range(200)]
            replies = await asyncio.gather(*(one.ainvoke(str(n)) for n, one in enumerate(clients)))
            assert [message.text for message in replies] == [f"reply to {n}" for n in range(200)]
            assert model.ended == 200

    async def test_wrong_keys_and_right_ones(self) -> None:
        async def script(question: str) -> AsyncIterator[str]:
            yield "Hello"

        model = Behind(script=script)
        with LocalServer(model, api_key="right") as server:
            keys = ["right", "wrong", "", "right ", "Right", "r" * 5000] * 10
            ended = await asyncio.gather(
                *(client(server, api_key=key).ainvoke("Hi") for key in keys), return_exceptions=True
            )
        good = [key.strip() == "right" for key in keys]
        assert [not isinstance(end, DarkAIAuthenticationError) for end in ended] == good
        assert model.ended == sum(good)

    async def test_what_is_too_large(self, ask: Asker) -> None:
        async def script(question: str) -> AsyncIterator[str]:
            yield str(len(question))

        with LocalServer(Behind(script=script), max_query_bytes=1000) as server:
            with pytest.raises(DarkAIInvalidRequestError, match=r"1,000 bytes.*HTTP 413.*send less"):
                await ask(client(server), "x" * 2000)
            assert (await ask(client(server), "x" * 900)).content == "900"

    def test_hundreds_of_calls_and_leavings_leave_nothing(self) -> None:
        async def script(question: str) -> AsyncIterator[str]:
            yield "Hel"
            if question == "fail":
                raise core.ModelAPIError("no")
            if question == "stay":
                await asyncio.sleep(1000)
            yield "lo"

        model, process = Behind(script=script), psutil.Process()

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
import asyncio
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_darkai.server.local import serve

class Slow(FakeListChatModel):
    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        yield ChatGenerationChunk(message=AIMessageChunk(content="Hel"))
        await asyncio.sleep(float(messages[-1].text))
        yield ChatGenerationChunk(message=AIMessageChunk(content="lo"))

class Exits(FakeListChatModel):
    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}[messages[-1].text]

models = {"llama-3-70b": Slow(responses=[]), "exits": Exits(responses=[])}
serve(models, port=0, grace_period=2.0, on_ready=lambda url: print(url, flush=True))
"""


@pytest.fixture
def program() -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", SERVING]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as process:
        yield process
        process.kill()


async def test_sigterm_amid_forty_streams(program: "subprocess.Popen[str]") -> None:
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
    complaints = [line for line in program.stderr.read().splitlines() if not line.startswith("Executing <")]
    assert (program.returncode, complaints) == (0, [])
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


async def test_a_server_that_is_killed_amid_streams(program: "subprocess.Popen[str]") -> None:
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
    async def script(question: str) -> AsyncIterator[str]:
        yield "Hello"

    with LocalServer(Behind(script=script)) as first:
        port = int(first.url.rpartition(":")[2])
        model = client(first, max_retries=3)
        assert (await ask(model)).content == "Hello"
    back = LocalServer(Behind(script=script), port=port)
    threading.Timer(0.2, back.start).start()
    try:
        assert (await ask(model)).content == "Hello"
    finally:
        back.stop()
