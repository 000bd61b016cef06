"""Replies to LangChain's messages and chunks, with their metadata: once for each reply, in the last chunk."""

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_darkai._generation.loop import GenerationResult, Reask

if TYPE_CHECKING:
    from langchain_darkai._tool_calls.output import Part, ToolCallDelta

PROVIDER = "darkai"

BYTES_PER_TOKEN = 4
"""In current models, a token is about four letters of English text. Letters of other scripts take two or three bytes
and are more tokens each, so four bytes a token are about right for them too."""

FIRST_CALL_INDEX = 1000
"""Where the indices of streamed tool calls begin; langchain_core merges low ones with blocks of text."""


def message_of(result: GenerationResult) -> AIMessage:
    """Return the message of a whole reply."""
    reply = result.reply
    return AIMessage(
        content=reply.json_text() if reply.is_json_content else reply.content,
        response_metadata={**_metadata(result), **({"reasks": result.reasks} if result.reasks else {})},
        usage_metadata=result.usage,
        tool_calls=[
            tool_call(name=call.name or "", args=json.loads(call.arguments), id=call.id) for call in reply.valid_calls
        ],
        invalid_tool_calls=[
            invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=call.reason)
            for call in reply.calls
            if call.reason is not None
        ],
    )


def chunk_of(part: "Part | Reask") -> ChatGenerationChunk:
    """Return the chunk of a part of a streamed reply. It carries text or a piece of a call, never both."""
    if isinstance(part, str):
        message = AIMessageChunk(content=part)
    elif isinstance(part, Reask):
        message = AIMessageChunk(content="", response_metadata={"reasks": 1})  # merging chunks adds these up
    else:
        message = _call_chunk(part)
    return ChatGenerationChunk(message=message)


def last_chunk(result: GenerationResult) -> ChatGenerationChunk:
    """Return the empty chunk that ends a streamed reply, with its metadata and usage."""
    message = AIMessageChunk(
        content="", response_metadata=_metadata(result), usage_metadata=result.usage, chunk_position="last"
    )
    return ChatGenerationChunk(message=message)


def _call_chunk(piece: "ToolCallDelta") -> AIMessageChunk:
    chunk = tool_call_chunk(name=piece.name, args=piece.arguments, id=piece.id, index=FIRST_CALL_INDEX + piece.index)
    if piece.name is not None or piece.id is not None:
        return AIMessageChunk(content="", tool_call_chunks=[chunk])
    # A chunk from the middle of a call is set after construction. The constructor would try to read a whole call in
    # it, which takes time that grows with the square of its length.
    message = AIMessageChunk(content="")
    message.tool_call_chunks = [chunk]
    return message


def _metadata(result: GenerationResult) -> dict[str, Any]:
    reply = result.reply
    metadata: dict[str, Any] = {
        "model_name": reply.request.call.model,
        "model_provider": PROVIDER,
        "finish_reason": "tool_calls" if reply.valid_calls else "stop",
    }
    if result.is_estimated:
        metadata["usage_source"] = "estimated"
    # Merging chunks keeps the invalid calls, but not why they are invalid.
    if reasons := {call.id: call.reason for call in reply.calls if call.reason is not None}:
        metadata["tool_call_errors"] = reasons
    return metadata


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has, without a tokenizer; 0 for none.

    Example:
        >>> estimate_tokens("Hello, world!")
        4
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)
