"""Recordings as YAML: whatever was recorded is read back, and people can read it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_darkai.testing import CassetteError
from langchain_darkai.testing.cassette import (
    Exchange,
    Piece,
    RecordedRequest,
    RecordedResponse,
    body_of,
    dump,
    load,
    parse,
    save,
)

TEXTS = st.text() | st.text("ab :-#'\"\n\t\\|>é\x85\u2028\ufeff\x00🎉", max_size=40)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1)
VALUES = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"))
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)
CONTENTS = st.binary(min_size=1, max_size=40) | TEXTS.filter(bool).map(
    lambda text: text.encode(errors="ignore") or b"x"
)
REQUESTS = st.builds(
    RecordedRequest,
    st.sampled_from(["POST", "GET"]),
    TEXTS,
    st.dictionaries(NAMES, VALUES, max_size=3),
    JSON.map(lambda value: {"query": value}) | TEXTS.filter(bool) | st.binary(min_size=1),
)
SECONDS = st.floats(0, 1000).map(lambda seconds: round(seconds, 3))
RESPONSES = st.builds(
    RecordedResponse,
    st.integers(0, 599),
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.lists(st.builds(Piece, SECONDS, CONTENTS), max_size=4).map(tuple),
    st.sampled_from(["complete", "broken", "left"]),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.builds(Exchange, REQUESTS, RESPONSES), max_size=3))
def test_what_is_written_is_read_back(exchanges: list[Exchange]) -> None:
    assert parse(dump(exchanges)) == exchanges


@settings(deadline=None)
@given(JSON.map(lambda value: {"query": value}))
def test_a_body_of_json_is_kept_as_its_value(value: Any) -> None:
    assert body_of(json.dumps(value).encode()) == value


@settings(deadline=None)
@given(st.binary())
def test_any_other_body_is_kept_too(content: bytes) -> None:
    body = body_of(content)
    if isinstance(body, str | bytes | None):
        assert (body.encode() if isinstance(body, str) else body or b"") == content
    else:
        assert body == json.loads(content)


@pytest.mark.parametrize("content", [b'{"a": NaN}', b"[" * 100 + b"]" * 100, b'"text"', b"7"])
def test_a_body_that_yaml_has_no_value_for_is_kept_as_text(content: bytes) -> None:
    assert body_of(content) == content.decode()


def test_prompts_and_events_are_lines_in_the_file(tmp_path: Path) -> None:
    event = b'data: {"event": "stream-end"}\n\n'
    request = RecordedRequest("POST", "/chat", {}, {"query": "System: Be brief.\nUser: if x:\n    y\nAssistant:"})
    exchange = Exchange(request, RecordedResponse(200, {}, (Piece(0.1, event),)))
    path = tmp_path / "new" / "folder" / "chat.yaml"
    save(path, [exchange])
    text = path.read_text(encoding="utf-8")
    for line in ["System: Be brief.", "User: if x:", "    y", "Assistant:"]:
        assert f"\n        {line}\n" in text
    assert '\n        data: {"event": "stream-end"}\n' in text
    assert load(path) == [exchange]
    assert [file.name for file in path.parent.iterdir()] == ["chat.yaml"]


def test_what_a_file_leaves_out_has_defaults() -> None:
    [exchange] = parse("- {request: {method: GET, path: /}, response: {status: 200, body: [{data: Hi}]}}")
    assert exchange == Exchange(RecordedRequest("GET", "/"), RecordedResponse(200, {}, (Piece(0, b"Hi"),)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no YAML"),
        ("\x00", "no YAML"),
        ("a: 1", "a list of exchanges"),
        ("- 1", "Exchange 1 is no request"),
        ("- {request: {method: GET, path: /}}", "Exchange 1 .*response"),
        ("- {request: {method: GET, path: /}, response: {status: 200, end: never}}", "end is 'never'"),
        ("- {request: {method: GET, path: /, headers: {a: 'b\n\n  c'}}, response: {status: 200}}", "line end"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "chat.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CassetteError, match=f"(?s)chat.yaml: .*{said}"):
        load(path)


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Make one with a Recorder"):
        load(tmp_path / "none.yaml")
