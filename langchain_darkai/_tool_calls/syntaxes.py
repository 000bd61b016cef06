"""What stands in calls, whole: JSON values, texts and Python to names and arguments."""

import ast
import json
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from langchain_darkai._json.reader import MAX_WHOLE, LenientJsonReader
from langchain_darkai._json.values import coerce, read_value
from langchain_darkai._tool_calls.tools import Tool

_NAME_KEYS = ("name", "tool", "tool_name", "function", "action")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "input", "params", "action_input", "tool_input")
# The members of an object that is unmistakably a call.
_EXACT_KEYS = frozenset(
    {"name", "arguments", "parameters", "args", "type", "id", "function", "tool", "tool_name", "tool_call_id"}
)

_LAYOUT = re.compile(r"\A\n|\n\Z")
_CDATA = re.compile(r"\s*<!\[CDATA\[(.*)\]\]>\s*\Z", re.DOTALL)
_CLEAN = re.compile(r"\A(?:functions[.:]|tools\.)?(.*?)(?::\d+)?\Z", re.DOTALL)
_NAME = re.compile(r"""["'“]name["'”]\s*:\s*["'“](?P<name>(?:[^"'”\\]|\\.)*)["'”]""")
_FIRST_MEMBER = re.compile(r'\[?\{"(?P<key>(?:[^"\\]|\\.)*)": (?:"(?P<value>(?:[^"\\]|\\.)*)(?P<ended>")?)?')

_MAX_PYTHON = 20_000  # characters that Python's parser is given: long texts by others can make it slow, or fail


class RawToolCall(NamedTuple):
    """A call as it was read. Where its arguments are no object, `arguments` is None, and `raw` is what they are."""

    name: str
    arguments: dict[str, Any] | None
    reason: str | None = None
    raw: Any = None


def calls_of_value(value: Any, tools: Mapping[str, Tool], *, exact: bool) -> list[RawToolCall] | None:
    """Return the calls in a JSON value, which is one call, a list, or an object with a list; None for anything else."""
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    values = value if isinstance(value, list) else [value]
    calls = [_calls_of_object(item, tools, exact) for item in values]
    return [call for found in calls for call in found] if calls and all(calls) else None


def arguments_of_value(value: Any, tool: Tool) -> dict[str, Any] | None:
    """Return the arguments that a JSON value is, for the tool that must be called; None for any other value."""
    if not isinstance(value, dict) or not value.keys() <= (tool.node.member_names() or value.keys()):
        return None
    if not tool.parameters.get("required", ()) and not value:
        return {}
    return _with_types_of(value, tool) if value else None


