"""Hundreds of calls at once, and the effect of one call on the others."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler

from langchain_darkai import DarkAIAPIError, DarkAIError, DarkAIInvalidRequestError
from langchain_darkai.testing import ReceivedCall, reply
from langchain_darkai.testing.wire import CLOSE, END, HOLD, STREAM, Step, answer, chunk, text
from tests.support.asker import Asker, ModelOf, Serve


def slow_echo(request: ReceivedCall) -> list[Step]:
    return [STREAM, 0.2, chunk(text("reply to ", request.query)) + END]


def now() -> str:
    """Tell the time."""
    return "late"


class TestHundreds:
    @pytest.mark.parametrize("entry", ["ainvoke", "astream"])
    async def test_three_hundred_calls_run_at_once(self, serve: Serve, model_of: ModelOf, entry: str) -> None:
        all_there = threading.Event()

        def script(request: ReceivedCall) -> list[Step]:
            return [STREAM + chunk(text("reply ")), all_there, chunk(text(f"to {request.query}")) + END]

        server = serve(script)
        model = model_of(server, timeout=40.0)
        calls = [asyncio.ensure_future(Asker(entry)(model, str(n))) for n in range(320)]
        await server.await_for(lambda server: server.active == 320, 30)
        all_there.set()
        assert [message.text for message in await asyncio.gather(*calls)] == [f"reply to {n}" for n in range(320)]

    def test_a_synchronous_batch_waits_on_sockets_and_on_no_threads(self, serve: Serve, model_of: ModelOf) -> None:
        model = model_of(serve(slow_echo))
        model.invoke("first")
        threads = threading.active_count()
        started = time.monotonic()
        replies = model.batch([str(n) for n in range(200)])
        took = time.monotonic() - started
        assert [message.text for message in replies] == [f"reply to {n}" for n in range(200)]
        assert took < 5.0, (
            "one after the other they take 40 s, on a handful of threads 7 s; alone on a machine it is 1 s"
        )
        assert threading.active_count() < threads + 200 + 10, "the server's threads, and no more"

    async def test_waiting_for_a_place_counts_towards_no_timeout(self, serve: Serve, model_of: ModelOf) -> None:
        lock, active, peak = threading.Lock(), 0, 0

        def script(request: ReceivedCall) -> Iterator[Step]:
            nonlocal active, peak
            with lock:
                active += 1
                peak = max(peak, active)
            yield STREAM
            yield 0.1
            with lock:
                active -= 1
            yield chunk(text("Hello")) + END

        model = model_of(serve(script), max_concurrency=50, timeout=1.5, stream_chunk_timeout=1.5)
        half: Any = asyncio.gather(*(model.ainvoke("Hi") for _ in range(200)))
        other = asyncio.to_thread(model.batch, ["Hi"] * 200)
        replies = [message for messages in await asyncio.gather(half, other) for message in messages]
        assert len(replies) == 400
        assert peak == 50

    async def test_waiting_for_a_place_to_ask_again_counts_towards_no_timeout(
        self, serve: Serve, model_of: ModelOf
    ) -> None:
        def script(request: ReceivedCall) -> list[Step]:
            said = '<tool_call>{"name": "now"}</tool_call>' if "does not call" in request.query else "It is late."
            return [STREAM, 0.2, chunk(text(said)) + END]

        server = serve(script)
        model = model_of(server, max_concurrency=1, timeout=1.0).bind_tools([now], tool_choice="any")
        replies = await asyncio.gather(*(model.ainvoke("Hi") for _ in range(6)))
        assert [len(message.tool_calls) for message in replies] == [1] * 6
        assert len(server.calls) == 12

    async def test_good_and_failed_calls_do_not_disturb_each_other(self, serve: Serve, model_of: ModelOf) -> None:
        def script(request: ReceivedCall) -> list[Step]:
            scripts: list[list[Step]] = [
                reply(f"reply to {request.query}"),
                answer(400, "no"),
                [STREAM + chunk(text("Hel")), CLOSE],
                [CLOSE],
            ]
            return scripts[int(request.query) % 4]

        ended = await model_of(serve(script)).abatch([str(n) for n in range(300)], return_exceptions=True)
        assert [message.text for message in ended[::4]] == [f"reply to {n}" for n in range(0, 300, 4)]
        assert all(isinstance(error, DarkAIError) for n in (1, 2, 3) for error in ended[n::4])

    async def test_the_first_failure_of_a_batch_ends_its_other_calls(self, serve: Serve, model_of: ModelOf) -> None:
        all_there = threading.Event()

        def script(request: ReceivedCall) -> list[Step]:
            return [all_there, *answer(400)] if request.query == "299" else [STREAM + chunk(text("Hel")), HOLD]

        server = serve(script)
        batch = model_of(server).abatch([str(n) for n in range(300)], {"max_concurrency": 300})
        crowd = asyncio.ensure_future(batch)
        await server.await_for(lambda server: server.active == 300, 30)
        all_there.set()
        with pytest.raises(DarkAIInvalidRequestError):
            await crowd
        await server.await_for(lambda server: server.left == 299, 2)

    def test_each_call_of_a_batch_has_its_callbacks_and_config(self, serve: Serve, model_of: ModelOf) -> None:
        started: list[str] = []
        ended: list[str] = []
        failed: list[str] = []

        class Notes(BaseCallbackHandler):
            def on_chat_model_start(self, serialized: Any, messages: Any, *, tags: Any = None, **kwargs: Any) -> None:
                started.append(tags[0])

            def on_llm_end(self, response: Any, *, tags: Any = None, **kwargs: Any) -> None:
                ended.append(tags[0])

            def on_llm_error(self, error: BaseException, *, tags: Any = None, **kwargs: Any) -> None:
                failed.append(tags[0])

        server = serve(lambda request: answer(400) if int(request.query) % 3 == 0 else reply("Hello"))
        names = [str(n) for n in range(60)]
        configs: list[Any] = [{"callbacks": [Notes()], "tags": [f"tag {name}"]} for name in names]
        model_of(server).batch(names, configs, return_exceptions=True)
        assert sorted(started) == sorted(f"tag {name}" for name in names)
        assert sorted(failed) == sorted(f"tag {name}" for name in names[::3])
        assert sorted(ended + failed) == sorted(started)

    def test_one_model_serves_many_threads(self, serve: Serve, model_of: ModelOf) -> None:
        model = model_of(serve(slow_echo))
        with ThreadPoolExecutor(60) as threads:
            replies = list(threads.map(lambda n: model.invoke(str(n)).text, range(180)))
        assert replies == [f"reply to {n}" for n in range(180)]


class TestRateLimits:
    async def test_one_refusal_pauses_the_models_other_calls(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(answer(429, retry_after="0.6"), reply("Hello"))
        model = model_of(server, max_retries=2)
        first = asyncio.ensure_future(model.ainvoke("first"))
        await server.await_for(lambda server: len(server.calls) == 1)
        await asyncio.sleep(0.1)
        others = await asyncio.gather(
            *(model.ainvoke("other") for _ in range(20)), asyncio.to_thread(model.invoke, "other")
        )
        assert {message.text for message in [await first, *others]} == {"Hello"}
        refused, *later = server.calls
        assert min(request.at for request in later) - refused.at > 0.55

    async def test_a_refusal_does_not_pause_another_model(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(answer(429, retry_after="3"), reply("Hello"))
        paused = asyncio.ensure_future(model_of(server, max_retries=2).ainvoke("first"))
        await server.await_for(lambda server: len(server.calls) == 1)
        await asyncio.sleep(0.1)
        assert (await asyncio.wait_for(model_of(server, max_retries=2).ainvoke("other"), 2)).text == "Hello"
        paused.cancel()
        await asyncio.wait([paused])

    async def test_a_failure_that_is_no_rate_limit_pauses_no_other_call(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(answer(503, retry_after="3"), reply("Hello"))
        model = model_of(server, max_retries=2)
        waiting = asyncio.ensure_future(model.ainvoke("first"))
        await server.await_for(lambda server: len(server.calls) == 1)
        await asyncio.sleep(0.1)
        assert (await asyncio.wait_for(model.ainvoke("other"), 2)).text == "Hello"
        waiting.cancel()
        await asyncio.wait([waiting])

    async def test_a_server_that_refuses_most_calls_gets_pauses(self, serve: Serve, model_of: ModelOf) -> None:
        """Fifty calls over a limit of ten in 0.2 s: all come through, and far fewer requests than without a pause."""
        lock, window = threading.Lock(), [0.0, 0.0]

        def limited(request: ReceivedCall) -> list[Step]:
            with lock:
                if request.at - window[0] > 0.2:
                    window[:] = [request.at, 0]
                window[1] += 1
                return reply("Hello") if window[1] <= 10 else answer(429, retry_after="0.2")

        server = serve(limited)
        replies = await model_of(server, max_retries=20, timeout=30.0).abatch(["Hi"] * 50)
        assert {message.text for message in replies} == {"Hello"}
        assert len(server.calls) < 300

    async def test_a_batch_that_fails_tells_the_number_of_attempts(self, serve: Serve, model_of: ModelOf) -> None:
        with pytest.raises(DarkAIAPIError, match="2 attempts"):
            await model_of(serve(answer(503, retry_after="0")), max_retries=1).abatch(["Hi"] * 20)
