"""The forms in which models write tool calls: the whole text of calls to names and arguments."""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langchain_darkai._json.reader import LenientJsonReader, coerce, read_value
from langchain_darkai._tool_calls.markup import without_fence
from langchain_darkai._tool_calls.tools import Tool

_NAME_KEYS = ("name", "tool", "tool_name", "function", "action")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "input", "params", "action_input", "tool_input")
# The members of an object that is unmistakably a call.
_EXACT_KEYS = frozenset({"name", "arguments", "parameters", "args", "type", "id", "function"})

_SEPARATOR = re.compile(r"\A[\s;,]*")
_XML_CALL = re.compile(r"\s*<function=([^>\s]+)>(.*?)</function>\s*", re.DOTALL)
_XML_PARAMETER = re.compile(r"\s*<parameter=([^>\s]+)>\n?(.*?)\n?</parameter>\s*", re.DOTALL)
_NAME_FIRST = re.compile(r"\s*(?:\[TOOL_CALLS\])?\s*([\w.-]+)\s*(?:\[ARGS\]|\n|(?=\{))\s*")
_BLOCK = re.compile(r"\s*<tool_call>(.*?)</tool_call>", re.DOTALL)
_NAME = re.compile(r"""["'“]name["'”]\s*:\s*["'“](?P<name>(?:[^"'”\\]|\\.)*)["'”]""")
_FIRST_MEMBER = re.compile(r'\[?\{"(?P<key>(?:[^"\\]|\\.)*)": (?:"(?P<value>(?:[^"\\]|\\.)*)(?P<ended>")?)?')

_MAX_PYTHON = 20_000  # characters that Python's parser is given: long texts by others can make it slow, or fail


class RawToolCall(NamedTuple):
    """A call as it was read. Where its arguments are no object, `arguments` is None, and `raw` is what they are."""

    name: str
    arguments: dict[str, Any] | None
    reason: str | None = None
    raw: Any = None


def read_calls(text: str, tools: Mapping[str, Tool], *, exact: bool) -> list[RawToolCall] | None:
    """Return the calls that a text consists of; None for a text of anything else.

    `exact` is for a text without our tag around it, which may be ordinary text. It must be unmistakably a call: of a
    tool that is bound, with arguments, and with no members that calls do not have.

    Example:
        >>> read_calls('{"name": "now", "arguments": {}}', {}, exact=False)
        [RawToolCall(name='now', arguments={}, reason=None, raw=None)]
    """
    text = without_fence(text)
    for read in (_read_json, _read_xml, _read_name_first, _read_python):
        calls = read(text, tools, exact)
        if calls:
            return calls
    return None


def read_blocks(text: str, tools: Mapping[str, Tool]) -> list[RawToolCall]:
    """Return the calls in a text that consists of `<tool_call>` blocks; [] for any other text."""
    calls: list[RawToolCall] = []
    position = 0
    while block := _BLOCK.match(text, position):
        found = read_calls(block[1], tools, exact=False)
        if not found:
            return []
        calls += found
        position = block.end()
    return [] if text[position:].strip() else calls


def calls_of_value(value: Any, tools: Mapping[str, Tool], *, exact: bool) -> list[RawToolCall] | None:
    """Return the calls in a JSON value, which is one call, a list, or an object with a list; None for anything else."""
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    values = value if isinstance(value, list) else [value]
    calls = [_call_of_object(item, tools, exact) for item in values]
    return [call for call in calls if call] if calls and all(calls) else None


def arguments_of_value(value: Any, tool: Tool) -> dict[str, Any] | None:
    """Return the arguments that a JSON value is, for the tool that must be called; None for any other value."""
    if not isinstance(value, dict) or not value.keys() <= (tool.node.member_names() or value.keys()):
        return None
    if not tool.parameters.get("required", ()) and not value:
        return {}
    return _with_types_of(value, tool) if value else None


