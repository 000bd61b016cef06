"""A structured answer that stays wrong, in LangChain's agents: their own errors and options for it work."""

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import LLMToolSelectorMiddleware
from langchain.agents.structured_output import StructuredOutputValidationError
from langchain_core.exceptions import OutputParserException

from langchain_darkai.protocol import StreamEnd, Usage
from tests.support.schemas import ANN, Person
from tests.support.scripted_transport import ScriptedTransport

USAGE = Usage(input_tokens=30, output_tokens=10, total_tokens=40)
QUESTION: Any = {"messages": [("user", "Who?")]}


def said(*texts: str) -> list[Any]:
    return [*texts, StreamEnd(usage=USAGE)]


async def run(agent: Any, entry: str) -> Any:
    """Return the last state of an agent; where it streams, so does its model."""
    if entry == "invoke":
        return agent.invoke(QUESTION)
    if entry == "ainvoke":
        return await agent.ainvoke(QUESTION)
    modes = ["messages", "values"]
    if entry == "stream":
        states = list(agent.stream(QUESTION, stream_mode=modes))
    else:
        states = [state async for state in agent.astream(QUESTION, stream_mode=modes)]
    return [state for mode, state in states if mode == "values"][-1]


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def entry(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class TestResponseFormat:
    @pytest.mark.parametrize(
        ("wrong", "reasks"),
        [
            ('{"name": "Ann", "age": "old"}', 0),
            ('{"name": "Ann", "age": "old"}', 3),
            ('{"name": "Ann"}', 1),
            ("I will not.", 1),
            ('{"name": "Ann", "a', 1),
            ("[]", 1),
        ],
    )
    async def test_create_agent_raises_its_own_error_with_the_message(
        self, api: ScriptedTransport, entry: str, wrong: str, reasks: int
    ) -> None:
        api.scripts = [said(wrong)]
        agent: Any = create_agent(api.model(model="gpt-4o", max_reasks=reasks), response_format=Person)

        with pytest.raises(StructuredOutputValidationError) as caught:
            await run(agent, entry)

        message: Any = caught.value.ai_message
        assert message.content == wrong
        assert message.usage_metadata["total_tokens"] == 40 * (1 + reasks)
        assert message.response_metadata.get("reasks", 0) == reasks
        assert len(api.calls) == 1 + reasks

    async def test_a_good_answer_after_a_wrong_one_is_taken(self, api: ScriptedTransport, entry: str) -> None:
        api.scripts = [said('{"name": "Ann"}'), said(ANN)]

        state = await run(create_agent(api.model(model="gpt-4o"), response_format=Person), entry)

        assert state["structured_response"] == Person(name="Ann", age=30)

    async def test_with_structured_output_still_raises(self, api: ScriptedTransport) -> None:
        api.scripts = [said('{"name": "Ann"}')]

        with pytest.raises(OutputParserException, match="age"):
            await api.model().with_structured_output(Person.model_json_schema()).ainvoke("Who?")


def find(title: str) -> str:
    """Find a book."""
    return title


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class TestToolSelection:
    @pytest.mark.parametrize("wrong", ["I pick find.", '{"tools": "find"}', ""])
    @pytest.mark.parametrize(
        ("on_failure", "offered"),
        [("all", ["find", "add"]), ("none", []), (["add"], ["add"]), (lambda _: ["find"], ["find"])],
        ids=["all", "none", "a list", "a function"],
    )
    @pytest.mark.parametrize("entry", ["invoke", "astream"])
    async def test_its_option_for_a_wrong_answer_works(
        self, api: ScriptedTransport, entry: str, wrong: str, on_failure: Any, offered: list[str]
    ) -> None:
        api.scripts = [said(wrong)] * 4 + [said("Done.")]
        model = api.model(allow_empty=True)
        selector = LLMToolSelectorMiddleware(model=model, max_tools=1, on_parsing_failure=on_failure)

        state = await run(create_agent(model, [find, add], middleware=[selector]), entry)

        assert state["messages"][-1].text == "Done."
        assert [name for name in ("find", "add") if f'"name": "{name}"' in api.calls[-1].query] == offered
        assert len(api.calls) == 5  # the middleware asks twice, and the model is asked again each time

    async def test_a_function_is_given_the_wrong_answer(self, api: ScriptedTransport) -> None:
        api.scripts = [said('Sure: {"x": 1}')] * 4 + [said("Done.")]
        given: list[Any] = []

        def choose(response: Any) -> list[str]:
            given.append(response)
            return []

        selector = LLMToolSelectorMiddleware(model=api.model(), on_parsing_failure=choose)

        await run(create_agent(api.model(), [find, add], middleware=[selector]), "ainvoke")

        assert given == [{"x": 1}]

    @pytest.mark.parametrize("entry", ["invoke", "ainvoke"])
    async def test_by_default_it_raises(self, api: ScriptedTransport, entry: str) -> None:
        api.scripts = [said('{"x": 1}')]
        selector = LLMToolSelectorMiddleware(model=api.model())

        with pytest.raises(ValueError, match="malformed response"):
            await run(create_agent(api.model(), [find, add], middleware=[selector]), entry)

    @pytest.mark.parametrize("entry", ["invoke", "ainvoke"])
    async def test_a_good_answer_is_used(self, api: ScriptedTransport, entry: str) -> None:
        api.scripts = [said(json.dumps({"tools": ["add"]})), said("Done.")]
        selector = LLMToolSelectorMiddleware(model=api.model(), on_parsing_failure="all")

        await run(create_agent(api.model(), [find, add], middleware=[selector]), entry)

        assert '"name": "add"' in api.calls[-1].query
        assert '"name": "find"' not in api.calls[-1].query
