"""The state that reads what may be calls without a mark."""

import re
from typing import Literal

from langchain_darkai._json.reader import LenientJsonReader, read_value
from langchain_darkai._tool_calls.markup import (
    FUNCTION_START,
    MADE_UP_LINE,
    MADE_UP_LINE_BEGINS,
    MAX_TICKS,
    beginnings,
    fenced_contents,
    opening_fence,
    without_fence,
)
from langchain_darkai._tool_calls.output import TRUNCATED
from langchain_darkai._tool_calls.state import ParserContext, State
from langchain_darkai._tool_calls.syntaxes import (
    RawToolCall,
    arguments_of_value,
    looks_like_a_call,
    name_in,
    read_blocks,
    read_calls,
)
from langchain_darkai.prompts import CALL_END, CALL_START

_BETWEEN_VALUES = re.compile(rf"(?:[\s;,]|(?:`{{3,}}|~{{3,}})[\w+-]*|{CALL_END})*")
_BETWEEN_BEGINS = re.compile(rf"(?:`{{1,2}}|~{{1,2}}|{beginnings(CALL_END)})\Z")
_PYTHON_LIST = re.compile(r"\[\s*(?P<name>[A-Za-z_][\w.]*)?(?P<open>\s*\()?")


class BareCallState(State):
    """JSON, Python or a code fence where calls without a mark may stand. It is held back until it is known what it is.

    Such calls must be the whole reply, so they are certain at its end only. Text is mostly known much sooner, by the
    name of its first member or by what follows the JSON.
    """

    def __init__(self, context: ParserContext) -> None:
        super().__init__(context)
        self._held: list[str] = []
        self._reader: LenientJsonReader | None = None  # None before JSON begins, and for calls of another kind
        self._written = ""  # the beginning of the JSON, which shows whether it may be a call
        self._is_call: bool | None = None  # None until that is known
        self._waits_for_end = False

    def read(self, text: str) -> str:
        self._held.append(text)
        if self._waits_for_end:
            return ""
        if self._reader is not None:
            return self._read_candidate(self._reader, text)
        held = "".join(self._held)
        found = self._find_json(held)
        if found == "text":
            return self._release()
        if not isinstance(found, int):
            self._waits_for_end = found == "calls"
            return ""
        self._reader = LenientJsonReader()
        return self._read_candidate(self._reader, held[found:])

    def _find_json(self, held: str) -> int | Literal["need more", "calls", "text"]:
        """Return where JSON begins, or that calls of another kind do, or that this is text."""
        fence = opening_fence(held)
        if fence is None and held[0] in "`~":
            return "text" if "\n" in held or len(held) > MAX_TICKS else "need more"
        start, language = fence or (0, "")
        inner = held[start:].lstrip()
        if not inner:
            return "need more"
        for mark in (CALL_START, FUNCTION_START):
            if fence and mark.startswith(inner[: len(mark)]):
                return "calls" if inner.startswith(mark) else "need more"
        if language == "tool_code":
            return "calls" if self.context.may_start_with_tool(inner.lstrip("[ ")) else "text"
        python = _PYTHON_LIST.match(inner)
        if python and (python["name"] or not inner[1:].strip()):
            if python["open"]:
                return "calls" if python["name"] in self.context.tools else "text"
            may_go_on = python.end() == len(inner) and self.context.may_start_with_tool(python["name"] or "")
            return "need more" if may_go_on else "text"
        return len(held) - len(inner) if inner[0] in "{[" else "text"

    def _read_candidate(self, reader: LenientJsonReader, text: str) -> str:
        while True:
            written = reader.feed(text)
            if reader.failure is not None:
                return self._release()
            if self._is_call is None:
                self._written += written
                self._is_call = looks_like_a_call(self._written, tuple(self.context.tools))
            if self._is_call is False and self.context.choice.name is None:
                return self._release()
            if not reader.done:
                return ""
            between = _BETWEEN_VALUES.match(reader.rest)
            next_text = reader.rest[between.end() :] if between else reader.rest
            if not next_text or _BETWEEN_BEGINS.match(next_text):
                return ""
            if next_text[0] not in "{[":
                return self._read_what_follows(next_text, reader.rest[: len(reader.rest) - len(next_text)])
            text = next_text
            self._reader = reader = LenientJsonReader()
            self._written, self._is_call = "", None

    def _read_what_follows(self, text: str, between: str) -> str:
        """Read text after the JSON. It makes text of the JSON, too, unless a call is forced or the text is made up."""
        if self.context.choice.forced or ("\n" in between and MADE_UP_LINE.match(text)):
            self._held = ["".join(self._held)[: -len(text)]]
            return self.end("") + text
        if "\n" in between and MADE_UP_LINE_BEGINS.match(text):
            return ""
        return self._release()

    def _release(self) -> str:
        """Return what was held back, to be read again as text."""
        held = "".join(self._held)
        self.context.skip_fence = held[0] in "`~"
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
        bare = held.strip().removesuffix(CALL_END)
        calls: list[RawToolCall] = []
        for content in fenced_contents(bare) or [bare]:
            found = read_blocks(content, self.context.tools) or read_calls(content, self.context.tools, exact=True)
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
