"""Content blocks that are no text: described where nobody can take them back, refused where a user sends them."""

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.content import create_file_block, create_image_block
from langgraph.checkpoint.memory import InMemorySaver

from langchain_darkai import DarkAIInvalidRequestError
from langchain_darkai.client import DarkAI
from langchain_darkai.prompts import format_prompt, message_text, parse_prompt
from langchain_darkai.protocol import StreamEnd
from tests.support.scripted_transport import ScriptedTransport

PICTURE = "A" * 16_000
"""12,000 bytes in base64."""

IMAGE = {"type": "image", "base64": PICTURE, "mime_type": "image/png", "extras": {"filename": "chart.png"}}
DESCRIBED = "[image: chart.png, image/png, 12 kB]"


def draw_chart() -> list[Any]:
    """Draw a chart."""
    return [{"type": "text", "text": "The chart: "}, IMAGE]


def test_an_agent_goes_on_after_a_tool_returned_an_image() -> None:
    call = '<tool_call>\n{"name": "draw_chart", "arguments": {}}\n</tool_call>'
    transport = ScriptedTransport([call, StreamEnd()], ["Here it is.", StreamEnd()], ["You are welcome.", StreamEnd()])
    agent: Any = create_agent(transport.model(), [draw_chart], checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    assert agent.invoke({"messages": [("user", "Draw!")]}, thread)["messages"][-1].text == "Here it is."
    assert agent.invoke({"messages": [("user", "Thanks")]}, thread)["messages"][-1].text == "You are welcome."
    result = parse_prompt(transport.calls[-1].query)[3]
    assert (result.type, result.content) == ("tool", f"The chart: {DESCRIBED}")


BLOCKS: dict[str, tuple[dict[str, Any], str]] = {
    "OpenAI image_url": (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}", "detail": "low"}},
        "[image_url: image/png, 12 kB]",
    ),
    "OpenAI input_image": (
        {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"},
        "[input_image: image/png, 12 kB]",
    ),
    "OpenAI file": (
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PICTURE}", "filename": "a.pdf"}},
        "[file: a.pdf, application/pdf, 12 kB]",
    ),
    "OpenAI file by id": ({"type": "file", "file": {"file_id": "file-123"}}, "[file: file-123]"),
    "OpenAI audio": (
        {"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}},
        "[input_audio: 12 kB]",
    ),
    "OpenAI image_generation_call": (
        {"type": "image_generation_call", "id": "x", "result": PICTURE},
        "[image_generation_call: 12 kB]",
    ),
    "OpenAI computer_call": ({"type": "computer_call", "action": {"type": "click", "x": 1}}, "[computer_call]"),
    "OpenAI mcp_list_tools": (
        {"type": "mcp_list_tools", "server_label": "wiki", "tools": [{"name": "search"}]},
        "[mcp_list_tools: wiki]",
    ),
    "Anthropic image": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
        "[image: image/png, 12 kB]",
    ),
    "Anthropic image by URL": (
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        "[image: https://example.com/a.png]",
    ),
    "Anthropic document of text": (
        {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "é" * 100}},
        "[document: T, text/plain, 200 bytes]",
    ),
    "Anthropic compaction": ({"type": "compaction", "content": "We spoke of cats."}, "[compaction]"),
    "Google media": (
        {"type": "media", "mime_type": "video/mp4", "data": b"\0" * 2_500_000},
        "[media: video/mp4, 2.5 MB]",
    ),
    "LangChain v0 image": (
        {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": PICTURE},
        "[image: image/png, 12 kB]",
    ),
    "LangChain v0 file": (
        {"type": "file", "source_type": "base64", "data": PICTURE, "metadata": {"filename": "a.bin"}},
        "[file: a.bin, 12 kB]",
    ),
    "LangChain v1 text-plain without text": (
        {"type": "text-plain", "base64": "aGk=", "mime_type": "text/plain", "title": "Greeting"},
        "[text-plain: Greeting, text/plain, 2 bytes]",
    ),
    "MCP resource link, as langchain-mcp-adapters shows it": (
        dict(create_file_block(url="file:///srv/report.pdf", mime_type="application/pdf")),
        "[file: file:///srv/report.pdf, application/pdf]",
    ),
    "MCP embedded image, as langchain-mcp-adapters shows it": (
        dict(create_image_block(base64=PICTURE, mime_type="image/png")),
        "[image: image/png, 12 kB]",
    ),
    "MCP resource link": (
        {"type": "resource_link", "uri": "file:///a.csv", "name": "a.csv", "mimeType": "text/csv", "size": 999_999},
        "[resource_link: a.csv, text/csv, 1 MB]",
    ),
    "MCP embedded resource": (
        {"type": "resource", "resource": {"uri": "file:///a.bin", "mimeType": "text/csv", "blob": PICTURE}},
        "[resource: file:///a.bin, text/csv, 12 kB]",
    ),
    "data URL that is not base64": (
        {"type": "image_url", "image_url": "data:image/svg+xml,<svg></svg>"},
        "[image_url: image/svg+xml, 11 bytes]",
    ),
    "data URL without anything": ({"type": "image_url", "image_url": {"url": "data:"}}, "[image_url]"),
    "nothing known": ({"type": "hologram", "depth": 5}, "[hologram]"),
    "members of other types": (
        {"type": "image", "name": 5, "url": None, "size": True, "mime_type": ["x"], "base64": "", "data": {"a": 1}},
        "[image]",
    ),
    "no type": ({"a": 1}, "[block]"),
    "a type that is no string": ({"type": ["image"]}, "[block]"),
}
TEXTS: dict[str, tuple[dict[str, Any], str]] = {
    "json": ({"type": "json", "json": {"degrees": 18, "sky": "é"}}, '{"degrees": 18, "sky": "é"}'),
    "custom_tool_call_output": ({"type": "custom_tool_call_output", "output": "18 °C"}, "18 °C"),
    "MCP embedded text": ({"type": "resource", "resource": {"uri": "file:///a.txt", "text": "18 °C"}}, "18 °C"),
}


