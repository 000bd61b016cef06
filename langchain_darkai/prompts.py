"""LangChain messages to the one prompt string of the API, and back.

The layout is the classic one of this API's clients: one turn for each message, and a last label for the model to
continue.

    System: Be brief.
    User (name="Ann"): What is the weather in Paris?
    Assistant (calls=["call_1"]): Let me look.
    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>
    Tool (id="call_1", name="get_weather", status="error"): no connection
    Assistant:

The head of a turn is its label and what the turn needs beside its text, as JSON values: the speaker's name, the ids of
the calls it makes, the call that a result answers. A single human message is its text, with no label.

No text can forge a turn. A line that could be read as a head is quoted: it gets a `>` in front, as in mbox files, even
if it has one already. Reading the prompt removes one `>`. In an assistant's text, lines that could be read as its tool
calls are quoted too.
"""

import functools
import json
import re
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.prompt_values import PromptValue

from langchain_darkai.errors import DarkAIInvalidRequestError

__all__ = ["CALL_END", "CALL_START", "format_call", "format_prompt", "message_text", "one_line", "parse_prompt"]

CALL_START, CALL_END = "<tool_call>", "</tool_call>"
"""The lines around a tool call, in history and in replies."""

_LABELS = {"system": "System", "human": "User", "ai": "Assistant", "tool": "Tool", "function": "Tool"}
_CHAT_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "human",
    "human": "human",
    "assistant": "ai",
    "ai": "ai",
}

# Every character that some reader takes for a line end, as str.splitlines does.
_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# What may stand before a label without being seen: blanks, control and format characters, but no line end.
_INDENT = (
    rf"(?:(?![{_BREAKS}])[\s\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    r"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e007f])*"
)
_ANY_HEAD = rf"(?i:system|user|assistant|tool){_INDENT}(?:\([^{_BREAKS}]*\){_INDENT})?[:\uff1a]"


@functools.cache
def _forgeable(*, by_assistant: bool = False) -> re.Pattern[str]:
    """Return a pattern for the start of a line that could be read as a head, or, with `by_assistant`, as a call.

    It is compiled for the first prompt, so that the import stays fast.
    """
    line_start = rf"{_ANY_HEAD}|</?tool_call>" if by_assistant else _ANY_HEAD
    return re.compile(rf"(?:\A|(?<=[{_BREAKS}]))(?=>*{_INDENT}(?:{line_start}))")


# A head as it is written: JSON strings, and lists of strings and nulls.
_STRING = rf'"(?:[^"\\{_BREAKS}]|\\[^{_BREAKS}])*"'
_ATTRIBUTE = rf"[a-z]+=(?:{_STRING}|\[(?:(?:{_STRING}|null)(?:, )?)*\])"


@functools.cache
def _head() -> re.Pattern[str]:
    attributes = rf"{_ATTRIBUTE}(?:, {_ATTRIBUTE})*"
    return re.compile(rf"^(System|User|Assistant|Tool)(?: \(({attributes})\))?:(?: |$)", re.MULTILINE)


# Types of content blocks that are left out of the prompt. Other providers show with them what LangChain keeps in
# `tool_calls` anyway, or the model's thoughts, which are not part of its answer.
_SKIPPED_BLOCKS = frozenset(
    {
        "reasoning",
        "reasoning_content",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_call",
        "tool_call_chunk",
        "invalid_tool_call",
        "function_call",
        "custom_tool_call",
        "input_json_delta",
        "server_tool_use",
        "server_tool_call",
        "server_tool_call_chunk",
        "server_tool_result",
        "web_search_call",
        "web_search_tool_result",
        "code_interpreter_call",
        "file_search_call",
        "mcp_call",
        "executable_code",
        "code_execution_result",
        "non_standard",
    }
)


def format_prompt(messages: PromptValue | str | BaseMessage | Sequence[Any], *, instructions: str = "") -> str:
    """Return the prompt string for a conversation.

    - `messages`: anything that LangChain accepts as a conversation: a string, a message, a prompt value, or a list of
      messages, `(role, text)` pairs or dicts. If the last one is an assistant message, the model continues it.
    - `instructions`: a text for the end of the first system turn, which is added if there is none; "" for no text.

    Raises DarkAIInvalidRequestError, which is a ValueError, for an empty conversation, for image, audio, video and file
    blocks, and for roles that the API has no turn for.

    Example:
        >>> print(format_prompt([("system", "Be brief."), ("user", "Hi")]))
        System: Be brief.
        User: Hi
        Assistant:
    """
    conversation = _to_messages(messages)
    roles = [_role(message, place) for place, message in enumerate(conversation)]
    if roles == ["human"] and not conversation[0].name and not instructions:
        text = _forgeable().sub(">", message_text(conversation[0], 0))
        if text.strip():
            return text
    turns = [_format_turn(message, place) for place, message in enumerate(conversation)]
    instructions = _forgeable().sub(">", instructions)
    if instructions and "system" in roles:
        place = roles.index("system")
        gap = "\n\n" if message_text(conversation[place], place) else ""
        turns[place] += gap + instructions
    elif instructions:
        turns.insert(0, f"System: {instructions}")
    if roles[-1] != "ai":
        turns.append("Assistant:")
    return "\n".join(turns)


