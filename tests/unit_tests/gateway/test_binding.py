"""What is bound to a model, by what it can do and what the setting says, and what stays text."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_darkai._gateway.asked import Asked, asked_of
from langchain_darkai._gateway.binding import bound, call_schema, check_native
from langchain_darkai._generation.request import requirements_from
from langchain_darkai._tool_calls.tools import Tool
from langchain_darkai.prompts import format_prompt, parse_prompt
from tests.support.native import NativeModel, TextModel

NOW = {"type": "function", "function": {"name": "now", "description": "Tells.", "parameters": {"type": "object"}}}
ADD = {
    "type": "function",
    "function": {"name": "add", "description": "", "parameters": {"type": "object", "properties": {"a": {}}}},
}
PERSON = {"title": "Person", "type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def asked(**arguments: Any) -> Asked:
    requirements = requirements_from(arguments)
    prefill = requirements.prefill.text if requirements.prefill else ""
    messages = [SystemMessage("Be brief."), HumanMessage("Hi")]
    return asked_of(parse_prompt(format_prompt(messages, instructions=requirements.instructions, prefill=prefill)))


def kwargs_of(model: Any) -> Any:
    return getattr(model, "kwargs", {})


class OpenAILike(NativeModel):
    """Stands for langchain-openai's class, by the package that its method is from."""

    openai_api_base: str | None = None

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
        raise AssertionError("its response_format is bound")

    with_structured_output.__module__ = "langchain_openai.chat_models.base"


class OllamaLike(NativeModel):
    """Stands for langchain-ollama's class, which ignores tool_choice."""

    def bind_tools(self, *args: Any, **kwargs: Any) -> Any:
        return super().bind_tools(*args, **kwargs)

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
        raise AssertionError("its format is bound")

    bind_tools.__module__ = with_structured_output.__module__ = "langchain_ollama.chat_models"


