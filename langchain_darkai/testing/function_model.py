"""`FunctionChatModel`: a chat model that is a function, for the place behind a `LocalServer` or in an agent."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, TypeAlias

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import PrivateAttr

from langchain_darkai import _portal

__all__ = ["FunctionChatModel", "ModelCall", "ModelFunction"]

ModelFunction: TypeAlias = Callable[[list[BaseMessage], list[dict[str, Any]]], Any]
"""A function from the messages and the tools to the reply. It may be a generator, a coroutine function, or both."""


class ModelCall(NamedTuple):
    """What a model was asked: the messages, the tools, and all else that was given, such as "tool_choice"."""

    messages: list[BaseMessage]
    tools: list[dict[str, Any]]
    options: dict[str, Any]


class FunctionChatModel(BaseChatModel):
    """A chat model whose replies a function makes.

    The function gets the messages and the tools, each tool with its "name", "description" and "parameters", and returns
    the reply: a string, or an `AIMessage`, which may have tool calls, thoughts and usage. What it yields, strings or
    `AIMessageChunk`s, is streamed. What it raises, the model raises. A function that is not asynchronous runs on the
    event loop in asynchronous calls, so it must not block.

    `calls` has what the model was asked so far.

    Example:
        >>> model = FunctionChatModel(lambda messages, tools: f"You said: {messages[-1].text}")
        >>> model.invoke("Hi").text
        'You said: Hi'
        >>> model.calls[0].tools
        []
    """

    function: ModelFunction
    _calls: list[ModelCall] = PrivateAttr(default_factory=list)

    def __init__(self, function: ModelFunction, **fields: Any) -> None:
        super().__init__(**{"function": function, **fields})

    @property
    def calls(self) -> list[ModelCall]:
        """What the model was asked so far. A model that is bound to tools shares it."""
        return self._calls

    @property
    def _llm_type(self) -> str:
        return "function"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with tools, in any form that LangChain knows; the choice is left to the function."""
        from langchain_darkai._tool_calls.tools import tool_from

        given = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self.bind(tools=[tool_from(tool).as_dict() for tool in tools], **given, **kwargs)

    def _ask(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> Any:
        tools = options.pop("tools", [])
        self._calls.append(ModelCall(messages, tools, {**options, **({"stop": stop} if stop else {})}))
        return self.function(messages, tools)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        made = self._ask(messages, stop, kwargs)
        if inspect.isawaitable(made) or hasattr(made, "__aiter__"):
            yield from _portal.iterate(lambda: _each_async(made))
        else:
            yield from _each(made)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(_each_async(self._ask(messages, stop, kwargs))) as chunks:
            async for chunk in chunks:
                yield chunk

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))


def _each(made: Any) -> Iterator[ChatGenerationChunk]:
    for piece in [made] if isinstance(made, str | BaseMessage) else made:
        yield _chunk_of(piece)


async def _each_async(made: Any) -> AsyncGenerator[ChatGenerationChunk, None]:
    if inspect.isawaitable(made):
        made = await made
    if hasattr(made, "aclose"):  # a generator's `finally` runs at once where the caller leaves
        async with aclosing(made) as pieces:
            async for piece in pieces:
                yield _chunk_of(piece)
    elif hasattr(made, "__aiter__"):
        async for piece in made:
            yield _chunk_of(piece)
    else:
        for chunk in _each(made):
            yield chunk


def _chunk_of(piece: Any) -> ChatGenerationChunk:
    if isinstance(piece, str):
        piece = AIMessageChunk(content=piece)
    if not isinstance(piece, AIMessage):
        raise TypeError(f"The function of the model replied with {piece!r}. Return a string or an AIMessage.")
    if not isinstance(piece, AIMessageChunk):
        piece = AIMessageChunk(**{**piece.model_dump(), "type": "AIMessageChunk"})
    return ChatGenerationChunk(message=piece)
