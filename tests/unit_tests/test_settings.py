"""The settings of the chat model: what is refused, where defaults come from, and what never shows."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.load import dumps
from pydantic import SecretStr, ValidationError

from langchain_darkai import ChatDarkAI
from langchain_darkai._http.endpoint import Endpoint
from tests.support.scripted_transport import ScriptedTransport


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
            ({"max_reply_bytes": 0}, "max_reply_bytes=0"),
            ({"max_reply_bytes": "many"}, "max_reply_bytes"),
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

    def test_a_model_without_its_keyword_is_told_what_to_write(self) -> None:
        make: Any = ChatDarkAI
        for arguments in (("gpt-4o",), ("gpt-4o", "http://localhost")):
            with pytest.raises(TypeError, match=r'takes keyword arguments only: write ChatDarkAI\(model="gpt-4o"\)'):
                make(*arguments)
        with pytest.raises(TypeError) as caught:
            make("sk-secret")
        assert "sk-secret" not in str(caught.value)

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
