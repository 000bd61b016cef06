"""One aiohttp session for each event loop, which all clients on it share.

The connections of a session end with its loop. `asyncio.run` closes asynchronous generators at its end, and with ours
the session. Of a loop that is closed in another way the sockets are closed later: when the next session is made, or at
the exit of the process. A forked child closes its copies of the sockets, and leaves the connections to its parent.
"""

import asyncio
import atexit
import collections
import contextlib
import contextvars
import functools
import os
import socket
import weakref
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from langchain_darkai._http.open_files import line, refuse_reserved
from langchain_darkai._http.private_api import give_up_transport

MAX_IDLE = 32
"""Connections that are kept for later calls. Of more than that, those that have been idle for longest are closed."""

IDLE_GRACE = 1.0
"""Seconds after which they are closed, so that the next batch of a program still finds those of the last one."""

_reuses_connection: contextvars.ContextVar[bool] = contextvars.ContextVar("reuses_connection", default=False)
"""Whether the request of the running call went over a connection that was kept from an earlier one."""


class _Connector(aiohttp.TCPConnector):
    """A connector that knows its sockets, to close them without its loop, and tells which connections it reuses.

    It keeps few idle connections, and calls the next in line for a place when a connection comes free.
    """

    def __init__(self) -> None:
        self._idle: weakref.WeakKeyDictionary[ResponseHandler, None] = weakref.WeakKeyDictionary()  # oldest first
        self._closes_idle = False
        self._our_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._our_protocols: weakref.WeakSet[ResponseHandler] = weakref.WeakSet()
        self._has_closed_sockets = False
        super().__init__(limit=0, socket_factory=functools.partial(_new_socket, self._our_sockets))

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        connection = await super().connect(*args, **kwargs)
        protocol = connection.protocol
        if protocol is not None:
            _reuses_connection.set(protocol in self._our_protocols)
            self._our_protocols.add(protocol)
            self._idle.pop(protocol, None)
            connection.add_callback(functools.partial(self._end_use, protocol))
        return connection

    def _end_use(self, protocol: ResponseHandler) -> None:
        self._idle[protocol] = None
        line().call_next()
        if len(self._idle) > MAX_IDLE and not self._closes_idle:
            self._closes_idle = True
            asyncio.get_running_loop().call_later(IDLE_GRACE, self.close_idle)

    def close_idle(self, most: int = MAX_IDLE) -> None:
        """Close idle connections until there are `most`."""
        self._closes_idle = False
        idle = [protocol for protocol in self._idle if protocol.is_connected()]
        for protocol in idle[: max(0, len(idle) - most)]:
            self._idle.pop(protocol, None)
            if protocol.transport is not None:
                protocol.transport.abort()

    def close_sockets(self) -> None:
        self._has_closed_sockets = True
        for protocol in self._our_protocols:
            if protocol.transport is not None:
                give_up_transport(protocol.transport)
        for sock in self._our_sockets:
            sock.close()

    def __del__(self, *args: Any) -> None:
        if not self._has_closed_sockets:  # otherwise nothing is left to close, or to warn of
            super().__del__(*args)


