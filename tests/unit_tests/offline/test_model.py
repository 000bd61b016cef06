"""The offline model, fed with what a client writes by the grammar of the prompts."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import ValidationError

from langchain_darkai._tool_calls.tools import MUST_CALL, ONE_CALL
from langchain_darkai.offline.model import OfflineChatModel

STRING = {"type": "string"}
INTEGER = {"type": "integer"}


def tool(name: str, description: str = "", required: list[str] | None = None, /, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": properties if required is None else required}
    return {
        "name": name,
        "description": description,
        "parameters": {**parameters, "required": list(parameters["required"])},
    }


WEATHER = tool("get_weather", "Get weather at a location.", location=STRING)
TIME = tool("get_time", "The local time of a city.", city=STRING)
ADD = tool("add", "Add two numbers.", a=INTEGER, b=INTEGER)
ADDER = tool("my_adder_tool", "Takes two integers, a and b, and returns their sum.", a=INTEGER, b=INTEGER)
MULTIPLY = tool("multiply", "Multiply two numbers.", a=INTEGER, b=INTEGER)
MAGIC = tool(
    "magic_function",
    "Apply a magic function.",
    input={"type": "integer", "exclusiveMinimum": -9, "exclusiveMaximum": 9},
)
NO_ARGUMENTS = tool("roll_the_dice", "Rolls a die.")
GREETING = tool("greeting_generator", "Generate a greeting in a particular style of speaking.", answer_style=STRING)
CUSTOMER = tool("unicode_customer", "Creates a customer.", customer_name=STRING, description=STRING)
SEARCH = tool("web_search", "Search the web.", ["query"], query=STRING, limit={"type": "integer", "default": 10})
MAIL = tool("send_email", "Send an email.", to={"type": "string", "format": "email"}, subject=STRING, body=STRING)
FLIGHT = tool(
    "book_flight",
    "Book a flight.",
    ["origin", "destination"],
    origin=STRING,
    destination=STRING,
    date={"type": "string", "format": "date"},
    passengers={"type": "integer", "default": 1},
)
REPORT = tool("WeatherReport", "A report of weather.", city=STRING, conditions=STRING)


def offer(*tools: dict[str, Any], rule: str = "") -> SystemMessage:
    lines = "\n".join(json.dumps(t) for t in tools)
    return SystemMessage(f"Be helpful.\n\n<tools>\n{lines}\n</tools>\nAnswer with one <tool_call> block a call. {rule}")


def want(schema: Any) -> SystemMessage:
    return SystemMessage(f"<json_schema>\n{json.dumps(schema, indent=2)}\n</json_schema>\nReply with that JSON alone.")


def say(*messages: BaseMessage, **kwargs: Any) -> str:
    content = OfflineChatModel().invoke(list(messages), **kwargs).content
    assert isinstance(content, str)
    return content


def ask(question: str) -> str:
    return say(HumanMessage(question))


def calls_in(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The calls that a reply consists of: it must hold nothing else."""
    blocks = re.findall(r"<tool_call>\n(.*)\n</tool_call>", text)
    assert "\n".join(f"<tool_call>\n{block}\n</tool_call>" for block in blocks) == text
    calls = [json.loads(block) for block in blocks]
    assert all(call.keys() == {"name", "arguments"} for call in calls)
    return [(call["name"], call["arguments"]) for call in calls]


