"""The states that read the form of call that the model is asked for, as it comes."""

import re
from collections.abc import Callable

from langchain_darkai._json.reader import LenientJsonReader
from langchain_darkai._json.values import read_value
from langchain_darkai._tool_calls.format_states import FormatState
from langchain_darkai._tool_calls.formats import OURS
from langchain_darkai._tool_calls.markup import IGNORE_CASE
from langchain_darkai._tool_calls.output import TRUNCATED
from langchain_darkai._tool_calls.state import ParserContext, State
from langchain_darkai._tool_calls.syntaxes import bound_name, skip, why_not_json
from langchain_darkai.prompts import CALL_END, CALL_START

MAX_HEAD = 512
"""Characters within which a block's name must come before its arguments, for these to be passed on as they arrive."""

_LONGEST_END = 32  # characters: more than any text has that ends calls

_HEAD = re.compile(
    r"""\s*(?:```[\w-]*\s*)?\{\s*["'“]name["'”]\s*:\s*"(?P<name>(?:[^"\\]|\\.)*)"\s*,"""
    r"""\s*["'“](?:arguments|parameters|args)["'”]\s*:\s*(?=\{)"""
)
_CALL_END = re.compile(re.escape(CALL_END), IGNORE_CASE)
_CLOSING = re.compile(r"[\s`}\]]*")
_SEPARATORS = re.compile(r"[,; \t\r\n]*")
_BRACKETS, _COMMAS = set("`}]"), set(",;")

_Then = Callable[[str, str], None]


class HoldUntilState(State):
    """Text that is held back until it ends.

    `then` gets the text and what ended it, "" for the reply's end. `on_abort` gets the text and "" where the reply
    breaks off; a call that has begun needs it.
    """

    def __init__(
        self,
        context: ParserContext,
        end: re.Pattern[str],
        then: _Then,
        *,
        held: str = "",
        on_abort: _Then | None = None,
    ) -> None:
        super().__init__(context)
        self._end = end
        self._then = then
        self._on_abort = on_abort
        self._held = [held]
        self._tail = ""  # of the held text: the end may have begun in it

    def read(self, text: str) -> str:
        searched = self._tail + text
        end = self._end.search(searched)
        self._held.append(text)
        if end is None:
            self._tail = searched[-_LONGEST_END:]
            return ""
        held = "".join(self._held)
        rest_length = len(searched) - end.end()
        self.context.switch_to("text")
        self._then(held[: len(held) - rest_length - len(end[0])], end[0])
        return held[len(held) - rest_length :]

    def end(self, pending: str) -> str:
        self.context.switch_to("text")
        self._then("".join(self._held) + pending, "")
        return ""

    def abort(self) -> None:
        if self._on_abort:
            self._on_abort("".join(self._held), "")


class CallHeadState(State):
    """The beginning of a block, up to its arguments where these can be passed on as they come.

    A block of any other form is read as a whole, by the table of formats. A mark that no call follows is text.
    """

    def __init__(self, context: ParserContext) -> None:
        super().__init__(context)
        self._begins_line = self.out.at_line_start

    def read(self, text: str) -> str:
        mark, block = text[: len(CALL_START)], text[len(CALL_START) :]
        inner = block.lstrip()
        if not inner:
            return self.context.need_more(text)
        if CALL_END.startswith(inner[: len(CALL_END)].lower()):
            return self._read_empty(mark, block, inner[len(CALL_END) :])
        if not self._may_be_call(inner):
            self.out.add_text(mark)
            return self.context.fall_back_to_text(block)
        end = _CALL_END.search(block)
        head = _HEAD.match(block, 0, MAX_HEAD + 1)
        read = read_value(f'"{head["name"]}"') if head else None
        name = bound_name(str(read[0]), self.context.tools) if read else ""
        if head and read and (end is None or head.end() <= end.start()) and self.out.allows(name):
            return self.context.switch_to(CallArgumentsState(self.context, name), block[head.end() :])
        if end is None and len(block) <= MAX_HEAD and inner[0] in "{`~":
            return self.context.need_more(text)
        return self.context.switch_to(FormatState(self.context, mark, row=OURS), block)

    def _may_be_call(self, inner: str) -> bool:
        is_fence = any(fence.startswith(inner[:3]) for fence in ("```", "~~~"))
        return inner[0] in "{[<" or is_fence or self.context.may_start_with_tool(inner)

    def _read_empty(self, mark: str, block: str, after: str) -> str:
        """Read an empty block: a broken call where it stands alone, and text where text follows it."""
        following = after.lstrip()
        if not following:
            return self.context.need_more(mark + block)
        if self._begins_line and following.startswith("<"):
            return self._add_empty(after)
        self.out.add_text(mark)
        return self.context.fall_back_to_text(block)

    def _add_empty(self, rest: str) -> str:
        self.context.only_preamble = False
        self.out.add_invalid("", why_not_json(""), None)
        return self.context.switch_to("text", rest)

    def end(self, pending: str) -> str:
        block = pending[len(CALL_START) :]
        inner = block.strip()
        if inner and not CALL_END.startswith(inner.lower()):
            return self.context.switch_to(FormatState(self.context, pending[: len(CALL_START)], row=OURS), block)
        if not self._begins_line:
            self.out.add_text(pending)
            return self.context.switch_to("text")
        self.context.switch_to("text")
        self.out.add_invalid("", why_not_json("") if inner.lower() == CALL_END else TRUNCATED, None)
        return ""


