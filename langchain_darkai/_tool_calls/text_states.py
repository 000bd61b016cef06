"""The states that read what is passed on as text: ordinary text, thoughts and code."""

import re

from langchain_darkai._tool_calls.markup import (
    FUNCTION_START,
    IGNORE_CASE,
    MADE_UP_LINE,
    MADE_UP_LINE_BEGINS,
    MARKS,
    MAX_TICKS,
    MISTRAL_START,
    THOUGHT_END,
    THOUGHT_END_BEGINS,
    THOUGHT_STARTS,
    beginnings,
    fence_end,
    fence_end_begins,
)
from langchain_darkai._tool_calls.state import ParserContext, State
from langchain_darkai.prompts import CALL_START

_MARK = re.compile(rf"(?P<ticks>`+|~{{3,}})|{'|'.join(map(re.escape, MARKS))}", IGNORE_CASE)
_MARK_BEGINS = re.compile(rf"(?:{beginnings(*MARKS)})\Z", IGNORE_CASE)
_LONGEST_MARK = max(map(len, MARKS))
_IN_CODE = re.compile(rf"`+|\n|{CALL_START}")
_CALL_START_BEGINS = re.compile(rf"(?:{beginnings(CALL_START)})\Z")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


class TextState(State):
    """Ordinary text, up to a mark after which text is read in another way."""

    def read(self, text: str) -> str:
        if self.context.only_preamble:
            # JSON and fences may hold calls without a mark; half a fence or half of Mistral's mark looks like neither.
            start = text.lstrip()
            may_be_mark = start in ("`", "``", "~", "~~") or MISTRAL_START.startswith(start)
            if may_be_mark or (start.startswith(("{", "[", "```", "~~~")) and not start.startswith(MISTRAL_START)):
                self.out.add_text(text[: len(text) - len(start)])
                return self.context.need_more(start) if may_be_mark else self.context.switch_to("bare call", start)
        mark = _MARK.search(text)
        made_up = self._find_made_up(text) if self.out.calls else None
        if made_up is not None and (mark is None or made_up < mark.start()):
            self.out.add_text(text[:made_up])
            self.out.done = self.context.ends_in_made_up = True
            return ""
        if mark is None:
            certain = self._certain_length(text)
            self._add_text(text[:certain])
            return self.context.need_more(text[certain:])
        self._add_text(text[: mark.start()])
        if mark["ticks"]:
            return self._read_ticks(mark["ticks"], text[mark.end() :])
        return self._read_mark(mark[0], text[mark.end() :])

    def _add_text(self, text: str) -> None:
        if text and not text.isspace():
            self.context.only_preamble = False
        self.out.add_text(text)

    def _find_made_up(self, text: str) -> int | None:
        """Return where the first line begins that is made up; None if there is none."""
        found = MADE_UP_LINE.search(text)
        if found and found.start() == 0 and not self.out.at_line_start:
            found = MADE_UP_LINE.search(text, max(found.end(), 1))
        return found.start() if found else None

    def _certain_length(self, text: str) -> int:
        """Return how much of a text without a mark can be passed on; the rest may be the beginning of a mark."""
        if text[-1] == "~":
            return len(text.rstrip("~"))
        begins = _MARK_BEGINS.search(text, max(0, len(text) - _LONGEST_MARK))
        certain = begins.start() if begins else len(text)
        if self.out.calls and ("\n" in text or self.out.at_line_start):
            line_start = text.rfind("\n") + 1
            if line_start < certain and MADE_UP_LINE_BEGINS.match(text, line_start):
                return line_start
        return certain

    def _read_mark(self, mark: str, rest: str) -> str:
        kind = mark.lower()
        if kind in THOUGHT_STARTS:
            self.out.add_text(mark)
            return self.context.switch_to(QuotedState(self.context, THOUGHT_END, THOUGHT_END_BEGINS), rest)
        if kind == CALL_START:
            return self.context.switch_to("call head", mark + rest)
        return self.context.switch_to("function tag" if kind == FUNCTION_START else "vendor tag", mark + rest)

    def _read_ticks(self, ticks: str, rest: str) -> str:
        if not rest and len(ticks) < MAX_TICKS:
            return self.context.need_more(ticks)
        starts_line = self.out.at_line_start
        # Where a call is forced, it may stand in a fence with prose before it.
        may_be_call = self.context.choice.forced and not self.out.calls and not self.context.skip_fence
        if may_be_call and len(ticks) >= 3 and starts_line:
            return self.context.switch_to("bare call", ticks + rest)
        self.context.only_preamble = self.context.skip_fence = False
        self.out.add_text(ticks)
        if ticks[0] == "~" and not starts_line:
            return rest  # tildes open nothing but fences, which begin a line
        return self.context.switch_to(CodeState(self.context, ticks), rest)

    def end(self, pending: str) -> str:
        if pending and not pending.strip("`~"):
            self.context.only_preamble = False
        self.out.add_text(pending)
        return ""


