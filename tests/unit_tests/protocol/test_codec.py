"""Requests and events: read back as they were written, or refused."""

import codecs
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.protocol import ChatRequest, decode_request, encode_event, encode_request
from tests.support.decoding import ANY_TEXT, JOINED_TEXT, chunk, in_utf16, read


def test_a_request_without_parameters_has_two_members() -> None:
    assert encode_request("Hi", "gpt-4o") == b'{"query": "Hi", "model": "gpt-4o"}'
    assert encode_request("Hi", "gpt-4o", {}) == encode_request("Hi", "gpt-4o", None) == encode_request("Hi", "gpt-4o")


def test_the_request_of_another_client_is_read() -> None:
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
def test_a_body_that_is_no_request_is_refused_with_a_reason(body: bytes, words: str) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=words) as raised:
        decode_request(body)
    assert len(str(raised.value)) < 300


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


@settings(max_examples=200, deadline=None)
@given(st.lists(ANY_TEXT, max_size=4))
def test_events_are_read_as_they_were_written(texts: list[str]) -> None:
    end = encode_event("stream-end", {"usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}})
    body = b"".join(map(chunk, texts)) + end
    assert body.isascii()
    assert body.count(b"\n\n") == len(texts) + 1
    assert read([body])[:2] == (in_utf16("".join(texts)), True)
