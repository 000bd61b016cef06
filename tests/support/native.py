"""Chat models that call tools and write JSON by themselves, as far as a test says, and keep what was bound to them."""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, message_chunk_to_message
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel

from tests.support.models import ScriptedModel


class TextModel(ScriptedModel):
    """As a scripted model, also where it is asked for a whole reply."""

    async def _agenerate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        whole: Any = AIMessageChunk(content="")
        async for chunk in self._astream(messages, stop, None, **kwargs):
            whole = whole + chunk.message
        return ChatResult(generations=[ChatGeneration(message=message_chunk_to_message(whole))])

    def given(self, *names: str) -> list[Any]:
        """Return what was given with the last call, under these names; None for what was not."""
        return [self.record.given[-1].get(name) for name in names]

    @property
    def last_asked(self) -> list[tuple[str, str]]:
        """The type and the text of each message of the last call."""
        return self.asked[-1]


class NativeModel(TextModel):
    """A model with tools, whose choice can be forced, and with a way to write JSON of a schema."""

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: str | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        given = {"tool_choice": tool_choice, "parallel_tool_calls": parallel_tool_calls}
        kwargs.update({name: value for name, value in given.items() if value is not None})
        return self.bind(tools=list(tools), **kwargs)

    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, method: str = "json_schema", **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        assert include_raw
        return RunnableParallel(raw=self.bind(schema=schema, method=method)) | RunnableLambda(dict)


def call_chunk(args: str | None, name: str | None = None, index: int | None = 0, **members: Any) -> AIMessageChunk:
    """Return a piece of a call; the first one has its name, and an id."""
    call_id = members.pop("id", f"native_{index}" if name is not None else None)
    chunk = ToolCallChunk(name=name, args=args, id=call_id, index=index, type="tool_call_chunk")
    return AIMessageChunk(content="", tool_call_chunks=[chunk], **members)
