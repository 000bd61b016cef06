"""Runs of `langchain-darkai batch` in processes that can be killed, forked from one that has imported everything."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

_MOTHER = """
import json, os, sys
import aiohttp, langchain_darkai.bulk, langchain_darkai.cli.batch, langchain_darkai._http.aiohttp_transport
import langchain_darkai.cli.batch_display
from langchain_darkai.cli import main
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(2, 1)
        os._exit(main(json.loads(line)))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Mother:
    """A process that starts runs, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def start(self, *arguments: str) -> int:
        """Start a run; return its process id."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(["batch", *arguments]) + "\n")
        self._process.stdin.flush()
        return self._number()

    def wait(self) -> int:
        """Return the exit code of the run, or minus the signal that ended it."""
        return self._number()

    def kill(self, child: int, by: signal.Signals = signal.SIGKILL) -> int:
        """End the run by a signal; return as `wait` does."""
        os.kill(child, by)
        return self.wait()

    def _number(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())


@contextlib.contextmanager
def mother() -> Iterator[Mother]:
    command = [sys.executable, "-c", _MOTHER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        yield Mother(process)
        assert process.stdin
        process.stdin.close()
