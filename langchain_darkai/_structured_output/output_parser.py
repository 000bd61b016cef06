"""The last step of `with_structured_output`: messages to results. Where the result is a dict, it grows as it comes."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCall
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import run_in_executor

from langchain_darkai._structured_output.extraction import MAX_JUDGED_AT_ONCE, AnswerScanner, InvalidAnswer, Judgement
from langchain_darkai._structured_output.output_format import OutputFormat

JUDGING_MIDDLEWARE = "tool_selection"
"""How LangChain's `LLMToolSelectorMiddleware` marks its calls, as their metadata's `lc_source`. It has an option for a
wrong answer, `on_parsing_failure`, and looks for one in what `with_structured_output` returns: an error would pass it
by and end the agent."""


class StructuredOutputParser(BaseTransformOutputParser[Any]):
    """Makes the result of a reply. Raises OutputParserException, with the reply's text, where there is none.

    With `passes_calls`, a reply that calls tools in place of an answer has the result None: the caller gets the reply,
    too. Without it that is an error, since the calls would be lost.
    """

    output: OutputFormat
    passes_calls: bool = False

    def invoke(self, input: str | BaseMessage, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Return the result of a reply; of one without a valid answer, its JSON, where the caller judges it itself."""
        try:
            return super().invoke(input, config, **kwargs)
        except OutputParserException as error:
            if not _is_judged_by_caller(config):
                raise
            return self._unchecked(error)

    async def ainvoke(
        self,
        input: str | BaseMessage,  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return what `invoke` does."""
        try:
            return await super().ainvoke(input, config, **kwargs)
        except OutputParserException as error:
            if not _is_judged_by_caller(config):
                raise
            return self._unchecked(error)

    def _unchecked(self, error: OutputParserException) -> Any:
        """Return the first JSON value in a reply without a valid answer; None where it has none."""
        scanner = self.output.scanner(check=False)
        scanner.feed(error.llm_output or "")
        try:
            return scanner.finish()[1]
        except InvalidAnswer:
            return None

    def parse(self, text: str) -> Any:
        """Return the result of a reply's text."""
        try:
            return self.output.read(text)[1]
        except InvalidAnswer as error:
            raise invalid_answer(error, text) from error

    def result_of(self, scanner: AnswerScanner, text: str) -> Any:
        """Return the result that a scanner found in a reply's text."""
        try:
            return scanner.finish()[1]
        except InvalidAnswer as error:
            raise invalid_answer(error, text) from error

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Return the result of a reply. `partial` is ignored."""
        generation = result[0]
        message = generation.message if isinstance(generation, ChatGeneration) else None
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        if self.output.method != "function_calling" or message is None:
            return self._of_calls(calls, generation.text) if calls else self.parse(generation.text)
        call = next((call for call in calls if call["name"] == self.output.name), None)
        if call is None:
            return self._of_calls(calls, generation.text)
        try:
            return self.output.result(call["args"])
        except InvalidAnswer as error:
            raise invalid_answer(error, str(call["args"])) from error

    def _of_calls(self, calls: list[ToolCall], text: str) -> None:
        """Return the result of a reply that does not answer, but calls these tools, or none."""
        if not calls:
            raise invalid_answer(InvalidAnswer(f"the reply does not call {self.output.name}"), text)
        if not self.passes_calls:
            names = ", ".join(call["name"] for call in calls)
            raise OutputParserException(
                f"The model called {names} in place of an answer. Pass include_raw=True to get its calls.",
                llm_output=text,
            )

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:  # noqa: A002 - core's name
        progress = _Progress(self)
        for chunk in input:
            for judge in progress.read(chunk):
                judge()
            yield from progress.partials()
        yield from progress.finish()

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:  # noqa: A002
        progress = _Progress(self)
        async for chunk in input:
            for judge in progress.read(chunk):
                await run_in_executor(None, judge)
            for partial in progress.partials():
                yield partial
        for result in await run_in_executor(None, progress.finish) if progress.is_long else progress.finish():
            yield result

    @property
    def _type(self) -> str:
        return "darkai_structured_output"


def _is_judged_by_caller(config: RunnableConfig | None) -> bool:
    return ((config or {}).get("metadata") or {}).get("lc_source") == JUDGING_MIDDLEWARE


_NOTHING = object()
"""What was yielded last where nothing was: an answer may be None."""


class _Progress:
    """One reply as it comes: its chunks, and what was yielded of its result."""

    def __init__(self, parser: StructuredOutputParser) -> None:
        self._parser = parser
        self._output = parser.output
        self._is_call = parser.output.method == "function_calling"
        self._begin()

    def _begin(self) -> None:
        self._chunks: list[AIMessageChunk] = []
        self._text: list[str] = []
        self._size = 0  # of that, in characters
        self._is_new = False
        self._scanner = self._output.scanner(check=not self._is_call)
        self._in_answer_call = False
        self._has_calls = False
        self._last: Any = _NOTHING

    def read(self, chunk: str | BaseMessage) -> Iterator[Judgement]:
        """Read a chunk, in the steps of an `AnswerScanner`."""
        if isinstance(chunk, AIMessageChunk):
            if chunk.response_metadata.get("reasks") == 0:
                self._begin()  # this chunk begins the reply of a model that was asked again
            self._chunks.append(chunk)
            text = self._arguments_in(chunk) if self._is_call else chunk.text
            self._has_calls = self._has_calls or bool(chunk.tool_call_chunks)
        elif isinstance(chunk, BaseMessage):
            self._chunks.append(AIMessageChunk(content=chunk.content, tool_calls=getattr(chunk, "tool_calls", [])))
            text = chunk.text
        else:
            text = chunk
        self._text.append(text)
        self._size += len(text)
        self._is_new = bool(self._output.has_partials and text)
        if self._is_new:
            yield from self._scanner.steps(text)

    @property
    def is_long(self) -> bool:
        """Whether it may take long to judge the reply."""
        return self._size > MAX_JUDGED_AT_ONCE

    def partials(self) -> Iterator[Any]:
        """Yield the answer as far as it has come, if the last chunk has added to it."""
        if self._is_new:
            partial = self._scanner.partial()
            if partial is not None and partial is not self._last and partial != self._last:
                self._last = partial
                yield partial

    def _arguments_in(self, chunk: AIMessageChunk) -> str:
        """Return the piece of the answer in a chunk, where the answer is a call's arguments."""
        texts: list[str] = []
        for call in chunk.tool_call_chunks:
            if call["name"]:
                self._in_answer_call = call["name"] == self._output.name
            if self._in_answer_call:
                texts.append(call["args"] or "")
        return "".join(texts)

    def finish(self) -> list[Any]:
        """Return the result, in a list, which is empty if it is the last of the partial ones."""
        if not self._chunks and not self._text:
            return []
        if self._chunks and (self._is_call or self._has_calls):
            first, *others = self._chunks
            merged = first.__add__(others) if others else first
            result = self._parser.parse_result([ChatGeneration(message=merged)])
        elif self._output.has_partials and not self._is_call:
            result = self._parser.result_of(self._scanner, "".join(self._text))
        else:
            result = self._parser.parse("".join(self._text))
        return [result] if result != self._last or not self._output.has_partials else []


def invalid_answer(error: InvalidAnswer, text: str) -> OutputParserException:
    """Return the error for a reply without a valid answer. It holds the reply's text."""
    return OutputParserException(f"The model's answer does not fit its schema: {error}", llm_output=text)