def called(name: str, identifier: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": identifier}])


@pytest.mark.parametrize(
    ("question", "tools", "expected"),
    [
        ("What is the weather in San Francisco, CA?", [WEATHER], [("get_weather", {"location": "San Francisco, CA"})]),
        ("Is it sunny in Zürich? Check the weather.", [ADD, WEATHER], [("get_weather", {"location": "Zürich"})]),
        ("how's the weather in oslo?", [WEATHER], [("get_weather", {"location": "oslo"})]),
        (
            "weather in Paris and Rome",
            [WEATHER],
            [("get_weather", {"location": "Paris"}), ("get_weather", {"location": "Rome"})],
        ),
        (
            "Compare the weather of Lima, Quito and New York City.",
            [WEATHER],
            [("get_weather", {"location": place}) for place in ("Lima", "Quito", "New York City")],
        ),
        (
            "What is the weather in Paris, and what is the time in Tokyo?",
            [TIME, WEATHER],
            [("get_weather", {"location": "Paris"}), ("get_time", {"city": "Tokyo"})],
        ),
        (
            "add 2 and 3, and multiply 4 by 5",
            [ADD, MULTIPLY],
            [("add", {"a": 2, "b": 3}), ("multiply", {"a": 4, "b": 5})],
        ),
        ("What is 1 + 2", [ADDER], [("my_adder_tool", {"a": 1, "b": 2})]),
        ("What is -7 plus 1,200?", [MULTIPLY, ADD], [("add", {"a": -7, "b": 1200})]),
        ("What is the value of add(2, 3)? Use the add tool.", [ADD], [("add", {"a": 2, "b": 3})]),
        ("What is the value of magic_function(3)? Use the tool.", [MAGIC], [("magic_function", {"input": 3})]),
        (
            "What are magic_function of 4 and of 5?",
            [MAGIC],
            [("magic_function", {"input": 4}), ("magic_function", {"input": 5})],
        ),
        ("What is the value of roll_the_dice()? Use the tool.", [NO_ARGUMENTS], [("roll_the_dice", {})]),
        (
            "Using the tool, generate a Pirate greeting.",
            [GREETING],
            [("greeting_generator", {"answer_style": "Pirate"})],
        ),
        (
            "Create a customer named '你好啊集团' (Hello Group) - a Chinese technology company",
            [CUSTOMER],
            [("unicode_customer", {"customer_name": "你好啊集团", "description": "Chinese technology company"})],
        ),
        (
            "Create a customer named 'Ωμέγα 🚀' (Omega) - a Greek space company",
            [CUSTOMER],
            [("unicode_customer", {"customer_name": "Ωμέγα 🚀", "description": "Greek space company"})],
        ),
        ("Search the web for cats and dogs", [SEARCH], [("web_search", {"query": "cats and dogs"})]),
        (
            "Search the web for langchain tutorials, limit 5",
            [SEARCH],
            [("web_search", {"query": "langchain tutorials", "limit": 5})],
        ),
        (
            "Send an email to bob@example.com with subject 'Lunch' and body 'See you at noon.'",
            [MAIL],
            [("send_email", {"to": "bob@example.com", "subject": "Lunch", "body": "See you at noon."})],
        ),
        (
            "Book a flight from Paris to New York City on 2025-03-05 for 2 passengers",
            [FLIGHT],
            [
                (
                    "book_flight",
                    {"origin": "Paris", "destination": "New York City", "date": "2025-03-05", "passengers": 2},
                )
            ],
        ),
        (
            "Book a flight from paris to rome",
            [FLIGHT],
            [("book_flight", {"origin": "paris", "destination": "rome"})],
        ),
        (
            "Sum the numbers 1, 2.5 and 4",
            [tool("sum_numbers", numbers={"type": "array", "items": {"type": "number"}})],
            [("sum_numbers", {"numbers": [1, 2.5, 4]})],
        ),
        (
            "Add the tags red, green and blue to note 7",
            [tool("add_tags", note_id=INTEGER, tags={"type": "array", "items": STRING})],
            [("add_tags", {"note_id": 7, "tags": ["red", "green", "blue"]})],
        ),
        (
            "Set the lamp in the kitchen to dark red, not dimmed",
            [
                tool(
                    "set_lamp",
                    "",
                    ["color", "dimmed"],
                    color={"enum": ["green", "dark_red"]},
                    dimmed={"type": "boolean"},
                )
            ],
            [("set_lamp", {"color": "dark_red", "dimmed": False})],
        ),
    ],
)
def test_calls_the_tools_that_the_question_asks_for(
    question: str, tools: list[dict[str, Any]], expected: list[tuple[str, dict[str, Any]]]
) -> None:
    assert calls_in(say(offer(*tools), HumanMessage(question))) == expected


@pytest.mark.parametrize(
    "question",
    ["Hello!", "What is the capital of France?", "How are you?", "Do not use a tool. What is the weather in Paris?"],
)
def test_answers_in_words_where_no_tool_fits(question: str) -> None:
    assert "<tool_call>" not in say(offer(WEATHER, ADD), HumanMessage(question))


@pytest.mark.parametrize("tools", [[MAGIC], [WEATHER, MAGIC], [FLIGHT], [NO_ARGUMENTS], [MAIL]])
def test_a_forced_call_is_made_with_valid_arguments(tools: list[dict[str, Any]]) -> None:
    [(name, arguments)] = calls_in(say(offer(*tools, rule=MUST_CALL), HumanMessage("Hello!")))
    Draft202012Validator(next(t for t in tools if t["name"] == name)["parameters"]).validate(arguments)


def test_one_call_at_most_makes_the_others_afterwards() -> None:
    system, question = offer(WEATHER, rule=ONE_CALL), HumanMessage("What is the weather in Paris and Rome?")
    assert calls_in(say(system, question)) == [("get_weather", {"location": "Paris"})]
    history = [system, question, called("get_weather", "1", location="Paris"), ToolMessage("Rain", tool_call_id="1")]
    assert calls_in(say(*history)) == [("get_weather", {"location": "Rome"})]
    history += [called("get_weather", "2", location="Rome"), ToolMessage("Sun", tool_call_id="2")]
    text = say(*history)
    assert re.search("Paris.*Rain.*Rome.*Sun", text)
    assert "<tool_call>" not in text


def test_only_the_last_tools_of_system_turns_count() -> None:
    question = HumanMessage(
        "Use <tools>\n" + json.dumps(NO_ARGUMENTS) + "\n</tools> to roll_the_dice, or the weather in Rome"
    )
    assert calls_in(say(offer(NO_ARGUMENTS), offer(WEATHER), question))[0][0] == "get_weather"


def test_a_closing_tag_in_an_argument_does_not_end_the_block() -> None:
    text = say(offer(SEARCH), HumanMessage("Search the web for 'a </tool_call> b'"))
    assert text.count("</tool_call>") == 1
    assert calls_in(text) == [("web_search", {"query": "a </tool_call> b"})]


@pytest.mark.parametrize(("content", "status"), [("22 degrees", "success"), ("no such place", "error")])
def test_answers_from_tool_results(content: str, status: Any) -> None:
    text = say(
        offer(WEATHER),
        HumanMessage("What is the weather in Paris?"),
        called("get_weather", "1", location="Paris"),
        ToolMessage(content, tool_call_id="1", status=status),
    )
    assert "get_weather" in text
    assert content in text
    assert ("failed" in text) == (status == "error")
    assert "<tool_call>" not in text


def test_examples_of_earlier_turns_answer_no_later_question() -> None:
    text = say(
        offer(ADDER, rule=MUST_CALL),
        HumanMessage("What is 1 + 2"),
        called("my_adder_tool", "1", a=1, b=2),
        ToolMessage("3", tool_call_id="1"),
        AIMessage("3"),
        HumanMessage("What is 30 + 4"),
    )
    assert calls_in(text) == [("my_adder_tool", {"a": 30, "b": 4})]


def test_a_forced_call_after_results_goes_on_to_the_next_tool_with_what_was_found() -> None:
    system, question = offer(WEATHER, REPORT, rule=MUST_CALL), HumanMessage("What is the weather in Paris?")
    assert calls_in(say(system, question)) == [("get_weather", {"location": "Paris"})]
    result = ToolMessage("It's sunny.", tool_call_id="1")
    text = say(system, question, called("get_weather", "1", location="Paris"), result)
    assert calls_in(text) == [("WeatherReport", {"city": "Paris", "conditions": "It's sunny."})]


PERSON = {"type": "object", "properties": {"name": STRING, "age": INTEGER}, "required": ["name", "age"]}


@pytest.mark.parametrize(
    ("question", "schema", "expected"),
    [
        ("Alice is 30 years old", PERSON, {"name": "Alice", "age": 30}),
        ("My neighbour Carol Jones has 3 cats and is 41 years old.", PERSON, {"name": "Carol Jones", "age": 41}),
        (
            "Alice is 30 and Bob is 25.",
            {"type": "array", "items": {"$ref": "#/$defs/P"}, "$defs": {"P": PERSON}},
            [{"name": "Alice", "age": 30}, {"name": "Bob", "age": 25}],
        ),
        (
            "Extract: Bob, 25, bob@x.org",
            {
                "type": "object",
                "properties": {
                    "name": {"anyOf": [STRING, {"type": "null"}], "default": None},
                    "email": {"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}], "default": None},
                    "nickname": {"anyOf": [STRING, {"type": "null"}], "default": None},
                },
            },
            {"name": "Bob", "email": "bob@x.org"},
        ),
        (
            "Erin called.",
            {**PERSON, "properties": {"name": STRING, "age": {"type": ["integer", "null"]}}},
            {"name": "Erin", "age": None},
        ),
        ("The colors are red, green and blue", {"type": "array", "items": STRING}, ["red", "green", "blue"]),
        (
            "Ship 2 lamps to John Smith in Boston by card",
            {
                "type": "object",
                "properties": {
                    "customer": {
                        "type": "object",
                        "properties": {"name": STRING, "address": {"type": "object", "properties": {"city": STRING}}},
                        "required": ["name", "address"],
                    },
                    "quantity": {"type": "integer", "minimum": 1},
                    "payment": {"enum": ["cash", "card"]},
                },
                "required": ["customer", "quantity", "payment"],
            },
            {"customer": {"name": "John Smith", "address": {"city": "Boston"}}, "quantity": 2, "payment": "card"},
        ),
    ],
)
def test_json_takes_its_values_from_the_question(question: str, schema: Any, expected: Any) -> None:
    assert json.loads(say(want(schema), HumanMessage(question))) == expected


def test_json_that_has_to_be_made_up_is_about_the_question() -> None:
    described = {"type": "string", "description": "question to set up a joke"}
    schema = {
        "type": "object",
        "properties": {"setup": described, "punchline": STRING},
        "required": ["setup", "punchline"],
    }
    value = json.loads(say(want(schema), HumanMessage("Tell me a joke about cats.")))
    assert value == {"setup": "question to set up a joke about cats", "punchline": "punchline about cats"}


def test_json_takes_values_from_tool_results() -> None:
    schema = {
        "type": "object",
        "properties": {"city": STRING, "temperature": {"type": "number"}, "conditions": STRING},
        "required": ["city", "temperature", "conditions"],
    }
    turns = [HumanMessage("What is the weather there?"), called("get_weather", "1", city="paris")]
    results = [ToolMessage('{"temperature": 22.5}', tool_call_id="1"), ToolMessage("bright skies", tool_call_id="2")]
    assert json.loads(say(want(schema), *turns, *results)) == {
        "city": "paris",
        "temperature": 22.5,
        "conditions": "bright skies",
    }


def test_with_tools_and_a_schema_it_calls_first_and_answers_in_json_then() -> None:
    system = SystemMessage(
        f"{offer(WEATHER).content}\n{want({'type': 'object', 'properties': {'city': STRING}}).content}"
    )
    question = HumanMessage("What is the weather in Paris?")
    assert calls_in(say(system, question)) == [("get_weather", {"location": "Paris"})]
    text = say(system, question, called("get_weather", "1", location="Paris"), ToolMessage("Sun", tool_call_id="1"))
    assert json.loads(text) == {"city": "Paris"}


@pytest.mark.parametrize(
    ("system", "question", "keys"),
    [
        (
            "Reply with only a JSON object.",
            "Tell me a joke. Return a JSON with 'setup' and 'punchline' keys.",
            {"setup", "punchline"},
        ),
        ("Reply with JSON only.", "Describe Rome with the keys city, country and age.", {"city", "country", "age"}),
        ("Answer in JSON only.", "Who wrote Faust?", {"answer"}),
    ],
)
def test_json_mode_has_the_keys_that_are_asked_for(system: str, question: str, keys: set[str]) -> None:
    assert json.loads(say(SystemMessage(system), HumanMessage(question))).keys() == keys


NAMES = st.sampled_from(["name", "age", "city", "tags", "count", "email", "query", "is_ok", "Straße"])
FORMATS = ["date", "date-time", "time", "email", "uuid", "ipv4", "ipv6", "uri", "hostname", "duration", "json-pointer"]
PATTERNS = [
    r"^[A-Z]{2}-\d+$",
    r"[^aeiou]+",
    r"^\w+@\w+\.com$",
    r"^#[0-9a-fA-F]{6}$",
    r"^\S+$",
    r"^.{3,5}$",
]


@st.composite
def integer_schemas(draw: st.DrawFn) -> dict[str, Any]:
    low, step = draw(st.integers(-1000, 1000)), draw(st.sampled_from([1, 2, 7]))
    schema = {"type": "integer", draw(st.sampled_from(["minimum", "exclusiveMinimum"])): low, "multipleOf": step}
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = low + 2 * step + draw(st.integers(0, 9))
    return schema


@st.composite
def number_schemas(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.floats(-100, 100))
    narrow = {"exclusiveMinimum": low, "exclusiveMaximum": low + 0.5}
    return {
        "type": "number",
        **draw(st.sampled_from([{}, narrow, {"maximum": low}, {"minimum": 3, "multipleOf": 0.1}])),
    }


@st.composite
def string_schemas(draw: st.DrawFn) -> dict[str, Any]:
    least = draw(st.integers(0, 30))
    rule = st.sampled_from([{"minLength": least}, {"minLength": least, "maxLength": least + 2}])
    rule |= st.builds(lambda form: {"format": form}, st.sampled_from(FORMATS))
    rule |= st.builds(lambda pattern: {"pattern": pattern}, st.sampled_from(PATTERNS))
    return {"type": "string", **draw(rule)}


SCALARS = st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.none())
LEAVES = st.one_of(
    integer_schemas(),
    number_schemas(),
    string_schemas(),
    st.sampled_from(
        [{}, {"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {"$ref": "#/$defs/Node"}]
    ),
    st.lists(SCALARS, min_size=1, max_size=4).map(lambda options: {"enum": options}),
    SCALARS.map(lambda value: {"const": value}),
)


@st.composite
def array_schemas(draw: st.DrawFn, items: st.SearchStrategy[Any]) -> dict[str, Any]:
    least = draw(st.integers(0, 4))
    if draw(st.booleans()):
        numbers = {"type": "integer", "minimum": 0, "maximum": draw(st.integers(4, 9))}
        return {"type": "array", "items": numbers, "minItems": least, "uniqueItems": True}
    schema = {"type": "array", "items": draw(items), "minItems": least, "maxItems": least + draw(st.integers(0, 2))}
    return {**schema, "prefixItems": [draw(items)]} if draw(st.booleans()) else schema


@st.composite
def object_schemas(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, values, max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    others: dict[str, Any] = draw(st.sampled_from([{}, {"additionalProperties": False}, {"minProperties": 3}]))
    return {"type": "object", "properties": properties, "required": required, **others}


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        array_schemas(inner),
        object_schemas(inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda any_of: {"anyOf": any_of}),
    ),
    max_leaves=8,
)
NODE = {
    "type": "object",
    "properties": {
        "value": STRING,
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
    },
    "required": ["value", "children", "next"],
    "additionalProperties": False,
}
QUESTIONS = st.text(max_size=60) | st.sampled_from(
    [
        "Alice is 30 years old and Bob Stone is 25",
        "Add 2, 3.5 and -7 in Paris; 'quoted', a@b.io, 2024-05-06 and https://x.org/y.",
        "count: 4. The name is Bob, tags red, green and blue; it is not ok.",
    ]
)


@settings(max_examples=150, deadline=None)
@given(schema=SCHEMAS, question=QUESTIONS)
def test_json_validates_against_any_schema(schema: dict[str, Any], question: str) -> None:
    whole = {**schema, "$defs": {"Node": NODE}}
    value = json.loads(say(want(whole), HumanMessage(question)))
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


@settings(max_examples=100, deadline=None)
@given(properties=st.dictionaries(NAMES, SCHEMAS, max_size=4), question=QUESTIONS)
def test_arguments_validate_against_any_parameters(properties: dict[str, Any], question: str) -> None:
    offered = tool("do_it", **properties)
    offered["parameters"]["$defs"] = {"Node": NODE}
    for _, arguments in calls_in(say(offer(offered, rule=MUST_CALL), HumanMessage(question))):
        Draft202012Validator(offered["parameters"]).validate(arguments)


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        {"allOf": [{"type": "object", "properties": {"a": INTEGER}}, {"required": ["a", "b"]}]},
        {"type": "object", "additionalProperties": {"type": "integer", "maximum": -1}, "minProperties": 2},
        {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"kind": {"const": kind}, "size": INTEGER},
                    "required": ["kind", "size"],
                }
                for kind in ("cat", "dog")
            ]
        },
    ],
)
def test_rarer_schema_words_are_met(schema: dict[str, Any]) -> None:
    value = json.loads(say(want(schema), HumanMessage("Whatever you like, 12 times.")))
    validator_for(schema, default=Draft202012Validator)(schema).validate(value)


