"""A request as a server received it: its bytes, and what they ask the model for."""

import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

from langchain_core.messages import BaseMessage

if TYPE_CHECKING:
    from langchain_darkai._gateway.asked import Asked

__all__ = ["ReceivedCall", "read_call"]


@dataclass
class ReceivedCall:
    """One request as it came in, and what it asks for.

    - `method`, `target`, `headers`, `content`: the request itself; the names of headers are in lower case.
    - `connection`: the number of the connection that it came on; the first one is 1.
    - `at`: when it came, on the clock of `time.monotonic`.

    The properties read the content when they are looked at. They raise ValueError where it is no request of the API.

    Example:
        >>> call = ReceivedCall("POST", "/chat", {}, b'{"query": "Hi", "model": "gpt-4o", "temperature": 0}')
        >>> call.messages[0].text, call.model, call.parameters
        ('Hi', 'gpt-4o', {'temperature': 0})
    """

    method: str
    target: str
    headers: dict[str, str]
    content: bytes
    connection: int = 1
    at: float = field(default_factory=time.monotonic)

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object of the body."""
        value = json.loads(self.content)
        if not isinstance(value, dict):
            raise ValueError(f"The body is no JSON object: {self.content[:80]!r}")  # noqa: TRY004 - as for no JSON
        return value

    @property
    def query(self) -> str:
        """The prompt, as it was sent."""
        query = self.body.get("query")
        if not isinstance(query, str):
            raise ValueError(f'The body has no "query": {self.content[:80]!r}')  # noqa: TRY004 - as for no JSON
        return query

    @property
    def model(self) -> str | None:
        """The name of the model; None where the request names none."""
        return self.body.get("model")

    @property
    def parameters(self) -> dict[str, Any]:
        """All other members of the body, such as the temperature."""
        return {name: value for name, value in self.body.items() if name not in ("query", "model")}

    @cached_property
    def _asked(self) -> "Asked":
        from langchain_darkai._gateway.asked import asked_of
        from langchain_darkai.prompts import parse_prompt

        return asked_of(parse_prompt(self.query))

    @property
    def messages(self) -> list[BaseMessage]:
        """The conversation, without the instructions for tools and answers, and without a reply begun for the model."""
        return self._asked.conversation(tools=False, schema=False, beginning=False)

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools that are offered, each with its "name", "description" and "parameters"."""
        return [tool.as_dict() for tool in self._asked.tools]

    @property
    def must_call(self) -> bool:
        """Whether the reply has to be a call of a tool."""
        return self._asked.choice.forced

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON Schema of the answer that is asked for; None for plain text."""
        return self._asked.schema


def read_call(stream: BinaryIO, connection: int) -> ReceivedCall | None:
    """Return the next request on a connection; None where there is none, or no whole one."""
    try:
        first = stream.readline()
        headers: dict[str, str] = {}
        while line := stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if not first.strip():
            return None
        method, target, _ = first.decode("latin-1").split(" ", 2)
        content = stream.read(int(headers.get("content-length", 0)))
    except (OSError, ValueError):
        return None
    return ReceivedCall(method, target, headers, content, connection)
