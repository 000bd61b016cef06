"""The wire format: every way a reply has been seen to look, whole and in pieces, and what is no reply at all."""

import bisect
import codecs
import inspect
import itertools
import json
import tracemalloc
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core import exceptions as core

from langchain_darkai import protocol
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIContextOverflowError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAINotFoundError,
    DarkAIPermissionDeniedError,
    DarkAIRateLimitError,
    DarkAIStreamDecodeError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
    DarkAIToolChoiceError,
)
from langchain_darkai.protocol import (
    ChatRequest,
    Decoded,
    EventDecoder,
    StreamEnd,
    StreamFailure,
    decode_request,
    decoder,
    encode_error,
    encode_event,
    encode_request,
    reported_error,
)

END = b'data: {"event": "stream-end", "data": {}}'
HEL = b'data: {"event": "text-chunk", "data": {"text": "Hel"}}\n'
LO = b'data: {"event": "text-chunk", "data": {"text": "lo"}}\n'
NOTHING = Decoded([], None)


class Reply(NamedTuple):
    """What a decoder made of one body."""

    text: str
    ended: bool
    usage: protocol.Usage | None
    failure: type[DarkAIError] | None
    message: str
    status: int | None
    retry_after: float | None


def read(pieces: Iterable[bytes]) -> Reply:
    """Return what a decoder makes of a body that comes in these pieces, and check what holds for every reply."""
    decoder, by_event = EventDecoder("example.org"), EventDecoder("example.org", per_event=True)
    texts: list[str] = []
    ends: list[StreamEnd | StreamFailure] = []
    for data in [*pieces, None]:
        assert decoder.ended == by_event.ended == bool(ends)
        decoded, events = (d.finish() if data is None else d.feed(data) for d in (decoder, by_event))
        assert not ends or decoded == events == NOTHING, "something after the end"
        assert all(decoded.texts + events.texts), "an empty piece of text"
        assert decoded.texts == (["".join(events.texts)] if events.texts else [])
        assert repr(decoded.end) == repr(events.end)
        texts += decoded.texts
        ends += [decoded.end] if decoded.end else []
        assert decoder.text == by_event.text == "".join(texts)
    assert decoder.ended
    assert by_event.ended
    assert decoder.feed(HEL) == by_event.feed(HEL) == decoder.finish() == by_event.finish() == NOTHING
    text = "".join(texts)
    (end,) = ends
    if isinstance(end, StreamEnd):
        return Reply(text, True, end.usage, None, "", None, None)
    assert isinstance(end, StreamFailure)
    assert end.error.partial_text == text
    assert "example.org" in str(end.error)
    return Reply(text, False, None, type(end.error), str(end.error), end.error.status, end.error.retry_after)


def read_in_every_way(body: bytes) -> Reply:
    """Return what a decoder makes of a body: the same whole, byte by byte, with empty reads, and cut at every point."""
    whole = read([body])
    assert read(body[i : i + 1] for i in range(len(body))) == whole
    assert read(itertools.chain.from_iterable((b"", body[i : i + 1]) for i in range(len(body)))) == whole
    for cut in range(1, len(body)):
        assert read([body[:cut], body[cut:]]) == whole, f"cut at {cut}: {body[:cut]!r}"
    return whole


def chunk(text: str) -> bytes:
    return encode_event("text-chunk", {"text": text})


def raw_chunk(text: str) -> bytes:
    """Return a text chunk as servers write it that do not escape what is not ASCII."""
    return (
        b"data: " + json.dumps({"event": "text-chunk", "data": {"text": text}}, ensure_ascii=False).encode() + b"\n\n"
    )


