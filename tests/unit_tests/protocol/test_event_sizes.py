"""Long lines and long events: read up to the limit, an error beyond it."""

import pytest

from langchain_darkai.errors import DarkAIStreamDecodeError
from langchain_darkai.protocol import EventDecoder, StreamEnd
from tests.support.decoding import END, HEL, NOTHING, chunk, raw_chunk, read, read_in_every_way

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
