"""What the evals count with: replies to the leaderboard's prompt, kept replies, and the page of results."""

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from jsonschema import Draft202012Validator
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from evals import branches, tables
from evals.leaderboard import Question, calls_in
from evals.proxy import Proxy, Tally
from langchain_darkai._tool_calls.tools import tool_from
from langchain_darkai.testing import wire
from tests.support.asker import Serve


@pytest.mark.parametrize(
    ("reply", "calls"),
    [
        ("[add(a=1, b=-2)]", [("add", {"a": 1, "b": -2})]),
        ("add(a=1)", [("add", {"a": 1})]),
        ("```\n[math.add(a=[1.5, 'x'], b={'c': True})]\n```", [("math.add", {"a": [1.5, "x"], "b": {"c": True}})]),
        ("[a(), b(n=2 * 3 + 1, m=(1, 2))]", [("a", {}), ("b", {"n": 7, "m": (1, 2)})]),
        ("[]", []),
        ("", []),
    ],
)
def test_calls_are_read_as_the_leaderboards_prompt_asks_for_them(reply: str, calls: list[Any]) -> None:
    assert calls_in(reply) == calls


@pytest.mark.parametrize(
    "reply",
    ["I cannot do that.", "[add(a=1", "[1, 2]", "[add(a=9**9**9)]", "[add(a=open('x') + 1)]", "[add(a=lambda: 1)]"],
)
def test_what_is_no_list_of_calls_is_refused_and_nothing_in_it_runs(reply: str) -> None:
    with pytest.raises(ValueError, match=r"This is no|cannot be|is no call"):
        calls_in(reply)


def post(url: str, body: bytes) -> Any:
    with urlopen(Request(f"{url}/v1/chat", body), timeout=10) as response:
        return json.load(response)


def test_a_question_that_was_asked_before_is_answered_from_the_folder(serve: Serve, tmp_path: Path) -> None:
    body = json.dumps({"usage": {"prompt_tokens": 11, "completion_tokens": 3}})
    upstream = serve(wire.answer(200, body))
    with Proxy(lambda: upstream.url, "model", tmp_path / "kept") as proxy:
        first = post(proxy.url("a"), b'{"x": 1, "y": 2}')
        assert post(proxy.url("b"), b'{"y": 2, "x": 1}') == first == json.loads(body)
        assert proxy.tally("a") == proxy.tally("b") == Tally(requests=1, prompt_tokens=11, completion_tokens=3)
        proxy.forget("a")
        assert proxy.tally("a") == Tally()
    assert len(upstream.calls) == 1


def test_the_results_of_a_model_take_the_place_of_its_last_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "README.md"
    page.write_text("# Evals\n<!-- results -->\n<!-- end -->\nEnd.\n", encoding="utf-8")
    monkeypatch.setattr(tables, "README", page)
    for model, text in (("a", "one"), ("b", "two"), ("a", "three")):
        tables.record(model, f"### {model}\n\n{text}\n")
    shown = page.read_text(encoding="utf-8")
    assert shown == "# Evals\n<!-- results -->\n\n### a\n\nthree\n\n### b\n\ntwo\n\n<!-- end -->\nEnd.\n"


FUNCTIONS = [
    {
        "name": name,
        "description": "A function.",
        "parameters": {"type": "dict", "properties": {"a": {"type": "integer"}}},
    }
    for name in ("add", "double")
]
QUESTION = Question("q", "multiple", [{"role": "user", "content": "Double 2."}], FUNCTIONS, None)
CALL, PROSE = {"name": "double", "arguments": {"a": 2}}, {"answer": "It is 4."}


@pytest.mark.parametrize(
    ("way", "reply", "calls"),
    [
        ("branches", CALL, [("double", {"a": 2})]),
        ("branches-list", [CALL, CALL], [("double", {"a": 2})] * 2),
        ("branches", PROSE, []),
        ("branches-list", PROSE, []),
    ],
)
def test_a_reply_of_a_branch_is_calls_or_prose(way: str, reply: Any, calls: list[Any]) -> None:
    text = json.dumps(reply)
    model = GenericFakeChatModel(messages=iter([AIMessage(text)]))
    assert branches.ask(model, QUESTION, way) == (calls, text)


@pytest.mark.parametrize(
    ("reply", "alone", "listed"), [(CALL, True, False), ([CALL], False, True), (PROSE, True, True)]
)
def test_a_schema_with_branches_takes_calls_of_the_tools_or_prose(reply: Any, alone: bool, listed: bool) -> None:
    tools = tuple(map(tool_from, QUESTION.tools))
    for as_list, is_taken in ((False, alone), (True, listed)):
        schema = Draft202012Validator(branches.schema(tools, as_list=as_list))
        assert schema.is_valid(reply) is is_taken
        assert not schema.is_valid({"name": "other", "arguments": {}})
        assert not schema.is_valid([])
