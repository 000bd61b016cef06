"""Python programs in processes of their own, with every warning an error."""

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from langchain_darkai.testing import ScriptedServer

ROOT = Path(__file__).parents[2]

START = """
import asyncio, atexit, copy, gc, inspect, logging, os, pickle, sys, threading, time, warnings
from langchain_darkai import ChatDarkAI, DarkAI

logging.getLogger("asyncio").setLevel("ERROR")  # it warns of a slow machine
warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)  # users do it all the same
url = {url!r}
model = ChatDarkAI(base_url=url, max_retries=0)
client = DarkAI(base_url=url, max_retries=0)

async def first(stream):
    async for piece in stream:
        return piece
"""


def run(server: ScriptedServer, code: str, seconds: float = 40.0, *, before: str = "") -> list[str]:
    """Run code in a new Python process that has `model` and `client`, and return the words that it prints.

    Its output is not buffered, so that a forked child does not print its parent's words again. The process must end
    with 0, in time, with nothing on standard error. It runs the code `before` first of all, and then imports the
    package.
    """
    program = before + START.format(url=server.url) + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-u", "-X", "dev", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.split()


@contextmanager
def running(code: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a program, which can import what the tests can; it is killed if it still runs at the end."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def complaints(error: str) -> list[str]:
    """Return the lines of standard error, but for those by which asyncio's debug mode reports a slow machine."""
    return [line for line in error.splitlines() if not line.startswith("Executing <")]


def is_listening(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.socket(socket.AF_INET6 if "[" in host else socket.AF_INET) as client:
        return client.connect_ex((host.strip("[]"), int(port))) == 0
