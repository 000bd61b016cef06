"""The transport without a socket: a call is answered by a LangChain chat model in the same process."""

import asyncio
from contextlib import aclosing
from typing import Any

from langchain_core.exceptions import ModelError
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig

from langchain_darkai._gateway.asked import asked_of
from langchain_darkai._gateway.binding import check_native
from langchain_darkai._gateway.gateway import answer
from langchain_darkai._settings import Native
from langchain_darkai.errors import DarkAIAPIError, DarkAIEmptyResponseError, DarkAIError, DarkAITimeoutError
from langchain_darkai.prompts import parse_prompt
from langchain_darkai.protocol import StreamEnd, encode_error, reported_error
from langchain_darkai.transport import ApiCall, ReplyEvents

NOT_STREAMED_BY_LANGGRAPH = "nostream"
"""LangGraph's tag for a model whose tokens are not part of its stream of messages: those of the model around it are."""

_TOO_LATE = "The call's timeout ran out before the model's reply was whole; raise timeout, or ask for less."


class ModelTransport:
    """Answers calls with a chat model, with what they ask for bound to it, as `native` says.

    `name` stands for it in messages. Raises ValueError for a `native` that cannot work.
    """

    def __init__(self, model: BaseChatModel, native: Native = "auto") -> None:
        self._model = model
        self._native: Native = check_native(model, native)
        self.name: str = f"{type(model).__name__} (in this process)"

    async def stream(self, call: ApiCall, deadline: float | None) -> ReplyEvents:
        """Yield the reply's text and thoughts as they come, then its `StreamEnd`.

        Raises a DarkAIError, which has what the model raised as its cause.
        """
        texts: list[str] = []
        try:
            async with aclosing(self._reply(call)) as reply, aclosing(_until(deadline, reply)) as events:
                async for event in events:
                    if isinstance(event, str):
                        texts.append(event)
                    elif isinstance(event, StreamEnd):
                        self._check_end(call, event, has_text=bool(texts))
                    yield event
        except DarkAIError as error:
            error.partial_text = "".join(texts)
            raise
        except Exception as error:
            raise self._error_of(error, "".join(texts)) from error

    async def aclose(self) -> None:
        """Do nothing: the model's connections are its own."""

    def _reply(self, call: ApiCall) -> ReplyEvents:
        return answer(
            self._model,
            asked_of(parse_prompt(call.query)),
            {"stop": list(call.stop), **call.parameters},
            native=self._native,
            config=RunnableConfig(callbacks=call.callbacks, tags=[NOT_STREAMED_BY_LANGGRAPH]),
            is_whole=call.is_whole,
        )

    def _check_end(self, call: ApiCall, end: StreamEnd, *, has_text: bool) -> None:
        if not (has_text or call.may_be_empty(end)):
            raise DarkAIEmptyResponseError(
                f"{self.name} gave a reply without any text. Ask again, or set allow_empty=True where nothing is an "
                "answer."
            )

    def _error_of(self, error: Exception, partial_text: str) -> DarkAIError:
        """Return an error of the model as the local server would report it."""
        if isinstance(error, ModelError):
            report = reported_error(encode_error(error), self.name)
            return report.kind(
                f"{report.message}.",
                status=report.status,
                retry_after=report.retry_after,
                partial_text=partial_text,
            )
        if isinstance(error, TimeoutError | asyncio.TimeoutError):
            return DarkAITimeoutError(f"{self.name} took too long. Ask again.", partial_text=partial_text)
        failure = DarkAIAPIError(
            f"{self.name} failed with {type(error).__name__}. Look at the error that caused this one.",
            partial_text=partial_text,
        )
        failure.is_retryable = False  # a fault in the model's own code, as far as anybody can tell
        return failure


async def _until(deadline: float | None, events: ReplyEvents) -> ReplyEvents:
    """Yield events, and raise DarkAITimeoutError where the next one does not come before a time of the loop's clock.

    The time runs on while the caller has an event, but ends the call only when it waits for the next one.
    """
    timer = _Timer(deadline)
    try:
        while True:
            try:
                timer.wait()
                event = await anext(events)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                timer.raise_if_over()
                raise
            timer.raise_if_over()  # the model may go on although it was cancelled
            yield event
    finally:
        timer.stop()


class _Timer:
    """Cancels the waiting task at a time of the loop's clock; None for never."""

    def __init__(self, deadline: float | None) -> None:
        self._is_over = False
        self._task: asyncio.Task[Any] | None = None
        self._handle = None if deadline is None else asyncio.get_running_loop().call_at(deadline, self._fire)

    def _fire(self) -> None:
        self._is_over = True
        if self._task is not None:
            self._task.cancel()

    def wait(self) -> None:
        """Let the running task be the one that waits. Raises DarkAITimeoutError where the time is up."""
        if self._is_over:
            self._task = None
            self.raise_if_over()
        self._task = asyncio.current_task()

    def raise_if_over(self) -> None:
        """Let no task wait. Raises DarkAITimeoutError where the time is up, and nobody else has cancelled the task."""
        task, self._task = self._task, None
        uncancel = getattr(task, "uncancel", None)  # from Python 3.11 on
        if self._is_over and (uncancel is None or uncancel() == 0):
            raise DarkAITimeoutError(_TOO_LATE)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


def name_of_model(model: BaseChatModel) -> str:
    """Return the name of a model, or of its class where it has none."""
    names = (getattr(model, name, None) for name in ("model_name", "model", "model_id"))
    return next((name for name in names if isinstance(name, str) and name.strip()), type(model).__name__)
