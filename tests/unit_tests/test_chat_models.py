"""The chat model without a network: what it sends, and what it makes of a reply."""

import asyncio
import copy
from typing import Any

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.messages import AIMessageChunk, HumanMessage

from langchain_darkai import ChatDarkAI, DarkAIAPIError, DarkAIInvalidRequestError
from langchain_darkai.protocol import StreamEnd, Usage
from tests.support.asker import Asker
from tests.support.scripted_transport import ScriptedTransport, body

USAGE = Usage(input_tokens=3, output_tokens=1, total_tokens=4)


TOKEN_USAGE = {
    "prompt_tokens": USAGE["input_tokens"],
    "completion_tokens": USAGE["output_tokens"],
    "total_tokens": USAGE["total_tokens"],
}


class TestRequest:
    async def test_the_request_body(self, api: ScriptedTransport, ask: Asker) -> None:
        model = api.model(model="gpt-4o", temperature=0.0, max_tokens=9, model_kwargs={"top_p": 0.5})
        await ask(model, [("system", "Be brief."), ("user", "Hi")])
        assert body(api.calls[0]) == {
            "query": "System: Be brief.\nUser: Hi\nAssistant:",
            "model": "gpt-4o",
            "temperature": 0.0,
            "max_tokens": 9,
            "top_p": 0.5,
        }

    async def test_what_is_not_set_is_not_sent(self, api: ScriptedTransport, ask: Asker) -> None:
        await ask(api.model(stop=["x"], streaming=True))
        assert body(api.calls[0]) == {"query": "Hi", "model": "llama-3-70b"}

    async def test_a_call_has_its_own_settings(self, api: ScriptedTransport, ask: Asker) -> None:
        model = api.model(model="gpt-4o", temperature=0.9, max_tokens=9, model_kwargs={"top_p": 0.5, "seed": 1})
        await ask(
            model, model="llama-3.1-70b", temperature=0.1, max_tokens=5, model_kwargs={"seed": 2}, timeout=7, stop=None
        )
        assert body(api.calls[0]) == {
            "query": "Hi",
            "model": "llama-3-70b",
            "temperature": 0.1,
            "max_tokens": 5,
            "top_p": 0.5,
            "seed": 2,
        }
        await ask(model)
        assert body(api.calls[1])["temperature"] == 0.9

    async def test_bound_settings(self, api: ScriptedTransport, ask: Asker) -> None:
        bound = api.model().bind(model="gpt-4o", temperature=0.3, stop=["lo"])
        assert (await ask(bound)).content == "Hel"
        assert body(api.calls[0]) == {"query": "Hi", "model": "gpt-4o", "temperature": 0.3}

    async def test_a_call_without_a_timeout(self, api: ScriptedTransport, ask: Asker) -> None:
        await ask(api.model(timeout=5.0), timeout=None)
        assert api.deadlines == [None]

    async def test_a_call_without_the_models_temperature(self, api: ScriptedTransport, ask: Asker) -> None:
        await ask(api.model(temperature=0.5), temperature=None)
        assert "temperature" not in body(api.calls[0])

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ({"temprature": 1}, "no argument 'temprature'. Did you mean 'temperature'"),
            ({"model": ""}, "is not the name of a model"),
            ({"model": 5}, "is not the name of a model"),
            ({"timeout": 0}, "timeout=0"),
            ({"timeout": "soon"}, "timeout='soon'"),
            ({"max_retries": -1}, "max_retries=-1"),
            ({"max_retries": "many"}, "max_retries='many'"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"max_tokens": "9"}, "max_tokens"),
            ({"temperature": "hot"}, "temperature"),
            ({"temperature": float("nan")}, "temperature"),
            ({"stop": [""]}, "stop is not a list of texts"),
            ({"stop": [5]}, "stop is not a list of texts"),
            ({"stop": 5}, "stop is not a list of texts"),
            ({"model_kwargs": {"query": "x"}}, "model_kwargs cannot hold 'query'"),
            ({"model_kwargs": {"x": object()}}, "no JSON form"),
            ({"model_kwargs": 5}, "model_kwargs"),
            ({"model_kwargs": "xy"}, "model_kwargs"),
        ],
    )
    async def test_a_call_that_cannot_work_is_refused_unsent(
        self, api: ScriptedTransport, ask: Asker, call: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match=message) as caught:
            await ask(api.model(), **call)
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, ModelInvalidRequestError)
        assert not api.calls

    @pytest.mark.parametrize(
        ("messages", "message"),
        [
            ([], "messages"),
            ([HumanMessage([{"type": "image_url", "image_url": {"url": "data:,"}}])], "image"),
        ],
    )
    async def test_messages_that_cannot_be_sent(
        self, api: ScriptedTransport, ask: Asker, messages: list[Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            await ask(api.model(), messages)
        assert not api.calls

    async def test_what_the_caller_hands_over_is_left_as_it_was(self, api: ScriptedTransport, ask: Asker) -> None:
        messages = [HumanMessage([{"type": "text", "text": "Hi"}])]
        extra, stop, headers = {"top_p": 0.5}, ["x"], {"X-Team": "a"}
        before = copy.deepcopy((messages, extra, stop, headers))
        model = api.model(model_kwargs=extra, default_headers=headers)
        await ask(model, messages, model_kwargs=extra, stop=stop)
        assert (messages, extra, stop, headers) == before


class TestReply:
    async def test_text_and_metadata_with_the_servers_usage(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [["Hel", "lo", StreamEnd(USAGE)]]
        message = await ask(api.model(model="llama-3.1-70b"))
        assert message.content == "Hello"
        assert message.response_metadata == {
            "model_name": "llama-3-70b",
            "model_provider": "darkai",
            "finish_reason": "stop",
            "token_usage": TOKEN_USAGE,
        }
        assert message.usage_metadata == USAGE

    async def test_usage_is_estimated_where_the_server_gives_none(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [["Hello", StreamEnd()]]
        message = await ask(api.model(), "What?")
        assert message.response_metadata["usage_source"] == "estimated"
        assert message.usage_metadata == {"input_tokens": 2, "output_tokens": 2, "total_tokens": 4}

    async def test_a_tokenizer_of_the_users_own_estimates(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [["one two three", StreamEnd()]]
        model = api.model(custom_get_token_ids=lambda text: list(range(len(text.split()))))
        message = await ask(model, "a b")
        assert message.usage_metadata == {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5}

    @pytest.mark.parametrize("entry", ["stream", "astream"])
    async def test_metadata_comes_once_in_an_empty_last_chunk(self, api: ScriptedTransport, entry: str) -> None:
        api.scripts = [["Hel", "lo", StreamEnd(USAGE)]]
        *texts, last = await Asker(entry).chunks(api.model())
        assert [chunk.content for chunk in texts] == ["Hel", "lo"]
        assert not any(chunk.response_metadata or chunk.usage_metadata for chunk in texts)
        assert isinstance(last, AIMessageChunk)
        assert (last.content, last.chunk_position, last.usage_metadata) == ("", "last", USAGE)
        assert len({chunk.id for chunk in (*texts, last)}) == 1

    async def test_all_entries_give_one_message(self, api: ScriptedTransport) -> None:
        api.scripts = [["Hel", "lo", StreamEnd(USAGE)]]
        replies = [await Asker(entry)(api.model()) for entry in ("invoke", "ainvoke", "stream", "astream")]
        seen = [(m.content, m.response_metadata, m.usage_metadata, m.content_blocks, m.tool_calls) for m in replies]
        assert all(one == seen[0] for one in seen)

    async def test_blocks_of_output_version_1(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [["Hel", "lo", StreamEnd(USAGE)]]
        message = await ask(api.model(output_version="v1"))
        assert [(block["type"], block.get("text")) for block in message.content_blocks] == [("text", "Hello")]
        assert message.text == "Hello"
        assert message.usage_metadata == USAGE

    async def test_an_empty_reply_where_it_is_allowed(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [[StreamEnd(USAGE)]]
        message = await ask(api.model(allow_empty=True))
        assert (message.content, message.usage_metadata) == ("", USAGE)
        assert api.calls[0].allow_empty

    async def test_usage_callback(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [["Hello", StreamEnd(USAGE)]]
        handler = UsageMetadataCallbackHandler()
        for _ in range(2):
            await ask(api.model(), config={"callbacks": [handler]})
        twice = {"input_tokens": 6, "output_tokens": 2, "total_tokens": 8}
        assert handler.usage_metadata == {"llama-3-70b": twice}

    def test_invoke_streams_for_callbacks_where_that_is_set(self, api: ScriptedTransport) -> None:
        api.scripts = [["Hel", "lo", StreamEnd()]]
        assert [e["event"] for e in _events(api.model(streaming=True))].count("on_chat_model_stream") == 3


def _events(model: ChatDarkAI) -> list[Any]:
    async def collect() -> list[Any]:
        return [event async for event in model.astream_events("Hi", version="v2")]

    return asyncio.run(collect())


class TestStop:
    @pytest.mark.parametrize(
        ("pieces", "stop", "text"),
        [
            (["one END two"], ["END"], "one "),
            (["one E", "N", "D two"], ["END"], "one "),
            (["one E", "N", "d two"], ["END"], "one ENd two"),
            (["one EN"], ["END"], "one EN"),
            (["END"], ["END"], ""),
            (["a.b\n\nc"], ["\n\n", "."], "a"),
            (["one END two"], "END", "one "),
            (["one END two"], [], "one END two"),
        ],
    )
    async def test_a_reply_ends_before_a_stop_sequence(
        self, api: ScriptedTransport, ask: Asker, pieces: list[str], stop: list[str], text: str
    ) -> None:
        api.scripts = [[*pieces, StreamEnd()]]
        message = await ask(api.model(), stop=stop)
        assert message.content == text
        assert message.response_metadata["finish_reason"] == "stop"
        assert message.usage_metadata is not None
        assert api.closed == 1
        assert (await ask(api.model(stop=stop))).content == text

    async def test_a_calls_sequences_are_used_instead(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [["a-b+c", StreamEnd()]]
        model = api.model(stop="-")
        assert model.stop == ["-"]
        assert (await ask(model, stop=["+"])).content == "a-b"
        assert (await ask(model, stop=[])).content == "a-b+c"

    async def test_nothing_is_read_after_a_stop(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [["a END", DarkAIAPIError("never met"), StreamEnd()]]
        assert (await ask(api.model(max_retries=0), stop=["END"])).content == "a "
        assert api.closed == 1

    @pytest.mark.parametrize("entry", ["stream", "astream"])
    async def test_text_that_was_held_back_is_not_lost_in_a_failure(self, api: ScriptedTransport, entry: str) -> None:
        api.scripts = [["one E", DarkAIAPIError("broke", partial_text="one E")]]
        texts: list[str] = []
        with pytest.raises(DarkAIAPIError, match="broke"):
            await Asker(entry).into(texts, api.model(), stop=["END"])
        assert "".join(texts) == "one E"


async def test_text_after_a_forced_call_is_not_lost(api: ScriptedTransport, ask: Asker) -> None:
    block = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    api.scripts = [[block, "\nI asked ", "for ", "the time.", StreamEnd()]]
    model = api.model().bind_tools([{"name": "now", "description": "", "parameters": {}}], tool_choice="any")
    message = await ask(model)
    assert message.text.strip() == "I asked for the time."
    assert [call["name"] for call in message.tool_calls] == ["now"]


@pytest.mark.parametrize("tools", [None, [], [{"name": "now", "description": "", "parameters": {}}]])
def test_no_messages_have_no_tokens_but_those_of_the_tools(tools: Any) -> None:
    tokens = ChatDarkAI().get_num_tokens_from_messages([], tools=tools)
    assert (tokens > 0) == bool(tools)


@pytest.mark.parametrize("version", [None, "v1"])
@pytest.mark.parametrize("lead", [[], ["Let me ", "see.\n"]], ids=["calls only", "text first"])
def test_streamed_calls_are_numbered_from_0_where_core_allows_it(
    api: ScriptedTransport, version: str | None, lead: list[str]
) -> None:
    block = '<tool_call>\n{"name": "now", "arguments": {"n": %d}}\n</tool_call>\n'
    api.scripts = [[*lead, block % 1, block % 2, StreamEnd()]]
    settings = {"output_version": version} if version else {}
    model = api.model(**settings).bind_tools([{"name": "now", "description": "", "parameters": {}}])
    chunks = [chunk for chunk in model.stream("Hi") if isinstance(chunk, AIMessageChunk)]
    numbers = {call["index"] for chunk in chunks for call in chunk.tool_call_chunks}
    assert numbers == ({1000, 1001} if version else {0, 1})
    merged = chunks[0].__add__(chunks[1:])
    assert [call["args"] for call in merged.tool_calls] == [{"n": 1}, {"n": 2}]
    assert [block["type"] for block in merged.content_blocks] == [*(["text"] if lead else []), *["tool_call"] * 2]
