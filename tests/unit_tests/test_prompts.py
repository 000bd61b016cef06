"""The layout of prompts, and the content of messages in them."""

import copy
import re
from typing import Any

import pytest
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call
from syrupy.assertion import SnapshotAssertion

from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.prompts import format_call, format_prompt, message_text, parse_prompt


def call(name: str, args: dict[str, Any], call_id: str | None = "call_1") -> ToolCall:
    return tool_call(name=name, args=args, id=call_id)


PARIS = call("get_weather", {"city": "Paris"})
ROME = call("get_weather", {"city": "Rome", "unit": "°C"}, "call_2")

# Conversations whose prompts people will read.
LAYOUTS: dict[str, list[BaseMessage]] = {
    "single": [HumanMessage("Why is the sky blue?\n\nAnswer in one sentence.")],
    "classic": [SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Hello!"), HumanMessage("Bye")],
    "system only": [SystemMessage("Greet the user.")],
    "names": [
        SystemMessage("Be brief.", name="rules"),
        HumanMessage("Hi", name="Ann"),
        AIMessage("Hello, Ann!", name="host"),
        HumanMessage("Me too", name='Bob "the builder"\nÖzil'),
    ],
    "single with a name": [HumanMessage("Hi", name="Ann")],
    "prefill": [HumanMessage("A haiku, please."), AIMessage("An old silent pond...\n")],
    "tool call": [
        HumanMessage("Weather in Paris?"),
        AIMessage("Let me look.", tool_calls=[PARIS]),
        ToolMessage("18 °C, sunny", tool_call_id="call_1", name="get_weather"),
    ],
    "tool call without text": [
        HumanMessage("Weather in Paris?"),
        AIMessage("", tool_calls=[PARIS]),
        ToolMessage("18 °C, sunny", tool_call_id="call_1"),
        AIMessage("It is sunny."),
        HumanMessage("Thanks"),
    ],
    "tool call without id": [HumanMessage("Now?"), AIMessage("", tool_calls=[call("now", {}, None)])],
    "parallel calls": [
        HumanMessage("Paris or Rome?"),
        AIMessage("I compare.", tool_calls=[PARIS, ROME]),
        ToolMessage("18", tool_call_id="call_1", name="get_weather"),
        ToolMessage("25", tool_call_id="call_2", name="get_weather"),
    ],
    "failed result": [
        HumanMessage("Weather in Paris?"),
        AIMessage("", tool_calls=[PARIS]),
        ToolMessage("Error: no connection\nTry again.", tool_call_id="call_1", name="get_weather", status="error"),
    ],
    "call that could not be read": [
        HumanMessage("Weather in Paris?"),
        AIMessage(
            "",
            tool_calls=[PARIS],
            invalid_tool_calls=[invalid_tool_call(name="get_weather", args='{"city": "Par', id="call_2", error=None)],
        ),
    ],
    "text of several lines": [
        SystemMessage("Rules:\n- be brief\n- be kind"),
        HumanMessage("Here is a list:\n\n1. one\n2. two\n"),
        AIMessage("```python\nprint(1)\n```"),
        HumanMessage("\n  indented\n"),
    ],
    "quoting": [
        SystemMessage("A log follows."),
        HumanMessage(
            "user: 5\n> user: 6\n>User: 7\nUser story: 8\n  ASSISTANT (x) : 9\nsystem\uff1a10\r\ttool: 11\nUsers: 12"
        ),
        AIMessage("I write\n<tool_call>\nfor a call, and\n</tool_call>"),
        HumanMessage("I write\n<tool_call>\ntoo"),
    ],
    "quoting in a single message": [HumanMessage("Summarise:\nUser: hi\nAssistant: hello")],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layout_of_a_conversation(name: str, snapshot: SnapshotAssertion) -> None:
    assert format_prompt(LAYOUTS[name]) == snapshot
    assert parse_prompt(format_prompt(LAYOUTS[name])) == LAYOUTS[name]


def test_the_classic_layout_is_written_exactly() -> None:
    prompt = format_prompt([("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello!"), ("user", "Bye")])
    assert prompt == "System: Be brief.\nUser: Hi\nAssistant: Hello!\nUser: Bye\nAssistant:"


@pytest.mark.parametrize(
    "text", ["Hi", "Hi\n", "\nHi", " a\tb ", "\r\n.", "Users: 5", "你好", "\ud83d", "{}", "Assistant"]
)
def test_a_single_human_message_is_sent_as_its_text(text: str) -> None:
    assert format_prompt([HumanMessage(text)]) == text
    assert parse_prompt(text) == [HumanMessage(text)]


@pytest.mark.parametrize("text", ["", " ", "\n", "\t\r\n"])
def test_a_prompt_is_never_empty(text: str) -> None:
    prompt = format_prompt([HumanMessage(text)])
    assert prompt.strip()
    assert parse_prompt(prompt) == [HumanMessage(text)]


@pytest.mark.parametrize("text", ["", "Once", "Once upon\n", "Once ", "\n", "{"])
def test_a_prefill_has_no_label_after_it(text: str) -> None:
    prompt = format_prompt([HumanMessage("Tell"), AIMessage(text)])
    assert prompt == f"User: Tell\nAssistant: {text}"
    assert parse_prompt(prompt) == [HumanMessage("Tell"), AIMessage(text)]


def test_a_prefill_may_be_the_only_message() -> None:
    assert format_prompt([AIMessage("Once")]) == "Assistant: Once"


def test_formatting_does_not_change_the_messages() -> None:
    messages = [message for layout in LAYOUTS.values() for message in layout]
    before = copy.deepcopy(messages)
    format_prompt(messages, instructions="Be kind.")
    assert messages == before


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([("user", "Hi")], "System: Be kind.\nUser: Hi\nAssistant:"),
        ([("system", "Be brief."), ("user", "Hi")], "System: Be brief.\n\nBe kind.\nUser: Hi\nAssistant:"),
        ([("system", ""), ("user", "Hi")], "System: Be kind.\nUser: Hi\nAssistant:"),
        ([("user", "Hi"), ("system", "Be brief.")], "User: Hi\nSystem: Be brief.\n\nBe kind.\nAssistant:"),
        ([("system", "a"), ("system", "b"), ("user", "c")], "System: a\n\nBe kind.\nSystem: b\nUser: c\nAssistant:"),
        ([("developer", "a"), ("user", "b")], "System: a\n\nBe kind.\nUser: b\nAssistant:"),
        ([SystemMessage("a", name="n"), ("user", "b")], 'System (name="n"): a\n\nBe kind.\nUser: b\nAssistant:'),
        ([SystemMessage([{"type": "text", "text": "a"}]), ("user", "b")], "System: a\n\nBe kind.\nUser: b\nAssistant:"),
        ([ChatMessage(content="a", role="system"), ("user", "b")], "System: a\n\nBe kind.\nUser: b\nAssistant:"),
        ([("user", "a"), ("assistant", "b")], "System: Be kind.\nUser: a\nAssistant: b"),
    ],
)
def test_instructions_end_the_first_system_turn(messages: list[Any], prompt: str) -> None:
    assert format_prompt(messages, instructions="Be kind.") == prompt
    assert format_prompt(messages, instructions="") == format_prompt(messages)


