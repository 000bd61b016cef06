"""What a structured answer has to be: a schema in any form to instructions, and to the check of an answer."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pydantic
from langchain_core.utils.function_calling import convert_to_json_schema
from typing_extensions import is_typeddict

from langchain_darkai._json.schema import JsonSchema, SchemaNode, dump, without_titles
from langchain_darkai._json.schema_from_type import adapter_for_type, schema_from_type
from langchain_darkai._structured_output.answer_text import AnswerText
from langchain_darkai._structured_output.extraction import AnswerScanner, InvalidAnswer, is_wrapper
from langchain_darkai._structured_output.method import Method
from langchain_darkai._structured_output.schema_check import MAX_ERRORS, MAX_FAULTS, joined, schema_checker
from langchain_darkai._structured_output.schema_forms import schema_within
from langchain_darkai._text import short_repr, shortened
from langchain_darkai._tool_calls.tools import Tool
from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.prompts import one_line

__all__ = ["InvalidAnswer", "Method", "OutputFormat", "format_of_response_format", "output_format"]

SCHEMA_START, SCHEMA_END = "<json_schema>", "</json_schema>"

INSTRUCTIONS_START = (
    f"Give your answer as one JSON value that is valid against this JSON Schema, and only that:\n{SCHEMA_START}"
)

ANY_JSON = "Give your answer as one JSON object only, with nothing before or after it."

MAX_LISTED = 1000
"""Faults of a Pydantic type that are listed to find the first ones. Pydantic lists all at once, and lets no other
thread run meanwhile; of more, the type's JSON Schema tells the first."""


