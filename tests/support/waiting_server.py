"""A server in a process of its own that may open many files: it answers each request after a moment.

`python -m tests.support.waiting_server SECONDS` prints its port, and ends with its standard input.
"""

import asyncio
import contextlib
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from langchain_darkai.testing import reply

ROOT = Path(__file__).parents[2]
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER = reply("Hello")[0]


async def _serve(seconds: float) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                assert length
                await reader.readexactly(int(length[1]))
                await asyncio.sleep(seconds)
                assert isinstance(_ANSWER, bytes)
                writer.write(_ANSWER)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def waiting_server(seconds: float) -> Iterator[str]:
    """Run the server; yield its address."""
    command = [sys.executable, "-m", "tests.support.waiting_server", str(seconds)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        assert process.stdout
        assert process.stdin
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_serve(float(sys.argv[1])))
