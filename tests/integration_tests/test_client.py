"""The client over real sockets: what goes over the wire, and what each fault of a server becomes."""

import asyncio
import errno
import gc
import logging
import os
import re
import socket
import ssl
import threading
import time
import warnings
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest
from langchain_core import exceptions as core

from langchain_darkai import (
    DarkAI,
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIConnectionError,
    DarkAIContextOverflowError,
    DarkAIEmptyResponseError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAINotFoundError,
    DarkAIPermissionDeniedError,
    DarkAIRateLimitError,
    DarkAIStreamDecodeError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
)
from langchain_darkai._http.aiohttp_transport import AiohttpTransport
from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai.testing import ScriptedServer, reply
from langchain_darkai.testing.wire import CLOSE, END, HOLD, RESET, STREAM, Step, answer, chunk, event, head, text
from tests.support.asker import Asker, ModelOf, Serve

MESSAGES = [{"role": "user", "content": "Hi"}]


def client(server: ScriptedServer, **settings: Any) -> DarkAI:
    return DarkAI(**{"base_url": server.url, "max_retries": 0, "timeout": 10.0, **settings})


async def texts(client: DarkAI, **call: Any) -> list[str]:
    return [event async for event in client.stream(client.call("Hi", **call)) if isinstance(event, str)]


class TestRequest:
    async def test_the_request_to_the_letter(self, serve: Serve, ask: Asker, model_of: ModelOf) -> None:
        server = serve(reply("Hello"))
        await ask(model_of(server, api_key="k", default_headers={"X-Team": "a"}), "Grüße, 世界 🎉")
        (request,) = server.calls
        assert (request.method, request.target) == ("POST", "/chat")
        assert request.headers == {
            "host": server.host,
            "accept": "text/event-stream",
            "content-type": "application/json",
            "user-agent": "langchain-darkai",
            "authorization": "Bearer k",
            "x-team": "a",
            "accept-encoding": "identity",
            "content-length": str(len(request.content)),
        }
        assert request.body == {"query": "Grüße, 世界 🎉", "model": "llama-3-70b"}

    @pytest.mark.parametrize(
        ("path", "target"),
        [
            ("", "/chat"),
            ("/", "/chat"),
            ("/chat", "/chat"),
            ("/chat/", "/chat"),
            ("/v1/", "/v1/chat"),
            ("/?team=a%20b", "/chat?team=a%20b"),
        ],
    )
    async def test_each_form_of_base_url_is_sent_to_the_same_path(self, serve: Serve, path: str, target: str) -> None:
        server = serve(reply("Hello"))
        assert await texts(client(server, base_url=server.url + path)) == ["Hello"]
        assert server.calls[0].target == target

    async def test_credentials_in_the_url_become_a_header(self, serve: Serve) -> None:
        server = serve(reply("Hello"))
        ours = client(server, base_url=f"http://user:pw@{server.host}")
        assert await texts(ours) == ["Hello"]
        assert server.calls[0].headers["authorization"] == "Basic dXNlcjpwdw=="

    async def test_a_user_without_a_password_in_the_url_becomes_a_header(self, serve: Serve) -> None:
        server = serve(reply("Hello"))
        assert await texts(client(server, base_url=f"http://token@{server.host}")) == ["Hello"]
        assert server.calls[0].headers["authorization"] == "Basic dG9rZW46"

    async def test_a_key_and_credentials_in_the_url_do_not_go_together(self, serve: Serve) -> None:
        server = serve(reply("Hello"))
        with pytest.raises(DarkAIInvalidRequestError) as caught:
            await texts(client(server, base_url=f"http://user:pw@{server.host}", api_key="k"))
        assert "pw" not in str(caught.value)

    async def test_no_cookie_comes_back(self, serve: Serve) -> None:
        body = chunk(text("Hello")) + END
        server = serve([head(transfer_encoding="chunked", set_cookie="a=b; Path=/") + body])
        for _ in range(2):
            assert await texts(client(server)) == ["Hello"]
        assert not [request for request in server.calls if "cookie" in request.headers]


