"""Models that are asked in order, until one answers.

LangChain's `with_fallbacks` makes a Runnable, which is no chat model. It tells errors by their classes alone, and takes
the first chunk for the beginning of an answer; that of most providers is empty.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, NamedTuple, NoReturn, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import Field

from langchain_darkai.errors import DarkAIAPIError, DarkAIError
from langchain_darkai.protocol import ReasoningText
from langchain_darkai.server.backend_errors import error_of_backend, is_temporary, needs_a_hand, sentence_for_log

__all__ = ["FallbackChatModel", "first_answer"]

T = TypeVar("T")

_logger = logging.getLogger("langchain_darkai.server")


class FallbackChatModel(BaseChatModel):
    """A chat model that asks its `models` in their order, until one answers.

    The next one is asked after a connection error, a rate limit (429) or a failure of the server (5xx), as long as the
    one before has sent no text and no tool call. Thoughts that it has sent stay sent. Any other error is raised. If all
    fail, the last error names each.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> models = {"big": FakeListChatModel(responses=["Hello"]), "small": FakeListChatModel(responses=["Hi"])}
        >>> FallbackChatModel(name="chat", models=models).invoke("Hello?").text
        'Hello'
    """

    models: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Chat models by name, or what `bind_tools` makes of them."""

    def _resolve_model_profile(self) -> ModelProfile:
        return {"tool_calling": all(map(_calls_tools, self.models.values()))}

    @property
    def _llm_type(self) -> str:
        return "darkai-fallback"

    def with_each(self, change: Callable[[Any], Any]) -> "FallbackChatModel":
        """Return a copy whose models are changed."""
        return self.model_copy(update={"models": {name: change(model) for name, model in self.models.items()}})

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "FallbackChatModel":
        """Return a copy whose models have the tools, each as its provider wants them."""
        return self.with_each(lambda model: model.bind_tools(tools, **kwargs))

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        """Return a Runnable over what `with_structured_output` of each model returns."""
        return _Fallbacks(
            self.name, {name: model.with_structured_output(schema, **kwargs) for name, model in self.models.items()}
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = self.fallbacks().invoke(messages, **_given(stop, kwargs))
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = await self.fallbacks().ainvoke(messages, **_given(stop, kwargs))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self.fallbacks().stream(messages, **_given(stop, kwargs)):
            yield _generation(chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        stream = self.fallbacks().astream(messages, **_given(stop, kwargs))
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                yield _generation(chunk)

    def fallbacks(self) -> "_Fallbacks":
        """Return the models as what tries them in order."""
        return _Fallbacks(self.name, self.models)


def first_answer(model: BaseChatModel, ask: Callable[[Any], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    """Return what `ask` yields for a model; for a FallbackChatModel, for the first of its models that answers.

    So each of them is asked in its own way, with the parameters and the prompt that suit it.
    """
    return model.fallbacks().atry_each(ask) if isinstance(model, FallbackChatModel) else ask(model)


class _Fallbacks(Runnable[Any, Any]):
    """Runnables that are tried in order; what they return may be messages or anything else."""

    def __init__(self, name: str | None, runnables: Mapping[str, Runnable[Any, Any]]) -> None:
        self.name = name
        self._runnables = runnables

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        def ask(runnable: Runnable[Any, Any]) -> Iterator[Any]:
            yield runnable.invoke(input, config, **kwargs)

        return next(self.try_each(ask))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        async def ask(runnable: Runnable[Any, Any]) -> AsyncGenerator[Any]:
            yield await runnable.ainvoke(input, config, **kwargs)

        async with aclosing(self.atry_each(ask)) as answers:
            return await anext(answers)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002
        def ask(runnable: Runnable[Any, Any]) -> Iterator[Any]:
            return runnable.stream(input, config, **kwargs)

        return self.try_each(ask)

    def astream(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[Any]:
        def ask(runnable: Runnable[Any, Any]) -> AsyncIterator[Any]:
            return runnable.astream(input, config, **kwargs)

        return self.atry_each(ask)

    def try_each(self, ask: Callable[[Runnable[Any, Any]], Iterator[Any]]) -> Iterator[Any]:
        """Yield what `ask` yields for the first runnable that answers."""
        failures: list[_Failure] = []
        for name, runnable in self._runnables.items():
            beginning = _Beginning()
            try:
                with closing(cast("Generator[Any]", ask(runnable))) as chunks:
                    for chunk in chunks:
                        yield from beginning.with_held(chunk)
            except Exception as error:  # noqa: BLE001 - it is raised there, or another one is asked
                self._next_after(error, name, failures, is_final=beginning.is_over)
            else:
                yield from beginning.held
                return

    async def atry_each(self, ask: Callable[[Runnable[Any, Any]], AsyncIterator[Any]]) -> AsyncGenerator[Any]:
        """Yield what `ask` yields for the first runnable that answers."""
        failures: list[_Failure] = []
        for name, runnable in self._runnables.items():
            beginning = _Beginning()
            try:
                async with aclosing(_with_held(beginning, ask(runnable))) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except Exception as error:  # noqa: BLE001 - it is raised there, or another one is asked
                self._next_after(error, name, failures, is_final=beginning.is_over)
            else:
                for ready in beginning.held:
                    yield ready
                return

    def _next_after(self, error: Exception, name: str, failures: "list[_Failure]", *, is_final: bool) -> None:
        """Return where another model is to be asked after an error; raise an error where none is."""
        model = _model_in(self._runnables[name])
        failure = _Failure(error_of_backend(error, name, model), sentence_for_log(error, name, model))
        if is_final or not is_temporary(error):
            _raise(failure, error)
        failures.append(failure)
        ahead = list(self._runnables)[len(failures) :]
        if not ahead:
            _raise(self._all_failed(failures), error)
        _logger.warning("%s The next one is asked: %r.", failure.logged, ahead[0])

    def _all_failed(self, failures: "list[_Failure]") -> "_Failure":
        last = failures[-1].told
        waits = [wait for one in failures if (wait := getattr(one.told, "retry_after", None)) is not None]
        start = f"No backend of {self.name!r} answered."
        told = (type(last) if isinstance(last, DarkAIError) else DarkAIAPIError)(
            f"{start} {' '.join(str(one.told) for one in failures)}",
            status=getattr(last, "status", None),
            retry_after=min(waits, default=None),
        )
        return _Failure(told, f"{start} {' '.join(one.logged for one in failures)}")


class _Failure(NamedTuple):
    """The error that a caller is told, and what of it the log is told."""

    told: Exception
    logged: str


def _raise(failure: _Failure, error: Exception) -> NoReturn:
    if failure.told is error:
        raise error
    if needs_a_hand(failure.told):
        _logger.warning("%s", failure.logged)
    raise failure.told from error


async def _with_held(beginning: "_Beginning", chunks: AsyncIterator[Any]) -> AsyncGenerator[Any]:
    async with aclosing(cast("AsyncGenerator[Any]", chunks)) as open_chunks:
        async for chunk in open_chunks:
            for ready in beginning.with_held(chunk):
                yield ready


class _Beginning:
    """The beginning of an answer: chunks that say nothing are held until one says something, and come with it.

    Thoughts go through. The beginning `is_over` with the first chunk of the answer itself.
    """

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.is_over = False

    def with_held(self, chunk: Any) -> list[Any]:
        """Return what may go on, a chunk with those before it; nothing where it is held."""
        self.held.append(chunk)
        self.is_over = self.is_over or _answers(chunk)
        if not (self.is_over or _thinks(chunk)):
            return []
        ready, self.held = self.held, []
        return ready


def _answers(chunk: Any) -> bool:
    """Return whether a chunk is more than thoughts, or nothing."""
    message = _message_in(chunk)
    if not isinstance(message, AIMessage):
        return not isinstance(chunk, ReasoningText)
    calls = message.tool_call_chunks if isinstance(message, AIMessageChunk) else message.tool_calls
    beside = message.additional_kwargs.keys() - {"reasoning_content"}
    return bool(message.text or calls or beside or any(not _is_thought(block) for block in _blocks_of(message)))


def _thinks(chunk: Any) -> bool:
    message = _message_in(chunk)
    if not isinstance(message, AIMessage):
        return isinstance(chunk, ReasoningText)
    return bool(message.additional_kwargs or _blocks_of(message))


def _message_in(chunk: Any) -> Any:
    return chunk.get("raw") if isinstance(chunk, dict) else chunk  # of with_structured_output(include_raw=True)


def _blocks_of(message: AIMessage) -> list[Any]:
    """Return the blocks of a message that has such, but for empty texts."""
    blocks = message.content if isinstance(message.content, list) else []
    return [block for block in blocks if not (isinstance(block, dict) and block.get("text") == "")]


def _is_thought(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") in {"reasoning", "thinking", "redacted_thinking"}


def _calls_tools(model: Any) -> bool:
    own = isinstance(model, BaseChatModel) and type(model).bind_tools is not BaseChatModel.bind_tools
    return own and (model.profile or {}).get("tool_calling") is not False


def _model_in(runnable: Any) -> Any:
    """Return the chat model in what `bind_tools` and `with_structured_output` make of it."""
    while (inner := getattr(runnable, "bound", None) or getattr(runnable, "first", None)) is not None:
        runnable = inner
    return runnable


def _generation(message: Any) -> ChatGenerationChunk:
    if not isinstance(message, AIMessageChunk):  # of a model that does not stream
        message = AIMessageChunk(**message.model_dump(exclude={"type"}), chunk_position="last")
    return ChatGenerationChunk(message=message)


def _given(stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    return kwargs if stop is None else {**kwargs, "stop": stop}
