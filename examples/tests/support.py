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
from typing import Any

import psutil
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

EXAMPLES = Path(__file__).parents[1]


class HeldModel(BaseChatModel):
    """Says who is how old, in JSON. It refuses to speak of Nobody, and answers only as many questions as it may."""

    _asked: list[str] = PrivateAttr(default_factory=list)
    _may_answer: int = PrivateAttr(default=0)

    @property
    def _llm_type(self) -> str:
        return "held"

    @property
    def asked(self) -> list[str]:
        return self._asked

    def answer(self, questions: int) -> None:
        """Forget what was asked, and answer so many questions."""
        self._asked, self._may_answer = [], questions

    def release(self) -> None:
        self._may_answer = sys.maxsize

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise AssertionError("the server is asynchronous")

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        question = next(message.text for message in reversed(messages) if message.type == "human")
        self._asked.append(question)
        number = len(self._asked)
        while number > self._may_answer:  # noqa: ASYNC110 - another thread changes it
            await asyncio.sleep(0.2)
        name, age = re.findall(r"(\w+) is (\d+)", question)[0]
        if name == "Nobody":
            raise ModelInvalidRequestError("nobody is that old")
        return ChatResult(generations=[ChatGeneration(message=AIMessage(f'{{"name": "{name}", "age": {age}}}'))])


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
