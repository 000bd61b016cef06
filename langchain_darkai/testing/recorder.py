"""`Recorder`: a server in front of another one, which passes all on and writes it down."""

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from typing_extensions import Self
from yarl import URL

from langchain_darkai._http.private_api import take_buffered
from langchain_darkai._http.redaction import basic_credentials, collect_secrets
from langchain_darkai.server.shared_loop import SharedLoop, shared_loop
from langchain_darkai.testing.cassette import End, Exchange, Piece, RecordedRequest, RecordedResponse, save
from langchain_darkai.testing.masking import Masker

__all__ = ["Recorder"]

_OF_THE_CONNECTION = frozenset(
    "connection content-length date host keep-alive proxy-connection server trailer transfer-encoding upgrade".split()
)
"""Headers that belong to a connection, or are new for each answer. All others are passed on, and kept."""

_PASSED_ON_ONLY = frozenset(["accept", "accept-encoding", "user-agent"])
"""Headers of requests that are not written down, since they say nothing of what is asked."""


@dataclass
class _Recording:
    """An exchange that is going on."""

    request: RecordedRequest
    masker: Masker
    began: float = field(default_factory=time.monotonic)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)
    end: End = "left"

    def __post_init__(self) -> None:
        self._last = self.began

    def add(self, data: bytes) -> None:
        now = time.monotonic()
        self.pieces.append(Piece(round(now - self._last, 3), data))
        self._last = now

    def exchange(self) -> Exchange:
        body = tuple(self.masker.pieces(self.pieces))
        response = RecordedResponse(self.status, self.masker.headers(self.headers), body, self.end)
        return Exchange(self.request, response)


class Recorder:
    """A server on a free port of this machine that passes all requests on, and writes what comes of them to a file.

    - `base_url`: where the requests go, as for `ChatDarkAI`. A user and a password in it are sent along.
    - `path`: the file, which is written at the end of `with`, anew each time; see `cassette` for what is in it.
    - `secrets`: what is masked beside that which is recognized: headers, parameters of URLs and members of JSON that
      are named like keys, wherever their values appear again, and the secrets in `base_url`.

    Raises ValueError for a `base_url` that is none.

    Example:
        `with Recorder("https://darkai.foundation", "chat.yaml") as recorder:` and in it
        `ChatDarkAI(base_url=recorder.url).invoke("Hi")`.
    """

    def __init__(self, base_url: str, path: "str | os.PathLike[str]", *, secrets: Iterable[str] = ()) -> None:
        parts = urlsplit(base_url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url is not a URL like http://127.0.0.1:8000 or https://example.org.")
        login, _, netloc = parts.netloc.rpartition("@")
        self._login = {"authorization": f"Basic {basic_credentials(login)}"} if login else {}
        self._base = f"{parts.scheme}://{netloc}{parts.path.rstrip('/').removesuffix('/chat')}"
        self._query = parts.query
        self._secrets = (*collect_secrets(None, base_url, None, []), *secrets)
        self._path = path
        self._recordings: list[_Recording] = []
        self._url: str | None = None

    def __repr__(self) -> str:
        return f"<Recorder {self._url or 'not running'}>"  # the base URL may hold a key

    @property
    def url(self) -> str:
        """The base URL, for `ChatDarkAI(base_url=...)`; RuntimeError where it is not running."""
        if self._url is None:
            raise RuntimeError("The recorder is not running: use `with Recorder(...) as recorder:`.")
        return self._url

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """What was recorded so far, with the secrets masked, in the order of the requests."""
        return [recording.exchange() for recording in self._recordings]

    def __enter__(self) -> Self:
        started: Future[str] = Future()
        self._stopping: Future[None] = Future()
        self._loop: SharedLoop = shared_loop()
        self._served = self._loop.submit(self._serve(started))
        self._served.add_done_callback(lambda served: _tell(started, served))
        self._url = started.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set_result(None)
        wait([self._served])
        self._loop.release()
        self._url = None
        save(self._path, self.exchanges)
        self._served.result()

    async def _serve(self, started: "Future[str]") -> None:
        app = web.Application(client_max_size=0)  # no limit
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        no_limit = aiohttp.ClientTimeout(total=None, sock_connect=None)
        # Bytes are written down as they come, so nothing is decompressed.
        async with aiohttp.ClientSession(
            connector=connector, timeout=no_limit, auto_decompress=False, trust_env=True
        ) as self._session:
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                started.set_result("http://{}:{}".format(*runner.addresses[0][:2]))
                await asyncio.wrap_future(self._stopping)
            finally:
                await runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        masker = Masker(self._secrets)
        dropped = _OF_THE_CONNECTION | _PASSED_ON_ONLY
        asked = masker.request(request.method, request.raw_path, headers, content, dropped=dropped)
        recording = _Recording(asked, masker)
        self._recordings.append(recording)
        try:
            response = await self._relay(request, content, headers, recording)
        except aiohttp.ClientError:
            recording.end = "broken"
            response = web.Response(status=502)
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _relay(
        self, request: web.Request, content: bytes, headers: dict[str, str], recording: _Recording
    ) -> web.StreamResponse:
        """Pass a request on, and its response back. Raises ClientError where the other server fails."""
        passed = {name: value for name, value in headers.items() if name not in _OF_THE_CONNECTION}
        url = self._base + request.raw_path
        if self._query:
            url += ("&" if "?" in url else "?") + self._query
        async with self._session.request(
            request.method,
            URL(url, encoded=True),
            data=content or None,
            headers={**passed, **self._login},
            allow_redirects=False,
            skip_auto_headers=["accept", "accept-encoding", "content-type", "user-agent"],
        ) as upstream:
            recording.status = upstream.status
            kept = [(name, value) for name, value in upstream.headers.items() if name.lower() not in _OF_THE_CONNECTION]
            recording.headers = {name.lower(): value for name, value in kept}
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=recording.headers)
            response.force_close()  # on a kept connection, a client may send its request again by itself
            await response.prepare(request)
            has_left = False
            while not has_left and (data := await _read(upstream.content, recording)):
                has_left = not await _write(response, data)
            if not has_left:
                recording.end = "complete"
                await _write(response, b"")
            return response


def _tell(started: "Future[str]", served: "Future[None]") -> None:
    """Tell who waits for a start of a failure before it."""
    if not started.done():
        started.set_exception(served.exception() or RuntimeError("The recorder ended before it began."))


async def _read(content: aiohttp.StreamReader, recording: _Recording) -> bytes:
    """Return what the next read brings, and write it down; b"" at the end."""
    try:
        data = await content.readany()
    except aiohttp.ClientError:
        data = take_buffered(content)  # what has arrived comes first; the next read fails again
        if not data:
            raise
    if data:
        recording.add(data)
    return data


async def _write(response: web.StreamResponse, data: bytes) -> bool:
    """Send bytes, or the end where there are none, and return whether the client is still there."""
    try:
        await (response.write(data) if data else response.write_eof())
    except ConnectionError:
        return False
    return True
