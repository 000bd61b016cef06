"""Running the application: listen, serve until it is told to stop, shut down; and `serve`, which does so in a program.

A model behind the server may raise SystemExit or KeyboardInterrupt, and may go on although it was cancelled. Neither
may end the server, or keep it from ending: tests/integration_tests/server/test_stubborn_models.py demands both.
"""

import asyncio
import errno
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from aiohttp import web
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr
from typing_extensions import Unpack

from langchain_darkai.server.app import SERVER, AppOptions, create_app
from langchain_darkai.server.forks import forget, leave_to_parent
from langchain_darkai.server.shared_loop import MAX_BLOCKING_CALLS, shut_down_threads

__all__ = ["cannot_listen", "check_port", "netloc", "run", "serve", "serve_app"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_logger = logging.getLogger("langchain_darkai.server")


def serve(
    model: BaseChatModel | Mapping[str, BaseChatModel] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key: str | SecretStr | None = None,
    grace_period: float = 10.0,
    on_ready: Callable[[str], None] | None = None,
    on_stop: Callable[[int], None] | None = None,
    sock: socket.socket | None = None,
    **options: Unpack[AppOptions],
) -> None:
    """Run the server until SIGTERM or SIGINT (Ctrl+C), then let running replies finish and return.

    `model` and the options are those of `create_app`. `on_ready` is called with the base URL once requests are taken,
    `on_stop` at the first signal, with the number of replies that are running.
    After the signal, new connections are refused, and running replies get `grace_period` seconds; a second signal ends
    them at once. Outside the main thread, where Python takes no signals, it runs as long as the thread. SIGHUP lets it
    read a file of keys again. `sock` is a socket that listens already, such as one that several processes share.

    Raises TypeError and ValueError for settings that cannot work, and OSError where the port is taken.

    Example:
        `serve(port=8000, on_ready=print)` prints `http://127.0.0.1:8000` and goes on until Ctrl+C.
    """
    app = create_app(model, api_key=api_key, grace_period=grace_period, **options)
    check_port(port)

    async def main() -> None:
        stopping = asyncio.get_running_loop().create_future()

        def stop() -> None:
            if stopping.done():
                app[SERVER].end_replies()
            else:
                stopping.set_result(None)
                if on_stop is not None:
                    on_stop(app[SERVER].running_replies)

        for number in _SIGNALS:
            with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                asyncio.get_running_loop().add_signal_handler(number, stop)
        access = app[SERVER].operations.access
        if access.has_file:  # otherwise it ends the process, as where a terminal is closed
            with suppress(AttributeError, NotImplementedError, RuntimeError, ValueError):  # likewise
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, access.reload)
        await serve_app(app, host, port, on_ready or (lambda _url: None), stopping, sock)

    with suppress(KeyboardInterrupt):  # Ctrl+C where there are no signal handlers
        run(main(), app)


def check_port(port: int) -> int:
    """Return the port; raise ValueError where it is none."""
    if not 0 <= port <= 65535:
        raise ValueError(f"port is {port!r}; it must be from 0 (any free one) to 65535.")
    return port


async def serve_app(
    app: web.Application,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    stopping: Awaitable[object],
    sock: socket.socket | None = None,
) -> None:
    """Serve until `stopping` is done; `on_ready` is called with the base URL once requests are taken."""
    # When the application has drained, only connections without a reply are left, which need no time.
    idle_timeout = app[SERVER].timeouts.idle_connection
    # The application has a log of requests of its own, which leaves out paths and queries: they may hold a key.
    runner = web.AppRunner(app, shutdown_timeout=0.1, keepalive_timeout=idle_timeout, access_log=None)
    await runner.setup()
    server = runner.server
    assert server is not None

    def connect() -> web.RequestHandler:
        connection = server()
        # Before 3.14.4, aiohttp's keepalive_timeout begins with the first request only.
        app[SERVER].expect_request(connection)
        return connection

    try:
        listener = await _listen(connect, host, port, sock)
        leave_to_parent(server, listener)
        try:
            addresses = [listening.getsockname()[:2] for listening in listener.sockets]
            hosts = [ipaddress.ip_address(address.partition("%")[0]) for address, _ in addresses]
            is_local = all(address.is_loopback for address in hosts)
            app[SERVER].hosts.listen(host, is_local=is_local)
            if not app[SERVER].has_key and not is_local:
                _logger.warning(
                    "The server on %s can be used by other machines, and has no API key. Set one, or use 127.0.0.1.",
                    host,
                )
            on_ready(_url(hosts[0], addresses[0][1]))
            await stopping
        finally:
            await _stop_listening(listener)
    finally:
        transports = [connection.transport for connection in server.connections]
        await runner.cleanup()
        for transport in transports:
            if transport is not None:
                transport.abort()  # closed already, unless its client reads nothing: that would take for ever
        forget(server)


