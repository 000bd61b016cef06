"""The four ways to call a model, and one that goes by each of them; and the types of what the fixtures make."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_darkai import ChatDarkAI
from langchain_darkai.testing import ScriptedServer

ENTRIES = ("invoke", "ainvoke", "stream", "astream")

ModelOf = Callable[..., ChatDarkAI]
Serve = Callable[..., ScriptedServer]


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