class TestLog:
    async def test_the_status_of_each_attempt_is_a_line(
        self, serve: Serve, ask: Asker, model_of: ModelOf, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "langchain_darkai.client")
        server = serve(answer(503, '{"error": "private words"}', retry_after="0"), reply("private words"))
        await ask(model_of(server, max_retries=1, api_key="private key"), "private words")
        said = [re.sub(r"\d+\.\d+ s", "N s", message.partition(": ")[2]) for message in caplog.messages]
        assert [line for line in said if not line.startswith(("request", "first"))] == [
            "status 503",
            "DarkAIAPIError (HTTP 503) after N s: 0 characters in 0 pieces",
            "retry 1 of 1 in N s, after DarkAIAPIError (HTTP 503)",
            "status 200",
            "complete after N s: 13 characters in 1 pieces",
        ]
        assert "private" not in "".join(caplog.messages)

    async def test_a_request_that_is_sent_again_on_a_new_connection_is_a_line(
        self, serve: Serve, ask: Asker, model_of: ModelOf, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = model_of(serve(reply("Hello"), [CLOSE], reply("Hello")))
        await ask(model)
        caplog.set_level(logging.DEBUG, "langchain_darkai.client")
        await ask(model)
        assert len([message for message in caplog.messages if "kept connection" in message]) == 1


class TestProxy:
    async def test_the_proxy_gets_the_whole_address(self, serve: Serve, ask: Asker, model_of: ModelOf) -> None:
        proxy = serve(reply("through the proxy"))
        model = model_of(proxy, base_url="http://model.test:8000", proxy=proxy.url)
        assert (await ask(model)).content == "through the proxy"
        assert proxy.calls[0].target == "http://model.test:8000/chat"
        assert proxy.calls[0].headers["host"] == "model.test:8000"

    async def test_the_proxy_of_the_environment_is_used_where_none_is_set(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy, direct = serve(reply("through the proxy")), serve(reply("direct"))
        monkeypatch.setenv("http_proxy", proxy.url)
        assert await texts(client(proxy, base_url="http://model.test")) == ["through the proxy"]
        monkeypatch.setenv("no_proxy", "model.test")
        with pytest.raises(DarkAIConnectionError, match=r"model\.test cannot be reached"):
            await texts(client(direct, base_url="http://model.test"))
        monkeypatch.setenv("no_proxy", "example.org")
        assert await texts(client(direct, base_url="http://model.test")) == ["through the proxy"]
        assert await texts(client(direct, base_url="http://model.test", proxy=direct.url)) == ["direct"]

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "LocalHost", "model.localhost", "[::1]"])
    @pytest.mark.parametrize("port", ["", ":9"])
    async def test_a_proxy_of_the_environment_is_never_used_for_this_machine(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, host: str, port: str
    ) -> None:
        proxy = serve(reply("through the proxy"))
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for scheme in ("http", "https"):
            with pytest.raises(DarkAIError):
                await texts(client(proxy, base_url=f"{scheme}://{host}{port}"))
        assert not proxy.calls
        assert await texts(client(proxy, base_url=f"http://{host}{port}", proxy=proxy.url)) == ["through the proxy"]
        monkeypatch.setenv("DARKAI_PROXY", proxy.url)
        assert await texts(client(proxy, base_url=f"http://{host}{port}")) == ["through the proxy"]

    async def test_a_local_server_is_reached_past_a_proxy_of_the_environment(
        self, serve: Serve, ask: Asker, model_of: ModelOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://no-such-host.invalid:3128")
        assert (await ask(model_of(serve(reply("Hello"))))).content == "Hello"

    async def test_credentials_of_a_proxy_are_sent_and_not_shown(self, serve: Serve) -> None:
        proxy = serve(reply("Hello"), answer(407, "no"))
        ours = client(proxy, base_url="http://model.test", proxy=f"http://user:pw@{proxy.host}")
        await texts(ours)
        assert proxy.calls[0].headers["proxy-authorization"] == "Basic dXNlcjpwdw=="
        with pytest.raises(DarkAIError) as caught:
            await texts(ours)
        assert "pw" not in str(caught.value)

    async def test_a_proxy_that_wants_another_password_is_named(
        self, ask: Asker, serve: Serve, model_of: ModelOf
    ) -> None:
        proxy = serve(answer(407, "no"))
        for url in ("http://model.test", "https://model.test"):
            with pytest.raises(
                DarkAIConnectionError, match=r"The proxy on the way to model\.test .*HTTP 407.* Check proxy="
            ) as caught:
                await ask(model_of(proxy, base_url=url, proxy=proxy.url))
            assert (caught.value.status, caught.value.is_retryable) == (407, False)
        with pytest.raises(DarkAIInvalidRequestError, match=r"'no' \(HTTP 407\)\. Check the request"):
            await ask(model_of(proxy))

    @pytest.mark.parametrize("url", ["http://model.test", "https://model.test"])
    async def test_a_proxy_that_takes_too_long_is_named(self, ask: Asker, model_of: ModelOf, url: str) -> None:
        scheme = "https" if url.startswith("http:") else "http"  # where a TLS handshake, or CONNECT, is never answered
        with socket.create_server(("127.0.0.1", 0)) as silent, ScriptedServer([]) as server:
            endpoint = Endpoint.from_settings(base_url=url, proxy=f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")
            transport = AiohttpTransport(endpoint, idle_timeout=None, connect_timeout=0.1)
            with pytest.raises(DarkAITimeoutError, match=r"model\.test: no connection .* the proxy; check proxy="):
                await ask(model_of(server, base_url=url, transport=transport))

    @pytest.mark.parametrize("url", ["http://model.test", "https://model.test"])
    async def test_a_proxy_without_tls_is_named(self, ask: Asker, serve: Serve, model_of: ModelOf, url: str) -> None:
        proxy = serve([])
        with pytest.raises(
            DarkAIConnectionError, match=r"The proxy on the way to model\.test .* plain http.* http:// .* Check proxy="
        ) as caught:
            await ask(model_of(proxy, base_url=url, proxy=f"https://{proxy.host}"))
        assert not caught.value.is_retryable

    async def test_a_proxy_that_is_not_there_is_named(self, ask: Asker, serve: Serve, model_of: ModelOf) -> None:
        with ScriptedServer(reply("")) as gone:
            pass
        with pytest.raises(DarkAIConnectionError, match=r"The proxy on the way to model\.test .* Check proxy="):
            await ask(model_of(gone, base_url="http://model.test", proxy=gone.url))


@pytest.mark.parametrize(
    ("status", "kind", "core_kind", "is_retryable"),
    [
        (204, DarkAIAPIError, core.ModelAPIError, False),
        (400, DarkAIInvalidRequestError, core.ModelInvalidRequestError, False),
        (401, DarkAIAuthenticationError, core.ModelAuthenticationError, False),
        (403, DarkAIPermissionDeniedError, core.ModelPermissionDeniedError, False),
        (404, DarkAINotFoundError, core.ModelNotFoundError, False),
        (408, DarkAITimeoutError, core.ModelTimeoutError, True),
        (413, DarkAIInvalidRequestError, core.ModelInvalidRequestError, False),
        (422, DarkAIInvalidRequestError, core.ModelInvalidRequestError, False),
        (429, DarkAIRateLimitError, core.ModelRateLimitError, True),
        (500, DarkAIAPIError, core.ModelAPIError, True),
        (501, DarkAIAPIError, core.ModelAPIError, False),
        (502, DarkAIAPIError, core.ModelAPIError, True),
        (503, DarkAIAPIError, core.ModelAPIError, True),
        (529, DarkAIAPIError, core.ModelAPIError, True),
    ],
)
async def test_the_error_of_each_status(
    serve: Serve,
    ask: Asker,
    model_of: ModelOf,
    status: int,
    kind: type[DarkAIError],
    core_kind: type[core.ModelError],
    is_retryable: bool,
) -> None:
    content = "" if status == 204 else '{"error": {"message": "what the server says"}}'
    server = serve(answer(status, content, x_request_id="r-1"))
    with pytest.raises(kind) as caught:
        await ask(model_of(server))
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, core_kind)
    assert (error.status, error.request_id, error.is_retryable) == (status, "r-1", is_retryable)
    assert server.host in str(error)
    assert f"HTTP {status}" in str(error)
    if content:
        assert "what the server says" in str(error)
    assert len(server.calls) == 1


class TestAnswers:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_redirect_is_not_followed(self, serve: Serve, ask: Asker, model_of: ModelOf, status: int) -> None:
        elsewhere = serve(reply("stolen"))
        server = serve(answer(status, location=elsewhere.url + "/chat"))
        with pytest.raises(DarkAIAPIError, match=r"redirect .* not followed\. Set base_url") as caught:
            await ask(model_of(server, api_key="k"))
        assert not caught.value.is_retryable
        assert not elsewhere.calls

    @pytest.mark.parametrize("status", [200, 502])
    async def test_an_html_page_is_named_and_not_pasted(
        self, serve: Serve, ask: Asker, model_of: ModelOf, status: int
    ) -> None:
        server = serve(answer(status, "<html><body>Please log in</body></html>", "text/html; charset=utf-8"))
        with pytest.raises(DarkAIAPIError, match="HTML page") as caught:
            await ask(model_of(server))
        assert "log in" not in str(caught.value)
        assert caught.value.status == status
        assert isinstance(caught.value, DarkAIStreamDecodeError) == (status == 200)

    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (400, "This model's maximum context length is 8192 tokens"),
            (413, "prompt is too long"),
            (400, "too many tokens"),
        ],
    )
    async def test_a_prompt_that_is_too_long_is_a_context_overflow(
        self, serve: Serve, status: int, message: str
    ) -> None:
        server = serve(answer(status, f'{{"error": {{"message": "{message}"}}}}'))
        with pytest.raises(DarkAIContextOverflowError) as caught:
            await texts(client(server))
        assert isinstance(caught.value, core.ContextOverflowError)

    @pytest.mark.parametrize("content", ["", "plain words", "[1, 2]", '{"detail": "words"}', "\x00\xff"])
    async def test_any_body_of_an_http_error_is_read(self, serve: Serve, content: str) -> None:
        server = serve(answer(500, content))
        with pytest.raises(DarkAIAPIError, match="HTTP 500") as caught:
            await texts(client(server))
        assert len(str(caught.value)) < 1000

    async def test_a_long_body_of_an_http_error_is_cut(self, serve: Serve) -> None:
        server = serve(answer(500, "x" * 1_000_000))
        with pytest.raises(DarkAIAPIError) as caught:
            await texts(client(server))
        assert len(str(caught.value)) < 1000

    async def test_a_key_that_the_server_repeats_is_taken_out(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        server = serve(answer(401, '{"error": {"message": "bad key sk-hidden"}}'))
        with pytest.raises(DarkAIAuthenticationError, match="bad key") as caught:
            await ask(model_of(server, api_key="sk-hidden"))
        assert "sk-hidden" not in f"{caught.value} {caught.value!r}"

    async def test_the_error_class_that_a_server_names_is_raised(self, serve: Serve) -> None:
        server = serve(answer(500, '{"error": {"type": "ModelRateLimitError", "message": "m", "retry_after": 2}}'))
        with pytest.raises(DarkAIRateLimitError) as caught:
            await texts(client(server))
        assert caught.value.retry_after == 2


class TestFaults:
    @pytest.mark.parametrize(
        ("script", "kind", "message", "is_retryable"),
        [
            pytest.param([RESET], DarkAIConnectionError, "before the reply", True, id="reset at once"),
            pytest.param(
                [b"SSH-2.0-x\r\n\r\n", RESET], DarkAIConnectionError, "does not speak HTTP", False, id="no http"
            ),
            pytest.param(
                [STREAM + chunk(event("error", message="it broke"))], DarkAIAPIError, "it broke", True, id="error event"
            ),
            pytest.param(
                [STREAM + chunk(b"data: {not json}\n\n")], DarkAIStreamDecodeError, "not JSON", False, id="no json"
            ),
            pytest.param(
                [STREAM + chunk(event("stream-end")) + chunk(b"")],
                DarkAIEmptyResponseError,
                "without any text",
                True,
                id="empty reply",
            ),
            pytest.param([STREAM + chunk(b"")], DarkAIStreamTruncatedError, "stream-end", True, id="empty body"),
            pytest.param(answer(200), DarkAIStreamTruncatedError, "stream-end", True, id="empty body, not chunked"),
        ],
    )
    async def test_what_a_fault_before_any_text_raises(
        self,
        serve: Serve,
        ask: Asker,
        model_of: ModelOf,
        script: list[Step],
        kind: type[DarkAIError],
        message: str,
        is_retryable: bool,
    ) -> None:
        server = serve(script)
        with pytest.raises(kind, match=message) as caught:
            await ask(model_of(server))
        assert type(caught.value) is kind
        assert caught.value.is_retryable == is_retryable
        assert server.host in str(caught.value)

    @pytest.mark.parametrize(
        ("rest", "kind"),
        [
            pytest.param([chunk(b"")], DarkAIStreamTruncatedError, id="ends in order"),
            pytest.param([RESET], DarkAIStreamTruncatedError, id="reset"),
            pytest.param([chunk(event("error", message="it broke")) + chunk(b"")], DarkAIAPIError, id="error event"),
            pytest.param([chunk(b"data: nonsense\n\n")], DarkAIStreamDecodeError, id="no event"),
        ],
    )
    @pytest.mark.parametrize("entry", ["stream", "astream"])
    async def test_text_that_came_before_a_fault_is_delivered(
        self, serve: Serve, model_of: ModelOf, entry: str, rest: list[Step], kind: type[DarkAIError]
    ) -> None:
        seen = threading.Event()
        server = serve([STREAM + chunk(text("Hel", "lo")), seen, *rest])
        got: list[str] = []
        with pytest.raises(kind) as caught:
            await Asker(entry).into(got, model_of(server, max_retries=5), on_chunk=seen.set)
        assert got == ["Hello"]
        assert type(caught.value) is kind
        assert caught.value.partial_text == "Hello"
        assert len(server.calls) == 1, "text was handed over, so nothing may be asked again"

    @pytest.mark.parametrize("entry", ["invoke", "ainvoke"])
    async def test_a_truncated_reply_is_retried_where_no_text_was_handed_over(
        self, serve: Serve, model_of: ModelOf, entry: str
    ) -> None:
        server = serve([STREAM + chunk(text("Hel")) + chunk(b"")], reply("Hello"))
        assert (await Asker(entry)(model_of(server, max_retries=1))).content == "Hello"

    async def test_a_refused_connection_says_how_to_start_a_server(self, ask: Asker, model_of: ModelOf) -> None:
        with ScriptedServer(reply("")) as gone:
            pass
        with pytest.raises(DarkAIConnectionError, match="langchain-darkai serve") as caught:
            await ask(model_of(gone))
        assert isinstance(caught.value, ConnectionError)
        assert f"{gone.host} cannot be reached: Connection refused" in str(caught.value)
        assert caught.value.is_retryable
        assert isinstance(caught.value.__cause__, OSError)

    async def test_an_unknown_host_cannot_be_reached(self, ask: Asker, model_of: ModelOf, serve: Serve) -> None:
        with pytest.raises(DarkAIConnectionError, match=r"no-such-host\.invalid cannot be reached"):
            await ask(model_of(serve(reply("")), base_url="http://no-such-host.invalid"))

    async def test_an_unknown_host_in_other_letters_is_shown_as_it_was_given(
        self, ask: Asker, model_of: ModelOf, serve: Serve
    ) -> None:
        with pytest.raises(DarkAIConnectionError, match=r"bücher\.invalid cannot be reached"):
            await ask(model_of(serve([]), base_url="http://bücher.invalid"))

    @pytest.mark.parametrize("host", ["a" * 64 + ".invalid", "a..invalid"])
    async def test_an_impossible_host_is_an_invalid_request(
        self, ask: Asker, model_of: ModelOf, serve: Serve, host: str
    ) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match=f"{host} is not an http.* Check base_url") as caught:
            await ask(model_of(serve([]), base_url=f"http://{host}"))
        assert not caught.value.is_retryable

    async def test_too_many_open_files_are_named(
        self, ask: Asker, model_of: ModelOf, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(reply("Hello"))

        async def fail(*_: Any, **__: Any) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", fail)
        with pytest.raises(DarkAIConnectionError, match=r"Too many files are open .* max_concurrency") as caught:
            await ask(model_of(server, timeout=0.3))
        assert isinstance(caught.value.__cause__, OSError)
        assert server.host in str(caught.value)

    async def test_tls_with_a_server_that_has_none_is_named(self, ask: Asker, model_of: ModelOf, serve: Serve) -> None:
        server = serve(reply(""))
        with pytest.raises(DarkAIConnectionError, match="TLS"):
            await ask(model_of(server, base_url=f"https://{server.host}"))

    async def test_a_ca_file_that_is_not_there_matters_with_tls_only(
        self, ask: Asker, model_of: ModelOf, serve: Serve
    ) -> None:
        server = serve(reply("Hello"))
        with pytest.raises(ValueError, match=r"CA bundle '/no/such/ca\.pem' cannot be read"):
            await ask(model_of(server, base_url=f"https://{server.host}", verify="/no/such/ca.pem"))
        assert (await ask(model_of(server, verify="/no/such/ca.pem"))).content == "Hello"

    async def test_an_ssl_context_does_not_disturb_plain_http(self, serve: Serve) -> None:
        assert await texts(client(serve(reply("Hello")), verify=ssl.create_default_context())) == ["Hello"]


class TestRetries:
    async def test_a_request_is_retried_until_it_works(self, serve: Serve, ask: Asker, model_of: ModelOf) -> None:
        server = serve(answer(503, retry_after="0"), answer(429, retry_after="0.01"), reply("Hello"))
        assert (await ask(model_of(server, max_retries=2))).content == "Hello"
        assert len(server.calls) == 3
        assert len({request.content for request in server.calls}) == 1

    async def test_a_request_is_retried_so_often_and_no_more(self, serve: Serve, ask: Asker, model_of: ModelOf) -> None:
        server = serve(answer(503, retry_after="0"))
        with pytest.raises(DarkAIAPIError, match="3 attempts in"):
            await ask(model_of(server), max_retries=2)
        assert len(server.calls) == 3

    @pytest.mark.parametrize("form", ["seconds", "date"])
    async def test_a_retry_waits_for_what_retry_after_says(self, serve: Serve, form: str) -> None:
        until = time.time() + 2
        waits = "1.0" if form == "seconds" else formatdate(until, usegmt=True)
        server = serve(answer(429, retry_after=waits), reply("Hello"))
        assert await texts(client(server, max_retries=1)) == ["Hello"]
        waited = server.calls[1].at - server.calls[0].at
        assert 0.9 < waited < 5

    @pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
    @pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"])
    async def test_retry_after_as_a_date_of_any_form_wherever_we_are(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, zone: str, form: str
    ) -> None:
        server = serve(answer(429, retry_after=time.strftime(form, time.gmtime(time.time() + 100))))
        monkeypatch.setenv("TZ", zone)
        try:
            time.tzset()
            with pytest.raises(DarkAIRateLimitError) as caught:
                await texts(client(server))
        finally:
            monkeypatch.undo()
            time.tzset()
        assert 90 < (caught.value.retry_after or 0) < 101

    async def test_an_unreachable_host_is_retried(self) -> None:
        with ScriptedServer(reply("")) as gone:
            pass
        with pytest.raises(DarkAIConnectionError, match="2 attempts"):
            await texts(client(gone, max_retries=1))

    @pytest.mark.parametrize("entry", ["invoke", "ainvoke", "stream", "astream"])
    async def test_the_timeout_counts_for_all_attempts_together(
        self, serve: Serve, model_of: ModelOf, entry: str
    ) -> None:
        server = serve(answer(503, retry_after="0.2"))
        started = time.monotonic()
        with pytest.raises(DarkAIError):
            await Asker(entry)(model_of(server, max_retries=100, timeout=0.5))
        assert time.monotonic() - started < 1.0
        assert len(server.calls) <= 3


KEEP_ALIVE: list[Step] = [chunk(b": ping\n\n"), 0.1] * 30


class TestTimeouts:
    @pytest.mark.parametrize(
        "script",
        [
            pytest.param([HOLD], id="no headers"),
            pytest.param([STREAM, HOLD], id="no body"),
            pytest.param([STREAM, *KEEP_ALIVE, HOLD], id="only comments"),
            pytest.param([STREAM + chunk(text("Hel")), *KEEP_ALIVE, HOLD], id="comments during the text"),
            pytest.param([STREAM, *([chunk(text("x")), 0.1] * 30), HOLD], id="never an end"),
        ],
    )
    async def test_the_timeout_is_for_the_whole_call(
        self, serve: Serve, ask: Asker, model_of: ModelOf, script: list[Step]
    ) -> None:
        server = serve(script)
        started = time.monotonic()
        with pytest.raises(DarkAITimeoutError, match="timeout") as caught:
            await ask(model_of(server), timeout=0.4)
        assert 0.35 < time.monotonic() - started < 1.4
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, core.ModelTimeoutError)
        await server.await_for(lambda server: server.left == 1)

    @pytest.mark.parametrize(
        "script",
        [
            pytest.param([HOLD], id="no headers"),
            pytest.param([STREAM, *KEEP_ALIVE, HOLD], id="only comments"),
            pytest.param([STREAM + chunk(text("Hel")), *KEEP_ALIVE, HOLD], id="comments during the text"),
            pytest.param([STREAM, *([chunk(event("other", a=1)), 0.1] * 30), HOLD], id="only other events"),
        ],
    )
    async def test_the_idle_timeout_is_for_the_time_between_content(
        self, serve: Serve, ask: Asker, model_of: ModelOf, script: list[Step]
    ) -> None:
        server = serve(script)
        started = time.monotonic()
        with pytest.raises(DarkAITimeoutError, match="stream_chunk_timeout"):
            await ask(model_of(server, stream_chunk_timeout=0.4))
        assert 0.35 < time.monotonic() - started < 1.4
        await server.await_for(lambda server: server.left == 1)

    async def test_a_slow_but_steady_reply_meets_no_idle_timeout(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        server = serve([STREAM, *([chunk(text("x")), 0.2] * 5), END])
        assert (await ask(model_of(server, stream_chunk_timeout=0.6))).content == "xxxxx"

    async def test_the_callers_own_time_counts_towards_no_idle_timeout(self, serve: Serve) -> None:
        server = serve([STREAM, *([chunk(text("x")), 0.1] * 4), END])
        ours, got = client(server, stream_chunk_timeout=0.3), []
        async for piece in ours.stream(ours.call("Hi")):
            if isinstance(piece, str):
                got.append(piece)
                await asyncio.sleep(0.5)
        assert "".join(got) == "xxxx"

    async def test_none_is_no_timeout(self, serve: Serve, ask: Asker, model_of: ModelOf) -> None:
        server = serve([STREAM, 0.1, chunk(text("Hello")) + END])
        assert (await ask(model_of(server, timeout=None, stream_chunk_timeout=None))).content == "Hello"


class TestConnections:
    async def test_one_connection_serves_many_calls(self, serve: Serve) -> None:
        server = serve(reply("Hello"))
        for _ in range(5):
            assert await texts(client(server)) == ["Hello"]
        assert server.connections == 1

    async def test_one_connection_serves_many_calls_where_the_body_ends_later(self, serve: Serve) -> None:
        server = serve([STREAM + chunk(text("Hello") + event("stream-end")), 0.05, chunk(b"")])
        for _ in range(3):
            assert await texts(client(server)) == ["Hello"]
            await asyncio.sleep(0.15)
        assert server.connections == 1

    async def test_a_connection_whose_body_does_not_end_is_closed(self, serve: Serve) -> None:
        server = serve([STREAM + chunk(text("Hello") + event("stream-end")), HOLD])
        assert await texts(client(server)) == ["Hello"]
        await server.await_for(lambda server: server.left == 1)

    async def test_a_call_after_close_makes_another_connection(self, serve: Serve) -> None:
        server = serve(reply("Hello"))
        ours = client(server)
        for _ in range(2):
            assert await texts(ours) == ["Hello"]
            await ours.aclose()
            await ours.aclose()
        assert server.connections == 2

    async def test_a_session_of_the_users_own_stays_open(self, serve: Serve) -> None:
        server = serve(reply("Hello"))
        async with aiohttp.ClientSession(headers={"x-mine": "1"}) as session:
            ours = client(server, session=session)
            assert await texts(ours) == ["Hello"]
            await ours.aclose()
            assert not session.closed
            assert await texts(ours) == ["Hello"]
        assert [request.headers["x-mine"] for request in server.calls] == ["1", "1"]

    async def test_a_session_that_raises_for_a_status_changes_no_error(self, serve: Serve) -> None:
        server = serve(answer(429, "slow down", retry_after="0"), answer(401, "no"))
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            with pytest.raises(DarkAIAuthenticationError, match=r"'no' \(HTTP 401\)"):
                await texts(client(server, session=session, max_retries=3))
        assert len(server.calls) == 2

    async def test_a_session_that_cannot_be_used_is_an_invalid_request(self, serve: Serve) -> None:
        server = serve(reply("Hello"))
        closed = aiohttp.ClientSession()
        await closed.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            with_login = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "hidden"))
        elsewhere = asyncio.new_event_loop()

        async def make() -> aiohttp.ClientSession:
            return aiohttp.ClientSession()

        of_another_loop = await asyncio.to_thread(elsewhere.run_until_complete, make())
        for session, said in (
            (closed, "Session is closed"),
            (with_login, "AUTH"),
            (of_another_loop, "belong to the event loop of the call"),
        ):
            with pytest.raises(DarkAIInvalidRequestError, match=f"session= for .* cannot be used: .*{said}") as caught:
                await texts(client(server, session=session, max_retries=3, api_key="k"))
            assert server.host in str(caught.value)
            assert not caught.value.is_retryable
            assert "hidden" not in str(caught.value)
        await with_login.close()
        await asyncio.to_thread(elsewhere.run_until_complete, of_another_loop.close())
        elsewhere.close()
        assert not server.calls

    def test_loops_that_are_just_closed_cause_no_warnings(self, serve: Serve, recwarn: pytest.WarningsRecorder) -> None:
        server = serve(reply("Hello"))
        for _ in range(5):
            loop = asyncio.new_event_loop()
            assert loop.run_until_complete(texts(client(server))) == ["Hello"]
            loop.close()
            del loop
        gc.collect()
        assert not [str(warning.message) for warning in recwarn]

    @pytest.mark.parametrize("orderly", [True, False], ids=["asyncio.run", "closed by hand"])
    def test_each_of_many_threads_may_have_its_loop(self, serve: Serve, orderly: bool) -> None:
        server, failures = serve(reply("Hello")), []
        ours = client(server)

        def work() -> None:
            try:
                for _ in range(12):
                    if orderly:
                        assert asyncio.run(texts(ours)) == ["Hello"]
                    else:
                        loop = asyncio.new_event_loop()
                        assert loop.run_until_complete(texts(ours)) == ["Hello"]
                        loop.close()
            except BaseException as error:  # noqa: BLE001 - told in the main thread
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not failures
        assert len(server.calls) == 96

    async def test_max_concurrency_counts_requests_and_no_waiting_time(self, serve: Serve) -> None:
        server = serve([STREAM, 0.1, chunk(text("Hello")) + END])
        ours = client(server, max_concurrency=5, timeout=0.5, stream_chunk_timeout=0.5)
        replies = await asyncio.gather(*(texts(ours) for _ in range(40)))
        assert replies == [["Hello"]] * 40
        assert server.peak == 5

    async def test_more_than_a_hundred_calls_run_at_once(self, serve: Serve) -> None:
        all_there = threading.Event()
        server = serve([all_there, STREAM + chunk(text("Hello")) + END])
        ours = client(server)
        calls = [asyncio.create_task(texts(ours)) for _ in range(150)]
        await server.await_for(lambda server: server.peak == 150, 15)
        all_there.set()
        assert await asyncio.gather(*calls) == [["Hello"]] * 150


