"""The dicts in which other libraries hand over a JSON Schema."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_darkai._json.schema import JsonSchema, with_inlined_root

_SCHEMA_KEYS = ("schema", "parameters", "input_schema", "inputSchema", "outputSchema")
"""Where a form keeps its schema: OpenAI's and Anthropic's formats of an answer, OpenAI's functions, Anthropic's tools,
MCP's tools. What an MCP tool returns is the answer only where the form does not say what the tool takes."""


class NamedSchema(NamedTuple):
    """A JSON Schema, the name of the answer, and whether the form around the schema is strict; None if not said."""

    name: str
    schema: JsonSchema
    strict: bool | None


def schema_within(source: Mapping[str, Any]) -> NamedSchema:
    """Return the schema within a known form; of any other dict, the dict itself, which must be a JSON Schema.

    Known are `{"type": "json_schema", "json_schema": {...}}`, its inner dict `{"name", "schema", "strict"}`, the same
    in one dict as in the Responses API, and tools as of OpenAI, Anthropic and MCP.

    Example:
        >>> schema_within({"name": "count", "strict": True, "schema": {"type": "integer"}})
        NamedSchema(name='count', schema={'type': 'integer'}, strict=True)
    """
    kind = source.get("type")
    inner = source.get(kind) if kind in ("json_schema", "function") else None
    form: Mapping[str, Any] = inner if isinstance(inner, Mapping) else source
    if kind in ("json_schema", "function") or isinstance(form.get("name"), str):
        for key in _SCHEMA_KEYS:
            if isinstance(form.get(key), Mapping):
                described = {"description": form["description"]} if form.get("description") else {}
                strict = form["strict"] if isinstance(form.get("strict"), bool) else None
                schema = with_inlined_root({**described, **form[key]})
                return NamedSchema(str(form.get("name", "answer")), schema, strict)
    schema = with_inlined_root(dict(source))
    return NamedSchema(str(schema.get("title", "answer")), schema, None)