def parse_prompt(query: str) -> list[BaseMessage]:
    """Return the messages of a prompt string; the inverse of `format_prompt`.

    A query that does not begin with the head of a turn is one human message. The label at the end, for the model to
    continue, is not a message.

    Example:
        >>> parse_prompt("System: Be brief.\\nUser: Hi\\nAssistant:")
        [SystemMessage(content='Be brief.', additional_kwargs={}, response_metadata={}), \
HumanMessage(content='Hi', additional_kwargs={}, response_metadata={})]
    """
    heads = [(head, attributes) for head in _head().finditer(query) if (attributes := _attributes(head[2])) is not None]
    if not heads or heads[0][0].start() != 0:
        return [HumanMessage(_unquote(query, _forgeable()))]
    ends = [head.start() - 1 for head, _ in heads[1:]] + [len(query)]
    messages = []
    for (head, attributes), end in zip(heads, ends, strict=True):
        body = query[head.end() : end]
        if end == len(query) and head[0] == "Assistant:" and not body.strip():
            break
        if not head[0].endswith(" "):
            body = body.removeprefix("\n")  # other clients put the text on the line below the label
        messages.append(_parse_turn(head[1], attributes, body))
    return messages


def message_text(message: BaseMessage, place: int) -> str:
    """Return the text of a message: its content, or its text blocks joined.

    `place` is the message's index in the conversation, for error messages.

    Raises DarkAIInvalidRequestError for a block of another kind, such as an image.

    Example:
        >>> message_text(HumanMessage(["Hello ", {"type": "text", "text": "there"}]), 0)
        'Hello there'
    """
    if isinstance(message.content, str):
        return message.content
    return "".join(_block_text(block, message, place) for block in message.content)


def _block_text(block: str | dict[Any, Any], message: BaseMessage, place: int) -> str:
    if isinstance(block, str):
        return block
    kind = block.get("type", "text" if "text" in block else None)
    for texts, key in (("text text-plain input_text output_text", "text"), ("refusal", "refusal")):
        if kind in texts.split() and isinstance(text := block.get(key), str):
            return text
    if isinstance(kind, str) and kind in _SKIPPED_BLOCKS and isinstance(message, AIMessage):
        return ""
    raise DarkAIInvalidRequestError(
        f"messages[{place}], a {message.type} message, has a content block of type {kind!r}. The DarkAI API carries "
        "text only: describe it in words, or leave it out."
    )


def _to_messages(messages: PromptValue | str | BaseMessage | Sequence[Any]) -> list[BaseMessage]:
    if isinstance(messages, str | BaseMessage | dict):
        messages = [messages]
    try:
        conversation = convert_to_messages(messages)
    except (NotImplementedError, TypeError, ValueError, KeyError) as error:
        raise DarkAIInvalidRequestError(f"The messages are not a conversation: {error}") from error
    if not conversation:
        raise DarkAIInvalidRequestError("There are no messages to send. Give at least one, or a string.")
    return conversation


def _role(message: BaseMessage, place: int) -> str:
    role = message.type
    if isinstance(message, ChatMessage):
        role = _CHAT_ROLES.get(message.role.lower(), message.role)
    role = role.removesuffix("MessageChunk").lower() if role.endswith("MessageChunk") else role
    if role not in _LABELS:
        raise DarkAIInvalidRequestError(
            f"messages[{place}] has the role {role!r}, which the DarkAI API has no turn for. Use system, "
            "user, assistant or tool."
        )
    return role


