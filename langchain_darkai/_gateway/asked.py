"""What a prompt asks for: tools, a schema and a begun reply, found in the messages that it was parsed into.

The inverse of what `ChatDarkAI` writes. What is found is written again, and counts only where that gives the very text,
so that nothing a user says is taken for it, except the whole of it, to the letter, at the end of the system turn.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage

from langchain_darkai._generation.prefill import answer_prefill, call_prefill
from langchain_darkai._json.schema import JsonSchema, dump
from langchain_darkai._structured_output import output_format
from langchain_darkai._structured_output.output_format import ANY_JSON, SCHEMA_END
from langchain_darkai._text import structure_of
from langchain_darkai._tool_calls import tools as tool_prompts
from langchain_darkai._tool_calls.tools import TOOLS_END, Tool, ToolChoice, tool_rules
from langchain_darkai.prompts import CALL_START, one_line

MAX_STRUCTURE = 1024 * 1024
"""Characters of tools and schemas outside of their strings. Each can stand for an object of 70 bytes; what has more of
them stays text."""

_FIRST_NAME = re.compile(r'\{"(?:[^"\\]|\\.)*":')
_GAP = "\n\n"
_LEFT_TO_MODEL = ToolChoice()
_RULES = [(forced, parallel) for forced in (False, True) for parallel in (False, True)]
"""What rules may say: whether a call is forced, and whether calls are parallel."""


@dataclass(frozen=True)
class Asked:
    """What a prompt asks for. `messages` are all of it, with the instructions and the begun reply in them.

    - `system`: the first system turn without the instructions; `tool_text` and `schema_text` are these.
    - `schema`: what the answer's JSON must be; None where no JSON is asked for.
    - `is_begun`: whether the last message is the beginning of the reply.

    Example:
        >>> asked = asked_of([SystemMessage(f"Be brief.\\n\\n{ANY_JSON}")])
        >>> asked.schema, asked.conversation(schema=False)[0].content
        ({'type': 'object'}, 'Be brief.')
    """

    messages: list[BaseMessage]
    system: str = ""
    tool_text: str = ""
    schema_text: str = ""
    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = _LEFT_TO_MODEL
    parallel: bool = True
    schema: JsonSchema | None = None
    is_begun: bool = False

    def conversation(self, *, tools: bool = True, schema: bool = True, beginning: bool = True) -> list[BaseMessage]:
        """Return the messages, without the instructions for tools or for the answer, or without the begun reply.

        A system turn that has nothing else is left out.
        """
        messages = self.messages if beginning or not self.is_begun else self.messages[:-1]
        place = _system_place(messages)
        if place is None or ((tools or not self.tool_text) and (schema or not self.schema_text)):
            return list(messages)
        kept = [self.system, self.tool_text if tools else "", self.schema_text if schema else ""]
        text = _GAP.join(filter(None, kept))
        turn = [messages[place].model_copy(update={"content": text})] if text else []
        return [*messages[:place], *turn, *messages[place + 1 :]]


def asked_of(messages: list[BaseMessage]) -> Asked:
    """Return what the messages of a prompt ask for, without the empty message that the model is to write."""
    last = messages[-1] if messages else None
    if isinstance(last, AIMessage) and not (last.text.strip() or last.tool_calls or last.invalid_tool_calls):
        messages = messages[:-1]
    place = _system_place(messages)
    system = messages[place].text if place is not None else ""
    before_schema, schema_text, schema = _schema_at_end(system)
    before_tools, tool_text, tools, rules = _tools_at_end(before_schema)
    if not tool_text and not schema_text:
        return Asked(messages)
    forced, parallel = rules
    choice = ToolChoice("required", tools[0].name if len(tools) == 1 else None) if forced else _LEFT_TO_MODEL
    return Asked(
        messages,
        before_tools,
        tool_text,
        schema_text,
        tuple(tools),
        choice,
        parallel,
        schema,
        is_begun=len(messages) > 1 and _is_begun(messages[-1], tools, choice, schema, schema_text),
    )


def without_beginning(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Return a conversation without the beginning of a tool call or of JSON, which a client begins for the model."""
    last = messages[-1]
    is_begun = isinstance(last, AIMessage) and last.text.startswith((CALL_START, "{"))
    return messages[:-1] if is_begun and len(messages) > 1 else messages


