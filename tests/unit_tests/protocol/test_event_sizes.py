"""Long lines, long events and long replies: read up to the limit, an error beyond it."""

import time

import pytest

from langchain_darkai.errors import DarkAIStreamDecodeError
from langchain_darkai.protocol import EventDecoder, StreamEnd, StreamFailure, encode_event
from tests.support.decoding import END, HEL, LO, NOTHING, chunk, raw_chunk, read, read_in_every_way

LIMIT = 100


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
def test_an_event_beyond_the_size_limit_is_an_error(rest: bytes) -> None:
    reply = read_in_every_way(HEL + rest, LIMIT)
    assert (reply.text, reply.failure) == ("Hel", DarkAIStreamDecodeError)
    assert f"longer than {LIMIT}" in reply.message


def test_a_reply_may_be_longer_than_the_limit_of_an_event() -> None:
    longest = chunk("x" * (LIMIT - len(chunk("").rstrip()))).rstrip()
    assert len(longest) == LIMIT
    body = (longest + b"\n") * 3 + END
    assert read_in_every_way(body, LIMIT).ended


def test_an_event_of_five_megabytes_on_one_line() -> None:
    text = "x" * 4_999_990 + '\n"é\\'
    body = HEL + chunk(text) + END
    decoder = EventDecoder()
    reads = [decoder.feed(body[start : start + 4096]) for start in range(0, len(body), 4096)]
    reads.append(decoder.finish())
    assert [read for read in reads if read != NOTHING] == [(["Hel"], None), ([text], None), ([], StreamEnd(None))]


def test_an_event_of_five_megabytes_on_many_lines() -> None:
    pieces = ["x" * 99] * 50_000
    body = b'data: {"event": "text-chunk", "data": {"text": "' + "\n".join(pieces).encode() + b'"}}\n' + END
    text = "\n".join(pieces)
    assert read(body[start : start + 4096] for start in range(0, len(body), 4096)).text == text


@pytest.mark.parametrize(
    "body",
    [
        chunk("Hello") * 2,
        chunk("Hell") + chunk("o") + chunk("Hello"),
        raw_chunk("Hé") + chunk("é") + chunk("12345"),
        raw_chunk("H😀") + chunk("67890"),
        chunk("H\ud83d") + chunk("\ude0067890"),
        encode_event("final-response", {"message": "1234567890"}),
        HEL + encode_event("final-response", {"message": "Hello67890"}),
    ],
)
def test_a_reply_is_read_up_to_its_limit_of_bytes(body: bytes) -> None:
    size = len(read([body + END]).text.encode())
    assert size == 10
    assert read_in_every_way(body + END, reply_limit=size).ended
    assert read_in_every_way(body + END, reply_limit=None).ended
    for rest in (b"", END, chunk("x"), b'data: {"event": "error"}\n'):
        reply = read_in_every_way(body + rest, reply_limit=size - 1)
        assert (reply.failure, reply.ended) == (DarkAIStreamDecodeError, False)
        assert "a reply of more than 9 bytes of text" in reply.message
        assert "max_reply_bytes" in reply.message
        assert len(reply.text.encode()) <= size - 1


def test_events_without_text_do_not_count_as_the_length_of_a_reply() -> None:
    body = (encode_event("search", {"hits": "x" * 50}) + b": ping\n") * 9 + HEL + LO + END
    assert read_in_every_way(body, reply_limit=5).text == "Hello"


def test_a_reply_of_more_than_its_default_limit_is_an_error() -> None:
    decoder = EventDecoder()
    event = chunk("x" * 2**20)
    ends = [decoder.feed(event).end for _ in range(65)]
    assert ends[:64] == [None] * 64
    assert isinstance(ends[64], StreamFailure)
    assert len(ends[64].error.partial_text) == 64 * 2**20


def test_many_final_responses_cost_no_more_after_a_long_text() -> None:
    def seconds(length: int) -> float:
        decoder = EventDecoder()
        decoder.feed(chunk("x" * length))
        many = encode_event("final-response", {"message": "x"}) * 2000
        started = time.process_time()
        decoder.feed(many)
        return time.process_time() - started

    short = min(seconds(1000) for _ in range(3))
    assert min(seconds(2_000_000) for _ in range(3)) < 10 * short + 0.05
