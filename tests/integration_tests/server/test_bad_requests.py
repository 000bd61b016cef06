"""Requests that are wrong, too long, too slow, or no HTTP at all."""

import asyncio
import io
import json
import logging
from contextlib import suppress
from typing import Annotated, Any

import pytest
from langchain_core.language_models import FakeListChatModel
from pydantic import Field, SecretStr, field_validator, model_validator

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import ServerTimeouts
from tests.support.app_client import no_connections, serving, soon, text_of
from tests.support.models import GeneratingModel, scripted


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
    headers = {"content-type": "application/json"}
    async with serving() as client, client.session.post(f"{client.url}/chat", data=body, headers=headers) as response:
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


async def test_a_body_that_stops_midway_is_408() -> None:
    async with serving(timeouts=ServerTimeouts(request_body=0.05)) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b'POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"query"')
        head = await soon(reader.readuntil(b"\r\n\r\n"))
        assert head.startswith(b"HTTP/1.1 408 ")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("options", "status"),
    [({"timeouts": ServerTimeouts(request_body=0.1)}, 408), ({"max_query_bytes": 100}, 413)],
    ids=["time", "size"],
)
async def test_a_body_that_never_ends_is_ended(options: Any, status: int) -> None:
    async with serving(**options) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)

        async def send() -> None:
            writer.write(b"POST /chat HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
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


CHUNKED = b"POST /chat HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"


ENCODED = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: %s\r\ncontent-length: 15\r\n\r\n{'query': 'Hi'}"


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
        pytest.param(b"GET /health HTTP/1.1\r\nhost: localhost\r\na: %s\r\n\r\n" % (b"x" * 50_000), id="long header"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="TLS"),
        pytest.param(b"\x00\xff" * 50 + b"\r\n\r\n", id="noise"),
    ],
)
async def test_a_malformed_request_is_told_of_in_one_line_at_most(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(sent)
        assert (await soon(reader.readuntil(b"\r\n\r\n"))).split()[1] in (b"400", b"415")
        writer.close()
        await writer.wait_closed()
        await soon(no_connections(client.runner))
    of_all = ("asyncio", "aiohttp.access", "langchain_darkai.server.requests")  # one for each request, good or bad
    records = [record for record in caplog.records if record.name not in of_all]
    assert len(records) <= 1
    for record in records:
        assert record.name == "langchain_darkai.server"
        assert record.levelno == logging.INFO
        assert record.exc_info is None
        assert "\n" not in record.getMessage()
        assert len(record.getMessage()) < 300


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


KEY = "the-right-key"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer %s\x00\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nauthorization : Bearer %s\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nauthorization Bearer %s\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\n authorization: Bearer %s\r\n\r\n",
        b"GET /health?key=%s HTTP/9.9\r\n\r\n",
        b"Bearer %s\r\n\r\n",
        b"POST /chat HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n%s\r\n",
    ],
)
async def test_a_malformed_request_does_not_write_the_key_into_the_log(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(api_key=KEY) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(sent % KEY.encode())
        with suppress(asyncio.IncompleteReadError):
            await soon(reader.readuntil(b"\r\n\r\n"))
        writer.close()
        await writer.wait_closed()
        await soon(no_connections(client.runner))
    ours = [record for record in caplog.records if record.name.startswith("langchain_darkai")]
    assert [record.getMessage() for record in ours if KEY in record.getMessage() or record.exc_info] == []


LONG = "x" * 1_000_000


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("POST", "/chat", {"data": {"query": "Hi", "model": LONG}}),
        ("POST", "/chat", {"data": {"query": "Hi", "temperature": LONG}}),
        ("POST", "/chat", {"data": {"query": "Hi", "temperature": [[LONG] * 3] * 3}}),
        ("POST", "/chat", {"data": {"query": "Hi", "temperature": {LONG: LONG}}}),
        ("POST", "/chat", {"data": {"query": "Hi", "max_tokens": float("1" + "0" * 300)}}),
        ("GET", f"/{LONG[:8000]}", {}),
        ("GET", "/health", {"headers": {"origin": LONG[:8000]}}),
        ("GET", "/health", {"headers": {"host": LONG[:8000]}}),
        ("GET", "/health", {"headers": {"content-encoding": LONG[:8000]}}),
        ("POST", "/chat", {"headers": {"content-type": f"text/{LONG[:8000]}"}}),
    ],
)
async def test_what_a_client_sent_is_told_it_in_short(method: str, path: str, options: dict[str, Any]) -> None:
    data = io.BytesIO(json.dumps(options.get("data")).encode())
    headers = {"content-type": "application/json", **options.get("headers", {})}
    async with (
        serving({"one": scripted("Hi")}) as client,
        client.session.request(method, client.url + path, data=data, headers=headers) as response,
    ):
        assert 400 <= response.status < 500
        assert len(await response.read()) < 700


