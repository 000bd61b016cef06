"""A model's reply to content and tool calls, as it comes.

The shape that the model is asked for, which counts wherever it stands, with near-JSON, a code fence around the JSON,
several objects, and a missing closing tag accepted within:

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>

Shapes that models write out of habit. They count for the tools that are bound, and nothing else:

    <function=get_weather>{"city": "Paris"}</function>              also with <parameter=city>Paris</parameter>
    <|python_tag|>get_weather(city="Paris")                         or JSON; to the end of the reply
    [TOOL_CALLS] [{"name": "get_weather", "arguments": {...}}]      or get_weather{...}, get_weather[ARGS]{...}
    <function_call>, <tool_calls>, <|tool_call|>                    around JSON

and, where they are the whole reply but for thoughts before it:

    {"name": "get_weather", "arguments": {"city": "Paris"}}         also "parameters"; several; a list of them
    [get_weather(city="Paris"), add(a=1, b=2)]
    any of these in one code fence that holds nothing else

Where one tool must be called, an object of nothing but its arguments is a call, too.

Call syntax is text in `inline code`, in a code fence amid prose, and in <think>. What is no call is passed on to the
letter; only the blank space around calls goes. Text is held back no longer than it could still begin a call.

A call whose block is broken, or ends in the middle, is invalid: it keeps its text and gets a reason, and what was
handed over of its arguments is closed so that no reader can complete it.
"""

import re
from collections.abc import Callable, Sequence

from langchain_darkai._json.reader import LenientJsonReader, read_value
from langchain_darkai._json.schema import SchemaNode
from langchain_darkai._tool_calls.markup import (
    THOUGHT_END,
    THOUGHT_STARTS,
    fence_end,
    fence_end_begins,
    fenced_contents,
    opening_fence,
    without_fence,
)
from langchain_darkai._tool_calls.output import TRUNCATED, Call, Part, PartBuffer, ToolCallDelta
from langchain_darkai._tool_calls.syntaxes import RawToolCall, arguments_of_value, looks_like_a_call, read_calls
from langchain_darkai._tool_calls.tools import Tool, ToolChoice
from langchain_darkai.prompts import CALL_END, CALL_START

__all__ = ["Call", "Part", "ReplyParser", "ToolCallDelta"]

MAX_HEAD = 512
"""Characters in which a block's name must come before its arguments for them to be passed on as they arrive."""

MAX_TICKS = 64
"""Back-ticks in a row that are looked at as one; more of them are nobody's code."""

_FUNCTION = "<function="
_THOUGHT_END_BEGINS = re.compile(r"<(?:/[a-z]{0,9})?\Z", re.IGNORECASE)
# Marks after which calls stand, of the tools that are bound; each with what ends them.
_TAGS = {
    "<|python_tag|>": re.compile(r"<\|eo[mt]_id\|>"),
    "[TOOL_CALLS]": re.compile(r"</s>"),
    "<function_call>": re.compile(r"</function_call>"),
    "<tool_calls>": re.compile(r"</tool_calls>"),
    "<|tool_call|>": re.compile(r"<\|/tool_call\|>"),
}
_MARKS = (CALL_START, _FUNCTION, *THOUGHT_STARTS, *_TAGS)
_MARK = re.compile("(?P<ticks>`+|~{3,})|" + "|".join(map(re.escape, _MARKS)), re.IGNORECASE)

# How a model goes on that makes up what only others can say: after a call, a line that begins so ends the reply.
_MADE_UP = (
    *("<tool_response", "<tool_result", "<function_result", "Observation:", "Tool:", "Tool (", "Tool result:"),
    *("Tool result (", "Tool results:", "Tool results (", "Tool output:", "Tool response:"),
    *("System:", "User:", "User (", "Human:", "Assistant:", "Assistant ("),
)
_MADE_UP_LINE = re.compile(r"(?:\A|(?<=\n))[ \t]*(?:" + "|".join(map(re.escape, _MADE_UP)) + ")", re.IGNORECASE)
_MARKS_LOWER = tuple(map(str.lower, _MARKS))
_MADE_UP_LOWER = tuple(map(str.lower, _MADE_UP))
_LONGEST = max(map(len, (*_MARKS, *_MADE_UP)))


