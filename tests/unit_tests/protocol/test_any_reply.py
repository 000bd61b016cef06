"""Properties of the decoder, on replies and on other bytes that Hypothesis makes up."""

import codecs
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_darkai.protocol import Usage
from tests.support.decoding import ANY_TEXT, END, HEL, LO, PIECE_SIZES, VALID_TEXT, Reply, cut, in_utf16, read

LINE_END = st.sampled_from([b"\n", b"\r", b"\r\n"])
OTHER_LINE = st.sampled_from([b"", b": ping", b":", b"id: 1", b"event: message", b"retry: 10", b"data:"])


@st.composite
def written(draw: st.DrawFn, event: dict[str, Any], *, may_be_raw: bool = True) -> bytes:
    """Return an event as some server writes it: on one line or several, with any line ends, other lines between."""
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
def transcripts(draw: st.DrawFn) -> tuple[bytes, str, Usage | None]:
    """Return a complete reply's bytes, text and usage."""
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
    counts = None if usage is None else Usage(input_tokens=usage[0], output_tokens=usage[1], total_tokens=sum(usage))
    events.append({"event": "stream-end", "data": {"usage": counts} if draw(st.booleans()) or counts else {}})
    body = b"".join(draw(written(event, may_be_raw=not has_halves)) for event in events)
    bom = draw(st.sampled_from([b"", codecs.BOM_UTF8]))
    return bom + body, in_utf16(text), counts


@settings(max_examples=300, deadline=None)
@given(transcripts(), PIECE_SIZES, st.data())
def test_any_reply_reads_the_same_in_any_pieces(
    transcript: tuple[bytes, str, Usage | None], sizes: list[int], data: st.DataObject
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
def test_any_bytes_lead_to_exactly_one_end_or_failure(body: bytes, sizes: list[int]) -> None:
    assert read(cut(body, sizes)) == read([body]) == read(body[i : i + 1] for i in range(len(body)))
