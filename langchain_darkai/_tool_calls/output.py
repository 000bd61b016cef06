"""What a reply turns out to hold: text and tool calls, in parts as they become certain, and as a whole."""

import uuid
from dataclasses import dataclass, field
from typing import Literal

from langchain_darkai._json.reader import LenientJsonReader
from langchain_darkai._json.schema import dump
from langchain_darkai._tool_calls.markup import begins_line_after
from langchain_darkai._tool_calls.syntaxes import RawToolCall


@dataclass(frozen=True)
class ToolCallDelta:
    """A piece of a call. The first piece has the id and the name, the others have more of the arguments' JSON."""

    index: int
    id: str | None
    name: str | None
    arguments: str
    kind: Literal["call"] = field(default="call", repr=False)


@dataclass
class ParsedToolCall:
    """A call in a reply. `reason` tells why it is invalid; it is None for a call that can run.

    A draft stood in what turned out to be a thought when it had been handed over.
    """

    id: str
    name: str | None
    pieces: list[str] = field(default_factory=list)
    reason: str | None = None
    is_draft: bool = False

    @property
    def arguments(self) -> str:
        """The arguments as JSON; for an invalid call, what there is of them."""
        return "".join(self.pieces)


@dataclass(frozen=True)
class ReasoningDelta:
    """A piece of a thought that is taken out of the text."""

    text: str
    kind: Literal["thought"] = field(default="thought", repr=False)


Part = str | ToolCallDelta | ReasoningDelta
"""A reply consists of parts, in order: pieces of text, of calls, and of thoughts that are taken out of the text."""

TRUNCATED = "the reply ended in the middle of the call"
DRAFT = "it is a draft in a thought, of which only the end is marked"


