"""The state that reads what may be calls without a mark."""

import re
from typing import Literal

from langchain_darkai._json.reader import MAX_WHOLE, LenientJsonReader
from langchain_darkai._json.values import read_value
from langchain_darkai._tool_calls.formats import LAYOUT
from langchain_darkai._tool_calls.markup import (
    MADE_UP_LINE,
    MADE_UP_LINE_BEGINS,
    MAX_TICKS,
    beginnings,
    fenced_contents,
    opening_fence,
    without_fence,
)
from langchain_darkai._tool_calls.output import TRUNCATED
from langchain_darkai._tool_calls.readers import read_calls
from langchain_darkai._tool_calls.state import ParserContext, State
from langchain_darkai._tool_calls.syntaxes import (
    RawToolCall,
    arguments_of_value,
    fits,
    looks_like_a_call,
    name_in,
    skip,
)
from langchain_darkai.prompts import CALL_END, CALL_START

MAX_BEGINNING = 512
"""Characters of JSON, or of Python, within which its beginning must show whether it may be a call."""

_FUNCTION_START = "<function="
_ENDS = (CALL_END, *LAYOUT)
_BETWEEN_VALUES = re.compile(rf"(?:[\s;,]|(?:`{{3,}}|~{{3,}})[\w+-]*|{'|'.join(map(re.escape, _ENDS))})*")
_BETWEEN_BEGINS = re.compile(rf"(?:`{{1,2}}|~{{1,2}}|{beginnings(*_ENDS)})\Z")
_FENCE_GOES_ON = {"`": re.compile(r"`*[\w+-]*"), "~": re.compile(r"~*[\w+-]*")}
_LANGUAGE_GOES_ON = re.compile(r"[\w+-]*")
_SEPARATOR_OR_TAG_END = re.compile(r"[\s;,>]")
_PYTHON_LIST = re.compile(r"\[\s*(?P<name>[A-Za-z_][\w.]*)?(?P<open>\s*\()?")


