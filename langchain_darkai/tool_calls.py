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
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from langchain_darkai._call_shapes import (
    FoundCall,
    arguments_of_value,
    looks_like_a_call,
    read_calls,
    without_fence,
)
from langchain_darkai._json_stream import JsonStream, read_value
from langchain_darkai._schemas import SchemaNode, dump
from langchain_darkai.prompts import CALL_END, CALL_START
from langchain_darkai.tool_prompts import Tool, ToolChoice

MAX_HEAD = 512
"""Characters in which a block's name must come before its arguments for them to be passed on as they arrive."""


@dataclass(frozen=True)
class CallPiece:
    """A piece of a call: its first has the name, the others more of the arguments' JSON."""

    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass
class Call:
    """A call in a reply. `reason` tells why it is invalid, and is None for one that can run."""

    id: str
    name: str | None
    pieces: list[str] = field(default_factory=list)
    reason: str | None = None

    @property
    def arguments(self) -> str:
        """The arguments as JSON, or what there is of them."""
        return "".join(self.pieces)


Part = str | CallPiece
"""What a reply consists of, in order: pieces of text and pieces of calls."""

# Marks that change how the text after them is read. Each maps to what ends it.
_TAGS = {
    "<|python_tag|>": re.compile(r"<\|eo[mt]_id\|>"),
    "[TOOL_CALLS]": re.compile(r"</s>"),
    "<function_call>": re.compile(r"</function_call>"),
    "<tool_calls>": re.compile(r"</tool_calls>"),
    "<|tool_call|>": re.compile(r"<\|/tool_call\|>"),
}
_THINK_END = re.compile(r"</think(?:ing)?>")
_FUNCTION = "<function="
_LITERALS = (CALL_START, _FUNCTION, "<think>", "<thinking>", *_TAGS)
_MARK = re.compile("(?P<ticks>`+|~{3,})|" + "|".join(map(re.escape, _LITERALS)))

# How a model goes on that makes up what only the caller can say. After a call, a line that begins so ends the reply.
_MADE_UP = (
    "<tool_response",
    "<tool_result",
    "<function_result",
    "<|tool",
    "Observation:",
    "Tool:",
    "Tool (",
    "Tool result",
)
_MADE_UP_TURNS = ("System:", "User:", "Human:", "Assistant:", "Assistant (", "User (")
_RESULT = re.compile(r"(?:\A|(?<=\n))[ \t]*(?:" + "|".join(map(re.escape, _MADE_UP + _MADE_UP_TURNS)) + ")", re.I)
_BEGINNINGS = sorted({mark[:n] for mark in (*_LITERALS, "~~~") for n in range(1, len(mark))}, key=len, reverse=True)
_PARTIAL_MARK = re.compile("(?:" + "|".join(map(re.escape, _BEGINNINGS)) + r"|`+)\Z")
_RESULT_BEGINNINGS = sorted(
    {mark[:n] for mark in _MADE_UP + _MADE_UP_TURNS for n in range(1, len(mark))}, key=len, reverse=True
)
_PARTIAL_RESULT = re.compile(r"(?:\A|(?<=\n))[ \t]*(?:" + "|".join(map(re.escape, _RESULT_BEGINNINGS)) + r")\Z", re.I)
_LONGEST_MARK = max(map(len, (*_LITERALS, *_MADE_UP)))

