"""Keys, header values, and what stands in URLs before the @ and after the ?, are sent, and shown nowhere."""

import asyncio
import copy
import json
import logging
import pickle
import socket
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.load import dumpd, dumps
from langchain_core.tracers import BaseTracer

from langchain_darkai import ChatDarkAI, DarkAI, DarkAIConnectionError, DarkAIError, DarkAIInvalidRequestError
from langchain_darkai._http.aiohttp_transport import BODY_END_TIMEOUT, AiohttpTransport
from langchain_darkai._http.endpoint import Endpoint, warned_hosts
from langchain_darkai.testing import ReceivedCall, ScriptedServer, reply
from langchain_darkai.testing.wire import CLOSE, RESET, STREAM, Step, answer, chunk, event, head, text
from tests.support.asker import Asker, ModelOf, Serve

KEY, HEADER, QUERY, LOGIN, PROXY = ("canary-key", "canary-header", "canary-query", "canary-login", "canary-proxy")
CANARY = "canary"
ENCODED = ("Y2FuYXJ5", "YW5hcnk")  # a canary in base64, as a basic authorization has it, alone and after "user:"


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
    for secret in (CANARY, *ENCODED):
        assert secret.lower() not in text.lower()


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
    def test_all_secrets_are_sent(self, secretive: Secretive, by: str) -> None:
        model, proxy = secretive(reply("Hello"), by=by)
        assert model.invoke("Hi").text == "Hello"
        (request,) = proxy.calls
        assert request.headers["authorization"] == (
            f"Bearer {KEY}" if by == "key" else "Basic dXNlcjpjYW5hcnktbG9naW4="
        )
        assert request.headers["x-token"] == HEADER
        assert request.headers["proxy-authorization"] == "Basic dXNlcjpjYW5hcnktcHJveHk="
        assert request.target == f"http://localhost:9/chat?token={QUERY}"

    def test_no_form_of_a_model_shows_secrets(self, secretive: Secretive, by: str) -> None:
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

    async def test_callbacks_and_tracers_are_told_no_secrets(self, secretive: Secretive, by: str) -> None:
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


def echoed(request: ReceivedCall) -> str:
    return f"{request.headers} {request.target}"


def bare(request: ReceivedCall) -> str:
    """Return the secrets of a request as they were given, as a server might repeat them."""
    own = KEY if "Bearer" in request.headers["authorization"] else LOGIN
    return f"{own} {HEADER} {QUERY} {PROXY}"


FAULTS: dict[str, Callable[[ReceivedCall], list[Step]]] = {
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
    "a reset during the reply": lambda r: [STREAM + chunk(text("Hel")), 0.02, RESET],
    "silence": lambda r: [0.5],
}


