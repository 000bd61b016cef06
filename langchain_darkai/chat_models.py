"""ChatDarkAI, LangChain's face of a DarkAI chat API.

It decides nothing by itself. Down: messages and keyword arguments become a `GenerationRequest`. Up: `ReaskLoop` asks,
reads and judges replies, and `_generation.messages` makes LangChain's messages and chunks of them. The synchronous
methods run the asynchronous ones on a background loop.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from operator import itemgetter
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast, overload

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.callbacks.manager import BaseRunManager
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableAssign, RunnableParallel
from langchain_core.tools import BaseTool
from typing_extensions import Self, TypedDict

from langchain_darkai._generation.child_run import child_callbacks
from langchain_darkai._generation.loop import ReaskLoop
from langchain_darkai._generation.loop_methods import LoopMethods
from langchain_darkai._generation.messages import (
    FIRST_CALL_INDEX_V1,
    PROVIDER,
    add_llm_outputs,
    chunk_of,
    estimate_tokens,
    last_chunk,
    llm_output_of,
    message_of,
)
from langchain_darkai._generation.request import (
    CALL_ARGUMENTS,
    CALL_PARAMETERS,
    build_request,
    load_parsers,
    requirements_from,
)
from langchain_darkai._structured_output.method import Method
from langchain_darkai._validation import refuse_unknown
from langchain_darkai.client import DarkAI
from langchain_darkai.prompts import format_prompt
from langchain_darkai.transport import Transport

__all__ = ["ChatDarkAI", "RawAndParsed"]

M = TypeVar("M")
_Tools: TypeAlias = Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool]


class RawAndParsed(TypedDict, Generic[M]):
    """What `with_structured_output(..., include_raw=True)` returns: a result, or the error for which there is none."""

    raw: AIMessage
    parsed: M | None
    parsing_error: Exception | None


# Context windows that the models' makers publish, in tokens.
_MAX_INPUT_TOKENS = {"gpt-4o": 128_000, "gpt-3.5-turbo": 16_385, "llama-3-70b": 8_192}


class ChatDarkAI(LoopMethods):
    """A LangChain chat model over the DarkAI chat API.

    Works without any setting: the model is `llama-3-70b`, the endpoint the hosted service. All durations are in
    seconds. A setting that cannot work, and an argument that does not exist, is refused with a ValueError at
    construction. Failures of a call are DarkAIErrors, which are the matching errors of langchain_core.

    `model`, `temperature`, `max_tokens`, `stop`, `timeout`, `max_retries` and `model_kwargs` can also be given with a
    call, or by `bind`.

    Example:
        >>> from langchain_darkai.server import LocalServer
        >>> with LocalServer() as server:
        ...     model = ChatDarkAI(model="llama-3-70b", base_url=server.url)
        ...     reply = model.invoke("Hello")
        >>> reply.response_metadata["model_name"]
        'llama-3-70b'
    """

    @classmethod
    def over(cls, model: BaseChatModel, /, **settings: Any) -> Self:
        """Return a ChatDarkAI over any LangChain chat model in the same process: no HTTP, no server.

        A model that has no tools gets them, with agents and validated structured answers: they are asked for in the
        prompt, read from the reply, and asked for again where it is wrong. A model that has tools or JSON schemas of
        its own uses those; `native` says so. `settings` are those of the class; `model` is the name in the metadata, by
        default that of the model. Settings of the endpoint, such as `base_url`, mean nothing here.

        The model within runs as a child run, with callbacks and usage of its own. What it raises becomes the matching
        DarkAIError, with the original as its cause. The result pickles and dumps where the model does.

        Raises TypeError for something that is not a chat model, and ValueError for settings that cannot work.

        Example:
            >>> from langchain_core.language_models import FakeListChatModel
            >>> text_only = FakeListChatModel(responses=['<tool_call>{"name": "now", "arguments": {}}</tool_call>'])
            >>> def now() -> str:
            ...     "Tell the time."
            ...     return "noon"
            >>> reply = ChatDarkAI.over(text_only).bind_tools([now]).invoke("What time is it?")
            >>> reply.tool_calls[0]["name"]
            'now'
        """
        if not isinstance(model, BaseChatModel):
            raise TypeError(f"model is a {type(model).__name__}; give a LangChain chat model.")
        from langchain_darkai._gateway.model_transport import name_of_model

        defaults = {"model": name_of_model(model), "base_url": None, "api_key": None, "proxy": None}
        return cls(**{**defaults, **settings, "within": model})

    def _own_transport(self) -> Transport | None:
        if self.within is None:
            return self.transport
        from langchain_darkai._gateway.model_transport import ModelTransport

        return ModelTransport(self.within, self.native)

    @property
    def _llm_type(self) -> str:
        return "darkai-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model", "temperature", "max_tokens", "stop", "model_kwargs")
        return {"base_url": self._client.host, **{name: getattr(self, name) for name in names}}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=cast("list[str]", self.stop) if stop is None else stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        # What tracers are shown of a call. `ls_structured_output_format` shows the schema of an answer already.
        kwargs.pop("output_format", None)
        return super()._get_invocation_params(stop=stop, **kwargs)

    def _resolve_model_profile(self) -> ModelProfile | None:
        profile = ModelProfile(
            text_inputs=True,
            text_outputs=True,
            image_inputs=False,
            image_url_inputs=False,
            pdf_inputs=False,
            audio_inputs=False,
            video_inputs=False,
            image_outputs=False,
            audio_outputs=False,
            video_outputs=False,
            reasoning_output=False,
            tool_calling=True,
            tool_choice=True,
            tool_call_streaming=True,
            structured_output=False,
        )
        within: Any = getattr(self.within, "profile", None) or {}
        window = within.get("max_input_tokens", _MAX_INPUT_TOKENS.get(DarkAI.get_model(self.model)))
        return profile if window is None else {**profile, "max_input_tokens": window}

    def get_num_tokens(self, text: str) -> int:
        """Return about how many tokens a text has, offline; exact where `custom_get_token_ids` is set."""
        return len(self.custom_get_token_ids(text)) if self.custom_get_token_ids else estimate_tokens(text)

    def get_num_tokens_from_messages(
        self,
        messages: list[BaseMessage],
        tools: _Tools | None = None,
    ) -> int:
        """Return about how many tokens the prompt for these messages has, labels and tools included; 0 for none."""
        instructions = requirements_from({"tools": tools}).instructions
        if not messages:
            return self.get_num_tokens(instructions)
        prompt = format_prompt(messages, instructions=instructions, on_unsupported=self.on_unsupported)
        return self.get_num_tokens(prompt)

    def bind_tools(
        self,
        tools: _Tools,
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with tools that it can call.

        `tools` are LangChain tools, functions, Pydantic or TypedDict classes, or dicts. `tool_choice` is "auto" (None
        means it, too), "none", "any" (or "required", or True), a tool's name, or OpenAI's dict of one; a forced call is
        verified, and asked for again. `parallel_tool_calls=False` takes one call, the first. Schemas are always offered
        whole, so `strict` changes nothing. Other keywords are bound as they are.

        Raises DarkAIInvalidRequestError, a ValueError, for something that is not a tool, and for a tool_choice that
        names none of the tools.

        Example:
            >>> def add(a: int, b: int) -> int:
            ...     "Add two numbers."
            ...     return a + b
            >>> from langchain_darkai.server import LocalServer
            >>> with LocalServer() as server:
            ...     reply = ChatDarkAI(base_url=server.url).bind_tools([add]).invoke("Add 2 and 3.")
            >>> reply.tool_calls[0]["args"]
            {'a': 2, 'b': 3}
        """
        from langchain_darkai._tool_calls.tools import parse_tool_choice, tool_from

        offered = [tool_from(tool) for tool in tools]
        parse_tool_choice(tool_choice, offered)
        refuse_unknown(kwargs, (*CALL_ARGUMENTS, "stop", "ls_structured_output_format"), "bind_tools")
        given = {"tool_choice": tool_choice, "parallel_tool_calls": parallel_tool_calls}
        kwargs.update({name: value for name, value in given.items() if value is not None})
        return self.bind(tools=[tool.as_openai() for tool in offered], **kwargs)

    @overload
    def with_structured_output(
        self,
        schema: type[M],
        *,
        include_raw: Literal[False] = False,
        method: Method = ...,
        strict: bool | None = None,
        tools: _Tools | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, M]: ...

    @overload
    def with_structured_output(
        self,
        schema: type[M],
        *,
        include_raw: Literal[True],
        method: Method = ...,
        strict: bool | None = None,
        tools: _Tools | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, RawAndParsed[M]]: ...

    @overload
    def with_structured_output(
        self,
        schema: dict[str, Any],
        *,
        include_raw: Literal[False] = False,
        method: Method = ...,
        strict: bool | None = None,
        tools: _Tools | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...

    @overload
    def with_structured_output(
        self,
        schema: dict[str, Any],
        *,
        include_raw: Literal[True],
        method: Method = ...,
        strict: bool | None = None,
        tools: _Tools | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, RawAndParsed[dict[str, Any]]]: ...

    @overload
    def with_structured_output(
        self,
        schema: Any,
        *,
        include_raw: bool = False,
        method: Method = ...,
        strict: bool | None = None,
        tools: _Tools | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]: ...

    def with_structured_output(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        schema: Any,
        *,
        include_raw: bool = False,
        method: Method = "json_schema",
        strict: bool | None = None,
        tools: _Tools | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable that answers with values of a schema.

        `schema` is a Pydantic model, a dataclass, a TypedDict, any other type that Pydantic validates (`list[Person]`,
        `A | B`), or a dict with a JSON Schema. `method` says how the answer is asked for: "json_schema" shows the
        schema, "function_calling" offers it as a tool's arguments, "json_mode" leaves describing it to your prompt.
        The answer is always validated. `strict=True` converts nothing on the way. With `include_raw` the result is a
        dict of `raw`, `parsed` and `parsing_error`.

        `tools` are offered beside the answer. A reply that calls them has its calls in `raw`, and `parsed` is None;
        without `include_raw` it is an error. Other keywords are those of a call, such as `temperature` and `stop`.

        An answer that is not valid goes back to the model `max_reasks` times; after that the runnable raises
        OutputParserException with the text, which `include_raw` puts into `parsing_error`. Streaming a dict or a
        TypedDict yields it as it grows, the last item validated.

        Raises DarkAIInvalidRequestError, a ValueError, for something that is not a schema, method, tool or keyword.

        Example:
            >>> from pydantic import BaseModel
            >>> class Person(BaseModel):
            ...     name: str
            ...     age: int
            >>> from langchain_darkai.server import LocalServer
            >>> with LocalServer() as server:
            ...     model = ChatDarkAI(base_url=server.url).with_structured_output(Person)
            ...     person = model.invoke("Alice is 30 years old.")
            >>> person
            Person(name='Alice', age=30)
        """
        from langchain_darkai._structured_output.output_format import output_format
        from langchain_darkai._structured_output.output_parser import StructuredOutputParser
        from langchain_darkai._tool_calls.tools import tool_from

        refuse_unknown(kwargs, (*CALL_PARAMETERS, "stop"), "with_structured_output")
        output = output_format(schema, method=method, strict=strict)
        if tools:
            kwargs["tools"] = [tool_from(tool).as_openai() for tool in tools]
        requirements_from({**kwargs, "output_format": output})  # refuses at once what no call could do
        traced = {"kwargs": {"method": method, "strict": strict}, "schema": output.traced_schema}
        model: Runnable[LanguageModelInput, AIMessage] = self.bind(
            output_format=output, ls_structured_output_format=traced, **kwargs
        )
        parser = StructuredOutputParser(output=output, passes_calls=include_raw)
        if not include_raw:
            return model | parser
        # Not `RunnablePassthrough.assign`, whose generic class cannot be pickled.
        parsed = RunnableAssign(RunnableParallel(parsed=itemgetter("raw") | parser, parsing_error=_nothing))
        failed = RunnableAssign(RunnableParallel(parsed=_nothing))
        return RunnableParallel(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await load_parsers(self, kwargs)
        result = await self._loop(messages, stop, kwargs, run_manager, may_restart=True).complete()
        generation = ChatGeneration(message=message_of(result))
        return ChatResult(generations=[generation], llm_output=llm_output_of(result))

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return add_llm_outputs(llm_outputs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        await load_parsers(self, kwargs)
        loop = self._loop(messages, stop, kwargs, run_manager, may_restart=False)
        async with aclosing(loop.parts()) as parts:
            async for part in parts:
                yield chunk_of(part)
        yield last_chunk(loop.result)

    def _loop(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        arguments: dict[str, Any],
        run_manager: BaseRunManager | None,
        *,
        may_restart: bool,
    ) -> ReaskLoop:
        callbacks = child_callbacks(run_manager) if self.within is not None else None
        request = build_request(
            self, self._client, messages, stop, arguments, may_restart=may_restart, callbacks=callbacks
        )
        first_call_index = FIRST_CALL_INDEX_V1 if self.output_version == "v1" else 0
        return ReaskLoop(self._client, request, self.get_num_tokens, first_call_index=first_call_index)


def _nothing(_: Any) -> None:
    """Return None: a function with a name, which a pickle can refer to."""
