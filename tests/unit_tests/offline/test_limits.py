"""What the offline model may spend on one reply, and how it checks values against the schemas of strangers."""

import asyncio
import json
import re
import threading
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from langchain_core.messages import HumanMessage

from langchain_darkai._tool_calls.tools import MUST_CALL
from langchain_darkai.offline import model as offline_model
from langchain_darkai.offline import pattern_matcher
from langchain_darkai.offline.budget import MAX_REPLY, Budget, BudgetSpentError
from langchain_darkai.offline.model import OfflineChatModel
from langchain_darkai.offline.pattern_matcher import PatternMatcher
from langchain_darkai.offline.schema_checker import FORMATS, SchemaChecker
from langchain_darkai.prompts import parse_prompt
from tests.support.attacks import ATTACKS, COPIES
from tests.support.offline import STRING, calls_in, offer, say, tool, want

WORDS = st.sampled_from(
    "type const enum anyOf oneOf allOf not $ref minimum maximum exclusiveMinimum multipleOf minLength maxLength "
    "pattern format minItems maxItems uniqueItems items prefixItems minProperties required properties "
    "additionalProperties propertyNames default examples description title".split()
)
ODD = st.one_of(
    st.sampled_from([*FORMATS, "regex", "#", "#/items", "object", "array", "string", "number", "integer", "null", "["]),
    st.sampled_from([0, 1, -1, 10**9, 10**400, 1e308, -1e308, 5e-324, float("inf"), float("nan"), True, None]),
)
ANYTHING = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from("ab"), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(schema=ANYTHING)
def test_whatever_stands_for_a_schema_a_reply_is_made(schema: Any) -> None:
    assert say(want(schema), HumanMessage("Alice is 30 years old"))
    offered = {"name": "do_it", "description": schema, "parameters": schema}
    assert say(offer(offered, rule=MUST_CALL), HumanMessage("Alice is 30 years old"))