@pytest.mark.parametrize("entry", ["ainvoke", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("by", ["key", "login"])
async def test_an_error_shows_no_secrets(secretive: Secretive, entry: str, fault: str, by: str) -> None:
    model, _ = secretive(FAULTS[fault], by=by, stream_chunk_timeout=0.2)
    with pytest.raises(DarkAIError) as caught:
        await Asker(entry)(model)
    assert_secret(shown(caught.value))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("by", ["key", "login"])
async def test_the_local_variables_of_a_traceback_show_no_secrets(secretive: Secretive, fault: str, by: str) -> None:
    """Tools that report errors show the locals of each frame, also of those where an exception's cause was raised."""
    model, _ = secretive(FAULTS[fault], by=by, stream_chunk_timeout=0.2)
    with pytest.raises(DarkAIError) as caught:
        await model.ainvoke("Hi")
    assert_secret("".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()))


class TestEchoes:
    """A server repeats a secret in a way that does not look like it at once."""

    @pytest.mark.parametrize("before", [*range(52, 82), *range(480, 502)])
    async def test_a_secret_at_the_cut_of_a_quote_is_redacted(
        self, serve: Serve, model_of: ModelOf, before: int
    ) -> None:
        key = "sk-0123456789abcdef0123456789abcdef"
        words = "x" * before + key + "x" * 500
        for script in (
            answer(401, json.dumps({"detail": words})),
            answer(500, words, "text/plain"),
            [STREAM + chunk(event("error", message=words))],
            [STREAM + chunk(f"data: {words}\n\n".encode())],
            [STREAM + chunk(f"data: {{{words}}}\n\n".encode())],
        ):
            with pytest.raises(DarkAIError, match="xxx") as caught:
                await model_of(serve(script), api_key=key).ainvoke("Hi")
            assert "sk-" not in shown(caught.value)

    async def test_an_escaped_secret_is_redacted(self, serve: Serve, model_of: ModelOf) -> None:
        key = "pa\\ss'wo\"rd/12345"
        for words in (key, repr(key), json.dumps(key), quote(key), quote(key, safe=""), key.replace("/", "\\/")):
            for script in (
                answer(401, json.dumps({"detail": words})),
                answer(500, words, "text/plain"),
                [STREAM + chunk(event("error", message=words))],
                [STREAM + chunk(f"data: {words}\n\n".encode())],
                [STREAM + chunk(f"data: {{{words}}}\n\n".encode()), CLOSE],
            ):
                with pytest.raises(DarkAIError) as caught:
                    await model_of(serve(script), api_key=key).ainvoke("Hi")
                assert "12345" not in shown(caught.value)

    @pytest.mark.parametrize(
        "query", ["token=ab%2Fcd%2Befgh-hidden", "sk-bare-hidden", "a=1&sk+bare+hidden", "a=b+hidden"]
    )
    async def test_a_secret_of_the_query_is_redacted(self, serve: Serve, model_of: ModelOf, query: str) -> None:
        server = serve(lambda r: answer(400, json.dumps({"detail": f"{r.target} {query} {unquote(query)}"})))
        with pytest.raises(DarkAIError, match=r"'/chat\?.*\*\*\*") as caught:
            await model_of(server, base_url=f"{server.url}/?{query}").ainvoke("Hi")
        assert "hidden" not in shown(caught.value)

    async def test_a_user_without_a_password_is_redacted(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(lambda request: answer(401, f"who is {KEY}? {request.headers}"))
        with pytest.raises(DarkAIError, match=r"who is \*\*\*") as caught:
            await model_of(server, base_url=f"http://{KEY}@{server.host}").ainvoke("Hi")
        assert server.calls[0].headers["authorization"] == "Basic Y2FuYXJ5LWtleTo="
        assert_secret(shown(caught.value))

    async def test_a_key_inside_a_header_is_redacted(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(answer(401, f"unknown key {KEY}", x_request_id=f"1-{KEY}"))
        with pytest.raises(DarkAIError, match=r"unknown key \*\*\*") as caught:
            await model_of(server, default_headers={"Authorization": f"Token {KEY}"}).ainvoke("Hi")
        assert caught.value.request_id == "1-***"
        assert_secret(shown(caught.value))

    async def test_the_password_of_an_environment_proxy_is_redacted(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = serve(lambda request: answer(403, f"no {request.headers} {PROXY}"))
        monkeypatch.setenv("http_proxy", f"http://user:{PROXY}@{proxy.host}")
        with pytest.raises(DarkAIError, match="reported an error") as caught:
            await ChatDarkAI(base_url="http://model.test", max_retries=0).ainvoke("Hi")
        assert "proxy-authorization" in str(caught.value)
        assert_secret(shown(caught.value))

    async def test_our_own_words_are_not_redacted(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(answer(401, "bad api_key"))
        with pytest.raises(DarkAIError, match=r"'bad \*\*\*' .* Set api_key, or DARKAI_API_KEY, to a key that this"):
            await model_of(server, api_key="api_key").ainvoke("Hi")


async def test_a_request_that_cannot_be_written_shows_no_secrets() -> None:
    """aiohttp puts the URL into an error without a number."""

    class Session:
        connector = None

        async def post(self, url: object, **_: Any) -> None:
            raise aiohttp.ClientOSError(None, f"Can not write request body for {url}")

    session: Any = Session()
    ours = DarkAI(base_url="http://localhost/?token=short1", session=session, max_retries=0)
    with pytest.raises(DarkAIError, match="broke before the reply: ClientOSError") as caught:
        await anext(ours.stream(ours.call("Hi")))
    assert isinstance(caught.value.__cause__, aiohttp.ClientOSError)
    assert "short1" not in shown(caught.value)


@pytest.mark.parametrize("query", ["token=short1", "sk-bare-short1", "token=a%2Fshort1"])
async def test_a_connection_that_takes_too_long_shows_no_secrets(query: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/?{query}"
        transport = AiohttpTransport(Endpoint.from_settings(base_url=url), idle_timeout=None, connect_timeout=0.1)
        model = ChatDarkAI(base_url=url, transport=transport, max_retries=0)
        with pytest.raises(DarkAIError, match="no connection was made") as caught:
            await model.ainvoke("Hi")
    assert isinstance(caught.value.__cause__, aiohttp.ConnectionTimeoutError)
    assert "short1" not in shown(caught.value)


@pytest.mark.parametrize("entry", ["ainvoke", "stream"])
async def test_an_error_of_a_proxy_shows_no_secrets(
    secretive: Secretive, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer([]) as gone:
        pass
    user = f"user:{PROXY}@"
    for proxy in (f"http://{user}{gone.host}", f"http://{user}no-such-host.invalid", f"https://{user}{gone.host}"):
        for base_url in ("http://localhost:9", "https://localhost:9"):
            with pytest.raises(DarkAIError, match="The proxy on the way to localhost:9 cannot be used") as caught:
                await Asker(entry)(ChatDarkAI(base_url=base_url, proxy=proxy, api_key=KEY, max_retries=0))
            assert_secret(shown(caught.value))
    for variable in (f"socks5://{user}{gone.host}", f"{user}{gone.host}", f"http://{user}bad host", f"http://{user}:x"):
        monkeypatch.setenv("https_proxy", variable)
        with pytest.raises(DarkAIError, match="proxy") as caught:
            await Asker(entry)(ChatDarkAI(base_url="https://model.test", api_key=KEY, max_retries=0))
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
def test_refused_settings_show_no_secrets(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        ChatDarkAI(**settings)
    assert_secret(shown(caught.value))


def test_the_log_shows_no_secrets(secretive: Secretive, caplog: pytest.LogCaptureFixture) -> None:
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
        await asyncio.sleep(BODY_END_TIMEOUT)

    asyncio.run(main(), debug=True)
    assert len(caplog.messages) > 100
    assert_secret("\n".join(caplog.messages))


class TestWhereTheyGo:
    async def test_a_redirect_takes_no_secrets_elsewhere(self, serve: Serve, ask: Asker) -> None:
        elsewhere = serve(reply("stolen"))
        for location in (elsewhere.url, f"//{elsewhere.host}/chat", f"http://user:pw@{elsewhere.host}/chat"):
            server = serve(answer(307, location=location))
            model = ChatDarkAI(base_url=server.url, api_key=KEY, default_headers={"X-Token": HEADER}, max_retries=3)
            with pytest.raises(DarkAIError, match="not followed"):
                await ask(model)
        assert not elsewhere.calls
        assert not elsewhere.connections

    async def test_the_proxy_of_a_tls_connection_gets_no_key(self, serve: Serve, ask: Asker) -> None:
        proxy = serve(answer(502, "no way"))
        model = ChatDarkAI(base_url="https://model.test", api_key=KEY, proxy=proxy.url, max_retries=0)
        with pytest.raises(DarkAIError, match=r"The proxy on the way to model\.test"):
            await ask(model)
        (request,) = proxy.calls
        assert (request.method, request.target) == ("CONNECT", "model.test:443")
        assert_secret(repr(request.headers))

    async def test_passwords_of_a_netrc_file_are_not_sent(
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
        assert_secret(repr([request.headers for request in server.calls]))
        assert not any("authorization" in name for request in server.calls for name in request.headers)


class TestEnvironmentProxies:
    async def test_an_environment_proxy_may_have_a_password_and_no_scheme(
        self, serve: Serve, ask: Asker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = serve(reply("through the proxy"))
        for value in (f"http://user:{PROXY}@{proxy.host}", f"user:{PROXY}@{proxy.host}"):
            monkeypatch.setenv("HTTP_PROXY", value)
            assert (await ask(ChatDarkAI(base_url="http://model.test"))).content == "through the proxy"
            assert proxy.calls[-1].headers["proxy-authorization"] == "Basic dXNlcjpjYW5hcnktcHJveHk="

    async def test_each_form_of_no_proxy_is_understood(
        self, serve: Serve, ask: Asker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = serve(reply("through the proxy"))
        model = ChatDarkAI(base_url="http://model.test:8000", max_retries=0)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        for value in ("model.test", "model.test:8000", "other.test, model.test", ".test", "*"):
            monkeypatch.setenv("NO_PROXY", value)
            with pytest.raises(DarkAIConnectionError, match=r"model\.test:8000 cannot be reached"):
                await ask(model)
        for value in ("other.test", "model.test:1"):
            monkeypatch.setenv("NO_PROXY", value)
            assert (await ask(model)).content == "through the proxy", value

    async def test_an_environment_proxy_of_another_kind_is_refused(
        self, serve: Serve, ask: Asker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = ChatDarkAI(base_url="http://model.test", max_retries=0)
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
        with pytest.raises(DarkAIInvalidRequestError, match=r"HTTP_PROXY to an http\(s\) proxy, or model\.test in NO"):
            await ask(model)
        assert (await ask(ChatDarkAI(base_url=serve(reply("direct")).url))).content == "direct"
        monkeypatch.setenv("NO_PROXY", "model.test")
        with pytest.raises(DarkAIConnectionError, match=r"model\.test cannot be reached"):
            await ask(model)


class TestPlainHttp:
    @pytest.fixture(autouse=True)
    def _nobody_was_warned(self) -> None:
        warned_hosts.clear()

    @pytest.mark.parametrize(
        "settings",
        [
            {"base_url": "http://model.test", "api_key": KEY},
            {"base_url": f"http://user:{LOGIN}@model.test"},
            {"base_url": "http://10.0.0.7:8000", "default_headers": {"Authorization": KEY}},
            {"base_url": "http://model.test", "default_headers": {"X-Api-Key": KEY}},
            {"base_url": "http://model.test", "default_headers": {"Cookie": f"session={KEY}"}},
            {"base_url": f"http://model.test/?access_token={KEY}"},
        ],
    )
    def test_a_key_over_plain_http_warns_once_a_host(self, settings: dict[str, Any]) -> None:
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
            {"base_url": "http://model.test/?team=a", "default_headers": {"X-Team": "a"}},
            {"base_url": "http://127.0.0.1:8000", "api_key": KEY},
            {"base_url": "http://localhost", "api_key": KEY},
            {"base_url": "http://[::1]:8000", "api_key": KEY},
            {"api_key": KEY},
        ],
    )
    def test_no_warning_of_plain_http_where_nobody_listens(self, settings: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            DarkAI(**settings)
