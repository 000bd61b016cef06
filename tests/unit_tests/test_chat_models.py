"""The chat model without a network: what it sends, what it makes of a reply, and what it refuses."""

import asyncio
import copy
import pickle
import ssl
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.load import dumpd, dumps, load
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatResult, LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField
from pydantic import SecretStr, ValidationError

from langchain_darkai import ChatDarkAI, DarkAIAPIError, DarkAIError, DarkAIInvalidRequestError, format_prompt
from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai.protocol import StreamEnd, Usage
from langchain_darkai.transport import ApiCall
from tests.support.asker import Asker
from tests.support.scripted_transport import ScriptedTransport, body

TRUSTED: dict[str, Any] = {"valid_namespaces": ["langchain_darkai"], "allowed_objects": [ChatDarkAI]}
USAGE = Usage(input_tokens=3, output_tokens=1, total_tokens=4)
TOKEN_USAGE = {
    "prompt_tokens": USAGE["input_tokens"],
    "completion_tokens": USAGE["output_tokens"],
    "total_tokens": USAGE["total_tokens"],
}


def endpoint_of(model: ChatDarkAI) -> Endpoint:
    """Return where the model's calls go, and with what."""
    return model._client._endpoint


def key_of(model: ChatDarkAI, /, **call: Any) -> str:
    """Return what a cache files the model's replies under."""
    return model._get_llm_string(**call)


