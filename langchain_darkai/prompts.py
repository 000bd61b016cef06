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
calls are quoted too. That holds for readers who normalise the prompt as well, or drop what cannot be seen.
"""

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue

from langchain_darkai._prompts.content import OnUnsupported, message_text, role_of
from langchain_darkai._prompts.grammar import CALL_END, CALL_START, LABELS
from langchain_darkai._prompts.parser import MAX_TURNS, parse_prompt
from langchain_darkai._prompts.quoting import quote
from langchain_darkai.errors import DarkAIInvalidRequestError

__all__ = [
    "CALL_END",
    "CALL_START",
    "MAX_TURNS",
    "OnUnsupported",
    "format_call",
    "format_prompt",
    "message_text",
    "one_line",
    "parse_prompt",
]


def format_prompt(
    messages: PromptValue | str | BaseMessage | Sequence[Any],
    *,
    instructions: str = "",
    prefill: str = "",
    on_unsupported: OnUnsupported = None,
) -> str:
    """Return the prompt string for a conversation.

    - `messages`: anything that LangChain accepts as a conversation: a string, a message, a prompt value, or a list of
      messages, `(role, text)` pairs or dicts. If the last one is an assistant message, the model continues it.
    - `instructions`: a text for the end of the first system turn, which is added if there is none; "" for no text.
    - `prefill`: the beginning of the model's reply, which the model continues; "" for none. It is the text of an
      assistant's last message, and is ignored if the conversation ends in one.
    - `on_unsupported`: what becomes of image, audio, video, file and other blocks that are no text. "describe" puts a
      text in their place that names type, name and size, such as `[image: chart.png, image/png, 12 kB]`; "error"
      refuses them. None, the default, describes them in tool results and assistant messages, and refuses them in what
      the user and the system say.

    Raises DarkAIInvalidRequestError, which is a ValueError, for an empty conversation, for blocks that are refused, and
    for roles that the API has no turn for.

    Example:
        >>> print(format_prompt([("system", "Be brief."), ("user", "Hi")]))
        System: Be brief.
        User: Hi
        Assistant:
    """
    if on_unsupported not in (None, "error", "describe"):
        raise DarkAIInvalidRequestError(
            f'on_unsupported={on_unsupported!r} is neither "error" nor "describe" nor None.'
        )
    conversation = _to_messages(messages)
    roles = [role_of(message, place) for place, message in enumerate(conversation)]
    texts = [message_text(message, place, on_unsupported=on_unsupported) for place, message in enumerate(conversation)]
    if roles == ["human"] and not (conversation[0].name or instructions or prefill) and texts[0].strip():
        return quote(texts[0])
    turns = [_format_turn(*turn) for turn in zip(conversation, roles, texts, range(len(roles)), strict=True)]
    instructions = quote(instructions)
    if instructions and "system" in roles:
        place = roles.index("system")
        gap = "\n\n" if texts[place] else ""
        turns[place] += gap + instructions
    elif instructions:
        turns.insert(0, f"System: {instructions}")
    if roles[-1] != "ai":
        turns.append(f"Assistant: {quote(prefill)}" if prefill else "Assistant:")
    return "\n".join(turns)


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


def _format_turn(message: BaseMessage, role: str, text: str, place: int) -> str:
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
    quoted = quote(text, by_assistant=role == "ai")
    body = "\n".join(([quoted] if text or not blocks else []) + blocks)
    given = [
        f"{name}={one_line(json.dumps(value, ensure_ascii=False))}"
        for name, value in attributes.items()
        if value is not None
    ]
    head = f"{LABELS[role]} ({', '.join(given)})" if given else LABELS[role]
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