def _beginnings(mark: str) -> str:
    """Return a pattern of what a mark that is not whole yet looks like."""
    return "|".join(re.escape(mark[:n]) for n in range(len(mark) - 1, 0, -1))


_CANONICAL = re.compile(
    r"""\s*(?:```[\w-]*\s*)?\{\s*["'“]name["'”]\s*:\s*"(?P<name>(?:[^"\\]|\\.)*)"\s*,"""
    r"""\s*["'“](?:arguments|parameters|args)["'”]\s*:\s*(?=\{)"""
)
_NAME = re.compile(r"""["'“]name["'”]\s*:\s*["'“](?P<name>(?:[^"'”\\]|\\.)*)["'”]""")
_BLOCK = re.compile(r"\s*<tool_call>(.*?)</tool_call>", re.DOTALL)
_BLOCK_END = re.compile(rf"[\s`}}\]]*{CALL_END}")
_BLOCK_END_BEGINS = re.compile(rf"[\s`}}\]]*(?:{_beginnings(CALL_END)})?\Z")
_FUNCTION_HEAD = re.compile(r"<function=([^>\s]*)(>)?")
_BETWEEN_VALUES = re.compile(rf"(?:[\s;,]|(?:`{{3,}}|~{{3,}})[\w+-]*|{CALL_END})*")
_BETWEEN_BEGINS = re.compile(rf"(?:`{{1,2}}|~{{1,2}}|{_beginnings(CALL_END)})\Z")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_PYTHON_LIST = re.compile(r"\[\s*(?P<name>[A-Za-z_][\w.]*)?(?P<open>\s*\()?")

_AUTO = ToolChoice()


class ReplyParser:
    """Reads one reply that comes in pieces.

    `tools` are those that are bound. `feed` returns the parts that a piece makes certain, `finish` those of the end;
    `abort` closes a call that is open when the reply breaks off with an error. `calls` are the calls so far,
    `content` is the text without them, and `done` tells that nothing that follows counts.

    Example:
        >>> parser = ReplyParser([Tool("now", "", {})])
        >>> parser.feed('Let me see. <tool_call>{"name": "now", "arg')
        ['Let me see.']
        >>> [piece.arguments for piece in parser.feed('uments": {}}</tool_call>')]
        ['', '{', '}']
        >>> parser.calls[0].name, parser.calls[0].arguments, parser.calls[0].reason
        ('now', '{}', None)
    """

    def __init__(self, tools: Sequence[Tool], choice: ToolChoice = _AUTO, *, parallel: bool = True) -> None:
        self._reading = ParserContext(tools, choice, PartBuffer(parallel=parallel, only=choice.name))

    @property
    def calls(self) -> list[Call]:
        """The calls so far."""
        return self._reading.out.calls

    @property
    def content(self) -> str:
        """The text so far, without its calls."""
        return self._reading.out.content

    @property
    def done(self) -> bool:
        """Whether the reply is at its end."""
        return self._reading.out.done

    def feed(self, text: str) -> list[Part]:
        """Return the parts that this piece of the reply makes certain."""
        self._reading.read(text)
        return self._reading.out.take()

    def finish(self) -> list[Part]:
        """Return the parts that the reply's end makes certain."""
        reading = self._reading
        while not reading.out.done:
            reader = reading.reader
            again = reader.end(reading.take_carry())
            if reading.reader is reader and not again:
                break
            reading.read(again)
        reading.out.finish(drop_space=reading.ends_in_made_up)
        return reading.out.take()

    def abort(self) -> list[Part]:
        """Return what keeps a half-written call from being completed, where the reply broke off within one."""
        self._reading.reader.abort()
        self._reading.out.done = True
        return self._reading.out.take()