class Bounded(FakeListChatModel):
    """A model whose fields have bounds."""

    max_tokens: int | None = Field(default=None, gt=0, alias="max_tokens_to_sample")
    temperature: Annotated[float, Field(ge=0)] = Field(default=0.5, le=2)
    top_p: float | None = None
    seed: SecretStr | None = None


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"max_tokens": -5}, '"max_tokens" is -5. Input should be greater than 0.'),
        ({"max_tokens": 0}, '"max_tokens" is 0. Input should be greater than 0.'),
        ({"temperature": 2.5}, '"temperature" is 2.5. Input should be less than or equal to 2.'),
        ({"temperature": -1}, '"temperature" is -1. Input should be greater than or equal to 0.'),
        ({"seed": 5}, '"seed" is 5. Input should be a valid string.'),
    ],
)
async def test_a_value_that_the_models_field_forbids_is_400_with_the_reason(
    parameters: dict[str, Any], said: str
) -> None:
    async with serving(Bounded(responses=["Hi"])) as client:
        status, error = await client.error(**parameters)
        assert (status, error["message"]) == (400, said)
        assert text_of(await client.events(max_tokens=5, temperature=2, top_p=-3)) == "Hi"


class CheckedField(GeneratingModel):
    @field_validator("max_tokens")
    @classmethod
    def positive(cls, value: int | None) -> int | None:
        if value is not None and value <= 0:
            raise ValueError("max_tokens must be positive")
        return value


class CheckedWhole(GeneratingModel):
    @model_validator(mode="after")
    def positive(self) -> "CheckedWhole":
        if self.max_tokens is not None and self.max_tokens <= 0:
            raise ValueError("max_tokens must be positive")
        return self


@pytest.mark.parametrize("kind", [CheckedField, CheckedWhole])
async def test_a_value_that_a_validator_of_the_model_forbids_is_400_with_the_reason(
    kind: type[GeneratingModel],
) -> None:
    model = kind(replies=[["Hi"]])
    async with serving(model) as client:
        status, error = await client.error(max_tokens=-5, temperature=1)
        assert (status, error["message"]) == (400, '"max_tokens" is -5. Value error, max_tokens must be positive.')
        assert model.record.given == []
        assert text_of(await client.events(max_tokens=5, temperature=1)) == "Hi"
        assert (model.record.given[-1]["max_tokens"], model.record.given[-1]["temperature"]) == (5, 1)
        assert model.max_tokens is None


class Frozen(GeneratingModel):
    max_tokens: int | None = Field(default=None, gt=0, frozen=True)


class MadeForADict(GeneratingModel):
    max_tokens: int | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def complete(cls, values: Any) -> Any:
        if "max_tokens" in values:
            raise ValueError("it is set already")
        return values


@pytest.mark.parametrize("kind", [Frozen, MadeForADict])
async def test_a_model_that_takes_no_assignments_gets_its_parameters_all_the_same(kind: type[GeneratingModel]) -> None:
    model = kind(replies=[["Hi"]])
    async with serving(model) as client:
        assert text_of(await client.events(max_tokens=5, temperature=1)) == "Hi"
        assert (model.record.given[-1]["max_tokens"], model.record.given[-1]["temperature"]) == (5, 1)
        status, error = await client.error(max_tokens=-5)
        assert (status, error["message"]) == (400, '"max_tokens" is -5. Input should be greater than 0.')


async def test_parameters_of_a_served_client_reach_the_server_behind_it() -> None:
    behind = scripted("Hi")
    async with serving(behind) as inner, serving(ChatDarkAI(base_url=inner.url)) as client:
        assert text_of(await client.events(max_tokens=5, temperature=1)) == "Hi"
        assert (behind.record.given[-1]["max_tokens"], behind.record.given[-1]["temperature"]) == (5, 1)
        assert (await client.error(max_tokens=-5))[0] == 400