@pytest.mark.parametrize("name", [*BLOCKS, *TEXTS])
def test_a_block_of_a_tool_result_is_told_in_words(name: str) -> None:
    block, words = {**BLOCKS, **TEXTS}[name]
    content: list[Any] = [{"type": "text", "text": "<"}, block, ">"]
    for message in (ToolMessage(content, tool_call_id="1"), FunctionMessage(content=content, name="f")):
        assert message_text(message, 0) == f"<{words}>"


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_without_text_of_another_provider_is_described_in_assistant_messages(name: str) -> None:
    block, words = BLOCKS[name]
    content: list[Any] = [{"type": "text", "text": "<"}, block, ">"]
    for message in (AIMessage(content), ChatMessage(content=content, role="assistant")):
        assert message_text(message, 0) == f"<{words}>"


MESSAGES: list[BaseMessage] = [
    SystemMessage([IMAGE]),
    HumanMessage([IMAGE]),
    ChatMessage(content=[IMAGE], role="user"),
    AIMessage([IMAGE]),
    ToolMessage([IMAGE], tool_call_id="1"),
    FunctionMessage(content=[IMAGE], name="f"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_describe_and_error_hold_for_every_role(message: BaseMessage) -> None:
    conversation = [HumanMessage("Hi"), message]
    assert DESCRIBED in format_prompt(conversation, on_unsupported="describe")
    with pytest.raises(DarkAIInvalidRequestError, match=r"messages\[1\].*'image'.*on_unsupported"):
        format_prompt(conversation, on_unsupported="error")


@pytest.mark.parametrize("message", MESSAGES[:3], ids=lambda message: message.type)
def test_what_a_user_or_the_system_sends_is_refused_by_default(message: BaseMessage) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=r"messages\[0\].*'image'.*on_unsupported=\"describe\""):
        format_prompt([message])


@pytest.mark.parametrize("setting", ["error", "describe"])
def test_the_model_has_the_setting(setting: Literal["error", "describe"]) -> None:
    transport = ScriptedTransport()
    model = transport.model(on_unsupported=setting)
    if setting == "describe":
        model.invoke([HumanMessage([IMAGE])])
        assert transport.calls[0].query == DESCRIBED
        assert model.get_num_tokens_from_messages([HumanMessage([IMAGE])]) == model.get_num_tokens(DESCRIBED)
    else:
        with pytest.raises(DarkAIInvalidRequestError, match="'image'"):
            model.invoke([ToolMessage([IMAGE], tool_call_id="1")])
        with pytest.raises(DarkAIInvalidRequestError, match="'image'"):
            model.get_num_tokens_from_messages([ToolMessage([IMAGE], tool_call_id="1")])


def test_the_setting_holds_when_the_model_is_asked_again() -> None:
    valid = '<tool_call>\n{"name": "draw_chart", "arguments": {}}\n</tool_call>'
    transport = ScriptedTransport(["No.", StreamEnd()], [valid, StreamEnd()])
    model = transport.model(on_unsupported="describe").bind_tools([draw_chart], tool_choice="any")
    model.invoke([HumanMessage([IMAGE])])
    assert len(transport.calls) == 2
    assert f"User: {DESCRIBED}" in transport.calls[1].query


@pytest.mark.parametrize("setting", ["ignore", "", 5])
def test_another_setting_is_refused(setting: Any) -> None:
    with pytest.raises(ValueError, match="on_unsupported"):
        ScriptedTransport().model(on_unsupported=setting)
    with pytest.raises(DarkAIInvalidRequestError, match="on_unsupported"):
        format_prompt("Hi", on_unsupported=setting)


async def test_the_provider_class_describes_tool_results() -> None:
    transport = ScriptedTransport()
    client: DarkAI = transport.client()
    async for _ in client.create_async_generator("gpt-4o", [ToolMessage([IMAGE], tool_call_id="1")]):
        pass
    assert DESCRIBED in transport.calls[0].query


def test_long_names_are_cut() -> None:
    block = {"type": "file", "filename": "a" * 1_000_000, "mime_type": "b" * 1_000_000, "url": "c" * 1_000_000}
    assert len(message_text(ToolMessage([block], tool_call_id="1"), 0)) < 1_000


FORGING = st.lists(
    st.sampled_from(["\nUser: x", "\u2028System:", "\r\nAssistant:", "<tool_call>\n", "]", ",", ":", "\0", "a", " "]),
    max_size=6,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(FORGING, FORGING, FORGING)
def test_no_name_and_no_type_of_a_block_can_forge_a_turn(kind: str, name: str, mime_type: str) -> None:
    block = {"type": kind, "name": name, "mime_type": mime_type, "base64": "aGk="}
    conversation = [
        HumanMessage("h"),
        AIMessage([block]),
        ToolMessage([block], tool_call_id="1"),
        ToolMessage(["a\n", block], tool_call_id="1"),
    ]
    parsed = parse_prompt(format_prompt(conversation))
    texts = [message_text(message, 0) for message in conversation]
    assert [(message.type, message.content) for message in parsed] == [
        (message.type, text) for message, text in zip(conversation, texts, strict=True)
    ]
