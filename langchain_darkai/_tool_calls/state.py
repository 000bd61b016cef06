"""The contract between the parser and its states."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from langchain_darkai._tool_calls.output import PartBuffer
from langchain_darkai._tool_calls.tools import Tool, ToolChoice

StateName = Literal["text", "bare call", "call head", "function tag", "vendor tag"]


class ParserContext:
    """The state that readers share: who reads on, what is carried over to the next piece, and where parts go."""

    def __init__(
        self, tools: Sequence[Tool], choice: ToolChoice, out: PartBuffer, states: "Mapping[StateName, type[State]]"
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.choice = choice
        self.out = out
        self.opening = True  # nothing but blank space and thoughts so far, so that the reply may be calls without a tag
        self.ends_in_made_up = False
        self.carry = ""
        self.skip_fence = False  # the next fence was held as a candidate, and is none
        self._states = states
        self.reader: State = states["text"](self)

    def read(self, text: str) -> None:
        text = self.take_carry() + text
        while text and not self.out.done:
            text = self.reader.read(text)

    def take_carry(self) -> str:
        carry, self.carry = self.carry, ""
        return carry

    def wait(self, text: str) -> str:
        """Read this text again together with the next piece."""
        self.carry = text
        return ""

    def switch_to(self, state: "State | StateName", text: str = "") -> str:
        """Let another state go on with this text; a state of another file is named by its key in the table."""
        self.reader = self._states[state](self) if isinstance(state, str) else state
        return text

    def as_prose(self, text: str, *, is_code: bool = False) -> str:
        """Read on as prose, which this reply now has."""
        self.opening = False
        self.skip_fence = is_code
        return self.switch_to("text", text)

    def may_be_tool(self, text: str) -> bool:
        """Return whether a text begins with a bound tool's name, or could once more of it is there."""
        return any(name.startswith(text) or re.match(rf"{re.escape(name)}(?![\w-])", text) for name in self.tools)


class State:
    """Reads one kind of text. `read` returns what is left for the next reader, `end` what is to be read again."""

    def __init__(self, reading: ParserContext) -> None:
        self.context = reading
        self.out = reading.out

    def read(self, text: str) -> str:
        raise NotImplementedError

    def end(self, carry: str) -> str:
        """Take the reply's end; `carry` is what waited for more."""
        self.out.say(carry)
        return ""

    def abort(self) -> None:
        """Take a reply that breaks off with an error: what was handed over of a call must not run."""
