"""What a call asks of the model beside its messages: tools, and the form of the answer.

Loaded with the first call that asks for either, so that importing the package stays light.
"""

from collections.abc import Mapping
from typing import Any

from langchain_darkai._generation.reply import ReplyRequirements
from langchain_darkai._structured_output.output_format import OutputFormat, format_of_response_format
from langchain_darkai._tool_calls.tools import offered_tools, parse_tool_choice, tool_from, tool_instructions


def requirements_from(arguments: Mapping[str, Any]) -> ReplyRequirements:
    """Return what a call's keyword arguments ask for, and the instructions that say it to the model."""
    bound = [tool_from(tool) for tool in arguments.get("tools") or ()]
    choice = parse_tool_choice(arguments.get("tool_choice"), bound)
    tools = offered_tools(bound, choice)
    parallel = arguments.get("parallel_tool_calls") is not False
    answer = format_of_response_format(arguments.get("response_format"))
    output: OutputFormat | None = arguments.get("output_format") or answer
    instructions = [tool_instructions(tools, choice, parallel=parallel)] if tools else []
    if output is not None and output.method != "function_calling":
        instructions.append(output.instructions())
    return ReplyRequirements(
        instructions="\n\n".join(instructions),
        tools=tuple(tools),
        choice=choice,
        parallel=parallel,
        output=output,
        content_must_be_json=answer is not None,
    )