class PartBuffer:
    """Collects the parts of one reply until they are fetched.

    Blank space beside a call is layout and is dropped; between two texts it stays. With `parallel=False` the reply is
    over with its first call. With `only_tool`, calls of other tools are invalid. Thoughts are text, to the letter, for
    `reasoning=None`; for True they are parts of their own, and for False they are dropped.
    """

    def __init__(self, *, parallel: bool, only_tool: str | None, reasoning: bool | None = None) -> None:
        self.calls: list[ParsedToolCall] = []
        self.done = False
        self.at_line_start = True
        self.reasoning_pieces: list[str] = []
        self._thought_space = ""  # blank space at the end of a thought so far; before it, what parts it from another
        self._in_thought_text = False  # whether the thought has text already
        self._reasoning = reasoning
        self._parallel = parallel
        self._only_tool = only_tool
        self._parts: list[Part] = []
        self._text: list[str] = []  # the text after the last part so far: joined once, however often text is added
        self._content: list[str] = []
        self._space: list[str] = []  # blank space at the text's end so far, kept until it is known what follows
        self._space_before_calls = ""
        self._after_call = False

    @property
    def content(self) -> str:
        """The text so far, without the calls."""
        return "".join(self._content)

    def drain(self) -> list[Part]:
        """Return the parts that were added since the last time."""
        if self._text:
            self._end_text_part()
        parts, self._parts = self._parts, []
        return parts

    def add_text(self, text: str) -> None:
        """Add text."""
        if not text:
            return
        if text.isspace():
            self._space.append(text)
            self.at_line_start = begins_line_after(text, self.at_line_start)
            return
        if self._space:
            text = "".join((*self._space, text))
        if self._after_call:
            if not self._content:
                text = text.lstrip()
            elif not text[0].isspace():
                text = self._space_before_calls + text
            self._after_call = False
        body = text.rstrip()
        self._add_text_part(body)
        if len(body) == len(text):
            self._space, self.at_line_start = [], False
            return
        space = text[len(body) :]
        self._space = [space]
        self.at_line_start = begins_line_after(space, begins_line=False)

    def finish(self, *, drop_space: bool) -> None:
        """End the reply. Blank space at its end is text unless a call came before it."""
        space = "".join(self._space)
        if space and not self._after_call and not drop_space:
            self._add_text_part(space)
        self.done = True

    def _add_text_part(self, text: str) -> None:
        self._content.append(text)
        self._text.append(text)

    def _end_text_part(self) -> None:
        self._parts.append("".join(self._text))
        self._text = []

    def _add_delta(self, delta: ToolCallDelta) -> None:
        if self._text:
            self._end_text_part()
        self._parts.append(delta)

    @property
    def last_letter(self) -> str:
        """The last letter of the text so far, "" for none."""
        return (self._space or self._content or [""])[-1][-1:]

    def end_opened_thought(self, closing: str) -> None:
        """Take the text so far for a thought. It was handed over, so a bracket too many makes its calls invalid."""
        self.add_text(closing)
        self.at_line_start = True
        for index, call in enumerate(self.calls):
            call.is_draft = True
            if call.reason is None:
                call.reason = DRAFT
                call.pieces.append("]")
                self._add_delta(ToolCallDelta(index, None, None, "]"))

    def begin_thought(self, opening: str) -> None:
        """Begin a thought."""
        if self._reasoning is None:
            self.add_text(opening)
            return
        self._leave_text()
        self._thought_space = "\n\n" if self.reasoning_pieces else ""
        self._in_thought_text = False

    def add_thought(self, text: str) -> None:
        """Add to the thought. Where it is taken out, blank space around it is layout."""
        if self._reasoning is None:
            self.add_text(text)
            return
        text = text if self._in_thought_text else text.lstrip()
        if not text or not self._reasoning:
            return
        self._in_thought_text = True
        body = (self._thought_space + text).rstrip()
        self._thought_space = (self._thought_space + text)[len(body) :]
        if body:
            self.reasoning_pieces.append(body)
            if self._text:
                self._end_text_part()
            self._parts.append(ReasoningDelta(body))

    def end_thought(self, closing: str) -> None:
        """End the thought."""
        if self._reasoning is None:
            self.add_text(closing)
        self.at_line_start = True  # what follows begins anew

    def drop_mark(self) -> None:
        """Leave out a mark around the answer."""
        self._leave_text()

    def _leave_text(self) -> None:
        """Take the blank space at the text's end, and what follows, for layout."""
        self._space_before_calls, self._space = "".join(self._space) or self._space_before_calls, []
        self._after_call = self.at_line_start = True

    def allows(self, name: str) -> bool:
        """Return whether a call of this tool may run."""
        return self._only_tool in (None, name)

    def begin_call(self, name: str | None) -> ParsedToolCall:
        """Begin a call, whose arguments are added afterwards."""
        call = ParsedToolCall(f"call_{uuid.uuid4().hex}", name)
        self._leave_text()
        self.calls.append(call)
        self._add_delta(ToolCallDelta(len(self.calls) - 1, call.id, name, ""))
        return call

    def add_arguments(self, text: str) -> None:
        """Add to the JSON of the last call's arguments."""
        if text:
            self.calls[-1].pieces.append(text)
            self._add_delta(ToolCallDelta(len(self.calls) - 1, None, None, text))

    def end_call(self) -> None:
        """End the last call. Where calls are not parallel, the reply is over with it."""
        self.done = not self._parallel

    def fail_call(self, arguments: LenientJsonReader, reason: str, rest: str) -> None:
        """End the last call as invalid. It keeps all its text: what was read of its arguments, and the rest.

        The text goes on with a bracket that keeps readers from completing the arguments: `LenientJsonReader.poison`.
        """
        self.calls[-1].reason = reason
        self.add_arguments(f"{arguments.poison()}{arguments.pending_text}{rest}".rstrip())
        self.end_call()

    def add_call(self, call: RawToolCall) -> None:
        """Add a whole call."""
        if self.done:
            return
        if call.arguments is None:
            self.add_invalid(dump(call.raw), call.reason or "the arguments are not an object", call.name)
        elif not self.allows(call.name):
            self.add_invalid(dump(call.arguments), f"the tool to call is {self._only_tool}", call.name)
        else:
            self.begin_call(call.name)
            self.add_arguments(dump(call.arguments))
            self.end_call()

    def add_invalid(self, raw: str, reason: str, name: str | None) -> None:
        """Add a call that cannot run, with its text."""
        self.begin_call(name).reason = reason
        # A closing bracket first, so that LangChain cannot complete the JSON: see `LenientJsonReader.poison`.
        self.add_arguments("]" + raw.strip())
        self.end_call()
