"""What a request for a chat asks for: its messages, and the model with its parameters."""

import functools
import json
import math
import sys
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, cast

from aiohttp import web
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from langchain_darkai._text import structure_of
from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.prompts import CALL_START, parse_prompt
from langchain_darkai.protocol import decode_request
from langchain_darkai.server.error_responses import echoed

__all__ = [
    "AskedChat",
    "check_content_type",
    "check_encoding",
    "read_chat",
    "takes_prefill",
    "with_parameters",
    "without_beginning",
]

# Parameters of a request that set a model's field of the same name. A list, and not every field that a model has:
# clients must not change where it lives, and with which key.
_WHOLE_NUMBERS = frozenset({"max_tokens", "top_k", "seed"})
_NUMBERS = _WHOLE_NUMBERS | {"temperature", "top_p", "presence_penalty", "frequency_penalty"}

_WITHOUT_PREFILL = frozenset(
    f"langchain_{name}" for name in ("anthropic", "aws", "google_genai", "google_vertexai", "mistralai")
)
"""Packages of chat models whose APIs, or the newest models there, refuse an assistant's message at the end."""

_MAX_STRUCTURE = 512 * 1024
"""Characters of a request that may stand outside of its strings: a request is one long string and a few parameters."""
_MESSAGE_BYTES = 1000
"""What a message takes beside its texts and calls."""


class AskedChat(NamedTuple):
    """A chat that a client asks for; `model` is None for the default one, `size` what it all takes, in bytes."""

    messages: list[BaseMessage]
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
    parameters = {name: parameters[name] for name in (*_NUMBERS, "stop") if name in parameters}
    messages = parse_prompt(query)
    last = messages[-1] if messages else None
    if isinstance(last, AIMessage) and not (last.text.strip() or last.tool_calls or last.invalid_tool_calls):
        messages.pop()
    if not messages:
        raise DarkAIInvalidRequestError('"query" has no message, only the label for the model to continue.')
    return AskedChat(messages, model, parameters, _memory_of([messages, parameters]))


def without_beginning(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Return a conversation without the beginning of a tool call or of JSON, which a client begins for the model."""
    last = messages[-1]
    is_begun = isinstance(last, AIMessage) and last.text.startswith((CALL_START, "{"))
    return messages[:-1] if is_begun and len(messages) > 1 else messages


def takes_prefill(model: BaseChatModel) -> bool:
    """Return whether a model continues an assistant's message at the end of a conversation, or may do so.

    The APIs of those that do not answer it with an error.
    """
    return not _WITHOUT_PREFILL & {base.__module__.partition(".")[0] for base in type(model).__mro__}


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


def with_parameters(model: BaseChatModel, parameters: Mapping[str, Any]) -> tuple[BaseChatModel, list[str] | None]:
    """Return the model with the fields that a request's parameters set, and the stop strings, which every model takes.

    Raises DarkAIInvalidRequestError for parameters of another type, and for values that the model's fields forbid.
    """
    stop = parameters.get("stop")
    stop = [stop] if isinstance(stop, str) else stop
    if stop is not None and not (isinstance(stop, list) and all(isinstance(text, str) for text in stop)):
        raise DarkAIInvalidRequestError('"stop" is neither a string nor a list of strings.')
    for name in sorted(_NUMBERS):
        value = parameters.get(name)
        if value is None:
            continue
        if type(value) is not int and (type(value) is not float or name in _WHOLE_NUMBERS or not math.isfinite(value)):
            kind = "whole number" if name in _WHOLE_NUMBERS else "number"
            raise DarkAIInvalidRequestError(f'"{name}" is {echoed(value)}; it must be a {kind}.')
        if name in type(model).model_fields:
            model = _with_field(model, name, value)
    return model, stop or None


def _with_field(model: BaseChatModel, name: str, value: Any) -> BaseChatModel:
    """Return a copy of a model with another field, as its validators take it; `model_copy` would take anything.

    A copy, since models differ in the keyword arguments that they take per call, and agree on their fields.
    """
    try:
        return _assigned(model, name, value)
    except Exception as error:  # validators may raise anything, and some take no assignments at all
        if isinstance(error, ValidationError) and _takes_assignments(model, name):
            raise _refused(name, value, error) from error
        return model.model_copy(update={name: _checked(type(model), name, value)})


def _assigned(model: BaseChatModel, name: str, value: Any) -> BaseChatModel:
    """Return a copy of a model with another field, after the validators of the field and of the model have seen it."""
    copy = model.model_copy()
    type(model).__pydantic_validator__.validate_assignment(copy, name, value)
    return copy


def _takes_assignments(model: BaseChatModel, name: str) -> bool:
    """Return whether a field can be set to what it is. Frozen models refuse that, and validators made for a dict."""
    try:
        _assigned(model, name, getattr(model, name))
    except Exception:  # noqa: BLE001
        return False
    return True


def _checked(model: type[BaseChatModel], name: str, value: float) -> Any:
    """Return a value as the type of a model's field takes it."""
    field = _field(model, name)
    try:
        return value if field is None else field.validate_python(value)
    except ValidationError as error:
        raise _refused(name, value, error) from error


def _refused(name: str, value: Any, error: ValidationError) -> DarkAIInvalidRequestError:
    reason = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
    return DarkAIInvalidRequestError(f'"{name}" is {echoed(value)}. {reason}.')


@functools.lru_cache(maxsize=100)
def _field(model: type[BaseChatModel], name: str) -> TypeAdapter[Any] | None:
    """Return the type of a model's field with its bounds; None for a type that only its model can check."""
    field, annotated = model.model_fields[name], cast("Any", Annotated)
    type_and_rules = (field.annotation, *field.metadata, None)  # Annotated wants one rule at least
    try:
        return TypeAdapter(annotated[type_and_rules])
    except PydanticUserError:
        return None
