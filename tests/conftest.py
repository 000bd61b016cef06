"""What tests of all kinds share: a clean environment, a scripted server, and a way to call by each entry point."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_darkai import ChatDarkAI
from tests.support.scripted_server import Script, ScriptedServer

ENTRIES = ("invoke", "ainvoke", "stream", "astream")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep settings and proxies of the machine, and tracing, out of the tests."""
    names = ("DARKAI_BASE_URL", "DARKAI_API_KEY", "DARKAI_PROXY", "LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2")
    for name in (*names, "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Start scripted servers, which end with the test."""
    with contextlib.ExitStack() as running:

        def start(*scripts: Script) -> ScriptedServer:
            return running.enter_context(ScriptedServer(*scripts))

        yield start


@dataclass
class Asker:
    """Calls a model by one of the four entry points, and gives back one message."""

    entry: str

    @property
    def streams(self) -> bool:
        return self.entry.endswith("stream")

    async def chunks(self, model: Any, prompt: Any = "Hi", /, **kwargs: Any) -> list[AIMessage]:
        if self.entry == "invoke":
            return [model.invoke(prompt, **kwargs)]
        if self.entry == "ainvoke":
            return [await model.ainvoke(prompt, **kwargs)]
        if self.entry == "stream":
            return list(model.stream(prompt, **kwargs))
        return [chunk async for chunk in model.astream(prompt, **kwargs)]

    async def into(
        self, texts: list[str], model: Any, /, *, on_chunk: Callable[[], object] = lambda: None, **kwargs: Any
    ) -> None:
        """Add the text of each chunk to a list, which also holds what came before a failure."""
        if self.entry == "stream":
            for chunk in model.stream("Hi", **kwargs):
                texts.append(chunk.text)
                on_chunk()
        else:
            async for chunk in model.astream("Hi", **kwargs):
                texts.append(chunk.text)
                on_chunk()

    async def __call__(self, model: Any, prompt: Any = "Hi", /, **kwargs: Any) -> AIMessage:
        first, *others = await self.chunks(model, prompt, **kwargs)
        if not others:
            return first
        assert isinstance(first, AIMessageChunk)
        merged = first
        for chunk in others:
            assert isinstance(chunk, AIMessageChunk)
            merged += chunk
        return merged


@pytest.fixture(params=ENTRIES)
def ask(request: pytest.FixtureRequest) -> Asker:
    """Run the test once by each of invoke, ainvoke, stream and astream."""
    return Asker(request.param)


@pytest.fixture
def model_of() -> Callable[..., ChatDarkAI]:
    """Make a model of a scripted server that fails at once instead of trying again."""

    def make(server: ScriptedServer, **settings: Any) -> ChatDarkAI:
        return ChatDarkAI(**{"base_url": server.url, "max_retries": 0, "timeout": 10.0, **settings})

    return make


ModelOf = Callable[..., ChatDarkAI]
Serve = Callable[..., ScriptedServer]