def in_utf16(text: str) -> str:
    """Return a text with each half of a character replaced that has no other half."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# Bodies up to and including the stream-end event, and the text that each brings.
COMPLETE: dict[str, tuple[bytes, str]] = {
    "plain": (HEL + b"\n" + LO + b"\n" + END, "Hello"),
    "no blank line between events": (HEL + LO + END, "Hello"),
    "many blank lines": (b"\n\n\n" + HEL + b"\n\n\n\n" + LO + b"\n\n" + END, "Hello"),
    "CRLF": ((HEL + b"\n" + LO + b"\n" + END).replace(b"\n", b"\r\n"), "Hello"),
    "lone CR": ((HEL + b"\n" + LO + b"\n" + END).replace(b"\n", b"\r"), "Hello"),
    "line ends mixed": (HEL[:-1] + b"\r" + LO[:-1] + b"\r\n\n\r\r\n" + END, "Hello"),
    "no space after data:": ((HEL + LO + END).replace(b"data: ", b"data:"), "Hello"),
    "more space after data:": ((HEL + LO + END).replace(b"data: ", b"data: \t  "), "Hello"),
    "space at the end of lines": ((HEL + LO).replace(b"\n", b" \t\n") + END, "Hello"),
    "comments": (b": hi\n" + HEL + b":\n:ping\n\n:{\n" + LO + b': data: {"event": "stream-end"}\n' + END, "Hello"),
    "id, event and retry lines": (
        b"retry: 3000\nid: 1\nevent: message\n" + HEL + b"\nid:2\nevent:error\n" + LO + b"id\nunknown: 5\n" + END,
        "Hello",
    ),
    "empty data lines": (b"data:\ndata: \n" + HEL + b"data\n" + LO + b"data:\n\n" + END, "Hello"),
    "BOM": (codecs.BOM_UTF8 + HEL + LO + END, "Hello"),
    "BOM and CRLF": (codecs.BOM_UTF8 + b"\r\n" + HEL + LO + END, "Hello"),
    "no text": (END, ""),
    "no data in stream-end": (HEL + b'data: {"event": "stream-end"}', "Hel"),
    "data of stream-end is null": (HEL + b'data: {"event": "stream-end", "data": null}', "Hel"),
    "data of stream-end is no object": (HEL + b'data: {"event": "stream-end", "data": [1]}', "Hel"),
    "members in another order, and more of them": (
        b'data: {"data":{"index":0,"text":"Hel"},"id":null,"event":"text-chunk"}\n' + LO + END,
        "Hello",
    ),
    "spaced JSON": (b'data: {  "event" :\t"text-chunk" , "data" : { "text" : "Hel" } }\n' + LO + END, "Hello"),
    "escaped JSON": (
        b'data: {"\\u0065vent": "text\\u002dchunk", "data": {"text": "\\u0048e\\/l\\u00e9\\ud83d\\ude00"}}\n' + END,
        "He/lé😀",
    ),
    "first line only has the prefix": (
        b'data: {\n  "event": "text-chunk",\n  "data": {\n    "text": "Hel"\n  }\n}\n' + LO + END,
        "Hello",
    ),
    "first line only has the prefix, CRLF": (
        b'data: {\r\n"event": "text-chunk",\r\n"data":\r\n{"text": "Hel"\r\n}}\r\n' + LO + END,
        "Hello",
    ),
    "broken before every mark": (
        b'data: {"event"\n: "text-chunk"\n, "data"\n:\n{"text"\n:"Hel"\n}\n}\n' + LO + END,
        "Hello",
    ),
    "broken by blank lines": (
        b'data: {"event": "text-chunk",\n\n"data":\n\n\n{"text": "Hel"}}\n\n' + LO + END,
        "Hello",
    ),
    "broken, with other lines between": (
        b'data: {"event": "text-chunk",\n: ping\nid: 7\n"data": {"text":\nevent: x\nretry:1\n"Hel"}}\n' + LO + END,
        "Hello",
    ),
    "broken within the text": (b'data: {"event": "text-chunk", "data": {"text": "Hel\nlo"}}\n' + END, "Hel\nlo"),
    "broken within the text, before what looks like a field": (
        b'data: {"event": "text-chunk", "data": {"text": "a\nid: 5\n: c\n\n{\\"b\\": []}"}}\n' + END,
        'a\nid: 5\n: c\n\n{"b": []}',
    ),
    "broken within the text, after a backslash's quote": (
        b'data: {"event": "text-chunk", "data": {"text": "a\\"\n}\\\\"}}\n' + END,
        'a"\n}\\',
    ),
    "broken stream-end": (HEL + b'data: {"event": "stream-end",\n"data": {"usage": null\n}\n}', "Hel"),
    "several data lines": (
        b'data: {\ndata: "event": "text-chunk",\ndata:   "data": {"text":\ndata:"Hel"}\ndata: }\n\n' + LO + END,
        "Hello",
    ),
    "several data lines, CR": (
        b'data: {"event": "text-chunk",\rdata: "data": {"text": "Hel"}}\r\r' + LO + END,
        "Hello",
    ),
    "several data lines, one empty, a comment between": (
        b'data: {"event": "text-chunk",\ndata:\n: ping\ndata: "data": {"text": "Hel"}}\n\n' + LO + END,
        "Hello",
    ),
    "text broken over data lines": (
        b'data: {"event": "text-chunk", "data": {"text": "Hel\ndata:  lo"}}\n\n' + END,
        "Hel\n lo",
    ),
    "raw control characters in the text": (
        b'data: {"event": "text-chunk", "data": {"text": "a\tb\x00c\x1b[0m\x7f"}}\n' + END,
        "a\tb\x00c\x1b[0m\x7f",
    ),
    "null byte, escaped": (chunk("a\0b") + END, "a\0b"),
    "text to the letter": (chunk("  ") + chunk("\n\n") + chunk("\t a ") + chunk("\r\n") + END, "  \n\n\t a \r\n"),
    "empty chunks": (chunk("") + HEL + chunk("") + LO + END, "Hello"),
    "text that looks like the wire": (
        chunk('data: {"event": "stream-end"}\n\ndata: x') + END,
        'data: {"event": "stream-end"}\n\ndata: x',
    ),
    "other line ends in the text": (
        raw_chunk("a\x85b\u2028c\u2029d\ve\ff\x1cg\x1dh\x1ei") + END,
        "a\x85b\u2028c\u2029d\ve\ff\x1cg\x1dh\x1ei",
    ),
    "other line ends in broken JSON": (
        'data: {"event": "text-chunk",\n"data": {"text": "a\u2028data: b\x85id: c"}}\n'.encode() + END,
        "a\u2028data: b\x85id: c",
    ),
    "BOM in the text": (raw_chunk("\ufeffa\ufeff") + END, "\ufeffa\ufeff"),
    "characters of one to four bytes": (raw_chunk("aé") + raw_chunk("€😀") + END, "aé€😀"),
    "a character in two UTF-16 halves": (chunk("a\ud83d") + chunk("\ude00b") + END, "a😀b"),
    "UTF-16 halves, other events between": (
        chunk("\ud83d") + b': ping\ndata: {"event": "ping"}\n' + chunk("") + chunk("\ude00") + END,
        "😀",
    ),
    "a high half alone": (chunk("a\ud83d") + chunk("b") + END, "a\ufffdb"),
    "a high half at the end": (chunk("a\ud83d") + END, "a\ufffd"),
    "a low half alone": (chunk("a\ude00") + chunk("b") + END, "a\ufffdb"),
    "halves in the wrong order": (chunk("\ude00\ud83d") + END, "\ufffd\ufffd"),
    "high halves in a row": (chunk("\ud83d") + chunk("\ud83d") + chunk("\ude00") + END, "\ufffd😀"),
    "final-response, the same": (HEL + LO + encode_event("final-response", {"message": "Hello"}) + END, "Hello"),
    "final-response alone": (encode_event("final-response", {"message": "Hello"}) + END, "Hello"),
    "final-response, more": (HEL + encode_event("final-response", {"message": "Hello"}) + END, "Hello"),
    "final-response, less": (HEL + LO + encode_event("final-response", {"message": "Hel"}) + END, "Hello"),
    "final-response, stripped": (chunk(" Hi\n") + encode_event("final-response", {"message": "Hi"}) + END, " Hi\n"),
    "final-response, empty": (HEL + encode_event("final-response", {"message": ""}) + END, "Hel"),
    "final-response, twice": (HEL + encode_event("final-response", {"message": "Hello"}) * 2 + END, "Hello"),
    "final-response, in halves": (
        chunk("\ud83d") + chunk("\ude00") + encode_event("final-response", {"message": "😀!"}) + END,
        "😀!",
    ),
    "final-response, raw UTF-8": (
        raw_chunk("é") + 'data: {"event": "final-response", "data": {"message": "é€"}}\n'.encode() + END,
        "é€",
    ),
    "other events": (
        b'data: {"event": "start"}\n' + HEL + b'data: {"event": "", "data": {"text": "no"}}\n'
        b'data: {"event": "Text-Chunk", "data": {"text": "no"}}\ndata: {"event": "sources", "data": [null]}\n'
        + LO
        + END,
        "Hello",
    ),
    "duplicate keys": (
        b'data: {"event": "x", "event": "text-chunk", "data": {"text": "no", "text": "Hel"}}\n' + LO + END,
        "Hello",
    ),
    "NaN and infinities": (b'data: {"event": "stats", "data": [NaN, Infinity, -Infinity, 1e999]}\n' + HEL + END, "Hel"),
    "large integers": (b'data: {"event": "stats", "data": %b}\n' % (b"9" * 400) + HEL + END, "Hel"),
    "nested JSON": (b'data: {"event": "tree", "data": %b%b}\n' % (b"[" * 100, b"]" * 100) + HEL + END, "Hel"),
    "an empty error elsewhere": (b'data: {"event": "x", "data": {}, "error": null}\n' + HEL + END, "Hel"),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_a_complete_reply(name: str) -> None:
    body, text = COMPLETE[name]
    for ending in (b"", b"\n", b"\r\n\r\n"):
        assert read([body + ending]) == Reply(text, True, None, None, "", None, None)
    assert read_in_every_way(body).ended


@pytest.mark.parametrize("name", COMPLETE)
def test_a_reply_cut_short_is_never_a_success(name: str) -> None:
    body, text = COMPLETE[name]
    for cut in range(len(body)):
        reply = read([body[:cut]])
        assert reply.failure is DarkAIStreamTruncatedError, f"cut at {cut}: {body[:cut]!r}"
        assert text.startswith(reply.text)


@pytest.mark.parametrize(
    "rest",
    [LO, END, b"data: {nonsense\n", b"\xff\xfe\n", b"<html>", encode_event("error", {"message": "no"}), b"\x00" * 100],
)
def test_nothing_after_stream_end_counts(rest: bytes) -> None:
    assert read_in_every_way(HEL + END + b"\n" + rest) == Reply("Hel", True, None, None, "", None, None)


def test_text_before_the_end_comes_first() -> None:
    assert EventDecoder().feed(HEL + LO + END + b"\n") == Decoded(["Hello"], StreamEnd(None))
    assert EventDecoder(per_event=True).feed(HEL + LO + END + b"\n") == Decoded(["Hel", "lo"], StreamEnd(None))


def test_text_comes_with_the_bytes_that_complete_it() -> None:
    decoder = EventDecoder()
    assert decoder.feed(HEL + LO[:-1]) == Decoded(["Hel"], None)
    assert decoder.feed(LO[-1:]) == Decoded(["lo"], None)
    assert decoder.feed(HEL[:-1] + b"\r") == Decoded(["Hel"], None)
    assert decoder.feed(b"\n") == NOTHING
    assert decoder.text == "HelloHel"


@pytest.mark.parametrize("per_event", [False, True])
def test_the_text_of_a_reply_is_held_once(per_event: bool) -> None:
    decoder = EventDecoder(per_event=per_event)
    returned: list[str] = []
    tracemalloc.start()
    try:
        for number in range(50):
            returned += decoder.feed(chunk(f"{number} " + "x" * 9_000) + chunk("y" * 9_000)).texts
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert sum(map(len, returned)) < held < 1.2 * sum(map(len, returned))
    assert decoder.text == "".join(returned)


# Events that are none, after a first good one.
UNDECODABLE: dict[str, bytes] = {
    "a word": b"data: hello\n",
    "another protocol's end": b"data: [DONE]\n",
    "a list": b'data: ["text-chunk", "lo"]\n',
    "a string": b'data: "lo"\n',
    "null": b"data: null\n",
    "a number": b"data: 5\n",
    "quotes of another language": b"data: {'event': 'text-chunk', 'data': {'text': 'lo'}}\n",
    "a member without value": b'data: {"event": }\n',
    "a comma too many": b'data: {"event": "text-chunk", "data": {"text": "lo"},}\n',
    "an unknown escape": b'data: {"event": "text-chunk", "data": {"text": "\\q"}}\n',
    "a closing bracket too many": b'data: {"event": "text-chunk", "data": {"text": "lo"}}}\n',
    "brackets that do not match": b'data: {"event": "text-chunk", "data": ["text": "lo"}}\n',
    "two events on a line": LO[:-1] + b' {"event": "stream-end"}\n',
    "more after the event": LO[:-1] + b" and so on\n",
    "an empty object": b"data: {}\n",
    "an event without name": b'data: {"data": {"text": "lo"}}\n',
    "a name that is null": b'data: {"event": null, "data": {"text": "lo"}}\n',
    "a name that is a list": b'data: {"event": ["text-chunk"], "data": {"text": "lo"}}\n',
    "a chunk without data": b'data: {"event": "text-chunk"}\n',
    "a chunk with a string for data": b'data: {"event": "text-chunk", "data": "lo"}\n',
    "a chunk with a list for data": b'data: {"event": "text-chunk", "data": ["lo"]}\n',
    "a chunk without text": b'data: {"event": "text-chunk", "data": {"content": "lo"}}\n',
    "text that is null": b'data: {"event": "text-chunk", "data": {"text": null}}\n',
    "text that is a number": b'data: {"event": "text-chunk", "data": {"text": 5}}\n',
    "text that is a list": b'data: {"event": "text-chunk", "data": {"text": ["lo"]}}\n',
    "text that is an object": b'data: {"event": "text-chunk", "data": {"text": {}}}\n',
    "a final-response without data": b'data: {"event": "final-response"}\n',
    "a message that is an object": b'data: {"event": "final-response", "data": {"message": {"text": "lo"}}}\n',
    "JSON without data:": b'{"event": "text-chunk", "data": {"text": "lo"}}\n',
    "indented JSON without data:": b'  {"error": "overloaded"}\n',
    "JSON that breaks off": b'data: {"event": "text-chunk", "data": {"text": "lo"}\n\n' + LO,
    "text that breaks off": b'data: {"event": "text-chunk", "data": {"text": "lo\n\n' + LO,
    "a byte that is not UTF-8": b'data: {"event": "text-chunk", "data": {"text": "caf\xe9"}}\n',
    "a character in Latin-1 before ASCII": b'data: {"event": "text-chunk", "data": {"text": "\xe9\xe8 x"}}\n',
    "an overlong character": b'data: {"event": "text-chunk", "data": {"text": "\xc0\xaf"}}\n',
    "UTF-16 halves as UTF-8": b'data: {"event": "text-chunk", "data": {"text": "\xed\xa0\xbd\xed\xb8\x80"}}\n',
    "a character beyond Unicode": b'data: {"event": "text-chunk", "data": {"text": "\xf4\x90\x80\x80"}}\n',
    "a character cut off by the line's end": b'data: {"event": "x"}\xe2\x82\n',
    "not UTF-8 in a comment": b": caf\xe9\n",
    "nested too deep": b'data: {"event": "x", "data": %b%b}\n' % (b"[" * 100_000, b"]" * 100_000),
    "objects nested too deep": b'data: {"event": "x", "data": %b1%b}\n' % (b'{"a":' * 100_000, b"}" * 100_000),
    "nested too deep, over lines": b'data: {"event": "x", "data": %b\n: ping\n%b}\n' % (b"[" * 100_000, b"]" * 100_000),
    "an integer of 5,000 digits": b'data: {"event": "x", "data": %b}\n' % (b"9" * 5000),
    "an integer of 5,000 digits, then a comment": b'data: {"event": "x", "data": [%b\n: ping\n]}\n' % (b"9" * 5000),
}


@pytest.mark.parametrize("name", UNDECODABLE)
def test_what_cannot_be_decoded_is_an_error(name: str) -> None:
    body = HEL + UNDECODABLE[name]
    reply = read([body + LO + END])
    assert (reply.failure, reply.text) == (DarkAIStreamDecodeError, "Hel")
    assert len(reply.message) < 400
    for size in (997, 4096):
        assert read(body[start : start + size] for start in range(0, len(body), size)) == read([body])
    if len(body) < 1000:
        assert read_in_every_way(body) == read([body]) == reply


def nests(depth: int) -> bool:
    """Return whether json reads lists so deep in one another."""
    try:
        json.loads("[" * depth + "]" * depth)
    except RecursionError:
        return False
    return True


def test_no_depth_of_nesting_raises() -> None:
    """The reader and the writer of JSON give up at different depths, and an event without a name is shown again."""
    deepest = bisect.bisect(range(200_000), False, key=lambda depth: not nests(depth))
    for depth in (*range(max(deepest - 100, 1), deepest + 10), *range(1, deepest, deepest // 40)):
        body = b'data: {"event": 1, "data": %b%b}\n' % (b"[" * depth, b"]" * depth)
        assert read([body]).failure is DarkAIStreamDecodeError


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"\r\n\r\n",
        b": ping\n\n",
        b"data:\n\n",
        HEL,
        HEL[:-1],
        HEL + LO + b"\n",
        HEL + b"data",
        HEL + b"data: {",
    ],
)
def test_a_body_without_stream_end_is_truncated(body: bytes) -> None:
    reply = read_in_every_way(body)
    assert reply.failure is DarkAIStreamTruncatedError
    assert reply.failure.is_retryable
    assert reply.text == "Hel" * body.count(b"Hel") + "lo" * body.count(b"lo")


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "overloaded"}',
        b'{"choices": [{"message": {"content": "Hello"}}]}\n',
    ],
)
def test_another_kind_of_body_is_not_asked_for_again(body: bytes) -> None:
    """It did not end too early: it is no reply, and asking again would bring the same."""
    assert read_in_every_way(body).failure is DarkAIStreamDecodeError


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ('{"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}', (3, 1, 4)),
        ('{"input_tokens": 3, "output_tokens": 1}', (3, 1, 4)),
        ('{"input_tokens": 3, "output_tokens": 1, "total_tokens": 9}', (3, 1, 9)),
        ('{"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}', (0, 0, 0)),
        ('{"input_tokens": 3, "output_tokens": 1, "total_tokens": null, "cost": 0.1, "d": {}}', (3, 1, 4)),
        ('{"input_tokens": 3, "output_tokens": 1, "total_tokens": -1}', (3, 1, 4)),
        ("null", None),
        ("{}", None),
        ("[]", None),
        ("5", None),
        ('"3 tokens"', None),
        ('{"input_tokens": 3}', None),
        ('{"total_tokens": 3}', None),
        ('{"input_tokens": "3", "output_tokens": "1"}', None),
        ('{"input_tokens": -3, "output_tokens": 1}', None),
        ('{"input_tokens": 3.5, "output_tokens": 1}', None),
        ('{"input_tokens": NaN, "output_tokens": Infinity}', None),
        ('{"input_tokens": true, "output_tokens": false}', None),
        ('{"input_tokens": null, "output_tokens": null}', None),
        ('{"input_tokens": [3], "output_tokens": {}}', None),
    ],
)
def test_usage(usage: str, expected: tuple[int, int, int] | None) -> None:
    body = HEL + f'data: {{"event": "stream-end", "data": {{"usage": {usage}}}}}\n'.encode()
    reply = read_in_every_way(body)
    assert (reply.text, reply.ended) == ("Hel", True)
    names = ("input_tokens", "output_tokens", "total_tokens")
    assert reply.usage == (dict(zip(names, expected, strict=True)) if expected else None)


# What a server reports in an error event, and what it is raised as: class, words in the message, status, retry_after.
REPORTED: dict[str, tuple[Any, type[DarkAIError], str, int | None, float | None]] = {
    "a message": ({"message": "boom"}, DarkAIAPIError, "boom", None, None),
    "a string": ("boom", DarkAIAPIError, "boom", None, None),
    "nothing": (None, DarkAIAPIError, "without saying why", None, None),
    "an empty object": ({}, DarkAIAPIError, "without saying why", None, None),
    "an empty message": ({"message": ""}, DarkAIAPIError, "without saying why", None, None),
    "a message that is no string": ({"message": ["boom"]}, DarkAIAPIError, "without saying why", None, None),
    "a list": (["boom"], DarkAIAPIError, "without saying why", None, None),
    "a number": (5, DarkAIAPIError, "without saying why", None, None),
    "a detail": ({"detail": "boom"}, DarkAIAPIError, "boom", None, None),
    "a core class": ({"type": "ModelTimeoutError", "message": "slow"}, DarkAITimeoutError, "slow", None, None),
    "a class of its own": ({"type": "rate_limit", "message": "slow"}, DarkAIAPIError, "slow", None, None),
    "a status": ({"message": "slow", "status": 429}, DarkAIRateLimitError, "slow", 429, None),
    "a class and a status": (
        {"type": "ContextOverflowError", "message": "long", "status": 400},
        DarkAIContextOverflowError,
        "long",
        400,
        None,
    ),
    "a time to wait": (
        {"message": "slow", "status": 429, "retry_after": 7},
        DarkAIRateLimitError,
        "slow",
        429,
        7.0,
    ),
    "a time that has passed": (
        {"message": "x", "status": 429, "retry_after": -1},
        DarkAIRateLimitError,
        "x",
        429,
        None,
    ),
    "no time": ({"message": "x", "status": 429, "retry_after": "7"}, DarkAIRateLimitError, "x", 429, None),
    "a time without end": ({"message": "x", "retry_after": 1e999}, DarkAIAPIError, "x", None, None),
    "a time beyond floats": ({"message": "x", "retry_after": 10**400}, DarkAIAPIError, "x", None, None),
    "a status that is a success": ({"message": "x", "status": 200}, DarkAIAPIError, "x", None, None),
    "a status that is a string": ({"message": "x", "status": "429"}, DarkAIAPIError, "x", None, None),
    "a status that is huge": ({"message": "x", "status": 10**30}, DarkAIAPIError, "x", None, None),
    "more than a few lines": ({"message": "very " * 10_000 + "long"}, DarkAIAPIError, "very", None, None),
    "another script": ({"message": "\u5931\u6557 😀"}, DarkAIAPIError, "\u5931\u6557 😀", None, None),
    "half a character": ({"message": "a\ud83d"}, DarkAIAPIError, "a", None, None),
}


@pytest.mark.parametrize("name", REPORTED)
def test_an_error_event(name: str) -> None:
    data, kind, words, status, retry_after = REPORTED[name]
    body = HEL + encode_event("error", data) + LO + END
    reply = read_in_every_way(body) if len(body) < 1000 else read([body])
    assert reply[:4] == ("Hel", False, None, kind)
    assert words in reply.message
    assert len(reply.message) < 1000
    reply.message.encode()
    assert (reply.status, reply.retry_after) == (status, retry_after)


def test_an_error_event_without_data() -> None:
    reply = read_in_every_way(HEL + b'data: {"event": "error"}\n')
    assert (reply.text, reply.failure) == ("Hel", DarkAIAPIError)


def test_a_half_character_before_an_error_is_not_lost() -> None:
    reply = read_in_every_way(chunk("a\ud83d") + encode_event("error", {"message": "boom"}))
    assert (reply.text, reply.failure) == ("a\ufffd", DarkAIAPIError)


@pytest.mark.parametrize(
    ("data", "status", "kind"),
    [
        ({"type": "ModelAuthenticationError", "message": "no"}, 401, DarkAIAuthenticationError),
        ({"message": "no"}, 403, DarkAIPermissionDeniedError),
        ({"message": "no", "status": 500}, 404, DarkAINotFoundError),
        ({"type": "ContextOverflowError", "message": "no"}, 400, DarkAIContextOverflowError),
        ("no", 400, DarkAIInvalidRequestError),
        ("no", 503, DarkAIAPIError),
        ("no", 302, DarkAIAPIError),
    ],
)
def test_the_answer_of_a_status(data: Any, status: int, kind: type[DarkAIError]) -> None:
    reported = reported_error(data, "example.org", status)
    assert (reported.kind, reported.status) == (kind, status)
    assert "example.org" in reported.message
    assert "no" in reported.message


@pytest.mark.parametrize("before", [0, 60, 79, 80, 480, 499, 500])
def test_words_are_masked_before_they_are_cut_and_escaped(before: int) -> None:
    secret = "'\\\"" * 40
    words = "x" * before + secret + "y" * 600

    def redact(text: str) -> str:
        return text.replace(secret, "***")

    assert "'" not in reported_error(words, "example.org", 400, redact).message.split(": ")[1].strip("'.")
    for body in (f"data: {words}\n", f"{words}\n", f"data: {json.dumps({'event': 3, 'words': 'x' * before})}\n"):
        failure = (decoder := EventDecoder("example.org", redact)).feed(body.encode()).end or decoder.finish().end
        assert isinstance(failure, StreamFailure)
        assert '\\"' not in str(failure.error)


@pytest.mark.parametrize("body", [b"data: {secret}\n", b"data: {secret\xff}\n"])
def test_a_cause_does_not_keep_the_reply(body: bytes) -> None:
    failure = EventDecoder().feed(body).end
    assert isinstance(failure, StreamFailure)
    cause = failure.error.__cause__
    assert isinstance(cause, ValueError)
    assert cause.__traceback__ is None
    assert "secret" not in f"{cause!r} {cause.args} {vars(cause)}"


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({"message": "no"}, "Ask again later."),
        ({"message": "no", "status": 401}, "Set api_key, or DARKAI_API_KEY, to a key that this server knows."),
        ({"message": "no", "type": "ContextOverflowError"}, "The prompt is too long for this model; send less."),
        ({"message": "no", "type": "ModelTimeoutError"}, "Ask again."),
        ({"message": "no", "status": 400}, "Check the request."),
        ({"message": "no", "type": "ModelError"}, "Check the request."),
    ],
)
def test_an_error_event_says_what_to_do(data: dict[str, Any], hint: str) -> None:
    assert read([encode_event("error", data)]).message == f"example.org reported an error: 'no'. {hint}"


CORE_CLASSES = [kind for _, kind in inspect.getmembers(core, inspect.isclass) if issubclass(kind, core.ModelError)]


@pytest.mark.parametrize("kind", CORE_CLASSES)
def test_an_error_of_a_model_goes_over_the_wire(kind: type[core.ModelError]) -> None:
    reply = read_in_every_way(HEL + encode_event("error", encode_error(kind("told in its own words"))))
    assert reply.failure is not None
    assert issubclass(reply.failure, kind)
    assert reply.failure.is_retryable is kind.is_retryable
    assert "told in its own words" in reply.message
    assert reply.status is not None
    assert reply.status >= 400


def test_our_own_errors_go_over_the_wire() -> None:
    reply = read([encode_event("error", encode_error(DarkAIRateLimitError("slow down", retry_after=2.5)))])
    assert (reply.failure, reply.status, reply.retry_after) == (DarkAIRateLimitError, 429, 2.5)
    assert "slow down" in reply.message
    assert "no call" in read([encode_event("error", encode_error(DarkAIToolChoiceError("no call")))]).message


def chained(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = error.__context__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        KeyError("secret"),
        RuntimeError("secret"),
        ValueError("secret"),
        FileNotFoundError(2, "no such file", "/secret"),
        TimeoutError("secret"),
        ConnectionResetError("secret"),
        core.LangChainException("secret"),
        core.OutputParserException("secret"),
        chained(RuntimeError("secret"), core.ModelRateLimitError("secret")),
        chained(core.ModelAPIError("overloaded"), KeyError("secret")),
        chained(core.ModelRateLimitError("slow"), KeyError("secret")),
        chained(DarkAIAPIError("it failed", partial_text="secret", request_id="secret"), KeyError("secret")),
    ],
)
def test_what_went_wrong_inside_stays_inside(error: BaseException) -> None:
    assert "secret" not in encode_event("error", encode_error(error)).decode()


@pytest.mark.parametrize("wait", ["soon", timedelta(seconds=7), float("nan"), float("inf"), -1, [7]])
def test_another_class_s_retry_after_is_no_harm(wait: object) -> None:
    error = core.ModelRateLimitError("slow")
    error.retry_after = wait  # type: ignore[attr-defined]
    body = encode_event("error", encode_error(error))
    json.loads(body.removeprefix(b"data: "), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    message = "example.org reported an error: 'slow'. Wait, or ask more slowly."
    assert read([body])[3:] == (DarkAIRateLimitError, message, 429, None)


LIMIT = 100


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "MAX_EVENT_BYTES", LIMIT)


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize(
    "rest",
    [
        chunk("x" * LIMIT) + END,
        raw_chunk("é" * (LIMIT // 2)) + END,
        b"x" * (LIMIT + 1),
        b":" + b" ping" * LIMIT,
        b'data: {"event": "text-chunk", "data": {"text": "' + b"x\n" * LIMIT,
        b'data: {"event": "text-chunk",\n' + b"\n" * LIMIT,
        b"data: {\n" + b'data: "a": 1,\n' * 20,
    ],
)
def test_an_event_without_end_is_given_up(rest: bytes) -> None:
    reply = read_in_every_way(HEL + rest)
    assert (reply.text, reply.failure) == ("Hel", DarkAIStreamDecodeError)
    assert f"longer than {LIMIT}" in reply.message


@pytest.mark.usefixtures("small_limit")
def test_the_limit_is_one_event_s_and_not_the_reply_s() -> None:
    longest = chunk("x" * (LIMIT - len(chunk("").rstrip()))).rstrip()
    assert len(longest) == LIMIT
    body = (longest + b"\n") * 3 + END
    assert read_in_every_way(body).ended


def test_a_line_of_five_megabytes() -> None:
    text = "x" * 4_999_990 + '\n"é\\'
    body = HEL + chunk(text) + END
    decoder = EventDecoder()
    reads = [decoder.feed(body[start : start + 4096]) for start in range(0, len(body), 4096)]
    reads.append(decoder.finish())
    assert [read for read in reads if read != NOTHING] == [(["Hel"], None), ([text], None), ([], StreamEnd(None))]


def test_five_megabytes_over_many_lines() -> None:
    pieces = ["x" * 99] * 50_000
    body = b'data: {"event": "text-chunk", "data": {"text": "' + "\n".join(pieces).encode() + b'"}}\n' + END
    text = "\n".join(pieces)
    assert read(body[start : start + 4096] for start in range(0, len(body), 4096)).text == text


# Texts with what is special somewhere on the way: line ends, JSON's marks, halves of characters, the wire's own words.
WORDS = st.sampled_from('data:| |\n|\r\n|\r|"|\\|{|}|[|:|\u2028|\x85|\0|\ud83d|\ude00|é|😀|\ufeff|hello '.split("|"))
ANY_TEXT = st.lists(WORDS | st.text(st.characters(exclude_categories=()), max_size=4), max_size=6).map("".join)
VALID_TEXT = ANY_TEXT.map(in_utf16)
# JSON joins two halves that stand side by side; one alone stays.
JOINED_TEXT = ANY_TEXT.map(lambda text: text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass"))
LINE_END = st.sampled_from([b"\n", b"\r", b"\r\n"])
OTHER_LINE = st.sampled_from([b"", b": ping", b":", b"id: 1", b"event: message", b"retry: 10", b"data:"])
PIECE_SIZES = st.lists(st.integers(1, 60), max_size=30)


def cut(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Return a body in pieces of these sizes, and one last piece."""
    points = [0, *itertools.accumulate(sizes)]
    return [body[start:end] for start, end in zip(points, [*points[1:], None], strict=True)]


