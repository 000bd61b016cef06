"""The client's settings, its retries, and the provider interface, without a network."""

import asyncio
import inspect
import re
import ssl
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_darkai import (
    ChatDarkAI,
    DarkAI,
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIConnectionError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAIRateLimitError,
    DarkAIStreamTruncatedError,
)
from langchain_darkai.client import Restart
from langchain_darkai.protocol import StreamEnd
from langchain_darkai.server import LocalServer
from tests.support.scripted_transport import ScriptedTransport, body


async def text_of(client: DarkAI, **policy: Any) -> str:
    events = client.stream(client.call("Hi"), client.policy(**policy))
    return "".join([event async for event in events if isinstance(event, str)])


async def whole_text_of(client: DarkAI, **policy: Any) -> str:
    """Read a reply of which nothing is handed on before it is whole."""
    texts: list[str] = []
    async for event in client.stream(client.call("Hi"), replace(client.policy(**policy), may_restart=True)):
        if isinstance(event, Restart):
            texts.clear()
        elif isinstance(event, str):
            texts.append(event)
    return "".join(texts)


class TestSettings:
    @pytest.mark.parametrize(
        ("base_url", "endpoint"),
        [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000/chat"),
            ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/chat"),
            ("http://127.0.0.1:8000/chat", "http://127.0.0.1:8000/chat"),
            ("http://127.0.0.1:8000/chat/", "http://127.0.0.1:8000/chat"),
            ("https://example.org/api/v1", "https://example.org/api/v1/chat"),
            ("https://example.org/chatter", "https://example.org/chatter/chat"),
            ("https://example.org/v1/?team=a", "https://example.org/v1/chat?team=a"),
            ("  http://[::1]:8000 ", "http://[::1]:8000/chat"),
            (None, "https://darkai.foundation/chat"),
        ],
    )
    def test_base_url_forms(self, base_url: str | None, endpoint: str) -> None:
        assert DarkAI(base_url=base_url).endpoint == endpoint

    @pytest.mark.parametrize(
        "base_url", ["127.0.0.1:8000", "ftp://example.org", "http://", "http://host:port", "http://h:99999", "nonsense"]
    )
    def test_what_is_no_http_url_is_refused(self, base_url: str) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match="base_url is not a URL like"):
            DarkAI(base_url=base_url)
        with pytest.raises(DarkAIInvalidRequestError, match="proxy is not a URL like"):
            DarkAI(proxy=base_url)

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("notaurl", "'notaurl'"),
            ("localhost:8000/chat", "'localhost:8000/chat'"),
            ("ftp://user:hunter2@example.org/a", "'ftp://***@example.org/a'"),
            ("ftp://example.org/?key=hunter2", "'ftp://example.org/?***'"),
            ("ftp://example.org/#hunter2", "'ftp://example.org/#***'"),
            ("user:hunter2@example.org:99999?key=hunter2", "'***@example.org:99999?***'"),
            ("ftp://user:hun?ter2@example.org", "'ftp://***'"),
            ("ftp://example.org/?a=hunter2@hunter2", "'ftp://***'"),
            ("//" + "x" * 200, "'//" + "x" * 78 + "'..."),
        ],
    )
    def test_a_refused_url_is_named_without_its_secrets(
        self, monkeypatch: pytest.MonkeyPatch, url: str, shown: str
    ) -> None:
        for make in (DarkAI, ChatDarkAI):
            for setting, variable in (("base_url", "DARKAI_BASE_URL"), ("proxy", "DARKAI_PROXY")):
                settings: dict[str, Any] = {setting: url}
                with pytest.raises(ValueError, match=re.escape(f"{setting} is not a URL like ")) as caught:
                    make(**settings)
                assert f"https://example.org: {shown}." in str(caught.value)
                monkeypatch.setenv(variable, url)
                with pytest.raises(ValueError, match=re.escape(f"{variable} is not a URL like ")) as caught:
                    make()
                assert f"https://example.org: {shown}." in str(caught.value)
                monkeypatch.delenv(variable)
                assert "hunter2" not in str(caught.value)
                assert "ter2" not in str(caught.value)

    def test_a_server_in_place_of_its_url_is_pointed_to_the_url(self) -> None:
        server: Any = LocalServer()
        for make in (DarkAI, ChatDarkAI):
            with pytest.raises(
                ValueError, match=r"base_url takes a string, not LocalServer\. Pass its url: base_url=server\.url"
            ):
                make(base_url=server)
            with pytest.raises(ValueError, match="base_url takes a string, not int"):
                make(base_url=8000)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="proxy takes a string, not bytes"):
                make(proxy=b"http://localhost")  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"timeout": 0}, "timeout=0 is not a positive number of seconds"),
            ({"timeout": -1.5}, "timeout=-1.5"),
            ({"timeout": float("nan")}, "timeout=nan"),
            ({"timeout": float("inf")}, "timeout=inf"),
            ({"timeout": "5"}, "timeout='5'"),
            ({"timeout": True}, "timeout=True"),
            ({"stream_chunk_timeout": 0}, "stream_chunk_timeout=0"),
            ({"max_retries": -1}, "max_retries=-1 is not a whole number of 0 or more"),
            ({"max_retries": 1.5}, "max_retries=1.5"),
            ({"max_concurrency": 0}, "max_concurrency=0 is not a whole number of 1 or more"),
            ({"api_key": "a\nb"}, "api_key has a character"),
            ({"default_headers": {"x-team": "a\r\nb: c"}}, "the header 'x-team' has a character"),
            ({"default_headers": {"x team": "a"}}, "the header 'x team' has a character"),
            ({"default_headers": {"x-team": 3}}, "default_headers: 'x-team' and its value must both be strings"),
            ({"default_headers": {3: "a"}}, "default_headers: 3 and its value must both be strings"),
        ],
    )
    def test_what_cannot_work_is_refused_at_once(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match=message) as caught:
            DarkAI(**settings)
        assert isinstance(caught.value, ValueError)

    def test_a_refused_key_is_not_repeated(self) -> None:
        with pytest.raises(DarkAIInvalidRequestError) as caught:
            DarkAI(api_key="sk-\nsecret")
        assert "secret" not in str(caught.value)

    def test_none_is_no_limit(self) -> None:
        unlimited = DarkAI(timeout=None, stream_chunk_timeout=None, max_concurrency=None)
        assert (unlimited.timeout, unlimited.stream_chunk_timeout, unlimited.limiter.limit) == (None, None, None)

    def test_settings_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DARKAI_BASE_URL", "https://env.test")
        monkeypatch.setenv("DARKAI_API_KEY", "env-key")
        monkeypatch.setenv("DARKAI_PROXY", "http://proxy.test:3128")
        from_env = DarkAI()
        endpoint = from_env._endpoint
        assert (from_env.endpoint, endpoint.proxy) == ("https://env.test/chat", "http://proxy.test:3128")
        assert endpoint.headers["authorization"] == "Bearer env-key"
        given = DarkAI(base_url="https://given.test", api_key="given-key", proxy="https://other.test")
        assert (given.endpoint, given._endpoint.proxy) == ("https://given.test/chat", "https://other.test")
        assert given._endpoint.headers["authorization"] == "Bearer given-key"

    def test_headers(self) -> None:
        assert DarkAI()._endpoint.headers == {
            "accept": "text/event-stream",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "langchain-darkai",
        }
        given = {"User-Agent": "mine", "x-team": "a"}
        headers = DarkAI(default_headers=given, api_key="k")._endpoint.headers
        assert headers["user-agent"] == "mine"
        assert headers["x-team"] == "a"
        assert headers["authorization"] == "Bearer k"
        assert given == {"User-Agent": "mine", "x-team": "a"}

    @pytest.mark.parametrize("verify", [True, False, "/etc/ca.pem", ssl.create_default_context()])
    def test_verify_takes_what_it_says(self, verify: Any) -> None:
        assert DarkAI(verify=verify)._endpoint.verify is verify

    def test_verify_takes_a_path(self) -> None:
        assert DarkAI(verify=Path("/etc/ca.pem"))._endpoint.verify == "/etc/ca.pem"

    def test_positional_settings_are_refused(self) -> None:
        with pytest.raises(TypeError):
            DarkAI("http://example.org")  # type: ignore[call-arg]

    def test_the_key_is_not_in_the_repr(self) -> None:
        assert "sk-hidden" not in repr(DarkAI(api_key="sk-hidden"))


