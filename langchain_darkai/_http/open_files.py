"""The wait for a place where the system has no file left for another connection.

Calls wait in line, one line for each event loop. The first in line may try again when a connection of this loop comes
free, or when a file can be opened, since other parts of the program close files, too.

Connections leave a few files to the rest of the program, which has to import modules and to write down its answers.
"""

import asyncio
import collections
import errno
import os
import socket
import sys
import weakref

import aiohttp

CHECK_INTERVAL = 0.05
"""Seconds between two looks whether a file can be opened."""

LAST_TRY = 0.1
"""Seconds before its deadline at which a call tries for the last time, so that its error tells what it waited for."""

RESERVE = 16
"""Files that connections leave to the rest of the program, or a quarter of its files where that is less."""

_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)
"""The process has as many files open as it may, or the system has."""


def is_out_of_files(error: BaseException) -> bool:
    """Return whether a connection failed because no more files can be opened.

    The look-up of a name has no number for that, and an attempt over several addresses may have several reasons. Then
    it is tried whether a file can be opened.
    """
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return not _can_open_file()
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return False  # in aiohttp 3.13, it has no `os_error`
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
        if error.errno is None:
            return not _can_open_file()
    return isinstance(error, OSError) and error.errno in _OUT_OF_FILES


def refuse_reserved(sock: socket.socket) -> None:
    """Close a new socket and raise the system's error where it has taken one of the files that are left to others."""
    if sock.fileno() >= _most_for_connections():
        sock.close()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _can_open_file() -> bool:
    try:
        number = os.open(os.devnull, os.O_RDONLY)
    except OSError as error:
        return error.errno not in _OUT_OF_FILES
    os.close(number)
    return number < _most_for_connections()


def _most_for_connections() -> float:
    """Return the number from which on files are left to others: a new file gets the lowest number that is free."""
    if sys.platform == "win32":
        return float("inf")
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if most == resource.RLIM_INFINITY else most - min(RESERVE, most // 4)


def may_wait(deadline: float | None) -> bool:
    """Return whether a call with this deadline, a time of the loop's clock, may wait for a place; None for any time."""
    return deadline is None or deadline - LAST_TRY > asyncio.get_running_loop().time()


class Line:
    """The calls on one event loop that wait for a place."""

    def __init__(self) -> None:
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, deadline: float | None) -> None:
        """Wait until it is worth another try, or the deadline is near.

        There may be no place all the same, since other calls begin meanwhile.
        """
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        self._waiting.append(place)
        if self._timer is None:
            self._timer = loop.call_later(CHECK_INTERVAL, self._check)
        try:
            await asyncio.wait([place], timeout=None if deadline is None else deadline - LAST_TRY - loop.time())
        finally:
            place.cancel()

    def call_next(self) -> None:
        """Let the first in line try, since there may be a place for one."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return

    def _check(self) -> None:
        self._timer = None
        if _can_open_file():
            self.call_next()
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(CHECK_INTERVAL, self._check)


_lines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Line] = weakref.WeakKeyDictionary()


def line() -> Line:
    """Return the running loop's line."""
    loop = asyncio.get_running_loop()
    return _lines.get(loop) or _lines.setdefault(loop, Line())
