"""An answer that takes long to judge: other calls go on, the call's timeout counts, and it grows with its length."""

import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft202012Validator
from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ValidationError, create_model, field_validator

from langchain_darkai import ChatDarkAI, DarkAITimeoutError
from langchain_darkai._structured_output.output_format import InvalidAnswer, output_format
from langchain_darkai.protocol import StreamEnd
from tests.support.scripted_transport import ScriptedTransport

judges: list[int] = []
has_begun, may_go_on = threading.Event(), threading.Event()


class Letter(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def judged(cls, text: str) -> str:
        judges.append(threading.get_ident())
        if text.startswith("wait"):
            has_begun.set()
            may_go_on.wait(20)
        return text


@pytest.fixture(autouse=True)
def no_judges() -> Iterator[None]:
    judges.clear()
    has_begun.clear()
    may_go_on.clear()
    yield
    may_go_on.set()


def answer(text: str) -> str:
    return json.dumps({"text": text})


def call(text: str) -> str:
    return f'<tool_call>\n{{"name": "Letter", "arguments": {answer(text)}}}\n</tool_call>'


Asked = Callable[[ChatDarkAI], Runnable[LanguageModelInput, Any]]
ASKED: dict[str, tuple[Callable[[str], str], Asked]] = {
    "json_schema": (answer, lambda model: model.with_structured_output(Letter)),
    "json_mode": (answer, lambda model: model.with_structured_output(Letter, method="json_mode")),
    "function_calling": (call, lambda model: model.with_structured_output(Letter, method="function_calling")),
    "response_format": (answer, lambda model: model.bind(response_format=Letter)),
}


def model_of(written: str, **given: Any) -> ChatDarkAI:
    return ScriptedTransport([written, StreamEnd()]).model(**given)


async def last_of(runnable: Runnable[LanguageModelInput, Any]) -> Any:
    return [result async for result in runnable.astream("Hello")][-1]


WAYS: dict[str, Callable[[Runnable[LanguageModelInput, Any]], Awaitable[Any]]] = {
    "ainvoke": lambda runnable: runnable.ainvoke("Hello"),
    "astream": last_of,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("asked", ASKED)
async def test_a_short_answer_is_judged_at_once_and_a_long_one_in_a_thread(asked: str, way: str) -> None:
    write, ask = ASKED[asked]
    await WAYS[way](ask(model_of(write("short"))))
    assert judges[0] == threading.get_ident()
    judges.clear()
    await WAYS[way](ask(model_of(write("long" * 10_000))))
    assert judges
    assert threading.get_ident() not in judges


@pytest.mark.parametrize("way", ["invoke", *WAYS])
@pytest.mark.parametrize("asked", ASKED)
async def test_the_timeout_of_a_call_counts_while_its_answer_is_judged(asked: str, way: str) -> None:
    write, ask = ASKED[asked]
    runnable = ask(model_of(write("wait" * 10_000), timeout=0.2))
    other = model_of("other")
    task: asyncio.Future[Any] = asyncio.ensure_future(
        asyncio.to_thread(runnable.invoke, "Hello") if way == "invoke" else WAYS[way](runnable)
    )
    assert (await asyncio.to_thread(other.invoke, "Hello")).text == "other"
    with pytest.raises(DarkAITimeoutError, match="timeout ran out while its reply was read") as caught:
        await task
    assert not may_go_on.is_set()
    assert caught.value.partial_text == write("wait" * 10_000)


@pytest.mark.parametrize("asked", ASKED)
async def test_a_call_can_be_cancelled_while_its_answer_is_judged(asked: str) -> None:
    write, ask = ASKED[asked]
    task = asyncio.ensure_future(ask(model_of(write("wait" * 10_000))).ainvoke("Hello"))
    assert await asyncio.to_thread(has_begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not may_go_on.is_set()


async def test_a_timeout_that_a_schema_raises_is_its_own() -> None:
    class Slow(BaseModel):
        text: str

        @field_validator("text")
        @classmethod
        def judged(cls, text: str) -> str:
            raise asyncio.TimeoutError("of the schema")

    with pytest.raises(asyncio.TimeoutError, match="of the schema") as caught:
        await model_of(answer("long" * 10_000)).with_structured_output(Slow).ainvoke("Hello")
    assert not isinstance(caught.value, DarkAITimeoutError)


REQUIRED = {"type": "object", "required": [f"k{n}" for n in range(20)]}
LONG: dict[str, tuple[dict[str, Any], Callable[[int], Any]]] = {
    "a set of objects": ({"uniqueItems": True}, lambda count: [{"a": n} for n in range(count)]),
    "a set of mixed items": ({"uniqueItems": True}, lambda count: [str(n) if n % 2 else n for n in range(count)]),
    "a set of numbers with one hash": ({"uniqueItems": True}, lambda count: [n * (2**61 - 1) for n in range(count)]),
    "a set behind a reference": (
        {"$schema": Draft202012Validator.META_SCHEMA["$id"], "items": {"$ref": "#"}, "uniqueItems": True},
        lambda count: [[{"a": n} for n in range(count)]],
    ),
    "members that are missing": ({"items": REQUIRED}, lambda count: [{}] * count),
    "members that are missing in a union": (
        {"anyOf": [{"items": REQUIRED}, {"type": "null"}], "oneOf": [{"items": REQUIRED}, {"type": "null"}]},
        lambda count: [{}] * count,
    ),
}


@pytest.mark.parametrize("name", LONG)
def test_the_work_of_judging_grows_no_faster_than_the_answer(name: str) -> None:
    schema, value = LONG[name]
    check = output_format({"type": "array", **schema}).check

    def lines_run(count: int) -> int:
        lines = 0

        def trace(_frame: Any, event: str, _argument: Any) -> Any:
            nonlocal lines
            lines += event == "line"
            return trace

        before = sys.gettrace()
        items = value(count)
        sys.settrace(trace)
        try:
            check(items)
        except ValueError:
            pass
        finally:
            sys.settrace(before)
        return lines

    lines_run(10)  # what the first one loads
    assert lines_run(800) < 6 * lines_run(200)


VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2, 1.0, 0.0, -0.0, 2.5, 1e300, 10**300, "", "1", "true"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=6,
)
UNIQUE = {"type": "array", "uniqueItems": True}
BRANCHES = st.lists(
    st.sampled_from([{"type": "integer"}, {"type": "array"}, {"minimum": 1}, {"required": ["a"]}, UNIQUE, True, False]),
    min_size=1,
    max_size=3,
)


@settings(max_examples=300, deadline=None)
@given(value=st.lists(VALUES, max_size=4), word=st.sampled_from(["anyOf", "oneOf"]), branches=BRANCHES)
def test_an_answer_is_judged_as_jsonschema_judges_it(value: Any, word: str, branches: Any) -> None:
    # A schema of draft 4 is never true or false.
    for kind in [Draft202012Validator] + [Draft4Validator] * all(isinstance(branch, dict) for branch in branches):
        for schema in (UNIQUE, {"type": "array", "items": {word: branches}}):
            dialect = {"$schema": kind.META_SCHEMA.get("$id") or kind.META_SCHEMA["id"], **schema}
            try:
                output_format(dialect).check(value)
                is_valid = True
            except ValueError:
                is_valid = False
            assert is_valid == kind(dialect).is_valid(value)


@pytest.mark.parametrize("schema", [list[create_model("Many", **{f"k{n}": (int, ...) for n in range(20)})]])  # type: ignore[misc, call-overload]
@pytest.mark.parametrize("count", [10, 1000])
def test_many_faults_of_a_type_are_told_by_the_first_ones(schema: Any, count: int) -> None:
    with pytest.raises(InvalidAnswer, match=r"0.*\bk0\b.*; and more$") as caught:
        output_format(schema).result([{}] * count)
    listed = caught.value.__cause__
    assert isinstance(listed, ValidationError)
    assert listed.error_count() == 20 * count


def test_many_faults_that_no_schema_tells_are_counted() -> None:
    class Odd(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def judged(cls, number: int) -> int:
            raise ValueError("never")

    with pytest.raises(InvalidAnswer, match="it has 2,000 faults"):
        output_format(list[Odd]).result([{"number": 1}] * 2000)


TOO_LONG = "y" * 200_000


class TestLengths:
    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            ({"type": "string"}, [1] * 100_000),
            ({"type": "string", "enum": ["x"], "const": "x", "maxLength": 1, "pattern": "^x$"}, TOO_LONG),
            ({"type": "object", "additionalProperties": False}, {TOO_LONG: 1}),
            ({"type": "object", "additionalProperties": {"type": "string"}}, {TOO_LONG: 1}),
        ],
    )
    def test_a_long_value_is_not_quoted_whole_where_it_is_wrong(self, schema: dict[str, Any], value: Any) -> None:
        transport = ScriptedTransport([json.dumps({"a": value}), StreamEnd()], ['{"a": "x"}', StreamEnd()])
        model = transport.model(max_reasks=1).with_structured_output({"type": "object", "properties": {"a": schema}})
        if schema["type"] == "string":
            model.invoke("Hello")
            first, second = (len(asked.query) for asked in transport.calls)
            assert second - first - len(json.dumps({"a": value})) < 3000
        with pytest.raises(InvalidAnswer) as caught:
            output_format({"type": "object", "properties": {"a": schema}}).result({"a": value})
        assert len(str(caught.value)) < 2500

    def test_a_fault_keeps_its_beginning_and_its_end(self) -> None:
        with pytest.raises(InvalidAnswer, match=r"^a: 'yyy.*\.\.\..*yyy' is not one of \['x'\]$"):
            output_format({"type": "object", "properties": {"a": {"enum": ["x"]}}}).result({"a": TOO_LONG})

    def test_a_long_error_of_a_type_is_cut(self) -> None:
        class Loud(BaseModel):
            text: str

            @field_validator("text")
            @classmethod
            def judged(cls, text: str) -> str:
                raise ValueError(text)

        with pytest.raises(InvalidAnswer) as caught:
            output_format(Loud).result({"text": TOO_LONG})
        assert len(str(caught.value)) < 2500