def _call_of_object(value: Any, tools: Mapping[str, Tool], exact: bool) -> RawToolCall | None:
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    if isinstance(inner, dict):
        if exact and not value.keys() <= _EXACT_KEYS:
            return None
        value = inner
    name_key = next((key for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    argument_key = next((key for key in _ARGUMENT_KEYS if key in value), None)
    if name_key is None:
        return _call_keyed_by_name(value, tools, exact)
    name = value[name_key]
    tool = tools.get(name)
    if exact and (tool is None or argument_key is None or not value.keys() <= _EXACT_KEYS):
        return None
    if argument_key is None:
        others = {key: item for key, item in value.items() if key not in (name_key, "id", "type")}
        arguments: Any = others if tool and others.keys() <= tool.node.member_names() else {}
    else:
        arguments = value[argument_key]
    return _call(name, arguments, tool, exact)


def _call_keyed_by_name(value: dict[str, Any], tools: Mapping[str, Tool], exact: bool) -> RawToolCall | None:
    if exact or len(value) != 1:
        return None
    ((name, arguments),) = value.items()
    return _call(name, arguments, tools[name], exact) if name in tools else None


def _call(name: str, arguments: Any, tool: Tool | None, exact: bool) -> RawToolCall | None:
    if isinstance(arguments, str) and arguments.strip():
        read = read_value(arguments.strip())
        arguments = read[0] if read and not read[1].strip() else arguments
    if arguments is None or arguments == "":
        arguments = {}
    if not isinstance(arguments, dict):
        reason = f"the arguments are {type(arguments).__name__}, not an object"
        return None if exact else RawToolCall(name, None, reason, arguments)
    known = tool.node.member_names() if tool else frozenset()
    if exact and arguments and known and not arguments.keys() & known:
        return None  # an object that only looks like a call
    if exact and arguments.get("type") == "object" and "properties" in arguments and "properties" not in known:
        return None  # the tool's definition, repeated
    return RawToolCall(name, _with_types_of(arguments, tool))


def _with_types_of(arguments: dict[str, Any], tool: Tool | None) -> dict[str, Any]:
    coerced: dict[str, Any] = coerce(arguments, tool.node) if tool else arguments
    return coerced


def _read_json(text: str, tools: Mapping[str, Tool], exact: bool) -> list[RawToolCall] | None:
    """Read JSON values with calls, one after another."""
    calls: list[RawToolCall] = []
    rest = text.strip()
    while rest:
        read = read_value(rest) if rest[0] in "{[" else None
        found = calls_of_value(read[0], tools, exact=exact) if read else None
        if read is None or not found:
            return None
        calls += found
        rest = _SEPARATOR.sub("", read[1], count=1)
    return calls


def _read_xml(text: str, tools: Mapping[str, Tool], exact: bool) -> list[RawToolCall] | None:
    """Read `<function=name>` tags, with the arguments as JSON or in `<parameter=name>` tags."""
    calls: list[RawToolCall] = []
    position = 0
    while position < len(text):
        block = _XML_CALL.match(text, position)
        if block is None or (exact and block[1] not in tools):
            return None
        tool = tools.get(block[1])
        parameters = _XML_PARAMETER.findall(block[2])
        if parameters and not _XML_PARAMETER.sub("", block[2]).strip():
            found: RawToolCall | None = RawToolCall(block[1], _with_types_of(dict(parameters), tool))
        else:
            found = _call(block[1], block[2].strip(), tool, exact=False)
        calls += [found] if found else []
        position = block.end()
    return calls


def _read_name_first(text: str, tools: Mapping[str, Tool], exact: bool) -> list[RawToolCall] | None:
    """Read names with their arguments as JSON behind them, as Mistral's and GLM's models write them."""
    calls: list[RawToolCall] = []
    rest = text.strip()
    while rest:
        name = _NAME_FIRST.match(rest)
        read = read_value(rest[name.end() :]) if name else None
        if name is None or read is None or name[1] not in tools:
            return None
        found = _call(name[1], read[0], tools[name[1]], exact)
        calls += [found] if found else []
        rest = _SEPARATOR.sub("", read[1], count=1)
    return calls


def _read_python(text: str, tools: Mapping[str, Tool], exact: bool) -> list[RawToolCall] | None:
    """Read calls that are written as Python. Arguments must be literals: nothing is evaluated."""
    if "(" not in text or len(text) > _MAX_PYTHON:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user cannot mend the model's back-slashes
            statements = ast.parse(text.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    calls: list[RawToolCall | None] = []
    for statement in statements:
        value = statement.value if isinstance(statement, ast.Expr) else None
        nodes = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
        calls += [_call_of_node(node, tools) for node in nodes]
    return [call for call in calls if call] if all(calls) else None


def _call_of_node(node: ast.expr | None, tools: Mapping[str, Tool]) -> RawToolCall | None:
    if not isinstance(node, ast.Call):
        return None
    path = _dotted(node.func)
    name = next((part for part in (".".join(path), *path) if part in tools), None)
    if name is None:
        return None
    tool = tools[name]
    names = list(tool.parameters.get("properties", {}))
    if len(node.args) > len(names) or not all(item.arg for item in node.keywords):
        return None
    try:
        arguments = {names[place]: ast.literal_eval(argument) for place, argument in enumerate(node.args)}
        arguments.update({str(item.arg): ast.literal_eval(item.value) for item in node.keywords})
        return RawToolCall(name, _with_types_of(arguments, tool))
    except (ValueError, TypeError, RecursionError):
        return None


def _dotted(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [*_dotted(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else []


def looks_like_a_call(prefix: str, names: Sequence[str]) -> bool | None:
    """Tell from the beginning of JSON, as a `LenientJsonReader` writes it, whether it may be a call of a bound tool.

    Return None where more of it is needed to tell.

    Example:
        >>> looks_like_a_call('{"name": "Alice"', ["get_weather"])
        False
    """
    if re.match(r"\[[^{]|\[?\{\}", prefix):
        return False
    first = _FIRST_MEMBER.match(prefix)
    if first is None:
        return None
    key, value = first["key"], first["value"]
    if key not in _EXACT_KEYS and key != "tool_calls":
        return False
    if key != "name":
        return None
    if value is None or not first["ended"]:
        return None if value is not None and any(name.startswith(value) for name in names) else False
    return value in names


def name_in(text: str) -> str | None:
    """Return the name in a broken call; None where none is found."""
    name = _NAME.search(text)
    return name["name"] if name else None


def is_truncated_json(text: str) -> bool:
    """Return whether a text is JSON that does not end."""
    reader = LenientJsonReader()
    reader.feed(text.strip())
    return not reader.done and reader.failure is None


def why_not_json(text: str) -> str:
    """Return the reason why a text is not a JSON value."""
    reader = LenientJsonReader()
    reader.feed(text.strip())
    return reader.failure or ("the JSON ends too early" if text.strip() else "the call is empty")
