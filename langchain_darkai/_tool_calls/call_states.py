"""States that read calls with a mark before them."""

import re
from collections.abc import Callable

from langchain_darkai._json.reader import LenientJsonReader, read_value
from langchain_darkai._json.schema import SchemaNode
from langchain_darkai._tool_calls.markup import FUNCTION, IGNORE_CASE, LONGEST_MARK, VENDOR_MARKS, beginnings
from langchain_darkai._tool_calls.output import TRUNCATED
from langchain_darkai._tool_calls.state import ParserContext, State
from langchain_darkai._tool_calls.syntaxes import is_cut, name_in, read_calls, reason_of
from langchain_darkai.prompts import CALL_END, CALL_START

MAX_HEAD = 512
"""Characters in which a block's name must come before its arguments for them to be passed on as they arrive."""

_CANONICAL = re.compile(
    r"""\s*(?:```[\w-]*\s*)?\{\s*["'“]name["'”]\s*:\s*"(?P<name>(?:[^"\\]|\\.)*)"\s*,"""
    r"""\s*["'“](?:arguments|parameters|args)["'”]\s*:\s*(?=\{)"""
)
_CALL_END = re.compile(re.escape(CALL_END))
_BLOCK_END = re.compile(rf"[\s`}}\]]*{CALL_END}")
_BLOCK_END_BEGINS = re.compile(rf"[\s`}}\]]*(?:{beginnings(CALL_END)})?\Z")
_FUNCTION_HEAD = re.compile(r"<function=([^>\s]*)(>)?")
_FUNCTION_END = re.compile("</function>")
_VENDOR_MARK = re.compile("|".join(map(re.escape, VENDOR_MARKS)), IGNORE_CASE)


class HoldUntilState(State):
    """Text that is held until what ends it; `then` gets it, and what ended it: "" for the reply's end.

    `on_abort` gets the text, and "", where the reply breaks off; it is needed where a call was begun.
    """

    def __init__(
        self,
        reading: ParserContext,
        end: re.Pattern[str],
        then: Callable[[str, str], None],
        raw: str = "",
        on_abort: Callable[[str, str], None] = lambda raw, end: None,
    ) -> None:
        super().__init__(reading)
        self._end = end
        self._then = then
        self._on_abort = on_abort
        self._raw = [raw]
        self._window = ""

    def read(self, text: str) -> str:
        window = self._window + text
        found = self._end.search(window)
        self._raw.append(text)
        if found is None:
            self._window = window[-LONGEST_MARK:]
            return ""
        raw = "".join(self._raw)
        rest = len(window) - found.end()
        self.context.switch_to("text")
        self._then(raw[: len(raw) - rest - len(found[0])], found[0])
        return raw[len(raw) - rest :]

    def end(self, carry: str) -> str:
        self.context.switch_to("text")
        self._then("".join(self._raw) + carry, "")
        return ""

    def abort(self) -> None:
        self._on_abort("".join(self._raw), "")


class CallHeadState(State):
    """The beginning of a block in the call's tag, up to its arguments where they can be passed on as they come."""

    def read(self, text: str) -> str:
        inner = text.lstrip()
        if inner and inner[0] not in "{[<`\"'“~" and not self.context.may_be_tool(inner):
            self.out.say(CALL_START)
            return self.context.as_prose(text)
        end = text.find(CALL_END)
        head = _CANONICAL.match(text)
        name = read_value(f'"{head["name"]}"') if head else None
        if head and name and (end < 0 or head.end() <= end) and self.out.allows(str(name[0])):
            return self.context.switch_to(CallArgumentsState(self.context, str(name[0])), text[head.end() :])
        if end >= 0:
            self._take(text[:end], CALL_END)
            return self.context.switch_to("text", text[end + len(CALL_END) :])
        if len(text) > MAX_HEAD:
            return self.context.switch_to(HoldUntilState(self.context, _CALL_END, self._take), text)
        return self.context.wait(text)

    def end(self, carry: str) -> str:
        self.context.switch_to("text")
        self._take(carry, "")
        return ""

    def _take(self, raw: str, end: str) -> None:
        calls = read_calls(raw, self.context.tools, exact=False)
        if calls:
            for call in calls:
                self.out.add_call(call)
        else:
            self.out.add_invalid(raw, reason_of(raw) if end else TRUNCATED, name_in(raw))


