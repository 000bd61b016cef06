"""Tools and tool choices, from LangChain's forms, and the instructions that offer them to a model as text."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.tools import BaseTool
from langchain_core.tools.base import create_schema_from_function
from langchain_core.utils.function_calling import convert_to_openai_function

from langchain_darkai._json.schema import SchemaNode, dump, with_inlined_root, without_titles
from langchain_darkai._json.schema_from_type import schema_from_type
from langchain_darkai._text import short_repr
from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.prompts import CALL_END, CALL_START, one_line

TOOLS_START, TOOLS_END = "<tools>", "</tools>"

MUST_CALL = "You must call a tool in this reply."
"""The sentence that forces a call. The offline model looks for it."""

ONE_CALL = "Call one tool at most."
"""The sentence that rules out parallel calls. The offline model looks for it."""

_TASK = (
    "You are an expert in calling tools. Given a request and a set of tools, write every tool call that is needed to "
    "fulfil the request."
)

INSTRUCTIONS_START = f"{_TASK}\n{TOOLS_START}"

_NAME = "<tool name>"

_ONE_BLOCK = f"""Write each call as a JSON object between {CALL_START} and {CALL_END}:
{CALL_START}
{{"name": {_NAME}, "arguments": <arguments>}}
{CALL_END}"""

_SEVERAL_CALLS = f"""When the request mentions several items, cities, numbers or actions, write a list of such \
objects, one for each of them:
{CALL_START}
[{{"name": {_NAME}, "arguments": <arguments of the first call>}}, {{"name": {_NAME}, "arguments": <arguments of the \
second call>}}]
{CALL_END}"""

_CALL_OR_TEXT = (
    "Write only the block, no other text. Only if none of the tools can be used, or the results of your calls are "
    "there already, answer in plain text."
)


@dataclass(frozen=True)
class Tool:
    """A tool as the model is told of it: its name, what it does, and the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]

    @property
    def node(self) -> SchemaNode:
        """The place of the arguments in their schema, which tells their types."""
        return SchemaNode.of(self.parameters)

    def as_dict(self) -> dict[str, Any]:
        """Return the tool as a dict of its name, description and parameters, as the model sees it."""
        return {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}

    def as_openai(self) -> dict[str, Any]:
        """Return the tool as OpenAI's dict, which LangChain and its tracers know."""
        return {"type": "function", "function": self.as_dict()}


@dataclass(frozen=True)
class ToolChoice:
    """Whether the model may or must call a tool; `name` is the tool that it must call, None for any."""

    mode: Literal["auto", "none", "required"] = "auto"
    name: str | None = None

    @property
    def forced(self) -> bool:
        """Whether the reply must be a call."""
        return self.mode == "required"


def tool_from(source: Any) -> Tool:
    """Return the tool that `source` is, in any of LangChain's forms, with its whole schema.

    These are a LangChain tool, a function, a Pydantic or TypedDict class, a dict as of OpenAI, Anthropic or MCP, and a
    JSON Schema with a title. Raises DarkAIInvalidRequestError, a ValueError, for anything else.

    Example:
        >>> def add(a: int, b: int) -> int:
        ...     "Add two numbers."
        ...     return a + b
        >>> tool_from(add).parameters["required"]
        ['a', 'b']
    """
    try:
        if isinstance(source, Tool):
            return source
        if isinstance(source, BaseTool):
            return Tool(source.name, source.description, _schema_of_tool(source))
        if isinstance(source, Mapping):
            return _tool_from_dict(dict(source))
        if isinstance(source, type):
            return _tool_from_class(source)
        if callable(source):
            return _tool_from_function(source)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise DarkAIInvalidRequestError(f"{short_repr(source)} cannot be offered as a tool: {reason}") from error
    raise DarkAIInvalidRequestError(
        f"{short_repr(source)} is not a tool. Pass a LangChain tool, a function, a Pydantic class, or a dict with "
        "name, description and parameters."
    )


def _schema_of_tool(tool: BaseTool) -> Mapping[str, Any]:
    schema = tool.tool_call_schema
    return _without_description(without_titles(schema) if isinstance(schema, dict) else schema_from_type(schema))


def _tool_from_class(source: type) -> Tool:
    parameters = _without_description(schema_from_type(source))
    if parameters.get("type") != "object":
        raise TypeError("arguments must be an object, and its values are not")
    return Tool(source.__name__, inspect.cleandoc(source.__doc__ or ""), parameters)