class TestGenerator:
    @pytest.mark.parametrize("on", ["class", "instance"])
    async def test_the_generator_yields_text_as_it_comes(self, serve: Serve, on: str) -> None:
        seen = threading.Event()
        server = serve([STREAM + chunk(text("Hel")), seen, chunk(text("lo")), END])
        if on == "class":
            pieces = DarkAI.create_async_generator("llama-3.1-70b", MESSAGES, base_url=server.url, top_p=0.5)
        else:
            pieces = client(server).create_async_generator("llama-3.1-70b", MESSAGES, top_p=0.5)
        assert await anext(pieces) == "Hel"
        seen.set()
        assert [piece async for piece in pieces] == ["lo"]
        assert server.calls[0].body == {"query": "Hi", "model": "llama-3-70b", "top_p": 0.5}

    async def test_the_generator_takes_a_proxy(self, serve: Serve) -> None:
        proxy = serve(reply("Hello"))
        pieces = DarkAI.create_async_generator("gpt-4o", MESSAGES, proxy.url, base_url="http://model.test")
        assert [piece async for piece in pieces] == ["Hello"]
        assert proxy.calls[0].target == "http://model.test/chat"

    async def test_leaving_the_generator_ends_the_request(self, serve: Serve) -> None:
        server = serve([STREAM + chunk(text("Hel")), HOLD])
        pieces = client(server).create_async_generator(None, MESSAGES)
        assert await anext(pieces) == "Hel"
        await pieces.aclose()
        await server.await_for(lambda server: server.left == 1, 0.5)

    async def test_the_generator_raises_our_errors(self, serve: Serve) -> None:
        server = serve(answer(404, '{"error": {"message": "no such model"}}'))
        with pytest.raises(DarkAINotFoundError, match="no such model"):
            await anext(client(server).create_async_generator("nope", MESSAGES))
