"""One reply of the model, read as it comes: its text, its tool calls, and what is wrong with it. No input or output."""

import json
from typing import TYPE_CHECKING

from langchain_darkai._generation.request import GenerationRequest, ReplyRequirements
from langchain_darkai._generation.stop import StopSequenceFilter
from langchain_darkai.client import Restart
from langchain_darkai.prompts import CALL_START
from langchain_darkai.protocol import StreamEnd, Usage

if TYPE_CHECKING:
    from langchain_darkai._tool_calls.output import ParsedToolCall, Part
    from langchain_darkai._tool_calls.parser import ReplyParser


class Reply:
    """One reply. `feed` takes an event, `abort` ends a reply that failed; both return the parts that are now certain.

    `is_over` is true when nothing that follows counts: the server ended the reply, a stop sequence came, or the only
    call that was allowed is complete. `usage` is the server's count of tokens, None where it gave none.
    """

    def __init__(self, request: GenerationRequest) -> None:
        self.request = request
        self._begin()

    def _begin(self) -> None:
        self.usage: Usage | None = None
        self.is_over = False
        self._texts: list[str] = []
        self._stop = StopSequenceFilter(self.request.stop) if self.request.stop else None
        self._parser = _parser_for(self.request.requirements) if self.request.requirements.tools else None

    def feed(self, event: str | StreamEnd | Restart) -> "list[Part]":
        """Return the parts of the reply that an event makes certain."""
        if isinstance(event, Restart):
            self._begin()
            return []
        if isinstance(event, StreamEnd):
            self.usage = event.usage
            return self._end()
        text = self._stop.feed(event) if self._stop else event
        parts = self._read(text)
        if self._stop and self._stop.stopped:
            parts += self._end()
        self.is_over = self.is_over or (self._parser is not None and self._parser.done)
        return parts

    def abort(self) -> "list[Part]":
        """Return the last parts of a failed reply: held-back text, and an end that keeps half a call from running."""
        parts = self._read(self._stop.finish()) if self._stop else []
        return parts + self._parser.abort() if self._parser else parts

    def _read(self, text: str) -> "list[Part]":
        if not text:
            return []
        self._texts.append(text)
        return self._parser.feed(text) if self._parser else [text]

    def _end(self) -> "list[Part]":
        self.is_over = True
        parts = self._read(self._stop.finish()) if self._stop else []
        return parts + self._parser.finish() if self._parser and not self._parser.done else parts

    @property
    def text(self) -> str:
        """The reply as the model wrote it, its calls included."""
        return "".join(self._texts)

    @property
    def content(self) -> str:
        """The reply's text, without its calls."""
        return self._parser.content if self._parser else self.text

    @property
    def calls(self) -> "list[ParsedToolCall]":
        """The reply's calls, the invalid ones too."""
        return self._parser.calls if self._parser else []

    @property
    def valid_calls(self) -> "list[ParsedToolCall]":
        """The calls that can run. A stream has handed them over, so they must not be asked for again."""
        return [call for call in self.calls if call.reason is None]

    def violation(self) -> str | None:
        """Return what is wrong with the reply, as sentences for the model; None if it is what was asked for."""
        return self._call_violation() or self._output_violation()

    def _call_violation(self) -> str | None:
        if self.valid_calls:
            return None
        if self.calls:
            return (
                f"Your tool call could not be read: {self.calls[0].reason}. Write it again, as a {CALL_START} block "
                "with valid JSON."
            )
        requirements = self.request.requirements
        if not requirements.forces_call:
            return None
        wanted = f"the tool {requirements.forced_tool}" if requirements.forced_tool else "a tool"
        return f"Your reply does not call {wanted}, but it must. Reply with the {CALL_START} block."

    def _output_violation(self) -> str | None:
        output = self.request.requirements.output
        if output is None or (self.calls and output.method != "function_calling"):
            return None
        from langchain_darkai._structured_output.output_format import InvalidAnswer

        try:
            if output.method == "function_calling":
                for call in self.valid_calls:
                    if call.name == output.name:
                        output.result(json.loads(call.arguments))
            else:
                output.read(self.content)
        except InvalidAnswer as error:
            return f"Your answer is not valid: {error}. Give it again, corrected."
        return None

    @property
    def is_json_content(self) -> bool:
        """Whether the content is JSON that the caller reads as it is."""
        return self.request.requirements.content_must_be_json and not self.calls

    def json_text(self) -> str:
        """Return the answer's JSON, and nothing else; where there is none, the text as it is, as other APIs do."""
        from langchain_darkai._structured_output.output_format import InvalidAnswer

        assert self.request.requirements.output is not None
        try:
            return self.request.requirements.output.read(self.content)[0]
        except InvalidAnswer:
            return self.content


def _parser_for(requirements: ReplyRequirements) -> "ReplyParser":
    from langchain_darkai._tool_calls.parser import ReplyParser
    from langchain_darkai._tool_calls.tools import ToolChoice

    return ReplyParser(requirements.tools, requirements.choice or ToolChoice(), parallel=requirements.parallel)
