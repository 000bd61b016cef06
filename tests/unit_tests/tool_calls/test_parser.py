"""Reading replies: the table in every cut, text to the letter, arguments to the letter, and no call from half a one."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_darkai._tool_calls.output import Part, ToolCallDelta
from langchain_darkai._tool_calls.parser import ReplyParser
from langchain_darkai._tool_calls.tools import Tool, ToolChoice
from tests.support.replies import ADD, ADD_BLOCK, ANY, CASES, NOW_BLOCK, TOOLS, Case, bare, block, forced

EVERY = list(TOOLS.values())
Pair = tuple[str | None, str]


class Result:
    """What a parser made of a reply, as its own record and as LangChain's reading of the chunks."""

    def __init__(self, parser: ReplyParser, parts: list[Part]) -> None:
        self.content = "".join(part for part in parts if isinstance(part, str))
        assert self.content == parser.content
        self.calls = [(call.name, json.loads(call.arguments)) for call in parser.calls if call.reason is None]
        self.invalid: list[Pair] = [(call.name, call.arguments) for call in parser.calls if call.reason is not None]
        self.reasons = [call.reason for call in parser.calls if call.reason is not None]
        merged = merge(parts)
        assert merged.text == self.content
        assert [(call["name"], call["args"]) for call in merged.tool_calls] == self.calls
        assert [(call["name"], call["args"]) for call in merged.invalid_tool_calls] == self.invalid
        assert [call["id"] for call in merged.tool_call_chunks] == [call.id for call in parser.calls]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Result) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.content)

    def __repr__(self) -> str:
        return repr(self.key)

    @property
    def key(self) -> tuple[Any, ...]:
        return self.content, self.calls, self.invalid, self.reasons


def merge(parts: list[Part]) -> AIMessageChunk:
    merged = AIMessageChunk(content="")
    return merged + [chunk_of(part) for part in parts] if parts else merged


def chunk_of(part: Part) -> AIMessageChunk:
    if isinstance(part, str):
        return AIMessageChunk(content=part)
    assert isinstance(part, ToolCallDelta)
    chunk = tool_call_chunk(name=part.name, args=part.arguments, id=part.id, index=1000 + part.index)
    return AIMessageChunk(content="", tool_call_chunks=[chunk])


def parser_of(case: Case) -> ReplyParser:
    return ReplyParser(case.bound, case.choice, parallel=case.parallel)


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(places)]


def in_sizes(text: str, size: int) -> list[str]:
    return [text[place : place + size] for place in range(0, len(text), size)]


def read(parser: ReplyParser, chunks: list[str]) -> Result:
    parts = [part for chunk in chunks for part in parser.feed(chunk)]
    return Result(parser, parts + parser.finish())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_reply_gives_its_message(case: Case) -> None:
    result = read(parser_of(case), [case.text])

    assert (result.content, result.calls) == (case.content, list(case.calls))
    assert [name for name, _ in result.invalid] == [name for name, _ in case.invalid]
    for (_, kept), (_, expected) in zip(result.invalid, case.invalid, strict=True):
        assert expected in kept
    assert all(result.reasons)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_reply_gives_the_same_message_in_any_pieces(case: Case) -> None:
    whole = read(parser_of(case), [case.text])

    for size in (1, 2, 3, 5, 7, 16, 100):
        assert read(parser_of(case), in_sizes(case.text, size)) == whole
    if len(case.text) < 400:
        for cut in range(len(case.text)):
            assert read(parser_of(case), pieces(case.text, [cut])) == whole


@settings(deadline=None, max_examples=500)
@given(st.sampled_from(CASES), st.data())
def test_each_reply_gives_the_same_message_in_random_cuts(case: Case, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(case.text)), max_size=8))

    assert read(parser_of(case), pieces(case.text, cuts)) == read(parser_of(case), [case.text])


def test_the_table_has_a_hundred_replies_with_names_of_their_own() -> None:
    assert len(CASES) >= 100
    assert len({case.name for case in CASES}) == len(CASES)


