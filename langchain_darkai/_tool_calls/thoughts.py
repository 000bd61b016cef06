"""The state that reads thoughts, in which calls are drafts."""

import re

from langchain_darkai._tool_calls.cursor import marks_of
from langchain_darkai._tool_calls.formats import BARE_THOUGHT, THOUGHTS, Thought
from langchain_darkai._tool_calls.state import ParserContext, State

_BY_MARK = {mark.lower(): thought for thought in THOUGHTS for mark in thought.opens}
_CLOSED_BY_NEXT = frozenset(("<|start|>", *BARE_THOUGHT.closes))

_BEFORE_MENTIONS = frozenset(" \t\"'`“‘«([<")

BARE_THOUGHT_BEGINS = re.compile(r"(?:assistant)?analysis(?=[A-Za-z\d\"(*])")
"""The beginning of a thought of harmony without its marks: no space follows it."""


def thought_of(mark: str) -> Thought | None:
    """Return the thought that a mark opens; None if it opens none."""
    return _BY_MARK.get(mark.lower())


def may_close(before: str) -> bool:
    """Return whether a mark may close a thought that nothing has opened, by the letter before it: else it is mentioned.

    Example:
        >>> may_close("."), may_close("\\n"), may_close(" ")
        (True, True, False)
    """
    return before not in _BEFORE_MENTIONS


class ThoughtState(State):
    """A thought, up to what closes it. It is text, or goes where the caller wants thoughts: see `PartBuffer`."""

    def __init__(self, context: ParserContext, opening: str, thought: Thought) -> None:
        super().__init__(context)
        self._closes = marks_of(*thought.closes)
        self.out.begin_thought(opening)
        context.may_be_in_thought = False

    def read(self, text: str) -> str:
        close = self._closes.search(text)
        if close is None:
            certain = self._closes.begins_at(text)
            self.out.add_thought(text[:certain])
            return self.context.need_more(text[certain:])
        self.out.add_thought(text[: close.start()])
        # What begins the next message stays to be read.
        end = close.start() if close[0].lower() in _CLOSED_BY_NEXT else close.end()
        self.out.end_thought(text[close.start() : end])
        return self.context.switch_to("text", text[end:])

    def end(self, pending: str) -> str:
        self.out.add_thought(pending)
        return ""
