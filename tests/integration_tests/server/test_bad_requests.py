"""Requests that are wrong, too long, too slow, or no HTTP at all."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest

from langchain_darkai.server import ServerTimeouts
from tests.support.app_client import no_connections, serving, soon


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
    records = [record for record in caplog.records if record.name not in ("asyncio", "aiohttp.access")]
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
