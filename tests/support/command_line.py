"""A server for the command line to talk to, and a terminal for it to talk at."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from typing_extensions import Self

from langchain_darkai.server import LocalServer
from tests.support.models import Piece, ScriptedModel

SECONDS = 20.0
"""How long a process may take to do what is waited for."""


@contextlib.contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, *replies: list[Piece]) -> Iterator[ScriptedModel]:
    model = ScriptedModel(replies=list(replies))
    with LocalServer(model) as server:
        monkeypatch.setenv("DARKAI_BASE_URL", server.url)
        yield model


# A session leader without a terminal gets the first one that it opens, and with it Ctrl+C.
ON_A_TERMINAL = """
import os, runpy
os.close(os.open(os.ttyname(0), os.O_RDWR))
runpy.run_module("langchain_darkai.cli", run_name="__main__", alter_sys=True)
"""


class Terminal:
    """A conversation on a pseudo-terminal: what is typed, and what stands there."""

    def __init__(self, *arguments: str) -> None:
        self.screen = ""
        self.seen = 0
        self.ours, theirs = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, "chat", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        self._read(lambda: "> " in self.screen, "the first prompt")
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait(SECONDS)
        os.close(self.ours)

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def wait_for(self, text: str, seconds: float = SECONDS) -> None:
        """Read until `text` stands after what was waited for before."""
        self._read(lambda: text in self.screen[self.seen :], f"{text!r} to come", seconds)
        self.seen = self.screen.index(text, self.seen) + len(text)

    def interrupt(self, text: str) -> None:
        """Type Ctrl+C until `text` comes: Python misses one in the moment before it begins to wait for input."""
        for _ in range(int(SECONDS)):
            self.type(CTRL_C)
            with contextlib.suppress(AssertionError):
                self.wait_for(text, 1.0)
                return
        self.wait_for(text, 0.0)

    def leave(self) -> int:
        """Type Ctrl+D at the prompt that is waited for, read to the end, and return the exit code."""
        self.wait_for("> ")
        self.type(CTRL_D)
        self._read(lambda: False, "the end")
        return self.process.wait(SECONDS)

    def _read(self, enough: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not enough():
            ready, _, _ = select.select([self.ours], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"waited for {what} after {self.screen[self.seen :]!r}; on the screen: {self.screen!r}"
            try:
                data = os.read(self.ours, 4096)
            except OSError:  # how Linux says that the other side is gone
                data = b""
            if not data:
                assert what == "the end", f"ended before {what}; on the screen: {self.screen!r}"
                return
            self.screen += data.decode()


CTRL_C, CTRL_D = "\x03", "\x04"
