"""The idle timeout: how long a reply may bring no content."""

import asyncio

import aiohttp


class IdleTimeoutError(Exception):
    """Raised by the body of a reply that brought no content for too long."""


class IdleTimer:
    """Makes a reply fail that brings no content for `idle_timeout` seconds; None for no limit.

    Comments and events without content do not count, and neither does the time that the caller takes for what it got.
    A reply has one timer, which is moved when it fires: nothing is scheduled at each read.
    """

    def __init__(self, content: aiohttp.StreamReader, idle_timeout: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._content = content
        self._idle_timeout = idle_timeout
        self._is_running = True
        self._running_since = self._loop.time()
        self._handle = None if idle_timeout is None else self._loop.call_later(idle_timeout, self._check)

    def resume(self) -> None:
        """Count the time from now on, unless it is counted already."""
        if not self._is_running:
            self._is_running = True
            self._running_since = self._loop.time()

    def pause(self) -> None:
        """Count no time: content came, and the caller has it now."""
        self._is_running = False

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _check(self) -> None:
        assert self._idle_timeout is not None
        idle = self._loop.time() - self._running_since if self._is_running else 0.0
        if idle >= self._idle_timeout:
            self._content.set_exception(IdleTimeoutError(f"brought no content for {self._idle_timeout:g} s"))
        else:
            self._handle = self._loop.call_later(self._idle_timeout - idle, self._check)
