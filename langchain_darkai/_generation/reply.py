"""One reply of the model: what was asked, what came, and what is wrong with it."""

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_darkai._generation.stop import StopSequenceFilter
from langchain_darkai.client import Call, Events, TimeBudget
from langchain_darkai.errors import DarkAIError
from langchain_darkai.prompts import CALL_START, format_prompt
from langchain_darkai.protocol import StreamEnd, Usage

if TYPE_CHECKING:
    from langchain_darkai._structured_output.output_format import OutputFormat
    from langchain_darkai._tool_calls.output import ParsedToolCall, Part
    from langchain_darkai._tool_calls.parser import ReplyParser
    from langchain_darkai._tool_calls.tools import Tool, ToolChoice


@dataclass(frozen=True)
class ReplyRequirements:
    """What is asked of the model beside an answer to its messages: by default, nothing."""

    instructions: str = ""
    tools: "tuple[Tool, ...]" = ()
    choice: "ToolChoice | None" = None
    parallel: bool = True
    output: "OutputFormat | None" = None
    content_must_be_json: bool = False

    @property
    def forces_call(self) -> bool:
        """Whether the reply must be a call."""
        return self.choice is not None and self.choice.forced

    @property
    def forced_tool(self) -> str | None:
        """The tool that must be called; None for any, or none."""
        return self.choice.name if self.choice else None


@dataclass(frozen=True)
class Request:
    """What one call of the model asks, and how its reply is read.

    `call` is made anew when the model is asked again, within the same `limit`.
    """

    messages: list[BaseMessage]
    call: Call
    new_call: Callable[..., Call]
    limit: TimeBudget
    asked: ReplyRequirements
    stop: tuple[str, ...]
    reasks: int

    def can_reask(self, asked: int) -> bool:
        """Return whether the model can be asked once more, after `asked` times, in the time that is left."""
        return asked < self.reasks and (self.limit.left is None or self.limit.left > 0)

    def again(self, text: str, problem: str) -> "Request":
        """Return the request that shows the model its reply and what is wrong with it."""
        messages = [*self.messages, AIMessage(text), HumanMessage(problem)]
        call = self.new_call(format_prompt(messages, instructions=self.asked.instructions))
        return replace(self, call=replace(call, is_retry=True))


class Reply:
    """One reply, read as it comes: its text, and what that says."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.text: list[str] = []
        self.usage: Usage | None = None
        self.parser = _parser_for(request.asked) if request.asked.tools else None

    async def parts(self, events: Events) -> "AsyncGenerator[list[Part], None]":
        """Yield the reply's parts, those of one network read together."""
        if self.request.stop:
            events = _until_stop(events, self.request.stop)
        try:
            async for event in events:
                if isinstance(event, StreamEnd):
                    self.usage = event.usage
                    continue
                self.text.append(event)
                if self.parser is None:
                    yield [event]
                    continue
                if parts := self.parser.feed(event):
                    yield parts
                if self.parser.done:
                    break
        except DarkAIError:
            if self.parser is not None and (parts := self.parser.abort()):
                yield parts
            raise
        finally:
            await events.aclose()  # not left to the garbage collector, which asks the loop to do it, in a task
        if self.parser is not None and not self.parser.done and (parts := self.parser.finish()):
            yield parts

    @property
    def calls(self) -> "list[ParsedToolCall]":
        """The reply's calls, the invalid ones too."""
        return self.parser.calls if self.parser else []

    @property
    def made(self) -> "list[ParsedToolCall]":
        """The calls that can run. A stream has handed them over, so they must not be asked for again."""
        return [call for call in self.calls if call.reason is None]

    @property
    def content(self) -> str:
        """The reply's text, without its calls."""
        return self.parser.content if self.parser else "".join(self.text)

    def problem(self) -> str | None:
        """Return what the model is to be told, in a sentence or two; None where the reply is what was asked for."""
        broken = [call for call in self.calls if call.reason]
        if broken and not self.made:
            return (
                f"Your tool call could not be read: {broken[0].reason}. Write it again, as a {CALL_START} block with "
                "valid JSON."
            )
        asked = self.request.asked
        if asked.forces_call and not self.made:
            wanted = f"the tool {asked.forced_tool}" if asked.forced_tool else "a tool"
            return f"Your reply does not call {wanted}, but it must. Reply with the {CALL_START} block."
        output = asked.output
        if output is None or (self.calls and output.method != "function_calling"):
            return None
        from langchain_darkai._structured_output.output_format import InvalidAnswer

        try:
            if output.method == "function_calling":
                output.result(next(json.loads(call.arguments) for call in self.calls if call.name == output.name))
            else:
                output.read(self.content)
        except InvalidAnswer as error:
            return f"Your answer is not valid: {error}. Give it again, corrected."
        return None

    @property
    def is_json_content(self) -> bool:
        """Whether the answer is JSON that the caller reads as it is."""
        return self.request.asked.content_must_be_json and not self.calls

    def json_text(self) -> str:
        """Return the answer's JSON, and nothing else. Raises OutputParserException where there is none."""
        from langchain_darkai._structured_output.output_format import InvalidAnswer
        from langchain_darkai._structured_output.output_parser import invalid_answer

        assert self.request.asked.output is not None
        try:
            return self.request.asked.output.read(self.content)[0]
        except InvalidAnswer as error:
            raise invalid_answer(error, self.content) from error


def _parser_for(asked: ReplyRequirements) -> "ReplyParser":
    from langchain_darkai._tool_calls.parser import ReplyParser
    from langchain_darkai._tool_calls.tools import ToolChoice

    return ReplyParser(asked.tools, asked.choice or ToolChoice(), parallel=asked.parallel)


async def read_whole(request: Request, events: Events) -> Reply:
    """Return the reply, read to its end."""
    reply = Reply(request)
    async for _ in reply.parts(events):
        pass
    return reply


async def _until_stop(events: Events, stop: tuple[str, ...]) -> Events:
    """Yield the events up to the first stop sequence, after which nothing more is read."""
    stop_filter = StopSequenceFilter(stop)
    try:
        async for event in events:
            text = stop_filter.finish() if isinstance(event, StreamEnd) else stop_filter.feed(event)
            if text:
                yield text
            if stop_filter.stopped:
                return
            if isinstance(event, StreamEnd):
                yield event
    except DarkAIError:
        if text := stop_filter.finish():
            yield text
        raise