class TestProvider:
    def test_class_attributes(self) -> None:
        assert DarkAI.url == DarkAI.api_endpoint == "https://darkai.foundation/chat"
        assert DarkAI.working is False
        assert DarkAI.supports_stream is True
        assert DarkAI.default_model == "llama-3-70b"
        assert DarkAI.models == ["gpt-4o", "gpt-3.5-turbo", "llama-3-70b"]
        assert DarkAI.model_aliases == {"llama-3.1-70b": "llama-3-70b"}

    @pytest.mark.parametrize(
        ("name", "sent"),
        [
            ("gpt-4o", "gpt-4o"),
            ("llama-3.1-70b", "llama-3-70b"),
            ("a-model-of-ours", "a-model-of-ours"),
            ("", "llama-3-70b"),
            (None, "llama-3-70b"),
        ],
    )
    def test_get_model(self, name: str | None, sent: str) -> None:
        assert DarkAI.get_model(name) == DarkAI().get_model(name) == sent

    @pytest.mark.parametrize("on", ["class", "instance"])
    @pytest.mark.parametrize(
        "messages",
        [
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            [SystemMessage("Be brief."), HumanMessage("Hi")],
        ],
        ids=["dicts", "messages"],
    )
    async def test_create_async_generator(self, api: ScriptedTransport, on: str, messages: list[Any]) -> None:
        api.scripts = [["Hel", "lo", StreamEnd()]]
        if on == "class":
            source = DarkAI.create_async_generator("llama-3.1-70b", messages, transport=api, top_p=0.5)
        else:
            source = api.client().create_async_generator("llama-3.1-70b", messages, top_p=0.5)
        assert inspect.isasyncgen(source)
        assert [text async for text in source] == ["Hel", "lo"]
        query = "System: Be brief.\nUser: Hi\nAssistant:"
        assert [body(call) for call in api.calls] == [{"query": query, "model": "llama-3-70b", "top_p": 0.5}]

    async def test_settings_of_a_call_on_the_class(self, api: ScriptedTransport) -> None:
        made: list[DarkAI] = []

        class Recorded(DarkAI):
            def __init__(self, **settings: Any) -> None:
                super().__init__(transport=api, **settings)
                made.append(self)

        source = Recorded.create_async_generator(
            "gpt-4o",
            [{"role": "user", "content": "Hi"}],
            "http://proxy.test:3128",
            base_url="https://model.test",
            api_key="k",
            stream_chunk_timeout=7,
        )
        assert "".join([text async for text in source]) == "Hello"
        (client,) = made
        assert client.endpoint == "https://model.test/chat"
        assert client._endpoint.proxy == "http://proxy.test:3128"
        assert client._endpoint.headers["authorization"] == "Bearer k"
        assert client.stream_chunk_timeout == 7.0
        assert [body(call) for call in api.calls] == [{"query": "Hi", "model": "gpt-4o"}]

    @pytest.mark.parametrize(
        "settings", [{"proxy": "http://proxy.test"}, {"timeout": 5}, {"base_url": "http://x.test"}]
    )
    async def test_an_instance_has_its_settings_already(self, api: ScriptedTransport, settings: dict[str, Any]) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match="give them to its constructor"):
            async for _ in api.client().create_async_generator("m", [{"role": "user", "content": "Hi"}], **settings):
                pass
        assert not api.calls

    async def test_a_generator_that_is_left_ends_the_request(self, api: ScriptedTransport) -> None:
        api.scripts = [["a", "b", StreamEnd()]]
        source = api.client().create_async_generator(None, [{"role": "user", "content": "Hi"}])
        assert await anext(source) == "a"
        await source.aclose()
        assert api.closed == 1

    @pytest.mark.parametrize("name", ["query", "model"])
    def test_parameters_cannot_replace_what_the_client_fills(self, name: str) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match=name):
            DarkAI().call("Hi", "gpt-4o", parameters={name: "x"})

    @pytest.mark.parametrize("parameters", [{"x": object()}, {"temperature": float("nan")}])
    def test_parameters_without_json_form_are_refused_before_anything_is_sent(self, parameters: dict[str, Any]) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match="no JSON form"):
            DarkAI().call("Hi", parameters=parameters)

    @pytest.mark.parametrize(
        ("policy", "message"), [({"timeout": 0}, "timeout=0"), ({"max_retries": -1}, "max_retries=-1")]
    )
    def test_a_policy_that_cannot_work_is_refused_before_anything_is_sent(
        self, policy: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match=message):
            DarkAI().policy(**policy)