LONG_KEY = "a" * 40 + "!"


@pytest.mark.parametrize(
    "rule",
    [
        {"properties": {LONG_KEY: {"type": "string", "pattern": r"^(a+)+$"}}},
        {"patternProperties": {r"^(a+)+$": INTEGER}},
        {"patternProperties": {r"^(a+)+$": INTEGER}, "additionalProperties": False},
        {"patternProperties": {r"^(a+)+$": INTEGER}, "unevaluatedProperties": False},
        {"propertyNames": {"pattern": r"^(a+)+$"}},
    ],
)
def test_a_pattern_that_would_run_for_hours_is_not_run(rule: dict[str, Any]) -> None:
    schema = {"type": "object", "required": [LONG_KEY], **rule}
    value = json.loads(say(want(schema), HumanMessage(f"Take {LONG_KEY!r}")))
    assert list(value) == [LONG_KEY]


def test_more_than_two_numbers_are_no_sum() -> None:
    assert " = " not in ask("What is 12 * (3 + 4)?")


@pytest.mark.parametrize("schema", [{"type": 3}, {"minItems": "many", "type": "array"}, {"$ref": "#/nowhere"}, True])
def test_a_schema_that_is_none_still_gets_json(schema: Any) -> None:
    json.loads(say(want(schema), HumanMessage("Hi")))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Count from 1 to 20", ", ".join(map(str, range(1, 21)))),
        ("count down from 3 to -1", "3, 2, 1, 0, -1"),
    ],
)
def test_plain_instructions_are_followed(question: str, answer: str) -> None:
    assert ask(question) == answer


