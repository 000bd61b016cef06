"""`with_structured_output` with tools beside the answer, and with parameters of the call."""

import pickle
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException

from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.protocol import StreamEnd
from tests.support.asker import Asker
from tests.support.schemas import ANN, ANN_DICT, SCHEMA, Person, PersonDict
from tests.support.scripted_transport import ScriptedTransport, body

METHODS: list[Any] = ["json_schema", "json_mode", "function_calling"]
SCHEMAS: list[Any] = [Person, PersonDict, {**SCHEMA, "title": "Person"}]


def find(title: str) -> str:
    """Find a book."""
    return title


def call_of(name: str, arguments: str) -> str:
    return f'<tool_call>{{"name": "{name}", "arguments": {arguments}}}</tool_call>'


FIND = call_of("find", '{"title": "Emma"}')


async def merged(ask: Asker, chain: Any) -> dict[str, Any]:
    """Return the one dict that `include_raw` gives, its parts put together where they were streamed."""
    whole: dict[str, Any] = {}
    parts: list[Any] = [*await ask.chunks(chain, "Who?")]
    for part in parts:
        for key, value in part.items():
            whole[key] = whole[key] + value if key == "raw" and key in whole else value
    return whole


class TestToolsBesideTheAnswer:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("schema", SCHEMAS, ids=["class", "TypedDict", "dict"])
    async def test_the_model_may_call_a_tool(
        self, api: ScriptedTransport, ask: Asker, method: Any, schema: Any
    ) -> None:
        api.scripts = [["Let me look.\n", FIND[:30], FIND[30:], StreamEnd()]]
        chain = api.model().with_structured_output(schema, method=method, tools=[find], include_raw=True)

        result = await merged(ask, chain)

        assert [(call["name"], call["args"]) for call in result["raw"].tool_calls] == [("find", {"title": "Emma"})]
        assert (result["parsed"], result["parsing_error"]) == (None, None)
        assert len(api.calls) == 1

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("schema", SCHEMAS, ids=["class", "TypedDict", "dict"])
    async def test_the_model_may_answer(self, api: ScriptedTransport, ask: Asker, method: Any, schema: Any) -> None:
        api.scripts = [[call_of("PersonDict" if schema is PersonDict else "Person", ANN), StreamEnd()]]
        if method != "function_calling":
            api.scripts = [[ANN[:9], ANN[9:], StreamEnd()]]
        chain = api.model().with_structured_output(schema, method=method, tools=[find], include_raw=True)

        result = await merged(ask, chain)

        assert result["parsed"] == (Person.model_validate(ANN_DICT) if schema is Person else ANN_DICT)
        assert result["parsing_error"] is None

    @pytest.mark.parametrize("method", METHODS)
    def test_tools_and_schema_are_shown(self, api: ScriptedTransport, method: Any) -> None:
        api.scripts = [[FIND, StreamEnd()]]

        api.model().with_structured_output(Person, method=method, tools=[find], include_raw=True).invoke("Who?")

        shown = api.calls[0].query
        assert '"name": "find"' in shown
        assert ("must call a tool" in shown, '"name": "Person"' in shown) == ((method == "function_calling",) * 2)
        assert ("<json_schema>" in shown) == (method == "json_schema")

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("schema", SCHEMAS, ids=["class", "TypedDict", "dict"])
    async def test_a_call_that_would_be_lost_is_an_error(
        self, api: ScriptedTransport, ask: Asker, method: Any, schema: Any
    ) -> None:
        api.scripts = [[FIND, StreamEnd()]]

        with pytest.raises(OutputParserException, match=r"called find.*include_raw=True"):
            await ask.chunks(api.model().with_structured_output(schema, method=method, tools=[find]), "Who?")
        assert len(api.calls) == 1

    @pytest.mark.parametrize("method", METHODS)
    async def test_a_streamed_call_is_not_taken_for_a_growing_answer(self, api: ScriptedTransport, method: Any) -> None:
        api.scripts = [[*FIND, StreamEnd()]]
        model = api.model(chunk_per_event=True)
        chain = model.with_structured_output(SCHEMA, method=method, tools=[find], include_raw=True)

        assert [part["parsed"] async for part in chain.astream("Who?") if "parsed" in part] == [None]

    async def test_neither_answer_nor_call_is_a_parsing_error(self, api: ScriptedTransport) -> None:
        api.scripts = [["I will not.", StreamEnd()]]

        result = await api.model().with_structured_output(Person, tools=[find], include_raw=True).ainvoke("Who?")

        assert result["parsed"] is None
        assert isinstance(result["parsing_error"], OutputParserException)
        assert len(api.calls) == 2

    async def test_a_chosen_tool_must_be_called(self, api: ScriptedTransport) -> None:
        api.scripts = [[ANN, StreamEnd()], [FIND, StreamEnd()]]
        chain = api.model().with_structured_output(Person, tools=[find], tool_choice="find", include_raw=True)

        assert (await chain.ainvoke("Who?"))["raw"].tool_calls
        assert len(api.calls) == 2

    def test_a_choice_that_is_no_tool_is_refused_at_once(self, api: ScriptedTransport) -> None:
        model: Any = api.model()

        with pytest.raises(DarkAIInvalidRequestError, match="Did you mean 'find'"):
            model.with_structured_output(Person, tools=[find], tool_choice="fnd")
        with pytest.raises(DarkAIInvalidRequestError, match="is not a tool"):
            model.with_structured_output(Person, tools=[5])

    def test_a_chain_with_tools_pickles(self, api: ScriptedTransport) -> None:
        api.scripts = [[FIND, StreamEnd()]]
        chain = api.model().with_structured_output(Person, tools=[find], include_raw=True)

        assert pickle.loads(pickle.dumps(chain)).invoke("Who?")["raw"].tool_calls


