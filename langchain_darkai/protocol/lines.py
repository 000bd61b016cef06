"""Bytes to lines: the line ends, the encoding and the size limit of an event stream.

The rules are those of https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream. A line
ends with CR, LF or CRLF and with nothing else; `str.splitlines` knows more line ends. Bytes are cut into lines before
they are decoded, so that a read may end anywhere, also within a character or a CRLF.
"""

from typing import NamedTuple

__all__ = ["LineDecoder", "LineFault"]


class LineFault(NamedTuple):
    """Why a line cannot be read: a noun phrase for an error message, and the error behind it, if there is one."""

    what: str
    cause: UnicodeDecodeError | None = None


class LineDecoder:
    """Decodes the bytes of one stream, cut anywhere, into its lines.

    `feed` takes what one read of the network brought, `finish` takes the end of the stream; both return the lines that
    this completes, without their line ends. Neither raises: the lines before a fault are returned, `fault` is set, and
    no line follows. A BOM at the start of the stream is removed.

    - `max_line_bytes`: the longest line that is read; more is a fault.

    Example:
        >>> decoder = LineDecoder(max_line_bytes=1000)
        >>> decoder.feed(b"one\\r")
        ['one']
        >>> decoder.feed(b"\\ntwo\\nthr")
        ['two']
        >>> decoder.finish()
        ['thr']
    """

    fault: LineFault | None
    """Why no line follows; None while all is well."""

    def __init__(self, max_line_bytes: int) -> None:
        self.fault = None
        self._max_line_bytes = max_line_bytes
        self._unfinished: list[bytes] = []  # pieces of the last line, joined at its end: each += would copy it all
        self._unfinished_size = 0
        self._ended_with_cr = False
        self._at_start = True

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that these bytes complete."""
        block = self.feed_block(data)
        return [] if block is None else block.split("\n")

    def feed_block(self, data: bytes) -> str | None:
        """Return the lines that these bytes complete as one text, with a LF between two; None for no line."""
        if not data or self.fault:
            return None
        if self._ended_with_cr and data.startswith(b"\n"):
            data = data[1:]  # the rest of a CRLF; its CR has ended the line already
        self._ended_with_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        complete, line_end, rest = data.rpartition(b"\n")
        block = None
        if line_end:
            if self._unfinished:
                complete = self._take_unfinished() + complete
            block = self._decode(complete)
        if rest and not self.fault:
            self._unfinished.append(rest)
            self._unfinished_size += len(rest)
            if self._unfinished_size > self._max_line_bytes:
                self._fail_oversized()
        return block

    def finish(self) -> list[str]:
        """Return the last line, if the stream ends without a line end. A line that ends within a character is lost."""
        last_line = self._take_unfinished()
        if not last_line or self.fault:
            return []
        try:
            last_line.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                return []
        block = self._decode(last_line)
        return [] if block is None else [block]

    def _take_unfinished(self) -> bytes:
        data = b"".join(self._unfinished)
        self._unfinished.clear()
        self._unfinished_size = 0
        return data

    def _decode(self, block: bytes) -> str | None:
        """Return the lines of a block, up to the first fault. Usually the whole block is decoded at once."""
        text: str | None
        try:
            text = block.decode()
        except UnicodeDecodeError:
            text = self._lines_before_fault(block)
        else:
            if len(block) > self._max_line_bytes:
                text = self._lines_before_fault(block)
        if self._at_start and text is not None:
            text = text.removeprefix("\ufeff")
        self._at_start = False
        return text

    def _lines_before_fault(self, block: bytes) -> str | None:
        lines: list[str] = []
        for line in block.split(b"\n"):
            if len(line) > self._max_line_bytes:
                self._fail_oversized()
                break
            try:
                lines.append(line.decode())
            except UnicodeDecodeError as error:
                what = f"a line that is not UTF-8 ({error.reason} at byte {error.start})"
                self.fault = LineFault(what, error)
                break
        return "\n".join(lines) if lines else None

    def _fail_oversized(self) -> None:
        self.fault = LineFault(f"a line longer than {self._max_line_bytes:,} bytes")
