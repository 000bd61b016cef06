"""What the tests of the examples share: scripts in processes of their own, and a model that is held back."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.messages import BaseMessage

from langchain_darkai.testing import FunctionChatModel

EXAMPLES = Path(__file__).parents[1]


class HeldModel:
    """Says who is how old, in JSON. It refuses to speak of Nobody, and answers only as many questions as it may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._may_answer = 0
        self.model = FunctionChatModel(self._reply)

    def answer(self, questions: int) -> None:
        """Forget what was asked, and answer so many questions."""
        self.asked, self._may_answer = [], questions

    def release(self) -> None:
        self._may_answer = sys.maxsize

    async def _reply(self, messages: list[BaseMessage], _tools: object) -> str:
        question = next(message.text for message in reversed(messages) if message.type == "human")
        self.asked.append(question)
        number = len(self.asked)
        while number > self._may_answer:  # noqa: ASYNC110 - another thread changes it
            await asyncio.sleep(0.2)
        name, age = re.findall(r"(\w+) is (\d+)", question)[0]
        if name == "Nobody":
            raise ModelInvalidRequestError("nobody is that old")
        return f'{{"name": "{name}", "age": {age}}}'


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[str]", seconds: float = 600) -> None:
    """Wait until something holds, as long as a process runs."""
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended with {process.returncode}"
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.2)


@contextmanager
def running(name: str, *args: str, folder: Path, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Run an example in a folder. What still runs at the end is killed, with all its processes."""
    with (folder / "errors.txt").open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-u", str(EXAMPLES / name), *args],
            cwd=folder,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield process
        finally:
            kill(process)


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill a process with all that it started, as a machine does that loses its power."""
    if process.poll() is None:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            member.kill()
        process.communicate()
        psutil.wait_procs(family)


def printed_by(name: str, *args: str, folder: Path, **variables: str) -> str:
    """Run an example to its end, and return what it prints."""
    with running(name, *args, folder=folder, **variables) as process:
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, (folder / "errors.txt").read_text()
    return output