def test_tools_are_bound_and_taken_out_of_the_prompt() -> None:
    model = NativeModel()
    ready = bound(model, asked(tools=[NOW, ADD]), "auto")
    assert ready.messages == [SystemMessage("Be brief."), HumanMessage("Hi")]
    names = [tool["function"]["name"] for tool in kwargs_of(ready.model)["tools"]]
    assert names == ["now", "add"]
    parameters = kwargs_of(ready.model)["tools"][0]["function"]["parameters"]
    assert parameters == {"type": "object", "properties": {}}
    assert kwargs_of(ready.model).keys() == {"tools"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"tools": [NOW, ADD], "tool_choice": "any"}, {"tool_choice": "any"}),
        ({"tools": [NOW, ADD], "tool_choice": "add"}, {"tool_choice": "add"}),
        ({"tools": [NOW], "tool_choice": "any"}, {"tool_choice": "now"}),
        ({"tools": [NOW], "parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ],
)
def test_choices_are_bound_and_the_beginning_of_the_reply_is_left_out(arguments: Any, expected: Any) -> None:
    ready = bound(NativeModel(), asked(**arguments), "auto")
    bindings = kwargs_of(ready.model)
    assert {name: value for name, value in bindings.items() if name != "tools"} == expected
    assert ready.messages == [SystemMessage("Be brief."), HumanMessage("Hi")]


def test_a_model_that_knows_no_parallel_tool_calls_is_not_told_of_it() -> None:
    class Plain(NativeModel):
        def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Any:
            return self.bind(tools=tools, **kwargs)

    ready = bound(Plain(), asked(tools=[NOW], parallel_tool_calls=False), "auto")
    assert kwargs_of(ready.model).keys() == {"tools"}


@pytest.mark.parametrize("arguments", [{"tools": [NOW]}, {"tools": [NOW], "tool_choice": "any"}])
@pytest.mark.parametrize(
    ("model", "native"),
    [
        (TextModel(), "auto"),
        (NativeModel(), "never"),
        (NativeModel(profile={"tool_calling": False, "structured_output": False}), "auto"),
    ],
)
def test_what_cannot_be_bound_stays_text(model: Any, native: Any, arguments: Any) -> None:
    question = asked(**arguments)
    ready = bound(model, question, native)
    assert ready.model is model
    assert ready.messages == question.messages
    assert "<tools>" in ready.messages[0].text


def test_always_binds_whatever_the_profile_says() -> None:
    model = NativeModel(profile={"tool_calling": False})
    assert "tools" in kwargs_of(bound(model, asked(tools=[NOW]), "always").model)


def test_tools_that_cannot_be_made_stay_text_and_with_always_they_are_an_error() -> None:
    class Broken(NativeModel):
        def bind_tools(self, *args: Any, **kwargs: Any) -> Any:
            raise TypeError("no such tool")

    question = asked(tools=[NOW])
    assert bound(Broken(), question, "auto").messages == question.messages
    with pytest.raises(TypeError, match="no such tool"):
        bound(Broken(), question, "always")


def test_names_that_apis_refuse_stay_text() -> None:
    question = asked(tools=[{"name": "wie spät", "description": "", "parameters": {"type": "object"}}])
    assert bound(NativeModel(), question, "auto").messages == question.messages


def test_the_begun_reply_is_for_models_that_take_one() -> None:
    question = asked(tools=[NOW], tool_choice="any")
    assert isinstance(bound(TextModel(), question, "auto").messages[-1], AIMessage)
    assert bound(TextModel(), question, "auto", prefill=False).messages == question.messages[:-1]


def test_a_schema_is_bound_as_the_model_takes_it() -> None:
    ready = bound(NativeModel(), asked(response_format=PERSON), "auto")
    assert kwargs_of(ready.model)["method"] == "json_schema"
    assert kwargs_of(ready.model)["schema"]["properties"] == PERSON["properties"]
    assert ready.messages == [SystemMessage("Be brief."), HumanMessage("Hi")]


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:8000/v1"])
def test_openai_gets_the_schema_and_engines_of_its_protocol_are_shown_it_too(url: str | None) -> None:
    ready = bound(OpenAILike(openai_api_base=url), asked(response_format=PERSON), "auto")
    schema = kwargs_of(ready.model)["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == PERSON["properties"]
    assert ("<json_schema>" in ready.messages[0].text) == (url is not None)
    assert ready.messages[-1] == HumanMessage("Hi")


@pytest.mark.parametrize(
    ("url", "native", "is_by_schema"),
    [
        (None, "auto", False),
        ("https://api.openai.com/v1", "auto", False),
        ("http://127.0.0.1:8000/v1", "auto", True),
        ("http://127.0.0.1:8000/v1", "always", False),
    ],
)
def test_a_forced_call_of_an_engine_is_by_its_schema(url: str | None, native: Any, is_by_schema: bool) -> None:
    ready = bound(OpenAILike(openai_api_base=url), asked(tools=[NOW], tool_choice="any"), native)
    assert ready.is_call_json == is_by_schema
    assert ("response_format" in kwargs_of(ready.model)) == is_by_schema
    assert (kwargs_of(ready.model).get("tool_choice") == "now") != is_by_schema


def test_ollama_gets_a_format_for_answers_and_for_calls_that_it_cannot_be_forced_to() -> None:
    answer = bound(OllamaLike(), asked(response_format=PERSON), "auto")
    assert kwargs_of(answer.model)["format"]["properties"] == PERSON["properties"]
    call = bound(OllamaLike(), asked(tools=[NOW], tool_choice="any"), "auto")
    assert kwargs_of(call.model)["format"]["properties"]["name"] == {"const": "now"}
    assert call.is_call_json
    assert "tools" in kwargs_of(bound(OllamaLike(), asked(tools=[NOW]), "auto").model)


def test_an_engine_that_constrains_json_is_asked_for_calls_by_their_schema() -> None:
    forced = bound(NativeModel(), asked(tools=[NOW, ADD], tool_choice="any"), "schema")
    schema = kwargs_of(forced.model)["response_format"]["json_schema"]["schema"]
    assert [call["properties"]["name"]["const"] for call in schema["anyOf"]] == ["now", "add"]
    assert forced.is_call_json
    assert "<tools>" in forced.messages[0].text
    assert forced.messages[-1] == HumanMessage("Hi")
    free = asked(tools=[NOW, ADD])
    assert bound(NativeModel(), free, "schema").messages == free.messages


def test_json_of_any_form_keeps_its_sentence() -> None:
    ready = bound(NativeModel(), asked(response_format={"type": "json_object"}), "auto")
    assert kwargs_of(ready.model)["schema"]["type"] == "object"
    assert "JSON object only" in ready.messages[0].text


@pytest.mark.parametrize(
    "structured",
    [
        lambda model: model,
        lambda model: model.bind(tools=[]) | dict,
        lambda model: (_ for _ in ()).throw(ValueError("no such method")),
    ],
)
def test_a_schema_that_cannot_be_bound_stays_text(structured: Callable[[Any], Any]) -> None:
    class Odd(NativeModel):
        def with_structured_output(self, schema: Any, *, method: str = "", **kwargs: Any) -> Any:
            return structured(self)

    question = asked(response_format=PERSON)
    assert bound(Odd(), question, "auto").messages == question.messages


def test_a_model_without_json_of_its_own_is_asked_in_words() -> None:
    question = asked(response_format=PERSON)
    for model in (TextModel(), NativeModel(profile={"structured_output": False})):
        assert bound(model, question, "auto").messages == question.messages


def test_the_schema_of_a_call_keeps_the_definitions_and_gives_up_where_they_clash() -> None:
    def tool(name: str, node: Any, reference: str = "#/$defs/Node") -> Tool:
        parameters = {"type": "object", "properties": {"n": {"$ref": reference}}, "$defs": {"Node": node}}
        return Tool(name, "", parameters)

    schema = call_schema((tool("a", {"type": "string"}), tool("b", {"type": "string"})))
    assert schema is not None
    assert schema["$defs"] == {"Node": {"type": "string"}}
    assert call_schema((tool("a", {"type": "string"}), tool("b", {"type": "null"}))) is None
    assert call_schema((tool("a", {}, "#"),)) is None


def test_settings_that_cannot_work_are_refused() -> None:
    model: BaseChatModel = TextModel()
    with pytest.raises(ValueError, match="native is 'sometimes'; it must be one of 'auto', "):
        check_native(model, "sometimes")
    with pytest.raises(ValueError, match="TextModel has no bind_tools of its own"):
        check_native(model, "always")
