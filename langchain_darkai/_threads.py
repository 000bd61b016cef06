"""Threads, locks and queues of Python itself, also where gevent has put its own in their place.

`gevent.monkey.patch_all()` makes a program's threads greenlets, which take turns on one thread. asyncio has one running
loop a thread, so a loop of ours in a greenlet would take that place from the program. Our loop gets a thread of its
own there, too, and a greenlet that waits for it lets the others go on. gevent may come before this package, or after.
"""

import asyncio
import collections
import contextlib
import contextvars
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from queue import Empty
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")

WAIT_STEP = 1.0
"""Seconds of one step of a wait. Python does not see a signal, such as Ctrl+C, that comes in the moment before a wait
begins; it sees it after the step. And gevent ends a program in which no greenlet waits for a time, since it does not
know that another thread can end the wait."""


def _original(module: str, name: str) -> Any:
    monkey = sys.modules.get("gevent.monkey")
    return monkey.get_original(module, name) if monkey else getattr(import_module(module), name)


NativeQueue: Any = _original("queue", "SimpleQueue")
native_lock: Callable[[], Any] = _original("_thread", "allocate_lock")
thread_ident: Callable[[], int] = _original("_thread", "get_ident")
_start_new_thread: Callable[..., int] = _original("_thread", "start_new_thread")


def are_greenlets() -> bool:
    """Return whether what Python calls threads now are gevent's greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def start_thread(name: str, function: Callable[..., object], *arguments: object) -> None:
    """Run a function in a daemon thread of the system's. Raise RuntimeError where the interpreter is exiting."""
    if are_greenlets():
        _start_new_thread(function, arguments)
    else:
        threading.Thread(target=function, args=arguments, name=name, daemon=True).start()


class GreenletExecutor(ThreadPoolExecutor):
    """The executor of a loop in a program with greenlets, for look-ups of names, which gevent makes cooperative.

    A look-up is a greenlet of the loop's thread. Python would wait for a thread of its own executor when it exits, and
    cannot do so where that is a greenlet of another thread.
    """

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Start a call, and return its future."""
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*arguments, **named))
                except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it
                    future.set_exception(error)

        sys.modules["gevent"].spawn(run)
        return future


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Return the result of a function that blocks, while the event loop goes on.

    It gets a thread of its own: those of the loop's executor may all be busy waiting for this very call. Nobody waits
    for the thread of a call that is cancelled, not even Python when it exits.
    """
    if not threading.main_thread().is_alive():
        return function(*arguments)  # the interpreter is exiting, and starts no threads any more
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[T | None, BaseException | None]] = loop.create_future()

    def run() -> None:
        outcome: tuple[T | None, BaseException | None]
        try:
            outcome = function(*arguments), None
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(_settle, future, outcome)

    start_thread("langchain-darkai-work", contextvars.copy_context().run, run)
    result, error = await future
    if error is not None:
        raise error
    return cast("T", result)


def _settle(future: asyncio.Future[Any], outcome: object) -> None:
    if not future.done():  # it may have been cancelled
        future.set_result(outcome)


class LazyImport:
    """Imports modules with the first call that needs them, in a thread, while the event loop goes on.

    The calls of a loop share one thread. With a thread for each call, gevent's locks, which Python's import uses where
    gevent has patched it, can keep some of the threads waiting for many seconds.
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._modules: list[ModuleType] = []
        self._tasks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[list[ModuleType]]]
        self._tasks = weakref.WeakKeyDictionary()

    def __bool__(self) -> bool:
        """Return whether the modules have been imported."""
        return bool(self._modules)

    async def modules(self) -> list[ModuleType]:
        """Return the modules."""
        if not self._modules:  # not `in sys.modules`: another thread may be in the middle of the import
            loop = asyncio.get_running_loop()
            task = self._tasks.get(loop)
            if task is None or task.done():  # done without modules: the import failed, and may succeed now
                task = self._tasks[loop] = loop.create_task(in_thread(self._import))
            self._modules = await asyncio.shield(task)
        return self._modules

    def _import(self) -> list[ModuleType]:
        return [import_module(name) for name in self._names]


class Mailbox(Protocol):
    """Takes items from any thread, and gives them out to the one that has made it."""

    def put(self, item: Any) -> None:
        """Add an item."""
        ...

    def get(self) -> Any:
        """Return the next item; wait for it where there is none."""
        ...


def mailbox() -> Mailbox:
    """Return a new mailbox. Where its thread has greenlets, only one of them waits for an item, not all."""
    return _GreenletMailbox() if are_greenlets() else _ThreadMailbox()


class _ThreadMailbox:
    def __init__(self) -> None:
        queue = NativeQueue()
        self.put = queue.put
        self._get = queue.get

    def get(self) -> Any:
        while True:
            with contextlib.suppress(Empty):
                return self._get(timeout=WAIT_STEP)


class _GreenletMailbox:
    def __init__(self) -> None:
        self._items: collections.deque[Any] = collections.deque()
        self._loop = sys.modules["gevent"].get_hub().loop
        self._has_come = sys.modules["gevent.event"].Event()

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._loop.run_callback_threadsafe(self._has_come.set)

    def get(self) -> Any:
        while not self._items:
            self._has_come.wait(WAIT_STEP)
            self._has_come.clear()
        return self._items.popleft()
