"""A server between the clients and the model: it keeps every reply, gives it again, and counts what was asked."""

import asyncio
import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from typing_extensions import Self

_TRANSIENT = {408, 429, 500, 502, 503, 504}
"""Statuses that the same request may not get again, so that they are not kept."""

_NOT_PASSED_ON = {"host", "content-length", "accept-encoding", "connection", "transfer-encoding"}

_USAGE = re.compile(rb'"(prompt|completion)_tokens"\s*:\s*(\d+)')


@dataclass
class Tally:
    """What one client asked for for one task."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Proxy:
    """A caching proxy on loopback, in a thread of its own.

    `upstream` returns the address of the model's server; it is called with the first request that is not in `folder`.
    `identity` says which model that is. A client's address is `url(name)`; `tally(name)` is what it asked for since
    `forget(name)`.
    """

    def __init__(self, upstream: Callable[[], str], identity: str, folder: Path) -> None:
        self._upstream, self._identity, self._folder = upstream, identity, folder
        self._tallies: dict[str, Tally] = defaultdict(Tally)
        self._started = threading.Event()
        self._stopping = asyncio.Event()
        self._starting_upstream = asyncio.Lock()
        self._address = ""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def url(self, client: str) -> str:
        """Return the address for a client, in place of the model's server."""
        return f"{self._address}/{client}"

    def tally(self, client: str) -> Tally:
        """Return what a client asked for since it was forgotten."""
        return self._tallies[client]

    def forget(self, client: str) -> None:
        """Count a client's requests from nothing."""
        self._tallies[client] = Tally()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/{client}/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self._address = f"http://{host}:{port}"
        no_limit = aiohttp.ClientTimeout(total=None)  # long prompts on few cores take minutes
        # The engine closes connections that are idle, and a request on one of these would fail.
        fresh = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(timeout=no_limit, connector=fresh, auto_decompress=True) as self._session:
            self._started.set()
            await self._stopping.wait()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        path, body = request.match_info["path"], await request.read()
        kept = self._folder / f"{self._key(path, body)}.json"
        if kept.exists():
            reply = json.loads(kept.read_text(encoding="utf-8"))
        else:
            reply = await self._ask(path, body, request)
            if reply["status"] not in _TRANSIENT:
                unfinished = kept.with_suffix(f".{id(request)}")
                unfinished.write_text(json.dumps(reply), encoding="utf-8")
                unfinished.replace(kept)
        self._count(request.match_info["client"], reply["body"].encode())
        return web.Response(status=reply["status"], text=reply["body"], content_type=reply["type"])

    def _key(self, path: str, body: bytes) -> str:
        """Return what a request is kept under: the same for the same JSON, in whatever order its members are."""
        asked = json.dumps([self._identity, path, json.loads(body)], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()

    async def _ask(self, path: str, body: bytes, request: web.Request) -> dict[str, Any]:
        async with self._starting_upstream:
            upstream = await asyncio.to_thread(self._upstream)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        async with self._session.post(f"{upstream}/{path}", data=body, headers=headers) as response:
            text = await response.text(encoding="utf-8")
            return {"status": response.status, "type": response.content_type, "body": text}

    def _count(self, client: str, body: bytes) -> None:
        """Count the last usage in a reply; a stream may tell it with each event."""
        tally = self._tallies[client]
        tally.requests += 1
        usage = {kind: int(count) for kind, count in _USAGE.findall(body)}
        tally.prompt_tokens += usage.get(b"prompt", 0)
        tally.completion_tokens += usage.get(b"completion", 0)
