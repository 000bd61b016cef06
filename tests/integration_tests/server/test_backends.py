"""Backends of real providers over loopback: ChatOpenAI and ChatOllama, on servers that speak their protocols."""

import asyncio
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import Self

from langchain_darkai import (
    ChatDarkAI,
    DarkAIAPIError,
    DarkAIConnectionError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAINotFoundError,
    DarkAIRateLimitError,
)
from langchain_darkai.server import LocalServer
from langchain_darkai.server.backends import Plan, parse_backend
from langchain_darkai.server.config import Config, read_config
from tests.support.scripted_engine import CUT, Refusal, ScriptedEngine, engine

PROVIDERS = {"openai": "openai:m@{url}/v1", "ollama": "ollama:m@{url}"}
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(params=PROVIDERS)
def spec(request: pytest.FixtureRequest) -> str:
    return PROVIDERS[request.param]


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def serving(*backends: str) -> LocalServer:
    return LocalServer(Plan(Config(), [parse_backend(text) for text in backends]).make())


def client(server: LocalServer, **settings: Any) -> ChatDarkAI:
    return ChatDarkAI(**{"base_url": server.url, "max_retries": 0, "timeout": 20.0, **settings})


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "langchain_darkai.server"]


class TestAnswers:
    def test_a_reply_streams_through_with_its_usage(self, spec: str) -> None:
        with engine(["Hel", "lo"]) as running, serving(spec.format(url=running.url)) as server:
            chunks = list(client(server, temperature=0.5).stream("Hi"))
        assert "".join(chunk.text for chunk in chunks) == "Hello"
        assert [chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata] == [5]
        [asked] = running.asked
        assert asked["model"] == "m"
        assert asked["messages"] == [{"role": "user", "content": "Hi"}]
        assert 0.5 in (asked.get("temperature"), asked.get("options", {}).get("temperature"))

    def test_no_key_of_the_gateways_clients_goes_to_a_backend(self, spec: str) -> None:
        with engine(["Hello"]) as running:
            model = Plan(Config(), [parse_backend(spec.format(url=running.url))]).make()
            with LocalServer(model, api_key="a secret") as server:
                assert client(server, api_key="a secret").invoke("Hi").text == "Hello"
        headers = {name.lower(): value for name, value in running.asked[0]["headers"].items()}
        assert headers.get("authorization", "Bearer none") == "Bearer none"


class TestFailures:
    def test_a_backend_that_is_down_is_named(self, spec: str, caplog: pytest.LogCaptureFixture) -> None:
        said = f"The backend 'big' ({NOBODY}) cannot be reached: Connection refused. Start it, or correct its URL."
        with (
            serving("big=" + spec.format(url=NOBODY)) as server,
            pytest.raises(DarkAIConnectionError) as caught,
        ):
            client(server, model="big").invoke("Hi")
        assert said in str(caught.value)
        assert caught.value.status == 502
        assert warnings_in(caplog) == [said]

    def test_a_single_backend_is_named_by_its_model(self, spec: str) -> None:
        with serving(spec.format(url=NOBODY)) as server, pytest.raises(DarkAIConnectionError, match="The backend 'm'"):
            client(server).invoke("Hi")

    @pytest.mark.parametrize("texts", [[], ["Hel"]], ids=["before", "during"])
    def test_a_connection_that_breaks_off_is_named(self, texts: list[str], spec: str) -> None:
        with (
            engine([*texts, CUT]) as running,
            serving(spec.format(url=running.url)) as server,
            pytest.raises(DarkAIConnectionError, match=r"The backend 'm' .* broke off the connection") as caught,
        ):
            for _ in client(server).stream("Hi"):
                pass
        assert caught.value.partial_text == "".join(texts)

    def test_a_key_that_is_rejected_is_not_the_clients(self, spec: str, caplog: pytest.LogCaptureFixture) -> None:
        with (
            engine(Refusal(401, "Incorrect API key provided: sk-abc")) as running,
            serving(spec.format(url=running.url)) as server,
            pytest.raises(DarkAIAPIError, match="rejected this server's key for it") as caught,
        ):
            client(server).invoke("Hi")
        assert caught.value.status == 502
        assert "sk-abc" not in f"{caught.value}{warnings_in(caplog)}"

    def test_a_rate_limit_comes_with_its_retry_after(self, spec: str) -> None:
        with (
            engine(Refusal(429, headers={"retry-after": "7"})) as running,
            serving(spec.format(url=running.url)) as server,
            pytest.raises(DarkAIRateLimitError, match=r"The backend 'm' .* takes no more requests for now") as caught,
        ):
            client(server).invoke("Hi")
        assert caught.value.retry_after == (7 if spec.startswith("openai") else None)  # ollama keeps no headers

    @pytest.mark.parametrize(("status", "told"), [(500, 502), (503, 503)])
    def test_a_failure_of_a_backend_is_named(self, status: int, told: int, spec: str) -> None:
        with (
            engine(Refusal(status, "a secret of the engine")) as running,
            serving(spec.format(url=running.url)) as server,
            pytest.raises(DarkAIAPIError, match=f"failed, with status {status}") as caught,
        ):
            client(server).invoke("Hi")
        assert caught.value.status == told
        assert "a secret" not in str(caught.value)

    @pytest.mark.parametrize(("status", "kind"), [(404, DarkAINotFoundError), (400, DarkAIInvalidRequestError)])
    def test_what_is_wrong_with_the_request_is_told_in_the_engines_words(
        self, status: int, kind: type[DarkAIError], spec: str
    ) -> None:
        with (
            engine(Refusal(status, "m does not support tools")) as running,
            serving(spec.format(url=running.url)) as server,
            pytest.raises(kind, match="m does not support tools"),
        ):
            client(server).invoke("Hi")


