"""What a model can do by itself, and binding it: tools, a schema for its answer, a schema for a call."""

import functools
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable

from langchain_darkai._gateway.asked import Asked, without_beginning
from langchain_darkai._gateway.history import native_history
from langchain_darkai._json.schema import JsonSchema
from langchain_darkai._settings import Native
from langchain_darkai._tool_calls.tools import Tool

NATIVE: tuple[Native, ...] = ("auto", "always", "never", "schema")

_WITHOUT_PREFILL = frozenset(
    f"langchain_{name}" for name in ("anthropic", "aws", "google_genai", "google_vertexai", "mistralai")
)
"""Packages of chat models whose APIs, or the newest models there, refuse an assistant's message at the end."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""The names of tools that APIs with native calls take."""


class Bound(NamedTuple):
    """A model, what it is given, and whether it answers with a call as JSON, which its answer consists of."""

    model: Runnable[LanguageModelInput, AIMessage]
    messages: list[BaseMessage]
    is_call_json: bool = False


def bound(model: BaseChatModel, asked: Asked, native: Native, *, prefill: bool | None = None) -> Bound:
    """Return the model with what a prompt asks for, as far as it takes that natively. The rest stays in the prompt.

    `prefill` tells whether the model gets the begun reply, where it is asked in words; None for those that take one.
    """
    found: Bound | None = None
    if native != "never" and asked.tools:
        found = _with_tools(model, asked, native)
    elif native != "never" and asked.schema is not None:
        found = _with_schema(model, asked, native)
    if found is not None:
        return found
    takes_beginning = takes_prefill(model) if prefill is None else prefill
    return Bound(model, asked.messages if takes_beginning else without_beginning(asked.messages))


def check_native(model: BaseChatModel, native: Any) -> Native:
    """Return the setting. Raises ValueError for an unknown one, and for "always" where the model has no tools."""
    if native not in NATIVE:
        raise ValueError(f"native is {native!r}; it must be one of {', '.join(map(repr, NATIVE))}.")
    if native == "always" and not _has_bind_tools(model):
        raise ValueError(
            f'native is "always", but {type(model).__name__} has no bind_tools of its own; use "auto" or "never".'
        )
    checked: Native = native
    return checked


def takes_prefill(model: BaseChatModel) -> bool:
    """Return whether a model continues an assistant's message at the end of a conversation, or may do so.

    The APIs of those that do not answer it with an error.
    """
    return _class_takes_prefill(type(model))


@functools.lru_cache(maxsize=100)
def _class_takes_prefill(model: type[BaseChatModel]) -> bool:
    return not _WITHOUT_PREFILL & {base.__module__.partition(".")[0] for base in model.__mro__}


def _with_tools(model: BaseChatModel, asked: Asked, native: Native) -> Bound | None:
    """Return the model with its tools bound; None where it cannot bind them.

    A call that it cannot be forced to make natively is asked for by the schema of the call, if it takes schemas.
    """
    takes_tools = native != "schema" and _takes_tools(model, native)
    if asked.choice.forced and not (takes_tools and _takes_choice(model, native)):
        return _with_call_schema(model, asked, native)
    if not takes_tools or not all(_NAME.fullmatch(tool.name) for tool in asked.tools):
        return None
    arguments: dict[str, Any] = {}
    if asked.choice.forced:
        arguments["tool_choice"] = asked.choice.name or "any"
    if not asked.parallel and "parallel_tool_calls" in inspect.signature(type(model).bind_tools).parameters:
        arguments["parallel_tool_calls"] = False
    try:
        with_tools = model.bind_tools([_complete(tool).as_openai() for tool in asked.tools], **arguments)
    except Exception:
        if native == "always":
            raise
        return None
    return Bound(with_tools, native_history(asked.conversation(tools=False, beginning=False)))


def _complete(tool: Tool) -> Tool:
    """Return a tool whose schema is an object's with properties, as APIs want it."""
    return Tool(tool.name, tool.description, {"type": "object", "properties": {}, **tool.parameters})


def _takes_tools(model: BaseChatModel, native: Native) -> bool:
    return native == "always" or (_has_bind_tools(model) and _profile(model).get("tool_calling") is not False)


def _has_bind_tools(model: BaseChatModel) -> bool:
    return type(model).bind_tools is not BaseChatModel.bind_tools


def _takes_choice(model: BaseChatModel, native: Native) -> bool:
    """Return whether a call can be forced natively, as far as is known.

    Ollama takes the argument, and does nothing with it; so does llama.cpp, for a model whose template has no tools.
    """
    if _package(type(model).bind_tools) == "langchain_ollama":
        return False
    return native == "always" or not (_is_engine(model) or _profile(model).get("tool_choice") is False)


