"""`with_structured_output`, by every method: results, growing ones, asking again, errors and types."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage

from langchain_darkai import DarkAIError
from langchain_darkai._structured_output.output_format import output_format
from langchain_darkai.protocol import StreamEnd
from tests.support.asker import Asker
from tests.support.schemas import ANN, ANN_DICT, SCHEMA, Note, OldPerson, Person, PersonData, PersonDict, grows
from tests.support.scripted_transport import ScriptedTransport


def script(*texts: str) -> list[Any]:
    return [*texts, StreamEnd()]


METHODS = ["json_schema", "json_mode", "function_calling"]
CALL = f'<tool_call>{{"name": "Person", "arguments": {ANN}}}</tool_call>'


class Starts(BaseCallbackHandler):
    def __init__(self) -> None:
        self.starts = 0

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.starts += 1


async def results(ask: Asker, runnable: Any, **kwargs: Any) -> list[Any]:
    return await ask.chunks(runnable, "Who?", **kwargs)


class TestWithStructuredOutput:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("schema", [Person, OldPerson, PersonDict, PersonData, {**SCHEMA, "title": "Person"}])
    async def test_every_method_and_schema_gives_its_result(
        self, api: ScriptedTransport, ask: Asker, method: Any, schema: Any
    ) -> None:
        name = output_format(schema).name
        api.scripts = [script(CALL.replace("Person", name) if method == "function_calling" else ANN)]

        result = (await results(ask, api.model().with_structured_output(schema, method=method)))[-1]

        assert result == (schema(**ANN_DICT) if isinstance(schema, type) else ANN_DICT)

    @pytest.mark.parametrize("method", METHODS)
    async def test_a_good_answer_after_two_bad_ones_is_taken(
        self, api: ScriptedTransport, ask: Asker, method: Any
    ) -> None:
        bad = ['{"name": "Ann"}', '{"name": "Ann", "age": "old"}', ANN, "never sent"]
        if method == "function_calling":
            bad = [f'<tool_call>{{"name": "Person", "arguments": {text}}}</tool_call>' for text in bad]
        api.scripts = [script(text) for text in bad]
        handler = Starts()

        runnable = api.model(max_reasks=2).with_structured_output(Person, method=method)
        found = await results(ask, runnable, config={"callbacks": [handler]})

        assert found[-1] == Person(name="Ann", age=30)
        assert len(found) == 1
        assert len(api.calls) == 3
        assert handler.starts == 1
        again = [call.query for call in api.calls]
        assert "age: Field required" in again[1]
        assert "unable to parse" in again[2]
        assert all("Ann" in request for request in again[1:])

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize(
        "text",
        [
            "I will not.",
            '{"name": "Ann"}',
            ANN[:-1],
            "null",
            '<tool_call>{"name": "Person", "arguments": {"name": "Ann"}}</tool_call>',
        ],
    )
    async def test_no_valid_answer_is_an_error_and_never_a_silent_none(
        self, api: ScriptedTransport, ask: Asker, method: Any, text: str
    ) -> None:
        api.scripts = [script(text)]

        with pytest.raises(OutputParserException) as caught:
            await results(ask, api.model().with_structured_output(Person, method=method))

        assert caught.value.llm_output
        assert len(api.calls) == 2

    @pytest.mark.parametrize("method", METHODS)
    async def test_include_raw_keeps_the_reply_and_the_error(self, api: ScriptedTransport, method: Any) -> None:
        api.scripts = [script('{"name": "Ann"}')]

        result = (
            await api.model(max_reasks=0)
            .with_structured_output(Person, method=method, include_raw=True)
            .ainvoke("Who?")
        )

        assert isinstance(result["raw"], AIMessage)
        assert result["parsed"] is None
        assert isinstance(result["parsing_error"], OutputParserException)

    @pytest.mark.parametrize("method", METHODS)
    async def test_include_raw_with_a_good_answer_after_a_bad_one(self, api: ScriptedTransport, method: Any) -> None:
        good = CALL if method == "function_calling" else ANN
        api.scripts = [script("Hm."), script(good)]
        runnable = api.model().with_structured_output(Person, method=method, include_raw=True)

        result = await runnable.ainvoke("Who?")

        assert (result["parsed"], result["parsing_error"]) == (Person(name="Ann", age=30), None)
        assert result["raw"].response_metadata["reasks"] == 1
        api.scripts = [script("Hm."), script(good)]
        merged: dict[str, Any] = {}
        async for chunk in runnable.astream("Who?"):
            for key, value in chunk.items():
                merged[key] = merged[key] + value if key == "raw" and key in merged else value
        assert (merged["parsed"], merged["parsing_error"]) == (Person(name="Ann", age=30), None)

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("schema", [{**SCHEMA, "title": "Person"}, PersonDict])
    async def test_a_stream_grows_and_ends_validated(self, api: ScriptedTransport, method: Any, schema: Any) -> None:
        text = CALL.replace("Person", output_format(schema).name) if method == "function_calling" else f"Sure: {ANN}"
        api.scripts = [script(*text)]

        found = [
            item
            async for item in api.model(chunk_per_event=True)
            .with_structured_output(schema, method=method)
            .astream("Who?")
        ]

        assert found[-1] == ANN_DICT
        assert all(grows(a, b) for a, b in itertools.pairwise(found))
        assert {"name": "A"} in found

    async def test_a_stream_of_a_bad_answer_ends_in_an_error(self, api: ScriptedTransport) -> None:
        api.scripts = [script('{"name": "Ann", ', '"age": "old"}')]

        with pytest.raises(OutputParserException, match="age"):
            async for _ in api.model(max_reasks=0).with_structured_output(SCHEMA).astream("Who?"):
                pass

    async def test_a_stream_begins_anew_with_the_next_try(self, api: ScriptedTransport) -> None:
        api.scripts = [script('{"name": "Bob"}'), script(ANN)]

        found = [item async for item in api.model().with_structured_output(SCHEMA).astream("Who?")]

        assert found[-1] == ANN_DICT

    @pytest.mark.parametrize("schema", [list[int], int, Person | Note])
    @pytest.mark.parametrize("method", ["json_schema", "function_calling"])
    async def test_answers_that_are_no_objects(
        self, api: ScriptedTransport, ask: Asker, schema: Any, method: Any
    ) -> None:
        value, result = {list[int]: ("[1, 2]", [1, 2]), int: ("42", 42)}.get(schema, (ANN, Person(name="Ann", age=30)))
        name = output_format(schema).name
        text = f'{{"value": {value}}}'
        api.scripts = [
            script(
                f'<tool_call>{{"name": "{name}", "arguments": {text}}}</tool_call>'
                if method == "function_calling"
                else text
            )
        ]

        assert (await results(ask, api.model().with_structured_output(schema, method=method)))[-1] == result

    async def test_bare_arguments_count_as_the_call(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [script(ANN)]

        found = await results(ask, api.model().with_structured_output(Person, method="function_calling"))

        assert found[-1] == Person(name="Ann", age=30)
        assert len(api.calls) == 1

    async def test_an_optional_answer_may_be_none(self, api: ScriptedTransport) -> None:
        api.scripts = [script('{"value": null}')]

        assert await api.model().with_structured_output(Person | None).ainvoke("Who?") is None

    async def test_a_failure_of_the_service_is_no_parsing_error(self, api: ScriptedTransport) -> None:
        api.scripts = [[DarkAIError("down")]]

        with pytest.raises(DarkAIError, match="down"):
            await api.model().with_structured_output(Person, include_raw=True).ainvoke("Who?")

    async def test_the_schema_is_traced(self, api: ScriptedTransport) -> None:
        runnable: Any = api.model().with_structured_output(Person, strict=True)

        traced = runnable.first.kwargs["ls_structured_output_format"]
        assert traced == {"kwargs": {"method": "json_schema", "strict": True}, "schema": Person}


TYPED = """
from pydantic import BaseModel
from typing_extensions import TypedDict, reveal_type
from langchain_darkai import ChatDarkAI

