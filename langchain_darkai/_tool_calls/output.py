"""What a reply turns out to hold: text and calls, in pieces as they become certain, and as a whole."""

import uuid
from dataclasses import dataclass, field

from langchain_darkai._json.reader import LenientJsonReader
from langchain_darkai._json.schema import dump
from langchain_darkai._tool_calls.syntaxes import RawToolCall


@dataclass(frozen=True)
class ToolCallDelta:
    """A piece of a call: its first has the name, the others more of the arguments' JSON."""

    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass
class Call:
    """A call in a reply. `reason` tells why it is invalid, and is None for one that can run."""

    id: str
    name: str | None
    pieces: list[str] = field(default_factory=list)
    reason: str | None = None

    @property
    def arguments(self) -> str:
        """The arguments as JSON, or what there is of them."""
        return "".join(self.pieces)


Part = str | ToolCallDelta
"""What a reply consists of, in order: pieces of text and pieces of calls."""

TRUNCATED = "the reply ended in the middle of the call"


class PartBuffer:
    """Collects the parts of one reply.

    Blank space beside a call is layout and goes; between two texts it stays. With `parallel` False the reply ends with
    its first call. With `only`, a call of another tool is invalid.
    """

    def __init__(self, *, parallel: bool, only: str | None) -> None:
        self.calls: list[Call] = []
        self.done = False
        self.at_line_start = True
        self._parallel = parallel
        self._only = only
        self._parts: list[Part] = []
        self._content: list[str] = []
        self._space: list[str] = []
        self._space_before_calls = ""
        self._after_call = False

    @property
    def content(self) -> str:
        """The text so far, without the calls."""
        return "".join(self._content)

    def take(self) -> list[Part]:
        """Return the parts since the last time."""
        parts, self._parts = self._parts, []
        return parts

    def say(self, text: str) -> None:
        """Add text."""
        last_line = text.rpartition("\n")[2]
        if not text or text.isspace():
            self._space.append(text)
            self.at_line_start = ("\n" in text or self.at_line_start) and not last_line.strip(" \t")
            return
        text = "".join((*self._space, text))
        if self._after_call:
            text = (
                text.lstrip() if not self._content else (text if text[0].isspace() else self._space_before_calls + text)
            )
            self._after_call = False
        body = text.rstrip()
        self._space = [text[len(body) :]]
        self._add_text(body)
        self.at_line_start = "\n" in text and not last_line.strip(" \t")

    def finish(self, *, drop_space: bool) -> None:
        """End the reply; the blank space at its end is text where no call came before it."""
        space = "".join(self._space)
        if space and not self._after_call and not drop_space:
            self._add_text(space)
        self.done = True

    def _add_text(self, text: str) -> None:
        self._content.append(text)
        if self._parts and isinstance(self._parts[-1], str):
            self._parts[-1] += text
        else:
            self._parts.append(text)

    def allows(self, name: str) -> bool:
        """Return whether a call of this tool may run."""
        return self._only in (None, name)

    def begin_call(self, name: str | None) -> Call:
        """Begin a call, whose arguments are to be added."""
        call = Call(f"call_{uuid.uuid4().hex}", name)
        self._space_before_calls, self._space = "".join(self._space) or self._space_before_calls, []
        self._after_call = self.at_line_start = True
        self.calls.append(call)
        self._parts.append(ToolCallDelta(len(self.calls) - 1, call.id, name, ""))
        return call

    def add_arguments(self, text: str) -> None:
        """Add to the JSON of the last call's arguments."""
        if text:
            self.calls[-1].pieces.append(text)
            self._parts.append(ToolCallDelta(len(self.calls) - 1, None, None, text))

    def end_call(self) -> None:
        """End the last call; the reply ends with it, where only one is wanted."""
        self.done = not self._parallel

    def fail_call(self, stream: LenientJsonReader, reason: str, rest: str) -> None:
        """End the last call, whose arguments `stream` wrote, as one that nobody can complete; it keeps its text."""
        self.calls[-1].reason = reason
        self.add_arguments(f"{stream.cut()}{stream.unwritten}{rest}".rstrip())
        self.end_call()

    def add_call(self, found: RawToolCall) -> None:
        """Add a whole call."""
        if self.done:
            return
        if found.arguments is None:
            self.add_invalid(dump(found.raw), found.reason or "the arguments are no object", found.name)
        elif not self.allows(found.name):
            self.add_invalid(dump(found.arguments), f"the tool to call is {self._only}", found.name)
        else:
            self.begin_call(found.name)
            self.add_arguments(dump(found.arguments))
            self.end_call()

    def add_invalid(self, raw: str, reason: str, name: str | None) -> None:
        """Add a call that cannot run, with its text."""
        self.begin_call(name).reason = reason
        # A bracket that nothing opened: no reader of half JSON makes a call of what follows.
        self.add_arguments("]" + raw.strip())
        self.end_call()
