"""One reply of the model, read as it comes: its text, its tool calls, and what is wrong with it. No input or output."""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from langchain_darkai._generation.prefill import Prefill
from langchain_darkai._generation.request import GenerationRequest
from langchain_darkai._generation.stop import StopSequenceFilter
from langchain_darkai._text import MAX_SLICE
from langchain_darkai.client import Restart
from langchain_darkai.prompts import CALL_END, CALL_START
from langchain_darkai.protocol import FinishReason, ReasoningText, StreamEnd, Usage

if TYPE_CHECKING:
    from langchain_darkai._structured_output.answer_text import AnswerText
    from langchain_darkai._structured_output.extraction import AnswerScanner, Judgement
    from langchain_darkai._tool_calls.output import ParsedToolCall, Part, ReasoningDelta
    from langchain_darkai._tool_calls.parser import ReplyParser


class Reply:
    """One reply. `slices` reads an event, `take` returns the parts that are certain, `abort` ends a failed reply.

    `is_over` is true when nothing that follows counts: the server ended the reply, a stop sequence came, or the only
    call that was allowed is complete. `usage` is the server's count of tokens, None where it gave none; so is
    `finish_reason`. If the caller reads the text as JSON, the text is the answer, as `AnswerText` describes it.
    """

    def __init__(self, request: GenerationRequest) -> None:
        self.request = request
        self._begin()

    def _begin(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason: FinishReason | None = None
        self._thoughts: list[ReasoningDelta] = []  # that came beside the text, all of them, and those not taken yet
        self._new_thoughts: list[ReasoningDelta] = []
        self._has_ended = False
        self._prefill = self.request.prefill  # None once it is known whether the reply continues it
        self._start = ""  # of the reply, until then
        self._stop = StopSequenceFilter(self.request.stop) if self.request.stop else None
        self._begin_text(in_thought=False)

    def _begin_text(self, *, in_thought: bool) -> None:
        self._texts: list[str] = []
        self._parts: list[Part] = []
        requirements = self.request.requirements
        has_parser = requirements.tools or self.request.reasoning is not None
        self._parser = _parser_for(self.request, in_thought=in_thought) if has_parser else None
        self._answer: AnswerText | None = None
        self._scanner: AnswerScanner | None = None  # for an answer that the text only has to contain
        if requirements.output is not None and requirements.content_must_be_json:
            self._answer = requirements.output.answer_text()
        elif requirements.output is not None and requirements.output.method != "function_calling":
            self._scanner = requirements.output.scanner()

    def slices(self, event: str | ReasoningText | StreamEnd | Restart) -> "Iterable[Judgement | None]":
        """Read an event. A long one is read slice by slice, while this is iterated.

        A long answer is yielded to be judged, which may take long.
        """
        if isinstance(event, Restart):
            self._begin()
            return ()
        if isinstance(event, StreamEnd):
            self.usage, self.finish_reason = event.usage, event.finish_reason
            return self._end("")
        if isinstance(event, ReasoningText):
            self._add_thought(event.text)
            return ()
        text = self._stop.feed(event) if self._stop else event
        return self._end(text) if self._stop and self._stop.stopped else self._read(text)

    def take(self) -> "list[Part]":
        """Return the parts that became certain since the last time."""
        thoughts, self._new_thoughts = self._new_thoughts, []
        if self._answer:
            return [*thoughts, *self._answer.take()]
        parts, self._parts = self._parts, []
        return [*thoughts, *parts]

    def _add_thought(self, text: str) -> None:
        """Add a thought that came beside the text. Only `reasoning=False` drops it: nothing else would show it."""
        from langchain_darkai._tool_calls.output import ReasoningDelta

        if self.request.reasoning is not False:
            self._thoughts.append(ReasoningDelta(text))
            self._new_thoughts.append(self._thoughts[-1])

    def abort(self) -> "list[Part]":
        """Return the last parts of a failed reply: held-back text, and an end that keeps half a call from running."""
        for _ in self._read(self._stop.finish() if self._stop else "", is_end=True):
            pass  # an answer in it needs no judgement
        for _ in self._add(self._parser.abort()) if self._parser else ():
            pass
        return self.take()

    def _joined(self, prefill: Prefill, text: str, *, is_end: bool) -> str:
        """Return the text that is to be read, behind what was written for the model if the reply continues that."""
        self._start += text
        is_continued = prefill.is_continued_by(self._start)
        if is_continued is None and not is_end:
            return ""
        self._prefill = None
        return f"{prefill.text}{self._start}" if is_continued else self._start

    def _read(self, text: str, *, is_end: bool = False) -> "Iterator[Judgement | None]":
        if self._prefill is not None:
            text = self._joined(self._prefill, text, is_end=is_end)
        if not text:
            return
        self._texts.append(text)
        if not (self._parser or self._answer or self._scanner):
            self._parts.append(text)
            return
        # The parser cuts long texts into slices by itself.
        size = MAX_SLICE if self._answer or self._scanner else len(text)
        for start in range(0, len(text), size):
            piece = text[start : start + size]
            if self._parser:
                yield from self._parser.slices(piece)
                if self._was_in_thought(self._parser):
                    yield from self._read_again()
                    return
            yield from self._add(self._parser.take() if self._parser else [piece])
            if start + size < len(text):
                yield None

    def _was_in_thought(self, parser: "ReplyParser") -> bool:
        """Return whether the reply began within a thought, and nothing of it has been handed over."""
        return parser.was_in_thought and self.request.policy.may_restart and self._answer is None

    def _read_again(self) -> "Iterator[Judgement | None]":
        """Read the text from its beginning, as that of a thought."""
        text = self.text
        self._begin_text(in_thought=True)
        yield from self._read(text)

    def _add(self, parts: "list[Part]") -> "Iterator[Judgement]":
        if self._answer:
            yield from self._answer.steps(parts)
            return
        self._parts += parts
        if self._scanner:
            for part in parts:
                if isinstance(part, str):
                    yield from self._scanner.steps(part)

    def _end(self, text: str) -> "Iterator[Judgement | None]":
        self._has_ended = True
        yield from self._read(text)
        yield from self._read(self._stop.finish() if self._stop else "", is_end=True)
        if self._parser and not self._parser.done:
            yield from self._parser.slices(None)
            if self._was_in_thought(self._parser):
                yield from self._read_again()
                yield from self._parser.slices(None)
            yield from self._add(self._parser.take())

    @property
    def is_over(self) -> bool:
        """Whether nothing that follows counts."""
        return self._has_ended or (self._parser is not None and self._parser.done)

    @property
    def text(self) -> str:
        """The reply as the model wrote it, its calls included, and what was written for it if it continued that."""
        return "".join(self._texts)

    @property
    def content(self) -> str:
        """The reply's text, without its calls."""
        if self._answer:
            return self._answer.text()
        return self._parser.content if self._parser else self.text

    @property
    def reasoning(self) -> str:
        """The thoughts that came beside the text, and those that were taken out of it."""
        beside = "".join(thought.text for thought in self._thoughts)
        return beside + (self._parser.reasoning if self._parser else "")

    @property
    def rest(self) -> str:
        """The text that is part of the content if the reply is the last one, and is not among the parts."""
        return self._answer.rest() if self._answer else ""

    @property
    def calls(self) -> "list[ParsedToolCall]":
        """The reply's calls, the invalid ones too."""
        return self._parser.calls if self._parser else []

    @property
    def valid_calls(self) -> "list[ParsedToolCall]":
        """The calls that can run. A stream has handed them over, so they must not be asked for again."""
        return [call for call in self.calls if call.reason is None]

    @property
    def _own_calls(self) -> "list[ParsedToolCall]":
        """The calls that are no drafts in a thought."""
        return [call for call in self.calls if not call.is_draft]

    @property
    def is_long(self) -> bool:
        """Whether it may take long to find out what is wrong with an answer that is a call's arguments."""
        output = self.request.requirements.output
        if output is None or output.method != "function_calling":
            return False  # an answer in the text has been judged before
        from langchain_darkai._structured_output.extraction import MAX_JUDGED_AT_ONCE

        return sum(len(call.arguments) for call in self.valid_calls) > MAX_JUDGED_AT_ONCE

    def violation(self) -> str | None:
        """Return what is wrong with the reply, as sentences for the model; None if it is what was asked for."""
        return self._call_violation() or self._output_violation()

    def _call_violation(self) -> str | None:
        if self.valid_calls:
            return None
        if broken := self._own_calls:
            return f"Your tool call could not be read: {broken[0].reason}. Write it again:\n{self._block()}"
        requirements = self.request.requirements
        if not requirements.forces_call:
            return None
        wanted = f"the tool {requirements.forced_tool}" if requirements.forced_tool else "a tool"
        return f"Your reply does not call {wanted}, but it must. Reply with this block:\n{self._block()}"

    def _block(self) -> str:
        """Return the block that the model is to write, with the name of the tool if it is known."""
        name = self.request.requirements.forced_tool or (self.calls[0].name if self.calls else None)
        shown = json.dumps(name, ensure_ascii=False) if name else "<tool name>"
        return f'{CALL_START}\n{{"name": {shown}, "arguments": <arguments as valid JSON>}}\n{CALL_END}'

    def _output_violation(self) -> str | None:
        output = self.request.requirements.output
        if output is None or (self._own_calls and output.method != "function_calling"):
            return None
        from langchain_darkai._structured_output.output_format import InvalidAnswer

        try:
            if output.method == "function_calling":
                for call in self.valid_calls:
                    if call.name == output.name:
                        output.result(json.loads(call.arguments))
            elif self._answer:
                self._answer.check()
            elif self._scanner:
                self._scanner.finish()
        except InvalidAnswer as error:
            return f"Your answer is not valid: {error}. Give it again, corrected."
        return None


def _parser_for(request: GenerationRequest, *, in_thought: bool) -> "ReplyParser":
    from langchain_darkai._tool_calls.parser import ReplyParser
    from langchain_darkai._tool_calls.tools import ToolChoice

    requirements = request.requirements
    return ReplyParser(
        requirements.tools,
        requirements.choice or ToolChoice(),
        parallel=requirements.parallel,
        reasoning=request.reasoning,
        in_thought=in_thought,
    )
