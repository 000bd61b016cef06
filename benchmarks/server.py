"""The one server of all contenders: the same reply over three wire formats, encoded before it is asked for.

A URL says what is sent, `/{kind}/{events}/{events per write}/{milliseconds between writes}`, and how, by what the
clients put after it: `/chat` is the DarkAI API, `/chat/completions` OpenAI's, `/api/chat` Ollama's. The kinds are
`prose` and `argument`, a tool call with one long argument.

It is a process of its own, so that the clients' time is theirs alone. It does the least that HTTP allows, so that the
clients do not wait for it.
"""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

WORDS = (
    "The river runs down to the sea , and nobody who lives beside it can say when it began .\n"
    "Boats come in the morning with fish , with salt , with letters from the other shore ; they leave at night .\n"
    "What is not sold is given away .\n\n"
)
PIECES = tuple(re.findall(r" ?[^ ]+", WORDS.replace(" ,", ",").replace(" ;", ";").replace(" .", ".")))
"""The text of the events, about the length of a token each; it begins again when it is at its end."""

ARGUMENT_START = '<tool_call>\n{"name": "write_file", "arguments": {"path": "river.txt", "text": "'
ARGUMENT_END = '"}}\n</tool_call>'


class ReplyRequirements(NamedTuple):
    """What a URL asks for."""

    kind: str
    events: int
    per_write: int
    milliseconds: float
    api: str
    stream: bool


def texts(kind: str, events: int) -> list[str]:
    """Return the texts of a reply's events."""
    pieces = [PIECES[place % len(PIECES)] for place in range(events)]
    if kind == "prose":
        return pieces
    return [ARGUMENT_START, *(json.dumps(piece)[1:-1] for piece in pieces), ARGUMENT_END]


def _darkai(pieces: list[str]) -> tuple[list[str], str]:
    events = [_sse({"event": "text-chunk", "data": {"text": piece}}) for piece in pieces]
    return events, _sse({"event": "stream-end", "data": {"usage": _usage("input", "output", pieces)}})


def _openai(pieces: list[str]) -> tuple[list[str], str]:
    def chunk(delta: dict[str, str], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _sse({**_openai_head("chat.completion.chunk"), "choices": [choice]})

    return [chunk({"content": piece}) for piece in pieces], chunk({}, "stop") + "data: [DONE]\n\n"


def _ollama(pieces: list[str]) -> tuple[list[str], str]:
    def line(text: str, *, done: bool) -> dict[str, object]:
        message = {"role": "assistant", "content": text}
        return {"model": "llama3", "created_at": "2025-06-01T12:00:00.000000Z", "message": message, "done": done}

    counts = {"done_reason": "stop", "total_duration": 1, "prompt_eval_count": 3, "eval_count": len(pieces)}
    lines = [json.dumps(line(piece, done=False)) + "\n" for piece in pieces]
    return lines, json.dumps({**line("", done=True), **counts}) + "\n"


def _openai_whole(pieces: list[str]) -> bytes:
    message = {"role": "assistant", "content": "".join(pieces), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = _usage("prompt", "completion", pieces)
    return json.dumps({**_openai_head("chat.completion"), "choices": [choice], "usage": usage}).encode()


def _openai_head(kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-9kQ3mVYb2L", "object": kind, "created": 1748779200, "model": "gpt-4o"}


def _usage(sent: str, received: str, pieces: list[str]) -> dict[str, int]:
    return {f"{sent}_tokens": 3, f"{received}_tokens": len(pieces), "total_tokens": 3 + len(pieces)}


def _sse(event: dict[str, object]) -> str:
    return f"data: {json.dumps(event)}\n\n"


_STREAMS: dict[str, tuple[str, Callable[[list[str]], tuple[list[str], str]]]] = {
    "/chat": ("text/event-stream", _darkai),
    "/chat/completions": ("text/event-stream", _openai),
    "/api/chat": ("application/x-ndjson", _ollama),
}


@cache
def _writes(asked: ReplyRequirements) -> list[bytes]:
    """Return the answer as it is written to the socket, piece by piece."""
    pieces = texts(asked.kind, asked.events)
    if asked.api == "/chat/completions" and not asked.stream:
        body = _openai_whole(pieces)
        return [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body]
    content_type, encode = _STREAMS[asked.api]
    events, end = encode(pieces)
    bodies = ["".join(events[at : at + asked.per_write]) for at in range(0, len(events), asked.per_write)]
    bodies[-1] += end
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    writes = [b"%x\r\n%s\r\n" % (len(data), data) for data in (body.encode() for body in bodies)]
    writes[0] = head + writes[0]
    writes[-1] += b"0\r\n\r\n"
    return writes


_PATH = re.compile(rb"POST /(\w+)/(\d+)/(\d+)/([\d.]+)(/[\w/]+) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')


class _Connection(asyncio.Protocol):
    """A kept connection, which serves one request after another."""

    def __init__(self) -> None:
        self._received = b""
        self._writing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or length is None or len(body) < int(length[1]):
            return
        self._received = b""
        path = _PATH.match(head)
        assert path is not None, head
        kind, api = path[1].decode(), path[5].decode()
        asked = ReplyRequirements(kind, int(path[2]), int(path[3]), float(path[4]), api, bool(_STREAM.search(body)))
        if asked.milliseconds:
            self._writing = asyncio.ensure_future(self._write_paced(asked))
            return
        for write in _writes(asked):
            self._transport.write(write)

    async def _write_paced(self, asked: ReplyRequirements) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        for write in _writes(asked):
            self._transport.write(write)
            due += asked.milliseconds / 1000
            await asyncio.sleep(due - loop.time())

    def connection_lost(self, _error: Exception | None) -> None:
        if self._writing is not None:
            self._writing.cancel()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # ends with the process that started this one


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Run a server in another process; yield its address."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve())
