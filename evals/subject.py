"""The model that is measured: a GGUF file, or a provider's name; and the clients that ask it."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from evals.proxy import Proxy, Tally
from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer
from tests.support import engine

MAX_TOKENS = 512
"""Room for the longest right answers; a small model that repeats itself would write until its context is full."""


class Client(NamedTuple):
    """Models that lead to the same one: through its own API, and through this package. One question at a time."""

    native: BaseChatModel
    prompted: ChatDarkAI
    gateway: ChatDarkAI
    """Through a server that binds what the model's API can do, and leaves the rest in the prompt."""
    tally: Callable[[], Tally]
    """Returns what both asked the model's server for since `forget`."""
    forget: Callable[[], None]

    def model(self, way: str) -> BaseChatModel:
        """Return the model of a way, forced or not."""
        models = {"native": self.native, "prompted": self.prompted, "gateway": self.gateway}
        return models[way.removesuffix("-forced")]


class Subject:
    """The model behind a caching proxy."""

    def __init__(self, name: str, proxy: Proxy, native: Callable[[str], BaseChatModel], *, is_engine: bool) -> None:
        self.name = name
        self.is_engine = is_engine
        """Whether it is llama.cpp, which also counts tokens and fills the model's template."""
        self.proxy = proxy
        self._native = native

    @contextmanager
    def clients(self, count: int) -> Iterator[list[Client]]:
        """Make so many clients, each with a server of this package and an address of its own, for its tally."""
        with ExitStack() as running:
            yield [self._client(f"client-{number}", running) for number in range(count)]

    def _client(self, name: str, running: ExitStack) -> Client:
        native = self._native(self.proxy.url(name))
        # llama.cpp takes no required call for templates without tools, but constrains JSON for all.
        prompted, gateway = (
            ChatDarkAI(
                base_url=running.enter_context(LocalServer(native, timeout=None, native=how)).url,
                max_retries=0,
                timeout=None,
                stream_chunk_timeout=None,
            )
            for how in ("never", "schema" if self.is_engine else "auto")
        )
        return Client(native, prompted, gateway, partial(self.proxy.tally, name), partial(self.proxy.forget, name))


@contextmanager
def of_file(weights: Path, folder: Path, *, slots: int, context: int, threads: int) -> Iterator[Subject]:
    """Make a GGUF file the subject; llama.cpp loads it with the first question that was not asked before."""
    with ExitStack() as running:
        start = cache(
            lambda: running.enter_context(engine.running(weights, slots=slots, context=context, threads=threads))
        )
        identity = f"{_sha256(weights)} {version('xllamacpp')} {context}"
        proxy = running.enter_context(Proxy(start, identity, folder))

        def native(url: str) -> BaseChatModel:
            return _openai(weights.stem, f"{url}/v1", "none")

        yield Subject(weights.stem, proxy, native, is_engine=True)


@contextmanager
def of_provider(name: str, base_url: str, folder: Path) -> Iterator[Subject]:
    """Make a `provider:name` of `init_chat_model` the subject; its key is in the environment, as its class wants it."""
    from langchain.chat_models import init_chat_model

    provider, _, model = name.partition(":")

    def native(url: str) -> BaseChatModel:
        if provider == "openai":
            return _openai(model, url, os.environ.get("OPENAI_API_KEY", "none"))
        made: BaseChatModel = init_chat_model(name, base_url=url, temperature=0, max_tokens=MAX_TOKENS)
        return made

    with Proxy(lambda: base_url.rstrip("/"), f"{name} {base_url}", folder) as proxy:
        yield Subject(model, proxy, native, is_engine=False)


def _openai(model: str, url: str, key: str) -> ChatOpenAI:
    return ChatOpenAI(
        model=model,
        base_url=url,
        api_key=SecretStr(key),
        temperature=0,
        max_completion_tokens=MAX_TOKENS,
        max_retries=0,
        timeout=None,
        stream_usage=True,
        use_responses_api=False,
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