class CallArgumentsState(State):
    """The arguments of a call, passed on as they come, but for their last bracket.

    The last bracket makes the call one that can run. So it has to wait until the object around the arguments is closed,
    by its own bracket or by the closing tag.
    """

    def __init__(self, context: ParserContext, name: str) -> None:
        super().__init__(context)
        self.out.begin_call(name)
        self.context.only_preamble = False
        tool = context.tools.get(name)
        self._arguments = LenientJsonReader(tool.node if tool else None)
        self._blank: list[str] = []  # after the arguments

    def read(self, text: str) -> str:
        if self._arguments.done:
            return self._read_end(text)
        written = self._arguments.feed(text)
        if self._arguments.done:
            self.out.add_arguments(written[:-1])
            return self._arguments.rest
        self.out.add_arguments(written)
        if self._arguments.failure is not None:
            return self._hold_block(self._fail, self._arguments.rest)
        return ""

    def _read_end(self, text: str) -> str:
        """Read what follows the arguments."""
        inner = text.lstrip()
        self._blank.append(text[: len(text) - len(inner)])
        if inner.startswith("}"):
            self._complete()
            return self.context.switch_to(CallTailState(self.context), inner[1:])
        if _CALL_END.match(inner):
            self._complete()
            return self.context.switch_to("after call", inner[len(CALL_END) :])
        if CALL_END.startswith(inner.lower()):
            return self.context.need_more(inner)
        if inner.startswith(","):
            return self._hold_block(self._read_more_members, inner)
        return self._hold_block(self._fail, "".join(self._blank) + inner)

    def _hold_block(self, then: _Then, text: str) -> str:
        """Read to the block's end before anything is decided."""
        return self.context.switch_to(HoldUntilState(self.context, _CALL_END, then, on_abort=self._fail), text)

    def _read_more_members(self, members: str, end: str) -> None:
        """Read the members after the arguments. They mean nothing, but where the tag is missing they must be whole."""
        if end or read_value('{"": 0' + members):
            self._complete()
        else:
            self._fail(members, end)

    def _complete(self) -> None:
        self.out.add_arguments("}")
        self.out.end_call()

    def _fail(self, rest: str, end: str) -> None:
        reason = self._arguments.failure or f"{rest.strip()[:20]!r} follows the arguments"
        self.out.fail_call(self._arguments, reason if end else TRUNCATED, rest)

    def end(self, pending: str) -> str:
        """Take the reply's end. It completes a required call, of which small models forget the last bracket."""
        self.context.switch_to("text")
        if self._arguments.done and self.context.choice.forced:
            self._complete()
        else:
            self.abort()
        return ""

    def abort(self) -> None:
        self._fail("", "")


class CallTailState(State):
    """What follows a whole call in its block: the closing tag, more calls, or, where the tag is missing, text."""

    def __init__(self, context: ParserContext) -> None:
        super().__init__(context)
        self._passed: list[str] = []  # of this text; layout, unless it turns out to be text
        self._has_bracket = False
        self._has_separator = False

    def read(self, text: str) -> str:
        if not self._has_separator:
            text = self._pass(text, _CLOSING)
            if _CALL_END.match(text):
                return self.context.switch_to("after call", text[len(CALL_END) :])
            if CALL_END.startswith(text.lower()):
                return self.context.need_more(text)
        if not self._has_bracket:
            text = self._pass(text, _SEPARATORS)
            if text.startswith("{"):
                return self.context.switch_to(CallHeadState(self.context), CALL_START + text)
            if not text:
                return ""
        return self.context.switch_to("text", "".join(self._passed) + text)

    def _pass(self, text: str, pattern: re.Pattern[str]) -> str:
        """Pass over what a pattern matches; return what follows."""
        passed = text[: skip(pattern, text)]
        self._passed.append(passed)
        self._has_bracket = self._has_bracket or not _BRACKETS.isdisjoint(passed)
        self._has_separator = self._has_separator or not _COMMAS.isdisjoint(passed)
        return text[len(passed) :]

    def end(self, pending: str) -> str:
        return ""
