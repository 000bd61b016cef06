"""The chat model over real sockets: replies, streams as they come, events, stop sequences, and endings."""

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_darkai import (
    ChatDarkAI,
    DarkAIConnectionError,
    DarkAIEmptyResponseError,
    DarkAIError,
)
from langchain_darkai.server import LocalServer
from langchain_darkai.testing import ReceivedCall, ScriptedServer, reply
from langchain_darkai.testing.wire import END, HOLD, STREAM, Step, chunk, event, text
from tests.support.asker import Asker, ModelOf, Serve

USAGE = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
TOKEN_USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}


beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


def echo(request: ReceivedCall) -> list[Step]:
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
        await server.await_for(lambda server: server.left == 1, 0.5)
        assert "stop" not in server.calls[0].body


class TestEndings:
    async def test_a_cancelled_task(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve([STREAM + chunk(text("Hel")), HOLD])
        task = asyncio.create_task(model_of(server, max_retries=3).ainvoke("Hi"))
        await server.await_for(lambda server: len(server.calls) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.await_for(lambda server: server.left == 1, 0.5)
        assert len(server.calls) == 1

    async def test_a_timeout_of_the_callers_own(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve([HOLD], reply("Hello"))
        model = model_of(server, max_retries=3)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(model.ainvoke("Hi"), 0.1)
        await server.await_for(lambda server: server.left == 1, 0.5)
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
        await server.await_for(lambda server: server.left == 1, 0.5)


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
