"""The contract between the parser and its states.

A state reads one kind of text: ordinary text, code, a call's arguments. The parser is in one state at a time.

- `read(text)` gets text, never "". It adds what is certain to `out`, and returns what is to be read next, by the state
  that the parser is in by then; "" where all is read. Each time it must read some text or switch to another state.
- `need_more(text)`: what this text is depends on the next piece. The same state gets it again, with that piece added.
- `switch_to(state, text)`: another state reads on. A state of another file goes by its name in `parser.STATES`, so that
  no file of states imports another.
- `fall_back_to_text(text)`: what looked like a call is ordinary text, and is read as such. No call without a mark can
  follow it, since such calls must be the whole reply.
- `end(pending)` is called at the reply's end, with the text that `need_more` kept. It returns what is to be read again;
  the parser then asks the state that it is in by then, until one stays and returns "".
- `abort()` is called in place of `end` when the reply breaks off with an error: a call that has begun must not run.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal

from langchain_darkai._tool_calls.markup import beginnings
from langchain_darkai._tool_calls.output import PartBuffer
from langchain_darkai._tool_calls.tools import Tool, ToolChoice

StateName = Literal["text", "bare call", "announced call", "call head", "after call"]


class State:
    """Reads one kind of text. `end` and `abort` do here what a state needs that keeps text by `need_more` only."""

    def __init__(self, context: "ParserContext") -> None:
        self.context = context
        self.out = context.out

    def read(self, text: str) -> str:
        """Read text; return what is to be read next."""
        raise NotImplementedError

    def end(self, pending: str) -> str:
        """Take the reply's end; return what is to be read again."""
        self.out.add_text(pending)
        return ""

    def abort(self) -> None:
        """Take the end of a reply that breaks off with an error."""


class ParserContext:
    """What the states share: the tools, where parts go, and what is known of the reply so far."""

    def __init__(
        self,
        tools: Sequence[Tool],
        choice: ToolChoice,
        out: PartBuffer,
        states: Mapping[StateName, type[State]],
        *,
        reasoning: bool | None,
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.choice = choice
        self.out = out
        self.reads_calls = bool(tools)  # else thoughts alone are looked for
        self.reasoning = reasoning
        # DeepSeek V3, its marks taken out, writes "function" right before the name.
        self._written_names = [*self.tools, *(f"function{name}" for name in self.tools)]
        self.longest_name = max(map(len, self._written_names), default=0)
        self.only_preamble = True  # nothing came but blank space and thoughts: calls without a mark may follow
        self.skip_candidate = False  # the text begins with a fence or JSON that is no call: not to be held back again
        self.shows_calls = False  # a call without a mark was an example, since text follows it
        self.held_in_vain = 0  # characters that were held back as a call without a mark, and are none
        self.ends_in_made_up = False
        self.may_be_in_thought = True  # no mark of thoughts came: what came may be one that the prompt has opened
        self.was_in_thought = False  # it was
        self.pending = ""
        self._states = states
        self._text_state = states["text"](self)  # one for all text: it knows nothing of what it has read
        self.state = self._text_state

    def need_more(self, text: str) -> str:
        """Keep text until the next piece shows what it is."""
        self.pending = text
        return ""

    def take_pending(self) -> str:
        """Return the text that was kept."""
        pending, self.pending = self.pending, ""
        return pending

    def switch_to(self, state: State | StateName, text: str = "") -> str:
        """Let another state read on with this text."""
        if state == "text":
            self.state = self._text_state
        else:
            self.state = self._states[state](self) if isinstance(state, str) else state
        return text

    def fall_back_to_text(self, text: str) -> str:
        """Read as ordinary text what turned out not to be a call."""
        self.only_preamble = False
        return self.switch_to("text", text)

    @cached_property
    def _tool_name(self) -> re.Pattern[str]:
        names = "|".join(map(re.escape, self._written_names))
        return re.compile(rf"(?:{names})(?![\w-])" if names else r"(?!)")

    @cached_property
    def _tool_name_begins(self) -> re.Pattern[str]:
        return re.compile(rf"(?:{beginnings(*self._written_names)})?\Z" if self._written_names else r"(?!)")

    def starts_with_tool(self, text: str) -> bool:
        """Return whether a text begins with the name of a bound tool."""
        return self._tool_name.match(text) is not None

    def goes_on_after_tool(self, text: str) -> bool:
        """Return whether a text begins with the name of a bound tool, and something follows it."""
        found = self._tool_name.match(text)
        return found is not None and found.end() < len(text)

    def may_start_with_tool(self, text: str) -> bool:
        """Return whether a text begins with the name of a bound tool, or may do so once more of it has come."""
        return self._tool_name_begins.match(text) is not None or self.starts_with_tool(text)