# Pieces of text that look like something to a reader of calls, and are nothing without their rest.
FRAGMENTS = [
    *(
        "<tool",
        "tool_call>",
        "</tool_call>",
        "<tool_ call>",
        "<tool_calling>",
        "<function",
        "function=",
        "<|python",
        "_tag|>",
    ),
    *(
        "[TOOL",
        "_CALLS]",
        "<thin",
        "</think>",
        "think>",
        "[ARGS]",
        "<parameter=a>",
        "Observation: 3",
        "Tool: 3",
        "User: x",
    ),
    *(
        '{"name": "fly", "arguments": {}}',
        '{"name": "add"',
        '"arguments": {"a": 1}',
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        "\\",
        ":",
        ",",
    ),
    *(
        "get_weather",
        "add(",
        "now)",
        "\n",
        "\n\n",
        " ",
        "\t",
        "\r\n",
        "~~",
        "~",
        "<",
        ">",
        "|",
        "é",
        "🎉",
        "\x00",
        "\u2028",
        "a",
        "1",
    ),
]
SYNTAX = (
    "<tool_call>",
    "<function=",
    "<|python_tag|>",
    "[TOOL_CALLS]",
    "<function_call>",
    "<tool_calls>",
    "<|tool_call|>",
)


def has_call_syntax(text: str) -> bool:
    """Tell whether a text holds a mark of a call, or a tool's name where a call without a mark would have it."""
    return any(mark in text for mark in SYNTAX) or (
        any(name in text for name in TOOLS) and ('"name"' in text or "(" in text)
    )


adversarial = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=16).map("".join)


@settings(deadline=None, max_examples=1500)
@given(adversarial, st.integers(1, 9), st.sampled_from([ToolChoice(), ANY]))
@example("[now", 1, ToolChoice())
@example("```\n", 1, ToolChoice())
@example(" ~~", 1, ANY)
def test_text_without_call_syntax_comes_out_as_it_went_in(text: str, size: int, choice: ToolChoice) -> None:
    assume(not has_call_syntax(text))

    result = read(ReplyParser(EVERY, choice), in_sizes(text, size))

    assert result.key == (text, [], [], [])


@settings(deadline=None, max_examples=1500)
@example([ADD_BLOCK, "\u2028", "Observation: 3"], 1)
@given(
    st.lists(
        st.sampled_from([*FRAGMENTS, *SYNTAX, "`", "```", "\n```\n", "<think>", ADD, ADD_BLOCK, "</function>"]),
        max_size=12,
    ),
    st.integers(1, 9),
)
def test_anything_reads_alike_in_any_pieces_and_loses_nothing_but_calls(fragments: list[str], size: int) -> None:
    text = "".join(fragments)
    whole = read(ReplyParser(EVERY), [text])

    assert read(ReplyParser(EVERY), in_sizes(text, size)) == whole
    if not whole.calls and not whole.invalid:
        assert whole.content == text


@settings(deadline=None, max_examples=600)
@given(st.lists(st.sampled_from([*FRAGMENTS, "`", "``"]), max_size=8).map("".join), st.sampled_from(["`", "``", "```"]))
def test_no_call_in_code_runs(prose: str, ticks: str) -> None:
    """Quoted calls are text, whatever stands before their fence, which begins on a new line."""
    text = f"Say {prose.replace('`', '').replace('~', '')}\n\n{ticks * 3}\n{ADD_BLOCK}\n{NOW_BLOCK}\n{ticks * 3}\n\nso."
    assume(not has_call_syntax(prose))

    assert read(ReplyParser(EVERY), [text]).key == (text, [], [], [])


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(FRAGMENTS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(FRAGMENTS), inner, max_size=4)
    ),
    max_leaves=10,
)
json_objects = st.dictionaries(st.text() | st.sampled_from(FRAGMENTS), json_values, max_size=4)


@settings(deadline=None, max_examples=600)
@given(json_objects, st.booleans(), st.sampled_from([None, 2]), st.integers(1, 9), st.sampled_from(["open", "fly"]))
def test_any_arguments_survive_to_the_letter(
    arguments: dict[str, Any], ascii_only: bool, indent: int | None, size: int, name: str
) -> None:
    written = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=ascii_only, indent=indent)
    anything = Tool("open", "", {"type": "object", "properties": {}})

    result = read(ReplyParser([anything]), in_sizes(f"So: <tool_call>\n{written}\n</tool_call>", size))

    assert result.key == ("So:", [(name, arguments)], [], [])


