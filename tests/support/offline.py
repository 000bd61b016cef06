"""The offline model, fed with what a client writes by the grammar of the prompts."""

import json
import re
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

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


PERSON = {"type": "object", "properties": {"name": STRING, "age": INTEGER}, "required": ["name", "age"]}
