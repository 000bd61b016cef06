"""The event loop that all `LocalServer`s of a process share, in a background thread.

A model behind a server keeps its connections, which belong to the loop that made them, and some providers share one
client among all their models. A server that is started again would meet them on a loop that is closed. So the loop
starts with the first server, and ends with the process.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

__all__ = ["MAX_BLOCKING_CALLS", "SharedLoop", "shared_loop", "shut_down_threads"]

MAX_BLOCKING_CALLS = 128
"""How many calls of models without async code run at once, each on a thread of its own, made when it is needed."""

_THREAD_SECONDS = 1.0
"""How long threads of models without async code may hold up the end of a server; they cannot be interrupted."""
_EXIT_SECONDS = 2.0
"""How long the loop may hold up the end of the process."""


class SharedLoop:
    """A loop that runs in a daemon thread, with threads for blocking calls as long as somebody uses it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_debug(False)  # PYTHONDEVMODE is about the caller's loops
        self._users = 0
        self._lock = threading.Lock()
        self._is_ending = False
        self._renew_executor()
        self._thread = threading.Thread(target=self._run, name="langchain-darkai-servers", daemon=True)
        self._thread.start()

    def submit(self, main: Coroutine[Any, Any, None]) -> "Future[None]":
        """Run a coroutine to its end; whoever submits it calls `release` when it is over.

        Raises RuntimeError in the loop's own thread, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            main.close()
            raise RuntimeError(
                "A LocalServer cannot be started by asynchronous code that runs behind another: all share one event "
                "loop. Use `async with LocalServer()`."
            )
        with self._lock:
            self._users += 1
        return asyncio.run_coroutine_threadsafe(main, self._loop)

    def release(self) -> None:
        """Let the threads end, if nobody uses them any more, and wait a moment for that."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            executor = self._executor
            self._renew_executor()
        shut_down_threads(executor)

    def end(self) -> None:
        """Close the loop, or leave it to itself where a model goes on."""
        self._is_ending = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_EXIT_SECONDS)

    def _renew_executor(self) -> None:
        self._executor = ThreadPoolExecutor(MAX_BLOCKING_CALLS, thread_name_prefix="langchain-darkai-model")
        self._loop.set_default_executor(self._executor)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._is_ending:
            # A model that raises SystemExit or KeyboardInterrupt stops the loop. Its request gets the error, too.
            with suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()
        with suppress(SystemExit, KeyboardInterrupt):
            for task in (tasks := asyncio.all_tasks(self._loop)):
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()


def shut_down_threads(executor: ThreadPoolExecutor) -> None:
    """Let the threads of an executor end, and wait a moment for those that run."""
    executor.shutdown(wait=False, cancel_futures=True)
    waiter = threading.Thread(target=executor.shutdown, daemon=True)
    waiter.start()
    waiter.join(_THREAD_SECONDS)


_lock = threading.Lock()
_shared: SharedLoop | None = None
_of_parent: list[SharedLoop | None] = []


def shared_loop() -> SharedLoop:
    """Return the loop of this process, started with the first call."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = SharedLoop()
            atexit.register(_end)
        return _shared


def _end() -> None:
    global _shared
    shared, _shared = _shared, None
    if shared is not None:
        shared.end()


def _start_anew() -> None:
    """Forget the loop in a forked child, which has no thread for it.

    The object is kept, so that it is not collected: that would close sockets which the parent still uses.
    """
    global _shared, _lock
    _of_parent.append(_shared)
    _shared, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
