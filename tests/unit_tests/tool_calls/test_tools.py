"""Offering tools: every kind of tool, its schema whole, the same bytes each time; and what a tool choice means."""

import copy
import json
import typing
import warnings
from typing import Annotated, Any

import jsonschema
import pytest
import typing_extensions
from langchain_core._api import LangChainBetaWarning
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId, StructuredTool, tool
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1
from pydantic.v1 import Field as FieldV1
from syrupy.assertion import SnapshotAssertion

from langchain_darkai._tool_calls.tools import (
    Tool,
    ToolChoice,
    offered_tools,
    parse_tool_choice,
    tool_from,
    tool_instructions,
)
from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.prompts import format_prompt
from tests.support.scripted_transport import ScriptedTransport

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where."}, "days": {"type": "integer", "default": 1}},
    "required": ["city"],
}


def weather(city: str, days: int = 1) -> str:
    """Tell the weather.

    Args:
        city: Where.
        days: How long.
    """
    return f"{city} {days}"


@tool
def decorated(city: str, days: int = 1) -> str:
    """Tell the weather."""
    return f"{city} {days}"


class Weather(BaseModel):
    """Tell the weather."""

    city: str = Field(description="Where.")
    days: int = 1


class WeatherV1(BaseModelV1):
    """Tell the weather."""

    city: str = FieldV1(description="Where.")
    days: int = 1


class WeatherDict(typing.TypedDict):
    """Tell the weather."""

    city: Annotated[str, ..., "Where."]
    days: Annotated[int, 1, "How long."]


class WeatherDictExtended(typing_extensions.TypedDict):
    """Tell the weather."""

    city: Annotated[str, ..., "Where."]
    days: typing_extensions.NotRequired[int]


class WeatherTool(BaseTool):
    name: str = "weather_tool"
    description: str = "Tell the weather."
    args_schema: Any = Weather

    def _run(self, city: str, days: int = 1) -> str:
        return f"{city} {days}"


class Node(BaseModel):
    """A tree."""

    value: int
    children: list["Node"] = []


def run_nothing(**kwargs: Any) -> str:
    return str(kwargs)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", LangChainBetaWarning)
    RUNNABLE = RunnableLambda(lambda value: value["city"]).as_tool(
        name="r", description="Tell the weather.", arg_types={"city": str, "days": int}
    )

MCP = StructuredTool(name="mcp", description="Tell the weather.", args_schema=PARAMETERS, func=run_nothing)

KINDS: dict[str, tuple[Any, str]] = {
    "function": (weather, "weather"),
    "decorated": (decorated, "decorated"),
    "pydantic": (Weather, "Weather"),
    "pydantic v1": (WeatherV1, "WeatherV1"),
    "TypedDict": (WeatherDict, "WeatherDict"),
    "TypedDict of typing_extensions": (WeatherDictExtended, "WeatherDictExtended"),
    "BaseTool with a class": (WeatherTool(), "weather_tool"),
    "BaseTool with a dict (MCP)": (MCP, "mcp"),
    "OpenAI's dict": (
        {"type": "function", "function": {"name": "w", "description": "Tell the weather.", "parameters": PARAMETERS}},
        "w",
    ),
    "OpenAI's function": ({"name": "w", "description": "Tell the weather.", "parameters": PARAMETERS}, "w"),
    "Anthropic's dict": ({"name": "w", "description": "Tell the weather.", "input_schema": PARAMETERS}, "w"),
    "MCP's dict": ({"name": "w", "description": "Tell the weather.", "inputSchema": PARAMETERS}, "w"),
    "JSON Schema": ({"title": "w", "description": "Tell the weather.", **PARAMETERS}, "w"),
    "runnable": (RUNNABLE, "r"),
}


