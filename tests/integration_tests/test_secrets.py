"""Keys, header values, and what stands in URLs before the @ and after the ?, are sent, and shown nowhere."""

import asyncio
import copy
import json
import logging
import pickle
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.load import dumpd, dumps
from langchain_core.tracers import BaseTracer

from langchain_darkai import ChatDarkAI, DarkAI, DarkAIError, DarkAIInvalidRequestError, _http, client
from tests.conftest import Asker, Serve
from tests.scripted_server import (
    CLOSE,
    RESET,
    STREAM,
    Request,
    ScriptedServer,
    Step,
    answer,
    chunk,
    event,
    head,
    reply,
    text,
)

KEY, HEADER, QUERY, LOGIN, PROXY = ("canary-key", "canary-header", "canary-query", "canary-login", "canary-proxy")
CANARY = "canary"
ENCODED = "Y2FuYXJ5"  # how base64 of a canary begins, in a basic authorization


@pytest.fixture
def secretive(serve: Serve) -> Callable[..., tuple[ChatDarkAI, ScriptedServer]]:
    """Make a model with a secret wherever it takes one; its proxy is the scripted server."""

    def make(*scripts: Any, by: str = "key", **settings: Any) -> tuple[ChatDarkAI, ScriptedServer]:
        proxy = serve(*scripts)
        login = f"user:{LOGIN}@" if by == "login" else ""
        model = ChatDarkAI(
            base_url=f"http://{login}localhost:9/?token={QUERY}",
            api_key=KEY if by == "key" else None,
            default_headers={"X-Token": HEADER},
            proxy=f"http://user:{PROXY}@{proxy.host}",
            max_retries=0,
            timeout=5.0,
            **settings,
        )
        return model, proxy

    return make


Secretive = Callable[..., tuple[ChatDarkAI, ScriptedServer]]


def shown(error: BaseException) -> str:
    """Return all that an exception, and those behind it, can be made to say."""
    said, seen, todo = [], set(), [error]
    while todo:
        one = todo.pop()
        if id(one) not in seen:
            seen.add(id(one))
            said += [str(one), repr(one), repr(one.args), repr(vars(one)), *traceback.format_exception(one)]
            todo += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "\n".join(said)


def assert_secret(text: str) -> None:
    assert CANARY not in text.lower()
    assert ENCODED not in text


