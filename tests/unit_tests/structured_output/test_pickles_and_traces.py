"""What `with_structured_output` returns can be pickled, and a tracer sees its schema once."""

import copy
import json
import pickle
from typing import Any, Literal

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, Field

from langchain_darkai._structured_output.output_format import output_format
from langchain_darkai.protocol import StreamEnd
from tests.support.asker import Asker
from tests.support.schemas import ANN, SCHEMA, Node, Note, OldPerson, Person, PersonData, PersonDict, PersonDictExtended
from tests.support.scripted_transport import ScriptedTransport

METHODS: list[Any] = ["json_schema", "json_mode", "function_calling"]
SCHEMAS: dict[str, tuple[Any, str]] = {
    "a Pydantic class": (Person, ANN),
    "a class of Pydantic v1": (OldPerson, ANN),
    "a recursive class": (Node, '{"value": 1, "children": [{"value": 2}]}'),
    "a TypedDict": (PersonDict, ANN),
    "a TypedDict of typing_extensions": (PersonDictExtended, ANN),
    "a dataclass": (PersonData, ANN),
    "a JSON Schema": (SCHEMA, ANN),
    "OpenAI's dict": ({"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}, ANN),
    "a union": (Person | Note, f'{{"value": {ANN}}}'),
    "an optional class": (Person | None, '{"value": null}'),
    "a list of classes": (list[Person], f'{{"value": [{ANN}]}}'),
    "a list of unions": (list[Person | Note], f'{{"value": [{ANN}, {{"text": "x"}}]}}'),
    "a list of TypedDicts": (list[PersonDict], f'{{"value": [{ANN}]}}'),
    "a dict of numbers": (dict[str, int], '{"a": 1}'),
    "a number": (int, '{"value": 1}'),
    "a literal": (Literal["a", "b"], '{"value": "a"}'),
}


def call_of(name: str, arguments: str) -> str:
    return f'<tool_call>{{"name": "{name}", "arguments": {arguments}}}</tool_call>'


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_structured_chain_pickles(api: ScriptedTransport, schema: str, method: Any, include_raw: bool) -> None:
    wanted, text = SCHEMAS[schema]
    name = output_format(wanted).name
    api.scripts = [[call_of(name, text) if method == "function_calling" else text, StreamEnd()]]
    chain: Any = api.model().with_structured_output(wanted, method=method, include_raw=include_raw)

    for copied in (pickle.loads(pickle.dumps(chain)), copy.deepcopy(chain)):
        results = [each.invoke("Who?") for each in (chain, copied)]
        if include_raw:
            assert results[0]["parsing_error"] is results[1]["parsing_error"] is None
            results = [result["parsed"] for result in results]
        assert results[0] == results[1]
        assert type(results[0]) is type(results[1])


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("strict", [None, True])
def test_a_pickled_format_is_the_same(schema: str, strict: bool | None) -> None:
    output = output_format(SCHEMAS[schema][0], strict=strict)

    copied = pickle.loads(pickle.dumps(output))

    assert (copied, repr(copied)) == (output, repr(output))


def test_formats_that_ask_for_other_answers_differ() -> None:
    formats = [output_format(Person, method=method, strict=strict) for method in METHODS for strict in (True, False)]

    assert all(a != b for number, a in enumerate(formats) for b in formats[number + 1 :])
    assert output_format(Person) != output_format(Note)
    assert output_format(Person) == output_format(Person)


class Marked(BaseModel):
    """What somebody wants."""

    wish: str = Field(description="MARK")


MARKED = {"title": "Marked", "type": "object", "properties": {"wish": {"type": "string", "description": "MARK"}}}


class Trace(BaseCallbackHandler):
    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.seen = {"serialized": serialized, **kwargs}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("schema", [Marked, MARKED], ids=["class", "dict"])
async def test_a_trace_holds_the_schema_once_and_plain_values_only(
    api: ScriptedTransport, ask: Asker, method: Any, schema: Any
) -> None:
    answer = '{"wish": "peace"}'
    api.scripts = [[call_of("Marked", answer) if method == "function_calling" else answer, StreamEnd()]]
    trace = Trace()

    await ask.chunks(api.model().with_structured_output(schema, method=method), "What?", config={"callbacks": [trace]})

    seen = {name: trace.seen[name] for name in ("serialized", "invocation_params", "options", "metadata")}
    assert json.dumps(seen).count("MARK") == 1
    traced = trace.seen["options"]["ls_structured_output_format"]
    assert traced == {"kwargs": {"method": method, "strict": None}, "schema": convert_to_json_schema(schema)}


KNOWN_FORMS: list[Any] = [
    {"name": "wish", "strict": True, "schema": MARKED},
    {"type": "json_schema", "json_schema": {"name": "wish", "schema": MARKED}},
    {"type": "json_schema", "name": "wish", "schema": MARKED},
    {"name": "wish", "inputSchema": MARKED},
    {"name": "wish", "parameters": MARKED},
]


@pytest.mark.parametrize("schema", [*KNOWN_FORMS, list[Marked], Marked | Note], ids=str)
def test_a_trace_holds_the_schema_that_is_within_a_form(api: ScriptedTransport, schema: Any) -> None:
    api.scripts = [['{"wish": "peace"}', StreamEnd()]]
    trace = Trace()

    api.model(max_reasks=0).with_structured_output(schema, include_raw=True).invoke("What?", {"callbacks": [trace]})

    seen = {name: trace.seen[name] for name in ("invocation_params", "options", "metadata")}
    assert json.dumps(seen).count("MARK") == 1
    assert "MARK" in json.dumps(trace.seen["options"]["ls_structured_output_format"]["schema"])


@pytest.mark.parametrize("include_raw", [False, True])
def test_no_address_is_in_what_is_written_of_a_chain(api: ScriptedTransport, include_raw: bool) -> None:
    model: Any = api.model(transport=None)
    chains = [model.with_structured_output(Marked, method=method, include_raw=include_raw) for method in METHODS]

    assert " at 0x" not in "".join(map(repr, chains))
    assert " at 0x" not in "".join(map(dumps, chains))


def test_cached_answers_are_told_apart_by_all_that_shapes_the_prompt(api: ScriptedTransport) -> None:
    model: Any = api.model()
    chains = [model.with_structured_output(schema, method=method) for schema in (Marked, Note) for method in METHODS]

    keys = {model._get_llm_string(**chain.first.kwargs) for chain in chains}

    assert len(keys) == len(chains)
    assert not any(" at 0x" in key for key in keys)
