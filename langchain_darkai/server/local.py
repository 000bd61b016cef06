"""Running the server: in the background of a program or a notebook, or as a program of its own."""

import asyncio
import atexit
import errno
import ipaddress
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict

from aiohttp import web
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from langchain_darkai.server.app import CLEANUP_TIMEOUT, SERVER, create_app

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

MAX_BLOCKING_CALLS = 128
"""How many calls of models without async code run at once, each on a thread of its own, made when it is needed."""

IDLE_CONNECTION_TIMEOUT = 75.0
"""How long a connection may take until its first request is there, and until the next one: proxies give up at 60."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_THREAD_SECONDS = 1.0  # how long threads of blocking models may hold up the end of a server; they cannot be interrupted
_EXIT_SECONDS = 5.0  # how long a server that nobody stopped may hold up the end of the process

_logger = logging.getLogger("langchain_darkai.server")


class AppOptions(TypedDict, total=False):
    """The settings of `create_app` that `LocalServer` and `serve` pass on."""

    max_query_bytes: int
    timeout: float | None
    cors_origins: Collection[str]


class LocalServer:
    """The local server, in a background thread with an event loop of its own.

    `model` and the options are those of `create_app`: None is `OfflineChatModel`. `port` 0 is any free port, a new one
    at each start. A context manager, plain and async, also inside a running event loop; or `start` and `stop`, which do
    nothing where there is nothing to do. A server that nobody stops ends with the process. `grace_period` is how many
    seconds `stop` leaves to running replies.

    Raises TypeError and ValueError for settings that cannot work, and OSError at the start where the port is taken.

    Example:
        >>> with LocalServer() as server:
        ...     server.url.startswith("http://127.0.0.1:")
        True
    """

    def __init__(
        self,
        model: BaseChatModel | Mapping[str, BaseChatModel] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | SecretStr | None = None,
        grace_period: float = 1.0,
        **options: "Unpack[AppOptions]",
    ) -> None:
        self._host, self._port = host, _checked_port(port)
        self._new_app = partial(create_app, model, api_key=api_key, grace_period=grace_period, **options)
        self._new_app()  # an application runs only once; this one refuses settings that cannot work
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping: Future[None] = Future()
        self._url: str | None = None

    def __repr__(self) -> str:
        return f"<LocalServer {self._url or 'not running'}>"

    @property
    def url(self) -> str:
        """The base URL of the running server, for `ChatDarkAI(base_url=...)`; RuntimeError where it is not running."""
        if self._url is None:
            raise RuntimeError("The server is not running: use `with LocalServer() as server:`, or call start() first.")
        return self._url

    def start(self) -> "Self":
        """Start the server and return when it takes requests."""
        with self._lock:
            if self._thread is None:
                started: Future[str] = Future()
                self._stopping = Future()
                self._thread = threading.Thread(
                    target=self._run, args=(started,), name="langchain-darkai-server", daemon=True
                )
                self._thread.start()
                atexit.register(self._finish, _EXIT_SECONDS)
                try:
                    self._url = started.result()
                except BaseException:
                    self._finish()
                    raise
        return self

    def stop(self) -> None:
        """Stop the server and return when its thread, its loop and its sockets are gone."""
        with self._lock:
            self._finish()

    def _finish(self, seconds: float | None = None) -> None:
        if self._thread is None:
            return
        atexit.unregister(self._finish)
        with suppress(InvalidStateError):  # it ended by itself
            self._stopping.set_result(None)
        self._thread.join(seconds)
        self._thread = self._url = None

    def _run(self, started: "Future[str]") -> None:
        async def main(app: web.Application) -> None:
            stopping = asyncio.wrap_future(self._stopping)
            await _serve(app, self._host, self._port, started.set_result, stopping)

        try:
            app = self._new_app()
            _run(main(app), app)
        except BaseException as error:
            if started.done():
                _logger.exception("The local server failed.")
            else:
                started.set_exception(error)

    def __enter__(self) -> "Self":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> "Self":
        try:
            await _in_thread(self.start)
        except asyncio.CancelledError:
            self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await _in_thread(self.stop)


def serve(
    model: BaseChatModel | Mapping[str, BaseChatModel] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key: str | SecretStr | None = None,
    grace_period: float = 10.0,
    on_ready: Callable[[str], None] | None = None,
    **options: "Unpack[AppOptions]",
) -> None:
    """Run the server until SIGTERM or SIGINT (Ctrl+C), then let running replies finish and return.

    `model` and the options are those of `create_app`. `on_ready` is called with the base URL once requests are taken.
    After the signal, new connections are refused, and running replies get `grace_period` seconds; a second signal ends
    them at once. Outside the main thread, where Python takes no signals, it runs as long as the thread.

    Raises TypeError and ValueError for settings that cannot work, and OSError where the port is taken.

    Example:
        `serve(port=8000, on_ready=print)` prints `http://127.0.0.1:8000` and goes on until Ctrl+C.
    """
    app = create_app(model, api_key=api_key, grace_period=grace_period, **options)
    _checked_port(port)

    async def main() -> None:
        stopping = asyncio.get_running_loop().create_future()

        def stop() -> None:
            if stopping.done():
                app[SERVER].end_replies()
            else:
                stopping.set_result(None)

        for number in _SIGNALS:
            with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                asyncio.get_running_loop().add_signal_handler(number, stop)
        await _serve(app, host, port, on_ready or (lambda _url: None), stopping)

    with suppress(KeyboardInterrupt):  # Ctrl+C where there are no signal handlers
        _run(main(), app)


async def _serve(
    app: web.Application, host: str, port: int, on_ready: Callable[[str], None], stopping: Awaitable[object]
) -> None:
    """Serve until `stopping` is done."""
    # What the application's own drain leaves over are connections without a reply, which need no time.
    runner = web.AppRunner(app, shutdown_timeout=0.1, keepalive_timeout=IDLE_CONNECTION_TIMEOUT)
    await runner.setup()
    server, loop = runner.server, asyncio.get_running_loop()
    assert server is not None

    def connect() -> web.RequestHandler:
        connection = server()
        # aiohttp's keepalive_timeout begins with the first request before 3.14.4.
        app[SERVER].expect_request(connection, IDLE_CONNECTION_TIMEOUT)
        return connection

    try:
        listener = await _listen(connect, host, port)
        try:
            addresses = [listening.getsockname()[:2] for listening in listener.sockets]
            hosts = [ipaddress.ip_address(address.partition("%")[0]) for address, _ in addresses]
            if not app[SERVER].has_key and not all(host.is_loopback for host in hosts):
                _logger.warning(
                    "The server on %s can be used by other machines, and has no API key. Set one, or use 127.0.0.1.",
                    host,
                )
            on_ready(_url(hosts[0], addresses[0][1]))
            await stopping
        finally:
            # asyncio breaks on connections that it is just accepting when a server closes, so it stops accepting first.
            with suppress(NotImplementedError):
                for listening in listener.sockets:
                    loop.remove_reader(listening.fileno())
            await asyncio.sleep(0)
            listener.close()
    finally:
        transports = [connection.transport for connection in server.connections]
        await runner.cleanup()
        for transport in transports:
            if transport is not None:
                transport.abort()  # closed already, unless its client reads nothing: that would take for ever


async def _listen(protocols: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(protocols, host, port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno in errno.errorcode else str(error)
        raise OSError(
            error.errno,
            f"Cannot listen on {_netloc(host, port)}: {reason}. Choose another host or port (0: a free one).",
        ) from error


def _run(main: Coroutine[Any, Any, None], app: web.Application) -> None:
    """Run a coroutine in a new loop, like asyncio.run, but do not wait for models that go on, in threads or tasks."""
    loop = asyncio.new_event_loop()
    loop.set_debug(False)  # PYTHONDEVMODE is about the caller's loops
    executor = ThreadPoolExecutor(MAX_BLOCKING_CALLS, thread_name_prefix="langchain-darkai-model")
    loop.set_default_executor(executor)
    serving = loop.create_task(main)
    try:
        while not serving.done():
            try:
                loop.run_until_complete(serving)
            except (SystemExit, KeyboardInterrupt) as error:  # noqa: PERF203 - it seldom is
                # Where one ends a task, asyncio stops the loop as well. It goes on: the task's request gets the error.
                if serving.done() or not _raised_by_model(error, app):
                    raise
    finally:
        has_ended = False
        try:
            has_ended = loop.run_until_complete(_cancel_all(CLEANUP_TIMEOUT))
        finally:
            if has_ended:
                _close(loop)
            else:
                _logger.warning("A model goes on although it was cancelled. It is left to itself, in a thread.")
                for number in _SIGNALS:
                    with suppress(NotImplementedError):  # Windows
                        loop.remove_signal_handler(number)
                threading.Thread(target=_close, args=(loop,), name="langchain-darkai-left", daemon=True).start()
            executor.shutdown(wait=False, cancel_futures=True)
            waiter = threading.Thread(target=executor.shutdown, daemon=True)
            waiter.start()
            waiter.join(_THREAD_SECONDS)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop once all has ended that runs on it."""
    try:
        loop.run_until_complete(_cancel_all())
    finally:
        loop.close()


async def _cancel_all(seconds: float | None = None) -> bool:
    """Cancel all other tasks, close all async generators, and tell whether they ended in time."""
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()

    async def end() -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        await loop.shutdown_asyncgens()

    _, going = await asyncio.wait([asyncio.ensure_future(end())], timeout=seconds)
    return not going


def _raised_by_model(error: BaseException, app: web.Application) -> bool:
    """Whether it was a model that raised SystemExit or KeyboardInterrupt, and no handler of a signal."""
    if threading.current_thread() is not threading.main_thread():
        return True  # Python handles signals in the main one
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    return app[SERVER].is_busy


async def _in_thread(function: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as executor:
        await asyncio.get_running_loop().run_in_executor(executor, function)


def _checked_port(port: int) -> int:
    if not 0 <= port <= 65535:
        raise ValueError(f"port is {port!r}; it must be from 0 (any free one) to 65535.")
    return port


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _url(address: "ipaddress.IPv4Address | ipaddress.IPv6Address", port: int) -> str:
    if address.is_unspecified:  # every address of the machine: the loopback one serves from here
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{_netloc(str(address), port)}"