class Person(BaseModel):
    name: str

class PersonDict(TypedDict):
    name: str

model = ChatDarkAI(api_key="key")
reveal_type(model.with_structured_output(Person).invoke("Who?"))
reveal_type(model.with_structured_output(PersonDict, method="json_mode", strict=True).invoke("Who?"))
reveal_type(model.with_structured_output(list[int]).invoke("Who?"))
reveal_type(model.with_structured_output(Person, include_raw=True).invoke("Who?")["parsed"])
reveal_type(model.with_structured_output(Person, include_raw=True).invoke("Who?")["parsing_error"])
reveal_type(model.bind_tools([Person], tool_choice="any").invoke("Who?"))
name: str = model.with_structured_output(Person).invoke("Who?").name
"""
REVEALED = ["Person", "PersonDict", "list[int]", "Person | None", "Exception | None", "AIMessage"]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_type_checkers_see_the_result(tmp_path: Path, checker: str) -> None:
    file = tmp_path / "typed.py"
    file.write_text(TYPED)
    (tmp_path / "pyrightconfig.json").write_text("{}")
    root = str(Path(__file__).parents[3])
    mypy = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", f"--cache-dir={root}/.mypy_cache", str(file)]
    pyright = [
        str(shutil.which("pyright", path=str(Path(sys.executable).parent))),
        "--pythonpath",
        sys.executable,
        "-p",
        str(tmp_path),
    ]
    done = subprocess.run(
        mypy if checker == "mypy" else pyright,
        cwd=root,
        env={**os.environ, "MYPYPATH": root, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )

    revealed = [
        line.partition("Revealed type is ")[2] or line.partition('" is ')[2]
        for line in done.stdout.splitlines()
        if "Revealed type is" in line or "information: Type of" in line
    ]
    names = [re.sub(r"\w+\.(?=\w)|[\"`]|TypedDict\(|, \{.*", "", shown) for shown in revealed]
    assert names == REVEALED, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
