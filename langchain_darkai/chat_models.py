"""ChatDarkAI, LangChain's face of a DarkAI chat API.

Down: messages, tools and schema -> `prompts.format_prompt` -> one query -> `client.DarkAI`. Up: text as it comes ->
stop sequences -> `tool_calls.ReplyParser` -> chunks or one message, then the metadata that LangChain wants, once. A
reply that is not what was asked for goes back to the model with the reason. The synchronous methods run the
asynchronous ones.
"""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload
from urllib.parse import urlsplit, urlunsplit

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.runnables.config import RunnableConfig, get_config_list
from langchain_core.utils.utils import from_env, secret_from_env
from pydantic import ConfigDict, Field, SecretStr, field_serializer, field_validator, model_validator
from typing_extensions import Self, TypedDict

from langchain_darkai import _portal
from langchain_darkai._generation.reply import Reply, ReplyRequirements, Request, read_whole
from langchain_darkai._generation.tokens import estimate_tokens
from langchain_darkai._version import __version__
from langchain_darkai.client import DarkAI, TimeBudget, check_count, refuse_unknown
from langchain_darkai.errors import DarkAIInvalidRequestError, DarkAIToolChoiceError
from langchain_darkai.prompts import format_prompt
from langchain_darkai.protocol import Usage

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from langchain_darkai._structured_output.output_format import Method
    from langchain_darkai._tool_calls.output import ToolCallDelta

M = TypeVar("M")


class RawAndParsed(TypedDict, Generic[M]):
    """What `with_structured_output(..., include_raw=True)` returns: a result, or the error for which there is none."""

    raw: AIMessage
    parsed: M | None
    parsing_error: Exception | None


PROVIDER = "darkai"

# Context windows that the models' makers publish, in tokens.
_MAX_INPUT_TOKENS = {"gpt-4o": 128_000, "gpt-3.5-turbo": 16_385, "llama-3-70b": 8_192}

_FIRST_CALL_INDEX = 1000
"""Where the indices of streamed tool calls begin; langchain_core merges low ones with blocks of text."""

_CALL_ARGUMENTS = (
    *("model", "temperature", "max_tokens", "timeout", "max_retries", "max_reasks", "model_kwargs", "stream"),
    *("tools", "tool_choice", "parallel_tool_calls", "response_format", "output_format", "strict"),
)


