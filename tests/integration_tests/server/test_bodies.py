"""The bodies of requests: compressed ones, those that nobody may send, and many at once."""

import asyncio
import gc
import gzip
import json
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from langchain_darkai.prompts import parse_prompt
from langchain_darkai.server import ServerTimeouts
from tests.support.app_client import Client, no_connections, serving, soon, text_of
from tests.support.models import ScriptedModel, scripted

QUERY = json.dumps({"query": "x" * 10_000_000}).encode()
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", ["/chat", "/models", "/health", "/nowhere"])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(QUERY)),
        ("deflate", zlib.compress(QUERY)),
        ("br", b"\x1b\x00\x00"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("x-unknown", QUERY[:100]),
        ("identity, gzip", gzip.compress(QUERY)),
        ("GZip", b"not gzip"),
    ],
)
async def test_a_body_with_an_encoding_is_refused_and_not_read(path: str, encoding: str, body: bytes) -> None:
    headers = {**JSON, "content-encoding": encoding}
    async with serving(api_key="right") as client:
        async with client.session.post(client.url + path, data=body, headers=headers) as response:
            assert response.status == 415
            error = (await response.json())["error"]
        assert error["type"] == "ModelInvalidRequestError"
        assert "Content-Encoding" in error["message"]


async def test_a_body_with_the_encoding_identity_is_read() -> None:
    async with serving(scripted("Hi")) as client, client.chat(headers={"content-encoding": "identity"}) as response:
        assert response.status == 200


@pytest.fixture
def inflated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what is inflated."""
    sizes: list[int] = []
    decompressobj = zlib.decompressobj

    class Recorded:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._real = decompressobj(*arguments, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def decompress(self, data: bytes, *length: int) -> bytes:
            done = self._real.decompress(data, *length)
            sizes.append(len(done))
            return done

    monkeypatch.setattr(zlib, "decompressobj", Recorded)
    return sizes


@pytest.mark.parametrize("path", ["/chat", "/models", "/health", "/nowhere"])
async def test_nothing_of_a_clients_body_is_inflated(path: str, inflated: list[int]) -> None:
    packed = gzip.compress(QUERY)
    async with serving(api_key="right") as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n"
        writer.write(head.encode() + b"\r\n" + packed)
        await soon(reader.readuntil(b"\r\n\r\n"))
        writer.close()
        await writer.wait_closed()
        await soon(no_connections(client.runner))
    assert inflated == []


@pytest.mark.parametrize("path", ["/chat", "/models"])
async def test_the_key_is_checked_before_the_body_is_there(path: str) -> None:
    method = "POST" if path == "/chat" else "GET"
    async with serving(scripted("Hi"), api_key="right") as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n{{".encode())
        assert b" 401 " in await soon(reader.readline())
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 200),
        ({"content-type": "Application/JSON; charset=utf-8"}, 200),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": ""}, 415),
    ],
)
async def test_a_chat_has_to_be_json(headers: dict[str, str], status: int) -> None:
    async with serving(scripted("Hi")) as client:
        body = b'{"query": "Hi"}'
        async with client.session.post(f"{client.url}/chat", data=body, headers=headers) as response:
            assert response.status == status
            if status == 415:
                assert "content-type: application/json" in (await response.json())["error"]["message"]


async def test_a_chat_without_a_content_type_is_taken_for_json() -> None:
    async with serving(scripted("Hi")) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b'POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 15\r\n\r\n{"query": "Hi"}')
        assert b" 200 " in await soon(reader.readline())
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("size", [3000, 5_000_000])
@pytest.mark.parametrize(("options", "status"), [({"api_key": "right"}, 401), ({"max_query_bytes": 1000}, 413)])
async def test_a_client_that_is_still_sending_gets_the_answer_why_not(size: int, options: Any, status: int) -> None:
    """Not only a broken connection, in which many clients lose an answer that came while they were sending."""
    async with serving(**options) as client:
        for _ in range(5):
            got, error = await soon(client.error("x" * size))
            assert (got, error["status"]) == (status, status)


@pytest.mark.parametrize(
    ("options", "head"), [({"api_key": "right"}, "POST /chat"), ({}, "GET /health"), ({}, "PUT /x")]
)
async def test_no_more_than_some_megabytes_of_a_body_are_read_after_the_answer(options: Any, head: str) -> None:
    async with serving(**options) as client:
        _reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(f"{head} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000000000\r\n\r\n".encode())
        sent = 0
        with suppress(ConnectionError):
            while sent < 300_000_000:
                writer.write(b" " * 1_000_000)
                await soon(writer.drain())
                sent += 1_000_000
        assert sent < 60_000_000
        writer.transport.abort()
        await soon(no_connections(client.runner))


def declared(length: int) -> bytes:
    return b"POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % length


class Senders:
    """Clients that send the beginning of a body each, and stay."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, count: int, length: int) -> None:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._client.port)
            self.connections.append((reader, writer))
            writer.write(declared(length + 1) + b" " * length)
            await writer.drain()

    async def refused(self) -> list[bytes]:
        """Return the heads of the answers that came; only those that are refused get any."""
        heads = (reader.readuntil(b"\r\n\r\n") for reader, _ in self.connections)
        done, waiting = await asyncio.wait(map(asyncio.ensure_future, heads), timeout=2)
        for head in waiting:
            head.cancel()
        return [head.result() for head in done]

    def leave(self) -> None:
        for _, writer in self.connections:
            writer.transport.abort()