def _tool_from_function(function: Callable[..., Any]) -> Tool:
    described = convert_to_openai_function(function)
    model = create_schema_from_function(
        described["name"],
        function,
        filter_args=(),
        parse_docstring=True,
        error_on_invalid_docstring=False,
        include_injected=False,
    )
    return Tool(described["name"], described.get("description", ""), _without_description(schema_from_type(model)))


def _tool_from_dict(source: dict[str, Any]) -> Tool:
    described = source.get("function", source) if source.get("type", "function") == "function" else source
    if described.get("type", "function") not in ("function", "custom", "object"):
        raise ValueError(f"tools of type {described['type']!r} are built into another provider, and cannot run here")
    for key in ("parameters", "input_schema", "inputSchema"):
        if isinstance(described.get("name"), str) and isinstance(described.get(key), Mapping):
            return Tool(described["name"], described.get("description") or "", without_titles(described[key]))
    described = convert_to_openai_function(with_inlined_root(described))
    parameters = without_titles(described.get("parameters", {"type": "object", "properties": {}}))
    return Tool(described["name"], described.get("description", ""), parameters)


def _without_description(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in schema.items() if key != "description"}


def parse_tool_choice(tool_choice: Any, tools: Sequence[Tool]) -> ToolChoice:
    """Return what a `tool_choice` means.

    None and "auto" leave it to the model. "none" and False offer no tool. "any", "required" and True force a call; of
    one tool alone, they mean that tool. A tool's name, or a dict with it, forces a call of that tool.

    Raises DarkAIInvalidRequestError for a name that no tool has, and for a forced call where there are no tools.

    Example:
        >>> parse_tool_choice("any", [Tool("add", "", {})])
        ToolChoice(mode='required', name='add')
    """
    if isinstance(tool_choice, Mapping):
        function = tool_choice.get("function")
        named = function.get("name") if isinstance(function, Mapping) else tool_choice.get("name")
        tool_choice = named if named is not None else tool_choice.get("type", tool_choice)
    if tool_choice is None or tool_choice == "auto":
        return ToolChoice()
    if tool_choice is False or tool_choice == "none":
        return ToolChoice("none")
    names = [tool.name for tool in tools]
    if tool_choice is True or tool_choice in ("any", "required"):
        if not tools:
            raise DarkAIInvalidRequestError(f"tool_choice={tool_choice!r} forces a call, but there are no tools.")
        return ToolChoice("required", names[0] if len(names) == 1 else None)
    if tool_choice in names:
        return ToolChoice("required", tool_choice)
    near = difflib.get_close_matches(tool_choice, names, n=1) if isinstance(tool_choice, str) else []
    raise DarkAIInvalidRequestError(
        f"tool_choice={tool_choice!r} must be auto, none, any, required or the name of a tool"
        + (f". Did you mean {near[0]!r}?" if near else f" ({', '.join(names) or 'there are no tools'}).")
    )


def offered_tools(tools: Sequence[Tool], choice: ToolChoice) -> list[Tool]:
    """Return the tools that the model is told of: all, or the one that it must call, or none."""
    if choice.mode == "none":
        return []
    return [tool for tool in tools if choice.name in (None, tool.name)]


def tool_instructions(tools: Sequence[Tool], choice: ToolChoice, *, parallel: bool = True) -> str:
    """Return the text that offers the tools. It is always the same text for the same tools, so servers can cache it.

    Each sentence and its place is there because small models call better with it, as `evals/` measures.

    Example:
        >>> now = Tool("now", "Tells the time.", {"type": "object"})
        >>> print(tool_instructions([now], ToolChoice("required", "now")).partition("</tools>\\n")[2])
        Write each call as a JSON object between <tool_call> and </tool_call>:
        <tool_call>
        {"name": "now", "arguments": <arguments>}
        </tool_call>
        You must call a tool in this reply.
    """
    lines = [one_line(dump(tool.as_dict())) for tool in tools]
    rules = tool_rules(tools, forced=choice.forced, parallel=parallel)
    return "\n".join([INSTRUCTIONS_START, *lines, TOOLS_END, rules])


def tool_rules(tools: Sequence[Tool], *, forced: bool, parallel: bool) -> str:
    """Return the end of the instructions: how and when to call, and how often.

    The form of a call has the name of the tool where there is no other: small models make up names for a placeholder.
    """
    one = _ONE_BLOCK.replace(_NAME, one_line(dump(tools[0].name))) if len(tools) == 1 else _ONE_BLOCK
    several = [_SEVERAL_CALLS] if parallel and not forced else []
    when = MUST_CALL if forced else _CALL_OR_TEXT
    end = [] if parallel else [ONE_CALL]
    return "\n".join([one, *several, when, *end])
