"""A portal from synchronous code to asynchronous code: one event loop in a background thread.

A synchronous call never touches the caller's event loop. So it works inside a running loop (a notebook) and in a thread
that has none. The thread starts with the first call. It is a daemon thread: the process can exit while it runs.
"""

import asyncio
import atexit
import contextlib
import contextvars
import os
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, NamedTuple, TypeVar

from langchain_darkai._threads import (
    GreenletExecutor,
    Mailbox,
    NativeQueue,
    are_greenlets,
    mailbox,
    native_lock,
    start_thread,
    thread_ident,
)

T = TypeVar("T")

STOP_TIMEOUT = 2.0
"""Seconds that the loop may take to close its connections when the process exits."""


class _Background(NamedTuple):
    """The loop, its thread, whether that was made for greenlets, and a queue that is told of the thread's end."""

    loop: asyncio.AbstractEventLoop
    thread: int
    is_for_greenlets: bool
    ended: Any


_lock = native_lock()
_background: _Background | None = None
_is_exiting = False
_CANCELLED = (asyncio.CancelledError, CancelledError)
_OUTCOMES = (asyncio.Future, Future)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the coroutine's result. An exception that ends the wait, such as KeyboardInterrupt, cancels it."""
    outcomes = mailbox()
    cancel = _submit(coroutine, outcomes)
    try:
        result: T = outcomes.get().result()
    except BaseException as error:
        cancel()
        _wait_for_exit(error)
        raise
    return result


def run_if_started(function: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run a coroutine function on the background loop, if the loop has been started."""
    if _background is not None:
        run(function())


def iterate(source: Callable[[], AsyncGenerator[T, None]]) -> Iterator[T]:
    """Yield what an asynchronous generator yields; closing the iterator closes the generator.

    The generator runs on while the consumer works, so a burst crosses the threads once, not once an item.
    """
    items = mailbox()

    async def pump() -> None:
        async with contextlib.aclosing(source()) as generator:
            async for item in generator:
                items.put(item)

    cancel = _submit(pump(), items)
    try:
        while not isinstance(item := items.get(), _OUTCOMES):
            yield item
        item.result()
    except BaseException as error:
        cancel()
        _wait_for_exit(error)
        raise


def _wait_for_exit(error: BaseException) -> None:
    """Stop the calling thread here where it is a daemon and its call was cancelled because the process exits.

    Otherwise the thread would die of the error and print a traceback during the exit. test_portal.py runs such a
    process and looks at its output.
    """
    if _is_exiting and threading.current_thread().daemon and isinstance(error, _CANCELLED):
        threading.Event().wait()


def _submit(coroutine: Coroutine[Any, Any, Any], outcomes: Mailbox) -> Callable[[], object]:
    """Start a coroutine on the background loop, and return a function that cancels it.

    When it is done, its task is put into the mailbox. A call from the background thread itself (a callback or a tool
    that calls a model) would wait for itself. It runs in a new thread with a loop of its own; so does, in its own
    thread, a call in a process that is exiting and has no background loop.
    """
    background = _started()
    if background is None:
        _run_here(coroutine, outcomes)
    elif background.thread == thread_ident():
        run = contextvars.copy_context().run
        start_thread("langchain-darkai-nested", run, _run_here, coroutine, outcomes)
    else:
        return _start_task(background.loop, coroutine, outcomes)
    return lambda: None


def _start_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], outcomes: Mailbox
) -> Callable[[], None]:
    tasks: list[asyncio.Task[Any]] = []

    def start() -> None:
        tasks.append(task := loop.create_task(coroutine))
        task.add_done_callback(finish)

    def finish(task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            task.exception()  # asyncio complains of an error that nobody has looked at, and the caller may have left
        outcomes.put(task)

    def stop() -> None:
        tasks[0].cancel()

    def cancel() -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(stop)

    loop.call_soon_threadsafe(start)
    return cancel


def _run_here(coroutine: Coroutine[Any, Any, Any], outcomes: Mailbox) -> None:
    outcome: Future[Any] = Future()
    try:
        outcome.set_result(asyncio.run(coroutine))
    except BaseException as error:  # noqa: BLE001 - `outcome.result()` raises it
        outcome.set_exception(error)
    outcomes.put(outcome)


def _started() -> _Background | None:
    """Return the loop, started with the first call.

    None where its thread cannot be started: from Python 3.12 on, an interpreter that is exiting starts no threads.
    """
    global _background
    with _lock:
        if _background is not None and _background.is_for_greenlets != are_greenlets():
            _abandoned.append(_background)  # its thread is none of gevent's; Python would stumble over its end
            _background = None
        if _background is None:
            started = NativeQueue()
            try:
                start_thread("langchain-darkai", _serve, started)
            except RuntimeError:
                return None
            background = started.get()
            if isinstance(background, OSError):
                raise background
            _background = background
        return _background


def _serve(started: Any) -> None:
    try:
        loop = asyncio.new_event_loop()
    except OSError as error:  # too many open files
        started.put(error)
        return
    loop.set_debug(False)  # PYTHONDEVMODE is meant for the caller's loops
    asyncio.set_event_loop(loop)
    if are_greenlets():
        loop.set_default_executor(GreenletExecutor())
    ended = NativeQueue()
    started.put(_Background(loop, thread_ident(), are_greenlets(), ended))
    try:
        loop.run_forever()
        for task in (tasks := asyncio.all_tasks(loop)):
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
        ended.put(None)


@atexit.register
def _stop() -> None:
    """Stop the loop at exit, which closes its connections. A later call starts another loop."""
    global _background, _is_exiting
    with _lock:
        background, _background = _background, None
        _is_exiting = True
    if background is not None:
        background.loop.call_soon_threadsafe(background.loop.stop)
        with contextlib.suppress(queue.Empty):
            background.ended.get(timeout=STOP_TIMEOUT)


def _reset_after_fork() -> None:
    """Start anew in a forked child, which has no background thread.

    The parent's loop object is kept, so that it is not collected: closing it would close sockets that both share.
    """
    global _background, _lock
    _abandoned.append(_background)
    _background = None
    _lock = native_lock()


_abandoned: list[object] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
