"""The states that read what is passed on as text: ordinary text and code."""

import re
from functools import cache
from typing import NamedTuple

from langchain_darkai._tool_calls.cursor import MAX_BLANK, Marks
from langchain_darkai._tool_calls.format_states import FormatState
from langchain_darkai._tool_calls.formats import (
    ANSWER_CLOSES,
    ANSWER_OPENS,
    BARE,
    BARE_THOUGHT,
    FORMATS,
    MAX_PREFIX,
    OPENED_THOUGHT,
    PREFIXED,
    RECIPIENTS,
    START_MARKS,
    THOUGHTS,
)
from langchain_darkai._tool_calls.markup import (
    IGNORE_CASE,
    MADE_UP_LINE,
    MADE_UP_LINE_BEGINS,
    MAX_TICKS,
    beginnings,
    fence_end,
    fence_end_begins,
)
from langchain_darkai._tool_calls.state import ParserContext, State
from langchain_darkai._tool_calls.thoughts import BARE_THOUGHT_BEGINS, ThoughtState, may_close, thought_of
from langchain_darkai.prompts import CALL_START

_TICKS = re.compile(rf"`{{1,{MAX_TICKS}}}|~{{3,{MAX_TICKS}}}")
_PREFIX = rf"[\w-]{{1,{MAX_PREFIX}}}"
_PREFIXED = re.compile(rf"<{_PREFIX}:(?:{'|'.join(PREFIXED)})")
_PREFIXED_BEGINS = re.compile(rf"<(?:{_PREFIX}(?::(?:{beginnings(*PREFIXED)})?)?)?\Z")
_LONGEST_PREFIXED = len("<:") + MAX_PREFIX + max(map(len, PREFIXED))
_BARE_HEADERS = ("analysis", *BARE_THOUGHT.closes)
# What may count at the beginning of a line only: JSON, Python, tags with a prefix. To find it fast, each begins with a
# letter, and leaves out those that stand right behind a word, or behind a word and a blank.
_AT_LINE_START = "|".join(
    rf"{sign}(?<![^\n \t]{sign})(?<![^\n \t][ \t]{sign}){following}"
    for sign, following in ((r"\{", ""), (r"\[", r"(?=[\s{A-Za-z_]|\Z)"), ("<", rf"(?={_PREFIX}(?::|\Z))"))
)
_CANDIDATE = re.compile(r"\{|\[\s{0,64}(?:\{|(?P<name>[A-Za-z_][\w.]*)|\Z)")
_FENCED = re.compile(r"[^\n]*\n\s*(\S)")
_ANSWER_CLOSES = frozenset(mark.lower() for mark in ANSWER_CLOSES)
_ANSWER_OPENS = frozenset(mark.lower() for mark in ANSWER_OPENS)
_THOUGHT_CLOSES = frozenset(mark.lower() for mark in OPENED_THOUGHT.closes)
# A mark that opens a thought, or the answer, counts at a line's beginning; elsewhere, text mentions it.
_OPENS = _ANSWER_OPENS | {mark.lower() for thought in THOUGHTS for mark in thought.opens}
_NAME_PREFIXES = ("functions.", "call:")
_AT_START = Marks([*START_MARKS, *_NAME_PREFIXES, *RECIPIENTS])
_IN_CODE = re.compile(rf"`{{1,{MAX_TICKS}}}|\n|{CALL_START}")
_CALL_START_BEGINS = re.compile(rf"(?:{beginnings(CALL_START)})\Z")
_NEAR = 16  # characters before a position that mostly tell whether it begins a line
_IN_HELD = re.compile(r"`+|\n|[^`\n]+")

MAX_HELD_IN_VAIN = 64 * 1024
"""Characters of fences and JSON that were held back as calls, and were none. Each is read again as text, up to the next
one, which is held back in turn: without a limit, many of them would cost the square of their number."""


class _Signs(NamedTuple):
    """The marks after which text is read in another way, and a pattern of all that may matter in text.

    The pattern spares the code of Python's all other letters.
    """

    marks: Marks
    pattern: re.Pattern[str]


