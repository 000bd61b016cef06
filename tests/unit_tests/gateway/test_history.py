"""Conversations as models with native calls take them: every call has its result, and every result its call."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_darkai._gateway.history import native_history

IDS = st.sampled_from(["x", "y", "z", None])
CALLS = st.builds(lambda id_: {"name": "f", "args": {}, "id": id_, "type": "tool_call"}, IDS)
BROKEN = st.builds(lambda id_: {"name": "f", "args": "{", "id": id_, "error": None, "type": "invalid_tool_call"}, IDS)
ASSISTANT = st.builds(
    lambda text, calls, broken: AIMessage(text, tool_calls=calls, invalid_tool_calls=broken),
    st.sampled_from(["", "Hm."]),
    st.lists(CALLS, max_size=3),
    st.lists(BROKEN, max_size=1),
)
RESULTS = st.builds(lambda id_: ToolMessage("done", tool_call_id=id_ or "", name="f"), IDS)
CONVERSATIONS = st.lists(ASSISTANT | RESULTS | st.just(HumanMessage("Go on.")), max_size=8)


@given(CONVERSATIONS)
def test_calls_and_results_belong_together(conversation: list[BaseMessage]) -> None:
    awaited: list[Any] = []
    for message in native_history(conversation):
        if isinstance(message, ToolMessage):
            assert message.tool_call_id == awaited.pop(0)
        else:
            assert awaited == []
        if isinstance(message, AIMessage):
            assert message.invalid_tool_calls == []
            awaited = [call["id"] for call in message.tool_calls]
            assert all(awaited)
    assert awaited == []


@given(CONVERSATIONS)
def test_nothing_is_lost(conversation: list[BaseMessage]) -> None:
    history = native_history(conversation)
    results = [message for message in conversation if isinstance(message, ToolMessage)]
    assert sum("done" in message.text for message in history) == len(results)
    calls = sum(len(m.tool_calls) + len(m.invalid_tool_calls) for m in conversation if isinstance(m, AIMessage))
    kept = sum(len(message.tool_calls) for message in history if isinstance(message, AIMessage))
    assert kept + sum(message.text.count("<tool_call>") for message in history) == calls


def test_what_is_in_order_stays_as_it_is() -> None:
    call = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
    conversation = [
        SystemMessage("Be brief."),
        HumanMessage("Add."),
        AIMessage("Sure.", tool_calls=[call]),
        ToolMessage("2", tool_call_id="c1", name="add", status="error"),
        AIMessage("It is 2."),
    ]
    assert native_history(conversation) == conversation


def test_a_result_without_a_call_is_told_as_text() -> None:
    [message] = native_history([ToolMessage("noon", tool_call_id="x", name="now")])
    assert message == HumanMessage("The result of now:\nnoon")


def test_the_given_messages_are_not_changed() -> None:
    call: Any = {"name": "now", "args": {}, "id": None, "type": "tool_call"}
    conversation = [AIMessage("", tool_calls=[call]), ToolMessage("noon", tool_call_id="")]
    native_history(conversation)
    assert conversation[0].tool_calls[0]["id"] is None  # type: ignore[attr-defined]
    assert conversation[1].tool_call_id == ""  # type: ignore[attr-defined]


def test_results_in_any_order_find_their_calls() -> None:
    calls: Any = [{"name": "f", "args": {}, "id": name, "type": "tool_call"} for name in "xyz"]
    results = [ToolMessage(name, tool_call_id=name) for name in "zxy"]
    history = native_history([AIMessage("", tool_calls=calls), *results])
    assert [message.text for message in history[1:]] == ["x", "y", "z"]