class ParserContext:
    """The state that readers share: who reads on, what is carried over to the next piece, and where parts go."""

    def __init__(self, tools: Sequence[Tool], choice: ToolChoice, out: PartBuffer) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.choice = choice
        self.out = out
        self.opening = True  # nothing but blank space and thoughts so far, so that the reply may be calls without a tag
        self.ends_in_made_up = False
        self.carry = ""
        self.reader: State = TextState(self)

    def read(self, text: str) -> None:
        text = self.take_carry() + text
        while text and not self.out.done:
            text = self.reader.read(text)

    def take_carry(self) -> str:
        carry, self.carry = self.carry, ""
        return carry

    def wait(self, text: str) -> str:
        """Read this text again together with the next piece."""
        self.carry = text
        return ""

    def pass_on(self, reader: "State", text: str) -> str:
        """Let another reader go on with this text."""
        self.reader = reader
        return text

    def as_prose(self, text: str, *, is_code: bool = False) -> str:
        """Read on as prose, which this reply now has."""
        self.opening = False
        return self.pass_on(TextState(self, after_release=is_code), text)

    def may_be_tool(self, text: str) -> bool:
        """Return whether a text begins with a bound tool's name, or could once more of it is there."""
        return any(name.startswith(text) or re.match(rf"{re.escape(name)}(?![\w-])", text) for name in self.tools)


class State:
    """Reads one kind of text. `read` returns what is left for the next reader, `end` what is to be read again."""

    def __init__(self, reading: ParserContext) -> None:
        self.context = reading
        self.out = reading.out

    def read(self, text: str) -> str:
        raise NotImplementedError

    def end(self, carry: str) -> str:
        """Take the reply's end; `carry` is what waited for more."""
        self.out.say(carry)
        return ""

    def abort(self) -> None:
        """Take a reply that breaks off with an error: what was handed over of a call must not run."""


class TextState(State):
    """Ordinary text, up to a mark after which text is read in another way."""

    def __init__(self, reading: ParserContext, *, after_release: bool = False) -> None:
        super().__init__(reading)
        self._skip_fence = after_release  # it was held as a candidate, and is none

    def read(self, text: str) -> str:
        if self.context.opening:
            bare = text.lstrip()
            if not bare or bare in ("`", "``", "~", "~~") or (bare != "[" and "[TOOL_CALLS]".startswith(bare)):
                self.out.say(text[: len(text) - len(bare)])
                return self.context.wait(bare)
            if bare.startswith(("{", "[", "```", "~~~")) and not bare.startswith("[TOOL_CALLS]"):
                self.out.say(text[: len(text) - len(bare)])
                return self.context.pass_on(BareCallState(self.context), bare)
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
            return self.context.pass_on(QuotedState(self.context, THOUGHT_END, _THOUGHT_END_BEGINS), rest)
        if kind == CALL_START:
            return self.context.pass_on(CallHeadState(self.context), rest)
        if kind == _FUNCTION:
            return self.context.pass_on(FunctionTagState(self.context), text[mark.start() :])
        return self.context.pass_on(
            VendorTagState(self.context, next(tag for tag in _TAGS if tag.lower() == kind), mark[0]), rest
        )

    def _say(self, text: str) -> None:
        if text and not text.isspace():
            self.context.opening = False
        self.out.say(text)

    def _made_up(self, text: str) -> int | None:
        found = _MADE_UP_LINE.search(text)
        if found and found.start() == 0 and not self.out.at_line_start:
            found = _MADE_UP_LINE.search(text, max(found.end(), 1))
        return found.start() if found else None

    def _uncertain(self, text: str) -> int:
        """Return how much of the text's end may be the beginning of a mark."""
        tail = text[-_LONGEST:].lower()
        if tail[-1] in "`~":
            return min(len(text) - len(text.rstrip(text[-1])), MAX_TICKS)
        lengths = range(len(tail) - min(at for at in (tail.find("<"), tail.find("["), len(tail)) if at >= 0), 0, -1)
        held = next((n for n in lengths if any(mark.startswith(tail[-n:]) for mark in _MARKS_LOWER)), 0)
        line = text.rpartition("\n")[2]
        if self.out.calls and len(line) < 2 * _LONGEST and ("\n" in text or self.out.at_line_start):
            beginning = line.lstrip(" \t").lower()
            if beginning and any(mark.startswith(beginning) for mark in _MADE_UP_LOWER):
                held = max(held, len(line))
        return held

    def _code(self, ticks: str, rest: str) -> str:
        if not rest and len(ticks) < MAX_TICKS:
            return self.context.wait(ticks)
        may_be_call = self.context.choice.forced and not self.out.calls and not self._skip_fence
        if may_be_call and len(ticks) >= 3 and self.out.at_line_start:
            return self.context.pass_on(BareCallState(self.context), ticks + rest)
        starts_line = self.out.at_line_start
        self.context.opening = self._skip_fence = False
        self.out.say(ticks)
        if ticks[0] == "~" and not starts_line:
            return rest
        return self.context.pass_on(InlineCodeState(self.context, ticks), rest)

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
            return self.context.pass_on(TextState(self.context), text[end.end() :])
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
                return self.context.pass_on(MaybeQuotedState(self.context, self._ticks), text[found.start() :])
            self._has_line_end = self._has_line_end or found[0] == "\n"
            if found[0] == "\n" and len(self._ticks) >= 3:
                self.out.say(text[: found.start()])
                fence = QuotedState(self.context, fence_end(self._ticks), fence_end_begins(self._ticks))
                return self.context.pass_on(fence, text[found.start() :])
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
                return self.context.pass_on(TextState(self.context), text[found.end() :])
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
            return self.context.pass_on(TextState(self.context), self._raw[closing.end() :])
        return self.context.pass_on(TextState(self.context), self._raw) if blank else ""

    def end(self, carry: str) -> str:
        if self._closing.search(self._raw):
            self.out.say(self._raw)
            return ""
        return self.context.pass_on(TextState(self.context), self._raw)


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
            self._window = window[-_LONGEST:]
            return ""
        raw = "".join(self._raw)
        rest = len(window) - found.end()
        self.context.reader = TextState(self.context)
        self._then(raw[: len(raw) - rest - len(found[0])], found[0])
        return raw[len(raw) - rest :]

    def end(self, carry: str) -> str:
        self.context.reader = TextState(self.context)
        self._then("".join(self._raw) + carry, "")
        return ""

    def abort(self) -> None:
        self._on_abort("".join(self._raw), "")


