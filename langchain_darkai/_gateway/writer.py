"""Native tool calls to text: written out in the grammar of prompted calls, as they come."""

import json
from collections import deque
from collections.abc import Sequence

from langchain_core.messages import AIMessage
from langchain_core.messages.tool import ToolCallChunk

from langchain_darkai._json.reader import LenientJsonReader
from langchain_darkai.prompts import CALL_END, CALL_START, format_call


class _Call:
    """A call as it comes. `reader` follows its arguments, and tells whether they are whole."""

    def __init__(self, index: int | None, id_: str | None) -> None:
        self.index = index
        self.id = id_
        self.name: str | None = None
        self.reader = LenientJsonReader()
        self.unwritten: list[str] = []  # of the arguments
        self.has_arguments = False
        self.is_begun = False  # in the text

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are one value, with nothing behind it."""
        return self.reader.done and not self.reader.rest.strip()

    def add(self, chunk: ToolCallChunk) -> None:
        # The name may come in pieces, before the arguments. Some servers repeat it with each piece of these.
        if not self.is_begun and chunk["name"] and chunk["name"] != self.name:
            self.name = (self.name or "") + chunk["name"]
        if arguments := chunk["args"]:
            self.has_arguments = True
            self.unwritten.append(arguments)
            self.reader.feed(arguments)

    def belongs(self, chunk: ToolCallChunk) -> bool:
        """Return whether a chunk goes on with this call. Some servers number all calls 0, each with its own id."""
        is_same = chunk["index"] is not None and chunk["index"] == self.index
        return is_same and (not chunk["id"] or not self.id or chunk["id"] == self.id)


class ReplyWriter:
    """Writes one reply: its text as it is, and its calls as blocks, in order, each on lines of its own.

    `text`, `calls` and `finish` return what can be written now. A call is written while it comes; what comes meanwhile
    and is no part of it waits. A call that is not whole never looks like one.

    Example:
        >>> writer = ReplyWriter()
        >>> chunk = {"name": "add", "args": '{"a": 1}', "id": "1", "index": 0, "type": "tool_call_chunk"}
        >>> writer.text("Sure.") + writer.calls([chunk]) + writer.finish()
        'Sure.\\n<tool_call>\\n{"name": "add", "arguments": {"a": 1}}\\n</tool_call>'
    """

    def __init__(self) -> None:
        self.has_calls = False
        self._waiting: deque[_Call | str] = deque()  # the first is a call that is being written
        self._ends_line = True
        self._after_call = False

    def text(self, text: str) -> str:
        """Return what a piece of the reply's text lets be written."""
        if not self._waiting:
            return self._write(text)
        self._waiting.append(text)
        return self._advance()

    def calls(self, chunks: Sequence[ToolCallChunk]) -> str:
        """Return what pieces of calls let be written."""
        for chunk in chunks:
            call = next((call for call in self._waiting if isinstance(call, _Call) and call.belongs(chunk)), None)
            if call is None:
                call = _Call(chunk["index"], chunk["id"])
                self.has_calls = True
                self._waiting.append(call)
            call.add(chunk)
        return self._advance()

    def whole_calls(self, message: AIMessage) -> str:
        """Return the calls of a message that came in one piece."""
        blocks = [(call["name"], call["args"]) for call in message.tool_calls]
        # The arguments of a call that could not be read, as the model wrote them.
        invalid = [(call["name"], call["args"] or "") for call in message.invalid_tool_calls]
        self.has_calls = self.has_calls or bool(blocks or invalid)
        return "".join(self._block(format_call(name, args, "The model's reply")) for name, args in (*blocks, *invalid))

    def finish(self) -> str:
        """Return the rest, at the reply's end.

        A call that is not whole is left open, and nothing is written after it: within a string that does not end, a
        reader would take it for the rest of this call.
        """
        written = self._advance()
        if not self._waiting:
            return written
        call = self._waiting.popleft()
        assert isinstance(call, _Call)
        if call.has_arguments and not call.is_whole:
            return written + self._rest(call)
        return written + self._end(call) + self.finish()

    def _advance(self) -> str:
        """Write on the first call. Where others wait, and it is whole, end it and go on with them."""
        written: list[str] = []
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, str):
                self._waiting.popleft()
                written.append(self._write(first))
                continue
            if first.name and first.has_arguments:
                written.append(self._rest(first))
            if len(self._waiting) == 1 or not first.is_whole:
                break
            self._waiting.popleft()
            written.append(self._end(first))
        return "".join(written)

    def _rest(self, call: _Call) -> str:
        """Return what was not written yet: the call's beginning, and its arguments so far."""
        name = json.dumps(call.name, ensure_ascii=False)
        head = "" if call.is_begun else self._block(f'{CALL_START}\n{{"name": {name}, "arguments": ')
        call.is_begun = True
        arguments, call.unwritten = "".join(call.unwritten), []
        return head + arguments

    def _end(self, call: _Call) -> str:
        """Return the rest of a call that is whole, and the end of its block."""
        return f"{self._rest(call)}{'' if call.has_arguments else '{}'}}}\n{CALL_END}"

    def _block(self, block: str) -> str:
        """Return a block, or its beginning, on a line of its own."""
        gap = "" if self._ends_line and not self._after_call else "\n"
        self._ends_line, self._after_call = True, True
        return gap + block

    def _write(self, text: str) -> str:
        gap = "\n" if text and self._after_call else ""
        if text:
            self._ends_line, self._after_call = text.endswith("\n"), False
        return gap + text


class ConstrainedCallWriter:
    """Writes a call that came as JSON, on its own, as the block that it is; any other text as it is.

    Example:
        >>> writer = ConstrainedCallWriter()
        >>> writer.feed('{"name": "now", "arguments": {}}') + writer.finish()
        '<tool_call>\\n{"name": "now", "arguments": {}}\\n</tool_call>'
    """

    def __init__(self) -> None:
        self._reader: LenientJsonReader | None = None
        self._is_text = False

    def feed(self, text: str) -> str:
        """Return what a piece of the reply's text lets be written."""
        if self._is_text or not text.strip():
            return text
        opening = ""
        if self._reader is None:
            if not text.lstrip().startswith("{"):
                self._is_text = True
                return text
            self._reader, opening, text = LenientJsonReader(), f"{CALL_START}\n", text.lstrip()
        self._reader.feed(text)
        return opening + text

    def finish(self) -> str:
        """Return the end of the block. The block of a call that is not whole is left open."""
        return f"\n{CALL_END}" if self._reader is not None and self._reader.done else ""