_CANONICAL = re.compile(
    r"""\s*(?:```[\w-]*\s*)?\{\s*["'“]name["'”]\s*:\s*"(?P<name>(?:[^"\\]|\\.)*)"\s*,"""
    r"""\s*["'“](?:arguments|parameters|args)["'”]\s*:\s*(?=\{)"""
)
_NAME_ANYWHERE = re.compile(r"""["'“]name["'”]\s*:\s*["'“](?P<name>(?:[^"'”\\]|\\.)*)["'”]""")
_FENCE_HEAD = re.compile(r"(`{3,}|~{3,})[ \t]*([\w+-]*)[ \t]*\n\s*")
_FENCE_END = re.compile(r"\s*(?:`{3,}|~{3,})[ \t]*(?=\n|\Z)")
_BETWEEN = re.compile(r"\s*(?:[;,]\s*)?")
_BLOCK = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_FENCED_BLOCKS = re.compile(
    rf"\s*(?:`{{3,}}|~{{3,}})[^\n]*\n((?:\s*{_BLOCK.pattern})+)\s*(?:`{{3,}}|~{{3,}})?\s*", re.DOTALL
)
_PYTHON_LIST = re.compile(r"\[\s*(?P<name>[A-Za-z_][\w.]*)?(?P<open>\s*\()?")

_AUTO = ToolChoice()
_CUT = "the reply ended in the middle of the call"


