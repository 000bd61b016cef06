"""Lines of an event stream: the same, however the bytes are cut, and every fault after the lines before it."""

import codecs
import re
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_darkai.protocol import LineDecoder
from tests.support.decoding import PIECE_SIZES, cut

LIMIT = 20


def lines_of(pieces: Iterable[bytes], limit: int = LIMIT) -> tuple[list[str], str | None]:
    """Return the lines of a stream that comes in these pieces, and its fault."""
    decoder = LineDecoder(limit)
    lines: list[str] = []
    for piece in pieces:
        new = decoder.feed(piece)
        assert isinstance(new, list)
        lines += new
    lines += decoder.finish()
    assert decoder.finish() == []
    if decoder.fault is None:
        return lines, None
    assert decoder.feed(b"more\n") == []
    return lines, decoder.fault.what


def lines_in_every_cut(stream: bytes, limit: int = LIMIT) -> tuple[list[str], str | None]:
    """Return the lines and the fault of a stream: the same whole, byte by byte, with empty reads, and in every cut."""
    whole = lines_of([stream], limit)
    single = [stream[i : i + 1] for i in range(len(stream))]
    assert lines_of(single, limit) == whole
    assert lines_of([piece for byte in single for piece in (b"", byte)], limit) == whole
    for point in range(1, len(stream)):
        assert lines_of([stream[:point], stream[point:]], limit) == whole, f"cut at {point}"
    return whole


LINES: dict[str, tuple[bytes, list[str]]] = {
    "nothing": (b"", []),
    "LF": (b"a\nb\n", ["a", "b"]),
    "CR": (b"a\rb\r", ["a", "b"]),
    "CRLF": (b"a\r\nb\r\n", ["a", "b"]),
    "no line end after the last line": (b"a\nb", ["a", "b"]),
    "one line without an end": (b"a", ["a"]),
    "blank lines": (b"\n\na\n\nb\n\n", ["", "", "a", "", "b", ""]),
    "blank lines, CR": (b"\r\ra\r\r", ["", "", "a", ""]),
    "blank lines, CRLF": (b"\r\n\r\na\r\n\r\n", ["", "", "a", ""]),
    "mixed line ends": (b"a\rb\nc\r\nd\n\re\r\r\nf", ["a", "b", "c", "d", "", "e", "", "f"]),
    "a CR before a CRLF": (b"a\r\r\nb", ["a", "", "b"]),
    "an LF before a CRLF": (b"a\n\r\nb", ["a", "", "b"]),
    "a BOM": (codecs.BOM_UTF8 + b"a\nb\n", ["a", "b"]),
    "a BOM alone": (codecs.BOM_UTF8, [""]),
    "a BOM and a line end": (codecs.BOM_UTF8 + b"\na", ["", "a"]),
    "two BOMs": (codecs.BOM_UTF8 * 2 + b"a\n", ["\ufeffa"]),
    "a BOM later": (b"a\n" + codecs.BOM_UTF8 + b"b\n", ["a", "\ufeffb"]),
    "a BOM after a blank line": (b"\n" + codecs.BOM_UTF8 + b"a\n", ["", "\ufeffa"]),
    "characters of one to four bytes": ("aé€😀\nß\n".encode(), ["aé€😀", "ß"]),
    "what only str.splitlines takes for line ends": (
        "a\vb\fc\x1cd\x1ee\n\x85f\u2028g\u2029h\n".encode(),
        ["a\vb\fc\x1cd\x1ee", "\x85f\u2028g\u2029h"],
    ),
    "null bytes": (b"a\0\n\0\n", ["a\0", "\0"]),
    "spaces": (b" a \n \t\n", [" a ", " \t"]),
    "the longest lines": (b"x" * LIMIT + b"\n" + b"y" * LIMIT, ["x" * LIMIT, "y" * LIMIT]),
    "many lines, together longer than the limit": (b"abc\n" * 50, ["abc"] * 50),
    "a stream that ends within a character": ("a\nb€".encode()[:-1], ["a"]),
    "a stream that ends within a BOM": (codecs.BOM_UTF8[:2], []),
}


@pytest.mark.parametrize("name", LINES)
def test_lines_are_the_same_in_every_cut(name: str) -> None:
    stream, lines = LINES[name]
    assert lines_in_every_cut(stream) == (lines, None)


