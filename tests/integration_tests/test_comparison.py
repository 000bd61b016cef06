"""What docs/comparison.md says of this package and of two others is so, and each of its rows names the test.

The others ask a scripted server by their own protocols. ChatDarkAI is over the very same model.
"""

import copy
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.exceptions import ModelError, ModelRateLimitError, OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from langchain_darkai import ChatDarkAI, DarkAIToolChoiceError
from langchain_darkai.server import LocalServer
from tests.support.scripted_engine import Refusal, ScriptedEngine

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")

Make = Callable[[str], BaseChatModel]


class City(BaseModel):
    name: str
    inhabitants: int


SCHEMA = City.model_json_schema()
GOOD = '{"name": "Paris", "inhabitants": 2}'
WRONG = '{"name": "Paris", "inhabitants": "two"}'
CUT = '{"name": "Paris", "inhab'
PROSE = [f"Sure! {GOOD}", f'<think>Is it {{"name": "Rome", "inhabitants": 3}}?</think>{GOOD}']


def now() -> str:
    """Tell the time."""
    return "noon"


def openai(url: str, **settings: Any) -> ChatOpenAI:
    key = SecretStr("none")
    return ChatOpenAI(model="m", base_url=f"{url}/v1", api_key=key, max_retries=0, streaming=True, **settings)


def ollama(url: str, **settings: Any) -> ChatOllama:
    return ChatOllama(model="m", base_url=url, **settings)


both = pytest.mark.parametrize("other", [openai, ollama])


@both
def test_a_call_that_a_model_writes_as_text(other: Make) -> None:
    with ScriptedEngine([['<tool_call>{"name": "now", "arguments": {}}</tool_call>']]) as engine:
        alone: Any = other(engine.url).bind_tools([now]).invoke("What time is it?")
        over = ChatDarkAI.over(other(engine.url)).bind_tools([now]).invoke("What time is it?")
    assert alone.tool_calls == []
    assert [call["name"] for call in over.tool_calls] == ["now"]


@both
def test_a_required_call_that_is_missing(other: Make) -> None:
    with ScriptedEngine([["It is late."]]) as engine:
        alone: Any = other(engine.url).bind_tools([now], tool_choice="any").invoke("What time is it?")
        assert ("tool_choice" in engine.asked[0]) == (other is openai)
        with pytest.raises(DarkAIToolChoiceError):
            ChatDarkAI.over(other(engine.url)).bind_tools([now], tool_choice="any").invoke("What time is it?")
    assert (alone.text, alone.tool_calls) == ("It is late.", [])
    assert len(engine.asked) == 1 + 2


@both
def test_a_wrong_answer_is_asked_for_again(other: Make) -> None:
    with ScriptedEngine([[WRONG], [WRONG], [GOOD]]) as engine:
        with pytest.raises(ValueError, match="valid integer"):
            other(engine.url).with_structured_output(City, method="json_schema").invoke("Paris?")
        assert ChatDarkAI.over(other(engine.url)).with_structured_output(City).invoke("Paris?").inhabitants == 2
    assert len(engine.asked) == 1 + 2


@both
@pytest.mark.parametrize("reply", [WRONG, CUT])
def test_an_answer_that_is_not_valid_against_a_json_schema(other: Make, reply: str) -> None:
    with ScriptedEngine([[reply]]) as engine:
        answer = other(engine.url).with_structured_output(SCHEMA, method="json_schema").invoke("Paris?")
        assert answer in ({"name": "Paris", "inhabitants": "two"}, {"name": "Paris"})
        with pytest.raises(OutputParserException):
            ChatDarkAI.over(other(engine.url)).with_structured_output(SCHEMA).invoke("Paris?")


@both
@pytest.mark.parametrize("reply", PROSE)
def test_an_answer_in_prose_or_after_thoughts(other: Make, reply: str) -> None:
    with ScriptedEngine([[reply]]) as engine:
        with pytest.raises(ValueError, match=r"line 1|Invalid json"):
            other(engine.url).with_structured_output(City, method="json_schema").invoke("Paris?")
        assert ChatDarkAI.over(other(engine.url)).with_structured_output(City).invoke("Paris?").inhabitants == 2


@both
def test_what_an_error_is(other: Make) -> None:
    with ScriptedEngine([Refusal(429, "slow down")]) as engine:
        with pytest.raises(Exception, match="slow down") as raised:
            other(engine.url).invoke("Hello")
        assert isinstance(raised.value, ModelError) == (other is openai)
        with LocalServer(other(engine.url)) as server, pytest.raises(ModelRateLimitError):
            ChatDarkAI(base_url=server.url, max_retries=0).invoke("Hello")


def test_a_refusal_that_passes_is_retried() -> None:
    refusal = Refusal(503, "not yet", {"retry-after": "0"})
    with ScriptedEngine([refusal, refusal, ["Hello."]]) as engine:
        with pytest.raises(Exception, match="not yet"):
            ollama(engine.url).invoke("Hello")
        with LocalServer(ollama(engine.url)) as server:
            assert ChatDarkAI(base_url=server.url).invoke("Hello").text == "Hello."


@both
def test_pickles_and_copies(other: Make) -> None:
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(other("http://model.test"))
    with pytest.raises(TypeError, match="pickle"):
        copy.deepcopy(other("http://model.test"))
    model = ChatDarkAI(base_url="http://model.test", api_key=None)
    assert pickle.loads(pickle.dumps(model)) == copy.deepcopy(model) == model


@both
def test_a_password_in_a_url(other: Make) -> None:
    assert "secret" in repr(other("http://user:secret@model.test"))
    assert "secret" not in repr(ChatDarkAI(base_url="https://user:secret@model.test"))


def test_each_row_names_a_test_that_is_there() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| What ", "| --- "))]
    assert len(rows) >= 12
    for row in rows:
        named = re.search(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\) \|$", row)
        assert named, row
        assert f"def {named[1]}(" in (ROOT / named[2]).read_text(encoding="utf-8"), row