def busy(**details: Any) -> DarkAIAPIError:
    """Return an error that may pass, after which a retry need not wait."""
    return DarkAIAPIError("busy", retry_after=0.0, **details)


@pytest.mark.parametrize("read", [text_of, whole_text_of], ids=["stream", "whole"])
class TestRetries:
    async def test_a_call_that_may_pass_is_sent_again(self, api: ScriptedTransport, read: Any) -> None:
        api.scripts = [[busy()], [DarkAIConnectionError("broke", retry_after=0.0)], ["Hello", StreamEnd()]]
        assert await read(api.client(max_retries=2)) == "Hello"
        assert len(api.calls) == 3

    @pytest.mark.parametrize("retries", [0, 1, 3])
    async def test_a_call_is_sent_again_max_retries_times(
        self, api: ScriptedTransport, read: Any, retries: int
    ) -> None:
        api.scripts = [[busy(status=503)]]
        with pytest.raises(DarkAIAPIError, match="busy") as caught:
            await read(api.client(max_retries=retries))
        assert len(api.calls) == retries + 1
        assert (f"({retries + 1} attempts in" in str(caught.value)) == (retries > 0)
        assert caught.value.status == 503

    async def test_a_call_can_have_its_own_max_retries(self, api: ScriptedTransport, read: Any) -> None:
        api.scripts = [[busy()]]
        with pytest.raises(DarkAIAPIError):
            await read(api.client(max_retries=5), max_retries=1)
        assert len(api.calls) == 2

    @pytest.mark.parametrize("error", [DarkAIAuthenticationError("no"), DarkAIInvalidRequestError("no")])
    async def test_an_error_that_cannot_pass_is_not_retried(
        self, api: ScriptedTransport, read: Any, error: DarkAIError
    ) -> None:
        api.scripts = [[error]]
        with pytest.raises(type(error)):
            await read(api.client(max_retries=5))
        assert len(api.calls) == 1

    async def test_a_retry_waits_as_long_as_the_server_says(self, api: ScriptedTransport, read: Any) -> None:
        api.scripts = [[DarkAIRateLimitError("slow down", retry_after=0.1)], ["Hello", StreamEnd()]]
        started = time.monotonic()
        assert await read(api.client()) == "Hello"
        assert time.monotonic() - started >= 0.1

    async def test_a_retry_that_would_miss_the_deadline_is_not_begun(self, api: ScriptedTransport, read: Any) -> None:
        api.scripts = [[DarkAIRateLimitError("slow down", retry_after=30.0)]]
        started = time.monotonic()
        with pytest.raises(DarkAIRateLimitError):
            await read(api.client(timeout=5.0, max_retries=5))
        assert time.monotonic() - started < 5
        assert len(api.calls) == 1

    async def test_a_rate_limit_pauses_the_other_calls_of_the_client(self, api: ScriptedTransport, read: Any) -> None:
        api.scripts = [[DarkAIRateLimitError("slow down", retry_after=0.2)], ["Hello", StreamEnd()]]
        client = api.client(max_retries=1)
        first = asyncio.create_task(read(client))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        assert await read(client) == "Hello"
        assert time.monotonic() - started >= 0.1
        assert await first == "Hello"

    async def test_a_pause_that_outlasts_the_deadline_is_a_rate_limit_error(
        self, api: ScriptedTransport, read: Any
    ) -> None:
        api.scripts = [[DarkAIRateLimitError("slow down", retry_after=30.0)], ["Hello", StreamEnd()]]
        client = api.client(max_retries=1)
        with pytest.raises(DarkAIRateLimitError, match="slow down"):
            await read(client, timeout=5.0)
        with pytest.raises(DarkAIRateLimitError, match="wants no request for another") as caught:
            await read(client, timeout=5.0)
        assert caught.value.retry_after == pytest.approx(30.0, abs=5.0)
        assert len(api.calls) == 1

    async def test_the_rate_limiter_is_acquired_before_each_retry(self, api: ScriptedTransport, read: Any) -> None:
        sent_before: list[int] = []

        async def acquire() -> None:
            sent_before.append(len(api.calls))

        api.scripts = [[busy()], [busy()], ["Hello", StreamEnd()]]
        await read(api.client(), acquire_rate_limit=acquire)
        assert sent_before == [1, 2]

    async def test_attempts_that_failed_are_closed(self, api: ScriptedTransport, read: Any) -> None:
        api.scripts = [[busy()], ["Hello", StreamEnd()]]
        await read(api.client())
        assert api.closed == 2


