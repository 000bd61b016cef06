"""A server that speaks the protocols of OpenAI and Ollama, and replies with what a test writes down."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import Self

CUT = object()
"""A piece of a reply: the connection is cut here."""


@dataclass(frozen=True)
class Refusal:
    """A reply that is an error."""

    status: int
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class ScriptedEngine:
    """Plays its replies in turn, the last one for ever: refusals, or lists of texts and of events to wait for."""

    replies: list[Any]
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The body of each request, with its headers under "headers"."""
    url: str = ""
    keeps_connections: bool = False
    """Whether clients may use a connection again. Those of providers never close one."""

    def __enter__(self) -> Self:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                engine.asked.append({**body, "headers": dict(self.headers.items())})
                reply = engine.replies[min(len(engine.asked), len(engine.replies)) - 1]
                if isinstance(reply, Refusal):
                    self.refuse(reply)
                else:
                    self.stream(reply, _OLLAMA if self.path == "/api/chat" else _OPENAI)

            def refuse(self, reply: Refusal) -> None:
                error: Any = reply.message if self.path == "/api/chat" else {"message": reply.message}
                data = json.dumps({"error": error}).encode()
                self.send_response(reply.status)
                for name, value in {"content-type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.say_whether_to_close()
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def stream(self, pieces: list[Any], protocol: Any) -> None:
                self.send_response(200)
                self.send_header("content-type", protocol.content_type)
                self.send_header("transfer-encoding", "chunked")
                self.say_whether_to_close()
                self.end_headers()
                self.chunk(protocol.begin())
                for piece in pieces:
                    if piece is CUT:
                        self.close_connection = True
                        return
                    if isinstance(piece, threading.Event):
                        piece.wait(20)
                    else:
                        self.chunk(protocol.text(piece))
                self.chunk(protocol.end())
                self.wfile.write(b"0\r\n\r\n")

            def say_whether_to_close(self) -> None:
                if not engine.keeps_connections:
                    self.send_header("connection", "close")

            def chunk(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _OPENAI:
    content_type = "text/event-stream"

    @staticmethod
    def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
        return f"data: {json.dumps(event)}\n\n".encode()

    @classmethod
    def begin(cls) -> bytes:
        return cls.event({"role": "assistant", "content": ""})

    @classmethod
    def text(cls, text: str) -> bytes:
        return cls.event({"content": text})

    @classmethod
    def end(cls) -> bytes:
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return cls.event({}, "stop") + cls.event({}, choices=[], usage=usage) + b"data: [DONE]\n\n"


class _OLLAMA:
    content_type = "application/x-ndjson"

    @staticmethod
    def line(text: str, **more: Any) -> bytes:
        line = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": text}}
        return f"{json.dumps({**line, 'done': False, **more})}\n".encode()

    @classmethod
    def begin(cls) -> bytes:
        return cls.line("")

    @classmethod
    def text(cls, text: str) -> bytes:
        return cls.line(text)

    @classmethod
    def end(cls) -> bytes:
        return cls.line("", done=True, done_reason="stop", prompt_eval_count=3, eval_count=2)


@contextmanager
def engine(*replies: Any, keeps_connections: bool = False) -> Iterator[ScriptedEngine]:
    """Run an engine with these replies."""
    with ScriptedEngine(list(replies), keeps_connections=keeps_connections) as running:
        yield running