SCHEMAS = st.recursive(
    st.one_of(
        st.sampled_from([{}, True, False, STRING, {"type": ["integer", "null"]}, {"type": "number"}]),
        st.integers(0, 4).map(lambda n: {"minLength": n, "minItems": n, "minProperties": n, "minimum": n}),
        st.integers(0, 4).map(lambda n: {"maxLength": n, "maxItems": n, "maxProperties": n, "exclusiveMaximum": n}),
        st.sampled_from([2, 0.5, 1.5]).map(lambda step: {"multipleOf": step}),
        st.sampled_from(["^a", "b$", r"^\d+$", "(a|b)+"]).map(lambda pattern: {"pattern": pattern}),
        st.sampled_from(FORMATS).map(lambda form: {"format": form}),
        st.just({"uniqueItems": True}),
        st.lists(st.sampled_from("ab"), unique=True).map(lambda names: {"required": names}),
        st.sampled_from([1, 1.0, True, "a", [1], {"a": 1}, None]).map(lambda value: {"const": value}),
    ),
    lambda inner: st.one_of(
        st.sampled_from(["anyOf", "oneOf", "allOf"]).flatmap(
            lambda word: st.lists(inner, min_size=1, max_size=3).map(lambda parts: {word: parts})
        ),
        st.sampled_from(["not", "items", "additionalProperties", "propertyNames"]).flatmap(
            lambda word: inner.map(lambda part: {word: part})
        ),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"prefixItems": parts, "items": parts[0]}),
        inner.map(lambda part: {"properties": {"a": part}, "additionalProperties": part}),
    ),
    max_leaves=6,
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 5),
        st.sampled_from([0.5, 1.0, 2.5, "", "a", "ab", "12", "a@b.c", "2025-01-01", "::1"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=500, deadline=None)
@given(schema=SCHEMAS, value=VALUES)
def test_values_are_checked_as_jsonschema_checks_them(schema: Any, value: Any) -> None:
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert SchemaChecker(schema, Budget()).accepts(value, schema) == validator.is_valid(value)


@pytest.mark.parametrize("pattern", [r"(?=a)", r"(a)\1", "(", r"\w{1000}", "(?:a{1000}){1000}"])
def test_a_pattern_that_cannot_be_read_or_is_too_large_refuses_nothing(pattern: str) -> None:
    assert SchemaChecker({}, Budget()).accepts("x", {"pattern": pattern})


def test_no_pattern_of_a_client_is_compiled_by_re(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    compile_pattern = re._compile  # type: ignore[attr-defined]

    def recorded(pattern: Any, flags: int = 0) -> Any:
        compiled.append(str(pattern))
        return compile_pattern(pattern, flags)

    monkeypatch.setattr(re, "_compile", recorded)
    marked = "^(q7q7|[0-9])+$"
    rules: list[dict[str, Any]] = [
        {"pattern": marked},
        {"propertyNames": {"pattern": marked}},
        {"patternProperties": {marked: {}}},
    ]
    for rule in rules:
        say(want({"type": "object", "properties": {"a": {"type": "string", **rule}}, "required": ["a"], **rule}))
        say(want({"type": "string", "format": "regex", "default": marked, **rule}), HumanMessage("a is 'q7q7'"))
    assert [pattern for pattern in compiled if "q7q7" in pattern] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_the_rules_gets_a_reply_of_bounded_length(name: str) -> None:
    messages = _messages(name)
    text = say(*messages, stop=ATTACKS[name].get("stop"))
    assert 0 < len(text) <= 2 * MAX_REPLY
    assert say(*messages, stop=ATTACKS[name].get("stop")) == text
    assert sum(1 for _ in OfflineChatModel().stream(messages)) < 1100


def _seconds(name: str) -> float:
    messages = _messages(name)
    started = time.process_time()
    offline_model._reply(messages, None, Budget())
    return time.process_time() - started


@pytest.fixture(scope="module")
def seconds_of_a_budget() -> float:
    """What a reply takes that spends its budget step by step."""
    return min(_seconds("many members") for _ in range(2))


@pytest.mark.parametrize("name", COPIES)
def test_a_part_that_is_large_counts_each_time_that_it_is_copied_or_read(name: str, seconds_of_a_budget: float) -> None:
    messages = _messages(name)
    assert _seconds(name) < 10 * seconds_of_a_budget
    tracemalloc.start()
    try:
        offline_model._reply(messages, None, Budget())
        assert tracemalloc.get_traced_memory()[1] < 35_000_000
    finally:
        tracemalloc.stop()


def test_a_pattern_counts_by_its_size() -> None:
    def steps(pattern: str, text: str) -> int:
        budget = Budget(10**9)
        matcher = PatternMatcher(budget)
        matcher.matches(pattern, text)
        before = budget._left
        matcher.matches(pattern, text)
        return before - budget._left

    assert steps("^a{9}$", "a") < 110
    assert steps("^(?:[a-z]?){1500}$", "a" * 256) > 4000
    assert steps("^(?:[a-z]?){1500}$", "a" * 256) > 5 * steps("^(?:[a-z]?){150}$", "a" * 256)


@pytest.mark.parametrize(
    "pattern",
    [
        "^(?:[0-9]?){60000}$",
        "((([0-9]{50}){50}){50})",
        r"^\d{1,1000}$",
        "(?x)^ [0-9]{ 60000 } $",
        "[0-9]{99999999999999999999}",
        "[[0-9]]{60000}",
        r"\p{Greek}{60000}",
    ],
)
def test_a_pattern_of_very_many_repetitions_is_not_read(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_pattern: str) -> Any:
        raise AssertionError("it was read")

    monkeypatch.setattr(pattern_matcher, "_matcher", never)
    assert PatternMatcher(Budget()).matches(pattern, "x")


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{4}-\d{2}-\d{2}$",
        "^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$",
        r"^[\w.+-]+@[\w-]+\.[a-z]{2,63}$",
        r"^\+?[1-9]\d{1,14}$",
        "^[^{}]{1,64}$",
        r"^\{a\}{2}$",
    ],
)
def test_patterns_of_honest_schemas_are_read(pattern: str) -> None:
    assert not PatternMatcher(Budget()).matches(pattern, "{}")


