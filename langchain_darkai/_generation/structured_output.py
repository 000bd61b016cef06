"""`with_structured_output` of ChatDarkAI: the model asked for values of a schema, and a parser behind it."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableAssign, RunnableParallel
from langchain_core.tools import BaseTool
from typing_extensions import TypedDict

from langchain_darkai._generation.loop_methods import LoopMethods
from langchain_darkai._generation.request import CALL_PARAMETERS, requirements_from
from langchain_darkai._structured_output.method import Method
from langchain_darkai._validation import refuse_unknown

M = TypeVar("M")

Tools: TypeAlias = Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool]
"""What `bind_tools` takes."""


class RawAndParsed(TypedDict, Generic[M]):
    """What `with_structured_output(..., include_raw=True)` returns: a result, or the error for which there is none."""

    raw: AIMessage
    parsed: M | None
    parsing_error: Exception | None


class StructuredOutput(LoopMethods):
    """A chat model that answers with values of a schema."""

    @overload
    def with_structured_output(
        self,
        schema: type[M],
        *,
        include_raw: Literal[False] = False,
        method: Method = ...,
        strict: bool | None = None,
        tools: Tools | None = None,
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
        tools: Tools | None = None,
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
        tools: Tools | None = None,
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
        tools: Tools | None = None,
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
        tools: Tools | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]: ...

    def with_structured_output(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        schema: Any,
        *,
        include_raw: bool = False,
        method: Method = "json_schema",
        strict: bool | None = None,
        tools: Tools | None = None,
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
            >>> from langchain_darkai import ChatDarkAI
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


def _nothing(_: Any) -> None:
    """Return None: a function with a name, which a pickle can refer to."""