async def test_a_stream_is_not_retried_once_text_has_come(api: ScriptedTransport) -> None:
    api.scripts = [["Hel", DarkAIStreamTruncatedError("cut", partial_text="Hel")]]
    client = api.client(max_retries=5)
    events = client.stream(client.call("Hi"))
    texts = [await anext(events)]
    with pytest.raises(DarkAIStreamTruncatedError):
        await anext(events)
    assert (texts, len(api.calls)) == (["Hel"], 1)


async def test_a_whole_reply_is_retried_also_after_text(api: ScriptedTransport) -> None:
    api.scripts = [["Hel", DarkAIStreamTruncatedError("cut", retry_after=0.0)], ["Hello", StreamEnd()]]
    assert await whole_text_of(api.client()) == "Hello"


async def test_a_stream_that_is_left_frees_its_place_and_its_connection(api: ScriptedTransport) -> None:
    api.scripts = [["a", "b", StreamEnd()]]
    client = api.client(max_concurrency=1)
    events = client.stream(client.call("Hi"))
    assert await anext(events) == "a"
    assert client.limiter.available == 0
    await events.aclose()
    assert (api.closed, client.limiter.available) == (1, 1)


async def test_calls_of_one_client_share_its_limit(api: ScriptedTransport) -> None:
    client = api.client(max_concurrency=1)
    going = client.stream(client.call("Hi"))
    await anext(going)
    second = asyncio.create_task(text_of(client))
    await asyncio.sleep(0.01)
    assert len(api.calls) == 1
    await going.aclose()
    assert await second == "Hello"


async def test_closing_a_client_closes_its_transport(api: ScriptedTransport) -> None:
    async with api.client() as client:
        await text_of(client)
    assert api.is_closed
