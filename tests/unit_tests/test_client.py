"""The client's settings, its retries, and the provider interface, without a network."""

import asyncio
import inspect
import json
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import tenacity
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_darkai import (
    DarkAI,
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIConnectionError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAIRateLimitError,
    DarkAIStreamTruncatedError,
)
from langchain_darkai import client as client_module
from langchain_darkai.protocol import StreamEnd
from tests.unit_tests.conftest import FakeAPI


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no time pass between attempts, and tell how long it would have been."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    _, *others = tenacity.AsyncRetrying.__init__.__defaults__ or ()
    monkeypatch.setattr(tenacity.AsyncRetrying.__init__, "__defaults__", (sleep, *others))
    return slept


def client(**settings: Any) -> DarkAI:
    return DarkAI(**{"base_url": "https://model.test", **settings})


async def text_of(client: DarkAI, **call: Any) -> str:
    return "".join([event async for event in client.stream(client.call("Hi", **call)) if isinstance(event, str)])


async def read(client: DarkAI, **call: Any) -> str:
    async def reader(events: Any) -> str:
        return "".join([event async for event in events if isinstance(event, str)])

    return await client.read(client.call("Hi", **call), reader)


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

    def test_a_refused_url_is_not_repeated(self) -> None:
        with pytest.raises(DarkAIInvalidRequestError) as caught:
            DarkAI(base_url="ftp://user:hunter2@example.org")
        assert "hunter2" not in str(caught.value)

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
        assert (unlimited.timeout, unlimited.stream_chunk_timeout, unlimited.slots.limit) == (None, None, None)

    def test_settings_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DARKAI_BASE_URL", "https://env.test")
        monkeypatch.setenv("DARKAI_API_KEY", "env-key")
        monkeypatch.setenv("DARKAI_PROXY", "http://proxy.test:3128")
        from_env = DarkAI()
        assert (from_env.endpoint, from_env.proxy) == ("https://env.test/chat", "http://proxy.test:3128")
        assert from_env.headers["authorization"] == "Bearer env-key"
        given = DarkAI(base_url="https://given.test", api_key="given-key", proxy="https://other.test")
        assert (given.endpoint, given.proxy) == ("https://given.test/chat", "https://other.test")
        assert given.headers["authorization"] == "Bearer given-key"

    def test_headers(self) -> None:
        assert DarkAI().headers == {
            "accept": "text/event-stream",
            "content-type": "application/json",
            "user-agent": "langchain-darkai",
        }
        given = {"User-Agent": "mine", "x-team": "a"}
        headers = DarkAI(default_headers=given, api_key="k").headers
        assert headers["user-agent"] == "mine"
        assert headers["x-team"] == "a"
        assert headers["authorization"] == "Bearer k"
        assert given == {"User-Agent": "mine", "x-team": "a"}

    @pytest.mark.parametrize("verify", [True, False, "/etc/ca.pem", ssl.create_default_context()])
    def test_verify_takes_what_it_says(self, verify: Any) -> None:
        assert DarkAI(verify=verify).verify is verify

    def test_verify_takes_a_path(self) -> None:
        assert DarkAI(verify=Path("/etc/ca.pem")).verify == "/etc/ca.pem"

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
    async def test_create_async_generator(self, api: FakeAPI, on: str, messages: list[Any]) -> None:
        api.scripts = [["Hel", "lo", StreamEnd()]]
        if on == "class":
            source = DarkAI.create_async_generator("llama-3.1-70b", messages, base_url="https://model.test", top_p=0.5)
        else:
            source = client().create_async_generator("llama-3.1-70b", messages, top_p=0.5)
        assert inspect.isasyncgen(source)
        assert [text async for text in source] == ["Hel", "lo"]
        (post,) = api.posts
        assert post.url == "https://model.test/chat"
        query = "System: Be brief.\nUser: Hi\nAssistant:"
        assert json.loads(post.body) == {"query": query, "model": "llama-3-70b", "top_p": 0.5}

    async def test_settings_of_a_call_on_the_class(self, api: FakeAPI) -> None:
        messages = [{"role": "user", "content": "Hi"}]
        proxy = "http://proxy.test:3128"
        source = DarkAI.create_async_generator(
            "gpt-4o", messages, proxy, base_url="https://model.test", api_key="k", stream_chunk_timeout=7
        )
        assert "".join([text async for text in source]) == "Hello"
        (post,) = api.posts
        assert (post.proxy, post.gap, post.headers["authorization"]) == (proxy, 7.0, "Bearer k")
        assert json.loads(post.body) == {"query": "Hi", "model": "gpt-4o"}

    @pytest.mark.parametrize(
        "settings", [{"proxy": "http://proxy.test"}, {"timeout": 5}, {"base_url": "http://x.test"}]
    )
    async def test_an_instance_has_its_settings_already(self, api: FakeAPI, settings: dict[str, Any]) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match="give them to its constructor"):
            async for _ in client().create_async_generator("m", [{"role": "user", "content": "Hi"}], **settings):
                pass
        assert not api.posts

    async def test_a_generator_that_is_left_ends_the_request(self, api: FakeAPI) -> None:
        api.scripts = [["a", "b", StreamEnd()]]
        source = client().create_async_generator(None, [{"role": "user", "content": "Hi"}])
        assert await anext(source) == "a"
        await source.aclose()
        assert api.closed == 1

    @pytest.mark.parametrize("name", ["query", "model"])
    def test_parameters_cannot_replace_what_the_client_fills(self, name: str) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match=name):
            client().call("Hi", "gpt-4o", parameters={name: "x"})

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ({"timeout": 0}, "timeout=0"),
            ({"max_retries": -1}, "max_retries=-1"),
            ({"parameters": {"x": object()}}, "no JSON form"),
            ({"parameters": {"temperature": float("nan")}}, "no JSON form"),
        ],
    )
    def test_a_call_that_cannot_work_is_refused_before_it_is_sent(self, call: dict[str, Any], message: str) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match=message):
            client().call("Hi", **call)


