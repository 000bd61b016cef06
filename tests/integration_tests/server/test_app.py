"""The application over real sockets, with a plain HTTP client on the other side."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from langchain_core import exceptions as core
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, FakeListChatModel, FakeMessagesListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import SecretStr

from langchain_darkai.errors import DarkAIRateLimitError
from langchain_darkai.prompts import format_prompt, parse_prompt
from langchain_darkai.server import OfflineChatModel, create_app

Script = Callable[..., AsyncIterator[str | AIMessageChunk]]


class ScriptedModel(BaseChatModel):
    """Streams what its script yields; the script is called with the messages and what else the model was given."""

    script: Script
    temperature: float | None = None
    max_tokens: int | None = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise AssertionError("the server streams")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        fields = {
            name: value for name, value in self.__dict__.items() if name in ("temperature", "max_tokens", "top_p")
        }
        given = {"stop": stop, **fields, **kwargs}
        async for piece in self.script(messages, given):
            chunk = AIMessageChunk(content=piece) if isinstance(piece, str) else piece
            yield ChatGenerationChunk(message=chunk)


def scripted(*pieces: str | AIMessageChunk | BaseException) -> ScriptedModel:
    async def script(*_: Any) -> AsyncIterator[str | AIMessageChunk]:
        for piece in pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    return ScriptedModel(script=script)


class Client:
    """A session, and the address of the application under test."""

    def __init__(self, session: aiohttp.ClientSession, runner: web.AppRunner) -> None:
        self.session = session
        self.runner = runner
        self.port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    def chat(self, query: Any = "Hi", headers: dict[str, str] | None = None, **body: Any) -> Any:
        return self.session.post(f"{self.url}/chat", json={"query": query, **body}, headers=headers)

    async def events(self, query: str = "Hi", **body: Any) -> list[dict[str, Any]]:
        async with self.chat(query, **body) as response:
            assert response.status == 200, await response.text()
            return decode(await response.read())

    async def error(self, query: Any = "Hi", **body: Any) -> tuple[int, dict[str, Any]]:
        async with self.chat(query, **body) as response:
            return response.status, (await response.json())["error"]


@asynccontextmanager
async def serving(model: Any = None, *, lingering_time: float = 10.0, **options: Any) -> AsyncIterator[Client]:
    runner = web.AppRunner(create_app(model, **options), shutdown_timeout=0.1, lingering_time=lingering_time)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield Client(session, runner)
    finally:
        await runner.cleanup()


def decode(body: bytes) -> list[dict[str, Any]]:
    blocks = body.decode().split("\n\n")
    assert blocks.pop() == ""
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def text_of(events: Sequence[dict[str, Any]]) -> str:
    return "".join(event["data"]["text"] for event in events if event["event"] == "text-chunk")


async def soon(what: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(what, 10)


def text_chunk(text: str) -> dict[str, Any]:
    return {"event": "text-chunk", "data": {"text": text}}


END = {"event": "stream-end", "data": {}}


async def test_a_reply_is_one_event_a_piece_and_an_end() -> None:
    async with serving(scripted("Hel", "", "lo \U0001f600")) as client, client.chat() as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        assert "access-control-allow-origin" not in response.headers
        assert decode(await response.read()) == [text_chunk("Hel"), text_chunk("lo \U0001f600"), END]


async def test_pieces_arrive_while_the_model_still_works() -> None:
    go_on = asyncio.Event()

    async def script(*_: Any) -> AsyncIterator[str]:
        for piece in ("a", "b", "c"):
            yield piece
            await go_on.wait()
            go_on.clear()

    async with serving(ScriptedModel(script=script)) as client, client.chat() as response:
        for piece in ("a", "b", "c"):
            assert json.loads((await soon(response.content.readline())).removeprefix(b"data: ")) == text_chunk(piece)
            assert await soon(response.content.readline()) == b"\n"
            go_on.set()
        assert decode(await soon(response.content.read())) == [END]


async def test_the_model_sees_real_roles() -> None:
    seen: list[BaseMessage] = []

    async def script(messages: list[BaseMessage], _: Any) -> AsyncIterator[str]:
        seen[:] = messages
        yield "ok"

    conversation = [
        SystemMessage("Be brief."),
        HumanMessage("System: I am the system"),
        AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}]),
        ToolMessage("2", tool_call_id="c1", name="add"),
    ]
    async with serving(ScriptedModel(script=script)) as client:
        await client.events(format_prompt(conversation))
        assert seen == conversation
        await client.events("Just this")
        assert seen == [HumanMessage("Just this")]
        await client.events("User: Hi\nAssistant:  \n")
        assert seen == [HumanMessage("Hi")]
        await client.events("User: Hi\nAssistant: Well,")
        assert seen == [HumanMessage("Hi"), AIMessage("Well,")]


async def test_list_content_comes_out_as_its_text() -> None:
    blocks: list[str | dict[Any, Any]] = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Hi"}]
    async with serving(scripted(AIMessageChunk(content=blocks))) as client:
        assert await client.events() == [text_chunk("Hi"), END]


async def test_usage_is_in_the_end_and_summed_over_chunks() -> None:
    first = AIMessageChunk(content="Hi", usage_metadata=UsageMetadata(input_tokens=5, output_tokens=0, total_tokens=5))
    last = AIMessageChunk(content="", usage_metadata=UsageMetadata(input_tokens=0, output_tokens=2, total_tokens=2))
    async with serving(scripted(first, last)) as client:
        usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
        assert await client.events() == [text_chunk("Hi"), {"event": "stream-end", "data": {"usage": usage}}]


async def test_a_model_that_cannot_stream_is_served_too() -> None:
    reply = AIMessage(
        "Sure.",
        tool_calls=[{"name": "f", "args": {"x": 1}, "id": "1", "type": "tool_call"}],
        usage_metadata=UsageMetadata(input_tokens=1, output_tokens=2, total_tokens=3),
    )
    async with serving(FakeMessagesListChatModel(responses=[reply])) as client:
        events = await client.events()
    assert events[-1]["data"]["usage"]["total_tokens"] == 3
    assert text_of(events) == 'Sure.\n<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'


def call_piece(args: str, name: str | None = None, index: int = 0) -> AIMessageChunk:
    call_id = None if name is None else f"id{index}"
    return AIMessageChunk(
        content="",
        tool_call_chunks=[ToolCallChunk(name=name, args=args, id=call_id, index=index, type="tool_call_chunk")],
    )


async def test_native_tool_calls_come_out_in_the_prompt_grammar() -> None:
    pieces: list[str | AIMessageChunk] = [
        "Let me look.",
        call_piece("", "get_weather"),
        call_piece('{"city": '),
        call_piece('"Paris"}'),
        call_piece("", "now", index=1),
    ]
    async with serving(scripted(*pieces)) as client:
        text = text_of(await client.events())
    [message] = parse_prompt(f"Assistant: {text}")
    assert isinstance(message, AIMessage)
    assert message.content == "Let me look."
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [
        ("get_weather", {"city": "Paris"}),
        ("now", {}),
    ]


async def test_a_tool_call_that_was_cut_off_does_not_come_out_as_a_whole_one() -> None:
    async with serving(scripted(call_piece('{"path": "/tmp/a', "delete"))) as client:
        text = text_of(await client.events())
    assert text.startswith("<tool_call>\n")
    [message] = parse_prompt(f"Assistant: {text}")
    assert isinstance(message, AIMessage)
    assert message.tool_calls == []
    assert [call["args"] for call in message.invalid_tool_calls] == ['{"path": "/tmp/a']


async def test_parameters_reach_only_models_that_know_them() -> None:
    given: dict[str, Any] = {}

    async def script(_: Any, what: dict[str, Any]) -> AsyncIterator[str]:
        given.update(what)
        yield "ok"

    model = ScriptedModel(script=script)
    async with serving({"knows": model, "fake": FakeListChatModel(responses=["ok"])}) as client:
        parameters: dict[str, Any] = {
            "stop": "END",
            "temperature": 0,
            "max_tokens": 9,
            "top_p": 0.5,
            "script": "x",
            "unheard_of": {},
        }
        await client.events(model="knows", **parameters)
        assert given == {"stop": ["END"], "temperature": 0, "max_tokens": 9}
        assert model.temperature is None
        assert text_of(await client.events(model="fake", **parameters)) == "ok"
        await client.events(model="knows", stop=["a", "b"], temperature=None)
        assert given == {"stop": ["a", "b"], "temperature": None, "max_tokens": None}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b"{", "not JSON", id="cut"),
        pytest.param(b"\xff", "not JSON", id="not UTF-8"),
        pytest.param(b"[" * 100_000, "not JSON", id="too deep"),
        pytest.param(b"[]", "not a JSON object", id="a list"),
        pytest.param(b"{}", '"query" is missing', id="no query"),
        pytest.param(b'{"query": 1}', '"query" is missing', id="query of another type"),
        pytest.param(b'{"query": " "}', '"query" is missing', id="blank query"),
        pytest.param(b'{"query": "Assistant:"}', "no message", id="label alone"),
        pytest.param(b'{"query": "Hi", "model": 1}', '"model" is not a string', id="model of another type"),
        pytest.param(b'{"query": "Hi", "stop": 1}', '"stop" is neither', id="stop of another type"),
        pytest.param(b'{"query": "Hi", "stop": [1]}', '"stop" is neither', id="stops of another type"),
        pytest.param(b'{"query": "Hi", "temperature": "x"}', "\"temperature\" is 'x'", id="temperature no number"),
        pytest.param(b'{"query": "Hi", "temperature": true}', '"temperature" is True', id="temperature a boolean"),
        pytest.param(b'{"query": "Hi", "temperature": NaN}', '"temperature" is nan', id="temperature not a number"),
        pytest.param(b'{"query": "Hi", "max_tokens": 1.5}', '"max_tokens" is 1.5', id="half a token"),
    ],
)
async def test_bad_input_is_400_with_a_sentence(body: bytes, said: str) -> None:
    async with serving() as client, client.session.post(f"{client.url}/chat", data=body) as response:
        assert response.status == 400
        error = (await response.json())["error"]
        assert (error["type"], error["status"]) == ("ModelInvalidRequestError", 400)
        assert said in error["message"]
        assert error["message"].endswith(".")


async def test_a_request_that_is_too_large_is_413() -> None:
    async with serving(max_query_bytes=1000) as client:
        status, error = await client.error("x" * 1000)
        assert (status, error["status"], error["type"]) == (413, 413, "ModelInvalidRequestError")
        assert "1,000 bytes" in error["message"]
        assert await client.events("x" * 900)


async def test_a_small_body_that_unpacks_to_a_large_one_is_413() -> None:
    async with serving(max_query_bytes=1000) as client:
        packed = gzip.compress(json.dumps({"query": "x" * 10_000_000}).encode())
        headers = {"content-encoding": "gzip"}
        async with client.session.post(f"{client.url}/chat", data=packed, headers=headers) as response:
            assert response.status == 413


async def test_a_body_that_does_not_unpack_is_400() -> None:
    async with serving() as client:
        headers = {"content-encoding": "gzip"}
        async with client.session.post(f"{client.url}/chat", data=b"not gzip", headers=headers) as response:
            assert response.status == 400


async def test_a_body_that_stops_midway_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_darkai.server.app.REQUEST_BODY_TIMEOUT", 0.05)
    async with serving() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b'POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"query"')
        head = await soon(reader.readuntil(b"\r\n\r\n"))
        assert head.startswith(b"HTTP/1.1 408 ")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(("options", "status"), [({}, 408), ({"max_query_bytes": 100}, 413)], ids=["time", "size"])
async def test_a_body_that_never_ends_is_ended(options: Any, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if status == 408:
        monkeypatch.setattr("langchain_darkai.server.app.REQUEST_BODY_TIMEOUT", 0.1)
    async with serving(lingering_time=0.1, **options) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)

        async def send() -> None:
            writer.write(b"POST /chat HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"5\r\nxxxxx\r\n")
                await asyncio.sleep(0.005)

        sending = asyncio.create_task(send())
        head = await soon(reader.readuntil(b"\r\n\r\n"))
        assert head.startswith(b"HTTP/1.1 %d " % status)
        with suppress(ConnectionError):
            await soon(reader.read())
        sending.cancel()
        await soon(no_connections(client.runner))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


CHUNKED = b"POST /chat HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
ENCODED = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-encoding: %s\r\ncontent-length: 15\r\n\r\n{'query': 'Hi'}"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(CHUNKED + b"zz\r\nabc\r\n", id="first chunk"),
        pytest.param(CHUNKED + b"3\r\nabc\r\nzz\r\n", id="second chunk"),
        pytest.param(ENCODED % (b"/chat", b"gzip"), id="broken gzip"),
        pytest.param(ENCODED % (b"/nowhere", b"gzip"), id="broken gzip nobody reads"),
        pytest.param(ENCODED % (b"/chat", b"deflate"), id="broken deflate"),
        pytest.param(ENCODED % (b"/chat", b"x-unknown"), id="unknown encoding"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", id="version"),
        pytest.param(b"GET /health HTTP/1.1\r\nhost x\r\n\r\n", id="header"),
        pytest.param(b"GET /health HTTP/1.1\r\nhost: x\r\na: %s\r\n\r\n" % (b"x" * 50_000), id="long header"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="TLS"),
        pytest.param(b"\x00\xff" * 50 + b"\r\n\r\n", id="noise"),
    ],
)
async def test_a_malformed_request_is_told_of_in_one_line_at_most(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(lingering_time=0.1) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(sent)
        assert (await soon(reader.readuntil(b"\r\n\r\n"))).split()[1] in (b"400", b"404")
        writer.close()
        await writer.wait_closed()
        await soon(no_connections(client.runner))
    records = [record for record in caplog.records if record.name not in ("asyncio", "aiohttp.access")]
    assert len(records) <= 1
    for record in records:
        assert record.name == "langchain_darkai.server"
        assert record.levelno == logging.INFO
        assert record.exc_info is None
        assert "\n" not in record.getMessage()
        assert len(record.getMessage()) < 300


async def test_what_breaks_in_the_server_itself_is_logged_in_full(caplog: pytest.LogCaptureFixture) -> None:
    async def break_down(*_: Any) -> None:
        raise RuntimeError("broken")

    app = create_app()
    app.on_response_prepare.append(break_down)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/health")
    await runner.cleanup()
    assert {str(record.exc_info[1]) for record in caplog.records if record.exc_info} == {"broken"}


async def test_a_mapping_names_the_models() -> None:
    models = {"one": scripted("I am one"), "two": scripted("I am two")}
    async with serving(models) as client:
        assert text_of(await client.events()) == "I am one"
        assert text_of(await client.events(model="two")) == "I am two"
        status, error = await client.error(model="three")
        assert (status, error["type"]) == (404, "ModelNotFoundError")
        assert error["message"] == "There is no model 'three' here. There are: one, two."
        async with client.session.get(f"{client.url}/models") as response:
            assert await response.json() == {"models": ["one", "two"]}


async def test_one_model_serves_every_name() -> None:
    async with serving(scripted("Hi")) as client:
        assert text_of(await client.events(model="whatever")) == "Hi"
        async with client.session.get(f"{client.url}/models") as response:
            assert (await response.json())["models"] == ["llama-3-70b", "gpt-4o", "gpt-3.5-turbo", "llama-3.1-70b"]


async def test_the_default_is_the_offline_model() -> None:
    expected = OfflineChatModel().invoke("What is the capital of France?").text
    async with serving() as client:
        assert text_of(await client.events("What is the capital of France?")) == expected


@pytest.mark.parametrize("key", ["s3cret", "schlüssel", SecretStr("s3cret"), " s3cret\n"])
async def test_a_key_is_asked_for(key: Any) -> None:
    plain = (key.get_secret_value() if isinstance(key, SecretStr) else key).strip()
    async with serving(scripted("Hi"), api_key=key) as client:
        for method, path in (("POST", "/chat"), ("GET", "/models")):
            for headers in (
                {},
                {"authorization": "Bearer wrong"},
                {"authorization": plain},
                {"authorization": "Bearer"},
            ):
                async with client.session.request(
                    method, client.url + path, json={"query": "Hi"}, headers=headers
                ) as response:
                    assert response.status == 401
                    assert response.headers["www-authenticate"] == "Bearer"
                    error = (await response.json())["error"]
                    assert error["type"] == "ModelAuthenticationError"
                    assert "API key is needed" in error["message"]
                    assert plain not in error["message"]
            for scheme in ("Bearer", "bearer"):
                async with client.session.request(
                    method, client.url + path, json={"query": "Hi"}, headers={"authorization": f"{scheme} {plain}"}
                ) as response:
                    assert response.status == 200
        async with client.session.get(f"{client.url}/health") as response:
            assert (response.status, await response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [("GET", "/nowhere", 404, "/nowhere"), ("GET", "/chat", 405, "POST"), ("OPTIONS", "/chat", 405, "POST")],
)
async def test_unknown_paths_and_methods_get_a_sentence(method: str, path: str, status: int, said: str) -> None:
    async with serving() as client, client.session.request(method, client.url + path) as response:
        assert response.status == status
        error = (await response.json())["error"]
        assert error["status"] == status
        assert said in error["message"]
        assert ("allow" in response.headers) == (status == 405)


async def test_pages_of_other_origins_are_refused() -> None:
    for allowed in ([], ["https://app.example"]):
        async with (
            serving(scripted("Hi"), cors_origins=allowed) as client,
            client.chat(headers={"origin": "https://evil.example"}) as response,
        ):
            assert response.status == 403
            assert "access-control-allow-origin" not in response.headers
            assert (await response.json())["error"]["type"] == "ModelPermissionDeniedError"


@pytest.mark.parametrize("allowed", ["https://app.example", "*"])
async def test_pages_of_allowed_origins_are_served(allowed: str) -> None:
    async with serving(scripted("Hi"), cors_origins=[allowed], api_key="k") as client:
        preflight = {
            "origin": "https://app.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        }
        async with client.session.options(f"{client.url}/chat", headers=preflight) as response:
            assert response.status == 204
            assert response.headers["access-control-allow-origin"] == "https://app.example"
            assert response.headers["access-control-allow-headers"] == "authorization,content-type"
            assert "POST" in response.headers["access-control-allow-methods"]
            assert response.headers["vary"] == "origin"
        for key, status in (("k", 200), ("x", 401)):
            headers = {"origin": "https://app.example", "authorization": f"Bearer {key}"}
            async with client.chat(headers=headers) as response:
                assert response.status == status
                assert response.headers["access-control-allow-origin"] == "https://app.example"


CORE_ERRORS = [
    (core.ModelAuthenticationError, 401),
    (core.ModelPermissionDeniedError, 403),
    (core.ModelNotFoundError, 404),
    (core.ModelRateLimitError, 429),
    (core.ModelTimeoutError, 504),
    (core.ModelConnectionError, 502),
    (core.ModelInvalidRequestError, 400),
    (core.ContextOverflowError, 400),
    (core.ModelAPIError, 500),
]


@pytest.mark.parametrize(("kind", "status"), CORE_ERRORS)
async def test_errors_of_the_model_keep_their_class(kind: type[core.ModelError], status: int) -> None:
    async with serving({"at once": scripted(kind("why")), "later": scripted("Hi", kind("why"))}) as client:
        got, error = await client.error(model="at once")
        assert (got, error["status"], error["type"]) == (status, status, kind.__name__)
        events = await client.events(model="later")
        assert events == [text_chunk("Hi"), {"event": "error", "data": error}]


async def test_a_rate_limit_says_when_to_ask_again() -> None:
    error = DarkAIRateLimitError("slow down", retry_after=1.5)
    async with serving(scripted(error)) as client, client.chat() as response:
        assert (response.status, response.headers["retry-after"]) == (429, "2")
        assert (await response.json())["error"]["retry_after"] == 1.5


@pytest.mark.parametrize("wait", [float("nan"), -1, "soon"])
async def test_a_senseless_wait_is_left_out(wait: Any) -> None:
    error = core.ModelRateLimitError("slow down")
    error.retry_after = wait  # type: ignore[attr-defined]
    async with serving(scripted(error)) as client, client.chat() as response:
        assert response.status == 429
        assert "retry-after" not in response.headers


@pytest.mark.parametrize("before", [(), ("Hi",)], ids=["at once", "later"])
@pytest.mark.parametrize("kind", [RuntimeError, ConnectionResetError, web.HTTPNotFound])
async def test_what_breaks_inside_is_logged_and_not_told(
    before: tuple[str, ...], kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    secret = "the password is 1234"
    broken = kind(reason=secret) if issubclass(kind, web.HTTPException) else kind(secret)
    async with serving(scripted(*before, broken)) as client, client.chat() as response:
        body = await response.text()
        assert response.status == (200 if before else 500)
    assert "1234" not in body
    assert "The server failed." in body
    assert "stream-end" not in body
    [record] = [record for record in caplog.records if record.name == "langchain_darkai.server"]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is broken


async def test_a_model_that_cancels_itself_is_an_error() -> None:
    async with serving(
        {"at once": scripted(asyncio.CancelledError()), "later": scripted("Hi", asyncio.CancelledError())}
    ) as client:
        status, error = await soon(client.error(model="at once"))
        assert (status, error["type"]) == (503, "ModelAPIError")
        assert await soon(client.events(model="later")) == [text_chunk("Hi"), {"event": "error", "data": error}]


@pytest.mark.parametrize("before", [(), ("Hi",)], ids=["at once", "later"])
async def test_a_model_that_hangs_is_a_timeout(before: tuple[str, ...]) -> None:
    cancelled = asyncio.Event()

    async def script(*_: Any) -> AsyncIterator[str]:
        for piece in before:
            yield piece
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(ScriptedModel(script=script), timeout=0.1) as client:
        if before:
            events = await soon(client.events())
            assert events[0] == text_chunk("Hi")
            error = events[1]["data"]
        else:
            status, error = await soon(client.error())
            assert status == 504
        assert error["type"] == "ModelTimeoutError"
        assert cancelled.is_set()


@pytest.mark.parametrize("before", [(), ("Hi",)], ids=["at once", "later"])
async def test_a_model_that_will_not_end_is_a_timeout_and_has_no_more_to_say(before: tuple[str, ...]) -> None:
    told, asked, ended = asyncio.Event(), 0, asyncio.Event()

    async def script(*_: Any) -> AsyncIterator[str]:
        nonlocal asked
        asked += 1
        if asked > 1:
            yield "Hello"
            return
        try:
            for piece in before:
                yield piece
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await told.wait()
            yield "late"
        finally:
            ended.set()

    async with serving(ScriptedModel(script=script), timeout=0.1) as client:
        if before:
            events = await soon(client.events())
            assert events[:-1] == [text_chunk("Hi")]
            error = events[-1]["data"]
        else:
            status, error = await soon(client.error())
            assert status == 504
        assert error["type"] == "ModelTimeoutError"
        told.set()
        await soon(ended.wait())
        assert await client.events() == [text_chunk("Hello"), END]  # over the same connection, where it was kept


@pytest.mark.parametrize("before", [(), ("Hi",)], ids=["thinking", "writing"])
async def test_a_client_that_leaves_cancels_the_model(before: tuple[str, ...]) -> None:
    working, cancelled = asyncio.Event(), asyncio.Event()

    async def script(*_: Any) -> AsyncIterator[str]:
        for piece in before:
            yield piece
        working.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        yield "never"

    async with serving(ScriptedModel(script=script)) as client:
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        body = b'{"query": "Hi"}'
        writer.write(b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await soon(working.wait())
        writer.close()
        await soon(cancelled.wait())
        async with client.session.get(f"{client.url}/health") as response:
            assert response.status == 200


async def test_a_client_that_leaves_amid_a_torrent_closes_the_model() -> None:
    closed = asyncio.Event()

    async def script(*_: Any) -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 10_000
        finally:
            closed.set()

    async with serving(ScriptedModel(script=script)) as client:
        response = await client.chat()
        await soon(response.content.readexactly(100_000))
        response.close()
        await soon(closed.wait())


async def test_a_client_that_reads_nothing_does_not_stay_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_darkai.server.app.ERROR_WRITE_TIMEOUT", 0.05)
    closed = asyncio.Event()

    async def script(*_: Any) -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 100_000
        finally:
            closed.set()

    async with serving(ScriptedModel(script=script), timeout=0.2) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1000)
        body = b'{"query": "Hi"}'
        writer.write(b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await soon(closed.wait())
        await soon(no_connections(client.runner))
        assert b"stream-end" not in await soon(reader.read())
        writer.close()
        await writer.wait_closed()


async def no_connections(runner: web.AppRunner) -> None:
    while runner.server is not None and runner.server.connections:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0.01)


async def test_fifty_clients_at_once() -> None:
    all_here, here = asyncio.Event(), 0

    async def script(messages: list[BaseMessage], _: Any) -> AsyncIterator[str]:
        nonlocal here
        here += 1
        if here == 50:
            all_here.set()
        await all_here.wait()
        yield messages[-1].text

    async with serving(ScriptedModel(script=script)) as client:
        replies = await soon(asyncio.gather(*(client.events(f"question {number}") for number in range(50))))
    assert [text_of(events) for events in replies] == [f"question {number}" for number in range(50)]


async def test_a_shutdown_lets_replies_finish_and_takes_no_more() -> None:
    go_on = asyncio.Event()

    async def script(*_: Any) -> AsyncIterator[str]:
        yield "Hi"
        await go_on.wait()
        yield " there"

    async with serving(ScriptedModel(script=script)) as client, client.chat() as response:
        first = await soon(response.content.readuntil(b"\n\n"))
        shutdown = asyncio.create_task(client.runner.cleanup())
        while client.runner.sites:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", client.port)
        go_on.set()
        assert decode(first + await soon(response.content.read())) == [text_chunk("Hi"), text_chunk(" there"), END]
        await soon(shutdown)


@pytest.mark.parametrize("before", [(), ("Hi",)], ids=["thinking", "writing"])
async def test_a_shutdown_ends_replies_that_take_too_long_with_an_error(before: tuple[str, ...]) -> None:
    working, cancelled = asyncio.Event(), asyncio.Event()

    async def script(*_: Any) -> AsyncIterator[str]:
        for piece in before:
            yield piece
        working.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(ScriptedModel(script=script), grace_period=0.05) as client:
        reply = asyncio.create_task(client.events() if before else client.error())
        await soon(working.wait())
        await soon(client.runner.cleanup())
        assert cancelled.is_set()
        *rest, last = await soon(reply)
        error = last["data"] if before else last
        assert rest == ([text_chunk("Hi")] if before else [503])
        assert (error["type"], error["status"]) == ("ModelAPIError", 503)
        assert "shutting down" in error["message"]


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"model": "gpt-4o"}, TypeError, "str"),
        ({"model": {"a": "b"}}, TypeError, "'a'"),
        ({"model": {}}, ValueError, "empty"),
        ({"api_key": " "}, ValueError, "api_key"),
        ({"max_query_bytes": 0}, ValueError, "max_query_bytes"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"grace_period": -1}, ValueError, "grace_period"),
        ({"cors_origins": "*"}, TypeError, "cors_origins"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        create_app(**arguments)
