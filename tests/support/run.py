"""Run a program in a Python of its own, in which every warning and every word on standard error is a failure."""

import os
import subprocess
import sys
import textwrap

from tests.support.scripted_server import ScriptedServer

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


def run(server: ScriptedServer, code: str, seconds: float = 40.0) -> list[str]:
    """Run code in a new Python process that has `model` and `client`, and return the words that it prints.

    The process must end with 0, in time, with nothing on standard error.
    """
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", START.format(url=server.url) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.split()
