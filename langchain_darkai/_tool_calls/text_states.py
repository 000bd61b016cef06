"""States that read text: ordinary text, thoughts and code."""

import re

from langchain_darkai._tool_calls.markup import (
    CALL_MARKS,
    FUNCTION,
    IGNORE_CASE,
    LONGEST_MARK,
    MADE_UP_LINE,
    MADE_UP_LOWER,
    MAX_TICKS,
    THOUGHT_END,
    THOUGHT_STARTS,
    fence_end,
    fence_end_begins,
)
from langchain_darkai._tool_calls.state import ParserContext, State
from langchain_darkai.prompts import CALL_START

_MARK = re.compile("(?P<ticks>`+|~{3,})|" + "|".join(map(re.escape, CALL_MARKS)), IGNORE_CASE)
_THOUGHT_END_BEGINS = re.compile(r"<(?:/[a-z]{0,9})?\Z", IGNORE_CASE)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_MARKS_LOWER = tuple(map(str.lower, CALL_MARKS))


class TextState(State):
    """Ordinary text, up to a mark after which text is read in another way."""

    def read(self, text: str) -> str:
        if self.context.opening:
            bare = text.lstrip()
            if not bare or bare in ("`", "``", "~", "~~") or (bare != "[" and "[TOOL_CALLS]".startswith(bare)):
                self.out.say(text[: len(text) - len(bare)])
                return self.context.wait(bare)
            if bare.startswith(("{", "[", "```", "~~~")) and not bare.startswith("[TOOL_CALLS]"):
                self.out.say(text[: len(text) - len(bare)])
                return self.context.switch_to("bare call", bare)
        mark = _MARK.search(text)
        made_up = self._made_up(text) if self.out.calls else None
        if made_up is not None and (mark is None or made_up < mark.start()):
            self.out.say(text[:made_up])
            self.out.done = self.context.ends_in_made_up = True
            return ""
        if mark is None:
            certain = len(text) - self._uncertain(text)
            self._say(text[:certain])
            return self.context.wait(text[certain:])
        self._say(text[: mark.start()])
        kind, rest = mark[0].lower(), text[mark.end() :]
        if mark["ticks"]:
            return self._code(mark["ticks"], rest)
        if kind in THOUGHT_STARTS:
            self.out.say(mark[0])
            return self.context.switch_to(QuotedState(self.context, THOUGHT_END, _THOUGHT_END_BEGINS), rest)
        if kind == CALL_START:
            return self.context.switch_to("call head", rest)
        if kind == FUNCTION:
            return self.context.switch_to("function tag", text[mark.start() :])
        return self.context.switch_to("vendor tag", text[mark.start() :])

    def _say(self, text: str) -> None:
        if text and not text.isspace():
            self.context.opening = False
        self.out.say(text)

    def _made_up(self, text: str) -> int | None:
        found = MADE_UP_LINE.search(text)
        if found and found.start() == 0 and not self.out.at_line_start:
            found = MADE_UP_LINE.search(text, max(found.end(), 1))
        return found.start() if found else None

    def _uncertain(self, text: str) -> int:
        """Return how much of the text's end may be the beginning of a mark."""
        tail = text[-LONGEST_MARK:].lower()
        if tail[-1] in "`~":
            return min(len(text) - len(text.rstrip(text[-1])), MAX_TICKS)
        lengths = range(len(tail) - min(at for at in (tail.find("<"), tail.find("["), len(tail)) if at >= 0), 0, -1)
        held = next((n for n in lengths if any(mark.startswith(tail[-n:]) for mark in _MARKS_LOWER)), 0)
        line = text.rpartition("\n")[2]
        if self.out.calls and len(line) < 2 * LONGEST_MARK and ("\n" in text or self.out.at_line_start):
            beginning = line.lstrip(" \t").lower()
            if beginning and any(mark.startswith(beginning) for mark in MADE_UP_LOWER):
                held = max(held, len(line))
        return held

    def _code(self, ticks: str, rest: str) -> str:
        if not rest and len(ticks) < MAX_TICKS:
            return self.context.wait(ticks)
        may_be_call = self.context.choice.forced and not self.out.calls and not self.context.skip_fence
        if may_be_call and len(ticks) >= 3 and self.out.at_line_start:
            return self.context.switch_to("bare call", ticks + rest)
        starts_line = self.out.at_line_start
        self.context.opening = self.context.skip_fence = False
        self.out.say(ticks)
        if ticks[0] == "~" and not starts_line:
            return rest
        return self.context.switch_to(InlineCodeState(self.context, ticks), rest)

    def end(self, carry: str) -> str:
        if carry and not carry.strip("`~"):
            self.context.opening = False
        self.out.say(carry)
        return ""


