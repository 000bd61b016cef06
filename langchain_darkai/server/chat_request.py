"""What a request for a chat asks for: its messages, and the model with its parameters."""

import json
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import web
from langchain_core.messages import AIMessage, BaseMessage

from langchain_darkai._gateway.asked import Asked, asked_of
from langchain_darkai._gateway.parameters import NUMBERS
from langchain_darkai._text import echoed, structure_of
from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.prompts import parse_prompt
from langchain_darkai.protocol import decode_request

__all__ = [
    "AskedChat",
    "check_content_type",
    "check_encoding",
    "read_chat",
]

_MAX_STRUCTURE = 512 * 1024
"""Characters of a request that may stand outside of its strings: a request is one long string and a few parameters."""
_MESSAGE_BYTES = 1000
"""What a message takes beside its texts and calls."""


class AskedChat(NamedTuple):
    """A chat that a client asks for; `model` is None for the default one, `size` what it all takes, in bytes."""

    asked: Asked
    model: str | None
    parameters: Mapping[str, Any]
    size: int


def check_encoding(request: web.Request) -> None:
    """Raise DarkAIInvalidRequestError for a compressed body: a few bytes can stand for more than the memory holds."""
    encodings = ",".join(request.headers.getall("content-encoding", ())).lower()
    if any(encoding.strip() not in {"", "identity"} for encoding in encodings.split(",")):
        raise DarkAIInvalidRequestError(
            f"The request's body is encoded as {echoed(encodings)}. Send it as it is, without Content-Encoding.",
            status=415,
        )


def check_content_type(request: web.Request) -> None:
    """Raise DarkAIInvalidRequestError for a type other than JSON, such as the form of a web page sends it."""
    if "content-type" in request.headers and request.content_type != "application/json":
        raise DarkAIInvalidRequestError(
            f"The request's content type is {echoed(request.content_type)}. Send JSON, with the header "
            "content-type: application/json.",
            status=415,
        )


def read_chat(body: bytes) -> AskedChat:
    """Return what a request asks for, without the empty message that the model is to write.

    Raises DarkAIInvalidRequestError, which says what is wrong with the body.
    """
    text = _text_of(body)
    if structure_of(text, _MAX_STRUCTURE) > _MAX_STRUCTURE:
        raise DarkAIInvalidRequestError(
            f"The request has more than {_MAX_STRUCTURE:,} characters outside of its strings. Leave out its largest "
            "parameters.",
            status=413,
        )
    query, model, parameters = decode_request(text)
    parameters = {name: parameters[name] for name in (*NUMBERS, "stop") if name in parameters}
    asked = asked_of(parse_prompt(query))
    if not asked.messages:
        raise DarkAIInvalidRequestError('"query" has no message, only the label for the model to continue.')
    schemas = [*(dict(tool.parameters) for tool in asked.tools), asked.schema]
    return AskedChat(asked, model, parameters, _memory_of([asked.messages, parameters, schemas]))


def _text_of(body: bytes) -> str:
    try:
        return body.decode(json.detect_encoding(body), "surrogatepass")
    except ValueError as error:
        raise DarkAIInvalidRequestError(f"The body is not JSON: {error}.") from error


def _memory_of(value: Any) -> int:
    """Return about how many bytes of memory a value takes that is made of JSON and messages."""
    size, parts = 0, [value]
    while parts:
        part = parts.pop()
        size += _MESSAGE_BYTES if isinstance(part, BaseMessage) else sys.getsizeof(part)
        if isinstance(part, BaseMessage):
            parts.append(part.content)
        if isinstance(part, AIMessage):
            parts += [*part.tool_calls, *part.invalid_tool_calls]
        elif isinstance(part, dict):
            parts += [*part, *part.values()]
        elif isinstance(part, list):
            parts += part
    return size
