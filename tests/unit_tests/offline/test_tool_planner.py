"""Which tools the offline model calls, with which arguments, and what it says of their results."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_darkai._tool_calls.tools import MUST_CALL, ONE_CALL
from tests.support.offline import (
    ADD,
    ADDER,
    CUSTOMER,
    FLIGHT,
    GREETING,
    INTEGER,
    MAGIC,
    MAIL,
    MULTIPLY,
    NO_ARGUMENTS,
    REPORT,
    SEARCH,
    STRING,
    TIME,
    WEATHER,
    called,
    calls_in,
    offer,
    say,
    tool,
    want,
)


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
        ("Book a flight from paris to rome", [FLIGHT], [("book_flight", {"origin": "paris", "destination": "rome"})]),
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
def test_the_tools_that_the_question_asks_for_are_called(
    question: str, tools: list[dict[str, Any]], expected: list[tuple[str, dict[str, Any]]]
) -> None:
    assert calls_in(say(offer(*tools), HumanMessage(question))) == expected


@pytest.mark.parametrize(
    "question",
    ["Hello!", "What is the capital of France?", "How are you?", "Do not use a tool. What is the weather in Paris?"],
)
def test_a_question_that_no_tool_fits_is_answered_in_words(question: str) -> None:
    assert "<tool_call>" not in say(offer(WEATHER, ADD), HumanMessage(question))


@pytest.mark.parametrize("tools", [[MAGIC], [WEATHER, MAGIC], [FLIGHT], [NO_ARGUMENTS], [MAIL]])
def test_a_forced_call_is_made_with_valid_arguments(tools: list[dict[str, Any]]) -> None:
    [(name, arguments)] = calls_in(say(offer(*tools, rule=MUST_CALL), HumanMessage("Hello!")))
    Draft202012Validator(next(t for t in tools if t["name"] == name)["parameters"]).validate(arguments)


def test_where_one_call_is_allowed_the_others_follow_afterwards() -> None:
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
def test_tool_results_are_told_in_the_answer(content: str, status: Any) -> None:
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


def test_with_tools_and_a_schema_the_calls_come_first_and_the_json_then() -> None:
    system = SystemMessage(
        f"{offer(WEATHER).content}\n{want({'type': 'object', 'properties': {'city': STRING}}).content}"
    )
    question = HumanMessage("What is the weather in Paris?")
    assert calls_in(say(system, question)) == [("get_weather", {"location": "Paris"})]
    text = say(system, question, called("get_weather", "1", location="Paris"), ToolMessage("Sun", tool_call_id="1"))
    assert json.loads(text) == {"city": "Paris"}
