"""One row of the table of replies, the tools that are bound, and the parts that rows are made of."""

import json
from dataclasses import dataclass
from typing import Any

from langchain_darkai._tool_calls.tools import Tool, ToolChoice

Calls = tuple[tuple[str, dict[str, Any]], ...]


def tool(tool_name: str, *required: str, **properties: Any) -> Tool:
    kinds = {
        name: kind if isinstance(kind, dict) else {"type": kind.split("|") if "|" in kind else kind}
        for name, kind in properties.items()
    }
    return Tool(tool_name, "", {"type": "object", "properties": kinds, "required": list(required)})


TOOLS = {
    item.name: item
    for item in (
        tool("get_weather", "city", city="string", days="integer"),
        tool("add", "a", "b", a="integer", b="integer"),
        tool("now"),
        tool("search", "query", query="string", type="string", limit="integer|null"),
        tool(
            "save",
            "data",
            data="object",
            tags={"type": "array", "items": {"type": "string"}},
            sure="boolean",
            ratio="number",
        ),
        tool("say", "text", text="string"),
        tool("write_file", "path", "content", path="string", content="string"),
    )
}
EVERY = tuple(TOOLS)
AUTO = ToolChoice()


@dataclass(frozen=True)
class Case:
    """A reply and what it is.

    `invalid` are the names of its broken calls, each with a part of the text that the call must keep.
    `cut` are the calls that a part of the reply makes, if it ends there, though the whole reply makes none.
    """

    name: str
    text: str
    content: str = ""
    calls: Calls = ()
    invalid: tuple[tuple[str | None, str], ...] = ()
    tools: tuple[str, ...] = EVERY
    choice: ToolChoice = AUTO
    parallel: bool = True
    cut: Calls = ()

    @property
    def bound(self) -> list[Tool]:
        return [TOOLS[name] for name in self.tools]


def block(name: str, arguments: Any = None, /, **named: Any) -> str:
    """Return a call as the model is asked to write it."""
    return f"<tool_call>\n{bare(name, arguments, **named)}\n</tool_call>"


def bare(name: str, arguments: Any = None, /, **named: Any) -> str:
    return json.dumps({"name": name, "arguments": named if arguments is None else arguments}, ensure_ascii=False)


def text(name: str, reply: str, content: str | None = None, **settings: Any) -> Case:
    """A reply that calls nothing, and comes out as it went in."""
    return Case(name, reply, reply if content is None else content, **settings)


PARIS: tuple[str, dict[str, Any]] = ("get_weather", {"city": "Paris"})
SUM: tuple[str, dict[str, Any]] = ("add", {"a": 1, "b": 2})
NOW: tuple[str, dict[str, Any]] = ("now", {})
WEATHER_BLOCK = block("get_weather", city="Paris")
ADD_BLOCK = block("add", a=1, b=2)
NOW_BLOCK = block("now")
WEATHER = bare("get_weather", city="Paris")
ADD = bare("add", a=1, b=2)
LONG = "All work and no play makes a long argument. " * 400
ANY = ToolChoice("required")
ODD = (
    "quotes \" ' ` “ ” ‘ ’, back-slashes \\ \\n, lines\n\tand\r\n, {[}], "
    "</tool_call>, <tool_call>, ```, é 漢字 🎉 \u2028 \x00"
)


def forced(name: str) -> ToolChoice:
    return ToolChoice("required", name)