@pytest.mark.parametrize(
    ("question", "result"),
    [
        ("What is 2+2?", "= 4,"),
        ("what's 10 / 4", "= 2.5,"),
        ("10 divided by 4", "= 2.5,"),
        ("What is 1,200 - 7.5?", "= 1192.5,"),
        ("How much is 7 times 6?", "= 42,"),
        ("1 / 0", "no value"),
    ],
)
def test_sums_are_worked_out(question: str, result: str) -> None:
    assert result in ask(question)


@pytest.mark.parametrize("question", ["What are you?", "hi", "Are you a language model?", "Why is the sky blue?"])
def test_it_says_that_it_is_no_language_model(question: str) -> None:
    assert "no language model" in ask(question)


def test_other_questions_are_answered_with_what_was_asked() -> None:
    questions = [
        "Why is the sky blue?",
        "Tell me about LangChain",
        "Write a poem about the sea.",
        "Who was Ada Lovelace?",
    ]
    answers = [ask(question) for question in questions]
    assert len(set(answers)) == len(answers)
    for answer, word in zip(answers, ["sky", "LangChain", "sea", "Ada Lovelace"], strict=True):
        assert word in answer
        assert len(answer.split()) > 12


@pytest.mark.parametrize(
    ("earlier", "question", "answer"),
    [
        ("My name is Bob", "What is my name?", "Bob"),
        ("My favorite color is teal.", "What's my favorite color?", "teal"),
        ("Hello", "What is my name?", "have not told me"),
    ],
)
def test_it_remembers_the_conversation(earlier: str, question: str, answer: str) -> None:
    assert answer in say(HumanMessage(earlier), AIMessage("I see."), HumanMessage(question))


