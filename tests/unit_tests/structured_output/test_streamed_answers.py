"""`response_format` while it streams: the bare JSON as it comes, and in the end the message that `invoke` returns."""

import itertools
import json
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_darkai._structured_output.output_format import output_format
from langchain_darkai.protocol import StreamEnd
from tests.support.asker import Asker
from tests.support.reading import in_sizes, pieces
from tests.support.replies import CASES, NOW_BLOCK, TOOLS
from tests.support.schemas import ANN, ANN_DICT, SCHEMA, Note, Person
from tests.support.scripted_transport import ScriptedTransport

LETTER: dict[str, Any] = {
    "title": "letter",
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "to": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "pages": {"type": "integer", "maximum": 9},
    },
    "required": ["text", "pages"],
}
EVERY = [tool.as_openai() for tool in TOOLS.values()]


def merged(chunks: list[Any]) -> AIMessageChunk:
    first, *others = chunks
    whole: AIMessageChunk = first.__add__(others) if others else first
    return whole


async def streamed(model: Any, *replies: list[str]) -> list[Any]:
    """Return the chunks of a stream in which the model says these replies, one after the other."""
    scripts: list[list[Any]] = [[*texts, StreamEnd()] for texts in replies]
    api = ScriptedTransport(*scripts)
    return [chunk async for chunk in model(api, chunk_per_event=True, allow_empty=True).astream("Who?")]


async def invoked(model: Any, *replies: list[str]) -> AIMessage:
    scripts: list[list[Any]] = [["".join(texts), StreamEnd()] for texts in replies]
    api = ScriptedTransport(*scripts)
    message: AIMessage = await model(api, allow_empty=True).ainvoke("Who?")
    return message


def answering(schema: Any, tools: list[Any] | None = None, **given: Any) -> Any:
    """Return what makes a model that answers with the schema, of a transport and settings."""

    def model(api: ScriptedTransport, **settings: Any) -> Any:
        plain = api.model(**{**settings, **given})
        return (plain.bind_tools(tools) if tools else plain).bind(response_format=schema)

    return model


def seen(message: AIMessage) -> tuple[Any, ...]:
    return (
        message.text,
        [(call["name"], call["args"]) for call in message.tool_calls],
        [(call["name"], call["args"]) for call in message.invalid_tool_calls],
    )