def _new_socket(sockets: weakref.WeakSet[socket.socket], address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, *_ = address
    sock = socket.socket(family, kind, protocol)
    refuse_reserved(sock)
    sockets.add(sock)
    return sock


_kept_connections: weakref.WeakKeyDictionary[aiohttp.ClientSession, collections.Counter[str]]
_kept_connections = weakref.WeakKeyDictionary()
"""How many connections to each host a session of the user's own has kept open for later requests."""


class SharedSession:
    """A session, and the calls that use it. A `with` statement around each call tells when it is idle."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.closes_with_loop: object = None
        self._responses: set[aiohttp.ClientResponse] = set()  # to close those whose calls never end with their loop
        self._calls = 0
        self._is_to_close = False
        self._kept = _kept_connections.setdefault(session, collections.Counter())

    def __enter__(self) -> None:
        self._calls += 1

    def __exit__(self, *_: object) -> None:
        self._calls -= 1
        if self._is_to_close and not self._calls:
            # Nothing is awaited here, since the call may end with its loop, which does not wait any more. The first
            # step of `close` closes the connections, and the rest would only wait until they are closed.
            closing = self.close()
            with contextlib.suppress(StopIteration):
                closing.send(None)
            closing.close()

    async def close_when_idle(self) -> None:
        """Close the session, now or at the end of the last call that uses it."""
        self._is_to_close = True
        if not self._calls:
            await self.close()

    async def close(self) -> None:
        for response in self._responses:
            response.close()
        await self.session.close()

    async def wait_for_place(self, deadline: float | None) -> None:
        """Wait until it is worth another try to connect, where no more files can be opened."""
        if isinstance(self.session.connector, _Connector):
            self.session.connector.close_idle(0)  # those to other hosts, or this call would have got one
        await line().wait(deadline)

    def expect_connection(self, host: str) -> None:
        """Prepare for a request to a host, after which `reused_connection` tells which connection it took.

        Our own connector says so. For a session of the user's own it is an estimate: a connection that aiohttp has
        closed, because it was not used for some time, still counts as kept.
        """
        is_kept = self._kept[host] > 0
        self._kept[host] -= is_kept
        _reuses_connection.set(is_kept and not isinstance(self.session.connector, _Connector))

    @staticmethod
    def reused_connection() -> bool:
        """Return whether the last request of this call went over a kept connection, which may have been dead."""
        return _reuses_connection.get()

    def hold(self, response: aiohttp.ClientResponse) -> None:
        """Close a response with the session, if nobody calls `release` before."""
        self._responses.add(response)

    def release(self, response: aiohttp.ClientResponse, host: str, body_end_timeout: float) -> None:
        """Close a response, unless its body ends within `body_end_timeout` seconds: then its connection is kept."""
        if response.content.is_eof():
            if response.headers.get("Connection", "").lower() != "close":
                self._kept[host] += 1
        elif body_end_timeout:
            loop = asyncio.get_running_loop()
            loop.call_later(body_end_timeout, self.release, response, host, 0.0)
            return
        response.close()
        self._responses.discard(response)

    def close_sockets(self) -> None:
        """Close the connections without the loop, which has ended or, in a forked child, is the parent's."""
        connector = self.session.connector
        if isinstance(connector, _Connector):
            self.session.detach()
            connector.close_sockets()
            for response in self._responses:
                if response.connection is not None:
                    response.connection.close()
                response.close()


class _Response(aiohttp.ClientResponse):
    """A response that closes its connection at once when it is closed before its body has ended.

    Otherwise a TLS connection would wait for the server to agree, for up to 30 seconds.
    """

    def close(self) -> None:
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.abort()
        super().close()


_sessions: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, SharedSession] = weakref.WeakKeyDictionary()


async def shared_session() -> SharedSession:
    """Return the running loop's session; a new one where there is none."""
    loop = asyncio.get_running_loop()
    known = _sessions.get(loop)
    if known is not None and not known.session.closed:
        return known
    _close_sockets_of_ended_loops()
    session = aiohttp.ClientSession(
        connector=_Connector(), cookie_jar=aiohttp.DummyCookieJar(), response_class=_Response
    )
    _sessions[loop] = shared = SharedSession(session)
    shared.closes_with_loop = closes_with_loop = _close_with_loop(shared)
    await anext(closes_with_loop)
    return shared


async def _close_with_loop(shared: SharedSession) -> AsyncGenerator[None, None]:
    """Wait at a `yield` for `asyncio.run`, which closes such generators when it ends; close the session then."""
    try:
        yield
    finally:
        await shared.close()


async def close_shared_session() -> None:
    """Close the running loop's session as soon as no call uses it; the next call makes another."""
    shared = _sessions.pop(asyncio.get_running_loop(), None)
    if shared is not None:
        await shared.close_when_idle()


def _close_sockets_of_ended_loops() -> None:
    for reference in _sessions.keyrefs():  # a copy: other threads may add and remove loops at the same time
        loop = reference()
        if loop is not None and loop.is_closed() and (shared := _sessions.pop(loop, None)):
            shared.close_sockets()


atexit.register(_close_sockets_of_ended_loops)

_left_to_the_parent: list[object] = []


def _reset_after_fork() -> None:
    """Forget the parent's sessions, but keep them in memory: when Python frees them, aiohttp would use their loops."""
    for shared in list(_sessions.values()):
        shared.close_sockets()
    _left_to_the_parent.extend(_sessions.items())
    _sessions.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
