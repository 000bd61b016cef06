"""The bodies of requests: each within a time and a length, and all of them together within one memory."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from langchain_darkai._text import one_line
from langchain_darkai.errors import DarkAIAPIError, DarkAIInvalidRequestError, DarkAITimeoutError

__all__ = ["Bodies"]

_LONGEST_AT_ONCE = 16
"""Bodies of the greatest length that are held at once, or as many bytes in shorter ones: 256 MB by default."""
_ALWAYS_READ = 64 * 1024
"""Bytes of a body that take no room, so that a few long bodies cannot keep out the many short ones."""


class Bodies:
    """Reads the bodies of a server's requests; `longest` is the greatest length of one, in bytes."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._room = _LONGEST_AT_ONCE * longest

    @asynccontextmanager
    async def read(self, request: web.Request, seconds: float) -> AsyncIterator[bytearray]:
        """Read a body. Its room is taken until the end of the block, since what is made of it takes no less.

        Raises DarkAIError for a body that is too long, is broken, takes too long, or for which there is no room.
        """
        body, taken = bytearray(), 0

        async def fill() -> None:
            nonlocal taken
            self._check(request.content_length or 0)
            async for data in request.content.iter_any():
                more = max(len(body) + len(data) - _ALWAYS_READ, 0) - taken
                self._check(len(body) + len(data), more)
                taken += more
                self._room -= more
                body.extend(data)

        try:
            await _in_time(fill(), seconds)
            yield body
        finally:
            self._room += taken
            body.clear()  # now, and not only when the garbage of a client that has left is collected

    def _check(self, length: int, more: int = 0) -> None:
        if length > self._longest:
            message = f"The request is longer than the {self._longest:,} bytes that this server reads."
            raise DarkAIInvalidRequestError(message, status=413)
        if more > self._room:
            message = "The server holds as much as it can of other requests. Ask again in a moment."
            raise DarkAIAPIError(message, status=503, retry_after=1)


async def _in_time(reading: Coroutine[Any, Any, None], seconds: float) -> None:
    try:
        await asyncio.wait_for(reading, seconds)
    except asyncio.TimeoutError as error:
        raise DarkAITimeoutError(
            f"The request's body did not arrive within {seconds:g} seconds.", status=408
        ) from error
    except web.RequestPayloadError as error:
        raise DarkAIInvalidRequestError(f"The request's body cannot be read: {one_line(str(error))}.") from error