@cache
def _signs(calls: bool, answers: bool, more: tuple[str, ...] = ()) -> _Signs:
    marks = [*more, *OPENED_THOUGHT.closes, *(mark for thought in THOUGHTS for mark in thought.opens)]
    marks += [mark for row in FORMATS if calls or row.family == "message" for mark in row.marks if not row.at_start]
    found = Marks([*marks, *((*ANSWER_OPENS, *ANSWER_CLOSES) if answers else ())])
    return _Signs(found, re.compile(f"`|~|{found.starts}|{_AT_LINE_START}", IGNORE_CASE))


class TextState(State):
    """Ordinary text, up to a mark after which text is read in another way."""

    def __init__(self, context: ParserContext) -> None:
        super().__init__(context)
        self._skips = False  # whether the text begins with what may be no call
        self._marks, self._sign = _signs(context.reads_calls, context.reasoning is not None)

    def read(self, text: str) -> str:
        sign = self._sign.search(text)
        if not (sign or self.context.only_preamble or self.out.calls):
            self.out.add_text(text)  # as most text is
            return ""
        self._skips, self.context.skip_candidate = self.context.skip_candidate, False
        if self.context.only_preamble:
            start = text.lstrip()
            if start and self._begins_reply(start):
                self.out.add_text(text[: len(text) - len(start)])
                return self._read_start(start)
        position, mark = self._find(text, sign.start()) if sign else (len(text), "")
        made_up = self._find_made_up(text, position) if self.out.calls else None
        if made_up is not None:
            self.out.add_text(text[:made_up])
            self.out.done = self.context.ends_in_made_up = True
            return ""
        if not mark:
            certain = self._certain_length(text)
            self._add_text(text[:certain])
            return self.context.need_more(text[certain:])
        self._add_text(text[:position])
        rest = text[position + len(mark) :]
        if mark[0] in "`~":
            return self._read_ticks(mark, rest, skips=self._skips and position == 0)
        return self._read_mark(mark, rest)

    def _begins_reply(self, start: str) -> bool:
        """Return whether this may be something that counts at the reply's beginning only."""
        if self._marks.match(start):
            return False
        if start in ("`", "``", "~", "~~") or self._marks.may_begin(start):
            return True
        if any(word.startswith(start[: len(word)]) for word in _BARE_HEADERS):
            return True
        if not self.context.reads_calls:
            return False
        if start.startswith(("{", "[", "```", "~~~")) or _AT_START.match(start) or _AT_START.may_begin(start):
            return True
        return self.context.may_start_with_tool(start)

    def _read_start(self, start: str) -> str:
        """Read what may count at the reply's beginning only: JSON, fences, names, harmony without its marks."""
        context = self.context
        if start in ("`", "``", "~", "~~") or self._marks.may_begin(start):
            return context.need_more(start)
        if thought := BARE_THOUGHT_BEGINS.match(start):
            return context.switch_to(ThoughtState(context, thought[0], BARE_THOUGHT), start[thought.end() :])
        if context.reads_calls:
            if start.startswith(("{", "[", "```", "~~~")):
                return context.switch_to("bare call", start)
            mark = _AT_START.match(start)
            if mark and mark[0] in RECIPIENTS:
                self._marks, self._sign = _signs(True, context.reasoning is not None, RECIPIENTS[mark[0]])
                return context.fall_back_to_text(start)
            if mark and mark[0] not in _NAME_PREFIXES:
                return context.switch_to(FormatState(context, mark[0]), start[mark.end() :])
            if mark or context.goes_on_after_tool(start):
                return context.switch_to(FormatState(context, "", row=BARE), start)
            if _AT_START.may_begin(start) or (
                len(start) <= context.longest_name and context.may_start_with_tool(start)
            ):
                return context.need_more(start)
        if any(word.startswith(start) for word in _BARE_HEADERS):
            return context.need_more(start)
        return self._read_plain(start)

    def _read_plain(self, start: str) -> str:
        """Read as text what might have counted at the reply's beginning."""
        if self.context.reasoning is not None and start.startswith("assistantfinal"):
            self.out.drop_mark()
            start = start.removeprefix("assistantfinal")
        return self.context.fall_back_to_text(start)

    def _add_text(self, text: str) -> None:
        if text and not text.isspace():
            self.context.only_preamble = False
        self.out.add_text(text)

    def _find(self, text: str, start: int) -> tuple[int, str]:
        """Return where the first mark stands, from a sign on, and the mark; the text's length and "" for none."""
        for sign in self._sign.finditer(text, start):
            position, letter = sign.start(), sign[0]
            if letter in "{[" and self._may_announce(text, position):
                return position, letter
            mark = (_TICKS if letter in "`~" else self._marks).match(text, position)
            if mark is None and letter == "<" and self._begins_line(text, position):
                mark = _PREFIXED.match(text, position)
            if mark and self._counts(mark[0].lower(), text, position):
                return position, mark[0]
        return len(text), ""

    def _counts(self, mark: str, text: str, position: int) -> bool:
        """Return whether a mark counts where it stands; elsewhere, text mentions it."""
        context = self.context
        if mark in _THOUGHT_CLOSES:
            return context.may_be_in_thought and may_close(text[position - 1 : position] or self.out.last_letter)
        if mark not in _OPENS or self._begins_line(text, position):
            return True
        context.may_be_in_thought = False
        return False

    def _begins_line(self, text: str, position: int) -> bool:
        """Return whether a position is the beginning of a line, blanks aside."""
        if text[max(0, position - _NEAR) : position].rstrip(" \t")[-1:] not in ("", "\n"):
            return False
        line_start = text.rfind("\n", 0, position) + 1
        return not text[line_start:position].strip(" \t") and (line_start > 0 or self.out.at_line_start)

    def _may_announce(self, text: str, position: int) -> bool:
        """Return whether JSON after other text may be a call that the text announces."""
        candidate = _CANDIDATE.match(text, position)
        if not candidate or (candidate["name"] and not self.context.may_start_with_tool(candidate["name"])):
            return False
        return not (self._skips and position == 0) and self._begins_line(text, position) and self._may_hold()

    def _may_hold(self) -> bool:
        """Return whether what may be a call without a mark may be held back after other text."""
        context = self.context
        may_call = context.tools and not self.out.calls and (context.choice.forced or not context.shows_calls)
        return bool(may_call) and context.held_in_vain < MAX_HELD_IN_VAIN

    def _find_made_up(self, text: str, end: int) -> int | None:
        """Return where the first line begins that is made up, up to the next mark; None if there is none."""
        found = MADE_UP_LINE.search(text, 0, end)
        if found and found.start() == 0 and not self.out.at_line_start:
            found = MADE_UP_LINE.search(text, max(found.end(), 1), end)
        return found.start() if found else None

    def _certain_length(self, text: str) -> int:
        """Return how much of a text without a mark can be passed on; the rest may be the beginning of a mark."""
        if text[-1] == "~":
            return len(text.rstrip("~"))
        certain = self._marks.begins_at(text)
        tag = text.rfind("<", max(0, len(text) - _LONGEST_PREFIXED), certain)
        if tag >= 0 and _PREFIXED_BEGINS.match(text, tag) and self._begins_line(text, tag):
            certain = tag
        if self.out.calls and ("\n" in text or self.out.at_line_start):
            line_start = text.rfind("\n") + 1
            if line_start < certain and MADE_UP_LINE_BEGINS.match(text, line_start):
                return line_start
        return certain

    def _read_mark(self, mark: str, rest: str) -> str:
        context = self.context
        if mark in ("{", "["):
            return context.switch_to("announced call", mark + rest)
        if thought := thought_of(mark):
            return context.switch_to(ThoughtState(context, mark, thought), rest)
        if mark.lower() in _THOUGHT_CLOSES:
            self.out.end_opened_thought(mark)
            context.may_be_in_thought, context.was_in_thought, context.only_preamble = False, True, True
            return rest
        if mark.lower() == CALL_START:
            return context.switch_to("call head", mark + rest)
        if context.reasoning is not None and mark.lower() in _ANSWER_OPENS:
            self.out.drop_mark()
            return rest
        if context.reasoning is not None and mark.lower() in _ANSWER_CLOSES:
            return self._read_answer_end(mark, rest)
        return context.switch_to(FormatState(context, mark), rest)

    def _read_answer_end(self, mark: str, rest: str) -> str:
        """Leave out a mark that closes the answer, if nothing but blank space or another mark follows."""
        start = len(rest) - len(rest.lstrip())
        if start < MAX_BLANK and (start == len(rest) or self._marks.may_begin(rest, start)):
            return self.context.need_more(mark + rest)
        if start < MAX_BLANK and not self._marks.match(rest, start):
            self._add_text(mark)
        else:
            self.out.drop_mark()
        return rest

    def _read_ticks(self, ticks: str, rest: str, *, skips: bool) -> str:
        if not rest and len(ticks) < MAX_TICKS:
            self.context.skip_candidate = skips
            return self.context.need_more(ticks)
        starts_line = self.out.at_line_start
        if len(ticks) >= 3 and starts_line and not skips and self._may_hold() and self._may_hold_call(rest):
            return self.context.switch_to("announced call", ticks + rest)
        self.context.only_preamble = False
        self.out.add_text(ticks)
        if ticks[0] == "~" and not starts_line:
            return rest  # tildes open nothing but fences, which begin a line
        return self.context.switch_to(CodeState(self.context, ticks), rest)

    def _may_hold_call(self, fenced: str) -> bool:
        """Return whether a fence may hold a call that other text announces. A required call may have any form."""
        inner = None if self.context.choice.forced else _FENCED.match(fenced)
        return inner is None or inner[1] in "{["

    def end(self, pending: str) -> str:
        if pending and not pending.strip("`~"):
            self.context.only_preamble = False
        mark = self._marks.match(pending)
        if mark and mark[0].lower() in _ANSWER_CLOSES and not pending[mark.end() :].strip():
            self.out.drop_mark()
        else:
            self.out.add_text(pending)
        return ""