@pytest.mark.parametrize(
    ("prefill", "rest"),
    [("1, 2,", " 3, 4, 5"), ("Sure, here it is:", " 1, 2, 3, 4, 5"), ("Here it is: ", "1, 2, 3, 4, 5")],
)
def test_a_prefill_is_continued(prefill: str, rest: str) -> None:
    assert say(HumanMessage("Count from 1 to 5"), AIMessage(prefill)) == rest


def test_a_prefill_of_other_words_is_followed_by_the_answer() -> None:
    text = say(HumanMessage("Why is the sky blue?"), AIMessage("Well, it"))
    assert text.startswith(" ")
    assert "Well, it" not in text


MESSAGES = [SystemMessage("Be kind."), HumanMessage("Why  is\nthe sky blue, and what is 你好啊集团 ? ")]


def merged(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


@pytest.mark.parametrize("stop", [None, ["language"], ["no such word", ""]])
async def test_streams_give_what_a_whole_reply_gives(stop: list[str] | None) -> None:
    model = OfflineChatModel()
    whole = model.invoke(MESSAGES, stop=stop)
    assert isinstance(whole, AIMessage)
    chunks = list(model.stream(MESSAGES, stop=stop))
    async_chunks = [chunk async for chunk in model.astream(MESSAGES, stop=stop)]
    assert (await model.ainvoke(MESSAGES, stop=stop)).content == whole.content
    for pieces in (chunks, async_chunks):
        assert merged(pieces).content == whole.content
        assert merged(pieces).usage_metadata == whole.usage_metadata
        assert merged(pieces).response_metadata["model_name"] == whole.response_metadata["model_name"]
        assert pieces[-1].chunk_position == "last"
        assert len(pieces) > 12
        assert all(len(str(piece.content).split()) <= 1 for piece in pieces)


def test_stop_cuts_at_the_earliest_sequence() -> None:
    assert say(HumanMessage("Count from 1 to 9"), stop=["7", " 4", "5"]) == "1, 2, 3,"


def test_usage_counts_words_and_punctuation() -> None:
    message = OfflineChatModel().invoke("Count from 1 to 3.")
    assert isinstance(message, AIMessage)
    assert message.usage_metadata == {"input_tokens": 6, "output_tokens": 5, "total_tokens": 11}


def test_a_pause_before_every_piece_changes_nothing_else() -> None:
    assert "".join(str(c.content) for c in OfflineChatModel(delay=0.001).stream("Count from 1 to 3")) == "1, 2, 3"


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="temprature"):
        OfflineChatModel(temprature=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="delay"):
        OfflineChatModel(delay=-1)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), st.sampled_from([None, offer(WEATHER, ADD), want(PERSON)]))
def test_any_text_is_answered_and_always_in_the_same_way(text: str, system: SystemMessage | None) -> None:
    messages: list[BaseMessage] = [*([system] if system else []), HumanMessage(text)]
    answer = say(*messages)
    assert answer
    assert say(*messages) == answer


@pytest.mark.parametrize(
    "messages", [[SystemMessage("Only rules.")], [AIMessage("And so")], [ToolMessage("5", tool_call_id="x")]]
)
def test_conversations_without_a_question_get_an_answer(messages: list[BaseMessage]) -> None:
    assert say(*messages)
