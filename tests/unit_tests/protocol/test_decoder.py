"""Replies in every form that servers were seen to send, in every cut, and bodies that are no reply."""

import bisect
import codecs
import json
import tracemalloc

import pytest

from langchain_darkai.errors import DarkAIAPIError, DarkAIStreamDecodeError, DarkAIStreamTruncatedError
from langchain_darkai.protocol import Decoded, EventDecoder, ReasoningText, StreamEnd, StreamFailure, encode_event
from tests.support.adversarial import assert_linear, repeated
from tests.support.decoding import END, HEL, LO, NOTHING, Reply, chunk, raw_chunk, read, read_in_every_way

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
    "a text that is null": (
        encode_event("text-chunk", {"text": None}) + HEL + encode_event("text-chunk", {"text": None}) + LO + END,
        "Hello",
    ),
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
def test_a_complete_reply_reads_the_same_in_every_cut(name: str) -> None:
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


def test_text_and_end_of_one_read_are_returned_together() -> None:
    assert EventDecoder().feed(HEL + LO + END + b"\n") == Decoded(["Hello"], StreamEnd(None))
    assert EventDecoder(per_event=True).feed(HEL + LO + END + b"\n") == Decoded(["Hel", "lo"], StreamEnd(None))


def test_text_is_returned_with_the_byte_that_completes_it() -> None:
    decoder = EventDecoder()
    assert decoder.feed(HEL + LO[:-1]) == Decoded(["Hel"], None)
    assert decoder.feed(LO[-1:]) == Decoded(["lo"], None)
    assert decoder.feed(HEL[:-1] + b"\r") == Decoded(["Hel"], None)
    assert decoder.feed(b"\n") == NOTHING
    assert decoder.text == "HelloHel"


@pytest.mark.parametrize("per_event", [False, True])
def test_the_text_of_a_reply_is_held_in_memory_once(per_event: bool) -> None:
    decoder = EventDecoder(per_event=per_event)
    returned: list[str | ReasoningText] = []
    tracemalloc.start()
    try:
        for number in range(50):
            returned += decoder.feed(chunk(f"{number} " + "x" * 9_000) + chunk("y" * 9_000)).texts
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    texts = [text for text in returned if isinstance(text, str)]
    assert sum(map(len, texts)) < held < 1.2 * sum(map(len, texts))
    assert decoder.text == "".join(texts)


# What follows a first good event, and cannot be decoded.
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
def test_an_event_that_cannot_be_decoded_is_an_error(name: str) -> None:
    body = HEL + UNDECODABLE[name]
    reply = read([body + LO + END])
    assert (reply.failure, reply.text) == (DarkAIStreamDecodeError, "Hel")
    assert len(reply.message) < 400
    for size in (997, 4096):
        assert read(body[start : start + size] for start in range(0, len(body), size)) == read([body])
    if len(body) < 1000:
        assert read_in_every_way(body) == read([body]) == reply


def nests(depth: int) -> bool:
    """Return whether the json module reads lists that are nested this deep."""
    try:
        json.loads("[" * depth + "]" * depth)
    except RecursionError:
        return False
    return True


def test_no_depth_of_nested_json_raises() -> None:
    """Reading and writing JSON give up at different depths; an event without a name is read, and then quoted."""
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
def test_a_body_of_another_kind_is_undecodable_and_not_truncated(body: bytes) -> None:
    """It is not a reply that ended too early, so a retry would bring the same."""
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
def test_usage_in_stream_end(usage: str, expected: tuple[int, int, int] | None) -> None:
    body = HEL + f'data: {{"event": "stream-end", "data": {{"usage": {usage}}}}}\n'.encode()
    reply = read_in_every_way(body)
    assert (reply.text, reply.ended) == ("Hel", True)
    names = ("input_tokens", "output_tokens", "total_tokens")
    assert reply.usage == (dict(zip(names, expected, strict=True)) if expected else None)


def test_a_high_surrogate_before_an_error_event_is_replaced() -> None:
    reply = read_in_every_way(chunk("a\ud83d") + encode_event("error", {"message": "boom"}))
    assert (reply.text, reply.failure) == ("a\ufffd", DarkAIAPIError)


@pytest.mark.parametrize("body", [b"data: {secret}\n", b"data: {secret\xff}\n"])
def test_the_cause_of_a_failure_does_not_hold_the_reply(body: bytes) -> None:
    failure = EventDecoder().feed(body).end
    assert isinstance(failure, StreamFailure)
    cause = failure.error.__cause__
    assert isinstance(cause, ValueError)
    assert cause.__traceback__ is None
    assert "secret" not in f"{cause!r} {cause.args} {vars(cause)}"


# Events over many lines, and what stands between them.
LONG = {
    "comments": (b"", b": x\n"),
    "comments in an event": (b'data: {"event": "text-chunk",\n', b": x\n"),
    "comments after a name without a colon": (b'data: {"event"\n', b': "x", "a"\n'),
    "comments after a string": (b'data: {"data": ["text"\n', b': "x"\n'),
    "blank lines in an event": (b'data: {"event": "text-chunk",\n', b"\n"),
    "lines of one event": (b'data: {"event": "text-chunk",\n', b'data: "a": 1,\n'),
    "lines of one string": (b'data: {"event": "text-chunk\n', b'data: "a"\n'),
}


@pytest.mark.parametrize("size", [20, 65_536])
@pytest.mark.parametrize("name", LONG)
def test_an_event_over_many_lines_takes_time_in_proportion_to_its_length(name: str, size: int) -> None:
    start, line = LONG[name]

    def decode(text: str) -> None:
        decoder = EventDecoder()
        for place in range(0, len(text), size):
            decoder.feed(text[place : place + size].encode())
        decoder.finish()

    assert_linear(decode, repeated(line.decode(), start.decode()), 10_000)
