"""Thoughts as events of their own, why a model stopped, and the details of its usage: there and back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_darkai.errors import DarkAIStreamDecodeError
from langchain_darkai.protocol import (
    EventDecoder,
    ReasoningText,
    StreamEnd,
    StreamFailure,
    Usage,
    encode_event,
    encode_reply_event,
)
from tests.support.decoding import END, HEL, LO, chunk, read_in_every_way

COUNTS = st.integers(min_value=0, max_value=10**9)
DETAILS = st.dictionaries(st.sampled_from(["cache_read", "audio", "reasoning"]), COUNTS, min_size=1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
PARTS = st.lists(TEXTS | TEXTS.map(ReasoningText))
USAGES = st.fixed_dictionaries(
    {"input_tokens": COUNTS, "output_tokens": COUNTS, "total_tokens": COUNTS},
    optional={"input_token_details": DETAILS, "output_token_details": DETAILS},
)
ENDS = st.builds(
    StreamEnd, st.none() | USAGES, st.sampled_from([None, "stop", "length", "tool_calls", "content_filter"])
)


def thought(text: Any) -> bytes:
    return encode_event("reasoning-chunk", {"text": text})


@given(PARTS, ENDS)
def test_what_a_server_writes_is_what_a_client_reads(parts: list[str | ReasoningText], end: StreamEnd) -> None:
    decoder = EventDecoder(per_event=True)
    decoded = decoder.feed(b"".join(map(encode_reply_event, [*parts, end])))
    assert decoded.texts == parts
    assert decoded.end == end
    assert decoder.text == "".join(part for part in parts if isinstance(part, str))


def test_thoughts_are_no_text_and_keep_their_place() -> None:
    body = thought("Hm, ") + HEL + thought("yes.") + LO + END
    reply = read_in_every_way(body)
    assert (reply.text, reply.thoughts) == ("Hello", "Hm, yes.")
    assert EventDecoder().feed(body).texts == [ReasoningText("Hm, "), "Hel", ReasoningText("yes."), "lo"]


@pytest.mark.parametrize("text", ["", None, 1, ["a"]])
def test_a_thought_that_is_none_costs_nothing(text: Any) -> None:
    reply = read_in_every_way(thought(text) + encode_event("reasoning-chunk", {}) + HEL + LO + END)
    assert (reply.text, reply.thoughts, reply.ended) == ("Hello", "", True)


def test_half_a_character_in_a_thought_is_replaced_and_a_text_around_it_is_not_broken() -> None:
    body = chunk("\ud83d") + thought("a\ud83d") + chunk("\ude00") + END
    reply = read_in_every_way(body)
    assert (reply.text, reply.thoughts) == ("\U0001f600", "a\ufffd")


def test_thoughts_count_towards_the_longest_reply() -> None:
    decoded = EventDecoder(max_reply_bytes=10).feed(HEL + thought("\u00e9" * 4))
    assert isinstance(decoded.end, StreamFailure)
    assert isinstance(decoded.end.error, DarkAIStreamDecodeError)
    assert decoded.end.error.partial_text == "Hel"


def test_a_whole_text_at_the_end_is_compared_with_the_text_alone() -> None:
    body = HEL + thought("Hm.") + encode_event("final-response", {"message": "Hello"}) + END
    assert read_in_every_way(body).text == "Hello"


@pytest.mark.parametrize("reason", ["because", 1, None, ["stop"]])
def test_an_unknown_reason_is_none(reason: Any) -> None:
    end = EventDecoder().feed(encode_event("stream-end", {"finish_reason": reason})).end
    assert end == StreamEnd()


@pytest.mark.parametrize("details", [3, [], {"reasoning": "2"}, {"reasoning": -1}, {"reasoning": True}, {"a": 1.5}])
def test_wrong_details_do_not_cost_the_counts(details: Any) -> None:
    counts = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    event = encode_event("stream-end", {"usage": {**counts, "output_token_details": details}})
    assert EventDecoder().feed(event).end == StreamEnd(Usage(input_tokens=1, output_tokens=2, total_tokens=3))


def test_other_clients_can_skip_thoughts_by_their_name() -> None:
    assert json.loads(thought("Hm.").removeprefix(b"data: "))["event"] == "reasoning-chunk"
