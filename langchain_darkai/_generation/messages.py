"""Replies to LangChain's messages and chunks, with their metadata: once for each reply, in the last chunk."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_darkai._generation.loop import GenerationResult, Reask

if TYPE_CHECKING:
    from langchain_darkai._generation.reply import Reply
    from langchain_darkai._tool_calls.output import Part, ToolCallDelta

PROVIDER = "darkai"

REASONING = "reasoning_content"
"""Where a message keeps the thoughts that were taken out of its text. langchain_core makes reasoning blocks of it."""

BYTES_PER_TOKEN = 4
"""In current models, a token is about four letters of English text. Letters of other scripts take two or three bytes
and are more tokens each, so four bytes a token are about right for them too."""

NEXT_REPLY = {"reasks": 0}
"""The metadata of a chunk that begins the reply of a model that was asked again. The last chunk has the number: merging
chunks adds numbers up, but of equal ones it keeps one."""

FIRST_CALL_INDEX_V1 = 1000
"""Where the indices of streamed tool calls begin with `output_version="v1"`. There, langchain_core numbers blocks of
text as well, from 0, and merges a call with the text of the same number."""


def message_of(result: GenerationResult) -> AIMessage:
    """Return the message of a whole reply."""
    reply = result.reply
    return AIMessage(
        content=reply.content,
        additional_kwargs={REASONING: reply.reasoning} if reply.reasoning else {},
        response_metadata=_metadata(result),
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


def llm_output_of(result: GenerationResult) -> dict[str, Any]:
    """Return what LangChain's older callback handlers read of a call: its usage, and the model's name.

    langchain_core puts it into the message's metadata, too, so that the metadata of a stream has the same members.
    """
    return {"token_usage": _token_usage(result), "model_name": result.reply.request.call.model}


def _token_usage(result: GenerationResult) -> dict[str, int]:
    """Return the usage under OpenAI's names."""
    usage = result.usage
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }


def add_llm_outputs(outputs: Iterable[dict[str, Any] | None]) -> dict[str, Any]:
    """Return the sum of several calls' outputs; None, of a cached call, counts for nothing."""
    total: dict[str, Any] = {}
    for output in filter(None, outputs):
        before = total.get("token_usage", {})
        usage = {name: before.get(name, 0) + count for name, count in output["token_usage"].items()}
        total = {"token_usage": usage, "model_name": output["model_name"]}
    return total


def chunk_of(part: "Part | Reask") -> ChatGenerationChunk:
    """Return the chunk of a part of a streamed reply. It carries text or a piece of a call, never both."""
    if isinstance(part, str):
        message = AIMessageChunk(content=part)
    elif isinstance(part, Reask):
        message = AIMessageChunk(content="", response_metadata=dict(NEXT_REPLY))
    elif part.kind == "call":
        message = _call_chunk(part)
    else:
        message = AIMessageChunk(content="", additional_kwargs={REASONING: part.text})
    return ChatGenerationChunk(message=message)


def last_chunk(result: GenerationResult) -> ChatGenerationChunk:
    """Return the empty chunk that ends a streamed reply, with its metadata and usage."""
    message = AIMessageChunk(
        content="", response_metadata=_metadata(result), usage_metadata=result.usage, chunk_position="last"
    )
    return ChatGenerationChunk(message=message)


def _call_chunk(piece: "ToolCallDelta") -> AIMessageChunk:
    chunk = tool_call_chunk(name=piece.name, args=piece.arguments, id=piece.id, index=piece.index)
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
        "finish_reason": _finish_reason(reply),
        "token_usage": _token_usage(result),
    }
    if result.reasks:
        metadata["reasks"] = result.reasks
    if result.is_estimated:
        metadata["usage_source"] = "estimated"
    # Merging chunks keeps the invalid calls, but not why they are invalid.
    if reasons := {call.id: call.reason for call in reply.calls if call.reason is not None}:
        metadata["tool_call_errors"] = reasons
    return metadata


def _finish_reason(reply: "Reply") -> str:
    """Return why the model stopped. What cut its reply off counts more than the calls before that."""
    if reply.finish_reason in ("length", "content_filter"):
        return reply.finish_reason
    return "tool_calls" if reply.valid_calls else "stop"


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has, without a tokenizer; 0 for none.

    Example:
        >>> estimate_tokens("Hello, world!")
        4
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)