class Records(AsyncCallbackHandler):
    """Keeps what callbacks are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        async def record(*args: Any, **kwargs: Any) -> None:
            self.told.append(f"{name} {args!r} {kwargs!r}")

        return record


class Traces(BaseTracer):
    def __init__(self) -> None:
        super().__init__()
        self.runs: list[str] = []

    def _persist_run(self, run: Any) -> None:
        self.runs.append(run.model_dump_json() if hasattr(run, "model_dump_json") else repr(run))


@pytest.mark.parametrize("by", ["key", "login"])
class TestModel:
    def test_all_are_sent(self, secretive: Secretive, by: str) -> None:
        model, proxy = secretive(reply("Hello"), by=by)
        assert model.invoke("Hi").text == "Hello"
        (request,) = proxy.requests
        assert request.headers["authorization"] == (
            f"Bearer {KEY}" if by == "key" else "Basic dXNlcjpjYW5hcnktbG9naW4="
        )
        assert request.headers["x-token"] == HEADER
        assert request.headers["proxy-authorization"] == "Basic dXNlcjpjYW5hcnktcHJveHk="
        assert request.target == f"http://localhost:9/chat?token={QUERY}"

    def test_what_a_model_says_of_itself(self, secretive: Secretive, by: str) -> None:
        made, _ = secretive(reply("Hello"), by=by)
        made.invoke("Hi")
        for model in (made, copy.deepcopy(made), pickle.loads(pickle.dumps(made)), made.model_copy()):
            for said in (
                repr(model),
                str(model),
                f"{model!r:}",
                repr(model.bind(stop=["x"]) | (lambda message: message)),
                dumps(model),
                dumps(model, pretty=True),
                repr(dumpd(model)),
                repr(model.model_dump()),
                model.model_dump_json(),
                repr(model.asdict()),
                repr(model._identifying_params),
                repr(model._get_ls_params()),
                model._get_llm_string(),
                repr(model.metadata),
                repr(model.to_json()),
                repr(model.get_graph().to_json()),
            ):
                assert_secret(said)

    async def test_what_callbacks_and_tracers_are_told(self, secretive: Secretive, by: str) -> None:
        model, _ = secretive(reply("Hello"), answer(500, "no"), by=by)
        records, traces = Records(), Traces()
        config: Any = {"callbacks": [records, traces]}
        await model.ainvoke("Hi", config)
        for call in (model.ainvoke("Hi", config), Asker("astream").chunks(model, "Hi", config=config)):
            with pytest.raises(DarkAIError):
                await call
        events: list[str] = []

        async def listen() -> None:
            async for one in model.astream_events("Hi", version="v2"):
                events.append(repr(one))  # noqa: PERF401 - what came before the error counts

        with pytest.raises(DarkAIError):
            await listen()
        assert len(records.told) > 5
        assert len(traces.runs) == 3
        assert events
        for told in (*records.told, *traces.runs, *events):
            assert_secret(told)


def echoed(request: Request) -> str:
    return f"{request.headers} {request.target}"


def bare(request: Request) -> str:
    """Return the secrets of a request as they were given, as a server might repeat them."""
    own = KEY if "Bearer" in request.headers["authorization"] else LOGIN
    return f"{own} {HEADER} {QUERY} {PROXY}"


FAULTS: dict[str, Callable[[Request], list[Step]]] = {
    "an error that repeats the request": lambda r: answer(400, json.dumps({"error": {"message": echoed(r)}})),
    "an error in words that do": lambda r: answer(500, echoed(r), "text/plain"),
    "an unauthorized key": lambda r: answer(401, json.dumps({"detail": bare(r)})),
    "a proxy that wants another password": lambda r: answer(407, echoed(r)),
    "a redirect": lambda r: answer(302, location=f"http://localhost:9/?token={QUERY}"),
    "an error event": lambda r: [STREAM + chunk(event("error", message=echoed(r)))],
    "an event that is not JSON": lambda r: [STREAM + chunk(f"data: {{{bare(r)}\n\ndata: x\n".encode())],
    "an event that is not UTF-8": lambda r: [STREAM + chunk(f"data: {{{bare(r)}".encode() + b"\xff\n\n")],
    "an event that is no object": lambda r: [STREAM + chunk(f"data: {bare(r)}\n\n".encode())],
    "a line that is no field": lambda r: [head(connection="close") + f"{bare(r)}\n".encode(), CLOSE],
    "no HTTP": lambda r: [f"SSH {bare(r)}\r\n".encode(), CLOSE],
    "a break in the headers": lambda r: [f"HTTP/1.1 200 OK\r\nset-cookie: {bare(r)}\r\n".encode(), CLOSE],
    "a reset": lambda r: [RESET],
    "a reset amid": lambda r: [STREAM + chunk(text("Hel")), 0.02, RESET],
    "silence": lambda r: [0.5],
}


@pytest.mark.parametrize("entry", ["ainvoke", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("by", ["key", "login"])
async def test_what_an_error_says(secretive: Secretive, entry: str, fault: str, by: str) -> None:
    model, _ = secretive(FAULTS[fault], by=by, stream_chunk_timeout=0.2)
    with pytest.raises(DarkAIError) as caught:
        await Asker(entry)(model)
    assert_secret(shown(caught.value))


@pytest.mark.parametrize("entry", ["ainvoke", "stream"])
async def test_what_an_error_of_the_way_says(secretive: Secretive, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([]) as gone:
        pass
    user = f"user:{PROXY}@"
    for proxy in (f"http://{user}{gone.host}", f"http://{user}no-such-host.invalid", f"https://{user}{gone.host}"):
        for base_url in ("http://localhost:9", "https://localhost:9"):
            with pytest.raises(DarkAIError, match="The proxy on the way to localhost:9 cannot be used") as caught:
                await Asker(entry)(ChatDarkAI(base_url=base_url, proxy=proxy, api_key=KEY, max_retries=0))
            assert_secret(shown(caught.value))
    for variable in (f"socks5://{user}{gone.host}", f"{user}{gone.host}", f"http://{user}bad host", f"http://{user}:x"):
        monkeypatch.setenv("http_proxy", variable)
        with pytest.raises(DarkAIError, match="proxy") as caught:
            await Asker(entry)(ChatDarkAI(base_url="http://localhost:9", api_key=KEY, max_retries=0))
        assert_secret(shown(caught.value))


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": f"{KEY}\n"},
        {"api_key": KEY, "base_url": f"http://user:{LOGIN}@localhost"},
        {"base_url": f"ftp://user:{LOGIN}@localhost"},
        {"base_url": f"http://user:{LOGIN}@localhost:99999/?a={QUERY}"},
        {"proxy": f"socks5://user:{PROXY}@localhost"},
        {"default_headers": {"X-Token": f"{HEADER}\r\nx: y"}},
        {"default_headers": HEADER},
        {"api_key": KEY, "default_headers": {"X-Token": HEADER}, "timeout": -1},
        {"api_key": KEY, "proxy": f"http://user:{PROXY}@localhost", "max_retry": 1},
    ],
)
def test_what_a_refusal_says(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        ChatDarkAI(**settings)
    assert_secret(shown(caught.value))


def test_what_is_logged(secretive: Secretive, caplog: pytest.LogCaptureFixture) -> None:
    """At the most talkative: the loop in debug mode, and every callback slow enough to be named with its arguments."""
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.0
        for script in (
            reply("Hello"),
            [STREAM + chunk(text("Hel") + event("stream-end")), 0.05, chunk(b"")],
            [RESET],
            *FAULTS.values(),
        ):
            for by in ("key", "login"):
                model, _ = secretive(script, by=by, stream_chunk_timeout=0.1)
                await asyncio.gather(model.ainvoke("Hi"), return_exceptions=True)
                await asyncio.to_thread(model.batch, ["Hi"], return_exceptions=True)
        await asyncio.sleep(_http.LINGER)

    asyncio.run(main(), debug=True)
    assert len(caplog.messages) > 100
    assert_secret("\n".join(caplog.messages))


class TestWhereTheyGo:
    async def test_nowhere_by_a_redirect(self, serve: Serve, ask: Asker) -> None:
        elsewhere = serve(reply("stolen"))
        for location in (elsewhere.url, f"//{elsewhere.host}/chat", f"http://user:pw@{elsewhere.host}/chat"):
            server = serve(answer(307, location=location))
            model = ChatDarkAI(base_url=server.url, api_key=KEY, default_headers={"X-Token": HEADER}, max_retries=3)
            with pytest.raises(DarkAIError, match="not followed"):
                await ask(model)
        assert not elsewhere.requests
        assert not elsewhere.connections

    async def test_not_to_a_proxy_of_a_tls_connection(self, serve: Serve, ask: Asker) -> None:
        proxy = serve(answer(502, "no way"))
        model = ChatDarkAI(base_url="https://model.test", api_key=KEY, proxy=proxy.url, max_retries=0)
        with pytest.raises(DarkAIError, match=r"The proxy on the way to model\.test"):
            await ask(model)
        (request,) = proxy.requests
        assert (request.method, request.target) == ("CONNECT", "model.test:443")
        assert_secret(repr(request.headers))

    async def test_passwords_of_a_netrc_file_stay_there(
        self, serve: Serve, ask: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / ".netrc"
        netrc.write_text(f"machine 127.0.0.1 login user password {LOGIN}\ndefault login user password {LOGIN}\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("HOME", str(tmp_path))
        server = serve(reply("Hello"))
        await ask(ChatDarkAI(base_url=server.url))
        monkeypatch.setenv("http_proxy", server.url)
        await ask(ChatDarkAI(base_url="http://model.test"))
        assert_secret(repr([request.headers for request in server.requests]))
        assert not any("authorization" in name for request in server.requests for name in request.headers)


class TestEnvironmentProxies:
    async def test_with_a_password_and_without_a_scheme(
        self, serve: Serve, ask: Asker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = serve(reply("through the proxy"))
        for value in (f"http://user:{PROXY}@{proxy.host}", f"user:{PROXY}@{proxy.host}"):
            monkeypatch.setenv("HTTP_PROXY", value)
            assert (await ask(ChatDarkAI(base_url="http://model.test"))).content == "through the proxy"
            assert proxy.requests[-1].headers["proxy-authorization"] == "Basic dXNlcjpjYW5hcnktcHJveHk="

    async def test_no_proxy(self, serve: Serve, ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
        proxy, server = serve(reply("through the proxy")), serve(reply("direct"))
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        port = server.host.partition(":")[2]
        for value, expected in (
            ("127.0.0.1", "direct"),
            (f"127.0.0.1:{port}", "direct"),
            ("other.test, 127.0.0.1", "direct"),
            ("*", "direct"),
            ("other.test", "through the proxy"),
            ("127.0.0.1:1", "through the proxy"),
        ):
            monkeypatch.setenv("NO_PROXY", value)
            assert (await ask(ChatDarkAI(base_url=server.url))).content == expected, value

    async def test_a_kind_that_does_not_work(self, serve: Serve, ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
        server = serve(reply("direct"))
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
        with pytest.raises(DarkAIInvalidRequestError, match=r"HTTP_PROXY to an http\(s\) proxy, or 127\.0\.0\.1 in NO"):
            await ask(ChatDarkAI(base_url=server.url))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert (await ask(ChatDarkAI(base_url=server.url))).content == "direct"


class TestPlainHttp:
    @pytest.fixture(autouse=True)
    def _nobody_was_warned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, "_warned_hosts", set())

    @pytest.mark.parametrize(
        "settings",
        [
            {"base_url": "http://model.test", "api_key": KEY},
            {"base_url": f"http://user:{LOGIN}@model.test"},
            {"base_url": "http://10.0.0.7:8000", "default_headers": {"Authorization": KEY}},
        ],
    )
    def test_it_warns_once_a_host(self, settings: dict[str, Any]) -> None:
        with pytest.warns(UserWarning, match="plain http; use https") as caught:
            model = ChatDarkAI(**settings)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ChatDarkAI(**settings)
            model.temperature = 0.5
            model.model_copy().get_num_tokens("Hi")
        assert len(caught) == 1
        assert_secret(str(caught[0].message))

    @pytest.mark.parametrize(
        "settings",
        [
            {"base_url": "https://model.test", "api_key": KEY},
            {"base_url": "http://model.test"},
            {"base_url": "http://127.0.0.1:8000", "api_key": KEY},
            {"base_url": "http://localhost", "api_key": KEY},
            {"base_url": "http://[::1]:8000", "api_key": KEY},
            {"api_key": KEY},
        ],
    )
    def test_it_does_not_where_nobody_listens(self, settings: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            DarkAI(**settings)
