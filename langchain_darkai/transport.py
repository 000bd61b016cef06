"""The seam below the client: what carries one call to a model and brings its reply back.

`DarkAI` decides when a call is sent, how often, and how long it may take. A transport sends it once. The package's own
is HTTP; anything with these two methods can take its place: a scripted one in tests, or a model in the same process.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from langchain_darkai.protocol import ReasoningText, StreamEnd

__all__ = ["ApiCall", "ReplyEvents", "Transport"]

ReplyEvents = AsyncGenerator[str | ReasoningText | StreamEnd, None]
"""A reply as it comes: pieces of text and of thoughts, then its end. To stop reading early, close the generator."""


@dataclass(frozen=True)
class ApiCall:
    """One call of the API, as a transport sends it.

    - `query`: the whole prompt.
    - `model`: the model's name, aliases resolved.
    - `parameters`: further members of the request's JSON body.
    - `per_event`: whether each text event is yielded by itself; otherwise what one network read brings is one piece.
    - `allow_empty`: whether a complete reply without any text is an answer; otherwise it is an error.
    - `is_whole`: whether nobody looks at the reply before it is complete, so that it may come in one piece.
    - `stop`: texts before which the reply ends. Whoever reads it cuts it there in any case; HTTP does not send them.
    - `callbacks`: LangChain's callbacks for what runs within the call, for a transport that runs a model.
    """

    query: str
    model: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    per_event: bool = False
    allow_empty: bool = False
    is_whole: bool = False
    stop: tuple[str, ...] = ()
    callbacks: Any = field(default=None, repr=False, compare=False)

    def may_be_empty(self, end: StreamEnd) -> bool:
        """Return whether a reply with this end may have no text: thoughts may have taken all the tokens there were."""
        return self.allow_empty or end.finish_reason == "length"


@runtime_checkable
class Transport(Protocol):
    """Sends a call and yields its reply."""

    def stream(self, call: ApiCall, deadline: float | None) -> ReplyEvents:
        """Yield the reply's text and thoughts as they come, then its `StreamEnd`.

        `deadline` is a time of the running loop's clock, by which the reply must be whole; None for no limit. Raises a
        DarkAIError for everything that goes wrong; its `is_retryable` tells whether sending the call again can help.
        """
        ...

    async def aclose(self) -> None:
        """Close the running loop's connections; a later call opens new ones."""
        ...
