"""`LocalServer`: the server in the background of a program or a notebook."""

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from types import TracebackType

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr
from typing_extensions import Self, Unpack

from langchain_darkai.server.app import SERVER, AppOptions, create_app
from langchain_darkai.server.runner import check_port, serve_app
from langchain_darkai.server.shared_loop import SharedLoop, shared_loop

__all__ = ["LocalServer"]

_EXIT_SECONDS = 5.0
"""How long a server that nobody stopped may hold up the end of the process."""

_logger = logging.getLogger("langchain_darkai.server")


class LocalServer:
    """The local server, in a background thread. All of a process share that thread and its event loop.

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
        **options: Unpack[AppOptions],
    ) -> None:
        self._host, self._port = host, check_port(port)
        self._new_app = partial(create_app, model, api_key=api_key, grace_period=grace_period, **options)
        self._new_app()  # an application runs only once; this one refuses settings that cannot work
        self._lock = threading.Lock()
        self._loop: SharedLoop | None = None
        self._served: Future[None] = Future()
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

    def start(self) -> Self:
        """Start the server and return when it takes requests."""
        with self._lock:
            if self._loop is None:
                loop = shared_loop()
                started: Future[str] = Future()
                self._stopping = Future()
                self._served = loop.submit(self._serve(started))
                self._loop, self._process = loop, os.getpid()
                atexit.register(self._finish, _EXIT_SECONDS)
                try:
                    self._url = started.result()
                except BaseException:
                    self._finish()
                    raise
        return self

    def stop(self) -> None:
        """Stop the server and return when its sockets are gone, and its replies have ended, or do not end in time."""
        with self._lock:
            self._finish()

    def _finish(self, seconds: float | None = None) -> None:
        if self._loop is None:
            return
        atexit.unregister(self._finish)
        with suppress(InvalidStateError):  # it ended by itself
            self._stopping.set_result(None)
        if self._process == os.getpid():  # a forked child has no thread that could end it, and nothing to end
            wait([self._served], seconds)
            self._loop.release()
        self._loop = self._url = None

    async def _serve(self, started: "Future[str]") -> None:
        try:
            app = self._new_app()
            stopping = asyncio.wrap_future(self._stopping)
            await serve_app(app, self._host, self._port, started.set_result, stopping)
            if app[SERVER].is_busy:
                _logger.warning("A model goes on although it was cancelled. It is left to itself, in a thread.")
        except BaseException as error:
            if started.done():
                _logger.exception("The local server failed.")
            else:
                started.set_exception(error)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
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


async def _in_thread(function: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as executor:
        await asyncio.get_running_loop().run_in_executor(executor, function)
