"""Batches and limits over real sockets."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.rate_limiters import InMemoryRateLimiter

from langchain_darkai import (
    ChatDarkAI,
    DarkAIInvalidRequestError,
)
from langchain_darkai.testing import ReceivedCall, ScriptedServer, reply
from langchain_darkai.testing.wire import END, HOLD, STREAM, Step, answer, chunk, text
from tests.support.asker import ModelOf, Serve


def echo(request: ReceivedCall) -> list[Step]:
    return reply(f"reply to {request.query}")


async def _each(chunks: Any) -> Any:
    if hasattr(chunks, "__anext__"):
        async for piece in chunks:
            yield piece
    else:
        for piece in chunks:
            yield piece


class TestBatch:
    async def test_a_batch_has_its_replies_in_order(self, serve: Serve, model_of: ModelOf) -> None:
        model = model_of(serve(echo))
        questions: list[Any] = [f"question {n}" for n in range(20)]
        replies = [f"reply to {question}" for question in questions]
        assert [message.text for message in model.batch(questions)] == replies
        assert [message.text for message in await model.abatch(questions)] == replies

    async def test_a_batch_of_nothing_is_empty(self, serve: Serve, model_of: ModelOf) -> None:
        model = model_of(serve(echo))
        assert model.batch([]) == []
        assert await model.abatch([]) == []
        assert list(model.batch_as_completed([])) == []
        assert [pair async for pair in model.abatch_as_completed([])] == []

    async def test_a_batch_sends_all_at_once(self, serve: Serve, model_of: ModelOf) -> None:
        for way in ("batch", "abatch", "batch_as_completed", "abatch_as_completed"):
            all_there = threading.Event()
            server = serve([all_there, STREAM + chunk(text("Hello")) + END])
            opened = _open_when(all_there, server, lambda server: server.peak == 60)
            assert len(await _batched(model_of(server), way, ["Hi"] * 60)) == 60
            opened.join()

    @pytest.mark.parametrize("way", ["batch", "abatch", "batch_as_completed", "abatch_as_completed"])
    async def test_a_batch_keeps_to_the_configs_limit(self, serve: Serve, model_of: ModelOf, way: str) -> None:
        server = serve([STREAM, 0.02, chunk(text("Hello")) + END])
        replies = await _batched(model_of(server), way, ["Hi"] * 15, config={"max_concurrency": 4})
        assert len(replies) == 15
        assert server.peak == 4

    @pytest.mark.parametrize("way", ["batch", "abatch", "batch_as_completed", "abatch_as_completed"])
    async def test_a_batch_can_have_errors_in_place_of_replies(self, serve: Serve, model_of: ModelOf, way: str) -> None:
        def even(request: ReceivedCall) -> list[Step]:
            return reply("even") if int(request.query) % 2 == 0 else answer(400, '{"error": "odd"}')

        inputs = [str(n) for n in range(8)]
        replies = await _batched(model_of(serve(even)), way, inputs, return_exceptions=True)
        assert [isinstance(reply, DarkAIInvalidRequestError) for reply in replies] == [False, True] * 4
        assert [reply.text for reply in replies[::2]] == ["even"] * 4

    @pytest.mark.parametrize("way", ["batch", "abatch", "batch_as_completed", "abatch_as_completed"])
    async def test_the_first_failure_of_a_batch_ends_the_other_calls(
        self, serve: Serve, model_of: ModelOf, way: str
    ) -> None:
        all_there = threading.Event()

        def one_fails(request: ReceivedCall) -> list[Step]:
            return [all_there, *answer(400)] if request.query == "7" else [STREAM, HOLD]

        server = serve(one_fails)
        _open_when(all_there, server, lambda server: len(server.calls) == 10)
        with pytest.raises(DarkAIInvalidRequestError):
            await _batched(model_of(server), way, [str(n) for n in range(10)])
        await server.await_for(lambda server: server.left == 9, 1)

    @pytest.mark.parametrize("way", ["batch_as_completed", "abatch_as_completed"])
    async def test_leaving_a_batch_ends_its_other_calls(self, serve: Serve, model_of: ModelOf, way: str) -> None:
        def one_answers(request: ReceivedCall) -> list[Step]:
            return reply("Hello") if request.query == "3" else [STREAM, HOLD]

        server = serve(one_answers)
        results: Any = getattr(model_of(server), way)([str(n) for n in range(6)])
        if way == "batch_as_completed":
            assert next(results)[0] == 3
            results.close()
        else:
            assert (await anext(results))[0] == 3
            await results.aclose()
        await server.await_for(lambda server: server.left == len(server.calls) - 1, 1)

    @pytest.mark.parametrize("way", ["batch_as_completed", "abatch_as_completed"])
    async def test_batch_as_completed_yields_replies_as_they_come(
        self, serve: Serve, model_of: ModelOf, way: str
    ) -> None:
        gates = {str(n): threading.Event() for n in range(4)}

        def gated(request: ReceivedCall) -> list[Step]:
            return [gates[request.query], *reply("Hello")]

        model, order = model_of(serve(gated)), ["2", "0", "3", "1"]
        gates[order[0]].set()
        seen = []
        async for place, _ in _each(getattr(model, way)(list(gates))):
            seen.append(str(place))
            if len(seen) < 4:
                gates[order[len(seen)]].set()
        assert seen == order

    async def test_each_input_of_a_batch_has_its_config_and_callbacks(self, serve: Serve, model_of: ModelOf) -> None:
        ended: list[tuple[str, str]] = []

        class Notes(BaseCallbackHandler):
            def __init__(self, name: str) -> None:
                self.name = name

            def on_llm_end(self, response: Any, **kwargs: Any) -> None:
                ended.append((self.name, response.generations[0][0].text))

        model = model_of(serve(echo))
        model.batch(["a", "b"], config=[{"callbacks": [Notes("first")]}, {"callbacks": [Notes("second")]}])
        assert sorted(ended) == [("first", "reply to a"), ("second", "reply to b")]
        with pytest.raises(ValueError, match="config"):
            model.batch(["a", "b"], config=[{}])

    async def test_a_batch_takes_settings_for_its_calls(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(echo)
        model = model_of(server)
        assert [m.text for m in model.batch(["a"] * 3, stop=[" to"], model="gpt-4o")] == ["reply"] * 3
        assert {request.body["model"] for request in server.calls} == {"gpt-4o"}


def _open_when(
    gate: threading.Event, server: ScriptedServer, condition: Callable[[ScriptedServer], bool]
) -> threading.Thread:
    """Set an event as soon as something is so of a server."""

    def wait() -> None:
        server.wait_for(condition)
        gate.set()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


async def _batched(model: ChatDarkAI, way: str, inputs: list[Any], **options: Any) -> list[Any]:
    """Return the replies in the inputs' order, whatever the way."""
    if way == "batch":
        return list(await asyncio.to_thread(model.batch, inputs, **options))
    if way == "abatch":
        return list(await model.abatch(inputs, **options))
    if way == "batch_as_completed":
        pairs: list[Any] = await asyncio.to_thread(lambda: list(model.batch_as_completed(inputs, **options)))
    else:
        pairs = [pair async for pair in model.abatch_as_completed(inputs, **options)]
    return [result for _, result in sorted(pairs, key=lambda pair: pair[0])]


