"""Calls where the model is free to make one, by constrained decoding: a branch for each tool, and one for prose.

The gateway does not do this. Here it is measured whether it should, on engines that constrain JSON.
"""

import json
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import convert_to_messages

from evals.leaderboard import Call, Question
from langchain_darkai import format_prompt
from langchain_darkai._gateway.asked import asked_of
from langchain_darkai._gateway.binding import call_schema
from langchain_darkai._generation.request import requirements_from
from langchain_darkai._tool_calls.tools import Tool
from langchain_darkai.prompts import parse_prompt

WAYS = ("branches", "branches-list")
"""A call or prose, and a list of calls or prose."""

_PROSE = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def ask(model: BaseChatModel, question: Question, way: str) -> tuple[list[Call], str]:
    """Return the calls of the reply, and the reply itself. `model` takes OpenAI's `response_format`."""
    instructions = requirements_from({"tools": question.tools}).instructions
    prompt = format_prompt(convert_to_messages(question.messages), instructions=instructions)
    asked = asked_of(parse_prompt(prompt))
    json_schema = {"name": "reply", "schema": schema(asked.tools, as_list=way == "branches-list")}
    bound = model.bind(response_format={"type": "json_schema", "json_schema": json_schema})
    text = bound.invoke(asked.conversation()).text
    value = json.loads(text)
    values = value if isinstance(value, list) else [value]
    return [(value["name"], value["arguments"]) for value in values if "name" in value], text


def schema(tools: tuple[Tool, ...], *, as_list: bool) -> dict[str, Any]:
    """Return the schema of a reply: a call of one of the tools, or a list of such calls, or prose.

    Raises ValueError for tools whose schemas cannot stand in one.
    """
    call = call_schema(tools)
    if call is None:
        raise ValueError("The references in the tools' schemas keep them from one schema.")
    definitions = call.pop("$defs", {})
    calls = call.get("anyOf", [call])
    branches = [{"type": "array", "items": {"anyOf": calls}, "minItems": 1}] if as_list else calls
    return {"anyOf": [*branches, _PROSE], "$defs": definitions}
