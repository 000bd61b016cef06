"""What a request for a chat asks for: its body, its messages, and the model with its parameters."""

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from langchain_darkai._text import one_line
from langchain_darkai.errors import DarkAIInvalidRequestError, DarkAITimeoutError
from langchain_darkai.prompts import parse_prompt
from langchain_darkai.server.error_responses import to_darkai_error

__all__ = ["messages_of", "read_body", "with_parameters"]

# Parameters of a request that set a model's field of the same name. A list, and not every field that a model has:
# clients must not change where it lives, and with which key.
_WHOLE_NUMBERS = frozenset({"max_tokens", "top_k", "seed"})
_NUMBERS = _WHOLE_NUMBERS | {"temperature", "top_p", "presence_penalty", "frequency_penalty"}


async def read_body(request: web.Request, seconds: float) -> bytes:
    """Return the body of a request; raise a DarkAIError where it is too long, is broken, or takes too long."""
    try:
        return await asyncio.wait_for(request.read(), seconds)
    except asyncio.TimeoutError as error:
        raise DarkAITimeoutError(
            f"The request's body did not arrive within {seconds:g} seconds.", status=408
        ) from error
    except web.HTTPRequestEntityTooLarge as error:
        raise to_darkai_error(error, request) from error
    except web.RequestPayloadError as error:
        raise DarkAIInvalidRequestError(f"The request's body cannot be read: {one_line(str(error))}.") from error


def messages_of(query: str) -> list[BaseMessage]:
    """Return the messages that a prompt was made of, without the empty one that the model is to write."""
    messages = parse_prompt(query)
    last = messages[-1] if messages else None
    if isinstance(last, AIMessage) and not (last.text.strip() or last.tool_calls or last.invalid_tool_calls):
        messages.pop()
    if not messages:
        raise DarkAIInvalidRequestError('"query" has no message, only the label for the model to continue.')
    return messages


def with_parameters(model: BaseChatModel, parameters: Mapping[str, Any]) -> tuple[BaseChatModel, list[str] | None]:
    """Return the model with the fields that a request's parameters set, and the stop strings, which every model takes.

    Raises DarkAIInvalidRequestError for parameters of another type.
    """
    stop = parameters.get("stop")
    stop = [stop] if isinstance(stop, str) else stop
    if stop is not None and not (isinstance(stop, list) and all(isinstance(text, str) for text in stop)):
        raise DarkAIInvalidRequestError('"stop" is neither a string nor a list of strings.')
    fields: dict[str, int | float] = {}
    for name in _NUMBERS:
        value = parameters.get(name)
        if value is None:
            continue
        if type(value) is not int and (type(value) is not float or name in _WHOLE_NUMBERS or not math.isfinite(value)):
            kind = "whole number" if name in _WHOLE_NUMBERS else "number"
            raise DarkAIInvalidRequestError(f'"{name}" is {value!r}; it must be a {kind}.')
        if name in type(model).model_fields:
            fields[name] = value
    # A copy, since models differ in the keyword arguments that they take per call, and agree on their fields.
    return (model.model_copy(update=fields) if fields else model), stop or None
