"""A transport that needs no network: it keeps the calls, and replies as a test has scripted."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from langchain_darkai import ChatDarkAI, DarkAI
from langchain_darkai.protocol import StreamEnd
from langchain_darkai.transport import ApiCall

Script = Sequence[str | StreamEnd | Exception]
"""The events of a reply, in order; an exception is raised where it stands."""


class ScriptedTransport:
    """Replies with its scripts in turn, with the last one for ever. `closed` counts the replies that have ended."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts: list[Script] = list(scripts) or [["Hello", StreamEnd()]]
        self.calls: list[ApiCall] = []
        self.deadlines: list[float | None] = []
        self.closed = 0
        self.is_closed = False

    async def stream(self, call: ApiCall, deadline: float | None) -> AsyncGenerator[str | StreamEnd, None]:
        self.calls.append(call)
        self.deadlines.append(deadline)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        try:
            for event in script:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed += 1

    async def aclose(self) -> None:
        self.is_closed = True

    def __deepcopy__(self, memo: dict[int, Any]) -> "ScriptedTransport":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        _pickled[id(self)] = self
        return _unpickled, (id(self),)

    def model(self, **settings: Any) -> ChatDarkAI:
        """Return a model whose calls this transport answers."""
        return ChatDarkAI(**{"base_url": "https://model.test", "transport": self, **settings})

    def client(self, **settings: Any) -> DarkAI:
        """Return a client whose calls this transport answers."""
        return DarkAI(**{"base_url": "https://model.test", "transport": self, **settings})


_pickled: dict[int, ScriptedTransport] = {}


def _unpickled(number: int) -> ScriptedTransport:
    """Return the very transport that was pickled, so that a test sees the calls of an unpickled model."""
    return _pickled[number]


def body(call: ApiCall) -> dict[str, Any]:
    """Return the members of the request's body."""
    return {"query": call.query, "model": call.model, **call.parameters}
