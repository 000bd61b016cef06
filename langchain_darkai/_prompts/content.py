"""The content of a message as text: its role, its texts, and words for what is no text."""

import itertools
import json
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from langchain_core.messages import BaseMessage, ChatMessage

from langchain_darkai._prompts.grammar import LABELS
from langchain_darkai._text import one_line, short_repr
from langchain_darkai.errors import DarkAIInvalidRequestError

OnUnsupported: TypeAlias = Literal["error", "describe"] | None
"""What becomes of content blocks that are no text: an error, words, or, for None, what is best for the role."""

MAX_WORDS = 200
"""Characters of a block's name, or of another of its details, in its description. A URL may be as long as a file."""

_CHAT_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "human",
    "human": "human",
    "assistant": "ai",
    "ai": "ai",
}

# Where the text of a block is, by its type; a block without a type is text if it has some.
_TEXT_MEMBERS = {
    **dict.fromkeys(("text", "text-plain", "input_text", "output_text"), "text"),
    "refusal": "refusal",
    "custom_tool_call_output": "output",
}

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

# Where blocks of LangChain, of OpenAI, Anthropic, Google and MCP have what describes them, the best place first.
_NAMES = ("filename", "file_name", "title", "name", "server_label", "url", "uri", "file_uri", "image_url", "file_id")
_MIME_TYPES = ("mime_type", "media_type", "mimeType")
_DATA = ("base64", "data", "file_data", "blob", "result", "b64_json")
_URLS = ("url", "uri", "image_url", "file_data", "file_url")


def role_of(message: BaseMessage, place: int) -> str:
    """Return the role of a message, one of those that have a label.

    Raises DarkAIInvalidRequestError for roles that the API has no turn for; `place` is the message's index, for it.
    """
    role = message.type
    if isinstance(message, ChatMessage):
        role = _CHAT_ROLES.get(message.role.lower(), message.role)
    role = role.removesuffix("MessageChunk").lower() if role.endswith("MessageChunk") else role
    role = "tool" if role == "function" else role
    if role not in LABELS:
        raise DarkAIInvalidRequestError(
            f"messages[{place}] has the role {short_repr(role)}, which the DarkAI API has no turn for. Use system, "
            "user, assistant or tool."
        )
    return role


def message_text(message: BaseMessage, place: int, *, on_unsupported: OnUnsupported = None) -> str:
    """Return the text of a message: its content, or its text blocks joined.

    `place` is the message's index in the conversation, for error messages. `on_unsupported` says what becomes of other
    blocks, such as images, as for `format_prompt`.

    Raises DarkAIInvalidRequestError for such a block if it is not to be described.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> message_text(HumanMessage(["Hello ", {"type": "text", "text": "there"}]), 0)
        'Hello there'
    """
    if isinstance(message.content, str):
        return message.content
    role = role_of(message, place)
    if on_unsupported is None:
        # What tools and models said cannot be taken back: an error would end the conversation for good.
        on_unsupported = "describe" if role in ("ai", "tool") else "error"
    return "".join(_block_text(block, role, place, on_unsupported) for block in message.content)


def _block_text(block: str | dict[Any, Any], role: str, place: int, on_unsupported: OnUnsupported) -> str:
    text = block if isinstance(block, str) else _own_text(block)
    if text is not None:
        return text
    assert isinstance(block, dict)
    kind = block.get("type")
    if role == "ai" and isinstance(kind, str) and kind in _SKIPPED_BLOCKS:
        return ""
    if on_unsupported == "describe":
        return _description(block)
    raise DarkAIInvalidRequestError(
        f"messages[{place}], a {role} message, has a content block of type {short_repr(kind)}. The DarkAI API carries "
        'text only: describe it in words, leave it out, or set on_unsupported="describe".'
    )


def _own_text(block: dict[Any, Any]) -> str | None:
    """Return the text of a block, or None if it is none."""
    kind = block.get("type", "text")
    if kind == "json" and "json" in block:
        return json.dumps(block["json"], ensure_ascii=False, default=str)
    text = block.get(_TEXT_MEMBERS.get(kind)) if isinstance(kind, str) else None
    if kind == "resource" and isinstance(block.get("resource"), dict):
        text = block["resource"].get("text")
    return text if isinstance(text, str) else None


def _description(block: dict[Any, Any]) -> str:
    """Return words for a block: its type, and its name, MIME type and size as far as it has them."""
    # Much of it is one level down, under "source", "image_url", "file", "resource", "extras" or "metadata".
    parts = [block, *(value for value in block.values() if isinstance(value, dict))]
    name = next((text for text in _texts(parts, _NAMES) if not text.startswith("data:")), "")
    mime_type, size = _data_of(parts)
    details = [_short(name), _short(next(_texts(parts, _MIME_TYPES), mime_type)), _in_words(size)]
    kind = _short(next(_texts([block], ("type",)), "")) or "block"
    return f"[{kind}: {', '.join(filter(None, details))}]" if any(details) else f"[{kind}]"


def _texts(parts: list[dict[Any, Any]], names: tuple[str, ...]) -> Iterator[str]:
    """Yield the texts that some parts of a block have under some names, by the order of the names."""
    yield from (part[name] for name in names for part in parts if isinstance(part.get(name), str))


def _data_of(parts: list[dict[Any, Any]]) -> tuple[str, int | None]:
    """Return the MIME type that a data URL names, and the number of bytes of a block's data, which is not decoded."""
    for url in _texts(parts, _URLS):
        comma = url.find(",")
        if url.startswith("data:") and comma > 0:
            size = _base64_size(url, comma + 1) if url.endswith(";base64", 0, comma) else len(url) - comma - 1
            return url[len("data:") : comma].partition(";")[0], size
    for part, name in itertools.product(parts, _DATA):
        data = part.get(name)
        if isinstance(data, bytes):
            return "", len(data)
        if isinstance(data, str) and data:
            is_text = "text" in (part.get("type"), part.get("source_type"))
            return "", len(data.encode("utf-8", "surrogatepass")) if is_text else _base64_size(data, 0)
    return "", next((count for part in parts if type(count := part.get("size")) is int), None)


def _base64_size(data: str, start: int) -> int:
    return (len(data) - start) * 3 // 4 - data.count("=", -2)


def _short(text: str) -> str:
    """Return the beginning of a foreign text, on one line."""
    cut = "..." if len(text) > MAX_WORDS else ""
    return one_line(text[:MAX_WORDS]) + cut


def _in_words(size: int | None) -> str:
    """Return a number of bytes with a unit; "" for none, and for a number that no data has.

    Example:
        >>> _in_words(2_500_000)
        '2.5 MB'
    """
    if size is None or not 0 <= size < 10**15:
        return ""
    count = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