@pytest.mark.parametrize("asked", [text_of, read], ids=["stream", "read"])
class TestRetries:
    async def test_what_may_pass_is_tried_again(self, api: FakeAPI, waits: list[float], asked: Any) -> None:
        api.scripts = [[DarkAIAPIError("busy")], [DarkAIConnectionError("broke")], ["Hello", StreamEnd()]]
        assert await asked(client(max_retries=2)) == "Hello"
        assert len(api.posts) == 3
        assert len(waits) == 2
        assert all(0 <= wait <= 8 for wait in waits)

    @pytest.mark.parametrize("retries", [0, 1, 3])
    async def test_so_often_and_no_more(self, api: FakeAPI, waits: list[float], asked: Any, retries: int) -> None:
        api.scripts = [[DarkAIAPIError("busy", status=503)]]
        with pytest.raises(DarkAIAPIError, match="busy") as caught:
            await asked(client(max_retries=retries))
        assert len(api.posts) == retries + 1
        assert (f"({retries + 1} attempts in" in str(caught.value)) == (retries > 0)
        assert caught.value.status == 503

    async def test_a_call_has_its_own_number(self, api: FakeAPI, waits: list[float], asked: Any) -> None:
        api.scripts = [[DarkAIAPIError("busy")]]
        with pytest.raises(DarkAIAPIError):
            await asked(client(max_retries=5), max_retries=1)
        assert len(api.posts) == 2

    @pytest.mark.parametrize("error", [DarkAIAuthenticationError("no"), DarkAIInvalidRequestError("no")])
    async def test_what_cannot_pass_is_not(
        self, api: FakeAPI, waits: list[float], asked: Any, error: DarkAIError
    ) -> None:
        api.scripts = [[error]]
        with pytest.raises(type(error)):
            await asked(client(max_retries=5))
        assert len(api.posts) == 1

    async def test_the_server_says_how_long_to_wait(
        self, api: FakeAPI, waits: list[float], asked: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_module, "MAX_RETRY_AFTER", 0.2)
        api.scripts = [
            [DarkAIRateLimitError("slow down", retry_after=0.1)],
            [DarkAIRateLimitError("slow down", retry_after=86_400.0)],
            ["Hello", StreamEnd()],
        ]
        assert await asked(client()) == "Hello"
        assert waits == [0.1, 0.2]

    async def test_no_wait_beyond_the_deadline(self, api: FakeAPI, asked: Any) -> None:
        api.scripts = [[DarkAIRateLimitError("slow down", retry_after=30.0)]]
        started = time.monotonic()
        with pytest.raises(DarkAIRateLimitError):
            await asked(client(timeout=5.0, max_retries=5))
        assert time.monotonic() - started < 5
        assert len(api.posts) == 1

    async def test_before_each_further_request(self, api: FakeAPI, waits: list[float], asked: Any) -> None:
        asked_before: list[int] = []

        async def before_retry() -> None:
            asked_before.append(len(api.posts))

        api.scripts = [[DarkAIAPIError("busy")], [DarkAIAPIError("busy")], ["Hello", StreamEnd()]]
        await asked(client(), before_retry=before_retry)
        assert asked_before == [1, 2]

    async def test_attempts_that_failed_are_closed(self, api: FakeAPI, waits: list[float], asked: Any) -> None:
        api.scripts = [[DarkAIAPIError("busy")], ["Hello", StreamEnd()]]
        await asked(client())
        assert api.closed == 2


async def test_a_stream_is_not_tried_again_once_text_came(api: FakeAPI) -> None:
    api.scripts = [["Hel", DarkAIStreamTruncatedError("cut", partial_text="Hel")]]
    texts = []
    ours = client(max_retries=5)
    events = ours.stream(ours.call("Hi"))
    texts.append(await anext(events))
    with pytest.raises(DarkAIStreamTruncatedError):
        await anext(events)
    assert (texts, len(api.posts)) == (["Hel"], 1)


async def test_a_whole_reply_is_tried_again_also_after_text(api: FakeAPI, waits: list[float]) -> None:
    api.scripts = [["Hel", DarkAIStreamTruncatedError("cut")], ["Hello", StreamEnd()]]
    assert await read(client()) == "Hello"


async def test_a_reader_may_leave_early(api: FakeAPI) -> None:
    api.scripts = [["a", "b", StreamEnd()]]

    async def first(events: Any) -> str:
        async for event in events:
            return str(event)
        return ""

    ours = client(max_concurrency=1)
    assert await ours.read(ours.call("Hi"), first) == "a"
    assert (api.closed, ours.slots.free) == (1, 1)


async def test_calls_of_one_client_share_its_limit(api: FakeAPI) -> None:
    ours = client(max_concurrency=1)
    going = ours.stream(ours.call("Hi"))
    await anext(going)
    second = asyncio.create_task(text_of(ours))
    await asyncio.sleep(0.01)
    assert len(api.posts) == 1
    await going.aclose()
    assert await second == "Hello"
