"""Calls that end, are cancelled or closed: connections are closed or kept, and nothing is left open or alive."""

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import psutil
import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler

from langchain_darkai import DarkAI, DarkAIError
from langchain_darkai.protocol import StreamEnd
from langchain_darkai.testing import ReceivedCall, reply
from langchain_darkai.testing.wire import CLOSE, END, HOLD, RESET, STREAM, Step, answer, chunk, text
from tests.support.asker import ENTRIES, Asker, ModelOf, Serve

pytestmark = pytest.mark.slow


FOR_EVER: list[Step] = [STREAM + chunk(text("Hel")), HOLD]


class TestOpenFiles:
    def test_hundreds_of_calls_leave_no_open_files_or_threads(self, serve: Serve, model_of: ModelOf) -> None:
        scripts: list[list[Step]] = [
            reply("Hello"),
            [STREAM + chunk(text("Hello")), 0.002, END],
            answer(500, "no"),
            [RESET],
            [STREAM + chunk(text("Hel")), CLOSE],
            [STREAM + chunk(b"data: nonsense\n"), HOLD],
        ]
        server = serve(lambda request: scripts[int(request.query) % len(scripts)])
        process = psutil.Process()

        def work(n: int) -> None:
            model, query = model_of(server, temperature=n / 1000), str(n)
            try:
                match n % 5:
                    case 0:
                        model.invoke(query)
                    case 1:
                        list(model.stream(query))
                    case 2:
                        next(model.stream(query))
                    case 3:
                        asyncio.run(model.ainvoke(query))
                    case _:
                        model.batch([query] * 2, return_exceptions=True)
            except DarkAIError:
                pass

        def settle() -> tuple[int, int]:
            server.wait_for(lambda server: server.active == 0)
            gc.collect()
            time.sleep(0.1)
            return process.num_fds(), threading.active_count()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, range(60)))
            files, running = settle()
            list(threads.map(work, range(360)))
            later, still = settle()
        # The server's side of the kept connections is in this process, too: two files and a thread for each.
        assert later <= files + 16
        assert still <= running + 8


class TestEndings:
    @pytest.mark.parametrize("entry", ["ainvoke", "astream"])
    @pytest.mark.parametrize(
        "script",
        [
            pytest.param([HOLD], id="before the headers"),
            pytest.param([STREAM, HOLD], id="before the text"),
            pytest.param(FOR_EVER, id="during the text"),
            pytest.param([STREAM + chunk(text("Hel")), *([chunk(text("x")), 0.01] * 500)], id="during a torrent"),
        ],
    )
    @pytest.mark.parametrize("way", ["cancel", "wait_for", "timeout"])
    async def test_a_cancelled_call_closes_its_connection_at_once(
        self, serve: Serve, model_of: ModelOf, entry: str, script: list[Step], way: str
    ) -> None:
        server = serve(script, reply("Hello"))
        model = model_of(server, max_retries=3, max_concurrency=1)
        call = Asker(entry)(model)
        if way == "wait_for":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(call, 0.1)
        else:
            task = asyncio.ensure_future(call)
            await server.await_for(lambda server: len(server.calls) == 1)
            await asyncio.sleep(0.05)
            task.cancel()
            assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        await server.await_for(lambda server: server.left == 1, 0.5)
        assert (await model.ainvoke("Hi")).text == "Hello"
        assert len(server.calls) == 2

    async def test_a_call_that_is_cancelled_while_it_waits_for_its_place_sends_nothing(
        self, serve: Serve, model_of: ModelOf
    ) -> None:
        server = serve(FOR_EVER, reply("Hello"))
        model = model_of(server, max_concurrency=1)
        holder, waiter = (asyncio.ensure_future(model.ainvoke("Hi")) for _ in range(2))
        await server.await_for(lambda server: len(server.calls) == 1)
        waiter.cancel()
        await asyncio.wait([waiter])
        holder.cancel()
        await asyncio.wait([holder])
        assert (await model.ainvoke("Hi")).text == "Hello"
        assert len(server.calls) == 2

    @pytest.mark.parametrize("entry", ENTRIES)
    async def test_a_connection_is_used_again_where_the_body_ends_later(
        self, serve: Serve, model_of: ModelOf, entry: str
    ) -> None:
        server = serve([STREAM + chunk(text("Hello") + b'data: {"event": "stream-end"}\n\n'), 0.03, chunk(b"")])
        model = model_of(server)
        for _ in range(4):
            assert (await Asker(entry)(model)).content == "Hello"
            await asyncio.sleep(0.1)
        assert server.connections == 1


class TestClose:
    async def test_closing_one_client_does_not_break_the_calls_of_another(self, serve: Serve) -> None:
        """The session is the loop's, not the client's: closing one client must not break the calls of another."""
        gate = threading.Event()

        def script(request: ReceivedCall) -> list[Step]:
            return (
                [STREAM + chunk(text("Hel")), gate, chunk(text("lo")) + END] if request.query == "slow" else reply("Hi")
            )

        server = serve(script)
        one, other = (DarkAI(base_url=server.url, max_retries=0) for _ in range(2))
        stream = other.stream(other.call("slow"))
        assert await anext(stream) == "Hel"
        unsent = other.stream(other.call("slow"))
        await one.aclose()
        assert await anext(unsent) == "Hel"
        gate.set()
        for going in (stream, unsent):
            assert "".join([piece async for piece in going if isinstance(piece, str)]) == "lo"

    async def test_a_stream_that_is_left_is_closed_after_its_client(self, serve: Serve) -> None:
        server = serve([STREAM + chunk(text("Hel")), HOLD], reply("Hello"))
        client = DarkAI(base_url=server.url, max_retries=0)
        stream = client.stream(client.call("Hi"))
        await anext(stream)
        await client.aclose()
        await stream.aclose()
        await server.await_for(lambda server: server.left == 1, 0.5)
        files = psutil.Process().num_fds()
        for _ in range(10):
            async with client:
                assert [piece async for piece in client.stream(client.call("Hi"))] == ["Hello", StreamEnd()]
        await asyncio.sleep(0.05)
        assert psutil.Process().num_fds() <= files + 2

    def test_closing_one_client_does_not_break_synchronous_calls_of_other_threads(
        self, serve: Serve, model_of: ModelOf
    ) -> None:
        gate = threading.Event()
        server = serve([STREAM + chunk(text("Hel")), gate, chunk(text("lo")) + END])
        stream = model_of(server).stream("Hi")
        assert next(stream).text == "Hel"
        DarkAI(base_url=server.url).close()
        gate.set()
        assert "".join(chunk.text for chunk in stream) == "lo"


def test_context_variables_of_the_caller_reach_a_nested_call(serve: Serve, model_of: ModelOf) -> None:
    user: ContextVar[str] = ContextVar("user", default="nobody")
    model, seen = model_of(serve(reply("Hello"))), []

    class Sees(AsyncCallbackHandler):
        async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            seen.append(user.get())

    class AsksAgain(BaseCallbackHandler):
        run_inline = True
        raise_error = True

        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            model.batch(["again"], config={"callbacks": [Sees()]})

    user.set("somebody")
    model.batch(["Hi"], config={"callbacks": [Sees(), AsksAgain()]})
    assert seen == ["somebody", "somebody"]
