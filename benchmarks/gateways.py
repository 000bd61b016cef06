"""The servers that are compared, each a process of its own over the same backend: `running`.

`python -m benchmarks.gateways NAME BACKEND` is what runs in such a process, except for LiteLLM, which has a command and
an environment of its own. The backend is the server of `benchmarks.server`, where a URL says what is sent.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientSession, TCPConnector, web

from benchmarks import contenders

KEY = "sk-5f0c1a9be27d4836a1c0ffee12345678"  # LiteLLM refuses to start without one that looks like a key
SHORT = "prose/1/1/0"
PACED_TOKENS = 125
PACED = f"prose/{PACED_TOKENS}/1/4"
IDLE = "prose/2/1/3600000"
"""The first text at once, and the second in an hour."""
MODELS = {"short": SHORT, "paced": PACED, "idle": IDLE}
"""What the models of the servers answer, by their names."""

LITELLM = Path(__file__).parents[1] / ".venv-litellm" / "bin" / "litellm"
_START_SECONDS = 120


@dataclass(frozen=True)
class Gateway:
    """A server that runs: where, and as which process."""

    name: str
    url: str
    pid: int


@contextlib.contextmanager
def running(name: str, backend: str, litellm: Path = LITELLM) -> Iterator[Gateway]:
    """Run a server until the block ends: "ours", "bare" or "litellm"."""
    start = _litellm(backend, litellm) if name == "litellm" else _of_this_environment(name, backend)
    with start as (process, url):
        try:
            yield Gateway(name, url, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # LiteLLM waits for the streams that are open
                process.kill()


@contextlib.contextmanager
def _of_this_environment(name: str, backend: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    command = [sys.executable, "-m", "benchmarks.gateways", name, backend]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=_environment({})) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


@contextlib.contextmanager
def _litellm(backend: str, command: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run LiteLLM as its documentation of production wants it, but with no way out of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    offline = ("MODEL_COST_MAP", "ANTHROPIC_BETA_HEADERS", "BLOG_POSTS", "AUTOROUTER_PRESETS", "POLICY_TEMPLATES")
    settings = {
        **{f"LITELLM_LOCAL_{what}": "True" for what in offline},
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MASTER_KEY": KEY,
        "AIOHTTP_CONNECTOR_LIMIT": "4096",  # with its 500 for one host, the other streams would wait for ever
        "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "4096",
    }
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder) / "config.yaml", Path(folder) / "log"
        config.write_text(_litellm_config(backend))
        address = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False"]
        arguments = [str(command), "--config", str(config), *address]
        with (
            log.open("w") as output,
            subprocess.Popen(
                arguments, stdout=output, stderr=output, text=True, cwd=folder, env=_environment(settings)
            ) as process,
        ):
            _wait_until_it_listens(process, port, log)
            yield process, f"http://127.0.0.1:{port}"


def _litellm_config(backend: str) -> str:
    models = "".join(
        f"  - model_name: {name}\n"
        f'    litellm_params: {{model: openai/gpt-4o, api_base: "{backend}/{path}", api_key: none}}\n'
        for name, path in MODELS.items()
    )
    return f"model_list:\n{models}litellm_settings: {{telemetry: false}}\n"


def _wait_until_it_listens(process: "subprocess.Popen[str]", port: int, log: Path) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None or time.monotonic() > give_up:
            process.kill()
            raise RuntimeError(f"LiteLLM did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a server: it may keep its compiled modules, and traces nothing."""
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**mine, "LANGSMITH_TRACING": "false", "NO_PROXY": "127.0.0.1", **settings}


def _serve_ours(backend: str) -> None:
    """Serve langchain-openai's model with this package's server."""
    from langchain_darkai.server import serve

    models = {name: contenders.openai(f"{backend}/{path}") for name, path in MODELS.items()}
    serve(models, port=0, api_key=KEY, grace_period=0, on_ready=lambda url: print(url, flush=True))


def _serve_bare(backend: str) -> None:
    """Pass bytes through, with aiohttp alone: the floor, which knows no model, no key and no error."""

    async def forward(request: web.Request) -> web.StreamResponse:
        async with request.app[session].post(backend + request.path, data=await request.read()) as answer:
            response = web.StreamResponse(status=answer.status, headers={"content-type": answer.content_type})
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response

    async def with_session(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(connector=TCPConnector(limit=0)) as app[session]:
            yield

    session = web.AppKey("session", ClientSession)
    app = web.Application(handler_args={"handler_cancellation": True})
    app.cleanup_ctx.append(with_session)
    app.router.add_post("/{path:.*}", forward)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        web.run_app(app, sock=listener, print=None, access_log=None, shutdown_timeout=0.1)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # sys.stdin.read would hold a lock that the interpreter wants at its end
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    {"ours": _serve_ours, "bare": _serve_bare}[sys.argv[1]](sys.argv[2])