async def test_unfinished_bodies_have_a_memory_for_all_of_them_together() -> None:
    longest = 400_000
    async with serving(scripted("Hi"), max_query_bytes=longest) as client:
        senders = Senders(client)
        await senders.send(30, longest - 1)
        refused = await senders.refused()
        # Sixteen of the longest are held, and a few more, of which the first 64 kB take no room.
        assert 8 <= len(refused) <= 14
        for head in refused:
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1\r\n" in head.lower()
        assert text_of(await client.events("x" * 50_000)) == "Hi"
        status, error = await client.error("x" * (longest - 1000))
        assert (status, error["retry_after"]) == (503, 1)
        senders.leave()
        await soon(served(client, "x" * (longest - 1000)))


async def served(client: Client, query: str) -> None:
    """Ask until there is an answer."""
    while True:
        async with client.chat(query) as response:
            if response.status == 200:
                return
        await asyncio.sleep(0.01)


async def test_long_prompts_take_room_until_their_replies_have_ended() -> None:
    go_on = asyncio.Event()
    model = ScriptedModel(replies=[lambda *_: replying()])

    async def replying() -> AsyncIterator[str]:
        yield "Hi"
        await go_on.wait()

    async with serving(model, max_query_bytes=400_000) as client:
        asked = [asyncio.ensure_future(client.events("x" * 399_000)) for _ in range(19)]
        await asyncio.to_thread(model.comes_to, 19)
        assert (await client.error("x" * 399_000))[0] == 503
        go_on.set()
        for events in await asyncio.gather(*asked):
            assert text_of(events) == "Hi"
        assert text_of(await client.events("x" * 399_000)) == "Hi"


def of_objects(length: int, name: str = "x") -> bytes:
    return b'{"query": "Hello", "%s": [%s{}]}' % (name.encode(), b"{}," * (length // 3))


async def test_a_parameter_that_nobody_uses_is_not_kept_while_a_client_waits() -> None:
    go_on = asyncio.Event()

    async def replying() -> AsyncIterator[str]:
        await go_on.wait()
        yield "Hi"

    model = ScriptedModel(replies=[lambda *_: replying()])
    async with serving(model) as client:
        body = of_objects(400_000)
        tracemalloc.start()
        try:
            chats = [
                asyncio.ensure_future(client.session.post(f"{client.url}/chat", data=body, headers=JSON))
                for _ in range(10)
            ]
            await asyncio.to_thread(model.comes_to, 10)
            assert tracemalloc.get_traced_memory()[0] < 10 * len(body)
        finally:
            tracemalloc.stop()
            go_on.set()
        for chat in chats:
            assert (await chat).status == 200
            (await chat).close()


@pytest.mark.parametrize("name", ["x", "stop", "query"])
async def test_a_request_of_very_many_values_is_refused(name: str) -> None:
    async with serving(scripted("Hi")) as client:
        async with client.session.post(f"{client.url}/chat", data=of_objects(600_000, name), headers=JSON) as response:
            assert response.status == 413
            assert "outside of its strings" in (await response.json())["error"]["message"]
        assert text_of(await client.events('{"a": [' + "{}," * 300_000)) == "Hi"


async def test_a_request_takes_room_for_all_that_is_made_of_it() -> None:
    """A turn of eight letters is a message of a kilobyte."""
    go_on = asyncio.Event()

    async def replying() -> AsyncIterator[str]:
        yield "Hi"
        await go_on.wait()

    model = ScriptedModel(replies=[lambda *_: replying()])
    turns = "User: x\n" * 20_000 + "Assistant:"
    async with serving(model, max_query_bytes=400_000) as client:
        alone = asyncio.ensure_future(client.events(turns))
        await asyncio.to_thread(model.comes_to, 1)
        assert (await client.error(turns))[0] == 503
        short = asyncio.ensure_future(client.events("Hello"))
        await asyncio.to_thread(model.comes_to, 2)
        go_on.set()
        assert text_of(await alone) == text_of(await short) == "Hi"
        assert text_of(await client.events(turns)) == "Hi"


@pytest.mark.parametrize("how", ["leaves", "is too slow"])
async def test_the_body_of_a_client_that_is_gone_is_freed_at_once(how: str) -> None:
    """Also while the garbage is not collected, which keeps what an error points at."""
    length = 15_000_000
    timeouts = ServerTimeouts(request_body=60 if how == "leaves" else 0.5)
    async with serving(timeouts=timeouts) as client:
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
                writer.write(declared(length + 1) + b" " * length)
                await writer.drain()
                if how == "is too slow":
                    assert b" 408 " in await soon(reader.readline())
                else:
                    await asyncio.sleep(0.1)
                writer.transport.abort()
                await soon(no_connections(client.runner))
            assert tracemalloc.get_traced_memory()[0] < length / 2
        finally:
            tracemalloc.stop()
            gc.enable()


async def test_others_are_served_while_a_long_query_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def parse_when_let(query: str) -> list[BaseMessage]:
        assert go_on.wait(10)
        return parse_prompt(query)

    monkeypatch.setattr("langchain_darkai.server.chat_request.parse_prompt", parse_when_let)
    async with serving(scripted("Hello")) as client:
        chat = asyncio.ensure_future(client.events("x" * 200_000))
        for _ in range(10):
            async with client.session.get(f"{client.url}/health") as response:
                assert response.status == 200
            await asyncio.sleep(0.01)
        assert not chat.done()
        go_on.set()
        assert text_of(await chat) == "Hello"


async def test_errors_of_a_long_query_are_those_of_a_short_one() -> None:
    async with serving() as client:
        blank = " " * 200_000
        for size, said in ((10, '"query" is missing'), (200_000, '"query" is missing')):
            status, error = await client.error(blank[:size])
            assert status == 400
            assert said in error["message"]
