"""`ScriptedServer`: an HTTP server on raw sockets that replies as a test has written down."""

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from typing_extensions import Self

from langchain_darkai._text import shortened
from langchain_darkai.testing.received import ReceivedCall, read_call
from langchain_darkai.testing.replies import reply
from langchain_darkai.testing.wire import CLOSE, HOLD, LAST_CHUNK, RESET, Step, answer, head

__all__ = ["Reply", "Rule", "ScriptError", "ScriptedServer"]

Reply: TypeAlias = str | Iterable[Step] | Callable[[ReceivedCall], str | Iterable[Step]]
"""A reply: its text, its steps (see `replies`, `faults` and `wire`), or a function that makes one for a request."""

Rule: TypeAlias = Callable[[ReceivedCall], str | Iterable[Step] | None]
"""A function that makes the reply to a request, or None where the rule is not for this one."""

_TLS = b"\x16"  # how a TLS handshake begins


class ScriptError(AssertionError):
    """The calls were not those that the script was written for."""


class _Left(Exception):
    """The client closed its connection."""


class _Over(Exception):
    """The script closes the connection."""


class ScriptedServer:
    """A server that speaks the protocol on a free port of this machine, from `with` to the end of `with`.

    - `replies`: what the requests get, in order.
    - `rule`: a function that is asked first, for each request; where it returns None, the next of `replies` is used.
    - `repeat_last`: whether the last of `replies` is used again and again. Otherwise, a request too many is an error:
      the request gets HTTP 400, which is not retried, and the end of `with` raises ScriptError.
    - `use_all`: whether replies that are left over are an error, too.
    - `keep_alive`: whether a connection is kept for further requests. A client may send a request again by itself where
      a kept connection breaks, so by default each request has a connection of its own.
    - `tls`: a context to speak TLS with; None for plain HTTP. Its goodbye is never answered.
    - `port`: the port to listen on; 0 for any free one.
    - `max_seconds`: the longest that the server waits for a client, so that no test goes on for ever.

    What a function raises is an error of the test: the request gets HTTP 400, and the end of `with` raises ScriptError
    from it. The server runs on threads of its own, so it serves synchronous code and code of any event loop. `with`
    does not block, and works in asynchronous code.

    Example:
        >>> from langchain_darkai import ChatDarkAI
        >>> with ScriptedServer("Hello!") as server:
        ...     ChatDarkAI(base_url=server.url, temperature=0).invoke("Hi").text
        'Hello!'
        >>> [(call.messages[0].text, call.parameters) for call in server.calls]
        [('Hi', {'temperature': 0.0})]
    """

    calls: list[ReceivedCall]
    """The requests so far, in the order in which they came."""
    left: int
    """How many clients closed their connection amid a reply."""
    active: int
    """How many requests are being replied to."""
    peak: int
    """The most of them that there were at once."""
    connections: int
    """How many connections there were."""
    host: str
    """The address and the port."""
    url: str
    """The base URL, for `ChatDarkAI(base_url=...)`."""

    def __init__(
        self,
        *replies: Reply,
        rule: Rule | None = None,
        repeat_last: bool = False,
        use_all: bool = False,
        keep_alive: bool = False,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        max_seconds: float = 20.0,
    ) -> None:
        self._replies, self._rule = list(replies), rule
        self._repeats, self._uses_all, self._keeps_alive = repeat_last, use_all, keep_alive
        self._tls, self._max_seconds = tls, max_seconds
        self._problems: list[str | BaseException] = []
        self._used = 0
        self.calls = []
        self.left = self.active = self.peak = self.connections = 0
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._open: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self._port = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self._port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"

    def __repr__(self) -> str:
        return f"<ScriptedServer {self.url}, {len(self.calls)} calls>"

    def __enter__(self) -> Self:
        self._start_thread(self._accept, self._listener)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ending.set()
        self._close()
        until = time.monotonic() + 1.0  # a function of the test may take its time
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        if kind is None or issubclass(kind, Exception):  # an error of the calls may come of the script
            self.check()

    def add(self, *replies: Reply) -> None:
        """Add replies to the end of the script."""
        with self._changed:
            self._replies += replies

    def check(self) -> None:
        """Raise ScriptError if there was a request too many, or a function failed; with `use_all`, also for leftovers.

        The end of `with` calls it.
        """
        left = len(self._replies) - self._used
        problems = [*self._problems]
        if self._uses_all and left > 0:
            problems.append(
                f"{left} of {len(self._replies)} replies are left over: there were {len(self.calls)} calls."
            )
        if problems:
            cause = next((problem for problem in problems if isinstance(problem, BaseException)), None)
            said = [p if isinstance(p, str) else f"A function of the script failed: {p!r}" for p in problems]
            raise ScriptError("\n".join(said)) from cause

    def wait_for(self, condition: Callable[[Self], bool], seconds: float = 5.0) -> None:
        """Wait until the condition holds for this server; TimeoutError where it does not in time.

        Example:
            `server.wait_for(lambda server: server.left == 1)`
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), seconds):
                counts = {"calls": len(self.calls), "active": self.active, "left": self.left, "peak": self.peak}
                raise TimeoutError(f"The condition does not hold after {seconds:g} s: {counts}")

    async def await_for(self, condition: Callable[[Self], bool], seconds: float = 5.0) -> None:
        """Wait as `wait_for` does, while the event loop goes on; for asyncio."""
        import asyncio

        await asyncio.to_thread(self.wait_for, condition, seconds)

    @contextlib.contextmanager
    def refused(self) -> Iterator[None]:
        """Refuse connections while the `with` block runs, and close those that are open.

        Example:
            `with server.refused(): ...` makes each call a DarkAIConnectionError.
        """
        self._close()
        with socket.socket() as held:  # bound to the port, so that nobody else takes it, but not listening
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", self._port))
            yield
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=512)
        self._start_thread(self._accept, self._listener)

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake the thread in accept()
        self._listener.close()
        with self._changed:
            for connection in self._open.values():
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # below TLS, where there is some

    def _start_thread(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True, name="scripted-server")
        self._threads = [*(thread for thread in self._threads if thread.is_alive()), thread]
        thread.start()

    def _note(self, **changes: int) -> None:
        with self._changed:
            for name, change in changes.items():
                setattr(self, name, getattr(self, name) + change)
            self.peak = max(self.peak, self.active)
            self._changed.notify_all()

    def _accept(self, listener: socket.socket) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._note(connections=1)
            self._start_thread(self._serve, connection, self.connections)

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.settimeout(self._max_seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._changed:
            self._open[number] = connection
        try:
            with connection, contextlib.suppress(OSError), connection.makefile("rb") as stream:
                if self._tls is not None and not _is_trusted(connection):
                    return
                if stream.peek(1)[:1] == _TLS:
                    connection.sendall(head(400) + b"This server speaks plain HTTP.")
                    return
                while (call := read_call(stream, number)) is not None and self._play(call, connection):
                    pass
        finally:
            with self._changed:
                del self._open[number]

    def _play(self, call: ReceivedCall, connection: socket.socket) -> bool:
        """Send the reply to a request, and return whether the connection goes on."""
        deadline = time.monotonic() + self._max_seconds
        steps = self._steps_for(call)
        active = 1
        self._note(active=1)
        left = 0
        try:
            for step in steps:
                if active and isinstance(step, bytes) and step.endswith(LAST_CHUNK):
                    # Before the client can know of it: its next request may come on another connection.
                    active = 0
                    self._note(active=-1)
                self._take(step, connection, deadline)
        except (_Left, OSError):
            left = 1
            return False
        except _Over:
            return False
        except Exception as error:  # noqa: BLE001 - of a generator of the test's; `check` raises it again
            self._problems.append(error)
            return False
        finally:
            self._note(active=-active, left=left)
        return self._keeps_alive

    def _steps_for(self, call: ReceivedCall) -> Iterable[Step]:
        with self._changed:
            self.calls.append(call)
            number = len(self.calls)
            self._changed.notify_all()
        try:
            made = self._rule(call) if self._rule is not None else None
            if made is None:
                given = self._next(call, number)
                made = given(call) if callable(given) else given
        except Exception as error:  # noqa: BLE001 - `check` raises it again
            self._problems.append(error)
            return _told(f"A function of the script failed: {error!r}")
        return reply(made) if isinstance(made, str) else made

    def _next(self, call: ReceivedCall, number: int) -> Reply:
        with self._changed:
            if self._used < len(self._replies):
                self._used += 1
                return self._replies[self._used - 1]
            if self._repeats and self._replies:
                return self._replies[-1]
            problem = (
                f"Request {number} was one too many: the script has {len(self._replies)} replies. It was "
                f"{call.method} {call.target} with {shortened(call.content.decode(errors='replace'), 200)}"
            )
            self._problems.append(problem)
        return _told(problem)

    def _take(self, step: Step, connection: socket.socket, deadline: float) -> None:
        if isinstance(step, bytes):
            connection.sendall(step)
        elif step is CLOSE:
            raise _Over
        elif step is RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise _Over
        else:
            until = time.monotonic() + step if isinstance(step, float | int) else deadline
            while (now := time.monotonic()) < min(until, deadline) and not self._ending.is_set():
                if isinstance(step, threading.Event) and step.is_set():
                    return
                connection.settimeout(min(0.01, until - now))
                with contextlib.suppress(TimeoutError):  # no select, which takes no more than 1024 files
                    if not socket.socket.recv(connection, 1, socket.MSG_PEEK):  # below TLS, where there is some
                        raise _Left
            connection.settimeout(self._max_seconds)
            if step is HOLD:
                raise _Over


def _is_trusted(connection: socket.socket) -> bool:
    """Shake hands by TLS, and return whether both sides trust each other."""
    assert isinstance(connection, ssl.SSLSocket)
    try:
        connection.do_handshake()
    except OSError:
        while socket.socket.recv(connection, 4096):  # a reset would overtake what TLS says of it
            pass
        return False
    return True


def _told(problem: str) -> list[Step]:
    return answer(400, json.dumps({"error": {"message": problem}}))