class TestShownWhileItComes:
    @pytest.mark.parametrize(
        "around",
        [
            "{}",
            "\n{}\n",
            "```json\n{}\n```",
            "Sure!\n```json\n{}\n```\nIs {{it}} right?",
            "A set {{a, b}}, {{}}, [1]: {}",
            '<think>{{"text": "draft", "pages": 1}}</think>{}',
            '{{"x": {{"text": "no letter"}}}} {}',
        ],
    )
    @pytest.mark.parametrize("tools", [[], EVERY], ids=["no tools", "tools"])
    async def test_pieces_of_the_bare_json_come(self, around: str, tools: Any) -> None:
        answer = '{"text": "Dear \\"Ann\\",\\nhow are you?", "to": [{"name": "Ann"}], "pages": 2}'
        chunks = await streamed(answering(LETTER, tools), list(around.format(answer)))

        texts = [chunk.text for chunk in chunks if chunk.text]
        assert "".join(texts) == answer
        assert len(texts) > 30

    @pytest.mark.parametrize("schema", [SCHEMA, Person, {"type": "json_object"}, dict[str, Any]])
    @pytest.mark.parametrize("entry", ["stream", "astream"])
    async def test_text_is_handed_over_before_the_reply_ends(
        self, api: ScriptedTransport, entry: str, schema: Any
    ) -> None:
        api.scripts = [[*ANN, "\nThat is it.", StreamEnd()]]
        model = api.model(chunk_per_event=True).bind(response_format=schema)
        before_the_end = ""

        def note(chunk: Any) -> None:
            nonlocal before_the_end
            before_the_end += chunk.text if not api.closed else ""

        if entry == "stream":
            for chunk in model.stream("Who?"):
                note(chunk)
        else:
            async for chunk in model.astream("Who?"):
                note(chunk)

        if entry == "astream":  # the background loop of a synchronous stream is ahead of its reader
            assert before_the_end == ANN

    async def test_a_valid_answer_is_whole_before_the_reply_ends(self, api: ScriptedTransport) -> None:
        api.scripts = [[ANN, "\nThat", " is it.", StreamEnd()]]

        async for chunk in api.model(chunk_per_event=True).bind(response_format=SCHEMA).astream("Who?"):
            assert chunk.text == ANN
            assert not api.closed
            break

    @pytest.mark.parametrize(
        "text",
        [
            "[1, 2]",
            '{"unknown": 1, "text": "x", "pages": 1}',
            '{"unknown": 1}',
            '[{"text": "x", "pages": 1}]',
            "I will not.",
            "{text}",
        ],
    )
    async def test_what_does_not_begin_as_an_answer_waits(self, text: str) -> None:
        chunks = await streamed(answering(LETTER, max_reasks=0), [*text, "\n", "end"])

        assert len([chunk for chunk in chunks if chunk.text]) == 1

    @pytest.mark.parametrize("schema", [list[int], int, Person | Note])
    async def test_an_answer_that_is_no_object_waits(self, schema: Any) -> None:
        value = {list[int]: "[1, 2]", int: "42"}.get(schema, ANN)
        chunks = await streamed(answering(schema), list(f'Sure: {{"value": {value}}}'))

        assert [chunk.text for chunk in chunks if chunk.text] == [value]

    async def test_a_forced_call_waits(self) -> None:
        def model(api: ScriptedTransport, **settings: Any) -> Any:
            return api.model(**settings).bind_tools(EVERY, tool_choice="any", response_format=LETTER)

        call = '<tool_call>{"name": "now", "arguments": {}}</tool_call>'
        chunks = await streamed(model, list('{"text": "x", "pages": 1}'), list(call))

        assert merged(chunks).text == ""
        assert [each["name"] for each in merged(chunks).tool_calls] == ["now"]


ANSWERS = [
    *("{}", "[]", "null", "", "I will not.", ANN, f"Sure: {ANN} as you see.", f"```json\n{ANN}\n```", f"{ANN}{ANN}"),
    *('{"name": "Ann"}', '{"name": "Ann", "age": "old"}', '{"name": "Ann", "age": "30"}', '{"name": 7, "age": 30}'),
    *('{"name": "Bob"} lacks the age; ' + ANN, '{"age": 1, oops} ' + ANN, '{"x": 1} ' + ANN, "{x} " + ANN, f"[{ANN}]"),
    *('{"name": "Ann", "age', '{"name": "Ann", "age": 3', '{"name": "An', '{"name": ', '{"name"', '{"na', "{"),
    *("{'name': 'Ann', 'age': 30,}", '{name: "Ann", age: 30}', '{"name": "Ann", "age": 30.0}', f"<think>{ANN}</think>"),
    *('{"name": "A\\u00e9\\ud83c\\udf89\\n"B", "age": 30}', '{"name": "Ann", "age": 30, "x": [1, {"y": null}]}'),
    *('{"name": "Ann", "age": thirty} and so on', '{"name": "Ann" "age": 3} x', '{"name": "Ann", 5} x', '{"name": } x'),
    *(f"{ANN}\n{NOW_BLOCK}", f"{NOW_BLOCK}\n{ANN}", f"Hm. {NOW_BLOCK} And: {ANN}"),
    f'{{"name": "An{NOW_BLOCK}n", "age": 30}}',
]
FRAGMENTS = [
    *(ANN, ANN[:9], ANN[9:], '{"name": "Bob"}', '{"name": "', "{'name': ", '"age": 30', '"age": "x"', '"x": [{"y": '),
    *("{", "}", "[", "]", "{x}", '"', "'", "\\", "1", ".5", "tru", "e", ",", ":", "\n", " ", "é"),
    *("```json\n", "Sure: ", "<think>", "</think>", "<tool_call>", "</tool_call>", '{"name": "now", "arguments": {}}'),
    *("now", "Observation: 1"),
]
SCHEMAS: list[Any] = [SCHEMA, Person, {"type": "json_object"}, list[int], {"type": "object", "required": ["name"]}]