class ReplyParser:
    """Reads one reply that comes in pieces.

    `tools` are those that are bound. `feed` returns the parts that a piece makes certain, `finish` those of the end;
    `abort` closes a call that is open when the reply breaks off with an error. `calls` are the calls so far, and `done`
    tells that nothing that follows counts.

    Example:
        >>> parser = ReplyParser([Tool("now", "", {})])
        >>> parser.feed('Let me see.\\n<tool_call>{"name": "now", "arg')
        ['Let me see.']
        >>> [piece.arguments for piece in parser.feed('uments": {}}</tool_call>')]
        ['', '{', '}']
        >>> parser.calls[0].name, parser.calls[0].arguments, parser.calls[0].reason
        ('now', '{}', None)
    """

    def __init__(self, tools: Sequence[Tool], choice: ToolChoice = _AUTO, *, parallel: bool = True) -> None:
        self.calls: list[Call] = []
        self.done = False
        self._tools = {tool.name: tool for tool in tools}
        self._choice = choice
        self._parallel = parallel
        self._read: Callable[[str, list[Part]], str] = self._prose
        self._carry = ""  # what was fed and cannot be told yet; short, or a block's head
        self._raw: list[str] = []  # what is held until it is known to be a call, or not
        self._space: list[str] = []  # blank space after the last text, which goes where a call follows
        self._lead_space = ""
        self._content: list[str] = []
        self._after_call = False
        self._line_start = True
        self._opening = True  # nothing but blank space and thoughts so far
        self._end = _THINK_END
        self._ticks = ""
        self._tag = ""
        self._window = ""  # the last of what is held after a tag, in which its end is looked for
        self._stream = JsonStream()
        self._probing = False  # a candidate's JSON is being read by `_stream`
        self._written = ""  # the beginning of that JSON, until it tells whether it is a call
        self._likely = False  # ... and it does
        self._released = False  # what was held is read again as text
        self._made_up_follows = False

    @property
    def content(self) -> str:
        """The text so far, without its calls."""
        return "".join(self._content)

    def feed(self, text: str) -> list[Part]:
        """Return the parts that this piece of the reply makes certain."""
        parts: list[Part] = []
        text, self._carry = self._carry + text, ""
        while text and not self.done:
            text = self._read(text, parts)
        return parts

    def finish(self) -> list[Part]:
        """Return the parts that the reply's end makes certain."""
        parts: list[Part] = []
        if self._read == self._candidate:
            rest = self._finish_candidate(parts)
            while rest and not self.done:
                rest = self._read(rest, parts)
        if not self.done:
            self._finish(parts)
        space = "".join(self._space)
        if space and not self._after_call and not self._made_up_follows:
            self._content.append(space)
            _append_text(parts, space)
        self.done = True
        return parts

    def abort(self) -> list[Part]:
        """Return what keeps a half-written call from being completed, where the reply broke off within one."""
        parts: list[Part] = []
        if self._read in (self._block_arguments, self._block_close, self._block_broken):
            self._break_call(_CUT, "", parts)
        self.done = True
        return parts

    def _finish(self, parts: list[Part]) -> None:
        """End what is being read."""
        read, carry, self._carry = self._read, self._carry, ""
        raw, self._raw = "".join(self._raw) + carry, []
        if read in (self._block_head, self._block_hold):
            self._take_block(raw, parts, closed=False)
        elif read == self._block_arguments:
            self._break_call(_CUT, "", parts)
        elif read == self._block_close:
            whole = carry.startswith(",") and read_value('{"": 0' + carry)
            self._complete_call(parts) if whole else self._break_call(_CUT, "", parts)
        elif read == self._block_broken:
            self._break_call(self._stream.failure or _CUT, raw, parts)
        elif read in (self._tagged, self._function):
            self._take_tagged(raw, parts, closed=False)
        elif read != self._block_tail:
            self._say(carry, parts)

    # Text.

    def _say(self, text: str, parts: list[Part]) -> None:
        if not text or text.isspace():
            self._space.append(text)
            self._line_start = self._line_start or "\n" in text
            return
        text = "".join((*self._space, text))
        if self._after_call:
            # Beside a call, blank space is layout; between two texts it separates them.
            text = text.lstrip() if not self._content else (text if text[0].isspace() else self._lead_space + text)
            self._after_call = False
        body = text.rstrip()
        self._space = [text[len(body) :]]
        self._content.append(body)
        _append_text(parts, body)
        self._line_start = not text.rpartition("\n")[2].strip() and ("\n" in text or self._line_start)

    def _prose(self, text: str, parts: list[Part]) -> str:
        if self._opening:
            stripped = text.lstrip()
            if not stripped or stripped in ("`", "``", "~", "~~"):
                self._say(text[: len(text) - len(stripped)], parts)
                self._carry = stripped
                return ""
            if stripped[0] in "{[" or stripped.startswith(("```", "~~~")):
                if not (stripped[0] == "[" and "[TOOL_CALLS]".startswith(stripped[:12])):
                    self._say(text[: len(text) - len(stripped)], parts)
                    return self._begin_candidate(stripped)
                if len(stripped) < len("[TOOL_CALLS]"):
                    self._carry = text
                    return ""
        mark = _MARK.search(text)
        if self.calls and (made_up := self._made_up(text, mark)) is not None:
            self._say(text[:made_up], parts)
            self._made_up_follows = self.done = True
            return ""
        if mark is None:
            held = self._partial(text)
            if text[:held].strip():
                self._opening = False
            self._say(text[:held], parts)
            self._carry = text[held:]
            return ""
        before = text[: mark.start()]
        if before.strip():
            self._opening = False
        if mark["ticks"]:
            return self._code(text, mark, parts)
        self._say(before, parts)
        rest = text[mark.end() :]
        if mark[0] in ("<think>", "<thinking>"):
            self._say(mark[0], parts)
            self._end, self._read = _THINK_END, self._think
        elif mark[0] == CALL_START:
            self._read = self._block_head
            return rest
        elif mark[0] == _FUNCTION:
            self._raw, self._read = [_FUNCTION], self._function
        else:
            self._tag, self._raw, self._likely, self._read = mark[0], [], False, self._tagged
        return rest

    def _made_up(self, text: str, mark: "re.Match[str] | None") -> int | None:
        """Return where text after a call begins to imitate a turn of somebody else; None where it does not."""
        found = _RESULT.search(text)
        while found and found.start() == 0 and not self._line_start:
            found = _RESULT.search(text, found.end())
        if found is None or (mark and mark.start() < found.start()):
            return None
        return found.start()

    def _partial(self, text: str) -> int:
        """Return from where on text could be the beginning of a mark."""
        start = max(0, len(text) - _LONGEST_MARK)
        held = _PARTIAL_MARK.search(text, start)
        if self.calls:
            line = text.rfind("\n") + 1
            result = _PARTIAL_RESULT.match(text, line) if line or self._line_start else None
            if result:
                return min(result.start(), held.start() if held else len(text))
        return held.start() if held else len(text)

    def _code(self, text: str, mark: "re.Match[str]", parts: list[Part]) -> str:
        """Read code, in which call syntax is only shown: inline, or in a fence."""
        before, ticks = text[: mark.start()], mark["ticks"]
        if mark.end() == len(text):
            self._say(before, parts)
            self._carry = ticks
            return ""
        last_line = before.rpartition("\n")[2]
        at_line_start = not last_line.strip() and ("\n" in before or self._line_start)
        if at_line_start and len(ticks) >= 3 and self._choice.forced and not self.calls and not self._released:
            self._say(before, parts)
            return self._begin_candidate(text[mark.start() :])
        self._released = False
        self._opening = False
        self._say(text[: mark.end()], parts)
        if at_line_start and len(ticks) >= 3:
            self._end = re.compile(rf"\n[ \t]*{re.escape(ticks[0])}{{{len(ticks)},}}")
            self._read = self._fenced
        elif ticks[0] == "`":
            self._ticks, self._read = ticks, self._inline
        return text[mark.end() :]

    def _inline(self, text: str, parts: list[Part]) -> str:
        for end in re.finditer(r"`+|\n", text):
            if end[0] != "\n" and end.end() == len(text):
                self._say(text[: end.start()], parts)
                self._carry = end[0]
                return ""
            if end[0] in (self._ticks, "\n"):
                self._say(text[: end.end()], parts)
                self._read = self._prose
                return text[end.end() :]
        self._say(text, parts)
        return ""

    def _fenced(self, text: str, parts: list[Part]) -> str:
        return self._until_end(text, parts, re.compile(r"\n[ \t]*[`~]*\Z"))

    def _think(self, text: str, parts: list[Part]) -> str:
        return self._until_end(text, parts, re.compile(r"<(?:/(?:t(?:h(?:i(?:n(?:k(?:i(?:n(?:g)?)?)?)?)?)?)?)?)?\Z"))

    def _until_end(self, text: str, parts: list[Part], partial: "re.Pattern[str]") -> str:
        if end := self._end.search(text):
            self._say(text[: end.end()], parts)
            self._read = self._prose
            return text[end.end() :]
        held = partial.search(text)
        cut = held.start() if held else len(text)
        self._say(text[:cut], parts)
        self._carry = text[cut:]
        return ""

    # Calls.

    def _begin_call(self, name: str | None, parts: list[Part]) -> Call:
        call = Call(f"call_{uuid.uuid4().hex}", name)
        self._lead_space, self._space = "".join(self._space) or self._lead_space, []
        self._after_call, self._opening = True, False
        self.calls.append(call)
        parts.append(CallPiece(len(self.calls) - 1, call.id, name, ""))
        return call

    def _add_arguments(self, text: str, parts: list[Part]) -> None:
        if text:
            self.calls[-1].pieces.append(text)
            parts.append(CallPiece(len(self.calls) - 1, None, None, text))

    def _complete_call(self, parts: list[Part]) -> None:
        """Hand over the bracket that makes the arguments whole, now that the call around them is."""
        self._add_arguments("}", parts)
        self._line_start = True
        self.done = not self._parallel

    def _break_call(self, reason: str, rest: str, parts: list[Part]) -> None:
        """End the call that is being handed over as one that nobody can complete."""
        self.calls[-1].reason = reason
        self._add_arguments(f"{self._stream.cut()}{self._stream.unwritten}{rest}".rstrip(), parts)
        self.done = not self._parallel

    def _add_call(self, found: FoundCall, parts: list[Part]) -> None:
        if self.done:
            return
        if self._choice.name not in (None, found.name):
            raw = dump({"name": found.name, "arguments": found.arguments})
            self._add_invalid(raw, f"the tool to call is {self._choice.name}", parts)
            return
        call = self._begin_call(found.name, parts)
        if found.arguments is None:
            call.reason = found.reason
        self._add_arguments(dump(found.arguments), parts)
        self._line_start = True
        self.done = not self._parallel

    def _add_invalid(self, raw: str, reason: str, parts: list[Part]) -> None:
        name = _NAME_ANYWHERE.search(raw)
        self._begin_call(name["name"] if name else None, parts).reason = reason
        # A bracket that nothing opened: no reader of half JSON makes a call of what follows.
        self._add_arguments("]" + raw.strip(), parts)
        self.done = not self._parallel

    # A block in the tags that the model is asked for.

    def _block_head(self, text: str, parts: list[Part]) -> str:
        inner = text.lstrip()
        if inner and inner[0] not in "{[<`\"'“~" and not self._may_be_name(inner):
            self._say(CALL_START, parts)
            self._opening = False
            self._read = self._prose
            return text
        canonical = _CANONICAL.match(text)
        end = text.find(CALL_END)
        may_run = canonical and self._choice.name in (None, canonical["name"])
        if canonical and may_run and (end < 0 or canonical.end() <= end):
            name = read_value(f'"{canonical["name"]}"')
            call = self._begin_call(str(name[0]) if name else canonical["name"], parts)
            tool = self._tools.get(call.name or "")
            self._stream = JsonStream(tool.node if tool else SchemaNode.of({}))
            self._read = self._block_arguments
            return text[canonical.end() :]
        if end >= 0:
            self._take_block(text[:end], parts, closed=True)
            self._read = self._prose
            return text[end + len(CALL_END) :]
        if len(text) > MAX_HEAD:
            self._raw, self._read = [text], self._block_hold
        else:
            self._carry = text
        return ""

    def _may_be_name(self, inner: str) -> bool:
        return any(inner.startswith(name) or name.startswith(inner) for name in self._tools)

    def _block_arguments(self, text: str, parts: list[Part]) -> str:
        written = self._stream.feed(text)
        if self._stream.done:
            self._add_arguments(written[:-1], parts)
            self._read = self._block_close
            return self._stream.rest
        self._add_arguments(written, parts)
        if self._stream.failure is not None:
            self._read = self._block_broken
            return self._stream.rest
        return ""

    def _block_close(self, text: str, parts: list[Part]) -> str:
        """Read on after the arguments: the call is whole with the bracket, or the tag, that closes it."""
        inner = text.lstrip()
        end = text.find(CALL_END)
        if inner.startswith("}"):
            self._complete_call(parts)
            self._read = self._block_tail
            return inner[1:]
        if inner.startswith(CALL_END) or (inner.startswith(",") and end >= 0):
            self._complete_call(parts)
            self._read = self._prose
            return text[end + len(CALL_END) :]
        if CALL_END.startswith(inner) or inner.startswith(","):
            self._carry = text
            return ""
        self._stream.failure = f"{inner[:20]!r} follows the arguments"
        self._read = self._block_broken
        return text

    def _block_tail(self, text: str, parts: list[Part]) -> str:
        inner = text.lstrip().lstrip("`").lstrip()
        if inner.startswith(CALL_END):
            self._read = self._prose
            return inner[len(CALL_END) :]
        if CALL_END.startswith(inner):
            self._carry = text
            return ""
        following = inner.lstrip(",; \n")
        if following.startswith("{"):
            self._read = self._block_head
            return following
        self._read = self._prose
        return text

    def _block_hold(self, text: str, parts: list[Part]) -> str:
        end = self._hold_until(text, CALL_END)
        if end is None:
            return ""
        raw, rest = end
        self._take_block(raw, parts, closed=True)
        self._read = self._prose
        return rest

    def _block_broken(self, text: str, parts: list[Part]) -> str:
        end = self._hold_until(text, CALL_END)
        if end is None:
            return ""
        raw, rest = end
        self._break_call(self._stream.failure or _CUT, raw, parts)
        self._read = self._prose
        return rest

    def _hold_until(self, text: str, end: str) -> tuple[str, str] | None:
        """Hold text; return what stands before and after `end` once that came."""
        before, found, after = text.partition(end)
        self._raw.append(before)
        if not found:
            self._raw.pop()
            kept = next((n for n in range(len(end) - 1, 0, -1) if text.endswith(end[:n])), 0)
            self._raw.append(text[: len(text) - kept])
            self._carry = text[len(text) - kept :]
            return None
        raw, self._raw = "".join(self._raw), []
        return raw, after

    def _take_block(self, raw: str, parts: list[Part], *, closed: bool) -> None:
        calls = read_calls(raw, self._tools, exact=False)
        if calls:
            for call in calls:
                self._add_call(call, parts)
        elif closed:
            self._add_invalid(raw, _reason_of(raw), parts)
        else:
            self._add_invalid(raw, _CUT, parts)

    # Other tags, which count for bound tools.

    def _tagged(self, text: str, parts: list[Part]) -> str:
        self._raw.append(text)
        if not self._likely:
            inner = "".join(self._raw).lstrip()
            self._likely = inner[:1] in ("{", "[") or any(inner.startswith(name) for name in self._tools)
            if inner and not self._likely and not self._may_be_name(inner):
                self._opening, self._read = False, self._prose
                self._say(self._tag, parts)
                raw, self._raw = "".join(self._raw), []
                return raw
        self._window += text
        if not _TAGS[self._tag].search(self._window):
            self._window = self._window[-_LONGEST_MARK:]
            return ""
        raw, self._raw, self._window = "".join(self._raw), [], ""
        end = _TAGS[self._tag].search(raw)
        assert end is not None
        self._read = self._prose
        self._take_tagged(raw[: end.start()], parts, closed=True, end=end[0])
        return raw[end.end() :]

    def _function(self, text: str, parts: list[Part]) -> str:
        raw = "".join(self._raw) + text if len(self._raw) == 1 else None
        if raw is not None and (head := re.match(r"<function=([^>\s]*)(>)?", raw)):
            known = head[1] in self._tools if head[2] else any(name.startswith(head[1]) for name in self._tools)
            if not known or (not head[2] and head.end() < len(raw)):
                self._raw, self._read, self._opening = [], self._prose, False
                self._say(_FUNCTION, parts)
                return raw[len(_FUNCTION) :]
            if not head[2]:
                self._raw = [raw]
                return ""
            self._raw = [raw[: head.end()], ""]
            text = raw[head.end() :]
        end = self._hold_until(text, "</function>")
        if end is None:
            return ""
        self._read = self._prose
        self._take_tagged(f"{end[0]}</function>", parts, closed=True)
        return end[1]

    def _take_tagged(self, raw: str, parts: list[Part], *, closed: bool, end: str = "") -> None:
        is_function = raw.startswith(_FUNCTION)
        if is_function and not closed:
            name, _, body = raw[len(_FUNCTION) :].partition(">")
            whole = read_calls(f"{raw}</function>", self._tools, exact=True)
            if not (whole and whole[0].arguments is not None and body.strip()) and name in self._tools:
                self._add_invalid(raw, _CUT, parts)
                self.calls[-1].name = name
                return
            raw = f"{raw}</function>"
        calls = read_calls(raw, self._tools, exact=True)
        if calls:
            for call in calls:
                self._add_call(call, parts)
        else:
            self._opening = False
            self._say(raw if is_function else self._tag + raw + end, parts)

    # Calls without a tag, which must be the whole reply.

    def _begin_candidate(self, text: str) -> str:
        self._raw, self._stream = [], JsonStream()
        self._probing, self._likely, self._written = False, False, ""
        self._read = self._candidate
        return text

    def _candidate(self, text: str, parts: list[Part]) -> str:
        """Read on in what may be calls and nothing else; `_raw` holds it, in case that it is not."""
        self._raw.append(text)
        if not self._probing and not self._likely:
            raw = "".join(self._raw)
            begins = self._json_begins(raw)
            if begins is None:
                return ""
            if begins is False:
                return self._release()
            if begins is True:
                self._likely = True
            else:
                self._probing, text = True, raw[begins:]
        return self._probe(text, parts) if self._probing else ""

    def _json_begins(self, raw: str) -> int | bool | None:
        """Return where JSON begins.

        True stands for calls of another kind, False for text, None for a text too short to tell.
        """
        fence = _FENCE_HEAD.match(raw)
        if fence is None and raw[0] in "`~":
            return False if "\n" in raw or len(raw) > 64 else None
        start = fence.end() if fence else 0
        inner = raw[start:]
        if not inner:
            return None
        for tag in (CALL_START, _FUNCTION):
            if fence and tag.startswith(inner[: len(tag)]):
                return True if inner.startswith(tag) else None
        if fence and fence[2] == "tool_code":
            return self._may_be_name(inner.lstrip("[ "))
        listed = _PYTHON_LIST.match(inner)
        if listed and (listed["name"] or not inner[1:].strip()):
            if listed["open"]:
                return listed["name"] in self._tools
            return None if listed.end() == len(inner) and self._may_be_name(listed["name"] or "") else False
        return start if inner[0] in "{[" else False

    def _probe(self, text: str, parts: list[Part]) -> str:
        """Feed a candidate's JSON; give it up as soon as it, or what follows it, is no call."""
        while True:
            written = self._stream.feed(text)
            if self._stream.failure is not None:
                return self._release()
            if not self._likely:
                self._written += written
                verdict = looks_like_a_call(self._written, tuple(self._tools))
                self._likely = bool(verdict) or self._choice.name is not None
                if verdict is False and not self._likely:
                    return self._release()
            if not self._stream.done:
                return ""
            rest = _BETWEEN.sub("", self._stream.rest, count=1)
            if not rest or _FENCE_END.fullmatch(rest) or rest in ("`", "``") or CALL_END.startswith(rest):
                return ""
            if rest[0] in "{[":
                text, self._stream, self._written, self._likely = rest, JsonStream(), "", False
                continue
            if _RESULT.match(rest) or self._choice.forced:
                self._raw = ["".join(self._raw)[: -len(rest)]]
                return self._finish_candidate(parts) + rest
            if any(mark.startswith(rest) for mark in _RESULT_BEGINNINGS):
                return ""
            return self._release()

    def _release(self) -> str:
        """Return what was held, to be read again as text."""
        raw, self._raw = "".join(self._raw), []
        self._opening, self._released, self._read = False, True, self._prose
        return raw

    def _finish_candidate(self, parts: list[Part]) -> str:
        raw = "".join(self._raw)
        bare = raw.strip().removesuffix(CALL_END)
        calls = read_calls(bare, self._tools, exact=True) or self._calls_in_fence(bare) or self._bare_arguments(bare)
        if calls:
            self._raw, self._read = [], self._prose
            for call in calls:
                self._add_call(call, parts)
            return ""
        if self._probing and self._likely and not self._stream.done and self._choice.name is None:
            self._raw, self._read = [], self._prose
            self._add_invalid(raw, _CUT, parts)
            return ""
        return self._release()

    def _calls_in_fence(self, raw: str) -> list[FoundCall]:
        """Return the calls in a fence that holds nothing but blocks with the call's tag."""
        fenced = _FENCED_BLOCKS.fullmatch(raw)
        found: list[FoundCall] = []
        for block in _BLOCK.findall(fenced[1]) if fenced else ():
            found += read_calls(block, self._tools, exact=False) or []
        return found

    def _bare_arguments(self, raw: str) -> list[FoundCall]:
        tool = self._tools.get(self._choice.name or "")
        read = read_value(without_fence(raw).strip()) if tool else None
        arguments = arguments_of_value(read[0], tool) if tool and read and not read[1].strip() else None
        return [FoundCall(tool.name, arguments)] if tool and arguments is not None else []


def _append_text(parts: list[Part], text: str) -> None:
    if parts and isinstance(parts[-1], str):
        parts[-1] += text
    else:
        parts.append(text)


def _reason_of(raw: str) -> str:
    stream = JsonStream()
    stream.feed(raw.strip())
    return stream.failure or ("the JSON ends too early" if raw.strip() else "the call is empty")
