"""The idle timeout: how long a reply may bring no content."""

import asyncio

import aiohttp


class IdleTimer:
    """Ends a reply that brings no content for too long; comments and empty events do not count as life.

    One timer a reply, moved only when it fires: nothing is scheduled for each read.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, gap: float | None, content: aiohttp.StreamReader) -> None:
        self._loop = loop
        self._gap = gap
        self._content = content
        self._waiting = True
        self._last = loop.time()
        self._timer = None if gap is None else loop.call_later(gap, self._check)

    def start(self) -> None:
        """The caller waits for content again: its own time with the last piece is not the server's."""
        if not self._waiting:
            self._waiting = True
            self._last = self._loop.time()

    def content(self) -> None:
        self._waiting = False

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        assert self._gap is not None
        idle = self._loop.time() - self._last if self._waiting else 0.0
        if idle >= self._gap:
            self._content.set_exception(IdleTimeoutError(f"brought no content for {self._gap:g} s"))
        else:
            self._timer = self._loop.call_later(self._gap - idle, self._check)


class IdleTimeoutError(Exception):
    """Set on a reply's body by its watch."""
