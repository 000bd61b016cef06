"""No unit test opens a socket; what the network would bring is scripted one layer above it."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
import pytest_socket

from langchain_darkai import ChatDarkAI
from langchain_darkai._http import aiohttp_transport
from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai.protocol import StreamEnd, encode_request
from langchain_darkai.transport import ApiCall

Event = str | StreamEnd | Exception


@pytest.fixture(autouse=True)
def _no_sockets() -> Iterator[None]:
    # An event loop wakes itself by a pair of Unix sockets, which reach nobody else.
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


class Post(NamedTuple):
    url: str
    proxy: str | None
    headers: Mapping[str, str]
    body: bytes
    gap: float | None
    allow_empty: bool
    deadline: float | None


class FakeAPI:
    """Takes the place of the POST: keeps the requests, and replies with its scripts in turn, the last one for ever."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.scripts: list[Sequence[Event]] = [["Hello", StreamEnd()]]
        self.closed = 0

    async def post(self, request: Post) -> AsyncGenerator[str | StreamEnd, None]:
        self.posts.append(request)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        try:
            for event in script:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed += 1

    def model(self, **settings: Any) -> ChatDarkAI:
        return ChatDarkAI(**{"base_url": "https://model.test", **settings})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeAPI:
    fake = FakeAPI()

    class FakeTransport:
        def __init__(self, endpoint: Endpoint, *, idle_timeout: float | None, session: None) -> None:
            self.endpoint = endpoint
            self.idle_timeout = idle_timeout

        def stream(self, call: ApiCall, deadline: float | None) -> AsyncGenerator[str | StreamEnd, None]:
            body = encode_request(call.query, call.model, call.parameters)
            to = self.endpoint
            post = Post(to.url, to.proxy, to.headers, body, self.idle_timeout, call.allow_empty, deadline)
            return fake.post(post)

    monkeypatch.setattr(aiohttp_transport, "AiohttpTransport", FakeTransport)
    return fake
