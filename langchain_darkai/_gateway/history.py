"""A conversation as models with native tool calls take it: each result answers a call, and each call has its result."""

from collections import deque
from collections.abc import Sequence
from typing import cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage

from langchain_darkai.prompts import format_call


def native_history(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the conversation with an id for each call and its result, by which they belong together.

    A call without a result becomes text, as the model was to write it, and so does a result without a call: APIs refuse
    both. So does a call that could not be read, together with what it was told.

    Example:
        >>> call = {"name": "now", "args": {}, "id": None, "type": "tool_call"}
        >>> history = native_history([AIMessage("", tool_calls=[call]), ToolMessage("noon", tool_call_id="")])
        >>> history[0].tool_calls[0]["id"] == history[1].tool_call_id
        True
    """
    history: list[BaseMessage] = []
    place = 0
    while place < len(messages):
        message = messages[place]
        place += 1
        if not isinstance(message, AIMessage):
            history.append(_as_text(message) if isinstance(message, ToolMessage) else message)
            continue
        results: list[ToolMessage] = []
        while place < len(messages) and isinstance(messages[place], ToolMessage):
            results.append(cast("ToolMessage", messages[place]))
            place += 1
        history += _turn(message, results, len(history))
    return history


def _turn(message: AIMessage, results: list[ToolMessage], number: int) -> list[BaseMessage]:
    """Return an assistant's message and the results that follow it."""
    left: dict[str, deque[ToolMessage]] = {}  # the results that answer no call yet, by the call's id, "" for none
    for result in results:
        left.setdefault(result.tool_call_id, deque()).append(result)
    calls: list[ToolCall] = []
    answers: list[BaseMessage] = []
    texts = [str(message.text)]
    for index, call in enumerate(message.tool_calls):
        if waiting := left.get(call["id"] or ""):
            call_id = call["id"] or f"call_{number}_{index}"
            calls.append({**call, "id": call_id})
            answers.append(waiting.popleft().model_copy(update={"tool_call_id": call_id}))
        else:
            texts.append(format_call(call["name"], call["args"], "A call"))
    texts += [format_call(call["name"], call["args"] or "", "A call") for call in message.invalid_tool_calls]
    changes = {"content": "\n".join(filter(None, texts)), "tool_calls": calls, "invalid_tool_calls": []}
    unanswering = [_as_text(result) for waiting in left.values() for result in waiting]
    return [message.model_copy(update=changes), *answers, *unanswering]


def _as_text(message: BaseMessage) -> HumanMessage:
    name = f" of {message.name}" if message.name else ""
    return HumanMessage(f"The result{name}:\n{message.text}")
