"""How long a server waits for clients and models that do not go on."""

import asyncio
from dataclasses import dataclass

__all__ = ["Deadline", "ServerTimeouts"]


@dataclass(frozen=True, kw_only=True)
class ServerTimeouts:
    """How many seconds a server waits for clients and models that do not go on.

    The time for a whole reply is no part of it: that is the `timeout` of `create_app`.

    Example:
        >>> ServerTimeouts(request_body=5).request_body
        5
    """

    request_body: float = 60.0
    """For the body of a request whose head is there. A client that stops midway must not stay."""

    idle_connection: float = 75.0
    """For the first request over a connection, and for each next one. Proxies give up after 60."""

    error_write: float = 10.0
    """For a client to read the end of a reply that failed, before its connection is cut."""

    cleanup: float = 1.0
    """For models to clean up after their replies were cancelled by a shutdown."""


class Deadline:
    """A time that can be moved while others wait for it: `passed` is done after so many seconds, or never with None."""

    def __init__(self, seconds: float | None) -> None:
        self.passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None
        self.move(seconds)

    def move(self, seconds: float | None) -> None:
        """Let it pass so many seconds from now."""
        self.cancel()
        if seconds is not None:
            self._timer = self.passed.get_loop().call_later(seconds, self._pass)

    def cancel(self) -> None:
        """Let it never pass."""
        if self._timer is not None:
            self._timer.cancel()

    def _pass(self) -> None:
        if not self.passed.done():
            self.passed.set_result(None)
