"""Copies of a model, what is written down of it, its key in a cache, and how it describes itself."""

import copy
import pickle
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, load
from pydantic import SecretStr

from langchain_darkai import ChatDarkAI
from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai.protocol import StreamEnd, Usage
from tests.support.scripted_transport import ScriptedTransport, body

TRUSTED: dict[str, Any] = {"valid_namespaces": ["langchain_darkai"], "allowed_objects": [ChatDarkAI]}


USAGE = Usage(input_tokens=3, output_tokens=1, total_tokens=4)


def endpoint_of(model: ChatDarkAI) -> Endpoint:
    """Return where the model's calls go, and with what."""
    return model._client._endpoint


def key_of(model: ChatDarkAI, /, **call: Any) -> str:
    """Return what a cache files the model's replies under."""
    return model._get_llm_string(**call)


def _assigned(model: ChatDarkAI, /, **values: Any) -> ChatDarkAI:
    for name, value in values.items():
        setattr(model, name, value)
    return model


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

    def test_a_key_that_no_profile_has_is_warned_of(self) -> None:
        profile: Any = {"max_input_tokens": 5, "wings": True}
        with pytest.warns(UserWarning, match="wings"):
            assert ChatDarkAI(profile=profile).profile == profile

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
