"""A portal from synchronous code to asynchronous code: one event loop in a background thread.

A synchronous call never touches the caller's event loop. So it works inside a running loop (a notebook) and in a thread
that has none. The thread starts with the first call. It is a daemon thread: the process can exit while it runs.
"""

import asyncio
import atexit
import contextlib
import contextvars
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

WAIT_STEP = 1.0
"""Seconds of one step of a wait, after which Python handles signals that it has missed."""

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_is_exiting = False
_CANCELLED = (asyncio.CancelledError, CancelledError)


class _Raised(NamedTuple):
    error: BaseException


_END = object()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the coroutine's result. An exception that ends the wait, such as KeyboardInterrupt, cancels it."""
    future = _submit(coroutine)
    try:
        return future.result()
    except BaseException as error:
        future.cancel()
        _wait_for_exit(error)
        raise


def run_if_started(function: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run a coroutine function on the background loop, if the loop has been started."""
    if _loop is not None:
        run(function())


def iterate(source: Callable[[], AsyncGenerator[T, None]]) -> Iterator[T]:
    """Yield what an asynchronous generator yields; closing the iterator closes the generator.

    The generator runs on while the consumer works, so a burst crosses the threads once, not once an item.
    """
    items: SimpleQueue[Any] = SimpleQueue()

    async def pump() -> None:
        generator = source()
        try:
            async for item in generator:
                items.put(item)
            items.put(_END)
        except BaseException as error:
            items.put(_Raised(error))
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            await generator.aclose()

    pumping = _submit(pump())
    try:
        while (item := _next_item(items)) is not _END:
            if isinstance(item, _Raised):
                _wait_for_exit(item.error)
                raise item.error
            yield item
    finally:
        pumping.cancel()


def _next_item(items: "SimpleQueue[Any]") -> Any:
    """Return the next item of a queue, waiting for it in steps.

    Python does not see a signal, such as Ctrl+C, that comes in the moment before a wait begins. It sees it after the
    step.
    """
    while True:
        with contextlib.suppress(Empty):
            return items.get(timeout=WAIT_STEP)


def _wait_for_exit(error: BaseException) -> None:
    """Stop the calling thread here where it is a daemon and its call was cancelled because the process exits.

    Otherwise the thread would die of the error and print a traceback during the exit. test_portal.py runs such a
    process and looks at its output.
    """
    if _is_exiting and threading.current_thread().daemon and isinstance(error, _CANCELLED):
        threading.Event().wait()


def _submit(coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
    """Start a coroutine on the background loop and return its future.

    A call from the background thread itself (a callback or a tool that calls a model) would wait for itself. It runs in
    a new thread with a loop of its own; so does a call in a process that is exiting and has no background loop.
    """
    done: Future[T] = Future()
    if threading.current_thread() is _thread:
        run = contextvars.copy_context().run
        nested = threading.Thread(target=run, args=(_run_here, coroutine, done), name="langchain-darkai-nested")
        nested.start()
        nested.join()
        return done
    loop = _background_loop()
    if loop is None:
        _run_here(coroutine, done)
        return done
    return asyncio.run_coroutine_threadsafe(coroutine, loop)


def _run_here(coroutine: Coroutine[Any, Any, T], done: "Future[T]") -> None:
    try:
        done.set_result(asyncio.run(coroutine))
    except BaseException as error:  # noqa: BLE001 - `done.result()` raises it
        done.set_exception(error)


def _background_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop, started with the first call.

    None where its thread cannot be started: from Python 3.12 on, an interpreter that is exiting starts no threads.
    """
    global _loop, _thread
    with _lock:
        if _loop is None:
            loop = asyncio.new_event_loop()
            loop.set_debug(False)  # PYTHONDEVMODE is meant for the caller's loops
            thread = threading.Thread(target=_serve, args=(loop,), name="langchain-darkai", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                loop.close()
                return None
            _loop, _thread = loop, thread
        return _loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        for task in (tasks := asyncio.all_tasks(loop)):
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


@atexit.register
def _stop() -> None:
    """Stop the loop at exit, which closes its connections. A later call starts another loop."""
    global _loop, _thread, _is_exiting
    with _lock:
        loop, thread = _loop, _thread
        _loop = _thread = None
        _is_exiting = True
    if loop is not None and thread is not None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=2)


def _reset_after_fork() -> None:
    """Start anew in a forked child, which has no background thread.

    The parent's loop object is kept, so that it is not collected: closing it would close sockets that both share.
    """
    global _loop, _thread, _lock
    _abandoned.append(_loop)
    _loop = _thread = None
    _lock = threading.Lock()


_abandoned: list[object] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