class TestLimits:
    def test_one_limit_over_threads_and_loops(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve([STREAM, 0.02, chunk(text("Hello")) + END])
        model = model_of(server, max_concurrency=3, timeout=1.0)
        ways = [
            lambda: model.batch(["Hi"] * 8),
            lambda: asyncio.run(model.abatch(["Hi"] * 8)),
            lambda: [model.invoke("Hi") for _ in range(8)],
            lambda: [list(model.stream("Hi")) for _ in range(8)],
        ]
        with ThreadPoolExecutor(len(ways)) as threads:
            assert [len(replies) for replies in threads.map(lambda way: way(), ways)] == [8] * 4
        assert len(server.calls) == 32
        assert server.peak == 3

    def test_a_rate_limiter_waits_before_each_attempt(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(answer(503, retry_after="0"), answer(503, retry_after="0"), reply("Hello"))
        limiter = InMemoryRateLimiter(requests_per_second=10, check_every_n_seconds=0.01, max_bucket_size=1)
        assert model_of(server, rate_limiter=limiter, max_retries=2).invoke("Hi").text == "Hello"
        first, _, last = (request.at for request in server.calls)
        assert last - first > 0.15

    def test_many_models_share_their_connections(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(reply("Hello"))
        for n in range(30):
            assert model_of(server, temperature=n / 30).invoke("Hi").text == "Hello"
        assert server.connections == 1
