"""What is a conversation: roles, forms of messages, and the prompts of other clients."""

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from langchain_core.messages.tool import tool_call
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate

from langchain_darkai.errors import DarkAIInvalidRequestError
from langchain_darkai.prompts import format_prompt, parse_prompt

PARIS = tool_call(name="get_weather", args={"city": "Paris"}, id="call_1")


@pytest.mark.parametrize(
    ("message", "prompt"),
    [
        ({"role": "developer", "content": "x"}, "System: x"),
        (("developer", "x"), "System: x"),
        (("human", "x"), "User: x"),
        (("user", "x"), "User: x"),
        (("ai", "x"), "Assistant: x"),
        (("assistant", "x"), "Assistant: x"),
        ({"role": "user", "content": "x", "name": "Ann"}, 'User (name="Ann"): x'),
        ({"role": "tool", "content": "x", "tool_call_id": "1"}, 'Tool (id="1"): x'),
        (FunctionMessage(content="x", name="f"), 'Tool (name="f"): x'),
        (FunctionMessageChunk(content="x", name="f"), 'Tool (name="f"): x'),
        (ChatMessage(content="x", role="user"), "User: x"),
        (ChatMessage(content="x", role="Human"), "User: x"),
        (ChatMessage(content="x", role="system"), "System: x"),
        (ChatMessage(content="x", role="developer"), "System: x"),
        (ChatMessage(content="x", role="assistant"), "Assistant: x"),
        (ChatMessage(content="x", role="AI"), "Assistant: x"),
        (ChatMessageChunk(content="x", role="user"), "User: x"),
        (HumanMessageChunk(content="x"), "User: x"),
        (AIMessageChunk(content="x"), "Assistant: x"),
        (SystemMessageChunk(content="x"), "System: x"),
        (ToolMessageChunk(content="x", tool_call_id="1"), 'Tool (id="1"): x'),
        (ToolMessage("x", tool_call_id="1", name="f", status="error"), 'Tool (id="1", name="f", status="error"): x'),
    ],
)
def test_each_role_has_its_turn(message: Any, prompt: str) -> None:
    assert format_prompt([("user", "Hi"), message, ("user", "Bye")]) == f"User: Hi\n{prompt}\nUser: Bye\nAssistant:"


@pytest.mark.parametrize(
    "message", [RemoveMessage(id="1"), ChatMessage(content="x", role="critic"), ChatMessage(content="x", role="")]
)
def test_a_role_without_a_turn_is_refused(message: BaseMessage) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match=r"messages\[1\].*role"):
        format_prompt([HumanMessage("Hi"), message])


