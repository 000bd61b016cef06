"""A model's reply to the events of the protocol: text with its calls written out, thoughts, and the end."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_darkai._gateway.writer import ConstrainedCallWriter, ReplyWriter
from langchain_darkai.errors import DarkAIRefusalError
from langchain_darkai.protocol import FinishReason, ReasoningText, StreamEnd, Usage
from langchain_darkai.transport import ReplyEvents

_FINISH_REASONS: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "eos", "completed"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length", "incomplete"), "length"),
    **dict.fromkeys(("tool_calls", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("content_filter", "content_filtered", "safety", "refusal"), "content_filter"),
}
"""The words of providers for why a model stopped, in small letters."""

_FINISH_MEMBERS = ("finish_reason", "stop_reason", "done_reason", "stopReason", "status")
"""Where integrations of LangChain keep such a word, in a message's `response_metadata`."""


async def reply_events(messages: AsyncIterator[AIMessage], *, is_call_json: bool = False) -> ReplyEvents:
    """Yield a reply as the protocol has it, from a model's messages: chunks, or one that is whole.

    With `is_call_json` the text is a call's JSON, and comes out as the call's block.

    Raises DarkAIRefusalError for a reply that is nothing but a refusal.
    """
    reply = _Reply(is_call_json=is_call_json)
    try:
        async with aclosing(cast("AsyncGenerator[AIMessage, None]", messages)) as stream:
            async for message in stream:
                if thoughts := _reasoning_of(message):
                    yield ReasoningText(thoughts)
                if written := reply.add(message):
                    yield written
    except Exception as error:
        if type(error).__name__ not in _ENDS:
            raise
        if written := reply.add(_end_of(error, has_text=reply.has_text)):
            yield written
    if written := reply.finish():
        yield written
    yield reply.end()


class _Reply:
    """What has come of one reply."""

    def __init__(self, *, is_call_json: bool) -> None:
        self._writer = ReplyWriter()
        self._call = ConstrainedCallWriter() if is_call_json else None
        self._usage: UsageMetadata | None = None
        self._finish_reason: FinishReason | None = None
        self._refusal: list[str] = []
        self.has_text = False

    def add(self, message: AIMessage) -> str:
        """Add a message, and return what it lets be written."""
        written = ""
        if text := message.text:
            self.has_text = True
            written = self._writer.text(text if self._call is None else self._call.feed(text))
        if message.tool_calls or message.invalid_tool_calls or getattr(message, "tool_call_chunks", None):
            if isinstance(message, AIMessageChunk):
                written += self._writer.calls(message.tool_call_chunks)
            else:
                written += self._writer.whole_calls(message)
        if message.usage_metadata:
            self._usage = add_usage(self._usage, message.usage_metadata)
        if message.response_metadata:
            self._finish_reason = _finish_reason(message.response_metadata) or self._finish_reason
        if refusal := _refusal_in(message):
            self._refusal.append(refusal)
        return written

    def finish(self) -> str:
        """Return the rest of what is written."""
        rest = self._writer.text(self._call.finish()) if self._call else ""
        return rest + self._writer.finish()

    def end(self) -> StreamEnd:
        """Return the reply's end. Raises DarkAIRefusalError where the reply is a refusal."""
        if self._refusal and not self.has_text and not self._writer.has_calls:
            raise DarkAIRefusalError(f"The model refused to answer: {''.join(self._refusal)}")
        return StreamEnd(_usage_of(self._usage), self._finish_reason)


_ENDS: dict[str, FinishReason] = {
    "LengthFinishReasonError": "length",
    "ContentFilterFinishReasonError": "content_filter",
}
"""What openai's client raises at the end of a reply that it was to parse, and the reason of that end."""


def _end_of(error: Exception, *, has_text: bool) -> AIMessage:
    """Return the end of a reply for what a client raised there, with the text where none has come yet."""
    choices = getattr(getattr(error, "completion", None), "choices", None) or [None]
    text = "" if has_text else getattr(getattr(choices[0], "message", None), "content", None) or ""
    return AIMessage(text, response_metadata={"finish_reason": _ENDS[type(error).__name__]})


def _reasoning_of(message: AIMessage) -> str:
    """Return the thoughts in a message, which integrations keep as blocks, or beside a text."""
    if isinstance(message.content, list):
        blocks = cast("list[Any]", message.content_blocks) if message.content else []
        return "".join(str(block.get("reasoning") or "") for block in blocks if block["type"] == "reasoning")
    thoughts = message.additional_kwargs.get("reasoning_content")
    return thoughts if isinstance(thoughts, str) else ""


def _refusal_in(message: AIMessage) -> str:
    """Return the words of a refusal, which OpenAI keeps beside the text, or in a block."""
    refusal = message.additional_kwargs.get("refusal")
    if isinstance(message.content, list):
        blocks = [block for block in message.content if isinstance(block, dict) and block.get("type") == "refusal"]
        refusal = "".join(str(block.get("refusal") or "") for block in blocks) or refusal
    return refusal if isinstance(refusal, str) else ""


def _finish_reason(metadata: Mapping[str, Any]) -> FinishReason | None:
    words = (str(metadata.get(name)).lower() for name in _FINISH_MEMBERS)
    return next((_FINISH_REASONS[word] for word in words if word in _FINISH_REASONS), None)


def _usage_of(counted: UsageMetadata | None) -> Usage | None:
    if counted is None or "total_tokens" not in counted:  # a reply from LangChain's cache may have a cost alone
        return None
    usage = Usage(
        input_tokens=counted["input_tokens"],
        output_tokens=counted["output_tokens"],
        total_tokens=counted["total_tokens"],
    )
    if details := _counts(counted.get("input_token_details")):
        usage["input_token_details"] = details
    if details := _counts(counted.get("output_token_details")):
        usage["output_token_details"] = details
    return usage


def _counts(details: Any) -> dict[str, int]:
    return {kind: count for kind, count in (details or {}).items() if count}
