"""A scripted HTTP server on raw sockets: it shares no code with the client, so it can share no fault with it.

A script is what one request gets back: bytes are sent as one packet; a number waits that many seconds; an Event
waits for the test to set it; HOLD waits until the client leaves; CLOSE closes the connection and RESET breaks it. The
scripts are used in turn, the last one again and again; a function makes the script from the request.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import Self

CLOSE = "close"
HOLD = "hold"
RESET = "reset"
TLS = b"\x16"  # how a TLS handshake begins
MOST_SECONDS = 20.0  # for a request: no fault of the client may keep a test running

Step = bytes | float | threading.Event | str


@dataclass
class Request:
    """One request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    content: bytes
    connection: int
    at: float = field(default_factory=time.monotonic)

    @property
    def body(self) -> dict[str, Any]:
        value = json.loads(self.content)
        assert isinstance(value, dict)
        return value

    @property
    def query(self) -> str:
        query = self.body["query"]
        assert isinstance(query, str)
        return query


Script = Sequence[Step] | Callable[[Request], Iterable[Step]]


def event(name: str, **data: Any) -> bytes:
    return f"data: {json.dumps({'event': name, 'data': data})}\n\n".encode()


def text(*pieces: str) -> bytes:
    return b"".join(event("text-chunk", text=piece) for piece in pieces)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def head(status: int = 200, content_type: str = "text/event-stream", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", f"content-type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


STREAM = head(transfer_encoding="chunked")
LAST_CHUNK = chunk(b"")
END = chunk(event("stream-end")) + LAST_CHUNK


def reply(*pieces: str, usage: dict[str, int] | None = None) -> list[Step]:
    """Return the script of a whole reply in one packet."""
    end = event("stream-end", usage=usage) if usage else event("stream-end")
    return [STREAM + chunk(text(*pieces)) + chunk(end) + LAST_CHUNK]


def answer(status: int, content: str = "", content_type: str = "application/json", **headers: str) -> list[Step]:
    """Return the script of an HTTP answer that is no stream."""
    body = content.encode()
    return [head(status, content_type, content_length=str(len(body)), **headers) + body]


class _Left(Exception):
    """The client closed its connection."""


class _Over(Exception):
    """The script closes the connection."""


class ScriptedServer:
    """Serves scripts on a free loopback port from `with` to `with`'s end, and records what came in.

    With `tls` it speaks TLS, and never answers the client's goodbye there: only a connection that ends counts as left.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.tls = tls
        self.scripts = list(scripts)
        self.requests: list[Request] = []
        self.left = 0  # clients that closed their connection amid a script
        self.active = 0
        self.peak = 0  # most requests at once
        self.connections = 0
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake the thread in accept()
        self._listener.close()

    def wait_for(self, condition: Callable[["ScriptedServer"], bool], seconds: float = 5.0) -> None:
        """Wait until something is so, and fail where it does not become so."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), seconds), (len(self.requests), self.left)

    async def comes_to(self, condition: Callable[["ScriptedServer"], bool], seconds: float = 5.0) -> None:
        """As `wait_for`, while the event loop goes on."""
        await asyncio.to_thread(self.wait_for, condition, seconds)

    def _note(self, **changes: int) -> None:
        with self._changed:
            for name, change in changes.items():
                setattr(self, name, getattr(self, name) + change)
            self.peak = max(self.peak, self.active)
            self._changed.notify_all()

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._note(connections=1)
            number = self.connections
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.settimeout(MOST_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            try:
                connection.do_handshake()
            except OSError:  # one side does not trust the other
                with connection, contextlib.suppress(OSError):
                    while socket.socket.recv(connection, 4096):  # a reset would overtake what TLS says of it
                        pass
                return
        with connection, connection.makefile("rb") as stream:
            if stream.peek(1)[:1] == TLS:
                connection.sendall(head(400) + b"This server speaks plain HTTP.")
                return
            while (request := _read_request(stream, number)) is not None:
                deadline = time.monotonic() + MOST_SECONDS
                with self._changed:
                    script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                    self.requests.append(request)
                active = 1
                self._note(active=1)
                try:
                    for step in script(request) if callable(script) else script:
                        if active and isinstance(step, bytes) and step.endswith(LAST_CHUNK):
                            # Before the client can know of it: its next request may come on another connection.
                            active = 0
                            self._note(active=-1)
                        self._take(step, connection, deadline)
                except (_Left, OSError):
                    self._note(active=-active, left=1)
                    return
                except _Over:
                    self._note(active=-active)
                    return
                self._note(active=-active)

    def _take(self, step: Step, connection: socket.socket, deadline: float) -> None:
        if isinstance(step, bytes):
            connection.sendall(step)
        elif step == CLOSE:
            raise _Over
        elif step == RESET:
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
            connection.settimeout(MOST_SECONDS)
            if step == HOLD:
                raise _Over


def _read_request(stream: Any, number: int) -> Request | None:
    try:
        first = stream.readline()
        headers: dict[str, str] = {}
        while line := stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if not first.strip():
            return None
        method, target, _ = first.decode("latin-1").split(" ", 2)
        return Request(method, target, headers, stream.read(int(headers.get("content-length", 0))), number)
    except OSError:
        return None
