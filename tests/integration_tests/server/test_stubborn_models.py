"""Models that would end the server, or will not end: they cost no more than their own request."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from langchain_darkai import ChatDarkAI, DarkAIAPIError, DarkAIError, DarkAITimeoutError
from langchain_darkai.server import LocalServer, ServerTimeouts
from tests.support.asker import Asker
from tests.support.models import (
    AsyncGeneratingModel,
    GeneratingModel,
    ScriptedModel,
    Stubborn,
    SyncStreamingModel,
    scripted,
)

MODELS = [GeneratingModel, AsyncGeneratingModel, SyncStreamingModel, ScriptedModel]
TIMEOUTS = ServerTimeouts(cleanup=0.1)

MakeStubborn = Callable[..., ScriptedModel]


def client(server: LocalServer, **settings: Any) -> ChatDarkAI:
    return ChatDarkAI(**{"base_url": server.url, "max_retries": 0, "timeout": 20.0, **settings})


def exiting(model: type[GeneratingModel], kind: type[BaseException]) -> GeneratingModel:
    """Make a model that raises the error, which would end a process, or says "Hello", as the question is."""
    return model(replies=[lambda messages, _: [kind()] if messages[-1].text == "exit" else ["Hello"]])


class TestModelsThatWouldEndTheServer:
    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
    @pytest.mark.parametrize("model", MODELS)
    def test_a_model_that_exits_fails_one_request_only(
        self, model: type[GeneratingModel], kind: type[BaseException]
    ) -> None:
        with LocalServer(exiting(model, kind)) as server:
            for _ in range(2):
                with pytest.raises(DarkAIAPIError, match="The server failed"):
                    client(server).invoke("exit")
                assert client(server).invoke("Hi").text == "Hello"

    def test_other_requests_are_served_while_a_model_exits(self) -> None:
        other = scripted("Hel", ...)
        with LocalServer({"exiting": exiting(AsyncGeneratingModel, SystemExit), "other": other}) as server:
            replies = [client(server, model="other").stream("Hi") for _ in range(3)]
            assert [next(reply).text for reply in replies] == ["Hel"] * 3
            with pytest.raises(DarkAIAPIError):
                client(server, model="exiting").invoke("exit")
            assert other.record.working == 3
            assert client(server, model="exiting").invoke("Hi").text == "Hello"


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    """An event that is set after the test; then the threads end that models were left in."""
    event = threading.Event()
    yield event
    event.set()
    until = time.monotonic() + 5
    while any(thread.name == "langchain-darkai-left" for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def stubborn(let_go: threading.Event) -> Iterator[MakeStubborn]:
    """Make models that say some words, and then go on although they are cancelled; they are let go after the test."""
    models: list[ScriptedModel] = []

    def make(*before: str) -> ScriptedModel:
        models.append(scripted(*before, Stubborn(let_go)))
        return models[-1]

    yield make
    let_go.set()
    for model in models:
        model.comes_to(0)


class TestModelsThatWillNotEnd:
    @pytest.mark.parametrize("before", [(), ("Hel", "lo")], ids=["before", "during"])
    async def test_the_client_is_told_in_time_that_a_model_does_not_end(
        self, ask: Asker, stubborn: MakeStubborn, before: tuple[str, ...]
    ) -> None:
        with (
            LocalServer(stubborn(*before), timeout=0.2, timeouts=TIMEOUTS) as server,
            pytest.raises(DarkAITimeoutError, match="The backend took too long") as caught,
        ):
            await ask(client(server))
        assert caught.value.partial_text == "".join(before)

    def test_a_generator_that_will_not_close_does_not_hold_up_the_servers_end(
        self, let_go: threading.Event, caplog: pytest.LogCaptureFixture
    ) -> None:
        left: list[AsyncIterator[str]] = []

        async def generate() -> AsyncIterator[str]:
            try:
                yield "Hello"
            finally:
                while not let_go.is_set():  # noqa: ASYNC110 - the event belongs to another thread
                    await asyncio.sleep(0.01)

        async def reply(*_: Any) -> AsyncIterator[str]:
            left.append(generate())
            yield await anext(left[0])

        with LocalServer(ScriptedModel(replies=[reply]), timeouts=TIMEOUTS) as server:
            assert client(server).invoke("Hi").text == "Hello"
        assert [record for record in caplog.records if record.levelno > logging.INFO] == []  # its loop goes on

    @pytest.mark.parametrize("end", ["timeout", "client", "stop"])
    def test_the_server_ends_and_warns_of_a_model_that_goes_on(
        self, end: str, stubborn: MakeStubborn, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = stubborn("Hel")
        timeout = 0.2 if end == "timeout" else None
        with LocalServer(model, timeout=timeout, grace_period=0.1, timeouts=TIMEOUTS) as server:
            reply = client(server).stream("Hi")
            assert next(reply).text == "Hel"
            if end == "timeout":
                with pytest.raises(DarkAITimeoutError):
                    next(reply)
            elif end == "client":
                del reply
        assert model.record.working == 1
        if end == "stop":
            with pytest.raises(DarkAIError):
                next(reply)
        said = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
        assert said == ["A model goes on although it was cancelled. It is left to itself, in a thread."]
