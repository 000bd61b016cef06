"""What a decoder returns: text, and the end of a reply."""

from dataclasses import dataclass
from typing import NamedTuple, TypedDict

from langchain_darkai.errors import DarkAIError

__all__ = ["Decoded", "StreamEnd", "StreamFailure", "Usage"]


class Usage(TypedDict):
    """Token counts of one call, as `stream-end` carries them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


@dataclass(frozen=True)
class StreamEnd:
    """The reply is complete; `usage` is None where the server counted nothing."""

    usage: Usage | None = None


@dataclass(frozen=True)
class StreamFailure:
    """The reply failed: the server reported an error, sent what is no event, or ended too early.

    `error` is to be raised.
    """

    error: DarkAIError


class Decoded(NamedTuple):
    """What one read brought: its text, none of it empty, and the end of the reply where that came with it."""

    texts: list[str]
    end: StreamEnd | StreamFailure | None