class TestSettings:
    def test_no_setting_is_needed(self) -> None:
        model = ChatDarkAI()
        assert (model.model, model.base_url, model.api_key) == ("llama-3-70b", None, None)
        assert (model.timeout, model.stream_chunk_timeout, model.max_retries) == (600.0, 120.0, 2)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"timeout": 0}, "timeout=0.0 is not a positive"),
            ({"timeout": -5}, "timeout=-5.0"),
            ({"stream_chunk_timeout": -1}, "stream_chunk_timeout=-1"),
            ({"max_retries": -1}, "max_retries=-1"),
            ({"max_concurrency": 0}, "max_concurrency=0"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"model": ""}, "is not the name of a model"),
            ({"model": "  "}, "is not the name of a model"),
            ({"base_url": "localhost:8000"}, "base_url is not a URL like http://127.0.0.1:8000"),
            ({"proxy": "localhost:3128"}, "proxy is not a URL"),
            ({"stop": ""}, "stop is not a list of texts"),
            ({"stop": ["a", ""]}, "stop is not a list of texts"),
            ({"stop": 5}, "stop"),
            ({"model_kwargs": {"query": "x"}}, "model_kwargs cannot hold 'query'"),
            ({"model_kwargs": {"model": "x"}}, "model_kwargs cannot hold 'model'"),
            ({"api_key": "a\nb"}, "api_key has a character"),
            ({"temperature": "hot"}, "temperature"),
        ],
    )
    def test_what_cannot_work_is_refused_at_construction(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            ChatDarkAI(**settings)

    @pytest.mark.parametrize(
        ("name", "nearest"),
        [("temprature", "temperature"), ("max_retry", "max_retries"), ("baseurl", "base_url"), ("apikey", "api_key")],
    )
    def test_an_unknown_argument_is_refused_with_the_nearest_name(self, name: str, nearest: str) -> None:
        settings: dict[str, Any] = {name: 1}
        with pytest.raises(ValueError, match=f"no argument '{name}'. Did you mean '{nearest}'"):
            ChatDarkAI(**settings)

    @pytest.mark.parametrize("name", ["top_p", "top_k", "seed", "presence_penalty"])
    def test_a_parameter_of_other_apis_is_pointed_to_model_kwargs(self, api: ScriptedTransport, name: str) -> None:
        settings: dict[str, Any] = {name: 1}
        hint = rf"no argument '{name}'\. .*model_kwargs=\{{'{name}': \.\.\.\}}"
        with pytest.raises(ValueError, match=hint):
            ChatDarkAI(**settings)
        with pytest.raises(ValueError, match=hint):
            api.model().invoke("Hi", **settings)
        with pytest.raises(ValueError, match=hint):
            api.model().bind_tools([], **settings)

    def test_an_unknown_argument_without_a_near_name(self) -> None:
        with pytest.raises(ValueError, match=r"no argument 'zzz'\. Further parameters .* go into model_kwargs"):
            ChatDarkAI(zzz=1)  # type: ignore[call-arg]

    def test_an_unknown_attribute_is_refused(self) -> None:
        with pytest.raises(ValueError, match="temprature"):
            ChatDarkAI().temprature = 0.5

    def test_settings_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DARKAI_BASE_URL", "https://env.test")
        monkeypatch.setenv("DARKAI_API_KEY", "env-key")
        monkeypatch.setenv("DARKAI_PROXY", "http://proxy.test:3128")
        endpoint = endpoint_of(ChatDarkAI())
        assert (endpoint.url, endpoint.proxy) == ("https://env.test/chat", "http://proxy.test:3128")
        assert endpoint.headers["authorization"] == "Bearer env-key"

    def test_an_empty_variable_sets_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("BASE_URL", "API_KEY", "PROXY"):
            monkeypatch.setenv(f"DARKAI_{name}", "")
        endpoint = endpoint_of(ChatDarkAI())
        assert (endpoint.url, endpoint.proxy) == ("https://darkai.foundation/chat", None)
        assert "authorization" not in endpoint.headers

    def test_an_explicit_none_is_not_the_environments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DARKAI_BASE_URL", "https://env.test")
        monkeypatch.setenv("DARKAI_API_KEY", "env-key")
        monkeypatch.setenv("DARKAI_PROXY", "http://proxy.test:3128")
        endpoint = endpoint_of(ChatDarkAI(base_url=None, api_key=None, proxy=None))
        assert (endpoint.url, endpoint.proxy) == ("https://darkai.foundation/chat", None)
        assert "authorization" not in endpoint.headers

    def test_what_a_model_was_made_with_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = ChatDarkAI()
        monkeypatch.setenv("DARKAI_BASE_URL", "https://later.test")
        assert endpoint_of(model.model_copy(update={"temperature": 0.5})).url == "https://darkai.foundation/chat"


class TestSecrets:
    def test_a_plain_key_becomes_a_secret(self, api: ScriptedTransport) -> None:
        model = api.model(api_key="sk-hidden")
        assert model.api_key == SecretStr("sk-hidden")
        model.invoke("Hi")
        assert endpoint_of(model).headers["authorization"] == "Bearer sk-hidden"

    @pytest.mark.parametrize(
        "made",
        [
            lambda: ChatDarkAI(api_key="sk-hidden"),
            lambda: ChatDarkAI(api_key=SecretStr("sk-hidden")),
            lambda: ChatDarkAI().model_copy(update={"api_key": "sk-hidden"}),
            lambda: _assigned(ChatDarkAI(), api_key="sk-hidden"),
        ],
        ids=["plain", "secret", "copied", "assigned"],
    )
    def test_the_key_shows_nowhere(self, made: Callable[[], ChatDarkAI]) -> None:
        model = made()
        shown = [
            repr(model),
            str(model),
            dumps(model),
            str(model.model_dump()),
            model.model_dump_json(),
            key_of(model),
            str(model._identifying_params),
            str(model._get_ls_params()),
            repr(model._client),
            repr(model.bind(stop=["x"])),
        ]
        assert not [text for text in shown if "hidden" in text]

    @pytest.mark.parametrize("settings", [{"api_key": "sk-hidden\n"}, {"api_key": "sk-hidden", "timeout": -1}])
    def test_a_refusal_does_not_repeat_the_key(self, settings: dict[str, Any]) -> None:
        with pytest.raises(ValidationError) as caught:
            ChatDarkAI(**settings)
        assert "hidden" not in str(caught.value)

    def test_headers_and_proxy_are_not_written_out(self) -> None:
        model = ChatDarkAI(default_headers={"x-token": "hidden"}, proxy="http://user:hidden@proxy.test")
        assert "hidden" not in repr(model) + dumps(model) + str(model.model_dump()) + key_of(model)


def _assigned(model: ChatDarkAI, /, **values: Any) -> ChatDarkAI:
    for name, value in values.items():
        setattr(model, name, value)
    return model


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


class TestCopies:
    @pytest.mark.parametrize(
        "again",
        [
            copy.copy,
            copy.deepcopy,
            lambda model: pickle.loads(pickle.dumps(model)),
            lambda model: model.model_copy(),
            lambda model: model.model_copy(deep=True),
        ],
        ids=["copy", "deepcopy", "pickle", "model_copy", "deep model_copy"],
    )
    def test_a_copy_is_equal_and_works(self, api: ScriptedTransport, again: Callable[[ChatDarkAI], ChatDarkAI]) -> None:
        model = api.model(model="gpt-4o", api_key="k", stop=["x"], model_kwargs={"a": [1]}, max_concurrency=2)
        model.invoke("Hi")
        copied = again(model)
        assert copied == model
        copied.invoke("Hi")
        assert api.calls[0] == api.calls[1]
        assert endpoint_of(copied) == endpoint_of(model)

    def test_a_deep_copy_shares_what_cannot_be_copied(self, api: ScriptedTransport) -> None:
        model = api.model(verify=ssl.create_default_context())
        for copied in (copy.deepcopy(model), model.model_copy(deep=True), copy.deepcopy([model])[0]):
            assert copied.verify is model.verify
            assert copied.model_kwargs is not model.model_kwargs

    def test_a_copy_with_other_values(self, api: ScriptedTransport) -> None:
        model = api.model(model="gpt-4o", api_key="k")
        model.invoke("Hi")
        other = model.model_copy(update={"base_url": "https://other.test", "model": "llama-3-70b", "api_key": "k2"})
        other.invoke("Hi")
        model.invoke("Hi")
        assert [body(call)["model"] for call in api.calls] == ["gpt-4o", "llama-3-70b", "gpt-4o"]
        assert [endpoint_of(each).url for each in (model, other)] == [
            "https://model.test/chat",
            "https://other.test/chat",
        ]
        assert endpoint_of(other).headers["authorization"] == "Bearer k2"

    def test_an_assigned_value_counts_from_then_on(self, api: ScriptedTransport) -> None:
        model = api.model()
        model.invoke("Hi")
        model.base_url, model.stream_chunk_timeout, model.temperature = "https://other.test", 7.0, 0.5
        model.invoke("Hi")
        assert (endpoint_of(model).url, model._client.stream_chunk_timeout) == ("https://other.test/chat", 7.0)
        assert body(api.calls[1])["temperature"] == 0.5

    def test_a_value_that_cannot_work_is_refused_at_the_latest_by_the_call(self, api: ScriptedTransport) -> None:
        model = api.model()
        with pytest.raises(ValueError, match="timeout"):
            _assigned(model, timeout=-1.0).invoke("Hi")
        assert not api.calls

    def test_copies_do_not_share_what_they_hold(self) -> None:
        model = ChatDarkAI(model_kwargs={"a": [1]})
        copied = copy.deepcopy(model)
        copied.model_kwargs["a"].append(2)
        assert model.model_kwargs == {"a": [1]}

    def test_one_limit_for_all_threads_from_the_first_call_on(self) -> None:
        model = ChatDarkAI(max_concurrency=3)
        assert "_client" in vars(model), "the client is made late, where two threads can make two"


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
class TestSerialization:
    def test_round_trip(self) -> None:
        model = ChatDarkAI(
            model="gpt-4o",
            base_url="https://model.test",
            api_key="sk-hidden",
            temperature=0.5,
            stop=["x"],
            timeout=None,
            model_kwargs={"top_p": 0.5},
        )
        written = dumpd(model)
        assert written["id"] == ["langchain_darkai", "chat_models", "ChatDarkAI"]
        assert written["kwargs"]["api_key"] == {"lc": 1, "type": "secret", "id": ["DARKAI_API_KEY"]}
        loaded = load(written, secrets_map={"DARKAI_API_KEY": "sk-hidden"}, **TRUSTED)
        assert loaded == model
        assert loaded.timeout is None

    def test_the_key_is_found_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        written = dumpd(ChatDarkAI(api_key="one"))
        monkeypatch.setenv("DARKAI_API_KEY", "other")
        loaded = load(written, secrets_from_env=True, **TRUSTED)
        assert loaded.api_key == SecretStr("other")


class TestCache:
    @pytest.mark.parametrize(
        "setting",
        [
            {"model": "gpt-4o"},
            {"base_url": "https://other.test"},
            {"base_url": "https://model.test/v2"},
            {"temperature": 0.5},
            {"temperature": 0.0},
            {"max_tokens": 5},
            {"stop": ["x"]},
            {"model_kwargs": {"a": 1}},
        ],
    )
    def test_what_shapes_a_reply_is_in_the_key(self, api: ScriptedTransport, setting: dict[str, Any]) -> None:
        plain = api.model()
        key = key_of(plain)
        assert key_of(api.model()) == key
        assert key_of(api.model(**setting)) != key
        assert key_of(plain.model_copy(update=setting)) != key
        assert key_of(_assigned(plain, **setting)) != key

    def test_a_calls_settings_are_in_the_key(self, api: ScriptedTransport) -> None:
        model = api.model()
        keys = {key_of(model), key_of(model, model="gpt-4o"), key_of(model, stop=["x"]), key_of(model, temperature=1)}
        assert len(keys) == 4

    def test_replies_are_cached_by_model(self, api: ScriptedTransport) -> None:
        cache = InMemoryCache()
        api.scripts = [[f"reply {n}", StreamEnd(USAGE)] for n in range(9)]
        model = api.model(cache=cache)
        assert [model.invoke("Hi").content, model.invoke("Hi").content] == ["reply 0", "reply 0"]
        assert model.invoke("Hi").usage_metadata == {**USAGE, "total_cost": 0}
        model.model = "gpt-4o"
        assert model.invoke("Hi").content == "reply 1"
        assert model.invoke("Hi", model="llama-3-70b").content == "reply 2"


class TestDescription:
    def test_the_profile_tells_what_the_model_can_do(self) -> None:
        profile = ChatDarkAI().profile
        assert profile is not None
        assert (profile["text_inputs"], profile["image_inputs"], profile["audio_inputs"]) == (True, False, False)
        assert profile["max_input_tokens"] == 8_192
        assert (ChatDarkAI(model="llama-3.1-70b").profile or {})["max_input_tokens"] == 8_192
        assert "max_input_tokens" not in (ChatDarkAI(model="ours").profile or {})
        assert ChatDarkAI(profile={"max_input_tokens": 5}).profile == {"max_input_tokens": 5}

    def test_tracing_parameters(self) -> None:
        model = ChatDarkAI(model="gpt-4o", temperature=0.5, max_tokens=9, stop=["a"])
        assert model._get_ls_params() == {
            "ls_provider": "darkai",
            "ls_model_name": "gpt-4o",
            "ls_model_type": "chat",
            "ls_temperature": 0.5,
            "ls_max_tokens": 9,
            "ls_stop": ["a"],
        }
        of_call = model._get_ls_params(stop=["b"], model="ours", temperature=0.1)
        assert (of_call["ls_model_name"], of_call["ls_stop"]) == ("ours", ["b"])
        assert of_call["ls_temperature"] == 0.1

    def test_a_call_without_stop_is_traced_without(self) -> None:
        assert "ls_stop" not in ChatDarkAI(stop=["a"])._get_ls_params(stop=[])

    def test_the_package_is_named_in_traces(self) -> None:
        from langchain_darkai import __version__

        metadata = ChatDarkAI().metadata
        assert metadata is not None
        assert metadata["lc_versions"]["langchain-darkai"] == __version__

    def test_the_names_of_the_model_hold_no_password(self) -> None:
        model = ChatDarkAI(model="gpt-4o", base_url="https://user:pw@model.test/chat")
        assert model._llm_type == "darkai-chat"
        assert model._identifying_params["model"] == "gpt-4o"
        assert "pw" not in str(model._identifying_params)

    def test_constructing_starts_no_thread(self) -> None:
        before = threading.active_count()
        for _ in range(10):
            ChatDarkAI()
        assert threading.active_count() == before


class TestRunnable:
    async def test_a_chain_works_by_every_entry(self, api: ScriptedTransport) -> None:
        prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
        chain = prompt | api.model() | StrOutputParser()
        api.scripts = [["Hel", "lo", StreamEnd()]]
        assert chain.invoke({"question": "Hi"}) == await chain.ainvoke({"question": "Hi"}) == "Hello"
        assert [text for text in chain.stream({"question": "Hi"}) if text] == ["Hel", "lo"]
        assert [text async for text in chain.astream({"question": "Hi"}) if text] == ["Hel", "lo"]
        assert chain.batch([{"question": "Hi"}] * 3) == await chain.abatch([{"question": "Hi"}] * 3) == ["Hello"] * 3
        assert {body(call)["query"] for call in api.calls} == {"System: Be brief.\nUser: Hi\nAssistant:"}

    async def test_configurable_fields(self, api: ScriptedTransport, ask: Asker) -> None:
        model = api.model(temperature=0.5).configurable_fields(
            temperature=ConfigurableField(id="heat"), model=ConfigurableField(id="which")
        )
        await ask(model, config={"configurable": {"heat": 0.1, "which": "gpt-4o"}})
        await ask(model)
        assert [(body(call)["temperature"], body(call)["model"]) for call in api.calls] == [
            (0.1, "gpt-4o"),
            (0.5, "llama-3-70b"),
        ]

    async def test_a_fallback_is_used_after_a_failure(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [[DarkAIAPIError("down")], ["Hello", StreamEnd()]]
        model = api.model(max_retries=0).with_fallbacks([api.model(model="gpt-4o")])
        assert (await ask(model)).content == "Hello"
        assert [body(call)["model"] for call in api.calls] == ["llama-3-70b", "gpt-4o"]

    @pytest.mark.parametrize("entry", ["invoke", "ainvoke"])
    async def test_with_retry_calls_the_model_again(self, api: ScriptedTransport, entry: str) -> None:
        api.scripts = [[DarkAIAPIError("down")], ["Hello", StreamEnd()]]
        model = api.model(max_retries=0).with_retry(
            retry_if_exception_type=(DarkAIError,), wait_exponential_jitter=False, stop_after_attempt=2
        )
        assert (await Asker(entry)(model)).content == "Hello"

    async def test_the_rate_limiter_is_asked_before_each_request(self, api: ScriptedTransport, ask: Asker) -> None:
        limiter = CountingLimiter()
        api.scripts = [[DarkAIAPIError("busy", retry_after=0)], [DarkAIAPIError("busy", retry_after=0)], ["Hello"]]
        api.scripts[-1] = ["Hello", StreamEnd()]
        await ask(api.model(rate_limiter=limiter))
        assert (limiter.acquired, len(api.calls)) == (3, 3)

    async def test_streamed_messages_merge_to_the_invoked_one(self, api: ScriptedTransport) -> None:
        api.scripts = [["one ", "two ", "three", StreamEnd(USAGE)]]
        merged = await Asker("stream")(api.model())
        invoked = api.model().invoke("Hi")
        assert isinstance(invoked, AIMessage)
        assert (merged.content, merged.usage_metadata) == (invoked.content, invoked.usage_metadata)

    def test_calls_by_hand_on_a_loop_leave_nothing_pending(
        self, api: ScriptedTransport, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = api.model()
        for call in (model.ainvoke("Hi"), model.ainvoke("Hi", stop=["ll"]), _first(model.astream("Hi", stop=["ll"]))):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(call)
            pending = asyncio.all_tasks(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            assert not pending
        assert not caplog.records

    def test_the_estimate_is_of_the_prompt(self, api: ScriptedTransport) -> None:
        messages = [("system", "Be brief."), ("user", "Hi")]
        usage = api.model().invoke(messages).usage_metadata
        assert usage is not None
        assert usage["input_tokens"] == api.model().get_num_tokens(format_prompt(messages))


async def _first(chunks: AsyncIterator[AIMessageChunk]) -> AIMessageChunk:
    first, *_ = [chunk async for chunk in chunks]
    return first


class CountingLimiter(BaseRateLimiter):
    """Lets everything through, and counts it."""

    def __init__(self) -> None:
        self.acquired = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return blocking

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return blocking


async def test_text_after_a_forced_call_is_not_lost(api: ScriptedTransport, ask: Asker) -> None:
    block = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    api.scripts = [[block, "\nI asked ", "for ", "the time.", StreamEnd()]]
    model = api.model().bind_tools([{"name": "now", "description": "", "parameters": {}}], tool_choice="any")
    message = await ask(model)
    assert message.text.strip() == "I asked for the time."
    assert [call["name"] for call in message.tool_calls] == ["now"]


class TestBatchesOfOthers:
    """A batch goes through `invoke` where that was replaced, so that a subclass or a patch sees each call."""

    @pytest.mark.parametrize("many", ["batch", "batch_as_completed"])
    def test_a_subclass_with_its_own_generate_sees_each_call(self, api: ScriptedTransport, many: str) -> None:
        seen: list[str] = []

        class Counting(ChatDarkAI):
            def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
                seen.append(messages[0].text)
                return super()._generate(messages, *args, **kwargs)

        model = Counting(base_url="https://model.test", transport=api)
        assert len(list(getattr(model, many)(["a", "b", "c"]))) == 3
        assert sorted(seen) == ["a", "b", "c"]

    @pytest.mark.parametrize("many", ["batch", "batch_as_completed"])
    def test_a_patched_invoke_sees_each_call(self, api: ScriptedTransport, many: str) -> None:
        with patch.object(ChatDarkAI, "invoke", return_value=AIMessage("patched")) as invoke:
            replies = list(getattr(api.model(), many)(["a", "b"]))
        assert invoke.call_count == len(replies) == 2
        assert not api.calls

    def test_a_plain_model_still_runs_its_batch_on_one_loop(self, api: ScriptedTransport) -> None:
        threads = threading.active_count()
        assert len(api.model().batch(["Hi"] * 50)) == 50
        assert threading.active_count() <= threads + 1


@pytest.mark.parametrize("tools", [None, [], [{"name": "now", "description": "", "parameters": {}}]])
def test_no_messages_have_no_tokens_but_those_of_the_tools(tools: Any) -> None:
    tokens = ChatDarkAI().get_num_tokens_from_messages([], tools=tools)
    assert (tokens > 0) == bool(tools)


class TestUsageAfterACall:
    """Reading stops at the one call that was asked for; the server's count of tokens comes after it."""

    BLOCK = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    NOW: ClassVar = {"name": "now", "description": "", "parameters": {}}

    @pytest.mark.parametrize("after", [[], ["\n"], ["\nAnd ", "more."]], ids=["at once", "blank", "text"])
    async def test_the_servers_usage_is_kept(self, api: ScriptedTransport, ask: Asker, after: list[str]) -> None:
        api.scripts = [[self.BLOCK, *after, StreamEnd(USAGE)]]
        message = await ask(api.model().bind_tools([self.NOW], parallel_tool_calls=False))
        assert message.usage_metadata == USAGE
        assert "usage_source" not in message.response_metadata
        assert [call["name"] for call in message.tool_calls] == ["now"]
        assert message.text == ""

    async def test_the_usage_of_a_structured_answer_is_kept(self, api: ScriptedTransport) -> None:
        block = '<tool_call>\n{"name": "Answer", "arguments": {"a": 1}}\n</tool_call>'
        api.scripts = [[block, StreamEnd(USAGE)]]
        schema = {"title": "Answer", "type": "object", "properties": {"a": {"type": "integer"}}}
        model = api.model().with_structured_output(schema, method="function_calling", include_raw=True)
        assert (await model.ainvoke("Hi"))["raw"].usage_metadata == USAGE

    async def test_a_model_that_goes_on_is_not_waited_for(self, ask: Asker) -> None:
        class Endless(ScriptedTransport):
            async def stream(self, call: ApiCall, deadline: float | None) -> AsyncGenerator[str | StreamEnd, None]:
                try:
                    yield TestUsageAfterACall.BLOCK
                    while True:
                        await asyncio.sleep(0.01)
                        yield "more "
                finally:
                    self.closed += 1

        api = Endless()
        message = await ask(api.model(timeout=30).bind_tools([self.NOW], parallel_tool_calls=False))
        assert [call["name"] for call in message.tool_calls] == ["now"]
        assert message.response_metadata["usage_source"] == "estimated"
        assert api.closed == 1

    async def test_a_connection_that_breaks_after_the_call_costs_nothing(
        self, api: ScriptedTransport, ask: Asker
    ) -> None:
        api.scripts = [[self.BLOCK, DarkAIAPIError("broke"), StreamEnd(USAGE)]]
        message = await ask(api.model(max_retries=0).bind_tools([self.NOW], parallel_tool_calls=False))
        assert [call["name"] for call in message.tool_calls] == ["now"]


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


def test_older_handlers_find_the_usage_in_the_output_of_the_run(api: ScriptedTransport) -> None:
    api.scripts = [["Hello", StreamEnd(USAGE)]]
    outputs: list[Any] = []

    class Older(BaseCallbackHandler):
        def on_llm_end(self, response: LLMResult, **_: Any) -> None:
            outputs.append(response.llm_output)

    api.model().invoke("Hi", config={"callbacks": [Older()]})
    total = api.model().generate([[HumanMessage("Hi")], [HumanMessage("Hi")]]).llm_output
    assert outputs == [
        {
            "token_usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
            "model_name": "llama-3-70b",
        }
    ]
    assert total == {
        "token_usage": {"prompt_tokens": 6, "completion_tokens": 2, "total_tokens": 8},
        "model_name": "llama-3-70b",
    }
