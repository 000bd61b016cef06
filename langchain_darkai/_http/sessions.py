"""One aiohttp session an event loop."""

import asyncio
import atexit
import contextlib
import os
import weakref
from collections.abc import AsyncGenerator

import aiohttp


class SharedSession:
    """A session, and the calls that are using it: it is closed when the last of them has ended."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.replies: set[aiohttp.ClientResponse] = set()  # not closed by a loop that just stops
        self.keeper: object = None
        self._calls = 0
        self._is_leaving = False

    async def __aenter__(self) -> None:
        self._calls += 1

    async def __aexit__(self, *_: object) -> None:
        self._calls -= 1
        if self._is_leaving and not self._calls:
            # Not awaited: a call may end within an asynchronous generator that the loop, which ends, closes as well.
            closing = self.close()
            with contextlib.suppress(StopIteration):
                closing.send(None)
            closing.close()

    async def leave(self) -> None:
        """Close the session, now or with the last call that uses it."""
        self._is_leaving = True
        if not self._calls:
            await self.close()

    async def close(self) -> None:
        for response in self.replies:
            response.close()
        await self.session.close()

    def end(self, response: aiohttp.ClientResponse, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Close a reply, unless its body ends in time: then its connection has gone back to the pool."""
        if seconds and not response.content.is_eof():
            loop.call_later(seconds, self.end, response, loop, 0.0)
        else:
            response.close()
            self.replies.discard(response)

    def drop(self) -> None:
        """Close the sockets where the loop cannot run any more, so that the orderly ways are gone."""
        connector = self.session.connector
        if connector is None:
            return
        self.session.detach()
        kept = getattr(connector, "_conns", {})
        in_use = getattr(connector, "_acquired", ())
        for protocol in [*(protocol for kind in kept.values() for protocol, _ in kind), *in_use]:
            transport = getattr(protocol, "transport", None)
            secured = getattr(transport, "_ssl_protocol", None)
            if transport is not None and secured is not None:
                transport._closed = True
                transport = getattr(secured, "_transport", None)
            sock = getattr(transport, "_sock", None)
            if sock is not None:
                sock.close()
                transport._sock = None  # type: ignore[union-attr]
                transport._closing = True  # type: ignore[union-attr]
        kept.clear()
        for response in self.replies:
            if response.connection is not None:
                response.connection.close()
            response.close()


class _Response(aiohttp.ClientResponse):
    """A reply that ends its connection at once, where its body goes on.

    In order, TLS would wait half a minute for the other side to agree.
    """

    def close(self) -> None:
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.abort()
        super().close()


_sessions: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, SharedSession]" = weakref.WeakKeyDictionary()


async def shared_session(loop: asyncio.AbstractEventLoop) -> SharedSession:
    """Return the running loop's session, which all clients share."""
    known = _sessions.get(loop)
    if known is not None and not known.session.closed:
        return known
    _dispose_of_dead_loops()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=_Response,
    )
    _sessions[loop] = shared = SharedSession(session)
    shared.keeper = keeper = _keep(shared)
    await anext(keeper)
    return shared


async def _keep(shared: SharedSession) -> AsyncGenerator[None, None]:
    # A suspended asynchronous generator is closed with its loop by asyncio.run, and the session with it.
    try:
        yield
    finally:
        await shared.close()


async def close_session() -> None:
    """Close the running loop's session as soon as no call uses it; the next call makes another."""
    shared = _sessions.pop(asyncio.get_running_loop(), None)
    if shared is not None:
        await shared.leave()


def _dispose_of_dead_loops() -> None:
    """Drop the sessions of loops that were closed without `shutdown_asyncgens`, their sockets first."""
    for reference in _sessions.keyrefs():  # a list of its own, since other threads add and drop loops meanwhile
        loop = reference()
        if loop is not None and loop.is_closed() and (dead := _sessions.pop(loop, None)):
            dead.drop()


atexit.register(_dispose_of_dead_loops)


def _leave_to_parent() -> None:
    """In a forked child: the connections are the parent's, whose side of them stays open."""
    for shared in list(_sessions.values()):
        shared.drop()
    _abandoned.extend(_sessions.items())
    _sessions.clear()


_abandoned: list[object] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
