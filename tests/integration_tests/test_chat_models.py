"""The chat model over real sockets: streams as they come, batches, limits, and endings."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter

from langchain_darkai import (
    ChatDarkAI,
    DarkAIConnectionError,
    DarkAIEmptyResponseError,
    DarkAIError,
    DarkAIInvalidRequestError,
)
from langchain_darkai.server import LocalServer
from tests.support.asker import Asker, ModelOf, Serve
from tests.support.scripted_server import (
    END,
    HOLD,
    STREAM,
    Request,
    ScriptedServer,
    Step,
    answer,
    chunk,
    event,
    reply,
    text,
)

USAGE = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
TOKEN_USAGE = {
    "prompt_tokens": USAGE["input_tokens"],
    "completion_tokens": USAGE["output_tokens"],
    "total_tokens": USAGE["total_tokens"],
}
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


def echo(request: Request) -> list[Step]:
    return reply(f"reply to {request.query}")


class TestReply:
    async def test_text_metadata_and_the_servers_usage(self, serve: Serve, ask: Asker, model_of: ModelOf) -> None:
        message = await ask(model_of(serve(reply("Hel", "lo ", "🎉", usage=USAGE)), model="llama-3.1-70b"))
        assert message.content == "Hello 🎉"
        assert message.response_metadata == {
            "model_name": "llama-3-70b",
            "model_provider": "darkai",
            "finish_reason": "stop",
            "token_usage": TOKEN_USAGE,
        }
        assert message.usage_metadata == USAGE

    async def test_the_estimated_usage(self, serve: Serve, ask: Asker, model_of: ModelOf) -> None:
        message = await ask(model_of(serve(reply("Hello"))))
        assert message.response_metadata["usage_source"] == "estimated"
        assert message.usage_metadata == {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}

    async def test_the_final_response_adds_only_what_was_missing(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        whole = [STREAM + chunk(text("Hel") + event("final-response", message="Hello")) + END]
        assert (await ask(model_of(serve(whole)))).content == "Hello"

    async def test_an_empty_reply(self, serve: Serve, ask: Asker, model_of: ModelOf) -> None:
        with pytest.raises(DarkAIEmptyResponseError, match="allow_empty=True"):
            await ask(model_of(serve([STREAM + END])))
        assert (await ask(model_of(serve([STREAM + END]), allow_empty=True))).content == ""

    async def test_an_empty_reply_is_asked_for_again(self, serve: Serve, ask: Asker, model_of: ModelOf) -> None:
        server = serve([STREAM + END], reply("Hello"))
        assert (await ask(model_of(server, max_retries=1))).content == "Hello"


@pytest.mark.parametrize("entry", ["stream", "astream"])
class TestStreaming:
    async def test_one_network_read_is_one_chunk(self, serve: Serve, model_of: ModelOf, entry: str) -> None:
        seen = threading.Event()
        server = serve([STREAM + chunk(text(*"abc")), seen, chunk(text(*"def")) + END])
        got = []
        chunks = model_of(server).stream("Hi") if entry == "stream" else model_of(server).astream("Hi")
        async for piece in _each(chunks):
            got.append(piece.text)
            seen.set()
        assert got == ["abc", "def", ""]

    async def test_one_chunk_an_event_where_that_is_set(self, serve: Serve, model_of: ModelOf, entry: str) -> None:
        model = model_of(serve(reply("a", "b", "cd")), chunk_per_event=True)
        assert [piece.text for piece in await Asker(entry).chunks(model)] == ["a", "b", "cd", ""]

    async def test_text_comes_before_the_reply_is_whole(self, serve: Serve, model_of: ModelOf, entry: str) -> None:
        seen = [threading.Event() for _ in range(3)]
        steps: list[Step] = [STREAM]
        for number, gate in enumerate(seen):
            steps += [chunk(text(f"{number}")), gate]
        model, got = model_of(serve([*steps, END])), []
        async for piece in _each(model.stream("Hi") if entry == "stream" else model.astream("Hi")):
            got.append(piece.text)
            if piece.text:
                seen[int(piece.text)].set()
        assert got == ["0", "1", "2", ""]

    async def test_breaks_within_a_character_and_an_event(self, serve: Serve, model_of: ModelOf, entry: str) -> None:
        data = 'data: {"event": "text-chunk", "data": {"text": "héllo 🎉"}}\n\n'.encode() + event("stream-end")
        packets = [chunk(data[n : n + 1]) for n in range(len(data))]
        assert (await Asker(entry)(model_of(serve([STREAM, *packets, chunk(b"")])))).content == "héllo 🎉"


async def _each(chunks: Any) -> Any:
    if hasattr(chunks, "__anext__"):
        async for piece in chunks:
            yield piece
    else:
        for piece in chunks:
            yield piece


class TestEvents:
    @pytest.mark.filterwarnings("ignore:astream_events version='v1' is deprecated")
    @pytest.mark.parametrize("version", ["v1", "v2"])
    async def test_astream_events(self, serve: Serve, model_of: ModelOf, version: Any) -> None:
        model = model_of(serve(reply("Hello", usage=USAGE)))
        events = [e async for e in model.astream_events("Hi", version=version)]
        names = [event["event"] for event in events]
        assert names[0] == "on_chat_model_start"
        assert names[-1] == "on_chat_model_end"
        pieces = [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]
        assert "".join(pieces) == "Hello"
        message = events[-1]["data"]["output"]
        assert (message.content, message.usage_metadata) == ("Hello", USAGE)

    @beta
    def test_stream_events_v3(self, serve: Serve, model_of: ModelOf) -> None:
        stream = model_of(serve(reply("Hel", "lo", usage=USAGE))).stream_events("Hi", version="v3")
        assert isinstance(stream, ChatModelStream)
        assert list(stream)
        message = stream.output
        assert message.text == "Hello"
        assert message.usage_metadata == USAGE
        assert message.response_metadata["model_name"] == "llama-3-70b"
        assert message.response_metadata["finish_reason"] == "stop"

    @beta
    async def test_astream_events_v3(self, serve: Serve, model_of: ModelOf) -> None:
        stream = await model_of(serve(reply("Hel", "lo", usage=USAGE))).astream_events("Hi", version="v3")
        assert isinstance(stream, AsyncChatModelStream)
        assert [event async for event in stream]
        message = await stream.output
        assert (message.text, message.usage_metadata) == ("Hello", USAGE)

    async def test_tokens_of_a_chain(self, serve: Serve, model_of: ModelOf) -> None:
        chain = ChatPromptTemplate.from_template("Say {what}") | model_of(serve(echo)) | StrOutputParser()
        events = [e async for e in chain.astream_events({"what": "it"}, version="v2")]
        pieces = [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]
        assert "".join(pieces) == "reply to Say it"


class TestStop:
    @pytest.mark.parametrize("cuts", [[], [1], [3, 5], list(range(1, 9))])
    async def test_a_stop_sequence_ends_the_request(
        self, serve: Serve, ask: Asker, model_of: ModelOf, cuts: list[int]
    ) -> None:
        said = "one STOP!"
        pieces = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
        server = serve([STREAM, *(chunk(text(piece)) for piece in pieces), HOLD])
        message = await ask(model_of(server), stop=["STOP"])
        assert message.content == "one "
        assert message.response_metadata["finish_reason"] == "stop"
        assert message.usage_metadata is not None
        await server.comes_to(lambda server: server.left == 1, 0.5)
        assert "stop" not in server.requests[0].body


class TestEndings:
    async def test_a_cancelled_task(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve([STREAM + chunk(text("Hel")), HOLD])
        task = asyncio.create_task(model_of(server, max_retries=3).ainvoke("Hi"))
        await server.comes_to(lambda server: len(server.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.comes_to(lambda server: server.left == 1, 0.5)
        assert len(server.requests) == 1

    async def test_a_timeout_of_the_callers_own(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve([HOLD], reply("Hello"))
        model = model_of(server, max_retries=3)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(model.ainvoke("Hi"), 0.1)
        await server.comes_to(lambda server: server.left == 1, 0.5)
        assert (await model.ainvoke("Hi")).text == "Hello"

    @pytest.mark.parametrize("end", ["aclose", "break", "cancel"])
    async def test_a_stream_that_is_left(self, serve: Serve, model_of: ModelOf, end: str) -> None:
        server = serve([STREAM + chunk(text("Hel")), HOLD])
        chunks = model_of(server).astream("Hi")
        if end == "break":
            async for _ in chunks:
                break
            del chunks
        elif end == "aclose":
            await anext(chunks)
            await chunks.aclose()  # type: ignore[attr-defined]
        else:
            await anext(chunks)
            more = asyncio.ensure_future(anext(chunks))
            await asyncio.sleep(0)
            more.cancel()
            await asyncio.wait([more])
        await server.comes_to(lambda server: server.left == 1, 0.5)


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
        def even(request: Request) -> list[Step]:
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

        def one_fails(request: Request) -> list[Step]:
            return [all_there, *answer(400)] if request.query == "7" else [STREAM, HOLD]

        server = serve(one_fails)
        _open_when(all_there, server, lambda server: len(server.requests) == 10)
        with pytest.raises(DarkAIInvalidRequestError):
            await _batched(model_of(server), way, [str(n) for n in range(10)])
        await server.comes_to(lambda server: server.left == 9, 1)

    @pytest.mark.parametrize("way", ["batch_as_completed", "abatch_as_completed"])
    async def test_leaving_a_batch_ends_its_other_calls(self, serve: Serve, model_of: ModelOf, way: str) -> None:
        def one_answers(request: Request) -> list[Step]:
            return reply("Hello") if request.query == "3" else [STREAM, HOLD]

        server = serve(one_answers)
        results: Any = getattr(model_of(server), way)([str(n) for n in range(6)])
        if way == "batch_as_completed":
            assert next(results)[0] == 3
            results.close()
        else:
            assert (await anext(results))[0] == 3
            await results.aclose()
        await server.comes_to(lambda server: server.left == len(server.requests) - 1, 1)

    @pytest.mark.parametrize("way", ["batch_as_completed", "abatch_as_completed"])
    async def test_batch_as_completed_yields_replies_as_they_come(
        self, serve: Serve, model_of: ModelOf, way: str
    ) -> None:
        gates = {str(n): threading.Event() for n in range(4)}

        def gated(request: Request) -> list[Step]:
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
        assert {request.body["model"] for request in server.requests} == {"gpt-4o"}


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
        assert len(server.requests) == 32
        assert server.peak == 3

    def test_a_rate_limiter_waits_before_each_attempt(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(answer(503, retry_after="0"), answer(503, retry_after="0"), reply("Hello"))
        limiter = InMemoryRateLimiter(requests_per_second=10, check_every_n_seconds=0.01, max_bucket_size=1)
        assert model_of(server, rate_limiter=limiter, max_retries=2).invoke("Hi").text == "Hello"
        first, _, last = (request.at for request in server.requests)
        assert last - first > 0.15

    def test_many_models_share_their_connections(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(reply("Hello"))
        for n in range(30):
            assert model_of(server, temperature=n / 30).invoke("Hi").text == "Hello"
        assert server.connections == 1


class TestFallbacks:
    async def test_another_endpoint(self, serve: Serve, ask: Asker, model_of: ModelOf) -> None:
        with ScriptedServer(reply("")) as gone:
            pass
        model = model_of(gone).with_fallbacks([model_of(serve(reply("Hello")))], exceptions_to_handle=(DarkAIError,))
        assert (await ask(model)).content == "Hello"

    async def test_an_unreachable_host_says_what_to_do(self, ask: Asker, model_of: ModelOf) -> None:
        with ScriptedServer(reply("")) as gone:
            pass
        with pytest.raises(DarkAIConnectionError) as caught:
            await ask(model_of(gone))
        assert gone.host in str(caught.value)
        assert "langchain-darkai serve" in str(caught.value)


class TestLocalServer:
    async def test_a_conversation(self, ask: Asker) -> None:
        with LocalServer() as server:
            model = ChatDarkAI(base_url=server.url)
            first = await ask(model, "Hello")
            second = await ask(model, [("user", "Hello"), first, ("user", "Count from 1 to 5.")])
        assert first.text
        assert "1" in second.text
        assert "5" in second.text
        assert second.usage_metadata is not None
        assert "usage_source" not in second.response_metadata

    async def test_environment(self, ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
        with LocalServer(api_key="sk-local") as server:
            monkeypatch.setenv("DARKAI_BASE_URL", server.url)
            monkeypatch.setenv("DARKAI_API_KEY", "sk-local")
            message = await ask(ChatDarkAI())
        assert isinstance(message, AIMessageChunk) == ask.streams
        assert message.text
