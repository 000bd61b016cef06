"""Each fault of the table by each way of calling; and replies cut everywhere."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from langchain_darkai import (
    ChatDarkAI,
    DarkAI,
    DarkAIConnectionError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
)
from langchain_darkai._http.aiohttp_transport import AiohttpTransport
from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai.testing import ReceivedCall, ScriptedServer, reply
from langchain_darkai.testing.faults import PAUSE
from langchain_darkai.testing.scripted_server import Reply
from langchain_darkai.testing.wire import CLOSE, HOLD, RESET, STREAM, Step, answer, chunk, event, head, text
from tests.support.asker import Asker, ModelOf, Serve
from tests.support.faults import BEFORE, FAULTS, Fault
from tests.support.programs import run

RELIABILITY = Path(__file__).parents[2] / "docs" / "reliability.md"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a PEM file with a certificate for 127.0.0.1 that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")  # `make test` says so
    pem = tmp_path_factory.mktemp("tls") / "self-signed.pem"
    new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    command = ["openssl", *new.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "-", "-out", "-"]
    pem.write_bytes(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    return pem


@pytest.fixture
def serve_tls(certificate: Path) -> Iterator[Callable[..., ScriptedServer]]:
    """Start scripted servers that speak TLS, and may want a certificate of the client."""
    with contextlib.ExitStack() as running:

        def start(*scripts: Reply, wants_certificate: bool = False) -> ScriptedServer:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            if wants_certificate:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(certificate)
            return running.enter_context(ScriptedServer(*scripts, repeat_last=True, keep_alive=True, tls=context))

        yield start
        DarkAI().close()  # before the servers do: Python 3.10 warns of a TLS connection whose other side went first


@pytest.fixture
def model_at(request: pytest.FixtureRequest, serve: Serve) -> Callable[[Fault], ChatDarkAI]:
    """Make a model that meets a fault."""

    def tls(**settings: Any) -> str:
        return str(request.getfixturevalue("serve_tls")([], **settings).url)

    def make(fault: Fault) -> ChatDarkAI:
        with ScriptedServer([]) as gone:
            pass
        here = serve(fault.script)
        settings: dict[str, Callable[[], dict[str, Any]]] = {
            "here": lambda: {"base_url": here.url},
            "gone": lambda: {"base_url": gone.url},
            "unknown": lambda: {"base_url": "http://no-such-host.invalid"},
            "tls": lambda: {"base_url": f"https://{here.host}"},
            "self-signed": lambda: {"base_url": tls()},
            "certificate wanted": lambda: {
                "base_url": tls(wants_certificate=True),
                "verify": request.getfixturevalue("certificate"),
            },
            "proxy": lambda: {"base_url": "http://model.test", "proxy": gone.url},
        }
        return ChatDarkAI(**{"max_retries": 0, "timeout": 10.0, **settings[fault.where](), **fault.settings})

    return make


async def texts_into(got: list[str], client: DarkAI, *, seconds: float = 0.0, query: str = "Hi", **call: Any) -> None:
    """Add the pieces of a reply to a list, which also holds what came before a failure; wait after the first."""
    async for piece in client.stream(client.call(query, **call)):
        if isinstance(piece, str):
            got.append(piece)
            if len(got) == 1:
                await asyncio.sleep(seconds)


def _param(fault: Fault) -> Any:
    # Python 3.10 warns of a TLS connection that the other side ends, whatever the client does.
    known = "ignore:.*_SSLProtocolTransport:pytest.PytestUnraisableExceptionWarning"
    marks = [pytest.mark.filterwarnings(known)] if fault.where == "certificate wanted" else []
    return pytest.param(fault, id=fault.name, marks=marks)


@pytest.mark.parametrize("fault", [_param(fault) for fault in FAULTS])
async def test_what_a_fault_becomes(fault: Fault, ask: Asker, model_at: Callable[[Fault], ChatDarkAI]) -> None:
    model = model_at(fault)
    got: list[str] = []
    with pytest.raises(DarkAIError, match=f"(?s){fault.said}") as caught:
        await (ask.into(got, model) if ask.streams else ask(model))
    error = caught.value
    assert type(error) is fault.kind
    assert (error.is_retryable, error.status) == (fault.is_retryable, fault.status)
    assert urlsplit(model.base_url or "").netloc in str(error)
    assert len(str(error)) < 400
    assert error.partial_text == fault.text
    assert "".join(got) == (fault.text if ask.streams else "")
    assert (error.__cause__ is not None) == fault.has_cause
    assert error.__context__ in (None, error.__cause__)


def test_the_page_shows_the_table() -> None:
    rows = [line for line in RELIABILITY.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    table = [
        f"| {fault.name} | `{fault.kind.__name__}` | {'yes' if fault.is_retryable else 'no'} |" for fault in FAULTS
    ]
    start = rows.index("| What happens | What a call raises | A retry can help |") + 2
    assert rows[start : start + len(table)] == table


@pytest.mark.parametrize("entry", ["ainvoke", "astream"])
async def test_a_retryable_fault_is_retried(entry: str, serve: Serve, model_of: ModelOf) -> None:
    async def one(fault: Fault) -> tuple[str, int, list[str], int]:
        assert not callable(fault.script)
        server = serve(fault.script, reply("Hello"))
        got: list[str] = []
        result = "Hello"
        try:
            if entry == "astream":
                await Asker(entry).into(got, model_of(server, max_retries=1, **fault.settings))
            else:
                got.append((await model_of(server, max_retries=1, **fault.settings).ainvoke("Hi")).text)
        except DarkAIError as error:
            result = type(error).__name__
        return fault.name, len(server.calls), ["".join(got)], result == "Hello"

    here = [fault for fault in FAULTS if fault.where == "here"]
    outcomes = await asyncio.gather(*map(one, here))
    expected = []
    for fault in here:
        again = fault.is_retryable and not (entry == "astream" and fault.text) and "timeout" not in fault.settings
        before = fault.text if entry == "astream" else ""
        expected.append((fault.name, 2 if again else 1, ["Hello" if again else before], again))
    assert outcomes == expected


class TestCuts:
    """A reply cut after every byte is never taken for a whole one, and none of its text is lost."""

    PIECES = ("Grü", "ße\r\n", "世界 🎉")
    EVENTS = b": hi\r\n" + text(*PIECES) + event("final-response", message="".join(PIECES)) + event("stream-end")

    async def cut(self, serve: Serve, script: Callable[[int], list[Step]], length: int) -> list[tuple[str, str]]:
        """Return, for each length, the text that was streamed and what came of it."""
        server = serve(lambda request: script(int(request.query)))

        async def one(size: int) -> tuple[str, str]:
            client, got = DarkAI(base_url=server.url, max_retries=0, timeout=15.0), list[str]()
            try:
                await texts_into(got, client, query=str(size))
            except DarkAIError as error:
                return "".join(got), f"{type(error).__name__} {error.partial_text == ''.join(got)}"
            return "".join(got), "whole"

        outcomes: list[tuple[str, str]] = []
        for first in range(0, length, 100):
            outcomes += await asyncio.gather(*map(one, range(first, min(first + 100, length))))
        return outcomes

    def text_in(self, size: int) -> str:
        ends, whole = [], b": hi\r\n"
        for piece in self.PIECES:
            whole += text(piece)
            ends.append(len(whole) - 1)  # the line end closes the event; the blank line after it adds nothing
        return "".join(piece for piece, end in zip(self.PIECES, ends, strict=True) if size >= end)

    @pytest.mark.parametrize("framing", ["until the connection closes", "content-length", "chunked"])
    async def test_a_body_cut_anywhere_is_truncated(self, serve: Serve, framing: str) -> None:
        size = len(self.EVENTS)
        start = {
            "until the connection closes": head(connection="close"),
            "content-length": head(content_length=str(size)),
            "chunked": STREAM + b"%x\r\n" % size,
        }[framing]
        outcomes = await self.cut(serve, lambda n: [start + self.EVENTS[:n], CLOSE], size + 1)
        end = size - 1  # the stream-end counts with the line end after it, and also at the end of the body
        lenient = 1 if framing == "until the connection closes" else 0
        for n, (got, became) in enumerate(outcomes):
            if n >= end - lenient:
                assert (got, became) == ("".join(self.PIECES), "whole"), n
            else:
                assert became == "DarkAIStreamTruncatedError True", n
                assert got.startswith(self.text_in(n)), n
                assert "".join(self.PIECES).startswith(got), n

    async def test_a_broken_chunk_size_does_not_lose_text(self, serve: Serve) -> None:
        """What is left of an HTTP chunk whose size is none is cut off, too; it can take aiohttp a while to notice."""
        server = serve([STREAM + chunk(text("Hello")), 0.02, b"zz\r\n", CLOSE])
        client, got = DarkAI(base_url=server.url, max_retries=0, stream_chunk_timeout=0.3), list[str]()
        with pytest.raises((DarkAIStreamTruncatedError, DarkAITimeoutError)):
            await texts_into(got, client)
        assert got == ["Hello"]

    async def test_headers_cut_anywhere_are_a_connection_error(self, serve: Serve) -> None:
        whole = head(content_length="0")
        outcomes = await self.cut(serve, lambda n: [whole[:n], CLOSE], len(whole))
        assert set(outcomes) == {("", "DarkAIConnectionError True")}

    @pytest.mark.parametrize("entry", ["invoke", "stream", "ainvoke", "astream"])
    async def test_a_cut_reply_is_an_error_by_each_entry(self, serve: Serve, model_of: ModelOf, entry: str) -> None:
        step = 23
        for size in range(0, len(self.EVENTS) - 2, step):
            server = serve([head(connection="close") + self.EVENTS[:size], CLOSE])
            with pytest.raises(DarkAIStreamTruncatedError):
                await Asker(entry)(model_of(server))

    async def test_a_cut_reply_that_is_retried_loses_nothing(self, serve: Serve, model_of: ModelOf) -> None:
        cuts = iter(range(len(self.EVENTS)))

        def third_time(request: ReceivedCall) -> list[Step]:
            if len([r for r in server.calls if r.query == request.query]) % 3 == 0:
                return [head(connection="close") + self.EVENTS, CLOSE]
            return [head(connection="close") + self.EVENTS[: next(cuts)], CLOSE]

        server = serve(third_time)
        replies = await model_of(server, max_retries=2).abatch([str(n) for n in range(40)])
        assert {message.text for message in replies} == {"".join(self.PIECES)}


@pytest.mark.parametrize("end", [CLOSE, RESET, HOLD])
async def test_text_before_a_fault_is_not_lost_on_a_slow_reader(serve: Serve, end: str) -> None:
    server = serve([STREAM, *(step for n in range(9) for step in (chunk(text(f"{n} ")), 0.01)), end])
    client, got = DarkAI(base_url=server.url, max_retries=0, stream_chunk_timeout=0.3), list[str]()
    with pytest.raises(DarkAIError) as caught:
        await texts_into(got, client, seconds=0.2, per_event=True)
    assert got == [f"{n} " for n in range(9)]
    assert caught.value.partial_text == "0 1 2 3 4 5 6 7 8 "


async def test_a_reset_after_a_whole_reply_does_not_matter_to_a_slow_reader(serve: Serve) -> None:
    pieces = [step for n in range(9) for step in (chunk(text(f"{n} ")), 0.01)]
    server = serve([STREAM, *pieces, chunk(event("stream-end")), PAUSE, RESET])
    client, got = DarkAI(base_url=server.url, max_retries=0), list[str]()
    await texts_into(got, client, seconds=0.2)
    assert "".join(got) == "0 1 2 3 4 5 6 7 8 "


class TestErrorBodies:
    async def test_an_error_body_without_end_does_not_hold_the_error_back(
        self, serve: Serve, model_of: ModelOf
    ) -> None:
        drip: list[Step] = [b"it ", 0.05, b"broke"]
        drip += [b" ", 0.05] * 100
        silence: list[Step] = [b"it broke", HOLD]
        for script in (drip, silence):
            server = serve([head(500, "text/plain"), *script])
            endpoint = Endpoint.from_settings(base_url=server.url)
            transport = AiohttpTransport(endpoint, idle_timeout=None, error_body_timeout=0.2)
            with pytest.raises(DarkAIError, match=r"'it broke' \(HTTP 500\)"):
                await asyncio.wait_for(model_of(server, transport=transport).ainvoke("Hi"), 2)
            await server.await_for(lambda server: server.left == 1)

    async def test_a_whole_error_body_leaves_its_connection_to_the_next_call(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        server = serve(
            answer(503, "busy"), answer(400, "no"), answer(429, "slow down", retry_after="0"), reply("Hello")
        )
        for _ in range(2):
            with pytest.raises(DarkAIError):
                await ask(model_of(server))
        assert (await ask(model_of(server, max_retries=1))).content == "Hello"
        assert server.connections == 1


class TestTls:
    @pytest.fixture
    def folder(self, certificate: Path, tmp_path: Path) -> Path:
        """Return a folder of authorities as OpenSSL wants it, each file named by a hash."""
        command = ["openssl", "x509", "-hash", "-noout", "-in", str(certificate)]
        named = subprocess.run(command, capture_output=True, check=True, text=True, timeout=30).stdout.strip()
        (tmp_path / f"{named}.0").write_bytes(certificate.read_bytes())
        return tmp_path

    @pytest.mark.parametrize("form", ["path", "string", "folder", "context", "off"])
    async def test_each_form_of_verify_is_used(
        self, serve_tls: Serve, certificate: Path, ask: Asker, form: str, folder: Path
    ) -> None:
        verify: Any = {
            "path": certificate,
            "string": str(certificate),
            "folder": folder,
            "context": ssl.create_default_context(cafile=str(certificate)),
            "off": False,
        }[form]
        model = ChatDarkAI(base_url=serve_tls(reply("Hello")).url, verify=verify, max_retries=0, timeout=10.0)
        assert (await ask(model)).content == "Hello"

    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
    async def test_the_ca_bundle_of_the_environment_is_used(
        self, serve_tls: Serve, certificate: Path, ask: Asker, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        model = ChatDarkAI(base_url=serve_tls(reply("Hello")).url, max_retries=0, timeout=10.0)
        with pytest.raises(DarkAIConnectionError, match="verify="):
            await ask(model)
        monkeypatch.setenv(variable, str(certificate))
        assert (await ask(model)).content == "Hello"

    @pytest.mark.slow
    def test_a_ca_bundle_is_read_without_blocking_the_loop(
        self, serve_tls: Serve, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code = """
            from blockbuster import blockbuster_ctx

            async def main():
                with blockbuster_ctx():
                    print((await model.ainvoke("Hi")).text, (await model.ainvoke("Hi")).text)

            asyncio.run(main())
        """
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert run(serve_tls(reply("Hello")), code) == ["Hello"] * 2

    async def test_a_ca_bundle_that_cannot_be_read_matters_with_tls_only(
        self, serve: Serve, serve_tls: Serve, certificate: Path, ask: Asker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))  # goes before
        plain, secure = serve(reply("Hello")), serve_tls(reply("Hello"))
        assert (await ask(ChatDarkAI(base_url=secure.url, max_retries=0, timeout=10.0))).content == "Hello"
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(DarkAIInvalidRequestError, match=r"CA bundle '/no/such\.pem' cannot be read.*SSL_CERT_FILE"):
            await ask(ChatDarkAI(base_url=secure.url, max_retries=0, timeout=10.0))
        assert (await ask(ChatDarkAI(base_url=plain.url, max_retries=0, timeout=10.0))).content == "Hello"

    async def test_a_client_certificate_is_sent(self, serve_tls: Serve, certificate: Path, ask: Asker) -> None:
        context = ssl.create_default_context(cafile=str(certificate))
        context.load_cert_chain(certificate)
        server = serve_tls(reply("Hello"), wants_certificate=True)
        model = ChatDarkAI(base_url=server.url, verify=context, max_retries=0, timeout=10.0)
        assert (await ask(model)).content == "Hello"

    @pytest.mark.parametrize("when", ["before the headers", "during the reply"])
    async def test_a_tls_connection_that_is_left_ends_at_once(
        self, serve_tls: Serve, certificate: Path, when: str
    ) -> None:
        server = serve_tls([HOLD] if when == "before the headers" else [STREAM + chunk(text("Hel")), HOLD])
        model = ChatDarkAI(base_url=server.url, verify=certificate, max_retries=0)
        if when == "during the reply":
            async for _ in model.astream("Hi"):
                break
            await server.await_for(lambda server: server.left == 1, 0.5)
            next(stream := model.stream("Hi"))
            del stream
            await server.await_for(lambda server: server.left == 2, 0.5)
        left = server.left
        task = asyncio.ensure_future(model.ainvoke("Hi"))
        await server.await_for(lambda server: server.active == 1)
        await asyncio.sleep(0.05)
        task.cancel()
        await server.await_for(lambda server: server.left == left + 1, 0.5)
        with pytest.raises(DarkAITimeoutError):
            await ChatDarkAI(base_url=server.url, verify=certificate, max_retries=0, stream_chunk_timeout=0.1).ainvoke(
                "Hi"
            )
        await server.await_for(lambda server: server.left == left + 2, 0.5)

    def test_tls_connections_that_were_left_cause_no_warnings(
        self, serve_tls: Serve, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scripts: dict[str, list[Step]] = {
            "Hi": reply("Hello"),
            "during": [STREAM + chunk(text("Hel")), HOLD],
            "before": [HOLD],
        }

        code = """
            left = []

            async def main():
                async for chunk in model.astream("during"):
                    break
                left.append(client.stream(client.call("during")))
                await first(left[-1])
                for query in ("during", "before"):
                    pending = asyncio.create_task(model.ainvoke(query))
                    await asyncio.sleep(0.1)
                    pending.cancel()
                timing_out = ChatDarkAI(base_url=url, max_retries=0, stream_chunk_timeout=0.1)
                await asyncio.gather(*map(timing_out.ainvoke, ("during", "before")), return_exceptions=True)
                return (await model.ainvoke("Hi")).text

            async def closing():
                async with client:
                    return (await model.ainvoke("Hi")).text

            for _ in range(2):
                print(asyncio.run(main()), asyncio.run(closing()))
            for end in (lambda stream: stream.close(), left.append):
                stream = model.stream("during")
                next(stream)
                end(stream)
            with client:
                print(model.invoke("Hi").text)
        """
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert run(serve_tls(lambda request: scripts[request.query]), code) == ["Hello"] * 5

    def test_tls_connections_of_forks_and_closed_loops_cause_no_warnings(
        self, serve_tls: Serve, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code = """
            for _ in range(3):
                loop = asyncio.new_event_loop()
                print(loop.run_until_complete(model.ainvoke("Hi")).text)
                left = client.stream(client.call("during"))
                loop.run_until_complete(first(left))
                if pid := os.fork():
                    os.waitpid(pid, 0)
                else:
                    print(model.invoke("Hi").text, flush=True)
                    sys.exit(0)
                print(loop.run_until_complete(model.ainvoke("Hi")).text)
                loop.close()
                del loop, left
                gc.collect()
            print(asyncio.run(model.ainvoke("Hi")).text)
        """
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        server = serve_tls(
            lambda request: [STREAM + chunk(text("Hel")), HOLD] if request.query == "during" else reply("Hello")
        )
        assert run(server, code) == ["Hello"] * 10
        assert server.connections == 10

    async def test_a_certificate_for_another_name_is_refused(self, serve_tls: Serve, certificate: Path) -> None:
        url = serve_tls(reply("Hello")).url.replace("127.0.0.1", "localhost")
        with pytest.raises(DarkAIConnectionError, match=r"(?i)hostname mismatch.*verify="):
            await ChatDarkAI(base_url=url, verify=certificate, max_retries=0, timeout=10.0).ainvoke("Hi")


async def test_a_task_that_is_cancelled_gets_its_cancellation_and_nothing_else(serve: Serve, model_of: ModelOf) -> None:
    """Cancellation is the one foreign exception that comes out, at whatever moment it comes."""
    server = serve(lambda _: [0.01, STREAM, 0.01, chunk(text(BEFORE)), 0.01, chunk(b"")])
    model = model_of(server, max_retries=50)
    ended = []
    for n in range(40):
        task = asyncio.ensure_future(model.ainvoke("Hi"))
        await asyncio.sleep(n * 0.002)
        task.cancel()
        ended.append((await asyncio.gather(task, return_exceptions=True))[0])
    assert {type(end) for end in ended} == {asyncio.CancelledError}
    await server.await_for(lambda server: server.active == 0)
