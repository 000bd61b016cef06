"""What ChatDarkAI runs on an event loop: its synchronous methods on the background loop, and batches on any.

LangChain's own `batch` gives each call a thread, and there are only a handful of them.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, cast

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables.config import RunnableConfig, get_config_list

from langchain_darkai import _portal
from langchain_darkai._generation.batch import DEFAULT_CONCURRENCY, as_completed
from langchain_darkai._generation.child_run import ParentRuns


class LoopMethods(ParentRuns):
    """The synchronous methods and the batches of a chat model whose `_agenerate` and `_astream` do the work."""

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _portal.run(self._agenerate(messages, stop, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        stream = cast("Callable[..., AsyncGenerator[ChatGenerationChunk, None]]", self._astream)
        return _portal.iterate(partial(stream, messages, stop, **kwargs))

    def batch(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Return the replies to several inputs, in order, asked for 64 at a time, or as the limits of `abatch` say.

        As `abatch`, on one event loop: a call waits on a socket, so it needs no thread of its own. Where `invoke` or a
        method that it goes through is overridden or patched, each call goes by it, as in LangChain's own `batch`.
        """
        if self._has_own_invoke():
            each = list(config) if isinstance(config, Sequence) else config
            return super().batch(list(inputs), each, return_exceptions=return_exceptions, **kwargs)
        return _portal.run(self.abatch(inputs, config, return_exceptions=return_exceptions, **kwargs))

    async def abatch(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Return the replies to several inputs, in order.

        As many are asked for at once as the config's `max_concurrency` says, else the model's, else 64. The first
        failure is raised and ends the other calls; with `return_exceptions` it stands in its reply's place.
        """
        replies: list[Any] = [None] * len(inputs)
        ask = self.abatch_as_completed(inputs, config, return_exceptions=return_exceptions, **kwargs)
        async for place, reply in ask:
            replies[place] = reply
        return replies

    def batch_as_completed(  # type: ignore[override]
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, AIMessage | Exception]]:
        """Yield the place and the reply of each input, as the replies come; like `batch`, on one event loop."""
        if self._has_own_invoke():
            plain: Any = super().batch_as_completed  # its overloads leave no place for a plain bool
            return cast(
                "Iterator[tuple[int, AIMessage | Exception]]",
                plain(inputs, config, return_exceptions=return_exceptions, **kwargs),
            )
        return _portal.iterate(
            partial(self.abatch_as_completed, inputs, config, return_exceptions=return_exceptions, **kwargs)
        )

    async def abatch_as_completed(  # type: ignore[override]
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncGenerator[tuple[int, AIMessage | Exception], None]:
        """Yield the place and the reply of each input, as the replies come; leaving it ends the calls still going."""
        if not inputs:
            return
        configs = get_config_list(cast("Any", config), len(inputs))
        results = as_completed(
            lambda number: self.ainvoke(inputs[number], configs[number], **kwargs),
            len(inputs),
            limit=configs[0].get("max_concurrency") or self.max_concurrency or DEFAULT_CONCURRENCY,
            return_exceptions=return_exceptions,
        )
        async with aclosing(results):
            async for result in results:
                yield result

    def _has_own_invoke(self) -> bool:
        """Return whether a subclass or a patch has replaced what only a call by `invoke` goes through, or by `ainvoke`.

        Where the model is the plain one, both lead to `_agenerate` or `_astream`.
        """
        return any(getattr(type(self), name) is not method for name, method in _PLAIN.items())


_PLAIN: dict[str, Any] = {
    name: getattr(LoopMethods, name)
    for name in (
        *("invoke", "generate", "generate_prompt", "_generate_with_cache", "_generate", "_stream"),
        *("ainvoke", "agenerate", "agenerate_prompt", "_agenerate_with_cache"),
    )
}
"""The methods between a call and the model's own two, as they are when nobody has replaced them."""
