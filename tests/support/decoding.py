"""Read a reply's bytes with the decoder, in every cut; and texts and bytes to try it on."""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from langchain_darkai.errors import DarkAIError
from langchain_darkai.protocol import (
    MAX_EVENT_BYTES,
    MAX_REPLY_BYTES,
    Decoded,
    EventDecoder,
    FinishReason,
    ReasoningText,
    StreamEnd,
    StreamFailure,
    Usage,
    encode_event,
)

END = b'data: {"event": "stream-end", "data": {}}'
HEL = b'data: {"event": "text-chunk", "data": {"text": "Hel"}}\n'
LO = b'data: {"event": "text-chunk", "data": {"text": "lo"}}\n'
NOTHING = Decoded([], None)


class Reply(NamedTuple):
    """What a decoder made of one body."""

    text: str
    ended: bool
    usage: Usage | None
    failure: type[DarkAIError] | None
    message: str
    status: int | None
    retry_after: float | None
    thoughts: str = ""
    finish_reason: FinishReason | None = None


def read(pieces: Iterable[bytes], limit: int = MAX_EVENT_BYTES, reply_limit: int | None = MAX_REPLY_BYTES) -> Reply:
    """Return what a decoder makes of a body that comes in these pieces, and check what holds for every reply."""
    decoder, by_event = (
        EventDecoder("example.org", per_event=per_event, max_event_bytes=limit, max_reply_bytes=reply_limit)
        for per_event in (False, True)
    )
    texts: list[str] = []
    thoughts: list[str] = []
    ends: list[StreamEnd | StreamFailure] = []
    for data in [*pieces, None]:
        assert decoder.ended == by_event.ended == bool(ends)
        decoded, events = (d.finish() if data is None else d.feed(data) for d in (decoder, by_event))
        assert not ends or decoded == events == NOTHING, "something after the end"
        assert all(decoded.texts + events.texts), "an empty piece of text"
        assert decoded.texts == _joined(events.texts)
        assert repr(decoded.end) == repr(events.end)
        texts += [text for text in decoded.texts if isinstance(text, str)]
        thoughts += [text.text for text in decoded.texts if isinstance(text, ReasoningText)]
        ends += [decoded.end] if decoded.end else []
        assert decoder.text == by_event.text == "".join(texts)
    assert decoder.ended
    assert by_event.ended
    assert decoder.feed(HEL) == by_event.feed(HEL) == decoder.finish() == by_event.finish() == NOTHING
    text = "".join(texts)
    (end,) = ends
    if isinstance(end, StreamEnd):
        return Reply(text, True, end.usage, None, "", None, None, "".join(thoughts), end.finish_reason)
    assert isinstance(end, StreamFailure)
    assert end.error.partial_text == text
    assert "example.org" in str(end.error)
    error = end.error
    return Reply(text, False, None, type(error), str(error), error.status, error.retry_after, "".join(thoughts), None)


def _joined(texts: Sequence[str | ReasoningText]) -> list[str | ReasoningText]:
    """Return the texts of events, those between thoughts as one."""
    groups = itertools.groupby(texts, key=lambda text: isinstance(text, str))
    joined: list[str | ReasoningText] = []
    for is_text, group in groups:
        joined += ["".join(text for text in group if isinstance(text, str))] if is_text else group
    return joined


def read_in_every_way(body: bytes, limit: int = MAX_EVENT_BYTES, reply_limit: int | None = MAX_REPLY_BYTES) -> Reply:
    """Return what a decoder makes of a body: the same whole, byte by byte, with empty reads, and cut at every point."""
    whole = read([body], limit, reply_limit)
    single = [body[i : i + 1] for i in range(len(body))]
    assert read(single, limit, reply_limit) == whole
    assert read(itertools.chain.from_iterable((b"", byte) for byte in single), limit, reply_limit) == whole
    for cut in range(1, len(body)):
        assert read([body[:cut], body[cut:]], limit, reply_limit) == whole, f"cut at {cut}: {body[:cut]!r}"
    return whole


def chunk(text: str) -> bytes:
    return encode_event("text-chunk", {"text": text})


def raw_chunk(text: str) -> bytes:
    """Return a text chunk of a server that does not escape non-ASCII characters."""
    return (
        b"data: " + json.dumps({"event": "text-chunk", "data": {"text": text}}, ensure_ascii=False).encode() + b"\n\n"
    )


def in_utf16(text: str) -> str:
    """Return a text with each lone surrogate replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# Texts with what is special somewhere on the way: line ends, JSON's marks, halves of characters, the wire's own words.
WORDS = st.sampled_from('data:| |\n|\r\n|\r|"|\\|{|}|[|:|\u2028|\x85|\0|\ud83d|\ude00|é|😀|\ufeff|hello '.split("|"))
ANY_TEXT = st.lists(WORDS | st.text(st.characters(exclude_categories=()), max_size=4), max_size=6).map("".join)
VALID_TEXT = ANY_TEXT.map(in_utf16)
# JSON joins two halves that stand side by side; one alone stays.
JOINED_TEXT = ANY_TEXT.map(lambda text: text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass"))
PIECE_SIZES = st.lists(st.integers(1, 60), max_size=30)


def cut(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Return a body in pieces of these sizes, and one last piece."""
    points = [0, *itertools.accumulate(sizes)]
    return [body[start:end] for start, end in zip(points, [*points[1:], None], strict=True)]