@pytest.mark.parametrize(("source", "name"), KINDS.values(), ids=KINDS)
def test_every_kind_of_tool(source: Any, name: str) -> None:
    before = copy.deepcopy(source) if isinstance(source, dict) else None
    offered = tool_from(source)

    assert (offered.name, offered.description.splitlines()[0]) == (name, "Tell the weather.")
    properties = offered.parameters["properties"]
    assert (properties["city"]["type"], properties["days"]["type"]) == ("string", "integer")
    assert "city" in offered.parameters["required"]
    assert "title" not in json.dumps(offered.parameters)
    assert "description" not in offered.parameters
    jsonschema.Draft202012Validator.check_schema(offered.parameters)
    assert before is None or source == before


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("decorated", "runnable")])
def test_descriptions_of_parameters_are_kept(kind: str) -> None:
    assert tool_from(KINDS[kind][0]).parameters["properties"]["city"]["description"] == "Where."


@pytest.mark.parametrize(("source", "name"), KINDS.values(), ids=KINDS)
def test_a_tool_read_again_from_its_binding_is_the_same(source: Any, name: str) -> None:
    offered = tool_from(source)

    assert tool_from(offered.as_openai()) == offered
    assert tool_from(offered) is offered
    assert offered.name == name


def test_the_instructions_of_every_kind(snapshot: SnapshotAssertion) -> None:
    offered = [tool_from(source) for source, _ in KINDS.values()]

    assert tool_instructions(offered, ToolChoice()) == snapshot


def test_the_instructions_of_every_choice(snapshot: SnapshotAssertion) -> None:
    offered = [tool_from(weather), tool_from(Node)]
    texts = {
        f"{choice} parallel={parallel}": tool_instructions(offered_tools(offered, choice), choice, parallel=parallel)
        for choice in (ToolChoice(), ToolChoice("required"), ToolChoice("required", "weather"))
        for parallel in (True, False)
    }

    assert texts == snapshot


def test_the_same_tools_give_the_same_bytes() -> None:
    texts = {tool_instructions([tool_from(source) for source, _ in KINDS.values()], ToolChoice()) for _ in range(3)}

    assert len(texts) == 1


def test_each_tool_is_one_line_of_json_whatever_it_holds() -> None:
    odd = Tool(
        "odd", "Lines\nand </tools>\u2028<tools>\x85 é 🎉", {"type": "object", "properties": {"\n": {"type": "null"}}}
    )
    lines = tool_instructions([odd, tool_from(weather)], ToolChoice()).split("\n")

    assert (lines[1], lines[4]) == ("<tools>", "</tools>")
    assert json.loads(lines[2]) == {"name": odd.name, "description": odd.description, "parameters": odd.parameters}
    assert len(lines[2].splitlines()) == 1


def test_recursive_types_stay_whole() -> None:
    offered = tool_from(Node)

    jsonschema.validate({"value": 1, "children": [{"value": 2, "children": []}]}, offered.parameters)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"value": 1, "children": [{"value": "x"}]}, offered.parameters)


def test_recursive_types_as_a_parameter_and_as_a_dict() -> None:
    def plant(tree: Node) -> None:
        """Plant a tree."""

    for offered in (tool_from(plant), tool_from({"title": "plant", "description": "", **tool_from(plant).parameters})):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"tree": {"value": 1, "children": [{"value": "x"}]}}, offered.parameters)


def test_injected_arguments_are_not_shown() -> None:
    @tool
    def injected(
        city: str,
        secret: Annotated[str, InjectedToolArg],
        call: Annotated[str, InjectedToolCallId],
        config: RunnableConfig,
    ) -> str:
        """Tell the weather."""
        return city + secret + call + str(config)

    assert list(tool_from(injected).parameters["properties"]) == ["city"]


def test_injected_arguments_of_a_function_are_not_shown() -> None:
    def injected(city: str, secret: Annotated[str, InjectedToolArg]) -> str:
        """Tell the weather."""
        return city + secret

    assert list(tool_from(injected).parameters["properties"]) == ["city"]
    assert tool_from(injected).parameters["required"] == ["city"]


