"""The answer of a LangChain chat model to a prompt: what it asks for is bound, and the reply comes as events."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig

from langchain_darkai._gateway.asked import Asked
from langchain_darkai._gateway.binding import Bound, bound
from langchain_darkai._gateway.parameters import with_parameters
from langchain_darkai._gateway.reply import reply_events
from langchain_darkai._settings import Native
from langchain_darkai.transport import ReplyEvents


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
    replies = _whole(ready, stop, config) if is_whole else ready.model.astream(ready.messages, config, stop=stop)
    return reply_events(replies, is_call_json=ready.is_call_json)


async def _whole(ready: Bound, stop: list[str] | None, config: RunnableConfig | None) -> AsyncIterator[AIMessage]:
    yield await ready.model.ainvoke(ready.messages, config, stop=stop)