class TestTheSameMessageInTheEnd:
    """Of one reply, `stream` and `invoke` make the same text and the same calls, however the reply is cut."""

    @pytest.mark.parametrize("tools", [[], EVERY], ids=["no tools", "tools"])
    @pytest.mark.parametrize("size", [1, 2, 5, 1000])
    @pytest.mark.parametrize("text", ANSWERS)
    async def test_of_answers_of_every_kind(self, text: str, size: int, tools: Any) -> None:
        for schema in SCHEMAS:
            model = answering(schema, tools, max_reasks=0)
            whole = await invoked(model, [text])

            assert seen(merged(await streamed(model, in_sizes(text, size)))) == seen(whole)

    @pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
    async def test_of_every_reply_of_the_table(self, case: Any) -> None:
        for schema in (SCHEMA, {"type": "json_object"}):
            model = answering(schema, EVERY, max_reasks=0)
            whole = await invoked(model, [case.text])

            for size in (1, 7):
                assert seen(merged(await streamed(model, in_sizes(case.text, size)))) == seen(whole)

    @settings(deadline=None, max_examples=400)
    @given(
        st.lists(st.sampled_from(FRAGMENTS), max_size=9).map("".join),
        st.data(),
        st.sampled_from(SCHEMAS),
        st.booleans(),
    )
    async def test_of_any_text_in_any_pieces(self, text: str, data: st.DataObject, schema: Any, tools: bool) -> None:
        cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=6))
        model = answering(schema, EVERY if tools else None, max_reasks=0)
        whole = await invoked(model, [text])

        assert seen(merged(await streamed(model, pieces(text, cuts)))) == seen(whole)
        assert seen(merged(await streamed(model, list(text) or [""]))) == seen(whole)

    async def test_of_every_cut_of_an_answer(self) -> None:
        text = f"Sure {{x}}:\n```json\n{ANN}\n```\nDone."
        model = answering(SCHEMA)

        for first, second in itertools.combinations(range(len(text)), 2):
            assert merged(await streamed(model, pieces(text, [first, second]))).text == ANN


GOOD = '{"text": "Dear Ann", "pages": 2}'
WRONG = {
    "a member is missing": '{"text": "Dear Ann"}',
    "the last member is wrong": '{"text": "Dear Ann", "pages": "two"}',
    "it breaks off in a number": '{"text": "Dear Ann", "pages": 1',
    "it breaks off in a string": '{"text": "Dear A',
    "it breaks off after a comma": '{"text": "Dear Ann", ',
    "it is broken": '{"text": "Dear Ann", oops}',
    "it begins otherwise": '{"pages": 1, "text": null}',
    "its text differs": '{"text": "My dear Ann", "pages": 99}',
    "a number is wrong": '{"pages": 99, "text": "Dear Ann"}',
    "it is no answer": "I will not.",
    "it is a list": "[1, 2]",
    "another value": '{"x": 1}',
}


