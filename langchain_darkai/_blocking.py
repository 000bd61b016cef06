"""Running the asynchronous code from synchronous code, on one event loop in a thread of its own.

A synchronous call never touches the caller's event loop, so it works inside a running one (a notebook) and in a thread
that has none. The thread starts with the first call and ends with the process, which it does not keep from ending.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


class _Raised(NamedTuple):
    error: BaseException


_END = object()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the coroutine's result; what ends the wait, a keyboard interrupt say, cancels the coroutine."""
    if threading.current_thread() is _thread:
        return _run_elsewhere(coroutine)
    future = asyncio.run_coroutine_threadsafe(coroutine, _background_loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


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

    if threading.current_thread() is _thread:
        _run_elsewhere(pump())
        pumping = None
    else:
        pumping = asyncio.run_coroutine_threadsafe(pump(), _background_loop())
    try:
        while (item := items.get()) is not _END:
            if isinstance(item, _Raised):
                raise item.error
            yield item
    finally:
        if pumping is not None:
            pumping.cancel()


def _run_elsewhere(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run in a thread of its own: a synchronous call from within the background loop must not wait for that loop."""
    result: Future[T] = Future()

    def target() -> None:
        try:
            result.set_result(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
            result.set_exception(error)

    threading.Thread(target=target, name="langchain-darkai-nested", daemon=True).start()
    return result.result()


def _background_loop() -> asyncio.AbstractEventLoop:
    global _loop, _thread
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            _loop.set_debug(False)  # PYTHONDEVMODE is about the caller's loops
            _thread = threading.Thread(target=_serve, args=(_loop,), name="langchain-darkai", daemon=True)
            _thread.start()
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
    """End the loop and, with it, its connections; a later call starts another."""
    global _loop, _thread
    with _lock:
        loop, thread = _loop, _thread
        _loop = _thread = None
    if loop is not None and thread is not None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=2)


def _forget() -> None:
    """In a forked child the thread does not exist; its loop is left alone, since it shares the parent's sockets."""
    global _loop, _thread, _lock
    _abandoned.append(_loop)
    _loop = _thread = None
    _lock = threading.Lock()


_abandoned: list[object] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
