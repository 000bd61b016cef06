"""Secrets in recordings: none stays, wherever it stands and however a response is cut; all other text stays."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_darkai.testing.cassette import Piece
from langchain_darkai.testing.masking import Masker, is_name_of_secret

KEYS = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_./+=", min_size=8, max_size=30)
WORDS = st.text("éñ世🎉 \n{}\",:'", max_size=15)


def cut(content: bytes, places: list[int]) -> list[Piece]:
    ends = sorted({place % (len(content) + 1) for place in places} | {len(content)} - {0})
    starts = [0, *ends[:-1]]
    return [Piece(1.0, content[start:end]) for start, end in zip(starts, ends, strict=True) if end > start]


@settings(deadline=None, max_examples=50)
@given(KEYS, WORDS, WORDS, st.lists(st.integers(0, 1000), max_size=6))
def test_a_key_is_masked_in_a_response_however_it_is_cut(key: str, before: str, after: str, places: list[int]) -> None:
    masker = Masker()
    masker.learn({"authorization": f"Bearer {key}"}, "/chat", None)
    pieces = cut(f"{before}{key}{after}{key}".encode(), places)
    masked = masker.pieces(pieces)
    assert b"".join(piece.data for piece in masked).decode() == f"{before}***{after}***"
    assert all(piece.data for piece in masked)
    assert sum(piece.after for piece in masked) <= len(pieces)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(min_size=1), max_size=5))
def test_a_response_without_secrets_stays_as_it_is(contents: list[bytes]) -> None:
    masker = Masker(["not in there, since it is long"])
    pieces = [Piece(0.5, content) for content in contents]
    assert masker.pieces(pieces) == pieces


@settings(deadline=None, max_examples=50)
@given(KEYS, WORDS, WORDS)
def test_a_key_of_a_header_is_masked_in_the_url_and_the_body(key: str, before: str, after: str) -> None:
    masker = Masker()
    masker.learn({"x-api-key": key}, "/chat", None)
    body: Any = {"query": f"{before}{key}{after}", "metadata": [{"note": key, "n": 1}]}
    assert masker.value(body) == {"query": f"{before}***{after}", "metadata": [{"note": "***", "n": 1}]}
    assert masker.target(f"/{key}/chat") == "/***/chat"
    assert masker.headers({"x-other": f"a {key}"}) == {"x-other": "a ***"}


def test_names_tell_secrets_in_headers_parameters_and_members() -> None:
    masker = Masker()
    body = {"api_key": "k-in-body-1", "nested": [{"accessToken": "t-in-body-2"}], "max_tokens": 5, "keyword": "tea"}
    headers = {"authorization": "Bearer k-header-3", "cookie": "a=cookie-4; b=cookie-5", "x-trace": "t k-in-body-1"}
    target = "/chat?key=k-in-url-6&lang=en&empty_key="
    masker.learn(headers, target, body)
    assert masker.headers(headers) == {"authorization": "***", "cookie": "***", "x-trace": "t ***"}
    assert masker.target(target) == "/chat?key=***&lang=en&empty_key="
    assert masker.value(body) == {
        "api_key": "***",
        "nested": [{"accessToken": "***"}],
        "max_tokens": 5,
        "keyword": "tea",
    }
    said = "k-in-body-1 t-in-body-2 k-header-3 cookie-4 cookie-5 k-in-url-6"
    assert masker.text(said) == " ".join(["***"] * 6)
    assert masker.value(said.encode()) == b" ".join([b"***"] * 6)


def test_a_short_key_is_masked_in_its_place_only() -> None:
    masker = Masker()
    masker.learn({"authorization": "Bearer abc"}, "/chat?token=xy", {"password": "tea"})
    assert masker.headers({"authorization": "Bearer abc"}) == {"authorization": "***"}
    assert masker.target("/chat?token=xy") == "/chat?token=***"
    assert masker.value({"password": "tea", "query": "abc, xy, tea"}) == {"password": "***", "query": "abc, xy, tea"}


def test_the_word_before_a_key_is_no_secret() -> None:
    masker = Masker()
    masker.learn({"authorization": "Bearer sk-123456"}, "/chat", None)
    assert masker.text("Bearer of the key") == "Bearer of the key"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("authorization", True),
        ("x-api-key", True),
        ("APIKey", True),
        ("client_secret", True),
        ("Set-Cookie", True),
        ("password", True),
        ("max_tokens", False),
        ("keyword", False),
        ("author", False),
        ("query", False),
    ],
)
def test_names_of_secrets(name: str, expected: bool) -> None:
    assert is_name_of_secret(name) == expected
