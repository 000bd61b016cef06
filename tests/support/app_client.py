"""A plain HTTP client of the server's application, over real sockets."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from langchain_darkai.server import create_app

END = {"event": "stream-end", "data": {}}


class Client:
    """A session, and the address of the application under test."""

    def __init__(self, session: aiohttp.ClientSession, runner: web.AppRunner) -> None:
        self.session = session
        self.runner = runner
        self.port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    def chat(self, query: Any = "Hi", headers: dict[str, str] | None = None, **body: Any) -> Any:
        data = io.BytesIO(json.dumps({"query": query, **body}).encode())
        headers = {"content-type": "application/json", "x-request-id": "asked", **(headers or {})}
        return self.session.post(f"{self.url}/chat", data=data, headers=headers)

    async def events(self, query: str = "Hi", **body: Any) -> list[dict[str, Any]]:
        async with self.chat(query, **body) as response:
            assert response.status == 200, await response.text()
            return decode(await response.read())

    async def error(self, query: Any = "Hi", **body: Any) -> tuple[int, dict[str, Any]]:
        async with self.chat(query, **body) as response:
            return response.status, (await response.json())["error"]


@asynccontextmanager
async def serving(model: Any = None, **options: Any) -> AsyncIterator[Client]:
    runner = web.AppRunner(create_app(model, **options), shutdown_timeout=0.1)
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


def text_chunk(text: str) -> dict[str, Any]:
    return {"event": "text-chunk", "data": {"text": text}}


async def soon(what: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(what, 10)


async def no_connections(runner: web.AppRunner) -> None:
    while runner.server is not None and runner.server.connections:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0.01)