_CALL_END = re.compile(re.escape(CALL_END))
_FUNCTION_END = re.compile("</function>")


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
            return self.context.pass_on(CallArgumentsState(self.context, str(name[0])), text[head.end() :])
        if end >= 0:
            self._take(text[:end], CALL_END)
            return self.context.pass_on(TextState(self.context), text[end + len(CALL_END) :])
        if len(text) > MAX_HEAD:
            return self.context.pass_on(HoldUntilState(self.context, _CALL_END, self._take), text)
        return self.context.wait(text)

    def end(self, carry: str) -> str:
        self.context.reader = TextState(self.context)
        self._take(carry, "")
        return ""

    def _take(self, raw: str, end: str) -> None:
        calls = read_calls(raw, self.context.tools, exact=False)
        if calls:
            for call in calls:
                self.out.add_call(call)
        else:
            self.out.add_invalid(raw, _reason_of(raw) if end else TRUNCATED, _name_in(raw))


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
            return self.context.pass_on(self._held_until_end(self._break), self._stream.rest)
        return ""

    def _close(self, text: str) -> str:
        inner = text.lstrip()
        if inner.startswith("}"):
            self._complete()
            return self.context.pass_on(CallTailState(self.context), inner[1:])
        if inner.startswith(CALL_END):
            self._complete()
            return self.context.pass_on(TextState(self.context), inner[len(CALL_END) :])
        if CALL_END.startswith(inner):
            return self.context.wait(inner)
        if inner.startswith(","):
            return self.context.pass_on(self._held_until_end(self._take_others), inner)
        self._stream.failure = f"{inner[:20]!r} follows the arguments"
        return self.context.pass_on(self._held_until_end(self._break), text)

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
        self.context.reader = TextState(self.context)
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
            return self.context.pass_on(TextState(self.context), inner[end.end() :])
        if _BLOCK_END_BEGINS.match(inner):
            return self.context.wait(inner)
        following = inner.lstrip(",; \t\r\n")
        if following.startswith("{"):
            return self.context.pass_on(CallHeadState(self.context), following)
        if not following:
            return self.context.wait(inner)
        return self.context.pass_on(TextState(self.context), "".join(self._blank) + inner)

    def end(self, carry: str) -> str:
        return ""


