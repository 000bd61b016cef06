"""ChatDarkAI, LangChain's face of a DarkAI chat API.

It decides nothing by itself. Down: messages and keyword arguments become a `GenerationRequest`. Up: `ReaskLoop` asks,
reads and judges replies, and `_generation.messages` makes LangChain's messages and chunks of them. The synchronous
methods run the asynchronous ones on a background loop.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.callbacks.manager import BaseRunManager
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from typing_extensions import Self

from langchain_darkai._generation.child_run import child_callbacks
from langchain_darkai._generation.loop import ReaskLoop
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
    build_request,
    load_parsers,
    requirements_from,
)
from langchain_darkai._generation.structured_output import RawAndParsed, StructuredOutput, Tools
from langchain_darkai._validation import refuse_unknown
from langchain_darkai.client import DarkAI
from langchain_darkai.prompts import format_prompt
from langchain_darkai.transport import Transport

__all__ = ["ChatDarkAI", "RawAndParsed"]

# Context windows that the models' makers publish, in tokens.
_MAX_INPUT_TOKENS = {"gpt-4o": 128_000, "gpt-3.5-turbo": 16_385, "llama-3-70b": 8_192}


class ChatDarkAI(StructuredOutput, defer_build=False):
    """A LangChain chat model over the DarkAI chat API, which carries only text.

    Works without any setting: the model is `llama-3-70b`, the endpoint the hosted service. A setting that cannot work,
    and an argument that does not exist, is refused with a ValueError at construction. Failures of a call are
    DarkAIErrors, which are the matching errors of langchain_core.

    Setup:
        `pip install git+https://github.com/langchain-darkai/langchain-darkai`. There is no key to get. The endpoint is
        `base_url`, or the environment variable `DARKAI_BASE_URL`; this starts a local one, whose model is a set of
        rules. `ChatDarkAI.over` takes a model in this process instead.

        >>> from langchain_darkai.server import LocalServer
        >>> server = LocalServer().start()

    Key init args:
        All durations are in seconds. `model`, `temperature`, `max_tokens`, `stop`, `timeout`, `max_retries`,
        `reasoning` and `model_kwargs` can also be given with a call, or by `bind`. The fields of every LangChain chat
        model are there, too, such as `rate_limiter` and `cache`.

        - `model`, default `'llama-3-70b'`: The model's name.
        - `base_url`, default `DARKAI_BASE_URL`: Where the API is; None for the hosted service.
        - `api_key`, default `DARKAI_API_KEY`: Sent as a bearer token; None for no key.
        - `temperature`, default `None`: The sampling temperature; None sends none.
        - `max_tokens`, default `None`: The most tokens of a reply; None sends no limit.
        - `stop`, default `None`: A reply ends before the first of these texts, whatever the server does.
        - `timeout`, default `600.0`: Seconds for a whole call, retries included; None for no limit.
        - `stream_chunk_timeout`, default `120.0`: The idle timeout: the longest gap, in seconds, between events with
          content; None for no limit.
        - `max_reply_bytes`, default `67108864`: The most text of one reply, in bytes of UTF-8; a longer one is an
          error.
        - `max_retries`, default `2`: How often a request is retried after an error that may be temporary; a stream only
          before its first text.
        - `max_reasks`, default `1`: How often the model is asked again after a wrong tool call or an invalid structured
          answer.
        - `max_concurrency`, default `None`: How many requests this object makes at once, over all threads and loops;
          None for no limit.
        - `proxy`, default `DARKAI_PROXY`: An http(s) proxy URL; None for HTTP(S)_PROXY and NO_PROXY, which are never
          used for this machine.
        - `default_headers`, default `None`: Headers sent with each request.
        - `verify`, default `True`: TLS verification: True, False, a CA file or folder, or a context.
        - `transport`, default `None`: What sends the calls, for tests and for models that need no HTTP; None for HTTP.
        - `within`, default `None`: The model in the same process that answers, as `ChatDarkAI.over` sets it; None for
          the endpoint.
        - `native`, default `'auto'`: Which of tools and schemas the model within takes natively; it means nothing
          without one.
        - `reasoning`, default `None`: What becomes of thoughts, which models write in `<think>` and the like.
        - `model_kwargs`, default `{}`: Further members of the request's JSON body.
        - `streaming`, default `False`: Whether `invoke` streams, too, for callbacks that want tokens.
        - `chunk_per_event`, default `False`: Whether each text event is a chunk of its own.
        - `on_unsupported`, default `None`: What becomes of images, files and other blocks that are no text: "error"
          refuses them, "describe" puts a text in their place that names type, name and size.
        - `allow_empty`, default `False`: Whether a complete reply without any content is an answer.

    Instantiate:
        >>> from langchain_darkai import ChatDarkAI
        >>> model = ChatDarkAI(model="llama-3-70b", base_url=server.url, temperature=0.2, timeout=60)

    Invoke:
        `ainvoke`, `batch` and `abatch` take the same. A conversation is a list of messages.

        >>> reply = model.invoke([("system", "Be brief."), ("user", "Count from 1 to 5")])
        >>> reply.text
        '1, 2, 3, 4, 5'
        >>> reply.usage_metadata["output_tokens"], reply.response_metadata["finish_reason"]
        (9, 'stop')

    Stream:
        `astream` does the same, asynchronously.

        >>> "".join(chunk.text for chunk in model.stream("Count from 1 to 5"))
        '1, 2, 3, 4, 5'

    Tool calling:
        Tools are described in the prompt, and calls are read from the reply; `bind_tools` tells more.

        >>> def get_weather(city: str) -> str:
        ...     "Get the weather in a city."
        ...     return f"sunny in {city}"
        >>> reply = model.bind_tools([get_weather]).invoke("What is the weather in Paris?")
        >>> reply.tool_calls[0]["name"], reply.tool_calls[0]["args"]
        ('get_weather', {'city': 'Paris'})

    Structured output:
        The answer is validated, and asked for again where it is wrong; `with_structured_output` tells more.

        >>> from pydantic import BaseModel
        >>> class Person(BaseModel):
        ...     name: str
        ...     age: int
        >>> model.with_structured_output(Person).invoke("Alice is 30 years old.")
        Person(name='Alice', age=30)
        >>> server.stop()
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
        tools: Tools | None = None,
    ) -> int:
        """Return about how many tokens the prompt for these messages has, labels and tools included; 0 for none."""
        instructions = requirements_from({"tools": tools}).instructions
        if not messages:
            return self.get_num_tokens(instructions)
        prompt = format_prompt(messages, instructions=instructions, on_unsupported=self.on_unsupported)
        return self.get_num_tokens(prompt)

    def bind_tools(
        self,
        tools: Tools,
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