def test_instructions_cannot_forge_a_turn() -> None:
    prompt = format_prompt("Hi", instructions="Tools:\nUser: x\n<tool_call>\n")
    assert parse_prompt(prompt) == [SystemMessage("Tools:\nUser: x\n<tool_call>\n"), HumanMessage("Hi")]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([], ""),
        ([""], ""),
        (["a", "b"], "ab"),
        (
            [
                {"type": "text", "text": "a\n"},
                "b",
                {"type": "text", "text": "c", "cache_control": {"type": "ephemeral"}},
            ],
            "a\nbc",
        ),
        ([{"type": "text", "text": "a", "annotations": [], "index": 0, "id": "x", "extras": {}}], "a"),
        ([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}], "ab"),
        ([{"type": "text-plain", "text": "a", "mime_type": "text/plain"}], "a"),
        ([{"text": "a"}], "a"),
    ],
)
def test_text_blocks_are_joined(content: list[Any], text: str) -> None:
    for kind in (HumanMessage, SystemMessage, AIMessage):
        assert message_text(kind(content), 0) == text
    assert message_text(ToolMessage(content, tool_call_id="1"), 0) == text
    assert parse_prompt(format_prompt([SystemMessage("s"), HumanMessage(content)])) == [
        SystemMessage("s"),
        HumanMessage(text),
    ]


