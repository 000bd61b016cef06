"""What a decoder returns: text, thoughts, and the end of a reply."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from typing_extensions import NotRequired, TypedDict

from langchain_darkai.errors import DarkAIError

__all__ = ["FINISH_REASONS", "Decoded", "FinishReason", "ReasoningText", "StreamEnd", "StreamFailure", "Usage"]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
"""Why a model stopped: it was done, it had no tokens left, it called tools, or a filter stopped it."""

FINISH_REASONS: tuple[FinishReason, ...] = ("stop", "length", "tool_calls", "content_filter")
"""Every `FinishReason`."""


class Usage(TypedDict):
    """Token counts of one call, as `stream-end` carries them.

    The details say how many of these tokens were of a kind, such as "cache_read" or "reasoning".
    """

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_token_details: NotRequired[dict[str, int]]
    output_token_details: NotRequired[dict[str, int]]


@dataclass(frozen=True)
class ReasoningText:
    """A piece of the model's thoughts, which are no part of its answer; never an empty string."""

    text: str


@dataclass(frozen=True)
class StreamEnd:
    """The reply is complete. `usage` and `finish_reason` are None if the server sent none."""

    usage: Usage | None = None
    finish_reason: FinishReason | None = None


@dataclass(frozen=True)
class StreamFailure:
    """The reply failed: the server reported an error, sent something that is not an event, or ended too early.

    `error` is for the reader to raise; its `partial_text` is all the text that came before.
    """

    error: DarkAIError


class Decoded(NamedTuple):
    """What one read brought.

    - `texts`: new text of the reply and new thoughts, in order; never an empty string.
    - `end`: the end of the reply, or None if the reply goes on. Text comes before the end.
    """

    texts: list[str | ReasoningText]
    end: StreamEnd | StreamFailure | None