class TestAskedAgain:
    """What was handed over cannot be taken back, so a new answer goes on where the text ends."""

    @pytest.mark.parametrize("size", [1, 3, 1000])
    @pytest.mark.parametrize("good", [GOOD, '{"pages": 2, "to": [{"name": "Ann"}], "text": "Dear Ann"}'])
    @pytest.mark.parametrize("name", WRONG)
    async def test_the_stream_means_what_invoke_returns(self, name: str, size: int, good: str) -> None:
        wrong = WRONG[name]
        model = answering(LETTER)
        whole = await invoked(model, [wrong], [good])

        message = merged(await streamed(model, in_sizes(wrong, size), in_sizes(good, size)))

        assert whole.text == good
        assert json.loads(message.text) == json.loads(good)
        assert message.response_metadata["reasks"] == 1

    @settings(deadline=None, max_examples=300)
    @given(
        st.lists(st.sampled_from(FRAGMENTS), max_size=7).map("".join),
        st.sampled_from([ANN, '{"age": 30, "name": "Bob"}', '{"x": [], "name": "Ann", "age": 30}']),
        st.sampled_from([1, 4, 1000]),
    )
    async def test_a_stream_is_never_json_that_invoke_does_not_return(self, wrong: str, good: str, size: int) -> None:
        model = answering(SCHEMA)
        whole = await invoked(model, [wrong], [good])
        text = merged(await streamed(model, in_sizes(wrong, size) or [""], in_sizes(good, size))).text

        try:
            assert json.loads(text) == json.loads(whole.text)
        except json.JSONDecodeError:
            assert text.endswith(f"\n\n{whole.text}")

    @pytest.mark.parametrize("wrong", ['{"text": "Dear Ann"}', '{"text": "Dear A', '{"text": "Dear Ann", oops}'])
    async def test_an_answer_that_begins_alike_goes_on_to_the_letter(self, wrong: str) -> None:
        assert merged(await streamed(answering(LETTER), list(wrong), list(GOOD))).text == GOOD

    async def test_of_a_member_named_twice_the_last_counts(self) -> None:
        message = merged(await streamed(answering(LETTER), list('{"text": "My dear'), list(GOOD)))

        assert message.text == '{"text": "My dear", "text": "Dear Ann", "pages": 2}'

    @pytest.mark.parametrize("wrong", ['{"to": [], "text": "Dear Ann"}', '{"text": "Dear Ann", "to": [{"name": "B'])
    async def test_a_member_that_is_gone_from_the_new_answer_leaves_text_that_is_no_json(self, wrong: str) -> None:
        message = merged(await streamed(answering(LETTER), list(wrong), list(GOOD)))

        with pytest.raises(ValueError, match="line"):
            json.loads(message.text)
        assert message.text.endswith(f"\n\n{GOOD}")

    async def test_after_asking_in_vain_the_last_text_follows(self) -> None:
        message = merged(await streamed(answering(LETTER), list('{"text": "Dear'), list("I will not.")))

        assert message.text == '{"text": "Dear\n\nI will not.'

    async def test_three_replies(self) -> None:
        replies = [list('{"text": "Dear'), list('{"text": 5}'), list(GOOD)]

        assert merged(await streamed(answering(LETTER, max_reasks=2), *replies)).text == GOOD

    async def test_a_second_reply_streams_where_the_first_showed_nothing(self) -> None:
        chunks = await streamed(answering(LETTER), list("I will not."), list(GOOD))

        assert merged(chunks).text == GOOD
        assert len([chunk for chunk in chunks if chunk.text]) > 10

    async def test_the_next_reply_is_told_what_was_wrong(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [['{"x": [', '1], {y} {"name": "Ann"}', StreamEnd()], [ANN, StreamEnd()]]

        message = await ask(api.model().bind(response_format=SCHEMA))

        assert json.loads(message.text) == ANN_DICT
        assert len(api.calls) == 2


def test_the_work_for_a_streamed_answer_grows_with_its_length() -> None:
    def lines_run(length: int) -> int:
        """Return how many lines of the package run for an answer that comes letter by letter."""
        text = json.dumps({"text": "x" * length, "pages": 1})
        answer = output_format(LETTER).answer_text()
        count = 0

        def trace(frame: Any, event: str, argument: Any) -> Any:
            nonlocal count
            count += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            shown = [part for letter in text for part in answer.feed([letter])]
        finally:
            sys.settrace(before)
        assert "".join(map(str, shown)) + answer.rest() == text
        return count

    assert lines_run(4000) < 5 * lines_run(1000)


@pytest.mark.parametrize("piece", ['{"text', '{"text": "', "{", "{}", '{"a": 1} ', "x", '{"text": {', "[", '"'])
def test_no_text_costs_more_than_its_length(piece: str) -> None:
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        took = []
        for _ in range(3):
            answer = output_format(LETTER).answer_text()
            start = time.process_time()
            for place in range(0, len(text), 2):
                answer.feed([text[place : place + 2]])
            answer.text()
            took.append(time.process_time() - start)
        return min(took)

    assert seconds(80_000) < 20 * seconds(10_000) + 0.05  # eight times the text; with its square, 64 times