class FunctionTagState(State):
    """A call that has its name in the tag; it counts for a tool that is bound."""

    def read(self, text: str) -> str:
        head = _FUNCTION_HEAD.match(text)
        name, is_whole = (head[1], bool(head[2])) if head else ("", False)
        is_known = name in self.context.tools if is_whole else any(tool.startswith(name) for tool in self.context.tools)
        if head is None or not is_known or (not is_whole and head.end() < len(text)):
            self.out.say(_FUNCTION)
            return self.context.as_prose(text[len(_FUNCTION) :])
        if not is_whole:
            return self.context.wait(text)
        self._name = name
        return self.context.pass_on(
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

    def __init__(self, reading: ParserContext, tag: str, written: str) -> None:
        super().__init__(reading)
        self._tag = written
        self._end = _TAGS[tag]

    def read(self, text: str) -> str:
        inner = text.lstrip()
        if not inner:
            return self.context.wait(text)
        known = any(re.match(rf"{re.escape(name)}(?![\w-])", inner) for name in self.context.tools)
        if inner[0] in "{[" or (known and len(inner) > max(map(len, self.context.tools))):
            return self.context.pass_on(HoldUntilState(self.context, self._end, self._take), text)
        if self.context.may_be_tool(inner):
            return self.context.wait(text)
        self.out.say(self._tag)
        return self.context.as_prose(text)

    def _take(self, raw: str, end: str) -> None:
        calls = read_calls(raw, self.context.tools, exact=True)
        name = _name_in(raw)
        if calls:
            for call in calls:
                self.out.add_call(call)
        elif not end and raw.strip() and _is_cut(raw) and (name is None or name in self.context.tools):
            self.out.add_invalid(raw, TRUNCATED, name)
        else:
            self.context.opening = False
            self.out.say(self._tag + raw + end)

    def end(self, carry: str) -> str:
        self.context.reader = TextState(self.context)
        self._take(carry, "")
        return ""


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
        for tag in (CALL_START, _FUNCTION):
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
            if self.context.choice.forced or (begins_line and _MADE_UP_LINE.match(rest)):
                self._raw = ["".join(self._raw)[: -len(rest)]]
                return self.end("") + rest
            if begins_line and any(mark.startswith(rest.lower()) for mark in _MADE_UP_LOWER):
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
            self.context.reader = TextState(self.context)
            self.context.opening = False
            for call in calls:
                self.out.add_call(call)
            return ""
        if stream is not None and self._is_call and not stream.done:
            self.context.reader = TextState(self.context)
            self.out.add_invalid(raw, TRUNCATED, _name_in(raw))
            return ""
        return self._release()

    def _calls(self, raw: str) -> list[RawToolCall]:
        """Return the calls that the text is, and nothing else; [] for any other text."""
        bare = raw.strip().removesuffix(CALL_END)
        calls: list[RawToolCall] = []
        for content in fenced_contents(bare) or [bare]:
            found = _blocks_in(content, self.context.tools) or read_calls(content, self.context.tools, exact=True)
            if not found:
                return self._bare_arguments(bare)
            calls += found
        return calls

    def _bare_arguments(self, raw: str) -> list[RawToolCall]:
        tool = self.context.tools.get(self.context.choice.name or "")
        read = read_value(without_fence(raw).strip()) if tool else None
        arguments = arguments_of_value(read[0], tool) if tool and read and not read[1].strip() else None
        return [RawToolCall(tool.name, arguments)] if tool and arguments is not None else []


def _blocks_in(text: str, tools: dict[str, Tool]) -> list[RawToolCall]:
    """Return the calls in a text of nothing but blocks with the call's tag; [] for any other text."""
    calls: list[RawToolCall] = []
    position = 0
    while block := _BLOCK.match(text, position):
        found = read_calls(block[1], tools, exact=False)
        if not found:
            return []
        calls += found
        position = block.end()
    return [] if text[position:].strip() else calls


def _name_in(raw: str) -> str | None:
    name = _NAME.search(raw)
    return name["name"] if name else None


def _is_cut(raw: str) -> bool:
    """Return whether a text is JSON that does not end."""
    stream = LenientJsonReader()
    stream.feed(raw.strip())
    return not stream.done and stream.failure is None


def _reason_of(raw: str) -> str:
    stream = LenientJsonReader()
    stream.feed(raw.strip())
    return stream.failure or ("the JSON ends too early" if raw.strip() else "the call is empty")