CONFIG = """
[backends]
chat = ["first", "second"]
first = "{first}"
second = "{second}"
"""

FIRST_FAILS = [Refusal(429), Refusal(500), Refusal(503), [CUT]]


class Pair:
    """Two engines, each with a provider, and a server that asks the second one where the first fails."""

    def __init__(self, folder: Path, spec: str, first: Any, second: Any) -> None:
        self.spec, self.folder = spec, folder
        self.first, self.second = ScriptedEngine([first]), ScriptedEngine([second])
        self.running = ExitStack()

    def __enter__(self) -> Self:
        self.running.enter_context(self.first)
        self.running.enter_context(self.second)
        path = self.folder / "gateway.toml"
        path.write_text(CONFIG.format(first=self.spec, second=self.spec).replace("{url}", "%s") % (
            self.first.url, self.second.url
        ))  # fmt: skip
        self.server = self.running.enter_context(LocalServer(Plan(read_config(path)).make()))
        return self

    def __exit__(self, *_: object) -> None:
        self.running.close()


class TestFallbacks:
    @pytest.mark.parametrize("first", FIRST_FAILS, ids=["429", "500", "503", "broken off"])
    def test_the_second_answers_where_the_first_fails_before_its_text(
        self, first: Any, spec: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Pair(tmp_path, spec, first, ["Hel", "lo"]) as pair:
            chunks = list(client(pair.server, model="chat", temperature=0.5).stream("Hi"))
        assert "".join(chunk.text for chunk in chunks) == "Hello"
        assert len(pair.first.asked) == 1
        [asked] = pair.second.asked
        assert 0.5 in (asked.get("temperature"), asked.get("options", {}).get("temperature"))
        [said] = warnings_in(caplog)
        assert said.startswith("The backend 'first' (http://127.0.0.1:")
        assert said.endswith("The next one is asked: 'second'.")

    @pytest.mark.parametrize(
        ("first", "kind"),
        [
            (["Hel", CUT], DarkAIConnectionError),
            (Refusal(400, "a bad request"), DarkAIInvalidRequestError),
            (Refusal(401), DarkAIAPIError),
        ],
        ids=["after text", "400", "401"],
    )
    def test_other_errors_go_through(
        self, first: Any, kind: type[DarkAIError], spec: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Pair(tmp_path, spec, first, ["never"]) as pair, pytest.raises(kind) as caught:
            for _ in client(pair.server, model="chat").stream("Hi"):
                pass
        assert "'first'" in str(caught.value) or "a bad request" in str(caught.value)
        assert caught.value.partial_text == ("Hel" if isinstance(first, list) else "")
        assert pair.second.asked == []
        assert len(warnings_in(caplog)) == (kind is not DarkAIInvalidRequestError)

    def test_where_all_fail_the_error_and_the_log_name_all(
        self, spec: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with (
            Pair(tmp_path, spec, Refusal(429), Refusal(500)) as pair,
            pytest.raises(DarkAIAPIError, match="No backend of 'chat' answered") as caught,
        ):
            client(pair.server, model="chat").invoke("Hi")
        first, last = warnings_in(caplog)
        assert first.endswith("The next one is asked: 'second'.")
        for said in (str(caught.value), last):
            assert "'first'" in said
            assert "'second'" in said

    async def test_a_client_that_leaves_leaves_no_request(self, spec: str, tmp_path: Path) -> None:
        with Pair(tmp_path, spec, Refusal(503), ["x"] * 1000) as pair:
            async for _ in client(pair.server, model="chat").astream("Hi"):
                break
            await asyncio.sleep(0)
        assert len(pair.second.asked) == 1


def test_errors_that_a_client_causes_are_not_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with engine(Refusal(429)) as running, serving(f"openai:m@{running.url}/v1") as server:
        with pytest.raises(DarkAIRateLimitError):
            client(server).invoke("Hi")
        with pytest.raises(DarkAIInvalidRequestError):
            client(server, model_kwargs={"seed": "x"}).invoke("Hi")
    assert warnings_in(caplog) == []
