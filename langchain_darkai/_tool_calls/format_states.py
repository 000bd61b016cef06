"""The states that hold a call back until its reader has read it, and what follows a call."""

import re

from langchain_darkai._json.reader import MAX_WHOLE
from langchain_darkai._tool_calls.cursor import BrokenCallError, Cursor, NotReadError, TruncatedCallError, marks_of
from langchain_darkai._tool_calls.formats import BARE, HARMONY_THOUGHT, MAX_PREFIX, OURS, PREFIXED, Format
from langchain_darkai._tool_calls.markup import beginnings
from langchain_darkai._tool_calls.output import TRUNCATED
from langchain_darkai._tool_calls.readers import AT_START, CLOSERS, FormatReader, HeaderError, Inner, row_of
from langchain_darkai._tool_calls.state import ParserContext, State
from langchain_darkai._tool_calls.syntaxes import RawToolCall, fits, is_truncated_json, name_in, why_not_json
from langchain_darkai._tool_calls.thoughts import ThoughtState

MAX_AROUND = 4
"""Marks around one call. More of them are text: each is passed on to the reader of the next."""


_PYTHON_NAME = re.compile(r"\s*\[\s*([\w.-]+)\s*\(")
_TAGS = [tag for tag in PREFIXED if tag.endswith(">")]
_PREFIXED_CLOSE = re.compile(rf"</[\w-]{{1,{MAX_PREFIX}}}:(?:{'|'.join(_TAGS)})")
_PREFIXED_CLOSE_BEGINS = re.compile(rf"</[\w-]{{1,{MAX_PREFIX}}}(?::(?:{beginnings(*_TAGS)})?)?\Z")


class FormatState(State):
    """Text after a mark of the table of formats, held back until its reader knows whether it is a call.

    `lead` is what stood before the mark and belongs to the call, such as the mark of a list around it. Without
    `exact`, tools that are not bound count, too.
    """

    def __init__(
        self,
        context: ParserContext,
        mark: str,
        *,
        row: Format | None = None,
        lead: tuple[str, ...] = (),
        exact: bool = True,
    ) -> None:
        super().__init__(context)
        self._row = row or row_of(mark)
        self._exact = exact and self._row is not OURS
        self._lead = (*lead, mark)
        self._held: list[str] = []  # after the mark
        self._cursor = Cursor()
        self._reader = FormatReader(self._cursor, self._row, context.tools, exact=self._exact)
        self._reading = self._reader.read(mark)

    def read(self, text: str) -> str:
        self._held.append(text)
        self._cursor.add(text)
        return self._advance()

    def end(self, pending: str) -> str:
        self._cursor.is_over = True
        return self._advance()

    def _advance(self) -> str:
        try:
            next(self._reading)
        except StopIteration as stop:
            return self._found(stop.value)
        except HeaderError as header:
            return self._read_header(is_thought=header.is_thought)
        except NotReadError:
            return self._release()
        except BrokenCallError as error:
            return self._break(error)
        return ""

    def _read_header(self, *, is_thought: bool) -> str:
        header = "".join(self._lead) + self._read_text()
        if is_thought:
            return self.context.switch_to(ThoughtState(self.context, header, HARMONY_THOUGHT), self._cursor.rest)
        if self.context.reasoning is None:
            return self._release()
        self.out.drop_mark()
        return self.context.switch_to("text", self._cursor.rest)

    def _found(self, found: list[RawToolCall] | Inner) -> str:
        rest = self._cursor.rest
        body = self._read_text()
        if isinstance(found, Inner):
            if len(self._lead) > MAX_AROUND or found.mark in self._lead:
                return self._release()
            inner = FormatState(self.context, found.mark, lead=(*self._lead, body), exact=self._exact)
            return self.context.switch_to(inner, rest[len(found.mark) :])
        if self._row is BARE and not all(call.arguments and fits(call, self.context.tools) for call in found):
            return self._release()
        if len(body) > MAX_WHOLE:
            self.out.add_invalid(body, why_not_json(body), found[0].name)
        else:
            for call in found:
                self.out.add_call(call)
        return self._go_on(rest)

    def _go_on(self, rest: str) -> str:
        self.context.only_preamble = False
        return self.context.switch_to("after call", rest)

    def _read_text(self) -> str:
        """Return the text after the mark that was read."""
        held = "".join(self._held)
        return held[: len(held) - len(self._cursor.rest)]

    def _release(self) -> str:
        """Pass on as text what was read: it is not read again, since a call that it may show is none."""
        self.out.add_text("".join(self._lead) + self._read_text())
        return self.context.fall_back_to_text(self._cursor.rest)

    def _break(self, error: BrokenCallError) -> str:
        """Make a broken call of what was read, up to what closes it; text, if it may be no call."""
        body = self._read_text()
        python = _PYTHON_NAME.match(body)
        name = self._reader.name or name_in(body) or (python[1] if python else None)
        is_cut = isinstance(error, TruncatedCallError)
        is_call = name in self.context.tools or (is_cut and name is None and is_truncated_json(body))
        if self._row is BARE or (self._exact and not is_call):
            return self._release()
        reason = TRUNCATED if is_cut else why_not_json(body) if len(body) > MAX_WHOLE else str(error)
        skip = SkipState(self.context, self._row.closes, body, reason, name)
        return self.context.switch_to(skip, self._cursor.rest)


class SkipState(State):
    """The rest of a broken call, up to what closes it."""

    def __init__(
        self, context: ParserContext, closes: tuple[str, ...], body: str, reason: str, name: str | None
    ) -> None:
        super().__init__(context)
        self._closes = marks_of(*closes)
        self._held = [body]
        self._reason = reason
        self._name = name

    def read(self, text: str) -> str:
        close = self._closes.search(text)
        certain = close.start() if close else self._closes.begins_at(text)
        self._held.append(text[:certain])
        if close is None:
            return self.context.need_more(text[certain:])
        self._end()
        return self.context.switch_to("after call", text[close.end() :])

    def end(self, pending: str) -> str:
        self._held.append(pending)
        self._end()
        return self.context.switch_to("text")

    def _end(self) -> None:
        body = "".join(self._held)
        self.context.only_preamble = False
        self.out.add_invalid(body, why_not_json(body) if len(body) > MAX_WHOLE else self._reason, self._name)


class AfterCallState(State):
    """What follows a call. Marks that close it, or something around it, are layout; anything else is text."""

    def __init__(self, context: ParserContext) -> None:
        super().__init__(context)
        self._blank: list[str] = []

    def read(self, text: str) -> str:
        inner = text.lstrip()
        self._blank.append(text[: len(text) - len(inner)])
        if not inner:
            return ""
        if close := CLOSERS.match(inner):
            self._blank = []
            return inner[close.end() :]
        if close := _PREFIXED_CLOSE.match(inner):
            return inner[close.end() :]
        if CLOSERS.may_begin(inner) or _PREFIXED_CLOSE_BEGINS.match(inner) or AT_START.may_begin(inner):
            return self.context.need_more(inner)
        if mark := AT_START.match(inner):
            return self.context.switch_to(FormatState(self.context, mark[0]), inner[mark.end() :])
        return self.context.switch_to("text", "".join(self._blank) + inner)

    def end(self, pending: str) -> str:
        if not pending or CLOSERS.may_begin(pending):
            return ""  # half a mark that closes
        return self.context.switch_to("text", "".join((*self._blank, pending)))
