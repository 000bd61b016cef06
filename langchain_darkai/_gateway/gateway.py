"""The answer of a LangChain chat model to a prompt: what it asks for is bound, and the reply comes as events."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig

from langchain_darkai._causes import causes_of
from langchain_darkai._gateway.asked import Asked
from langchain_darkai._gateway.binding import Bound, bound
from langchain_darkai._gateway.parameters import with_parameters
from langchain_darkai._gateway.reply import reply_events
from langchain_darkai._settings import Native
from langchain_darkai.transport import ReplyEvents

_MAX_LEFT_CONNECTIONS = 100
"""Idle connections that a client keeps at most, as httpx does by default."""

_OF_ANOTHER_LOOP = ("event loop is closed", "different event loop", "different loop")
"""Words of the errors for a connection that belongs to another event loop, in small letters."""


def answer(
    model: BaseChatModel,
    asked: Asked,
    parameters: Mapping[str, Any],
    *,
    native: Native,
    prefill: bool | None = None,
    config: RunnableConfig | None = None,
    is_whole: bool = False,
) -> ReplyEvents:
    """Return the reply of a model to a prompt, as it comes; with `is_whole`, in one piece.

    Raises DarkAIInvalidRequestError at once for parameters that the model cannot have. What the model raises comes out
    of the reply as it is.
    """
    model, stop = with_parameters(model, parameters)
    ready = bound(model, asked, native, prefill=prefill)

    def begin() -> AsyncIterator[AIMessage]:
        return _whole(ready, stop, config) if is_whole else ready.model.astream(ready.messages, config, stop=stop)

    return reply_events(_on_this_loop(begin), is_call_json=ready.is_call_json)


async def _whole(ready: Bound, stop: list[str] | None, config: RunnableConfig | None) -> AsyncIterator[AIMessage]:
    yield await ready.model.ainvoke(ready.messages, config, stop=stop)


async def _on_this_loop(begin: Callable[[], AsyncIterator[AIMessage]]) -> AsyncIterator[AIMessage]:
    """Yield a model's messages. Begin again where its client has used a connection of another event loop.

    Integrations keep one client for all event loops. Each such failure makes it drop the connection.
    """
    for left in reversed(range(_MAX_LEFT_CONNECTIONS + 1)):
        has_begun = False
        try:
            async with aclosing(cast("AsyncGenerator[AIMessage, None]", begin())) as messages:
                async for message in messages:
                    has_begun = True
                    yield message
        except Exception as error:
            if has_begun or not left or not _is_of_another_loop(error):
                raise
        else:
            return


def _is_of_another_loop(error: Exception) -> bool:
    said = [str(inner).lower() for inner in causes_of(error) if isinstance(inner, RuntimeError)]
    return any(words in text for words in _OF_ANOTHER_LOOP for text in said)
