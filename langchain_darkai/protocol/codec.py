"""Requests and events as bytes, and requests read back. `EventDecoder` reads events, `wire_errors` has the errors."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.protocol.events import ReasoningText, StreamEnd

__all__ = ["ChatRequest", "decode_request", "encode_event", "encode_reply_event", "encode_request"]

# ASCII escapes also carry lone surrogates, which UTF-8 cannot. NaN and infinities are not JSON.
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False)


class ChatRequest(NamedTuple):
    """A decoded request: the prompt, the model's name (None for the server's default), and all other parameters."""

    query: str
    model: str | None
    parameters: dict[str, Any]


def encode_request(query: str, model: str, parameters: Mapping[str, Any] | None = None) -> bytes:
    """Return the request body for a prompt.

    `parameters` are further members of the JSON object; None for none.

    Raises DarkAIInvalidRequestError if a parameter has no JSON form, or is named like a member of the request itself.

    Example:
        >>> encode_request("Hello", "llama-3-70b", {"temperature": 0})
        b'{"query": "Hello", "model": "llama-3-70b", "temperature": 0}'
    """
    if reserved := {"query", "model"} & (parameters or {}).keys():
        raise DarkAIInvalidRequestError(f"A request parameter cannot be named {min(reserved)}.")
    try:
        return _ENCODER.encode({"query": query, "model": model, **(parameters or {})}).encode()
    except (TypeError, ValueError, RecursionError) as error:
        names = ", ".join(sorted(parameters or {}))
        raise DarkAIInvalidRequestError(
            f"A request parameter ({names}) has no JSON form: {error}. Pass plain JSON values in model_kwargs."
        ) from error


def decode_request(body: bytes | str) -> ChatRequest:
    """Return the request in a body; the inverse of `encode_request`.

    Raises DarkAIInvalidRequestError, which says what is wrong with the body.

    Example:
        >>> decode_request(b'{"query": "Hello"}')
        ChatRequest(query='Hello', model=None, parameters={})
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DarkAIInvalidRequestError(f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise DarkAIInvalidRequestError('The body is not a JSON object like {"query": "...", "model": "..."}.')
    query, model = value.pop("query", None), value.pop("model", None)
    if not isinstance(query, str) or not query.strip():
        raise DarkAIInvalidRequestError('"query" is missing or empty: it holds the whole prompt, as a string.')
    if model is not None and not isinstance(model, str):
        raise DarkAIInvalidRequestError('"model" is not a string: it names the model, or is left out for the default.')
    return ChatRequest(query, model, value)


def encode_event(name: str, data: Mapping[str, Any]) -> bytes:
    """Return one event as it goes over the wire.

    Example:
        >>> encode_event("text-chunk", {"text": "Hi"})
        b'data: {"event": "text-chunk", "data": {"text": "Hi"}}\\n\\n'
    """
    return f"data: {json.dumps({'event': name, 'data': data})}\n\n".encode()


def encode_reply_event(event: str | ReasoningText | StreamEnd) -> bytes:
    """Return a part of a reply, or its end, as it goes over the wire; `EventDecoder` reads it.

    Example:
        >>> encode_reply_event(StreamEnd(finish_reason="stop"))
        b'data: {"event": "stream-end", "data": {"finish_reason": "stop"}}\\n\\n'
    """
    if isinstance(event, str):  # almost all of them: written around the string alone, in a third of the time
        return b'data: {"event": "text-chunk", "data": {"text": %s}}\n\n' % _ENCODER.encode(event).encode()
    if isinstance(event, ReasoningText):
        return encode_event("reasoning-chunk", {"text": event.text})
    members = {"usage": event.usage, "finish_reason": event.finish_reason}
    return encode_event("stream-end", {name: value for name, value in members.items() if value})
