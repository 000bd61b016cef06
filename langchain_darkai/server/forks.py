"""What a forked child does with the sockets of its parent's servers: it lets go of them.

A child has copies of all sockets. Its parent could close its own, and still the port would be taken, and clients would
wait for ever on connections that nobody serves.
"""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

from aiohttp import web

__all__ = ["forget", "leave_to_parent"]

_listeners: dict[web.Server, asyncio.Server] = {}


def leave_to_parent(server: web.Server, listener: asyncio.Server) -> None:
    """Let children that are forked from now on close their copies of a server's sockets."""
    _listeners[server] = listener


def forget(server: web.Server) -> None:
    """Let go of a server that has ended. Its listener holds it, so that it would never be collected."""
    _listeners.pop(server, None)


def _sockets() -> Iterator[Any]:
    for server, listener in list(_listeners.items()):
        yield from listener.sockets
        transports = (connection.transport for connection in server.connections)
        yield from (transport.get_extra_info("socket") for transport in transports if transport is not None)


def _let_go() -> None:
    # Each descriptor stays, but for a file without contents: asyncio's objects still hold it, and may close it later.
    nothing = os.open(os.devnull, os.O_RDWR)
    for sock in _sockets():
        if sock is not None and sock.fileno() >= 0:
            os.dup2(nothing, sock.fileno(), inheritable=False)
    os.close(nothing)
    _listeners.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
