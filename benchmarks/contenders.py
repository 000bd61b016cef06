"""The clients that are measured: the bare one, the package, its peers, and LangChain core with nothing under it."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import orjson
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import SecretStr

PROMPT = "What do the boats bring?"


class BareClient:
    """The floor: aiohttp, lines, `loads`. It checks nothing, and would not notice a reply that was cut off."""

    def __init__(self, url: str, loads: Callable[[str], Any] = orjson.loads) -> None:
        self.url = f"{url}/chat"
        self._loads = loads
        self._session: aiohttp.ClientSession | None = None

    async def stream(self) -> AsyncIterator[str]:
        """Yield the reply's text, one piece a network read."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        async with self._session.post(self.url, json={"query": PROMPT, "model": "llama-3-70b"}) as response:
            rest = b""
            async for data in response.content.iter_any():
                complete, _, rest = (rest + data).rpartition(b"\n")
                texts = []
                for line in complete.decode().split("\n"):
                    if line.startswith("data: "):
                        event = self._loads(line[6:])
                        if event["event"] == "text-chunk":
                            texts.append(event["data"]["text"])
                if texts:
                    yield "".join(texts)

    async def read(self) -> str:
        """Return the reply's text."""
        return "".join([text async for text in self.stream()])

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class CoreOverBare(BaseChatModel):
    """The least that a chat model can be: the bare client's pieces as LangChain chunks, and no feature at all.

    `constant` answers without asking, which is what a call of LangChain core costs by itself.
    """

    bare: Any
    constant: str | None = None

    @property
    def _llm_type(self) -> str:
        return "bare"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # Crosses to another thread and back, as aiohttp makes everybody do who is not asynchronous.
        return asyncio.run_coroutine_threadsafe(self._agenerate(messages), background_loop()).result()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = await self.bare.read() if self.constant is None else self.constant
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for text in self.bare.stream():
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last"))


@functools.cache
def background_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def darkai(url: str, **settings: Any) -> BaseChatModel:
    """Return this package's model."""
    from langchain_darkai import ChatDarkAI

    return ChatDarkAI(base_url=url, **settings)


def openai(url: str) -> BaseChatModel:
    """Return langchain-openai's model."""
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(base_url=url, api_key=SecretStr("none"), model="gpt-4o")


def ollama(url: str) -> BaseChatModel:
    """Return langchain-ollama's model."""
    from langchain_ollama import ChatOllama

    return ChatOllama(base_url=url, model="llama3")


# Ways to use a client. Each returns the length of the text that it got, by which the contenders are compared.


async def astream(model: Any) -> int:
    """Read a stream."""
    return sum([len(chunk.text) async for chunk in model.astream(PROMPT)])


async def ainvoke(model: Any) -> int:
    """Read a whole reply."""
    return len((await model.ainvoke(PROMPT)).text)


async def read(client: BareClient) -> int:
    """Read a whole reply, piece by piece, with the bare client."""
    return len(await client.read())


def stream(model: Any) -> int:
    """Read a stream, synchronously."""
    chunks: Iterator[Any] = model.stream(PROMPT)
    return sum(len(chunk.text) for chunk in chunks)


def invoke(model: Any) -> int:
    """Read a whole reply, synchronously."""
    return len(model.invoke(PROMPT).text)


async def at_once(use: Callable[[Any], Any], client: Any, number: int) -> int:
    """Use a client many times at once."""
    return sum(await asyncio.gather(*(use(client) for _ in range(number))))