class QuotedState(State):
    """Text in which a call is only shown or drafted, a thought or a code fence, up to what ends it.

    `first` is the letter with which the end begins, and which it has only there.
    """

    def __init__(self, context: ParserContext, end: re.Pattern[str], end_begins: re.Pattern[str], first: str) -> None:
        super().__init__(context)
        self._end = end
        self._end_begins = end_begins
        self._first = first

    def read(self, text: str) -> str:
        end = self._end.search(text)
        certain = end.start() if end else text.rfind(self._first)
        if certain < 0 or not self._end_begins.match(text, certain):
            certain = len(text)
            if end:
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
                    fence = QuotedState(self.context, fence_end(self._ticks), fence_end_begins(self._ticks), "\n")
                    return self.context.switch_to(fence, text[start:])
                next_line = text[found.end() : start + MAX_TICKS].lstrip(" \t")
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
        self._ticks = ticks
        self._held: list[str] = []
        self._row = 0  # back-ticks at the end of the held text
        self._is_blank = False  # whether its last line is blank so far

    def read(self, text: str) -> str:
        for found in _IN_HELD.finditer(text):
            if found[0][0] == "`":
                self._row += len(found[0])
                self._is_blank = False
                continue
            if self._row == len(self._ticks):
                self.out.add_text("".join((*self._held, text[: found.start()])))
                return self.context.switch_to("text", text[found.start() :])
            self._row = 0
            if found[0] != "\n":
                self._is_blank = self._is_blank and not found[0].strip(" \t")
            elif self._is_blank:
                return self.context.switch_to("text", "".join((*self._held, text)))
            else:
                self._is_blank = True
        self._held.append(text)
        return ""

    def end(self, pending: str) -> str:
        held = "".join(self._held)
        if self._row == len(self._ticks):
            self.out.add_text(held)
            return ""
        return self.context.switch_to("text", held)