class BareCallState(State):
    """JSON, Python or a code fence where calls without a mark may stand. It is held back until it is known what it is.

    Such calls must be the whole reply, so they are certain at its end only. Text is mostly known much sooner, by the
    name of its first member or by what follows the JSON. More than MAX_WHOLE characters are text.
    """

    def __init__(self, context: ParserContext) -> None:
        super().__init__(context)
        self._held: list[str] = []
        self._size = 0  # of that, in characters
        self._waits_for_end = False
        # Before the JSON:
        self._start = ""  # what is to be looked at: the opening line of a fence, or what follows it
        self._language: str | None = None  # of the fence, "" for none; None until its line has ended
        self._is_fenced = False
        # In the JSON:
        self._reader: LenientJsonReader | None = None  # None before JSON begins, and for calls of another kind
        self._written = ""  # the beginning of the JSON, which shows whether it may be a call
        self._is_call: bool | None = None  # None until that is known
        # After a value:
        self._last_passed = ""  # the last character of the layout that was passed over
        self._has_line_end = False
        self._uncertain = ""  # comes again with the next piece

    def read(self, text: str) -> str:
        self._held.append(text)
        self._size += len(text)
        rest = self._read(text)
        return self._release() if not rest and self.context.state is self and self._size > MAX_WHOLE else rest

    def _read(self, text: str) -> str:
        if self._waits_for_end:
            return ""
        if self._reader is not None:
            return self._read_values(self._reader, text)
        self._start += text
        found = self._find_json()
        if found == "text":
            return self._release()
        if found == "JSON":
            self._reader = LenientJsonReader()
            return self._read_values(self._reader, self._start)
        self._waits_for_end = found == "calls"
        return ""

    def _find_json(self) -> Literal["need more", "JSON", "calls", "text"]:
        """Return whether JSON or calls of another kind begin here, or whether this is text."""
        if self._language is None:
            fence = opening_fence(self._start[: MAX_TICKS + 1])
            if fence is None and self._start[0] in "`~":
                return "text" if "\n" in self._start or len(self._start) > MAX_TICKS else "need more"
            start, self._language = fence or (0, "")
            self._is_fenced = fence is not None
            self._start = self._start[start:]
        self._start = inner = self._start.lstrip()
        if not inner:
            return "need more"
        for mark in (CALL_START, _FUNCTION_START):
            if self._is_fenced and mark.startswith(inner[: len(mark)]):
                return "calls" if inner.startswith(mark) else "need more"
        if self._language == "tool_code":
            return "calls" if self.context.may_start_with_tool(inner.lstrip("[ ")) else "text"
        return self._find_python(inner) or ("JSON" if inner[0] in "{[" else "text")

    def _find_python(self, inner: str) -> Literal["need more", "calls", "text"] | None:
        """Return whether this is a list of calls in Python; None where it is no such list."""
        python = _PYTHON_LIST.match(inner, 0, MAX_BEGINNING)
        may_go_on = len(inner) < MAX_BEGINNING and python is not None and python.end() == len(inner.rstrip())
        if python is None or not (python["name"] or (may_go_on and not inner[1:].strip())):
            return None
        if python["open"]:
            return "calls" if python["name"] in self.context.tools else "text"
        return "need more" if may_go_on and self.context.may_start_with_tool(python["name"] or "") else "text"

    def _read_values(self, reader: LenientJsonReader, text: str) -> str:
        while True:
            if not reader.done:
                self._look_at(reader.feed(text))
                if reader.failure is not None or (self._is_call is False and self.context.choice.name is None):
                    return self._release()
                if not reader.done:
                    return ""
                text = reader.rest
            next_text = self._read_between(text)
            if not next_text:
                return ""
            if next_text[0] not in "{[":
                return self._read_what_follows(next_text)
            text = next_text
            self._reader = reader = LenientJsonReader()
            self._written, self._is_call = "", None
            self._last_passed, self._has_line_end = "", False

    def _look_at(self, written: str) -> None:
        """Look at the beginning of the JSON, until it shows whether this may be a call."""
        if self._is_call is None and len(self._written) < MAX_BEGINNING:
            self._written += written
            self._is_call = looks_like_a_call(self._written, tuple(self.context.tools))

    def _read_between(self, text: str) -> str:
        """Pass over layout after a value, which may come in pieces; return what follows, "" while that is uncertain."""
        text, self._uncertain = self._uncertain + text, ""
        position = 0
        if self._last_passed and not _SEPARATOR_OR_TAG_END.match(self._last_passed):
            position = skip(_FENCE_GOES_ON.get(self._last_passed, _LANGUAGE_GOES_ON), text)
        position = skip(_BETWEEN_VALUES, text, position)
        self._last_passed = text[position - 1 : position] or self._last_passed
        self._has_line_end = self._has_line_end or "\n" in text[:position]
        rest = text[position:]
        if _BETWEEN_BEGINS.match(rest):
            self._uncertain = rest
            return ""
        return rest

    def _read_what_follows(self, text: str) -> str:
        """Read text after the JSON. It makes text of the JSON, too, unless a call is forced or the text is made up."""
        if self.context.choice.forced or (self._has_line_end and MADE_UP_LINE.match(text)):
            self._held = ["".join(self._held)[: -len(text)]]
            return self.end("") + text
        if self._has_line_end and MADE_UP_LINE_BEGINS.match(text):
            self._uncertain = text
            return ""
        self.context.shows_calls = bool(self._is_call and self._calls_in("".join(self._held)[: -len(text)]))
        return self._release()

    def _release(self) -> str:
        """Return what was held back, to be read again as text."""
        held = "".join(self._held)
        self.context.skip_candidate = True
        if self._reader is not None or self._waits_for_end:
            self.context.held_in_vain += len(held)
        return self.context.fall_back_to_text(held)

    def end(self, pending: str) -> str:
        held = "".join(self._held) + pending
        self._held = [held]
        calls = self._calls_in(held)
        is_truncated = self._reader is not None and self._is_call and not self._reader.done
        if not calls and not is_truncated:
            return self._release()
        self.context.switch_to("text")
        if not calls:
            self.out.add_invalid(held, TRUNCATED, name_in(held))
            return ""
        self.context.only_preamble = False
        for call in calls:
            self.out.add_call(call)
        return ""

    def _calls_in(self, held: str) -> list[RawToolCall]:
        """Return the calls that a text consists of; [] for a text of anything else."""
        if len(held) > MAX_WHOLE:
            return []
        bare = held.strip()
        while end := next(filter(bare.endswith, _ENDS), None):
            bare = bare.removesuffix(end).rstrip()
        calls: list[RawToolCall] = []
        for content in fenced_contents(bare) or [bare]:
            found = read_calls(content, self.context.tools, exact=True)
            if not found:
                return self._bare_arguments(bare)
            calls += found
        return calls

    def _bare_arguments(self, text: str) -> list[RawToolCall]:
        """Return the call whose arguments alone a text is, where one certain tool must be called; else []."""
        tool = self.context.tools.get(self.context.choice.name or "")
        read = read_value(without_fence(text).strip()) if tool else None
        arguments = arguments_of_value(read[0], tool) if tool and read and not read[1].strip() else None
        return [RawToolCall(tool.name, arguments)] if tool and arguments is not None else []


class AnnouncedCallState(BareCallState):
    """JSON, a list of Python calls, or a fence after other text.

    Where no call is forced, it is a call only at the reply's end, and in a fence only if it is JSON.
    """

    def _find_json(self) -> Literal["need more", "JSON", "calls", "text"]:
        found = super()._find_json()
        return "text" if found == "calls" and self._is_fenced and not self.context.choice.forced else found

    def _calls_in(self, held: str) -> list[RawToolCall]:
        calls = super()._calls_in(held)
        is_call = self.context.choice.forced or all(fits(call, self.context.tools) for call in calls)
        return calls if is_call else []