CUTTABLE = [
    block("add", a=1, b=2),
    block("say", text='Once "upon" \\ a\n🎉 time </tool_call> x', more={"a": [1, {"b": None}], "c": -1.5e3}),
    block("save", data={"x": {"y": []}}, tags="[1]", sure="true"),
    block("fly", {"to": "Mars", "with": ["you"]}),
    "<tool_call>{'name': 'save', 'arguments': {'data': {'x': 'it's'}, 'ratio': '1.5',}}</tool_call>",
    '<tool_call>{"arguments": {"a": 1, "b": 2}, "name": "add"}</tool_call>',
    '<tool_call>[{"name": "add", "arguments": {"a": 1, "b": 2}}]</tool_call>',
    bare("add", a=1, b=2),
    f"[{bare('add', a=1, b=2)}]",
    f"```json\n{bare('add', a=1, b=2)}\n```",
    f"[TOOL_CALLS] [{bare('add', a=1, b=2)}]",
    f"<function_call>{bare('add', a=1, b=2)}</function_call>",
    '<function=add>{"a": 1, "b": 2}</function>',
    "<function=add><parameter=a>1</parameter><parameter=b>2</parameter></function>",
    "<|python_tag|>add(a=1, b=2)",
    "[add(a=1, b=2)]",
]


def end_of_call(text: str) -> int:
    """Return from where on a call is whole: after the bracket around its arguments, or what stands for it."""
    if text.startswith("<function="):
        body = text[: text.index("</function>")]
        return max(body.rfind("}") + 1, body.rfind("</parameter>") + len("</parameter>"))
    return max(text.rfind(bracket) for bracket in ("}", "]", ")")) + 1


@pytest.mark.parametrize("text", CUTTABLE)
@pytest.mark.parametrize("lead", ["", "Let me see.\n"])
def test_half_a_call_never_runs(text: str, lead: str) -> None:
    for size in (1, 1000):
        for cut in range(end_of_call(text)):
            parser = ReplyParser(EVERY)
            result = read(parser, in_sizes(lead + text[:cut], size))
            assert result.calls == [], text[:cut]


@pytest.mark.parametrize("text", CUTTABLE)
def test_half_a_call_never_runs_when_the_reply_breaks_off(text: str) -> None:
    for size in (1, 1000):
        for cut in range(end_of_call(text)):
            parser = ReplyParser(EVERY)
            parts = [part for piece in in_sizes(text[:cut], size) for part in parser.feed(piece)]
            parts += parser.abort()
            assert [call for call in parser.calls if call.reason is None] == [], text[:cut]
            assert merge(parts).tool_calls == [], text[:cut]


@pytest.mark.parametrize("after", [" x", ', "id": ', ', "id": "1"'])
def test_a_call_that_breaks_off_after_its_arguments_never_runs(after: str) -> None:
    parser = ReplyParser(EVERY)
    parts = parser.feed(f'<tool_call>{{"name": "add", "arguments": {{"a": 1, "b": 2}}{after}') + parser.abort()

    (call,) = merge(parts).invalid_tool_calls
    assert merge(parts).tool_calls == []
    assert after.strip() in str(call["args"])
    assert parser.calls[0].reason


@settings(deadline=None, max_examples=400)
@given(json_objects, st.data())
def test_half_of_any_call_never_runs(arguments: dict[str, Any], data: st.DataObject) -> None:
    text = block("open", arguments)
    cut = data.draw(st.integers(0, end_of_call(text.removesuffix("</tool_call>")) - 1))

    assert read(ReplyParser(EVERY), in_sizes(text[:cut], data.draw(st.integers(1, 5)))).calls == []


def test_a_call_that_breaks_off_keeps_what_came_before_it() -> None:
    parser = ReplyParser(EVERY)
    parts = parser.feed(f'Hm.\n{NOW_BLOCK}\n<tool_call>{{"name": "add", "arguments": {{"a": 1, "b"')
    parts += parser.abort()

    merged = merge(parts)
    assert merged.text == "Hm."
    assert [call["name"] for call in merged.tool_calls] == ["now"]
    assert [call["name"] for call in merged.invalid_tool_calls] == ["add"]
    assert parser.calls[1].reason


PROSE = 'It\'s 18 °C, sunny; I like 3 of them (really): {a} [b] #1 "x" 漢字!\nNext line > 2 = ok.\n'


def test_ordinary_letters_come_out_at_once() -> None:
    parser = ReplyParser(EVERY)
    parser.feed("S")
    for letter in PROSE * 3:
        out = "".join(str(part) for part in parser.feed(letter))
        assert letter in out or letter.isspace() or letter == "["  # which could begin [TOOL_CALLS]


def test_ordinary_letters_come_out_at_once_after_a_call() -> None:
    parser = ReplyParser(EVERY)
    parser.feed(f"{NOW_BLOCK}\nWell, ")
    for letter in "let me see what it says":
        out = "".join(str(part) for part in parser.feed(letter))
        assert letter in out or letter.isspace()


