"""The state that reads what may be calls without a mark."""

import re

from langchain_darkai._json.reader import LenientJsonReader, read_value
from langchain_darkai._tool_calls.markup import (
    FUNCTION,
    MADE_UP_LINE,
    MADE_UP_LOWER,
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
    """What may be calls without a tag, and nothing else; it is held until it is known to be, or not to be."""

    def __init__(self, reading: ParserContext) -> None:
        super().__init__(reading)
        self._raw: list[str] = []
        self._stream: LenientJsonReader | None = None  # reads JSON; None before it begins, and in calls of another kind
        self._written = ""
        self._is_call: bool | None = None
        self._waits_for_end = False

    def read(self, text: str) -> str:
        self._raw.append(text)
        if self._waits_for_end:
            return ""
        if self._stream is None:
            raw = "".join(self._raw)
            begins = self._json_begins(raw)
            if begins is None:
                return ""
            if begins is False:
                return self._release()
            if begins is True:
                self._waits_for_end = True
                return ""
            self._stream, text = LenientJsonReader(), raw[begins:]
        return self._probe(self._stream, text)

    def _json_begins(self, raw: str) -> int | bool | None:
        """Return where JSON begins.

        True stands for calls of another kind, False for text, None for a text too short to tell.
        """
        fence = opening_fence(raw)
        if fence is None and raw[0] in "`~":
            return False if "\n" in raw or len(raw) > MAX_TICKS else None
        start, language = fence or (0, "")
        inner = raw[start:].lstrip()
        start = len(raw) - len(inner)
        if not inner:
            return None
        for tag in (CALL_START, FUNCTION):
            if fence and tag.startswith(inner[: len(tag)]):
                return True if inner.startswith(tag) else None
        if language == "tool_code":
            return self.context.may_be_tool(inner.lstrip("[ "))
        listed = _PYTHON_LIST.match(inner)
        if listed and (listed["name"] or not inner[1:].strip()):
            if listed["open"]:
                return listed["name"] in self.context.tools
            return None if listed.end() == len(inner) and self.context.may_be_tool(listed["name"] or "") else False
        return start if inner[0] in "{[" else False

    def _probe(self, stream: LenientJsonReader, text: str) -> str:
        """Feed a candidate's JSON; give it up as soon as it, or what follows it, is no call."""
        while True:
            written = stream.feed(text)
            if stream.failure is not None:
                return self._release()
            if self._is_call is None:
                self._written += written
                self._is_call = looks_like_a_call(self._written, tuple(self.context.tools))
            if self._is_call is False and self.context.choice.name is None:
                return self._release()
            if not stream.done:
                return ""
            between = _BETWEEN_VALUES.match(stream.rest)
            rest = stream.rest[between.end() :] if between else stream.rest
            if not rest or _BETWEEN_BEGINS.match(rest):
                return ""
            if rest[0] in "{[":
                text = rest
                self._stream = stream = LenientJsonReader()
                self._written, self._is_call = "", None
                continue
            begins_line = "\n" in stream.rest[: len(stream.rest) - len(rest)]
            if self.context.choice.forced or (begins_line and MADE_UP_LINE.match(rest)):
                self._raw = ["".join(self._raw)[: -len(rest)]]
                return self.end("") + rest
            if begins_line and any(mark.startswith(rest.lower()) for mark in MADE_UP_LOWER):
                return ""
            return self._release()

    def _release(self) -> str:
        """Return what was held, to be read again as text."""
        raw = "".join(self._raw)
        return self.context.as_prose(raw, is_code=raw[0] in "`~")

    def end(self, carry: str) -> str:
        raw = "".join(self._raw) + carry
        self._raw = [raw]
        calls = self._calls(raw)
        stream = self._stream
        if calls:
            self.context.switch_to("text")
            self.context.opening = False
            for call in calls:
                self.out.add_call(call)
            return ""
        if stream is not None and self._is_call and not stream.done:
            self.context.switch_to("text")
            self.out.add_invalid(raw, TRUNCATED, name_in(raw))
            return ""
        return self._release()

    def _calls(self, raw: str) -> list[RawToolCall]:
        """Return the calls that the text is, and nothing else; [] for any other text."""
        bare = raw.strip().removesuffix(CALL_END)
        calls: list[RawToolCall] = []
        for content in fenced_contents(bare) or [bare]:
            found = read_blocks(content, self.context.tools) or read_calls(content, self.context.tools, exact=True)
            if not found:
                return self._bare_arguments(bare)
            calls += found
        return calls

    def _bare_arguments(self, raw: str) -> list[RawToolCall]:
        tool = self.context.tools.get(self.context.choice.name or "")
        read = read_value(without_fence(raw).strip()) if tool else None
        arguments = arguments_of_value(read[0], tool) if tool and read and not read[1].strip() else None
        return [RawToolCall(tool.name, arguments)] if tool and arguments is not None else []