def test_a_schema_that_asks_for_too_much_gets_the_nearest_value() -> None:
    long = json.loads(say(want({"type": "array", "items": STRING, "minItems": 10**9}), HumanMessage("Hi")))
    assert 500 < len(long) < 5000
    assert {type(item) for item in long} == {str}
    assert json.loads(say(want({"type": "number", "multipleOf": 0}), HumanMessage("Hi"))) == 0


def test_a_schema_that_is_too_much_work_is_answered_in_words() -> None:
    text = say(*_messages("doubling members"))
    assert "more work than the rules of the offline model may do" in text


def test_large_but_honest_schemas_are_filled() -> None:
    member = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}
    part = {"type": "object", "properties": {f"m{n}": member for n in range(20)}, "required": ["m0", "m1", "m2"]}
    properties = {f"part_{n}": {"$ref": "#/$defs/Part"} for n in range(20)}
    schema = {"type": "object", "properties": properties, "required": list(properties), "$defs": {"Part": part}}
    value = json.loads(say(want(schema), HumanMessage("Alice is 30 years old and lives in Paris. " * 40)))
    Draft202012Validator(schema).validate(value)
    assert len(value) == 20


def test_thirty_tools_are_planned_for_within_the_budget() -> None:
    tools = [
        tool(f"get_thing_{n}", f"Get thing number {n} of a city.", city=STRING, count={"type": "integer"})
        for n in range(30)
    ]
    calls = calls_in(
        say(offer(*tools), HumanMessage("Use get_thing_7 for Paris, count 3. " + "It is for Alice. " * 80))
    )
    assert [arguments["city"] for name, arguments in calls if name == "get_thing_7"] == ["Paris"]


def test_a_budget_that_is_stopped_raises_at_the_next_step() -> None:
    budget = Budget()
    budget.spend()
    budget.stop()
    with pytest.raises(BudgetSpentError):
        budget.spend(0)


def test_a_long_conversation_is_counted_by_its_beginning() -> None:
    model = OfflineChatModel()
    assert model.get_num_tokens("word " * 20_000) == 20_000
    assert model.get_num_tokens("word " * 200_000) == 200_000


class TestOffTheLoop:
    async def test_asynchronous_calls_work_in_a_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        threads: list[threading.Thread] = []
        reply = offline_model._reply

        def recorded(*arguments: Any) -> str:
            threads.append(threading.current_thread())
            return reply(*arguments)

        monkeypatch.setattr(offline_model, "_reply", recorded)
        model = OfflineChatModel()
        assert (await model.ainvoke("Count from 1 to 3")).text == "1, 2, 3"
        assert "".join([chunk.text async for chunk in model.astream("Count from 1 to 3")]) == "1, 2, 3"
        assert threading.main_thread() not in threads
        assert len(threads) == 2

    async def test_a_call_that_is_cancelled_stops_its_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        working, ended = threading.Event(), threading.Event()

        def endless(_messages: Any, _stop: Any, budget: Budget) -> str:
            working.set()
            try:
                while True:
                    budget.spend(0)
            finally:
                ended.set()

        monkeypatch.setattr(offline_model, "_reply", endless)
        call = asyncio.ensure_future(OfflineChatModel().ainvoke("Hi"))
        assert await asyncio.to_thread(working.wait, 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(ended.wait, 10)

    async def test_few_replies_are_worked_out_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        working, most = 0, 0
        lock = threading.Lock()

        def counted(*_: Any) -> str:
            nonlocal working, most
            with lock:
                working += 1
                most = max(most, working)
            threading.Event().wait(0.005)
            with lock:
                working -= 1
            return "Hi"

        monkeypatch.setattr(offline_model, "_reply", counted)
        await asyncio.gather(*(OfflineChatModel().ainvoke("Hi") for _ in range(20)))
        assert 1 <= most <= 2


def _messages(name: str) -> Any:
    return parse_prompt(ATTACKS[name]["query"])