def _system_place(messages: list[BaseMessage]) -> int | None:
    return next((place for place, message in enumerate(messages) if isinstance(message, SystemMessage)), None)


def _before(text: str, end: str) -> str | None:
    """Return what stands before instructions at a text's end; None where they do not begin a paragraph there."""
    before = text.removesuffix(end)
    return before.removesuffix(_GAP) if not before or before.endswith(_GAP) else None


def _schema_at_end(text: str) -> tuple[str, str, JsonSchema | None]:
    """Return the text before the instructions for an answer, these, and the schema; the whole text if there is none."""
    if text.endswith(ANY_JSON) and (before := _before(text, ANY_JSON)) is not None:
        return before, ANY_JSON, {"type": "object"}
    if text.endswith(f"\n{SCHEMA_END}"):
        line = text[: -len(SCHEMA_END) - 1].rpartition("\n")[2]
        schema = _written_as(line)
        instructions = f"{output_format.INSTRUCTIONS_START}\n{line}\n{SCHEMA_END}"
        if schema is not None and text.endswith(instructions) and (before := _before(text, instructions)) is not None:
            return before, instructions, schema
    return text, "", None


def _tools_at_end(text: str) -> tuple[str, str, list[Tool], tuple[bool, bool]]:
    """Return the text before the instructions for tools, these, the tools, and whether they are forced and parallel."""
    nothing: tuple[str, str, list[Tool], tuple[bool, bool]] = (text, "", [], (False, True))
    opening = f"{tool_prompts.INSTRUCTIONS_START}\n"
    start = text.rfind(opening)
    if start < 0 or (before := _before(text, text[start:])) is None:
        return nothing
    lines, _, rules = text[start + len(opening) :].partition(f"\n{TOOLS_END}\n")
    tools = [_tool(line) for line in lines.split("\n")] if _is_small(lines) else [None]
    found = [tool for tool in tools if tool is not None]
    said = next((said for said in _RULES if rules == tool_rules(found, forced=said[0], parallel=said[1])), None)
    return (before, text[start:], found, said) if said and len(found) == len(tools) else nothing


def _tool(line: str) -> Tool | None:
    members = _written_as(line)
    if members is None or list(members) != ["name", "description", "parameters"]:
        return None
    name, description, parameters = members.values()
    if isinstance(name, str) and isinstance(description, str) and isinstance(parameters, dict):
        return Tool(name, description, parameters)
    return None


def _written_as(line: str) -> dict[str, Any] | None:
    """Return the JSON object that a line was written as; None where it was not written by this package."""
    if not _is_small(line):
        return None
    try:
        value = json.loads(line)
        return value if isinstance(value, dict) and one_line(dump(value)) == line else None
    except (ValueError, RecursionError):
        return None


def _is_small(text: str) -> bool:
    return structure_of(text, MAX_STRUCTURE) <= MAX_STRUCTURE


def _is_begun(
    last: BaseMessage, tools: Sequence[Tool], choice: ToolChoice, schema: JsonSchema | None, schema_text: str
) -> bool:
    """Return whether the last message is what the package writes as the beginning of such a reply."""
    beginnings: set[str] = set()
    if choice.forced:
        again = (call_prefill([tool], wrong_reply=" ").text for tool in tools)  # where the model is asked again
        beginnings = {call_prefill(tools).text, *again}
    elif schema is not None and not tools:
        beginnings = {answer_prefill(schema).text, answer_prefill({}).text}  # the latter where a value is wrapped
        if schema_text == ANY_JSON and _FIRST_NAME.fullmatch(last.text):  # of a schema that the prompt does not show
            beginnings.add(last.text)
    return isinstance(last, AIMessage) and not last.tool_calls and last.text in beginnings
