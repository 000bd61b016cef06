"""The `response_format` keyword: the message's text is the answer's JSON, and nothing else."""

import json
from typing import Any

import pytest

from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.protocol import StreamEnd
from tests.support.asker import Asker
from tests.support.schemas import ANN, ANN_DICT, SCHEMA, Person, PersonData, PersonDict
from tests.support.scripted_transport import ScriptedTransport

RESPONSE_FORMATS = [
    {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}},
    {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}},
    {"type": "json_object"},
    SCHEMA,
    Person,
    PersonDict,
    PersonData,
]


def script(*texts: str) -> list[Any]:
    return [*texts, StreamEnd()]


class TestResponseFormat:
    @pytest.mark.parametrize("response_format", RESPONSE_FORMATS, ids=str)
    async def test_the_content_is_only_json(self, api: ScriptedTransport, ask: Asker, response_format: Any) -> None:
        api.scripts = [script("<think>Hm {.</think>Sure!\n```json\n", ANN, "\n```\nDone.")]

        message = await ask(api.model().bind(response_format=response_format))

        assert json.loads(message.text) == ANN_DICT
        assert message.tool_calls == []

    async def test_text_is_left_alone(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [script("Sure: ", ANN)]

        assert (await ask(api.model().bind(response_format={"type": "text"}))).content == f"Sure: {ANN}"

    async def test_the_content_is_valid_against_the_very_schema_that_was_given(
        self, api: ScriptedTransport, ask: Asker
    ) -> None:
        api.scripts = [script('{"value": [1, 2]}')]

        message = await ask(
            api.model().bind(response_format={"title": "list", "type": "array", "items": {"type": "integer"}})
        )

        assert json.loads(message.text) == [1, 2]

    @pytest.mark.parametrize("reasks", [0, 1, 2])
    @pytest.mark.parametrize("text", ["I will not.", "", "[1, 2]", '{"name": "Ann"}', '{"name": "Ann", "age'])
    async def test_no_answer_after_asking_again_in_vain_is_the_text(
        self, api: ScriptedTransport, ask: Asker, text: str, reasks: int
    ) -> None:
        api.scripts = [script(text)]

        message = await ask(api.model(max_reasks=reasks, allow_empty=True).bind(response_format=SCHEMA))

        assert message.text == text
        assert message.response_metadata["finish_reason"] == "stop"
        assert message.response_metadata.get("reasks", 0) == reasks
        assert len(api.calls) == 1 + reasks

    async def test_a_call_beside_a_response_format_is_a_call(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [script('<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>')]
        add = {
            "name": "add",
            "description": "",
            "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
        }

        message = await ask(api.model().bind_tools([add], response_format=SCHEMA))

        assert (message.text, [call["name"] for call in message.tool_calls]) == ("", ["add"])
        assert len(api.calls) == 1

    @pytest.mark.parametrize(
        "response_format",
        [{"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}}, {"foo": "bar"}, {}],
    )
    def test_a_schema_that_is_none_is_refused(self, api: ScriptedTransport, response_format: Any) -> None:
        with pytest.raises(DarkAIInvalidRequestError, match="is not a schema"):
            api.model().invoke("Hi", response_format=response_format)
