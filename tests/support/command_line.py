"""A server for the command line to talk to, and a terminal for it to talk at."""

import contextlib
import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest
from typing_extensions import Self

from langchain_darkai.server import LocalServer
from tests.support.models import Piece, ScriptedModel

SECONDS = 50.0
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
runpy.run_module("langchain_darkai", run_name="__main__", alter_sys=True)
"""


class Terminal:
    """A command on a pseudo-terminal: what is typed, and what is seen there.

    `home` is the user's folder, with the history. With `waits`, the terminal is entered when a conversation has begun.
    """

    def __init__(
        self,
        *arguments: str,
        command: str = "chat",
        home: Path | None = None,
        waits: bool = True,
        columns: int = 80,
        rows: int = 24,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.seen = 0
        self._waits = waits
        self._raw = ""
        self.emulator = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.emulator)
        self.ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        states = {"XDG_STATE_HOME": str(home)} if home else {"XDG_STATE_HOME": "/dev/null/nowhere"}
        plain = {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
        unset = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "CI")
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, command, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**kept, **plain, **states, **(variables or {})},
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        try:
            if self._waits:
                self.wait_for(PROMPT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait(SECONDS)
        os.close(self.ours)

    @property
    def text(self) -> str:
        """All that was written, without what controls the terminal, but for a word where input is waited for."""
        return CONTROL.sub(lambda found: PROMPT * (found[0] == BEGINS_TO_READ), self._raw)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen now."""
        return [line.rstrip() for line in self.emulator.display]

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def wait_for(self, text: str, seconds: float = SECONDS) -> None:
        """Read until `text` has come after what was waited for before."""
        self._read(lambda: text in self.text[self.seen :], f"{text!r} to come", seconds)
        self.seen = self.text.index(text, self.seen) + len(text)

    def wait_until(self, is_seen: Callable[[list[str]], bool], seconds: float = SECONDS) -> None:
        """Read until the lines of the screen are as they should be."""
        self._read(lambda: is_seen(self.lines), "the screen", seconds)

    def interrupt(self, text: str) -> None:
        """Type Ctrl+C until `text` comes: Python misses one in the moment before it begins to wait for input."""
        for _ in range(int(SECONDS / 5)):
            self.type(CTRL_C)
            with contextlib.suppress(AssertionError):
                self.wait_for(text, 5.0)
                return
        self.wait_for(text, 0.0)

    def leave(self) -> int:
        """Type Ctrl+D at the prompt that is waited for, read to the end, and return the exit code."""
        self.wait_for(PROMPT)
        self.type(CTRL_D)
        return self.end()

    def end(self) -> int:
        """Read to the end, and return the exit code."""
        self._read(lambda: False, "the end")
        return self.process.wait(SECONDS)

    def _read(self, enough: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not enough():
            ready, _, _ = select.select([self.ours], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"waited for {what} after {self.text[self.seen :][-500:]!r}; on the screen: {self.lines}"
            try:
                data = os.read(self.ours, 1024)
            except OSError:  # how Linux says that the other side is gone
                data = b""
            if not data:
                assert what == "the end", f"ended before {what}; on the screen: {self.lines}"
                return
            self._stream.feed(data)
            self._raw += data.decode(errors="replace")


CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][0-9A-B]|[=>78])")
BEGINS_TO_READ = "\x1b[?2004h"  # the line editor asks the terminal to mark what is pasted
PROMPT = "<prompt>"
CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\r"
ALT_ENTER = "\x1b\r"


def pasted(text: str) -> str:
    """Return a text as a terminal sends it when it is pasted."""
    return f"\x1b[200~{text}\x1b[201~"