def test_a_tool_without_parameters() -> None:
    def now() -> str:
        """Tell the time."""
        return "now"

    for source in (
        now,
        tool(now),
        {"name": "now", "description": "Tell the time.", "parameters": {"type": "object", "properties": {}}},
    ):
        assert tool_from(source).parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    "source",
    [
        5,
        None,
        "weather",
        {},
        {"type": "web_search_20250305", "name": "web_search"},
        {"parameters": PARAMETERS},
        [],
        int,
    ],
)
def test_what_is_no_tool_is_refused(source: Any) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=r"is not a tool|cannot be offered as a tool") as caught:
        tool_from(source)
    assert isinstance(caught.value, ValueError)


A, B = Tool("get_weather", "", {}), Tool("add", "", {})


@pytest.mark.parametrize(
    ("given", "mode", "name"),
    [
        (None, "auto", None),
        ("auto", "auto", None),
        ("none", "none", None),
        (False, "none", None),
        ("any", "required", None),
        ("required", "required", None),
        (True, "required", None),
        ("add", "required", "add"),
        ({"type": "function", "function": {"name": "add"}}, "required", "add"),
        ({"type": "function", "name": "add"}, "required", "add"),
        ({"type": "tool", "name": "add"}, "required", "add"),
        ({"name": "add"}, "required", "add"),
        ({"type": "any"}, "required", None),
        ({"type": "auto"}, "auto", None),
        ({"type": "none"}, "none", None),
    ],
)
def test_every_form_of_tool_choice(given: Any, mode: Any, name: str | None) -> None:
    choice = parse_tool_choice(given, [A, B])

    assert choice == ToolChoice(mode, name)
    assert choice.forced == (mode == "required")
    assert offered_tools([A, B], choice) == ([] if mode == "none" else [B] if name else [A, B])


@pytest.mark.parametrize("given", ["any", "required", True, {"type": "any"}])
def test_any_of_one_tool_is_that_tool(given: Any) -> None:
    assert parse_tool_choice(given, [A]) == ToolChoice("required", A.name)


@pytest.mark.parametrize(
    "given",
    [
        "subtract",
        "",
        "Any",
        1,
        0.5,
        [],
        ["add"],
        {},
        {"type": "function"},
        {"type": "function", "function": {}},
        {"name": "x"},
        {"name": 5},
    ],
)
def test_what_is_no_tool_choice_is_refused(given: Any) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match="tool_choice"):
        parse_tool_choice(given, [A, B])


def test_a_name_that_is_nearly_right_is_hinted_at() -> None:
    with pytest.raises(DarkAIInvalidRequestError, match="Did you mean 'get_weather'"):
        parse_tool_choice("get_wether", [A, B])


@pytest.mark.parametrize("given", ["any", "required", True, "add"])
def test_nothing_can_be_forced_where_there_are_no_tools(given: Any) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=r"there are no tools"):
        parse_tool_choice(given, [])


class TestBinding:
    def test_an_unknown_name_is_refused_when_bound(self, api: ScriptedTransport) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match="get_wether"):
            api.model().bind_tools([weather], tool_choice="get_wether")

    def test_the_tools_stand_at_the_end_of_the_system_turn(self, api: ScriptedTransport) -> None:
        api.model().bind_tools([weather]).invoke([("system", "Be brief."), ("human", "Hi")])

        (call,) = api.calls
        expected = tool_instructions([tool_from(weather)], ToolChoice())
        assert call.query == format_prompt([("system", "Be brief."), HumanMessage("Hi")], instructions=expected)

    def test_no_tools_are_offered_where_none_is_to_be_called(self, api: ScriptedTransport) -> None:
        api.model().bind_tools([weather], tool_choice="none").invoke("Hi")

        assert "<tools>" not in str(api.calls[0])

    def test_binding_no_tools_changes_nothing(self, api: ScriptedTransport) -> None:
        assert api.model().bind_tools([]).invoke("Hi").content == "Hello"
