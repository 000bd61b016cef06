"""The beginning of a reply that must be a call or JSON. It is written for the model, which goes on with it."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_darkai.prompts import CALL_START

if TYPE_CHECKING:
    from langchain_darkai._tool_calls.tools import Tool

MAX_BLANKS = 1024
"""Blanks at a reply's beginning, or before a colon there; a reply with more of them begins anew."""

MAX_NAME = 100
"""Characters at a wrong reply's beginning that are compared with the names of tools."""

_BLANKS = re.compile(r"^\s+|(?<!\s)\s+(?=:)")

_VALUES = {
    "string": ('"', "'"),
    "integer": (*"-0123456789",),
    "number": (*"-0123456789",),
    "boolean": ("true", "false", "True", "False"),
    "array": ("[",),
}
"""How a value of a type begins in near-JSON. An object is none of them: a reply that begins anew begins with one."""


@dataclass(frozen=True)
class Prefill:
    """The text that stands in the prompt where the reply begins, and what a reply that goes on with it begins with.

    A model that takes no beginning writes a reply of its own: a whole block, whole JSON, or text.

    Example:
        >>> prefill = answer_prefill({"properties": {"zone": {"type": "string"}}, "required": ["zone"]})
        >>> prefill.text, prefill.is_continued_by(' "UTC"}'), prefill.is_continued_by("It is")
        ('{"zone":', True, False)
        >>> prefill.is_continued_by(" ") is None
        True
    """

    text: str
    continuations: tuple[str, ...]

    def is_continued_by(self, reply: str) -> bool | None:
        """Return whether a reply goes on with the text; None until enough of it has come."""
        limit = MAX_BLANKS + max(map(len, self.continuations))
        written = _BLANKS.sub("", reply[:limit])
        if written.startswith(self.continuations):
            return True
        may_be = len(reply) < limit and any(each.startswith(written.rstrip()) for each in self.continuations)
        return None if may_be else False


def call_prefill(tools: "Sequence[Tool]", wrong_reply: str = "") -> Prefill:
    """Return the beginning of a call: up to the arguments of the only tool, or up to the name of one of several.

    `wrong_reply` is a reply that did not call any. Where it goes on with a name that no tool has, the tool with the
    name that is most like it takes its place.
    """
    tool = tools[0] if len(tools) == 1 else _meant_tool(tools, wrong_reply)
    if tool is None:
        return Prefill(f'{CALL_START}\n{{"name": "', tuple(_in_json(tool.name)[1:] for tool in tools))
    head = f'{CALL_START}\n{{"name": {_in_json(tool.name)}, "arguments": '
    # Where less was not enough, the first argument is begun, too.
    arguments = (answer_prefill if wrong_reply else _object_prefill)(tool.parameters)
    return Prefill(head + arguments.text, arguments.continuations)


def _meant_tool(tools: "Sequence[Tool]", wrong_reply: str) -> "Tool | None":
    by_name = {tool.name: tool for tool in tools}
    names = difflib.get_close_matches(wrong_reply[:MAX_NAME].partition('"')[0], by_name, n=1)
    return by_name[names[0]] if names else None


def answer_prefill(schema: Mapping[str, Any]) -> Prefill:
    """Return the beginning of an answer in JSON, an object: up to its first value if that is known to be no object.

    Small models repeat the schema if nothing of the answer is there.
    """
    properties = schema.get("properties", {})
    first = str(next(iter(schema.get("required", ())), ""))
    described = properties.get(first)
    values = _VALUES.get(str(described.get("type"))) if isinstance(described, Mapping) else None
    if values is None:
        return _object_prefill(schema)
    return Prefill(f"{{{_in_json(first)}:", values)


def _object_prefill(schema: Mapping[str, Any]) -> Prefill:
    """Return the beginning of an object, up to its first member."""
    return Prefill("{", _members(schema.get("properties", {})))


def _in_json(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _members(names: Iterable[str]) -> tuple[str, ...]:
    """Return how the members of an object may begin: in near-JSON, names may stand in other quotes, or in none."""
    return ('"', "'", "}", *(f"{name}:" for name in names))
