"""`Replayer`: a server that answers from what a `Recorder` has written."""

import difflib
import json
import os
import re
import threading
from collections.abc import Iterable

from typing_extensions import Self

from langchain_darkai._text import shortened
from langchain_darkai.testing.cassette import (
    End,
    Exchange,
    RecordedRequest,
    RecordedResponse,
    dump_value,
    load,
)
from langchain_darkai.testing.faults import status
from langchain_darkai.testing.masking import Masker
from langchain_darkai.testing.received import ReceivedCall
from langchain_darkai.testing.scripted_server import ScriptedServer
from langchain_darkai.testing.wire import CLOSE, HOLD, LAST_CHUNK, Step, chunk

__all__ = ["ReplayError", "Replayer"]

_CALL_ID = re.compile("call_[0-9a-f]{32}")
_WITHOUT_BODY = frozenset([204, 304])
_ENDS: dict[End, list[Step]] = {
    "complete": [LAST_CHUNK],
    "broken": [CLOSE],
    "left": [HOLD],
}


class ReplayError(AssertionError):
    """A request was not recorded, or was made more often than it was recorded."""


class Replayer:
    """A server on a free port of this machine that answers from a recording.

    A request gets the response that was recorded for the same method, path and body. Headers may differ, and the ids
    that the client makes up for tool calls, as long as they refer to the same calls. A request that was recorded
    several times gets those responses in order. Each is used once: what was never recorded, or is asked
    once more, gets HTTP 400, which is not retried, and the end of `with` raises ReplayError. That shows the nearest
    recorded request as a diff.

    - `path`: the file that a `Recorder` has written.
    - `with_times`: whether responses take the time that they took; otherwise they come at once.
    - `repeat_last`: whether a request may be made more often than it was recorded; it gets the last response again.
    - `secrets`: those of the `Recorder`.

    Raises FileNotFoundError where there is no such file, and CassetteError where it is no recording.

    Example:
        `with Replayer("chat.yaml") as replayer:` and in it `ChatDarkAI(base_url=replayer.url).invoke("Hi")`.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        with_times: bool = False,
        repeat_last: bool = False,
        secrets: Iterable[str] = (),
    ) -> None:
        self._path, self._with_times, self._repeats, self._secrets = path, with_times, repeat_last, tuple(secrets)
        self._exchanges = load(path)
        self._used: set[int] = set()
        self._misses: list[str] = []
        self._lock = threading.Lock()
        self._server = ScriptedServer(rule=self._response_to)

    def __repr__(self) -> str:
        return f"<Replayer {self.url}, {self._path}>"

    @property
    def url(self) -> str:
        """The base URL, for `ChatDarkAI(base_url=...)`."""
        return self._server.url

    @property
    def calls(self) -> list[ReceivedCall]:
        """The requests so far."""
        return self._server.calls

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        self._server.__exit__(kind, *details)
        if kind is None or issubclass(kind, Exception):  # an error of the calls may come of this
            self.check()

    def check(self) -> None:
        """Raise ReplayError if there was a request without a recorded response. The end of `with` calls it."""
        if self._misses:
            raise ReplayError("\n".join(self._misses))

    def _response_to(self, call: ReceivedCall) -> list[Step]:
        asked = Masker(self._secrets).request(call.method, call.target, call.headers, call.content)
        with self._lock:
            same = [n for n, exchange in enumerate(self._exchanges) if _key(exchange.request) == _key(asked)]
            unused = [n for n in same if n not in self._used]
            if not unused and not (same and self._repeats):
                problem = self._problem(asked, same)
                self._misses.append(problem)
                return status(400, problem)
            number = unused[0] if unused else same[-1]
            self._used.add(number)
        return steps_of(self._exchanges[number].response, with_times=self._with_times)

    def _problem(self, asked: RecordedRequest, same: list[int]) -> str:
        what = f"{asked.method} {asked.path}"
        if same:
            return f"{self._path} has {len(same)} responses to {what} with this body, and it was asked once more: " + (
                shortened(_text_of(asked), 300)
            )
        if not self._exchanges:
            return f"{self._path} has no exchanges, so there is no response to {what}."
        nearest = max(self._exchanges, key=lambda exchange: _likeness(exchange, asked))
        lines = difflib.unified_diff(
            _text_of(nearest.request).splitlines(),
            _text_of(asked).splitlines(),
            "the nearest recorded request",
            "this request",
            lineterm="",
        )
        return "\n".join([f"{self._path} has no response to {what}:", *lines])


def steps_of(response: RecordedResponse, *, with_times: bool = False) -> list[Step]:
    """Return a recorded response as the steps of a `ScriptedServer`."""
    if response.status == 0:
        return _ENDS[response.end]
    has_body = response.status not in _WITHOUT_BODY
    framing = {"transfer-encoding": "chunked"} if has_body else {}
    headers = {**response.headers, **framing}
    lines = [f"HTTP/1.1 {response.status} Status", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    steps: list[Step] = ["\r\n".join(lines).encode("utf-8", "surrogateescape")]
    for piece in response.body:
        steps += [piece.after, chunk(piece.data)] if with_times else [chunk(piece.data)]
    return [*steps, *(_ENDS[response.end] if has_body else [])]


def _key(request: RecordedRequest) -> tuple[str, str, str]:
    body = json.dumps(request.body, sort_keys=True, default=repr)  # in which 1 is not True
    return request.method, request.path, _with_numbered_ids(body)


def _text_of(request: RecordedRequest) -> str:
    members = {"method": request.method, "path": request.path, "body": request.body}
    return _with_numbered_ids(dump_value(members))


def _with_numbered_ids(text: str) -> str:
    """Return a text with numbers for the ids of tool calls, which the client makes up anew in each run."""
    numbers: dict[str, str] = {}
    return _CALL_ID.sub(lambda found: numbers.setdefault(found[0], f"call_{len(numbers) + 1}"), text)


def _likeness(exchange: Exchange, asked: RecordedRequest) -> tuple[float, float]:
    recorded, text = _text_of(exchange.request), _text_of(asked)
    by_line = difflib.SequenceMatcher(None, recorded.splitlines(), text.splitlines(), autojunk=False).ratio()
    return by_line, difflib.SequenceMatcher(None, recorded, text).quick_ratio()