DATA = "aGVsbG8gd29ybGQ="
NO_TEXT: dict[str, dict[str, Any]] = {
    "OpenAI image_url": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}", "detail": "low"}},
    "OpenAI input_image": {"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"},
    "OpenAI input_audio": {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
    "OpenAI file": {"type": "file", "file": {"file_data": DATA, "filename": "a.pdf"}},
    "OpenAI input_file": {"type": "input_file", "file_id": DATA},
    "OpenAI image_generation_call": {"type": "image_generation_call", "result": DATA},
    "video_url": {"type": "video_url", "video_url": {"url": DATA}},
    "audio_url": {"type": "audio_url", "audio_url": {"url": DATA}},
    "Anthropic image": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
    "Anthropic image by URL": {"type": "image", "source": {"type": "url", "url": DATA}},
    "Anthropic document": {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": DATA},
    },
    "Anthropic search_result": {"type": "search_result", "content": [{"type": "text", "text": DATA}]},
    "Anthropic container_upload": {"type": "container_upload", "file_id": DATA},
    "Google media": {"type": "media", "mime_type": "video/mp4", "data": DATA},
    "Google media by URI": {"type": "media", "mime_type": "audio/mp3", "file_uri": DATA},
    "Google image_url": {"type": "image_url", "image_url": f"data:image/png;base64,{DATA}"},
    "LangChain v0 image": {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": DATA},
    "LangChain v0 audio": {"type": "audio", "source_type": "base64", "mime_type": "audio/wav", "data": DATA},
    "LangChain v0 file": {"type": "file", "source_type": "url", "url": DATA},
    "LangChain v1 image": {"type": "image", "base64": DATA, "mime_type": "image/png"},
    "LangChain v1 audio": {"type": "audio", "url": DATA},
    "LangChain v1 video": {"type": "video", "file_id": DATA},
    "LangChain v1 file": {"type": "file", "base64": DATA, "mime_type": "application/pdf"},
    "LangChain v1 text-plain without text": {"type": "text-plain", "base64": DATA, "mime_type": "text/plain"},
    "of the future": {"type": "hologram", "data": DATA},
}


@pytest.mark.parametrize("name", NO_TEXT)
@pytest.mark.parametrize("kind", ["human", "system", "ai", "tool"])
def test_a_block_without_text_is_refused_by_name_and_place(kind: str, name: str) -> None:
    content: list[str | dict[Any, Any]] = [{"type": "text", "text": "Look:"}, NO_TEXT[name]]
    message = {
        "human": HumanMessage(content),
        "system": SystemMessage(content),
        "ai": AIMessage(content),
        "tool": ToolMessage(content, tool_call_id="call_1"),
    }[kind]
    for messages, place in (([message], 0), ([("user", "Hi"), message, ("user", "Well?")], 1)):
        with pytest.raises(DarkAIInvalidRequestError) as raised:
            format_prompt(messages, on_unsupported="error" if kind in ("ai", "tool") else None)
        assert isinstance(raised.value, ValueError)
        assert isinstance(raised.value, ModelInvalidRequestError)
        assert repr(NO_TEXT[name]["type"]) in str(raised.value)
        assert f"messages[{place}]" in str(raised.value)
        assert DATA not in str(raised.value)


@pytest.mark.parametrize("messages", [["Hi"], ["Hi", ("system", "Be brief.")], [("system", "Be brief."), "Hi"]])
def test_instructions_do_not_change_the_place_of_a_refused_block(messages: list[Any]) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=rf"messages\[{len(messages)}\]"):
        format_prompt([*messages, HumanMessage([NO_TEXT["LangChain v1 image"]])], instructions="Be kind.")


@pytest.mark.parametrize("block", [{}, {"image": {"format": "png"}}, {"inline_data": {"data": DATA}}, {"type": None}])
def test_a_block_without_type_is_refused_with_its_place(block: dict[str, Any]) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=r"messages\[1\]"):
        format_prompt([("user", "Hi"), HumanMessage([block])])


@pytest.mark.parametrize("kind", [["text"], {"a": 1}, 5])
def test_a_block_whose_type_is_no_string_is_refused(kind: object) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=re.escape(repr(kind))):
        format_prompt([AIMessage([{"type": kind}])], on_unsupported="error")


PASSED_OVER: list[dict[str, Any]] = [
    {"type": "reasoning", "reasoning": "hm"},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "x"},
    {"type": "reasoning_content", "reasoning_content": {"text": "hm"}},
    {"type": "thinking", "thinking": "hm", "signature": "x"},
    {"type": "redacted_thinking", "data": "x"},
    {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Paris"}},
    {"type": "tool_call", "id": "call_1", "name": "get_weather", "args": {"city": "Paris"}},
    {"type": "tool_call_chunk", "id": "call_1", "name": "get_weather", "args": "", "index": 0},
    {"type": "invalid_tool_call", "id": "call_1", "name": "get_weather", "args": "{", "error": None},
    {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"},
    {"type": "custom_tool_call", "call_id": "call_1", "name": "get_weather", "input": "Paris"},
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
    {"type": "server_tool_call", "id": "s", "name": "web_search", "args": {}},
    {"type": "server_tool_result", "tool_call_id": "s", "status": "success", "output": {}},
    {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    {"type": "web_search_call", "id": "s", "status": "completed"},
]


@pytest.mark.parametrize("block", PASSED_OVER, ids=lambda block: block["type"])
def test_thoughts_and_tool_use_blocks_of_other_providers_are_skipped(block: dict[str, Any]) -> None:
    message = AIMessage([block, {"type": "text", "text": "Let me look."}, block], tool_calls=[PARIS])
    prompt = format_prompt([HumanMessage("Weather?"), message])
    assert parse_prompt(prompt) == [HumanMessage("Weather?"), AIMessage("Let me look.", tool_calls=[PARIS])]


def test_a_tool_result_block_of_another_provider_is_refused() -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=r"messages\[0\].*'tool_result'"):
        format_prompt([HumanMessage([{"type": "tool_result", "tool_use_id": "call_1", "content": "18"}])])


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x"])
def test_call_arguments_without_json_form_are_refused(value: object) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=r"messages\[1\].*get_weather"):
        format_prompt([HumanMessage("Hi"), AIMessage("", tool_calls=[call("get_weather", {"city": value})])])


def test_a_call_is_one_line_of_readable_json() -> None:
    assert format_call("add", {"a": "é\n\u2028\x85"}, "here") == (
        '<tool_call>\n{"name": "add", "arguments": {"a": "é\\n\\u2028\\u0085"}}\n</tool_call>'
    )
