"""A chat model that replies with what a test writes down, for the place behind a local server."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, PrivateAttr


@dataclass(frozen=True)
class Stubborn:
    """A piece that waits for an event, also where the model is cancelled meanwhile."""

    until: threading.Event


Piece: TypeAlias = (
    str | AIMessageChunk | BaseException | float | threading.Event | Stubborn | EllipsisType | Callable[[], object]
)
"""A part of a reply. Texts and chunks are streamed, errors raised, and numbers are seconds to wait. Events are waited
for, `...` waits until the model is cancelled, and functions are called: one that blocks holds up the thread."""

Reply: TypeAlias = Sequence[Piece] | Callable[[list[BaseMessage], dict[str, Any]], Sequence[Piece] | AsyncIterator[Any]]
"""The pieces of a reply; or a function that gives them, for the messages and what else the model is given."""


@dataclass
class Record:
    """What a model was asked, and how much it does. A copy of the model, with other parameters, shares it."""

    asked: list[list[BaseMessage]] = field(default_factory=list)
    given: list[dict[str, Any]] = field(default_factory=list)
    working: int = 0
    ended: int = 0
    was_cancelled: threading.Event = field(default_factory=threading.Event)


class GeneratingModel(BaseChatModel):
    """Plays its replies in turn, the last one for ever. It has no code but `_generate`, so it runs on a thread."""

    replies: list[Any] = Field(default_factory=list, repr=False)  # LangChain takes the repr of a model for each call
    temperature: float | None = None
    max_tokens: int | None = None
    _record: Record = PrivateAttr(default_factory=Record)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def record(self) -> Record:
        return self._record

    @property
    def asked(self) -> list[list[tuple[str, str]]]:
        """The type and the text of each message of each call."""
        return [[(message.type, message.text) for message in messages] for messages in self.record.asked]

    def comes_to(self, working: int, seconds: float = 5.0) -> None:
        """Wait until so many replies are being made."""
        until = time.monotonic() + seconds
        while self.record.working != working:
            assert time.monotonic() < until, self.record.working
            time.sleep(0.01)

    def _reply(self, messages: list[BaseMessage], stop: Any, kwargs: dict[str, Any]) -> Any:
        """Return the pieces of the next reply: a sequence, or an async iterator."""
        given = {"stop": stop, "temperature": self.temperature, "max_tokens": self.max_tokens, **kwargs}
        self.record.asked.append(messages)
        self.record.given.append(given)
        reply = self.replies[min(len(self.record.asked), len(self.replies)) - 1]
        return reply(messages, given) if callable(reply) else reply

    def _pieces(self, messages: list[BaseMessage], stop: Any, kwargs: dict[str, Any]) -> Iterator[ChatGenerationChunk]:
        for piece in self._reply(messages, stop, kwargs):
            if isinstance(piece, str | AIMessageChunk | BaseException):
                yield chunk_of(piece)
            else:
                piece()

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        text = "".join(piece.text for piece in self._pieces(messages, stop, kwargs))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


class AsyncGeneratingModel(GeneratingModel):
    """As that, with `_agenerate` of its own, so it runs on the event loop."""

    async def _agenerate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return self._generate(messages, stop, **kwargs)


class SyncStreamingModel(GeneratingModel):
    """As that, with `_stream`, which runs on a thread."""

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._pieces(messages, stop, kwargs)


class ScriptedModel(GeneratingModel):
    """As that, with `_astream`, which runs on the event loop: it can also wait, and go on although it is cancelled."""

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        raise AssertionError("the server streams")

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.record.working += 1
        try:
            reply = self._reply(messages, stop, kwargs)
            async for piece in each(reply) if isinstance(reply, Sequence) else reply:
                if isinstance(piece, str | AIMessageChunk | BaseException):
                    yield chunk_of(piece)
                else:
                    await act(piece)
        except (asyncio.CancelledError, GeneratorExit):
            self.record.was_cancelled.set()
            raise
        finally:
            self.record.working -= 1
            self.record.ended += 1


def scripted(*pieces: Piece) -> ScriptedModel:
    """Return a model with one reply, which it gives again and again."""
    return ScriptedModel(replies=[pieces])


def replying(*replies: str | BaseException | list[Piece]) -> ScriptedModel:
    """Return a model with several replies, of one piece or of more; the last one is given again and again."""
    return ScriptedModel(replies=[reply if isinstance(reply, list) else [reply] for reply in replies])


def chunk_of(piece: str | AIMessageChunk | BaseException) -> ChatGenerationChunk:
    if isinstance(piece, BaseException):
        raise piece
    return ChatGenerationChunk(message=AIMessageChunk(content=piece) if isinstance(piece, str) else piece)


async def each(pieces: Sequence[Piece]) -> AsyncIterator[Piece]:
    for piece in pieces:
        yield piece


async def act(piece: Any) -> None:
    """Do what a piece says that is neither a text nor an error."""
    if piece is ...:
        await asyncio.Event().wait()
    elif isinstance(piece, int | float):
        await asyncio.sleep(piece)
    elif isinstance(piece, threading.Event):
        while not piece.is_set():  # noqa: ASYNC110 - the event belongs to another thread
            await asyncio.sleep(0.01)
    elif isinstance(piece, Stubborn):
        while not piece.until.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
    else:
        piece()
