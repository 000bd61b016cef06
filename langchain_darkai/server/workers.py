"""Several processes on one port: a parent that holds the listening socket, and workers that inherit it.

The parent makes no model and answers nothing. It starts another worker where one dies, and passes signals on. A worker
is the same command in a new interpreter, so that no model is forked. Between a worker and the parent is a pair of
sockets: the worker says by it that it is ready, and sees by it that the parent has gone, and then it stops, too.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from langchain_darkai.server.metrics import MULTIPROC_DIR, forget_process
from langchain_darkai.server.runner import cannot_listen

__all__ = ["Worker", "run_workers", "this_worker"]

_VARIABLE = "LANGCHAIN_DARKAI_WORKER"
"""The environment variable by which a worker is told what it inherits: two descriptors, and whether it is the first."""
_RESTART_SECONDS = 1.0
"""The shortest time between two starts in the same place, where workers die as soon as they are ready."""

_logger = logging.getLogger("langchain_darkai.server")


class Worker(NamedTuple):
    """What a worker inherits."""

    listener: socket.socket
    parent: socket.socket
    is_first: bool

    def tell_ready(self) -> None:
        """Tell the parent that requests are taken."""
        self.parent.sendall(b".")


def this_worker() -> Worker | None:
    """Return what this process inherits, or None where it is no worker; the programs that it starts are none."""
    text = os.environ.pop(_VARIABLE, None)
    if text is None:
        return None
    listener, parent, is_first = map(int, text.split(","))
    worker = Worker(socket.socket(fileno=listener), socket.socket(fileno=parent), bool(is_first))

    def stop_without_parent() -> None:
        if not worker.parent.recv(1):
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_without_parent, name="langchain-darkai-parent", daemon=True).start()
    return worker


def run_workers(words: Sequence[str], count: int, host: str, port: int, *, metrics: bool, reloads: bool) -> int:
    """Run `langchain-darkai` with these words in so many processes until SIGTERM or SIGINT; return the exit code.

    A second signal ends their replies at once. With `reloads`, SIGHUP lets them read their keys again; else it ends
    them, too, as where a terminal is closed. With `metrics`, they count together. Where the first worker ends before it
    takes requests, there are no others: they would do no better.

    Raises OSError where the port is taken, and ValueError on systems without such sockets.
    """
    if not hasattr(os, "fork"):
        raise ValueError("--workers needs a system whose processes can share a socket, such as Linux or macOS.")
    with ExitStack() as stack:
        environment = dict(os.environ)
        if metrics and not environment.get(MULTIPROC_DIR):
            environment[MULTIPROC_DIR] = stack.enter_context(tempfile.TemporaryDirectory(prefix="langchain-darkai-"))
        if not {"", str(Path.cwd())} & set(sys.path):
            environment["PYTHONSAFEPATH"] = (
                "1"  # or a worker could import from this folder, which this process does not
            )
        listener = stack.enter_context(_listen(host, port))
        command = [sys.executable, "-m", "langchain_darkai.cli", *words]
        return _Parent(command, listener, environment, reloads=reloads).run(count)


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # One socket, so one address: of the names that have two, such as localhost, the one that everybody tries.
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise cannot_listen(error, host, port) from error


class _Process:
    """A worker, as its parent sees it."""

    def __init__(
        self, command: list[str], listener: socket.socket, environment: Mapping[str, str], *, is_first: bool
    ) -> None:
        self._socket, theirs = socket.socketpair()
        self._is_ready = False
        self.is_first: bool = is_first
        self.started: float = time.monotonic()
        with theirs:
            told = f"{listener.fileno()},{theirs.fileno()},{int(is_first)}"
            # In a session of its own, so that Ctrl+C at a terminal reaches it once, through the parent.
            self.popen: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - the words are those of our own command
                command,
                env={**environment, _VARIABLE: told},
                pass_fds=(listener.fileno(), theirs.fileno()),
                start_new_session=True,
            )

    def wait_until_ready(self) -> bool:
        """Return whether it takes requests, once it does or has ended."""
        self._is_ready = bool(self._socket.recv(1))
        return self._is_ready

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests, or did so before it ended."""
        with suppress(BlockingIOError):
            self._is_ready = self._is_ready or bool(self._socket.recv(1, socket.MSG_DONTWAIT))
        return self._is_ready

    def send(self, number: int) -> None:
        """Send it a signal. Popen would first ask whether it has ended, and so take that from the parent's wait."""
        with suppress(ProcessLookupError):  # the parent has just learned that it has ended
            os.kill(self.popen.pid, number)

    def close(self, code: int) -> None:
        """Take down that it has ended."""
        self.popen.returncode = code
        self._socket.close()


class _Parent:
    def __init__(
        self, command: list[str], listener: socket.socket, environment: Mapping[str, str], *, reloads: bool
    ) -> None:
        self._reloads = reloads
        self._command, self._listener, self._environment = command, listener, environment
        self._processes: dict[int, _Process] = {}
        self._is_up = False
        self._is_stopping = False
        self._code = 0

    def run(self, count: int) -> int:
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            # The others wait for the first, so that what is wrong is told once.
            self._is_up = self._start(is_first=True).wait_until_ready()
            if self._is_up:
                for _ in range(count - 1):
                    self._start()
            while self._processes:
                self._wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._code

    def _start(self, *, is_first: bool = False) -> _Process:
        process = _Process(self._command, self._listener, self._environment, is_first=is_first)
        self._processes[process.popen.pid] = process
        if self._is_stopping:  # the signal came while it was started
            process.send(signal.SIGTERM)
        return process

    def _wait(self) -> None:
        """Wait until a worker ends, and see to it that there is another."""
        pid, status = os.waitpid(-1, 0)
        process = self._processes.pop(pid, None)
        if process is None:
            return
        code = os.waitstatus_to_exitcode(status)
        was_ready = process.is_ready
        process.close(code)
        if folder := self._environment.get(MULTIPROC_DIR):
            forget_process(pid, folder)
        if self._is_stopping:
            return
        if process.is_first and not was_ready:
            self._code = code if code > 0 else 1
            return
        _logger.warning("The worker %d has ended with %d. Another takes its place.", pid, code)
        time.sleep(max(0.0, process.started + _RESTART_SECONDS - time.monotonic()))
        if not self._is_stopping:
            self._start()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGHUP or not self._reloads:
            self._stop()
            return
        for process in list(self._processes.values()):
            # The signal would end a worker that is just starting, which reads its keys anyway.
            if self._is_up and process.is_ready:
                process.send(number)

    def _stop(self) -> None:
        self._is_stopping = True
        for process in list(self._processes.values()):
            process.send(signal.SIGTERM)