class QuotedState(State):
    """Text in which a call is only shown or drafted, a thought or a code fence, up to what ends it."""

    def __init__(self, context: ParserContext, end: re.Pattern[str], end_begins: re.Pattern[str]) -> None:
        super().__init__(context)
        self._end = end
        self._end_begins = end_begins

    def read(self, text: str) -> str:
        end = self._end.search(text)
        begins = self._end_begins.search(text)
        certain = begins.start() if begins else len(text)
        if end and end.start() < certain:
            self.out.add_text(text[: end.end()])
            return self.context.switch_to("text", text[end.end() :])
        self.out.add_text(text[:certain])
        return self.context.need_more(text[certain:])


class CodeState(State):
    """Code after back-ticks or tildes.

    Inline code ends with as many ticks again, or at a blank line. Three ticks or more whose line ends first open a
    fence, which `QuotedState` reads.
    """

    def __init__(self, context: ParserContext, ticks: str) -> None:
        super().__init__(context)
        self._ticks = ticks
        self._has_line_end = False

    def read(self, text: str) -> str:
        for found in _IN_CODE.finditer(text):
            start = found.start()
            if found[0] == CALL_START:
                if self._has_line_end:
                    self.out.add_text(text[:start])
                    return self.context.switch_to(MaybeQuotedState(self.context, self._ticks), text[start:])
                continue
            if found[0] == "\n":
                self._has_line_end = True
                if len(self._ticks) >= 3:
                    self.out.add_text(text[:start])
                    fence = QuotedState(self.context, fence_end(self._ticks), fence_end_begins(self._ticks))
                    return self.context.switch_to(fence, text[start:])
                next_line = text[found.end() :].lstrip(" \t")
                is_uncertain = not next_line and len(text) - start < MAX_TICKS  # it may become a blank line
                ends = next_line.startswith("\n")
            else:
                is_uncertain = found.end() == len(text) and len(found[0]) < MAX_TICKS  # more ticks may follow
                ends = found[0] == self._ticks
            if is_uncertain:
                self.out.add_text(text[:start])
                return self.context.need_more(text[start:])
            if ends:
                self.out.add_text(text[: found.end()])
                return self.context.switch_to("text", text[found.end() :])
        begins = _CALL_START_BEGINS.search(text, max(0, len(text) - len(CALL_START)))
        certain = begins.start() if begins else len(text)
        self.out.add_text(text[:certain])
        return self.context.need_more(text[certain:])


class MaybeQuotedState(State):
    """A call in what may be inline code that began on an earlier line.

    If a closing back-tick follows before a blank line, the call is quoted. Else it is a call, and the back-tick was
    just a character, such as an apostrophe.
    """

    def __init__(self, context: ParserContext, ticks: str) -> None:
        super().__init__(context)
        self._closing = re.compile(rf"(?<!`){ticks}(?!`)")
        self._held = ""

    def read(self, text: str) -> str:
        self._held += text
        closing = self._closing.search(self._held)
        blank = _BLANK_LINE.search(self._held)
        if closing and closing.end() < len(self._held) and (blank is None or closing.start() < blank.start()):
            self.out.add_text(self._held[: closing.end()])
            return self.context.switch_to("text", self._held[closing.end() :])
        return self.context.switch_to("text", self._held) if blank else ""

    def end(self, pending: str) -> str:
        if self._closing.search(self._held):
            self.out.add_text(self._held)
            return ""
        return self.context.switch_to("text", self._held)