class ChatDarkAI(BaseChatModel):
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

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, protected_namespaces=())

    model: str = DarkAI.default_model
    """The model's name; aliases are resolved, names that are not known are sent as they are."""

    base_url: str | None = Field(default_factory=from_env("DARKAI_BASE_URL", default=None))
    """Where the API is. None is the hosted service. From `DARKAI_BASE_URL` where it is not given."""

    api_key: SecretStr | str | None = Field(default_factory=secret_from_env("DARKAI_API_KEY", default=None))
    """Sent as a bearer token; None for none. From `DARKAI_API_KEY` where it is not given."""

    temperature: float | None = None
    """Sent in the request where it is set; what a server does with it is its own affair."""

    max_tokens: int | None = Field(default=None, gt=0)
    """Sent in the request where it is set; what a server does with it is its own affair."""

    stop: list[str] | str | None = None
    """Sequences before which a reply ends, enforced here; a call's own sequences are used instead."""

    timeout: float | None = 600.0
    """Seconds for a whole call, its retries included; None for no limit."""

    stream_chunk_timeout: float | None = 120.0
    """The longest gap, in seconds, between events with content; None for no limit."""

    max_retries: int = 2
    """Further requests after one that failed in a way that may pass; a stream is not retried once text came."""

    max_reasks: int = 1
    """How often the model is asked again for a tool call or an answer that it got wrong."""

    max_concurrency: int | None = None
    """Requests at once by this object, over all threads and loops; None for no limit. Waiting for a place counts
    towards no timeout. A copy, and what `configurable_fields` makes for each call, has places of its own."""

    proxy: str | None = Field(default_factory=from_env("DARKAI_PROXY", default=None), repr=False, exclude=True)
    """An http(s) proxy URL. From `DARKAI_PROXY` where it is not given; None leaves it to HTTP(S)_PROXY and NO_PROXY."""

    default_headers: Mapping[str, str] | None = Field(default=None, repr=False, exclude=True)
    """Headers sent with each request, over the package's own. Never serialized."""

    verify: bool | str | os.PathLike[str] | ssl.SSLContext = Field(default=True, repr=False, exclude=True)
    """TLS verification: True, False, a CA file or folder, or a context, with which the model cannot be pickled."""

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further members of the request's JSON body."""

    streaming: bool = False
    """Whether `invoke` streams, too, for callbacks that wait for tokens. False given explicitly turns `stream` off."""

    chunk_per_event: bool = False
    """Whether each text event becomes a chunk of its own; otherwise what one network read brings is one chunk."""

    allow_empty: bool = False
    """Whether a complete reply without any content is an answer; otherwise it is retried, then an error."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_arguments(cls, values: Any) -> Any:
        if isinstance(values, dict):
            refuse_unknown(values, tuple(cls.model_fields), "ChatDarkAI")
        return values

    @field_validator("api_key", mode="after")
    @classmethod
    def _hide_api_key(cls, value: SecretStr | str | None) -> SecretStr | None:
        return SecretStr(value) if isinstance(value, str) else value

    @field_validator("model", mode="after")
    @classmethod
    def _check_model(cls, value: str) -> str:
        return _checked_model(value)

    @field_validator("stop", mode="after")
    @classmethod
    def _check_stop(cls, value: list[str] | str | None) -> list[str] | None:
        return None if value is None else list(_checked_stop(value))

    @field_validator("model_kwargs", mode="after")
    @classmethod
    def _check_model_kwargs(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _checked_model_kwargs(value)

    @model_validator(mode="after")
    def _record_darkai_version(self) -> Self:
        self._add_version("langchain-darkai", __version__)
        return self

    @model_validator(mode="after")
    def _check_client_settings(self) -> Self:
        # The last validator, since an assignment drops the client; made late, two threads could make two.
        _ = self._client
        check_count("max_reasks", self.max_reasks)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, SecretStr(value) if name == "api_key" and isinstance(value, str) else value)
        self._drop_caches()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, with `update`'s values where it is given."""
        copied = super().model_copy(deep=deep)
        copied._drop_caches()
        for name, value in (update or {}).items():
            setattr(copied, name, value)
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        memo = {} if memo is None else memo
        if isinstance(self.verify, ssl.SSLContext):
            memo[id(self.verify)] = self.verify  # a TLS context cannot be copied
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {
            **state,
            "__dict__": {k: v for k, v in state["__dict__"].items() if k not in ("_client", "_serialized")},
        }

    def _drop_caches(self) -> None:
        """Drop what is derived from the fields: the client, and core's serialization, which is the cache's key."""
        for name in ("_client", "_serialized"):
            vars(self).pop(name, None)

    @cached_property
    def _client(self) -> DarkAI:
        key = self.api_key.get_secret_value() if isinstance(self.api_key, SecretStr) else self.api_key
        return DarkAI(
            base_url=self.base_url or "",  # not None, for which the client would look at the environment again
            api_key=key or "",
            proxy=self.proxy or "",
            timeout=self.timeout,
            max_retries=self.max_retries,
            stream_chunk_timeout=self.stream_chunk_timeout,
            default_headers=self.default_headers,
            verify=self.verify,
            max_concurrency=self.max_concurrency,
        )

    async def aclose(self) -> None:
        """Close the running loop's connections; not needed, since they end with their loop. The model stays usable."""
        await self._client.aclose()

    def close(self) -> None:
        """Close the connections of the synchronous calls; not needed, since they end with the process."""
        self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _llm_type(self) -> str:
        return "darkai-chat"

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The constructor's secrets, and the environment variables that hold them when a model is loaded."""
        return {"api_key": "DARKAI_API_KEY"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """What a dump says instead of a field: the base URL without user, password and query."""
        return {"base_url": _without_credentials(self.base_url)} if self.base_url else {}

    @field_serializer("base_url")
    def _dump_base_url(self, value: str | None) -> str | None:
        return value and _without_credentials(value)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, _without_credentials(value) if name == "base_url" and value else value

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: a model can be dumped and loaded, its key by reference only."""
        return True

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model", "temperature", "max_tokens", "stop", "model_kwargs")
        return {"base_url": self._client.host, **{name: getattr(self, name) for name in names}}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=cast("list[str]", self.stop) if stop is None else stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

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
        window = _MAX_INPUT_TOKENS.get(DarkAI.get_model(self.model))
        return profile if window is None else {**profile, "max_input_tokens": window}

    def get_num_tokens(self, text: str) -> int:
        """Return about how many tokens a text has, offline; exact where `custom_get_token_ids` is set."""
        return len(self.custom_get_token_ids(text)) if self.custom_get_token_ids else estimate_tokens(text)

    def get_num_tokens_from_messages(
        self,
        messages: list[BaseMessage],
        tools: "Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None" = None,
    ) -> int:
        """Return about how many tokens the prompt for these messages has, labels and tools included."""
        return self.get_num_tokens(
            format_prompt(messages, instructions=_requirements_from({"tools": tools}).instructions)
        )

    def bind_tools(
        self,
        tools: "Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool]",
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

        Raises DarkAIInvalidRequestError, a ValueError, for what is no tool, and for the name of one that is not there.

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
        refuse_unknown(kwargs, (*_CALL_ARGUMENTS, "stop", "ls_structured_output_format"), "bind_tools")
        given = {"tool_choice": tool_choice, "parallel_tool_calls": parallel_tool_calls}
        kwargs.update({name: value for name, value in given.items() if value is not None})
        return self.bind(tools=[tool.as_openai() for tool in offered], **kwargs)

    @overload  # type: ignore[override]
    def with_structured_output(
        self,
        schema: type[M],
        *,
        include_raw: Literal[False] = False,
        method: "Method" = ...,
        strict: bool | None = None,
    ) -> Runnable[LanguageModelInput, M]: ...

    @overload
    def with_structured_output(
        self, schema: type[M], *, include_raw: Literal[True], method: "Method" = ..., strict: bool | None = None
    ) -> Runnable[LanguageModelInput, RawAndParsed[M]]: ...

    @overload
    def with_structured_output(
        self,
        schema: dict[str, Any],
        *,
        include_raw: Literal[False] = False,
        method: "Method" = ...,
        strict: bool | None = None,
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...

    @overload
    def with_structured_output(
        self, schema: dict[str, Any], *, include_raw: Literal[True], method: "Method" = ..., strict: bool | None = None
    ) -> Runnable[LanguageModelInput, RawAndParsed[dict[str, Any]]]: ...

    @overload
    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, method: "Method" = ..., strict: bool | None = None
    ) -> Runnable[LanguageModelInput, Any]: ...

    def with_structured_output(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        schema: Any,
        *,
        include_raw: bool = False,
        method: "Method" = "json_schema",
        strict: bool | None = None,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable that answers with values of a schema.

        `schema` is a Pydantic model, a dataclass, a TypedDict, any other type that Pydantic validates (`list[Person]`,
        `A | B`), or a dict with a JSON Schema. `method` says how the answer is asked for: "json_schema" shows the
        schema, "function_calling" offers it as a tool's arguments, "json_mode" leaves describing it to your prompt.
        The answer is always validated. `strict=True` converts nothing on the way. With `include_raw` the result is a
        dict of `raw`, `parsed` and `parsing_error`.

        An answer that is not valid goes back to the model `max_reasks` times; after that the runnable raises
        OutputParserException with the text, which `include_raw` puts into `parsing_error`. Streaming a dict or a
        TypedDict yields it as it grows, the last item validated.

        Raises DarkAIInvalidRequestError, a ValueError, for what is no schema or method.

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
        from langchain_darkai._structured_output.output_format import output_format, traced_schema
        from langchain_darkai._structured_output.output_parser import StructuredOutputParser

        output = output_format(schema, method=method, strict=strict)
        traced = {"kwargs": {"method": method, "strict": strict}, "schema": traced_schema(schema, output)}
        model: Runnable[LanguageModelInput, AIMessage]
        if method == "function_calling":
            model = self.bind(
                tools=[output.tool.as_openai()],
                tool_choice=output.name,
                parallel_tool_calls=False,
                output_format=output,
                ls_structured_output_format=traced,
            )
        else:
            model = self.bind(output_format=output, ls_structured_output_format=traced)
        parser = StructuredOutputParser(output=output)
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        usage: UsageMetadata | None = None
        estimated = False
        asked = 0
        while True:
            reply = await self._client.read(request.call, partial(read_whole, request), request.limit)
            usage, estimated = self._add_usage(reply, usage, estimated)
            problem = reply.problem()
            if problem is None or not request.can_reask(asked):
                break
            asked += 1
            request = request.again("".join(reply.text), problem)
        self._raise_for_missing_call(reply, problem, asked)
        content = reply.json_text() if reply.is_json_content else reply.content
        message = AIMessage(
            content=content,
            response_metadata={**self._closing(reply, estimated), **({"reasks": asked} if asked else {})},
            usage_metadata=usage,
            tool_calls=[
                tool_call(name=call.name or "", args=json.loads(call.arguments), id=call.id)
                for call in reply.calls
                if call.reason is None
            ],
            invalid_tool_calls=[
                invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=call.reason)
                for call in reply.calls
                if call.reason is not None
            ],
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        request = self._request(messages, stop, kwargs)
        usage: UsageMetadata | None = None
        estimated = False
        first_index = _FIRST_CALL_INDEX
        said = False
        asked = 0
        while True:
            reply = Reply(request)
            # Text that may turn out not to be the answer waits for the calls, or for the end.
            waits = request.asked.forces_call or request.asked.content_must_be_json or said
            waiting: list[str] = []
            events = self._client.stream(request.call, request.limit)
            try:
                async for parts in reply.parts(events):
                    for part in parts:
                        if not isinstance(part, str):
                            if waiting and not said:
                                yield _chunk(AIMessageChunk(content="".join(waiting)))
                            waiting = []
                            yield _chunk(_call_chunk(part, first_index))
                        elif waits and not (reply.calls and not said):
                            waiting.append(part)
                        else:
                            said = True
                            yield _chunk(AIMessageChunk(content=part))
            finally:
                await events.aclose()
            usage, estimated = self._add_usage(reply, usage, estimated)
            problem = reply.problem()
            if problem is None or not request.can_reask(asked):
                break
            asked += 1
            first_index += len(reply.calls)
            yield _chunk(AIMessageChunk(content="", response_metadata={"reasks": 1}))
            request = request.again("".join(reply.text), problem)
        self._raise_for_missing_call(reply, problem, asked)
        rest = reply.json_text() if reply.is_json_content else "".join(waiting)
        if rest and not (said and reply.calls):
            yield _chunk(AIMessageChunk(content=f"\n\n{rest}" if said else rest))
        yield _chunk(
            AIMessageChunk(
                content="",
                response_metadata=self._closing(reply, estimated),
                usage_metadata=usage,
                chunk_position="last",
            )
        )

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
        return _portal.iterate(partial(self._astream, messages, stop, **kwargs))

    def batch(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Return the replies to several inputs, in order, asked for at once.

        As `abatch`, on one event loop: a call waits on a socket, so it needs no thread of its own.
        """
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

        They are asked for at once, or as many at a time as the config's `max_concurrency` says. The first failure is
        raised and ends the other calls; with `return_exceptions` it stands in its reply's place.
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
        gate = asyncio.Semaphore(configs[0].get("max_concurrency") or len(inputs))

        async def one(place: int) -> tuple[int, AIMessage | Exception]:
            async with gate:
                try:
                    return place, await self.ainvoke(inputs[place], configs[place], **kwargs)
                except Exception as error:
                    if not return_exceptions:
                        raise
                    return place, error

        tasks = [asyncio.ensure_future(one(place)) for place in range(len(inputs))]
        try:
            for reply in asyncio.as_completed(tasks):
                yield await reply
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _request(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> Request:
        refuse_unknown(kwargs, _CALL_ARGUMENTS, "A call of ChatDarkAI")
        own = {**self._sampling_parameters(vars(self)), **self.model_kwargs}
        unset = {name for name, value in kwargs.items() if value is None}  # a call can do without the model's value
        parameters = {name: value for name, value in own.items() if name not in unset}
        parameters.update(self._sampling_parameters(kwargs))
        new_call = partial(
            self._client.call,
            model=_checked_model(self.model if kwargs.get("model") is None else kwargs["model"]),
            parameters={**parameters, **_checked_model_kwargs(kwargs.get("model_kwargs") or {})},
            timeout=kwargs.get("timeout", ...),
            max_retries=kwargs.get("max_retries"),
            per_event=self.chunk_per_event,
            allow_empty=self.allow_empty,
            before_retry=partial(self.rate_limiter.aacquire, blocking=True) if self.rate_limiter else None,
        )
        asked = _requirements_from(kwargs)
        call = new_call(format_prompt(messages, instructions=asked.instructions))
        sequences = self.stop if stop is None else stop
        reasks = kwargs.get("max_reasks")
        return Request(
            messages=messages,
            call=call,
            new_call=new_call,
            limit=TimeBudget(call.timeout),
            asked=asked,
            stop=_checked_stop(sequences or ()),
            reasks=self.max_reasks if reasks is None else check_count("max_reasks", reasks),
        )

    @staticmethod
    def _sampling_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request parameters that are arguments of their own, where they are set."""
        names = ("temperature", "max_tokens")
        parameters = {name: values[name] for name in names if values.get(name) is not None}
        if not isinstance(parameters.get("temperature", 0.0), int | float):
            raise DarkAIInvalidRequestError(f"temperature={parameters['temperature']!r} is not a number.")
        if "max_tokens" in parameters:
            check_count("max_tokens", parameters["max_tokens"], least=1)
        return parameters

    def _add_usage(self, reply: Reply, before: UsageMetadata | None, estimated: bool) -> tuple[UsageMetadata, bool]:
        """Return the usage of all replies so far, the server's or else an estimate, and whether any is one."""
        usage = reply.usage
        if usage is None:
            sent, received = self.get_num_tokens(reply.request.call.query), self.get_num_tokens("".join(reply.text))
            usage = Usage(input_tokens=sent, output_tokens=received, total_tokens=sent + received)
        counted = UsageMetadata(
            input_tokens=usage["input_tokens"],
            output_tokens=usage["output_tokens"],
            total_tokens=usage["total_tokens"],
        )
        return (counted if before is None else add_usage(before, counted)), estimated or reply.usage is None

    def _closing(self, reply: Reply, estimated: bool) -> dict[str, Any]:
        """Return the response metadata of a finished reply."""
        return {
            "model_name": reply.request.call.model,
            "model_provider": PROVIDER,
            "finish_reason": "tool_calls" if any(call.reason is None for call in reply.calls) else "stop",
            **({"usage_source": "estimated"} if estimated else {}),
            # Merging chunks keeps the invalid calls, but not why they are invalid.
            **({"tool_call_errors": reasons} if (reasons := {c.id: c.reason for c in reply.calls if c.reason}) else {}),
        }

    def _raise_for_missing_call(self, reply: Reply, problem: str | None, asked_again: int) -> None:
        """Raise where the last reply must not pass for an answer; a structured one is left to its parser."""
        request, asked = reply.request, reply.request.asked
        is_structured = asked.output is not None and asked.output.method == "function_calling"
        if problem is None or reply.made or not asked.forces_call or is_structured:
            return
        wanted = f"the tool {asked.forced_tool!r}" if asked.forced_tool else "a tool"
        raise DarkAIToolChoiceError(
            f"{request.call.model} was to call {wanted} and did not, in {asked_again + 1} attempts. Raise "
            'max_reasks, or leave the choice to the model with tool_choice="auto".',
            partial_text=reply.content,
        )


def _chunk(message: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=message)


def _requirements_from(arguments: Mapping[str, Any]) -> ReplyRequirements:
    if not any(arguments.get(name) for name in ("tools", "tool_choice", "response_format", "output_format")):
        return ReplyRequirements()
    from langchain_darkai._generation.request import requirements_from

    return requirements_from(arguments)


def _call_chunk(piece: "ToolCallDelta", first_index: int) -> AIMessageChunk:
    chunk = tool_call_chunk(name=piece.name, args=piece.arguments, id=piece.id, index=first_index + piece.index)
    if piece.name is not None or piece.id is not None:
        return AIMessageChunk(content="", tool_call_chunks=[chunk])
    # Set later, so that core does not try to read a call in what is only the middle of one, in quadratic time.
    message = AIMessageChunk(content="")
    message.tool_call_chunks = [chunk]
    return message


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _checked_model(model: Any) -> str:
    if not isinstance(model, str) or not model.strip():
        raise DarkAIInvalidRequestError(f"model={model!r} names no model. Known ones: {', '.join(DarkAI.models)}.")
    return model


def _checked_stop(stop: Any) -> tuple[str, ...]:
    sequences = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, Iterable) else (stop,)
    if not all(isinstance(sequence, str) and sequence for sequence in sequences):
        raise DarkAIInvalidRequestError("stop is not a list of texts, each of one character or more.")
    return sequences


def _checked_model_kwargs(model_kwargs: Any) -> dict[str, Any]:
    if not isinstance(model_kwargs, Mapping):
        raise DarkAIInvalidRequestError(f"model_kwargs={model_kwargs!r} is not a dict of request parameters.")
    for name in ("query", "model"):
        if name in model_kwargs:
            raise DarkAIInvalidRequestError(f"model_kwargs cannot hold {name!r}, which the package fills itself.")
    return dict(model_kwargs)
