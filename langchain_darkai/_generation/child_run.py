"""The run of a model within a model's run: langchain_core makes callbacks for it in chains and tools only.

A model's own methods are told of its run where it replies as a whole, and of nothing where it streams. So the run's
callbacks are kept in a context variable while a call of `ChatDarkAI.over` begins.
"""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManager, AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.callbacks.manager import BaseRunManager
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from langchain_darkai._settings import ChatSettings

_callbacks: ContextVar[AsyncCallbackManager | None] = ContextVar("langchain_darkai_child_callbacks", default=None)


def child_callbacks(run: BaseRunManager | None) -> AsyncCallbackManager | None:
    """Return the callbacks for what runs within a run: those that it inherits on, with it as the parent.

    Where it is None, it is the run of the call that is beginning. None where nothing is known of that either.
    """
    kept = _callbacks.get()
    if run is None or (kept is not None and kept.parent_run_id == run.run_id):
        return kept
    return AsyncCallbackManager(
        handlers=[*run.inheritable_handlers],
        inheritable_handlers=[*run.inheritable_handlers],
        parent_run_id=run.run_id,
        tags=[*run.inheritable_tags],
        inheritable_tags=[*run.inheritable_tags],
        metadata={**run.inheritable_metadata},
        inheritable_metadata={**run.inheritable_metadata},
    )


class ParentRuns(ChatSettings):
    """The calls of a chat model that may have another within, whose runs they keep for it."""

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - as core names it
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Yield the reply to an input as it comes."""
        if self.within is None:
            return super().stream(input, config, **kwargs)
        config, callbacks = _as_parent(config)
        return self._stream_as_parent(super().stream(input, config, **kwargs), callbacks)

    def _stream_as_parent(
        self, chunks: Iterator[AIMessageChunk], callbacks: AsyncCallbackManager
    ) -> Iterator[AIMessageChunk]:
        token = _callbacks.set(callbacks)
        try:
            first = next(chunks, None)
        finally:
            _callbacks.reset(token)
        if first is not None:
            yield first
            yield from chunks

    def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - as core names it
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Yield the reply to an input as it comes."""
        if self.within is None:
            return super().astream(input, config, **kwargs)
        config, callbacks = _as_parent(config)
        chunks = cast("AsyncGenerator[AIMessageChunk, None]", super().astream(input, config, **kwargs))
        return self._astream_as_parent(chunks, callbacks)

    async def _astream_as_parent(
        self, chunks: AsyncGenerator[AIMessageChunk, None], callbacks: AsyncCallbackManager
    ) -> AsyncIterator[AIMessageChunk]:
        async with aclosing(chunks):
            token = _callbacks.set(callbacks)
            try:
                first = await anext(chunks, None)
            finally:
                _callbacks.reset(token)
            if first is not None:
                yield first
                async for chunk in chunks:
                    yield chunk

    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # Where callbacks want tokens, core streams from here on, and its `_stream` is told of no run.
        token = _callbacks.set(child_callbacks(run_manager) if self.within is not None else None)
        try:
            return super()._generate_with_cache(messages, stop, run_manager, **kwargs)
        finally:
            _callbacks.reset(token)

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        token = _callbacks.set(child_callbacks(run_manager) if self.within is not None else None)
        try:
            return await super()._agenerate_with_cache(messages, stop, run_manager, **kwargs)
        finally:
            _callbacks.reset(token)


def _as_parent(config: RunnableConfig | None) -> tuple[RunnableConfig, AsyncCallbackManager]:
    """Return a config whose run has an id already, and the callbacks for what runs within that run.

    Both have the same handlers: a tracer that core would make for each run knows nothing of the other run.
    """
    config = ensure_config(config)
    run_id = config.get("run_id") or uuid.uuid4()
    callbacks = AsyncCallbackManager.configure(
        config.get("callbacks"), inheritable_tags=config.get("tags"), inheritable_metadata=config.get("metadata")
    )
    child = callbacks.copy()
    child.parent_run_id = run_id
    return {**config, "run_id": run_id, "callbacks": callbacks}, child