def _is_engine(model: BaseChatModel) -> bool:
    """Return whether a model of langchain-openai stands for an engine of OpenAI's protocol, and not for OpenAI."""
    url = getattr(model, "openai_api_base", None)
    is_openais_package = _package(type(model).with_structured_output) == "langchain_openai"
    return is_openais_package and url is not None and "://api.openai.com" not in url


def _profile(model: BaseChatModel) -> Mapping[str, Any]:
    """Return what the model's package says it can do; nothing for a model that nobody has described."""
    return getattr(model, "profile", None) or {}


def _package(method: Any) -> str:
    return str(method.__module__).partition(".")[0]


def _with_schema(model: BaseChatModel, asked: Asked, native: Native) -> Bound | None:
    """Return the model that answers with JSON of the schema; None where it cannot be bound.

    An engine only constrains what is written, and a small model that does not see the schema writes something of that
    form, but not what is meant. So its instructions stay in the prompt, except for providers that show the schema to
    the model.
    """
    assert asked.schema is not None
    constrained = _constrained(model, asked.schema, "answer", native)
    if constrained is None:
        return None
    shows_schema = constrained.shows_schema and asked.schema != {"type": "object"}
    return Bound(constrained.model, asked.conversation(schema=not shows_schema, beginning=False))


def _with_call_schema(model: BaseChatModel, asked: Asked, native: Native) -> Bound | None:
    """Return the model that must answer with a call, as JSON of the call's schema; None where it takes no schemas."""
    schema = call_schema(asked.tools)
    constrained = _constrained(model, schema, "call", native) if schema else None
    if constrained is None:
        return None
    return Bound(constrained.model, asked.conversation(beginning=False), is_call_json=True)


def call_schema(tools: tuple[Tool, ...]) -> JsonSchema | None:
    """Return the JSON Schema of a call of one of these tools; None where their schemas' references forbid it.

    Example:
        >>> call_schema((Tool("now", "", {"type": "object"}),))["properties"]["name"]
        {'const': 'now'}
    """
    definitions: JsonSchema = {}
    calls: list[JsonSchema] = []
    for tool in tools:
        arguments = {key: value for key, value in tool.parameters.items() if key not in ("$defs", "$schema")}
        own = tool.parameters.get("$defs", {})
        is_clear = all(definitions.get(name, schema) == schema for name, schema in own.items())
        if not is_clear or not all(reference.startswith("#/$defs/") for reference in _references(tool.parameters)):
            return None
        definitions.update(own)
        properties = {"name": {"const": tool.name}, "arguments": {"type": "object", **arguments}}
        calls.append({"type": "object", "properties": properties, "required": ["name", "arguments"]})
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    closed = {**schema, "additionalProperties": False} if len(calls) == 1 else schema
    return {**closed, "$defs": definitions} if definitions else closed


def _references(schema: Any) -> Iterator[str]:
    """Yield the references in a schema."""
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)


class _Constrained(NamedTuple):
    """A model that answers with JSON of a schema, and whether its provider shows the schema to the model."""

    model: Runnable[LanguageModelInput, AIMessage]
    shows_schema: bool


def _constrained(model: BaseChatModel, schema: JsonSchema, name: str, native: Native) -> _Constrained | None:
    """Return the model with a schema by which its decoding is constrained; None where it has no such thing."""
    if native == "auto" and _profile(model).get("structured_output") is False:
        return None
    package = _package(type(model).with_structured_output)
    if package == "langchain_ollama":
        return _Constrained(model.bind(format=schema), shows_schema=False)
    if package == "langchain_openai" or native == "schema":
        format_: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}
        shows_schema = native != "schema" and not _is_engine(model)
        return _Constrained(model.bind(response_format=format_), shows_schema)
    if "method" not in inspect.signature(type(model).with_structured_output).parameters:
        return None
    try:
        titled = {"title": name, "description": f"The {name}.", **schema}
        structured = model.with_structured_output(titled, method="json_schema", include_raw=True)
    except Exception:
        if native == "always":
            raise
        return None
    raw = getattr(getattr(structured, "first", None), "steps__", {}).get("raw")
    # Some integrations offer the schema as a tool instead.
    if not isinstance(raw, Runnable) or "tools" in getattr(raw, "kwargs", {}):
        return None
    return _Constrained(raw, shows_schema=True)