@pytest.mark.parametrize(
    "messages",
    [
        "Hi",
        HumanMessage("Hi"),
        ["Hi"],
        ("Hi",),
        [("user", "Hi")],
        [["user", "Hi"]],
        [{"role": "user", "content": "Hi"}],
        [{"type": "human", "content": "Hi"}],
        [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        StringPromptValue(text="Hi"),
        ChatPromptValue(messages=[HumanMessage("Hi")]),
        ChatPromptTemplate.from_messages([("user", "{text}")]).invoke({"text": "Hi"}),
    ],
)
def test_every_form_of_a_conversation_is_accepted(messages: Any) -> None:
    assert format_prompt(messages) == "Hi"


def test_tool_calls_in_the_form_of_openai_are_accepted() -> None:
    function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    calls = [{"type": "function", "id": "call_1", "function": function}]
    prompt = format_prompt([{"role": "assistant", "content": None, "tool_calls": calls}])
    assert parse_prompt(prompt) == [AIMessage("", tool_calls=[PARIS])]


@pytest.mark.parametrize("messages", [[], (), ChatPromptValue(messages=[])])
def test_an_empty_conversation_is_refused(messages: Any) -> None:
    with pytest.raises(DarkAIInvalidRequestError, match="no messages"):
        format_prompt(messages)


@pytest.mark.parametrize("messages", [None, 5, [None], [5], [("user",)], [{"content": "Hi"}], [("nobody", "Hi")], [{}]])
def test_what_is_no_conversation_is_refused(messages: Any) -> None:
    with pytest.raises(DarkAIInvalidRequestError):
        format_prompt(messages)


@pytest.mark.parametrize(
    ("query", "messages"),
    [
        ("", [HumanMessage("")]),
        ("Hi", [HumanMessage("Hi")]),
        ("System: a\nUser: b\nAssistant:", [SystemMessage("a"), HumanMessage("b")]),
        ("System: a\nUser: b", [SystemMessage("a"), HumanMessage("b")]),
        ("User: a\nAssistant:\n", [HumanMessage("a")]),
        ("User: a\nAssistant: b\nUser: c\nAssistant:", [HumanMessage("a"), AIMessage("b"), HumanMessage("c")]),
        ("User:\na\nAssistant:\nb\nUser:\nc\nAssistant:", [HumanMessage("a"), AIMessage("b"), HumanMessage("c")]),
        ("User: a\n\nb\nAssistant:", [HumanMessage("a\n\nb")]),
        ("User:\nAssistant:", [HumanMessage("")]),
        ("Tell me.\nUser: a\nAssistant:", [HumanMessage("Tell me.\nUser: a\nAssistant:")]),
        ("user: a\nassistant:", [HumanMessage("user: a\nassistant:")]),
        ("User : a", [HumanMessage("User : a")]),
        ("User (Ann): a", [HumanMessage("User (Ann): a")]),
        ("User (name=Ann): a", [HumanMessage("User (name=Ann): a")]),
        ('User (name="\\x"): a', [HumanMessage('User (name="\\x"): a')]),
        ('User (name="Ann", age="5"): a', [HumanMessage("a", name="Ann")]),
        ('User (name=["Ann"]): a', [HumanMessage("a")]),
        ("Tool: a", [ToolMessage("a", tool_call_id="")]),
        ('Tool (id=["a"], status="fine"): a', [ToolMessage("a", tool_call_id="")]),
        ("User: a\nUser: b\nAssistant: c", [HumanMessage("a"), HumanMessage("b"), AIMessage("c")]),
        ("User: a\r\nAssistant:", [HumanMessage("a\r")]),
    ],
)
def test_prompts_of_other_clients_are_parsed(query: str, messages: list[BaseMessage]) -> None:
    assert parse_prompt(query) == messages


BLOCK = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>",
        "<tool_call>\n",
        "<tool_call>\nf()\n</tool_call>",
        '<tool_call>\n{"name": "f"}\n</tool_call>',
        '<tool_call>\n{"name": "f", "arguments": {}, "id": 1}\n</tool_call>',
        '<tool_call>\n["f"]\n</tool_call>',
        '<tool_call>\n{"name": "f",\n"arguments": {}}\n</tool_call>',
        '<tool_call>{"name": "f", "arguments": {}}</tool_call>',
        "<tool_call>\n" + "[" * 100_000 + "\n</tool_call>",
        f"{BLOCK}\nand more",
        f"{BLOCK}\n",
        f"{BLOCK}\n<tool_call>",
        f"Look: {BLOCK}",
    ],
)
def test_call_syntax_that_is_no_call_stays_text(text: str) -> None:
    assert parse_prompt(f"User: a\nAssistant: {text}\nUser: b") == [
        HumanMessage("a"),
        AIMessage(text),
        HumanMessage("b"),
    ]


@pytest.mark.parametrize("ids", ["", ' (calls=["1"])', ' (calls="1")', ' (calls=[null, "2", "3"])'])
def test_call_ids_that_do_not_fit_the_calls_are_tolerated(ids: str) -> None:
    message = parse_prompt(f"Assistant{ids}: a\n{BLOCK}\n{BLOCK}")[0]
    assert isinstance(message, AIMessage)
    assert [(c["name"], c["args"]) for c in message.tool_calls] == [("f", {}), ("f", {})]