def _format_turn(message: BaseMessage, place: int) -> str:
    role, text = _role(message, place), message_text(message, place)
    attributes: dict[str, Any] = {"name": message.name or None}
    blocks: list[str] = []
    if isinstance(message, ToolMessage):
        status = "error" if message.status == "error" else None
        attributes = {"id": message.tool_call_id or None, **attributes, "status": status}
    if isinstance(message, AIMessage):
        # The arguments of a call that could not be read are shown as the model wrote them, as a string.
        calls: list[tuple[str | None, str | None, Any]] = [(c["id"], c["name"], c["args"]) for c in message.tool_calls]
        calls += [(c["id"], c["name"], c["args"] or "") for c in message.invalid_tool_calls]
        if any(call_id is not None for call_id, _, _ in calls):
            attributes["calls"] = [call_id for call_id, _, _ in calls]
        blocks = [format_call(name, arguments, f"messages[{place}]") for _, name, arguments in calls]
    quoted = _forgeable(by_assistant=role == "ai").sub(">", text)
    body = "\n".join(([quoted] if text or not blocks else []) + blocks)
    given = [
        f"{name}={one_line(json.dumps(value, ensure_ascii=False))}"
        for name, value in attributes.items()
        if value is not None
    ]
    head = f"{_LABELS[role]} ({', '.join(given)})" if given else _LABELS[role]
    return f"{head}: {body}"


def format_call(name: str | None, arguments: Any, where: str) -> str:
    """Return a tool call in the form that the model is asked to write.

    `where` names the place of the call in error messages.

    Raises DarkAIInvalidRequestError for arguments that have no JSON form.

    Example:
        >>> print(format_call("add", {"a": 1}, "messages[1]"))
        <tool_call>
        {"name": "add", "arguments": {"a": 1}}
        </tool_call>
    """
    try:
        text = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DarkAIInvalidRequestError(
            f"{where}: the arguments of the call to {name} are not JSON: {error}."
        ) from error
    return f"{CALL_START}\n{one_line(text)}\n{CALL_END}"


def one_line(json_text: str) -> str:
    """Return JSON text on one line, by every definition of a line.

    JSON allows some line ends inside strings. They are escaped here, because a string could forge a turn with them.

    Example:
        >>> one_line('["a\\u2028b"]')
        '["a\\\\u2028b"]'
    """
    for character in "\x85\u2028\u2029":
        json_text = json_text.replace(character, f"\\u{ord(character):04x}")
    return json_text


def _unquote(text: str, forgeable: re.Pattern[str]) -> str:
    starts = [match.start() for match in forgeable.finditer(text) if text.startswith(">", match.start())]
    pieces, last = [], 0
    for start in starts:
        pieces.append(text[last:start])
        last = start + 1
    return "".join((*pieces, text[last:]))


def _attributes(text: str | None) -> dict[str, Any] | None:
    """Return the values in the parentheses of a head, or None if `format_prompt` cannot have written them."""
    try:
        pairs = (attribute[0].split("=", 1) for attribute in re.finditer(_ATTRIBUTE, text or ""))
        return {name: json.loads(value) for name, value in pairs}
    except ValueError:
        return None


def _parse_turn(label: str, attributes: dict[str, Any], body: str) -> BaseMessage:
    name = _string(attributes.get("name"))
    if label == "System":
        return SystemMessage(_unquote(body, _forgeable()), name=name)
    if label == "User":
        return HumanMessage(_unquote(body, _forgeable()), name=name)
    if label == "Tool":
        return ToolMessage(
            _unquote(body, _forgeable()),
            tool_call_id=_string(attributes.get("id")) or "",
            name=name,
            status="error" if attributes.get("status") == "error" else "success",
        )
    text, calls = _split_calls(body)
    ids = attributes.get("calls")
    ids = ids if isinstance(ids, list) else []
    message = AIMessage(_unquote(text, _forgeable(by_assistant=True)), name=name)
    for place, call in enumerate(calls):
        call_id = _string(ids[place]) if place < len(ids) else None
        if isinstance(call["arguments"], dict) and isinstance(call["name"], str):
            message.tool_calls.append(tool_call(name=call["name"], args=call["arguments"], id=call_id))
        else:
            message.invalid_tool_calls.append(
                invalid_tool_call(name=_string(call["name"]), args=_string(call["arguments"]), id=call_id, error=None)
            )
    return message


def _split_calls(body: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the text of an assistant's turn, and the calls after it.

    Lines of the text are quoted if they look like a call, so the first line that opens a call begins the calls. If they
    are not what `format_prompt` writes, another client wrote the turn, and all of it is text.
    """
    start = 0 if body.startswith(f"{CALL_START}\n") else body.find(f"\n{CALL_START}\n")
    if start < 0:
        return body, []
    calls = []
    lines = body[start:].removeprefix("\n").split("\n")
    for opening, text, closing in zip(*[iter(lines)] * 3, strict=False):
        try:
            call = json.loads(text)
        except (ValueError, RecursionError):
            call = None
        if (
            opening != CALL_START
            or closing != CALL_END
            or not isinstance(call, dict)
            or call.keys() != {"name", "arguments"}
        ):
            return body, []
        calls.append(call)
    return (body[:start], calls) if len(lines) % 3 == 0 else (body, [])


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None
