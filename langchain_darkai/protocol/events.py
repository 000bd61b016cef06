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
    """The reply is complete. `usage` is None if the server sent no token counts."""

    usage: Usage | None = None


@dataclass(frozen=True)
class StreamFailure:
    """The reply failed: the server reported an error, sent something that is not an event, or ended too early.

    `error` is for the reader to raise; its `partial_text` is all the text that came before.
    """

    error: DarkAIError


class Decoded(NamedTuple):
    """What one read brought.

    - `texts`: new text of the reply, in order; never an empty string.
    - `end`: the end of the reply, or None if the reply goes on. Text comes before the end.
    """

    texts: list[str]
    end: StreamEnd | StreamFailure | None