@pytest.mark.parametrize(
    "text", ["a <b", "x <tool_cat", "x <functor", "x [TOOLS", "x <|pygmy", "x <thunder", "a ~~ b", "x <tool_callz"]
)
def test_text_waits_only_while_it_can_become_a_mark(text: str) -> None:
    parser = ReplyParser(EVERY)

    assert "".join(str(part) for letter in text for part in parser.feed(letter)) == text


@pytest.mark.parametrize(
    "text",
    ['{"title": "', "{x y", "[1, 2", "[see", '{"name": "Alice", ', '["a", ', "[[1", "```python\nx", "[n](", "{}."],
)
def test_a_reply_that_begins_like_a_call_waits_only_until_it_is_none(text: str) -> None:
    parser = ReplyParser(EVERY)

    assert "".join(str(part) for letter in text for part in parser.feed(letter)).strip() == text.strip()


@pytest.mark.parametrize("tag", ["<|python_tag|>", "[TOOL_CALLS] ", "<tool_call>", "<function_call>"])
def test_prose_after_a_tag_waits_only_until_it_is_no_call(tag: str) -> None:
    text = f"The tag {tag}nowadays begins calls; it is long and winding."
    parser = ReplyParser(EVERY)

    assert "".join(str(part) for part in parser.feed(text)) == text


def test_arguments_come_out_as_they_arrive() -> None:
    parser = ReplyParser(EVERY)
    parser.feed('<tool_call>\n{"name": "say", "arguments": {"text": "')
    out = [part.arguments for letter in "Once upon" for part in parser.feed(letter) if isinstance(part, ToolCallDelta)]

    assert out == list("Once upon")


def test_every_call_has_an_id_of_its_own_and_one_name() -> None:
    parser = ReplyParser(EVERY)
    parts = [part for letter in f"{ADD_BLOCK}{ADD_BLOCK}" for part in parser.feed(letter)]
    named = [part for part in parts if isinstance(part, ToolCallDelta) and part.name]

    assert len({call.id for call in parser.calls}) == 2
    assert [(piece.index, piece.id) for piece in named] == [(0, parser.calls[0].id), (1, parser.calls[1].id)]


def test_nothing_counts_once_the_reply_is_done() -> None:
    parser = ReplyParser(EVERY, parallel=False)
    parser.feed(ADD_BLOCK)

    assert parser.done
    assert parser.feed(f" more {NOW_BLOCK}") == []
    assert parser.finish() == []


def test_a_made_up_result_ends_the_reply() -> None:
    parser = ReplyParser(EVERY)
    parser.feed(f"{ADD_BLOCK}\nObservation: 3")

    assert parser.done


@pytest.mark.parametrize("mark", SYNTAX)
def test_a_mark_in_upper_case_in_prose_is_kept_to_the_letter(mark: str) -> None:
    text = f"Some write {mark.upper()} before calls, or {mark.title()} as well."

    for size in (1, 100):
        assert read(ReplyParser(EVERY), in_sizes(text, size)).key == (text, [], [], [])


@pytest.mark.parametrize("text", ["<tool_callſ>{}", "<thınk>{}", "x <reaſoning> y", "<thinK>", "x [TOOL_CALLſ] y"])
def test_a_letter_that_only_folds_to_that_of_a_tag_is_text(text: str) -> None:
    """Where upper case counts too, a long s is an s for Python, and an i without a dot an i."""
    for size in (1, 100):
        assert read(ReplyParser(EVERY), in_sizes(text, size)).key == (text, [], [], [])


@pytest.mark.timeout(10)
def test_many_calls_in_a_fence_amid_prose_are_read_in_no_time() -> None:
    """The search for an end must not try each way to divide the calls: that doubles with each of them."""
    text = "```\n" + f"{ADD_BLOCK}\n" * 28 + "and prose"

    assert read(ReplyParser(EVERY), [text]).content == text


@pytest.mark.parametrize(
    "text", ["word " * 4000, block("say", text="word " * 4000), "[" * 4000, "<" * 4000, "`" * 4000]
)
def test_long_replies_are_read_letter_by_letter(text: str) -> None:
    result = read(ReplyParser(EVERY), list(text))

    assert result.content == text or result.calls == [("say", {"text": "word " * 4000})]


def test_forced_names_are_taken_only_where_they_are_bound() -> None:
    assert read(ReplyParser([TOOLS["now"]], forced("get_weather")), ['{"city": "Paris"}']).calls == []