@dataclass(frozen=True, repr=False)
class OutputFormat:
    """What an answer has to be: the schema that the model is shown, and the check that makes the result.

    An answer that is not an object is wrapped: the model is asked for an object with the member "value", since models
    write objects best. `check` raises ValueError or TypeError with the reasons. `has_partials` tells that the result is
    plain JSON, which can be shown while it is still coming. `source` is the schema as it was given: a format is pickled
    as it and built again, since a check cannot be pickled.
    """

    name: str
    schema: JsonSchema
    method: Method
    strict: bool
    is_wrapped: bool
    has_partials: bool
    source: Any = field(compare=False)
    check: Callable[[Any], Any] = field(compare=False)
    node: SchemaNode = field(compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return output_format, (self.source, self.method, self.strict)

    def __repr__(self) -> str:
        return f"OutputFormat({self.name}, {self.method}, strict={self.strict}, {dump(self.schema)})"

    @property
    def tool(self) -> Tool:
        """The answer as the arguments of a tool, for `function_calling`."""
        return Tool(self.name, str(self.schema.get("description", "Give the answer.")), self.schema)

    @property
    def traced_schema(self) -> Any:
        """The schema in a form that LangChain's tracing can convert: as it was given, if its members survive that."""
        try:
            converted = convert_to_json_schema(self.source).get("properties", {})
        except Exception:  # noqa: BLE001 - whatever it fails on, our own schema takes the place
            converted = {}
        is_whole = converted.keys() == self.schema.get("properties", {}).keys()
        return self.source if converted and is_whole else {"title": self.name, **self.schema}

    def instructions(self) -> str:
        """Return the text that asks for the answer."""
        if self.method == "json_mode":
            return ANY_JSON
        return "\n".join([INSTRUCTIONS_START, one_line(dump(self.schema)), SCHEMA_END])

    def scanner(self, *, check: bool = True) -> AnswerScanner:
        """Return what looks for the answer in a reply. With `check=False` the first JSON value is taken for it."""
        accept = self.result if check else lambda value: value
        return AnswerScanner(accept, None if self.strict else self.node, is_wrapped=self.is_wrapped)

    def answer_text(self) -> AnswerText:
        """Return what makes bare JSON of a reply's text. An answer that has to be unwrapped waits until it is whole."""
        first_names = None if self.is_wrapped else self.node.member_names()
        node = None if self.strict else self.node
        return AnswerText(AnswerScanner(self.result, node, is_wrapped=self.is_wrapped, first_names=first_names))

    def read(self, text: str) -> tuple[str, Any]:
        """Return the answer in a whole reply: its JSON, and its result. Raises InvalidAnswer where there is none."""
        scanner = self.scanner()
        scanner.feed(text)
        return scanner.finish()

    def result(self, value: Any) -> Any:
        """Return the result of a JSON value. Raises InvalidAnswer, with what is wrong member by member."""
        try:
            return self.check(value["value"] if self.is_wrapped and is_wrapper(value) else value)
        except pydantic.ValidationError as error:
            raise InvalidAnswer(self._faults_of(error, value)) from error
        except (ValueError, TypeError) as error:
            raise InvalidAnswer(shortened(str(error), MAX_FAULTS)) from error

    def _faults_of(self, error: pydantic.ValidationError, value: Any) -> str:
        if error.error_count() > MAX_LISTED:
            try:
                schema_checker(self.schema)({"value": value} if self.is_wrapped and not is_wrapper(value) else value)
            except ValueError as first_faults:
                return str(first_faults)
            return f"it has {error.error_count():,} faults"
        items = error.errors(include_url=False, include_context=False, include_input=False)
        return joined([(".".join(map(str, item["loc"])), item["msg"]) for item in items[: MAX_ERRORS + 1]])


def output_format(schema: Any, method: Method = "json_schema", strict: bool | None = None) -> OutputFormat:
    """Return the format of an answer.

    `schema` is a type or a dict. A type is a Pydantic model (of v2 or v1), a dataclass, a TypedDict, or any other that
    Pydantic validates, such as `list[int]` or `A | B`; the results are its values. A dict is a JSON Schema, or a dict
    of OpenAI, Anthropic or MCP around one; the results are JSON values that it allows. With `strict=True`, no text is
    taken for a number, and types convert nothing.

    Raises DarkAIInvalidRequestError, a ValueError, for any other schema or method.

    Example:
        >>> output_format(list[int]).read('Sure: {"value": [1, 2]}')
        ('[1, 2]', [1, 2])
    """
    if method not in ("json_schema", "function_calling", "json_mode"):
        raise DarkAIInvalidRequestError(f"method={method!r} must be json_schema, function_calling or json_mode.")
    try:
        if isinstance(schema, Mapping):
            name, bare, strict_within = schema_within(schema)
            strict = bool(strict_within if strict is None else strict)
            check = schema_checker(bare)
            has_partials = True
        else:
            name, bare = getattr(schema, "__name__", "answer"), schema_from_type(schema)
            strict = bool(strict)
            check = _type_checker(schema, strict)
            has_partials = is_typeddict(schema)
    except (TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DarkAIInvalidRequestError(
            f"{short_repr(schema)} is not a schema for an answer: {reason}. Give a Pydantic model or another type, a "
            "JSON Schema, or a dict of OpenAI, Anthropic or MCP with a JSON Schema in it."
        ) from error
    is_wrapped = bare.get("type") != "object" and "properties" not in bare
    shown = _wrapped(bare) if is_wrapped else bare
    name = re.sub(r"[^\w-]", "_", name)
    node = SchemaNode.of(shown)
    return OutputFormat(name, shown, method, strict, is_wrapped, has_partials, schema, check, node)


def format_of_response_format(response_format: Any) -> OutputFormat | None:
    """Return the format that a `response_format` keyword means; None for plain text.

    It is OpenAI's dict of type "json_schema", "json_object" or "text", or a schema that `output_format` takes.

    Example:
        >>> format_of_response_format({"type": "text"}) is None
        True
    """
    if response_format is None or response_format == {"type": "text"}:
        return None
    if isinstance(response_format, Mapping) and response_format.get("type") == "json_object":
        return output_format({"type": "object"}, method="json_mode")
    return output_format(response_format)


def _type_checker(type_: Any, strict: bool) -> Callable[[Any], Any]:
    if isinstance(type_, type) and not issubclass(type_, pydantic.BaseModel) and hasattr(type_, "parse_obj"):
        of_v1: Callable[[Any], Any] = type_.parse_obj
        return of_v1
    adapter = adapter_for_type(type_)
    # As JSON, in which a date is a string: strictly, a Python string would not do for a date.
    return lambda value: adapter.validate_json(json.dumps(value), strict=strict or None)


def _wrapped(schema: JsonSchema) -> JsonSchema:
    schema = _moved_references(schema)
    inner = {key: value for key, value in schema.items() if key not in ("$defs", "definitions", "$schema")}
    outer: JsonSchema = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    return {"type": "object", "properties": {"value": without_titles(inner)}, "required": ["value"], **outer}


def _moved_references(schema: Any) -> Any:
    """Return a schema for the member "value" of an object: references to the schema's root point there instead."""
    if isinstance(schema, list):
        return [_moved_references(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    moved = {key: _moved_references(value) for key, value in schema.items()}
    reference = moved.get("$ref")
    if isinstance(reference, str) and re.match(r"#(?!/(?:\$defs|definitions)/)", reference):
        moved["$ref"] = f"#/properties/value{reference[1:]}"
    return moved
