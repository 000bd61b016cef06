"""What uses the servers that are compared, and meters what they take: processor time, or the client's patience."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

import aiohttp
import psutil

from benchmarks import contenders
from benchmarks.gateways import KEY, MODELS, Gateway
from langchain_darkai.protocol import encode_event

STREAMS, STAGGER = 4, 0.001
"""How many paced streams run at once, and how many seconds apart they begin."""


def cpu_seconds(pid: int) -> float:
    """Return the seconds of processor time that all threads of a process have used."""
    if sys.platform == "linux":
        # The kernel's name of the clock that clock_getcpuclockid gives: psutil reads one that ticks every 10 ms.
        return time.clock_gettime((~pid << 3) | 2)
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


class Client:
    """A client of one server. `metered` are the seconds that its uses have counted so far."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.metered = 0.0
        self._session: aiohttp.ClientSession | None = None

    def cpu(self) -> float:
        """Return the server's processor time so far."""
        return cpu_seconds(self.gateway.pid)

    async def stream(self, model: str) -> AsyncGenerator[str, None]:
        """Yield the texts of a streamed reply."""
        async with self._post(model, stream=True) as response:
            async for line in response.content:
                yield _text(line)

    async def stream_bytes(self, model: str) -> bytes:
        """Return a streamed reply as it came; reading it waits, since a busy client slows the server beside it down."""
        async with self._post(model, stream=True) as response:
            return b"".join([data async for data in response.content.iter_any()])

    async def read(self, model: str) -> str:
        """Return a reply, unstreamed where the protocol has such: DarkAI's has not."""
        if self.gateway.name == "ours":
            return "".join([text async for text in self.stream(model)])
        async with self._post(model, stream=False) as response:
            answer = await response.json()
        text: str = answer["choices"][0]["message"]["content"]
        return text

    def _post(self, model: str, *, stream: bool) -> Any:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            timeout = aiohttp.ClientTimeout(None)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, raise_for_status=True)
        headers = {"authorization": f"Bearer {KEY}"}
        if self.gateway.name == "ours":
            return self._session.post(
                f"{self.gateway.url}/chat", json={"query": contenders.PROMPT, "model": model}, headers=headers
            )
        # The pass-through does not read what it passes on, so that its URL says what is asked for.
        path = f"/{MODELS[model]}" if self.gateway.name == "bare" else ""
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": contenders.PROMPT}]}
        return self._session.post(f"{self.gateway.url}{path}/chat/completions", json=body, headers=headers)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class ModelAlone:
    """The model that is behind this package's server, used in this process, like a client."""

    def __init__(self, backend: str) -> None:
        self.metered = 0.0
        self._models: dict[str, Any] = {name: contenders.openai(f"{backend}/{path}") for name, path in MODELS.items()}

    def cpu(self) -> float:
        """Return this process's processor time so far."""
        return time.process_time()

    async def stream_bytes(self, model: str) -> bytes:
        """Return a reply, as if it were such a server's; the time of that counts little."""
        texts = [chunk.text async for chunk in self._models[model].astream(contenders.PROMPT)]
        return encode_event("text-chunk", {"text": "".join(texts)})

    async def read(self, model: str) -> str:
        """Return a reply; streamed, as the server asks for it."""
        return _texts(await self.stream_bytes(model))


def _texts(reply: bytes) -> str:
    return "".join(map(_text, reply.splitlines()))


def _text(line: bytes) -> str:
    if not line.startswith(b"data: {"):
        return ""
    event = json.loads(line[6:])
    text: str | None
    text = event["choices"][0]["delta"].get("content") if "choices" in event else event["data"].get("text")
    return text or ""


# Ways to use a client. Each returns the length of the text that it got, by which the contenders are compared.


async def tokens(client: Client | ModelAlone) -> int:
    """Read paced streams; meter the processor time over that of as many replies of one token."""

    async def read(model: str, delay: float) -> bytes:
        await asyncio.sleep(delay)
        return await client.stream_bytes(model)

    async def at_once(model: str) -> list[bytes]:
        return await asyncio.gather(*(read(model, number * STAGGER) for number in range(STREAMS)))

    start = client.cpu()
    await at_once("short")
    middle = client.cpu()
    replies = await at_once("paced")
    client.metered += (client.cpu() - middle) - (middle - start)
    return len("".join(map(_texts, replies)))


async def short_streams(client: Client | ModelAlone, number: int) -> int:
    """Read short streams, one after another; meter the processor time."""
    start = client.cpu()
    replies = [await client.stream_bytes("short") for _ in range(number)]
    client.metered += client.cpu() - start
    return len("".join(map(_texts, replies)))


async def short_replies(client: Client | ModelAlone, number: int) -> int:
    """Read short replies whole, one after another; meter the processor time."""
    start = client.cpu()
    length = sum([len(await client.read("short")) for _ in range(number)])
    client.metered += client.cpu() - start
    return length


async def crowd(client: Client, clients: int, number: int) -> int:
    """Read short streams, several at once and so many in a row."""
    return sum(await asyncio.gather(*(short_streams(client, number) for _ in range(clients))))


async def first_texts(client: Client, number: int) -> int:
    """Read short streams, one after another; meter the time until each one's first text."""
    length = 0
    for _ in range(number):
        start = time.perf_counter()
        has_text = False
        async for text in client.stream("short"):
            if text and not has_text:
                has_text = True
                client.metered += time.perf_counter() - start
            length += len(text)
    return length


async def memory(client: Client, streams: int, at_once: int = 50) -> tuple[float, float]:
    """Return the bytes that a server holds at rest, after some requests, and for each of many streams that wait."""
    process = psutil.Process(client.gateway.pid)
    for _ in range(20):
        await client.read("short")
        async for _ in client.stream("short"):
            pass
    await asyncio.sleep(1)
    at_rest = process.memory_info().rss
    opened: list[AsyncGenerator[str, None]] = []
    for start in range(0, streams, at_once):
        waiting = [client.stream("idle") for _ in range(min(at_once, streams - start))]
        opened += waiting
        await asyncio.gather(*map(_first_text, waiting))
    await asyncio.sleep(1)
    for_streams = process.memory_info().rss - at_rest
    for texts in opened:
        await texts.aclose()
    return at_rest, for_streams / streams


async def _first_text(texts: AsyncIterator[str]) -> None:
    while not await anext(texts):
        pass


async def close(clients: Iterable[Client]) -> None:
    """Close the clients' connections."""
    await asyncio.gather(*(client.aclose() for client in clients))
