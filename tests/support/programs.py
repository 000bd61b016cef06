"""Python programs in processes of their own, with every warning an error."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