TOO_LONG = f"a line longer than {LIMIT} bytes"

# A stream, the lines before its fault, and the fault.
FAULTS: dict[str, tuple[bytes, list[str], str]] = {
    "an invalid byte": (b"a\nb\xff\nc\n", ["a"], "a line that is not UTF-8 (invalid start byte at byte 1)"),
    "an invalid byte in the last line": (b"a\n\xff", ["a"], "a line that is not UTF-8 (invalid start byte at byte 0)"),
    "a character cut off by a line end": (
        b"a\nbc\xe2\x82\nd\n",
        ["a"],
        "a line that is not UTF-8 (unexpected end of data at byte 2)",
    ),
    "a character cut off by another": (
        b"a\n\xe2\x82bc",
        ["a"],
        "a line that is not UTF-8 (invalid continuation byte at byte 0)",
    ),
    "a surrogate": (b"\xed\xa0\xbd\n", [], "a line that is not UTF-8 (invalid continuation byte at byte 0)"),
    "a line one byte too long": (b"a\n" + b"x" * (LIMIT + 1) + b"\nb\n", ["a"], TOO_LONG),
    "a last line that is too long": (b"a\nb\n" + b"x" * (LIMIT + 1), ["a", "b"], TOO_LONG),
    "more bytes than characters": (b"a\n" + "é".encode() * (LIMIT // 2 + 1) + b"\n", ["a"], TOO_LONG),
    "a line without an end": (b"x" * 5 * LIMIT, [], TOO_LONG),
    "a line too long and not UTF-8": (b"x" * LIMIT + b"\xff\n", [], TOO_LONG),
    "two faults": (b"a\n\xff\n" + b"x" * 2 * LIMIT, ["a"], "a line that is not UTF-8 (invalid start byte at byte 0)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_the_same_in_every_cut_and_loses_no_line_before_it(name: str) -> None:
    stream, lines, what = FAULTS[name]
    assert lines_in_every_cut(stream) == (lines, what)


def test_a_fault_in_utf8_has_its_cause() -> None:
    decoder = LineDecoder(LIMIT)
    decoder.feed(b"\xff\n")
    assert decoder.fault is not None
    assert isinstance(decoder.fault.cause, UnicodeDecodeError)


def test_a_line_is_returned_with_the_byte_that_completes_it() -> None:
    decoder = LineDecoder(LIMIT)
    assert [decoder.feed(byte) for byte in (b"a", b"\r", b"\n", b"b", b"\n", b"\r", b"c", b"\r")] == [
        *([], ["a"], [], [], ["b"], [""], [], ["c"])
    ]


def test_a_line_in_many_reads_is_not_copied_with_each() -> None:
    """Adding each read to the bytes before it would copy them all again: 2,000 reads would move a gigabyte."""
    decoder = LineDecoder(10**7)
    piece = b"x" * 1_000
    tracemalloc.start()
    try:
        for _ in range(2_000):
            assert decoder.feed(piece) == []
            peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
    assert decoder.feed(b"\n") == ["x" * 2_000_000]


WORDS = st.sampled_from([b"\n", b"\r", b"\r\n", codecs.BOM_UTF8, "é".encode(), "😀".encode(), b"a", b"data: "])


@settings(max_examples=500, deadline=None)
@given(st.lists(WORDS, max_size=20).map(b"".join), PIECE_SIZES)
def test_lines_of_valid_text_are_those_of_a_plain_split(stream: bytes, sizes: list[int]) -> None:
    lines = re.split("\r\n|\n|\r", stream.decode().removeprefix("\ufeff"))
    expected = lines if lines[-1] or stream == codecs.BOM_UTF8 else lines[:-1]
    assert lines_of([stream], 1_000) == (expected, None)
    assert lines_of(cut(stream, sizes), 1_000) == (expected, None)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60) | st.lists(WORDS | st.binary(max_size=2), max_size=20).map(b"".join), PIECE_SIZES)
def test_lines_of_any_bytes_are_the_same_in_any_pieces(stream: bytes, sizes: list[int]) -> None:
    assert lines_of(cut(stream, sizes)) == lines_of([stream]) == lines_of(stream[i : i + 1] for i in range(len(stream)))