def _calls_of_object(value: Any, tools: Mapping[str, Tool], exact: bool) -> list[RawToolCall]:
    """Return the call in an object, or several where its arguments are a list of them; [] for any other object."""
    if not isinstance(value, dict):
        return []
    inner = value.get("function")
    if isinstance(inner, dict):
        if exact and not value.keys() <= _EXACT_KEYS:
            return []
        value = inner
    name_key = next((key for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    argument_key = next((key for key in _ARGUMENT_KEYS if key in value), None)
    if name_key is None:
        keyed = None if exact else _call_keyed_by_name(value, tools)
        return [keyed] if keyed else []
    name = bound_name(value[name_key], tools)
    tool = tools.get(name)
    if exact and (tool is None or argument_key is None or not value.keys() <= _EXACT_KEYS):
        return []
    if argument_key is None:
        others = {key: item for key, item in value.items() if key not in (name_key, "id", "type")}
        arguments: Any = others if tool and others.keys() <= tool.node.member_names() else {}
    else:
        arguments = value[argument_key]
    if exact and argument_key == "parameters" and _is_schema(arguments, tool):
        return []  # the tool's definition
    calls = [call_of(name, each, tool, exact=exact) for each in _each_arguments(arguments, tool)]
    return [call for call in calls if call] if all(calls) else []


def _each_arguments(arguments: Any, tool: Tool | None) -> list[Any]:
    """Return the arguments of each call, where a list has the arguments of several."""
    members = tool.node.member_names() if tool else frozenset()
    if not (isinstance(arguments, list) and arguments):
        return [arguments]
    return arguments if all(isinstance(each, dict) and each.keys() <= members for each in arguments) else [arguments]


def _is_schema(arguments: Any, tool: Tool | None) -> bool:
    if not isinstance(arguments, dict) or tool is None or "properties" in tool.node.member_names():
        return False
    return arguments.get("type") == "object" and "properties" in arguments


def _call_keyed_by_name(value: dict[str, Any], tools: Mapping[str, Tool]) -> RawToolCall | None:
    if len(value) != 1:
        return None
    ((name, arguments),) = value.items()
    return call_of(name, arguments, tools[name], exact=False) if name in tools else None


def call_of(name: str, arguments: Any, tool: Tool | None, *, exact: bool) -> RawToolCall | None:
    if isinstance(arguments, str) and arguments.strip():
        read = read_value(arguments.strip())
        arguments = read[0] if read and not read[1].strip() else arguments
    if arguments is None or arguments == "":
        arguments = {}
    if isinstance(arguments, list) and tool:
        arguments = _by_name(arguments, tool)
    if not isinstance(arguments, dict):
        reason = f"the arguments are {type(arguments).__name__}, not an object"
        return None if exact else RawToolCall(name, None, reason, arguments)
    if _is_schema(arguments, tool):
        return RawToolCall(name, None, "the arguments are the tool's JSON Schema, not values", arguments)
    known = tool.node.member_names() if tool else frozenset()
    if exact and arguments and known and not arguments.keys() & known:
        return None  # an object that only looks like a call
    return RawToolCall(name, _with_types_of(arguments, tool))


def _by_name(values: list[Any], tool: Tool) -> Any:
    """Return arguments that came in the order of the tool's parameters; a list that does not fit them, as it is."""
    properties = tool.parameters.get("properties", {})
    named = dict(zip(properties, values, strict=False))
    has_all = len(named) == len(values) and set(tool.parameters.get("required", properties)) <= named.keys()
    return named if has_all and all(tool.node.member(key).allows(value) for key, value in named.items()) else values


def _with_types_of(arguments: dict[str, Any], tool: Tool | None) -> dict[str, Any]:
    coerced: dict[str, Any] = coerce(arguments, tool.node) if tool else arguments
    return coerced


def call_of_texts(
    name: str, arguments: Mapping[str, str], tool: Tool | None, json_keys: Collection[str]
) -> RawToolCall:
    """Return the call whose arguments came as text: the tool's schema decides which of them are more than text.

    `json_keys` are those that are marked as JSON. The line ends beside a value belong to the tags around it.
    """
    values: dict[str, Any] = {}
    for key, written in arguments.items():
        text = _LAYOUT.sub("", written.replace("\r\n", "\n"))
        if cdata := _CDATA.match(text):
            text = cdata[1]
        read = read_value(text.strip()) if key in json_keys else None
        values[key] = read[0] if read and not read[1].strip() else text
    return RawToolCall(name, _with_types_of(values, tool))


def call_of_tree(name: str, arguments: dict[str, Any], tool: Tool | None) -> RawToolCall:
    """Return the call whose arguments are texts, lists and objects of texts."""
    return RawToolCall(name, _with_types_of(arguments, tool))


def keyed_calls(value: Any, tools: Mapping[str, Tool]) -> list[RawToolCall] | None:
    """Return the calls in objects of which each has one member, named like a tool; None for anything else."""
    values = value if isinstance(value, list) else [value]
    calls = [_call_keyed_by_name(item, tools) if isinstance(item, dict) else None for item in values]
    found = [call for call in calls if call and call.arguments is not None]
    return found if found and len(found) == len(calls) else None


def clean_name(written: str) -> str:
    """Return a tool's name without what some formats write around it.

    Example:
        >>> clean_name("functions.get_weather:0")
        'get_weather'
    """
    found = _CLEAN.match(written)
    return found[1] if found else written


def bound_name(written: str, tools: Mapping[str, Tool]) -> str:
    """Return the name of the tool that is meant: of a bound one, if it is one without what stands around the name."""
    name = clean_name(written)
    return name if written not in tools and name in tools else written


def fits(call: RawToolCall, tools: Mapping[str, Tool]) -> bool:
    """Return whether a call has all the arguments that its tool requires, and none that the tool has not."""
    tool = tools.get(call.name)
    if tool is None or call.arguments is None:
        return False
    required = tool.parameters.get("required", ())
    return call.arguments.keys() <= (tool.node.member_names() or call.arguments.keys()) and set(required) <= set(
        call.arguments
    )


def skip(pattern: re.Pattern[str], text: str, position: int = 0) -> int:
    """Return where a pattern ends that can match nothing."""
    found = pattern.match(text, position)
    return found.end() if found else position


def read_python(text: str, tools: Mapping[str, Tool]) -> list[RawToolCall] | None:
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
        arguments = {names[place]: _literal(argument) for place, argument in enumerate(node.args)}
        arguments.update({str(item.arg): _literal(item.value) for item in node.keywords})
        json.dumps(arguments, allow_nan=False)  # 1e999 is infinity, which JSON has not
        return RawToolCall(name, _with_types_of(arguments, tool))
    except (ValueError, TypeError, RecursionError):
        return None


class _JsonLiterals(ast.NodeTransformer):
    """Takes `true`, `false` and `null` for what they are in JSON."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        names = {"true": True, "false": False, "null": None}
        return ast.Constant(names[node.id]) if node.id in names else node


def _literal(node: ast.expr) -> Any:
    return ast.literal_eval(_JsonLiterals().visit(node))


def _dotted(node: ast.expr) -> list[str]:
    """Return the names in `a.b.c`, in a loop: a chain may be longer than Python can recurse."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [*([node.id] if isinstance(node, ast.Name) else []), *reversed(names)]


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
    if len(text) > MAX_WHOLE:
        return f"it is longer than {MAX_WHOLE:,} characters, and not in the form that was asked for"
    reader = LenientJsonReader()
    reader.feed(text.strip())
    return reader.failure or ("the JSON ends too early" if text.strip() else "the call is empty")
