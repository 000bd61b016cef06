"""Whichever library reads an event, the reply is the same: orjson, or the standard library alone."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_darkai.errors import DarkAIError
from langchain_darkai.protocol import EventDecoder, ReasoningText, StreamEnd, StreamFailure, encode_event

DEEP = "[" * 2000 + "]" * 2000  # more than any of them reads

# Parts of an event that the two libraries read in different ways, or that one of them does not read.
ODD_VALUES = (
    *("NaN", "-Infinity", "1e999", "-0", "01", "1.", "2e-400", "9" * 400, "9" * 5000, f"{2**64}", f"{-(2**63) - 1}"),
    *('"\\ud800"', '"\\udfff x"', '"\\ud83d\\ude00"', '"\\x41"', '"\\u00zz"', '"a\tb"', '"a\x00b"', '"\x7f\u2028"'),
    *('{"a": 1, "a": 2}', '{"a": 1,}', "[1, 2,]", "{1: 2}", "tru", "", "\ufeff", "'a'", "[[[[{}]]]]", DEEP, "\xa0{}"),
    *('{"text": 1}', '{"text": null}', '{"text": "b", "text": "a"}', '{"text": "a"}, {"text": "b"}', '[{"text": "a"}'),
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
).map(json.dumps) | st.sampled_from(ODD_VALUES)
NAMES = st.sampled_from(["text-chunk", "reasoning-chunk", "final-response", "error", "ping"])
STRINGS = st.text(st.characters(), max_size=6)
TEXTS = st.builds(lambda text, ascii_only: json.dumps(text, ensure_ascii=ascii_only), STRINGS, st.booleans())
DATA = VALUES | (TEXTS | VALUES).map(lambda text: f'{{"text": {text}, "message": {text}}}')
USAGE = st.builds('{{"usage": {{"input_tokens": {}, "output_tokens": {}}}}}'.format, VALUES, VALUES)
EVENTS = st.one_of(
    st.builds('{{"event": "{}", "data": {}}}'.format, NAMES, DATA),
    st.builds('{{"event": {}, "data": {}}}'.format, VALUES, DATA),
    st.builds('{{"event": "text-chunk", "extra": {}, "data": {{"text": {}}}}}'.format, VALUES, TEXTS),
    st.builds('{{"event": "stream-end", "data": {}}}'.format, USAGE),
    TEXTS.map('{{"event": "text-chunk", "data": {{"text": {}}}}}'.format),
)
LINES = st.builds(
    lambda field, event, end: f"{field}{event}{end}".encode("utf-8", "surrogatepass"),
    st.sampled_from(["data: "] * 5 + ["data:", "data:  ", ""]),
    EVENTS,
    st.sampled_from(["\n\n"] * 5 + ["\n", "\r\n\r\n", " \n\n", ""]),
)


@contextmanager
def without_orjson() -> Iterator[None]:
    """Let the standard library read everything."""
    refusing = SimpleNamespace(loads=mock.Mock(side_effect=ValueError))
    with mock.patch("langchain_darkai.protocol._event_json.orjson", refusing):
        yield


def outcome(pieces: list[bytes], **settings: Any) -> tuple[list[str | ReasoningText], object]:
    """Return all that a decoder makes of pieces of a reply: its texts, and how it ends."""
    decoder = EventDecoder(**settings)
    results = [*map(decoder.feed, pieces), decoder.finish()]
    texts = [text for result in results for text in result.texts]
    (end,) = [result.end for result in results if result.end]
    return texts, shown(end)


def shown(end: StreamEnd | StreamFailure) -> object:
    if not isinstance(end, StreamFailure):
        return end
    error: DarkAIError = end.error
    facts = (error.partial_text, error.status, error.retry_after)
    return type(error), str(error), facts, type(error.__cause__), str(error.__cause__)


@settings(deadline=None)
@given(
    lines=st.lists(LINES, max_size=6),
    broken=st.none() | st.tuples(st.integers(0, 200), st.binary(max_size=2)),
    cuts=st.lists(st.integers(0, 300), max_size=3),
    per_event=st.booleans(),
    room=st.sampled_from([None, 3, 10]),
)
@example([b'data: {"event": "a", "data": [{"b": 1}\n\n', b'data: {"c": 1}]}\n\n'], None, [], False, None)
def test_orjson_changes_nothing(
    lines: list[bytes], broken: tuple[int, bytes] | None, cuts: list[int], per_event: bool, room: int | None
) -> None:
    body = b"".join(lines)
    if broken is not None:
        body = body[: broken[0]] + broken[1] + body[broken[0] + len(broken[1]) :]
    places = sorted({0, *cuts, len(body)})
    pieces = [body[start:end] for start, end in itertools.pairwise(places)]
    limits = {"per_event": per_event, "max_reply_bytes": room}
    found = outcome(pieces, **limits)
    with without_orjson():
        expected = outcome(pieces, **limits)
    assert found == expected


TEXT = '{"event": "text-chunk", "data": {"text": "a"}}'
OPEN, REST = '{"event": "text-chunk", "data": {"text": "a"}, "x": [{"b": 1}', '{"c": 1}]}'


@pytest.mark.parametrize(
    "lines",
    [
        [f"{TEXT}, {TEXT}"],
        [f"{TEXT},{TEXT}", OPEN, REST],  # as many objects as lines
        [f"{TEXT} ,\t{TEXT}", TEXT, OPEN, REST],
        [f"{TEXT}, 1, {TEXT}", OPEN, REST],
        [OPEN, REST],
        [TEXT, OPEN, REST],
        [TEXT + TEXT],
        [TEXT, "{}"],
        [TEXT, '{"event": "text-chunk", "data": "text"}'],
        [TEXT, '{"event": "text-chunk", "data": {"text": 1}}'],
        [TEXT, '{"event": "text-chunk", "data": {"text": null}}'],
        [TEXT, f'{{"event": "text-chunk", "data": {{"text": "b", "extra": {DEEP}}}}}'],
    ],
)
@pytest.mark.parametrize("separator", ["\n", "\n\n", "\n\n\n"])
def test_lines_that_are_decoded_together_are_as_when_each_comes_alone(lines: list[str], separator: str) -> None:
    pieces = [f"data: {line}{separator}".encode() for line in lines]
    assert_joined_is_as_each_alone(pieces)
    assert outcome([b"".join(pieces)], per_event=True) == outcome(pieces, per_event=True)


def assert_joined_is_as_each_alone(pieces: list[bytes]) -> None:
    together, alone = read([b"".join(pieces)]), read(pieces)
    assert together == alone


def read(pieces: list[bytes]) -> tuple[str, object]:
    texts, end = outcome(pieces)
    return "".join(map(str, texts)), end


# Texts as they stand between the quotes of an event: what does not end where it seems to, and what is not JSON.
RAW_TEXTS = st.sampled_from(
    [
        *("a", "", " ", "\\n", '\\"', "\\\\", "\\\\u12", "\\u00e9", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\u00e9"),
        *(
            "\\",
            "\\u",
            "\\u1",
            "\\u12",
            "\\u123",
            "123",
            "n",
            "x",
            '"',
            '","x":"b',
            '"}',
            "\t",
            "\x00",
            "\ufeff",
            "\u2028",
        ),
        *(
            '"}}\n\n',
            '"}}\n\ndata: ',
            '"}}\n\n: ping\n\n',
            '"}, "text": "b"',
            '"}}, {"event": "text-chunk", "data": {"text": "',
        ),
    ]
)
FORM = '{{"event": "text-chunk", "data": {{"text": "{}"}}}}'
FORMS = st.sampled_from(
    [
        FORM,
        '{{"event":"text-chunk","data":{{"text":"{}"}}}}',
        '{{"event":\xa0"text-chunk","data":{{"text":"{}"}}}}',
        '{{"data": {{"text": "{}"}}, "event": "text-chunk"}}',
        '{{"event": "text-chunk", "data": {{"text": "{}"}}, "id": 1}}',
        '{{"event": "text-chunk",\n"data": {{"text": "{}"}}}}',
        '{{"event": "reasoning-chunk", "data": {{"text": "{}"}}}}',
    ]
)


@settings(deadline=None, max_examples=1000)
@given(
    FORMS, st.lists(RAW_TEXTS, min_size=1, max_size=6), st.none() | FORMS, st.sampled_from(["\n", "\n\n", "\r\n\r\n"])
)
@example(FORM, ["\\u12", "34", "a"], None, "\n\n")
@example(FORM, ["a", '","text":"b', "c"], None, "\n\n")
@example(FORM, ["\\", "n", "c"], None, "\n\n")
def test_texts_that_are_decoded_together_are_as_when_each_comes_alone(
    form: str, texts: list[str], last: str | None, separator: str
) -> None:
    lines = [*(form.format(text) for text in texts), *([] if last is None else [last.format("z")])]
    assert_joined_is_as_each_alone([f"data: {line}{separator}".encode() for line in lines])


@pytest.mark.parametrize("count", [2**64, 10**30])
def test_a_count_of_more_than_64_bits_stays_a_whole_number(count: int) -> None:
    decoder = EventDecoder()
    end = decoder.feed(
        encode_event("stream-end", {"usage": {"input_tokens": count, "output_tokens": 1, "total_tokens": count + 1}})
    ).end
    assert end == StreamEnd({"input_tokens": count, "output_tokens": 1, "total_tokens": count + 1})