@st.composite
def written(draw: st.DrawFn, event: dict[str, Any], *, may_be_raw: bool = True) -> bytes:
    """An event as some server writes it: on a line or over several, with any line ends and other lines between."""
    is_raw = may_be_raw and draw(st.booleans())
    separators = draw(st.sampled_from([None, (",", ":"), (" , ", " : ")]))
    indent = draw(st.sampled_from([None, None, 0, 1]))
    lines = json.dumps(event, ensure_ascii=not is_raw, indent=indent, separators=separators).encode().split(b"\n")
    prefix = st.sampled_from([b"data: ", b"data:", b"data:\t"])
    has_prefixes = draw(st.booleans())
    end = draw(LINE_END)
    body = b"".join(
        (draw(prefix) if has_prefixes or not place else b"") + line + end for place, line in enumerate(lines)
    )
    # A CR and an LF of two different lines would be one line end.
    between = b"".join(line + (b"\n" if end != b"\r" else b"\r") for line in draw(st.lists(OTHER_LINE, max_size=2)))
    return body + between


@st.composite
def transcripts(draw: st.DrawFn) -> tuple[bytes, str, protocol.Usage | None]:
    """A complete reply's bytes, text and usage."""
    has_halves = draw(st.booleans())
    pieces = draw(st.lists(ANY_TEXT if has_halves else VALID_TEXT, max_size=5))
    events: list[dict[str, Any]] = []
    for piece in pieces:
        if draw(st.booleans()):
            events.append(
                {"event": draw(st.sampled_from(["ping", "sources", ""])), "data": draw(st.none() | VALID_TEXT)}
            )
        events.append({"event": "text-chunk", "data": {"text": piece}})
    text = "".join(pieces)
    if not has_halves and draw(st.booleans()):
        text += draw(VALID_TEXT)
        events.append({"event": "final-response", "data": {"message": text}})
    usage = draw(st.none() | st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)))
    counts = (
        None
        if usage is None
        else protocol.Usage(input_tokens=usage[0], output_tokens=usage[1], total_tokens=sum(usage))
    )
    events.append({"event": "stream-end", "data": {"usage": counts} if draw(st.booleans()) or counts else {}})
    body = b"".join(draw(written(event, may_be_raw=not has_halves)) for event in events)
    bom = draw(st.sampled_from([b"", codecs.BOM_UTF8]))
    return bom + body, in_utf16(text), counts


