"""The bodies of requests, and what is made of them: each within a time and a length, and all within one memory."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

from langchain_darkai._text import one_line
from langchain_darkai.errors import DarkAIAPIError, DarkAIInvalidRequestError, DarkAITimeoutError

__all__ = ["Bodies", "answer_and_drop"]

_LONGEST_AT_ONCE = 16
"""Bodies of the greatest length that are held at once, or as many bytes in shorter ones: 256 MB by default."""
_ALWAYS_HELD = 64 * 1024
"""Bytes of a request that take no room, so that a few long requests cannot keep out the many short ones."""

_DROP_SECONDS = 1.0
"""How long a body is read on, and dropped, after an answer that did not need it. Without that, many clients that are
still sending get a broken connection in place of the answer, which says why."""
_MAX_DROPPED = 32 * 1024 * 1024
"""Bytes that are read and dropped so: twice the longest request that is read by default."""


class Held:
    """What the server holds of one request, within the room of all: its body, then what was made of it."""

    def __init__(self, bodies: "Bodies") -> None:
        self.body: bytearray = bytearray()
        self._bodies = bodies
        self._taken = 0

    def hold(self, size: int) -> None:
        """Take room for so many bytes, in place of those before.

        Raises DarkAIAPIError where others leave no room; a request that is alone gets as much as it needs.
        """
        more = max(size - _ALWAYS_HELD, 0) - self._taken
        is_alone = self._bodies.taken == self._taken
        if more > 0 and not is_alone and self._bodies.taken + more > self._bodies.room:
            message = "The server holds as much as it can of other requests. Ask again in a moment."
            raise DarkAIAPIError(message, status=503, retry_after=1)
        self._bodies.taken += more
        self._taken += more

    def let_go(self) -> None:
        """Give the room back."""
        self._bodies.taken -= self._taken
        self._taken = 0
        self.body.clear()  # now, and not only when the garbage of a client that has left is collected


class Bodies:
    """Reads the bodies of a server's requests; `longest` is the greatest length of one, in bytes.

    All requests together may hold `room`, in bytes, of which they have `taken` so many.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self.room: int = _LONGEST_AT_ONCE * longest
        self.taken = 0

    @asynccontextmanager
    async def read(self, request: web.Request, seconds: float) -> AsyncIterator[Held]:
        """Read a body. Its room is taken until the end of the block; `hold` says how much what is made of it takes.

        Raises DarkAIError for a body that is too long, is broken, takes too long, or for which there is no room.
        """
        held = Held(self)

        async def fill() -> None:
            self._check(request.content_length or 0)
            async for data in request.content.iter_any():
                length = len(held.body) + len(data)
                self._check(length)
                held.hold(length)
                held.body.extend(data)

        try:
            await _in_time(fill(), seconds)
            yield held
        finally:
            held.let_go()

    def _check(self, length: int) -> None:
        if length > self._longest:
            message = f"The request is longer than the {self._longest:,} bytes that this server reads."
            raise DarkAIInvalidRequestError(message, status=413)


async def answer_and_drop(request: web.Request, response: web.StreamResponse) -> None:
    """Send an answer, where the client may still be sending, and drop what it sends for a moment."""
    if request.content.is_eof():
        return
    await response.prepare(request)
    await response.write_eof()

    async def drop() -> None:
        left = _MAX_DROPPED
        while left > 0 and not request.content.is_eof():
            left -= len(await request.content.readany())

    with suppress(asyncio.TimeoutError, web.RequestPayloadError):
        await asyncio.wait_for(drop(), _DROP_SECONDS)


async def _in_time(reading: Coroutine[Any, Any, None], seconds: float) -> None:
    try:
        await asyncio.wait_for(reading, seconds)
    except asyncio.TimeoutError as error:
        raise DarkAITimeoutError(
            f"The request's body did not arrive within {seconds:g} seconds.", status=408
        ) from error
    except web.RequestPayloadError as error:
        raise DarkAIInvalidRequestError(f"The request's body cannot be read: {one_line(str(error))}.") from error