async def _listen(
    protocols: Callable[[], asyncio.BaseProtocol], host: str, port: int, sock: socket.socket | None
) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    if sock is not None:
        return await loop.create_server(protocols, sock=sock)
    try:
        return await loop.create_server(protocols, host, port)
    except OSError as error:
        raise cannot_listen(error, host, port) from error


def cannot_listen(error: OSError, host: str, port: int) -> OSError:
    """Return an error of listening with a sentence that says what to do."""
    reason = os.strerror(error.errno) if error.errno and error.errno in errno.errorcode else str(error)
    return OSError(
        error.errno,
        f"Cannot listen on {netloc(host, port)}: {reason}. Choose another host or port (0: a free one).",
    )


async def _stop_listening(listener: asyncio.Server) -> None:
    # asyncio breaks on connections that it is just accepting when a server closes, so it stops accepting first.
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):
        for listening in listener.sockets:
            loop.remove_reader(listening.fileno())
    await asyncio.sleep(0)
    listener.close()


def netloc(host: str, port: int) -> str:
    """Return the part of a URL for a host and a port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _url(address: "ipaddress.IPv4Address | ipaddress.IPv6Address", port: int) -> str:
    if address.is_unspecified:  # every address of the machine: the loopback one serves from here
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{netloc(str(address), port)}"


def run(main: Coroutine[Any, Any, None], app: web.Application) -> None:
    """Run a coroutine in a new loop, like asyncio.run, but do not wait for models that go on, in threads or tasks."""
    loop = asyncio.new_event_loop()
    loop.set_debug(False)  # PYTHONDEVMODE is about the caller's loops
    executor = ThreadPoolExecutor(MAX_BLOCKING_CALLS, thread_name_prefix="langchain-darkai-model")
    loop.set_default_executor(executor)
    try:
        _run_until_complete(loop, loop.create_task(main), app)
    finally:
        has_ended = False
        try:
            has_ended = loop.run_until_complete(_cancel_all(app[SERVER].timeouts.cleanup))
        finally:
            if has_ended:
                _close(loop)
            else:
                _leave_in_thread(loop)
            shut_down_threads(executor)


def _run_until_complete(loop: asyncio.AbstractEventLoop, serving: "asyncio.Task[None]", app: web.Application) -> None:
    """Run the loop until the task is done, also where a model raises SystemExit or KeyboardInterrupt.

    Where one of these ends a task, asyncio stops the whole loop and raises it here. The task's request gets the error,
    like any other; so the loop is started again.
    """
    while not serving.done():
        try:
            loop.run_until_complete(serving)
        except (SystemExit, KeyboardInterrupt) as error:  # noqa: PERF203 - it is rare
            if serving.done() or not _raised_by_model(error, app):
                raise


def _raised_by_model(error: BaseException, app: web.Application) -> bool:
    """Return whether a model raised SystemExit or KeyboardInterrupt, and not the handler of a signal."""
    if threading.current_thread() is not threading.main_thread():
        return True  # Python handles signals in the main one
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    return app[SERVER].is_busy


async def _cancel_all(seconds: float | None = None) -> bool:
    """Cancel all other tasks, close all async generators, and return whether they ended in time."""
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()

    async def end() -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        await loop.shutdown_asyncgens()

    _, going = await asyncio.wait([asyncio.ensure_future(end())], timeout=seconds)
    return not going


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop once all has ended that runs on it."""
    try:
        loop.run_until_complete(_cancel_all())
    finally:
        loop.close()


def _leave_in_thread(loop: asyncio.AbstractEventLoop) -> None:
    """Let a loop with a model that goes on although it was cancelled run to its end in a daemon thread."""
    _logger.warning("A model goes on although it was cancelled. It is left to itself, in a thread.")
    for number in _SIGNALS:
        with suppress(NotImplementedError):  # Windows
            loop.remove_signal_handler(number)
    threading.Thread(target=_close, args=(loop,), name="langchain-darkai-left", daemon=True).start()