@settings(max_examples=300, deadline=None)
@given(transcripts(), PIECE_SIZES, st.data())
def test_any_reply_in_any_pieces(
    transcript: tuple[bytes, str, protocol.Usage | None], sizes: list[int], data: st.DataObject
) -> None:
    body, text, usage = transcript
    reply = Reply(text, True, usage, None, "", None, None)
    assert read([body]) == reply
    assert read(cut(body, sizes)) == reply
    assert read(body[i : i + 1] for i in range(len(body))) == reply
    short = body[: data.draw(st.integers(0, len(body) - 1))]
    assert text.startswith(read([short]).text)
    assert read(cut(short, sizes)) == read([short])


FRAGMENTS = st.sampled_from(
    [
        *b'data:|data: |{|}|[|]|"|\\|:|,|\n|\r| |"event"|"text-chunk"|"data"|"text"|"error"|NaN|1e999|null|id: 1'.split(
            b"|"
        ),
        *b"\xff|\xf0\x9f|\xef\xbb\xbf|\\ud83d".split(b"|"),
        *(
            HEL,
            LO,
            END,
            b'data: {"event": "error", "data": ',
            b'data: {"event": "text-chunk", "data": {"text": "',
            b'"}}\n',
        ),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200) | st.lists(FRAGMENTS | st.binary(max_size=3), max_size=25).map(b"".join), PIECE_SIZES)