class TestParametersOfTheCall:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("include_raw", [False, True])
    async def test_they_are_sent_with_each_call(
        self, api: ScriptedTransport, ask: Asker, method: Any, include_raw: bool
    ) -> None:
        api.scripts = [[call_of("Person", ANN) if method == "function_calling" else ANN, StreamEnd()]]
        chain = api.model().with_structured_output(
            Person,
            method=method,
            include_raw=include_raw,
            model="gpt-4o",
            temperature=0.5,
            max_tokens=9,
            model_kwargs={"seed": 1},
        )

        await ask.chunks(chain, "Who?")

        sent = body(api.calls[0])
        assert (sent["model"], sent["temperature"], sent["max_tokens"], sent["seed"]) == ("gpt-4o", 0.5, 9, 1)

    async def test_stop_sequences_end_the_answer(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [[f'{ANN}END{{"name": "Bob", "age": "x"}}', StreamEnd()]]

        found: list[Any] = [*await ask.chunks(api.model().with_structured_output(Person, stop=["END"]), "Who?")]

        assert found[-1] == Person.model_validate(ANN_DICT)

    async def test_the_number_of_reasks_can_be_given(self, api: ScriptedTransport) -> None:
        api.scripts = [["I will not.", StreamEnd()]]

        with pytest.raises(OutputParserException):
            await api.model().with_structured_output(Person, max_reasks=3).ainvoke("Who?")
        assert len(api.calls) == 4

    @pytest.mark.parametrize("name", ["temprature", "top_p", "response_format", "output_format", "tools_", "schema_"])
    def test_unknown_ones_are_refused_at_once(self, api: ScriptedTransport, name: str) -> None:
        model: Any = api.model()

        with pytest.raises(DarkAIInvalidRequestError, match=f"with_structured_output has no argument '{name}'"):
            model.with_structured_output(Person, **{name: 1})


async def test_a_streamed_answer_that_is_null_is_yielded(api: ScriptedTransport, ask: Asker) -> None:
    api.scripts = [['{"value": null}', StreamEnd()]]
    nullable = {"title": "Maybe", "anyOf": [SCHEMA, {"type": "null"}]}

    assert await ask.chunks(api.model().with_structured_output(nullable), "Who?") == [None]