class QuotedState(State):
    """Text in which call syntax is only shown, up to its end."""

    def __init__(self, reading: ParserContext, end: re.Pattern[str], end_begins: re.Pattern[str]) -> None:
        super().__init__(reading)
        self._end = end
        self._end_begins = end_begins

    def read(self, text: str) -> str:
        begins = self._end_begins.search(text)
        end = self._end.search(text, 0, begins.start() if begins else len(text)) or self._end.search(text)
        if end and not (begins and begins.start() <= end.start()):
            self.out.say(text[: end.end()])
            return self.context.switch_to(TextState(self.context), text[end.end() :])
        held = begins.start() if begins else len(text)
        self.out.say(text[:held])
        return self.context.wait(text[held:])


class InlineCodeState(State):
    """Code after back-ticks: a span to as many of them or a blank line, or, from three on, a fence after the line."""

    def __init__(self, reading: ParserContext, ticks: str) -> None:
        super().__init__(reading)
        self._ticks = ticks
        self._has_line_end = False

    def read(self, text: str) -> str:
        for found in re.finditer(rf"`+|\n|{CALL_START}", text):
            if found[0] == CALL_START:
                if not self._has_line_end:
                    continue
                self.out.say(text[: found.start()])
                return self.context.switch_to(MaybeQuotedState(self.context, self._ticks), text[found.start() :])
            self._has_line_end = self._has_line_end or found[0] == "\n"
            if found[0] == "\n" and len(self._ticks) >= 3:
                self.out.say(text[: found.start()])
                fence = QuotedState(self.context, fence_end(self._ticks), fence_end_begins(self._ticks))
                return self.context.switch_to(fence, text[found.start() :])
            if found[0] == "\n":
                following = text[found.end() :].lstrip(" \t")
                if not following and len(text) - found.start() < MAX_TICKS:
                    self.out.say(text[: found.start()])
                    return self.context.wait(text[found.start() :])
                ends = following.startswith("\n")
            elif found.end() == len(text) and len(found[0]) < MAX_TICKS:
                self.out.say(text[: found.start()])
                return self.context.wait(found[0])
            else:
                ends = found[0] == self._ticks
            if ends:
                self.out.say(text[: found.end()])
                return self.context.switch_to(TextState(self.context), text[found.end() :])
        held = next((n for n in range(len(CALL_START) - 1, 0, -1) if text.endswith(CALL_START[:n])), 0)
        self.out.say(text[: len(text) - held])
        return self.context.wait(text[len(text) - held :]) if held else ""


class MaybeQuotedState(State):
    """A block after a lone back-tick on a line before: shown, if another one closes the span; else a call."""

    def __init__(self, reading: ParserContext, ticks: str) -> None:
        super().__init__(reading)
        self._closing = re.compile(rf"(?<!`){ticks}(?!`)")
        self._raw = ""

    def read(self, text: str) -> str:
        self._raw += text
        closing = self._closing.search(self._raw)
        blank = _BLANK_LINE.search(self._raw)
        if closing and closing.end() < len(self._raw) and (blank is None or closing.start() < blank.start()):
            self.out.say(self._raw[: closing.end()])
            return self.context.switch_to(TextState(self.context), self._raw[closing.end() :])
        return self.context.switch_to(TextState(self.context), self._raw) if blank else ""

    def end(self, carry: str) -> str:
        if self._closing.search(self._raw):
            self.out.say(self._raw)
            return ""
        return self.context.switch_to(TextState(self.context), self._raw)