@example(b'data: {"event": "error", "data": {"status": true, "retry_after": true}}', [])
def test_garbage_ends_in_one_error_or_end(body: bytes, sizes: list[int]) -> None:
    assert read(cut(body, sizes)) == read([body]) == read(body[i : i + 1] for i in range(len(body)))


@settings(max_examples=200, deadline=None)
@given(st.lists(ANY_TEXT, max_size=4))
def test_events_are_read_as_they_were_written(texts: list[str]) -> None:
    end = encode_event("stream-end", {"usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}})
    body = b"".join(map(chunk, texts)) + end
    assert body.isascii()
    assert body.count(b"\n\n") == len(texts) + 1
    assert read([body])[:2] == (in_utf16("".join(texts)), True)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | JOINED_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(JOINED_TEXT, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(
    JOINED_TEXT.filter(str.strip),
    JOINED_TEXT,
    st.dictionaries(JOINED_TEXT.filter(lambda name: name not in {"query", "model"}), JSON_VALUES, max_size=3),
)
def test_requests_are_read_as_they_were_written(query: str, model: str, parameters: dict[str, Any]) -> None:
    body = encode_request(query, model, parameters)
    assert body.isascii()
    assert decode_request(body) == ChatRequest(query, model, parameters)


def test_the_request_body() -> None:
    assert encode_request("Hi", "gpt-4o") == b'{"query": "Hi", "model": "gpt-4o"}'
    assert encode_request("Hi", "gpt-4o", {}) == encode_request("Hi", "gpt-4o", None) == encode_request("Hi", "gpt-4o")


def test_the_body_of_another_client() -> None:
    body = codecs.BOM_UTF8 + '{"model": null, "query": "é\\u0000", "query": "é!", "x": [1]}\r\n'.encode()
    assert decode_request(body) == ChatRequest("é!", None, {"x": [1]})


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", float("nan"), float("inf"), CIRCLE, {("a", "b"): 1}],
    ids=lambda v: type(v).__name__,
)
def test_a_parameter_without_json_form_is_refused(value: Any) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match="seed_value"):
        encode_request("Hi", "gpt-4o", {"seed_value": value})


@pytest.mark.parametrize("name", ["query", "model"])
def test_a_parameter_cannot_replace_the_prompt_or_the_model(name: str) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=name):
        encode_request("Hi", "gpt-4o", {name: "another"})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"query=Hello", "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b'{"query": "Hel', "not JSON"),
        (b'{"query": "caf\xe9"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"query": "x", "n": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"null", "not a JSON object"),
        (b'["Hello"]', "not a JSON object"),
        (b'"Hello"', "not a JSON object"),
        (b"{}", "query"),
        (b'{"prompt": "Hello"}', "query"),
        (b'{"query": null}', "query"),
        (b'{"query": ["Hello"]}', "query"),
        (b'{"query": ""}', "query"),
        (b'{"query": " \\n "}', "query"),
        (b'{"query": "Hello", "model": 5}', "model"),
        (b'{"query": "Hello", "model": ["gpt-4o"]}', "model"),
    ],
)
def test_a_body_that_is_no_request(body: bytes, words: str) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=words) as raised:
        decode_request(body)
    assert len(str(raised.value)) < 300