class CallArgumentsState(State):
    """The arguments of a call, passed on as they come, but for the bracket that makes them whole.

    That one waits for the bracket, or the tag, that closes the object around them: only then is the call whole.
    """

    def __init__(self, reading: ParserContext, name: str) -> None:
        super().__init__(reading)
        self.out.begin_call(name)
        self.context.opening = False
        tool = reading.tools.get(name)
        self._stream = LenientJsonReader(tool.node if tool else SchemaNode.of({}))

    def read(self, text: str) -> str:
        if self._stream.done:
            return self._close(text)
        written = self._stream.feed(text)
        if self._stream.done:
            self.out.add_arguments(written[:-1])
            return self._stream.rest
        self.out.add_arguments(written)
        if self._stream.failure is not None:
            return self.context.switch_to(self._held_until_end(self._break), self._stream.rest)
        return ""

    def _close(self, text: str) -> str:
        inner = text.lstrip()
        if inner.startswith("}"):
            self._complete()
            return self.context.switch_to(CallTailState(self.context), inner[1:])
        if inner.startswith(CALL_END):
            self._complete()
            return self.context.switch_to("text", inner[len(CALL_END) :])
        if CALL_END.startswith(inner):
            return self.context.wait(inner)
        if inner.startswith(","):
            return self.context.switch_to(self._held_until_end(self._take_others), inner)
        self._stream.failure = f"{inner[:20]!r} follows the arguments"
        return self.context.switch_to(self._held_until_end(self._break), text)

    def _complete(self) -> None:
        self.out.add_arguments("}")
        self.out.end_call()

    def _take_others(self, raw: str, end: str) -> None:
        """Take the members after the arguments, which say nothing; without the tag they must at least be whole."""
        if end or read_value('{"": 0' + raw):
            self._complete()
        else:
            self._break(raw, end)

    def _break(self, raw: str, end: str) -> None:
        self.out.fail_call(self._stream, (self._stream.failure if end else None) or TRUNCATED, raw)

    def _held_until_end(self, then: Callable[[str, str], None]) -> "HoldUntilState":
        return HoldUntilState(self.context, _CALL_END, then, on_abort=self._break)

    def abort(self) -> None:
        self._break("", "")

    def end(self, carry: str) -> str:
        self.context.switch_to("text")
        self.abort()
        return ""


class CallTailState(State):
    """What follows a whole call in its block: the closing tag, more calls, or, where the tag is missing, text."""

    def __init__(self, reading: ParserContext) -> None:
        super().__init__(reading)
        self._blank: list[str] = []

    def read(self, text: str) -> str:
        inner = text.lstrip()
        self._blank.append(text[: len(text) - len(inner)])
        if end := _BLOCK_END.match(inner):
            return self.context.switch_to("text", inner[end.end() :])
        if _BLOCK_END_BEGINS.match(inner):
            return self.context.wait(inner)
        following = inner.lstrip(",; \t\r\n")
        if following.startswith("{"):
            return self.context.switch_to(CallHeadState(self.context), following)
        if not following:
            return self.context.wait(inner)
        return self.context.switch_to("text", "".join(self._blank) + inner)

    def end(self, carry: str) -> str:
        return ""


class FunctionTagState(State):
    """A call that has its name in the tag; it counts for a tool that is bound."""

    def read(self, text: str) -> str:
        head = _FUNCTION_HEAD.match(text)
        name, is_whole = (head[1], bool(head[2])) if head else ("", False)
        is_known = name in self.context.tools if is_whole else any(tool.startswith(name) for tool in self.context.tools)
        if head is None or not is_known or (not is_whole and head.end() < len(text)):
            self.out.say(FUNCTION)
            return self.context.as_prose(text[len(FUNCTION) :])
        if not is_whole:
            return self.context.wait(text)
        self._name = name
        return self.context.switch_to(
            HoldUntilState(self.context, _FUNCTION_END, self._take, head[0]), text[head.end() :]
        )

    def _take(self, raw: str, end: str) -> None:
        body = raw.partition(">")[2]
        if end or read_value(body.strip() or "{"):
            calls = read_calls(f"{raw}</function>", self.context.tools, exact=True)
            if calls:
                for call in calls:
                    self.out.add_call(call)
            else:
                self.context.opening = False
                self.out.say(raw + end)
        else:
            self.out.add_invalid(body, TRUNCATED, self._name)


class VendorTagState(State):
    """Calls after a mark of other makers' models; they count for tools that are bound."""

    def read(self, text: str) -> str:
        tag, rest = _split_vendor_mark(text)
        inner = rest.lstrip()
        if not inner:
            return self.context.wait(text)
        known = any(re.match(rf"{re.escape(name)}(?![\w-])", inner) for name in self.context.tools)
        if inner[0] in "{[" or (known and len(inner) > max(map(len, self.context.tools))):
            end = next(end for name, end in VENDOR_MARKS.items() if name.lower() == tag.lower())
            return self.context.switch_to(HoldUntilState(self.context, end, self._take, tag), rest)
        if self.context.may_be_tool(inner):
            return self.context.wait(text)
        self.out.say(tag)
        return self.context.as_prose(rest)

    def _take(self, raw: str, end: str) -> None:
        body = _split_vendor_mark(raw)[1]
        calls = read_calls(body, self.context.tools, exact=True)
        name = name_in(body)
        if calls:
            for call in calls:
                self.out.add_call(call)
        elif not end and body.strip() and is_cut(body) and (name is None or name in self.context.tools):
            self.out.add_invalid(body, TRUNCATED, name)
        else:
            self.context.opening = False
            self.out.say(raw + end)

    def end(self, carry: str) -> str:
        self.context.switch_to("text")
        self._take(carry, "")
        return ""


def _split_vendor_mark(text: str) -> tuple[str, str]:
    mark = _VENDOR_MARK.match(text)
    assert mark is not None
    return mark[0], text[mark.end() :]
