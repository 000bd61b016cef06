"""`OfflineChatModel`: a chat model of rules, for a machine with no network and no weights.

It reads what a client of this package writes into the system turn (tools between `<tools>` tags, a schema between
`<json_schema>` tags, and how to answer), and writes calls and JSON as text, in the way that it is asked to.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field

from langchain_darkai._tool_calls.tools import MUST_CALL, ONE_CALL
from langchain_darkai.offline.json_values import generate
from langchain_darkai.offline.small_talk import continuation, reply
from langchain_darkai.offline.text_values import MAX_READ, TextValues, topic_of, words_of
from langchain_darkai.offline.tool_planner import OfferedTool, PlannedCall, plan_calls

__all__ = ["OfflineChatModel"]

_NUMERIC = frozenset("age price cost count quantity number year total amount temperature score".split())
"""Words in the names of JSON members that are numbers."""


@dataclass(frozen=True)
class _Conversation:
    """A conversation, as the rules look at it. Its turn is what came after the last question."""

    question: str
    earlier_questions: list[str]
    turn: list[BaseMessage]
    prefill: str
    system: str
    tools: list[OfferedTool]
    schema: Any

    @property
    def calls(self) -> list[ToolCall]:
        """The calls that were made in this turn."""
        return [call for message in self.turn if isinstance(message, AIMessage) for call in message.tool_calls]

    @property
    def results(self) -> list[ToolMessage]:
        """The results that came in this turn."""
        return [message for message in self.turn if isinstance(message, ToolMessage)]


class OfflineChatModel(BaseChatModel):
    """A chat model of rules, which gives the same reply to the same messages, and says that it is no language model.

    It calls tools and fills JSON schemas by the prompt grammar of this package, answers from tool results, counts,
    works out sums of two numbers, remembers what the user called "my", and otherwise says what it was asked. It is the
    local server's default model.

    Fields:

    - `delay`: seconds to wait before each piece of a streamed reply, default 0; a whole reply never waits.
    - `model_name`: what `response_metadata` says, default "darkai-offline".

    `usage_metadata` counts words and punctuation marks, which needs no tokenizer and is the same everywhere.

    Example:
        >>> OfflineChatModel().invoke("Count from 1 to 5").content
        '1, 2, 3, 4, 5'
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    delay: float = Field(default=0.0, ge=0)
    model_name: str = "darkai-offline"

    @property
    def _llm_type(self) -> str:
        return "darkai-offline"

    def get_num_tokens(self, text: str) -> int:
        """Return the number of words and punctuation marks of a text.

        Example:
            >>> OfflineChatModel().get_num_tokens("Hello, world!")
            4
        """
        return len(re.findall(r"\w+|[^\w\s]", text))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = _reply(messages, stop)
        message = AIMessage(text, usage_metadata=self._usage(messages, text), response_metadata=self._metadata())
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages, stop):
            if self.delay:
                time.sleep(self.delay)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages, stop):
            await asyncio.sleep(self.delay)
            yield chunk

    def _chunks(self, messages: list[BaseMessage], stop: list[str] | None) -> Iterator[ChatGenerationChunk]:
        text = _reply(messages, stop)
        # The limit cuts long runs without a space, as compact JSON or Chinese has them.
        for piece in re.findall(r"\S{1,24}\s*|\s+", text):
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        last = AIMessageChunk(
            content="",
            usage_metadata=self._usage(messages, text),
            response_metadata=self._metadata(),
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=last)

    def _usage(self, messages: Sequence[BaseMessage], text: str) -> UsageMetadata:
        calls = [
            json.dumps(m.tool_calls, ensure_ascii=False) for m in messages if isinstance(m, AIMessage) and m.tool_calls
        ]
        read = sum(self.get_num_tokens(part) for part in [*(str(m.text) for m in messages), *calls])
        written = self.get_num_tokens(text)
        return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)

    def _metadata(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "finish_reason": "stop"}


def _reply(messages: Sequence[BaseMessage], stop: Sequence[str] | None) -> str:
    """Return the text that the model writes after these messages, cut at the first stop sequence."""
    conversation = _read(messages)
    text = _calls_text(conversation) or _json_text(conversation) or _results_text(conversation)
    if not text:
        text = reply(conversation.question, conversation.earlier_questions)
    if conversation.prefill:
        text = continuation(conversation.prefill, text)
    return text[: min((text.find(s) for s in stop or () if s and s in text), default=len(text))]


def _read(messages: Sequence[BaseMessage]) -> _Conversation:
    system = "\n".join(str(m.text) for m in messages if isinstance(m, SystemMessage))
    offered = [_parsed(line) for line in _block("tools", system).splitlines()]
    questions = [index for index, message in enumerate(messages) if isinstance(message, HumanMessage)]
    last = messages[-1] if messages else None
    return _Conversation(
        question=str(messages[questions[-1]].text) if questions else "",
        earlier_questions=[str(messages[index].text) for index in questions[:-1]],
        turn=list(messages[questions[-1] + 1 :] if questions else messages),
        prefill=str(last.text) if isinstance(last, AIMessage) and not last.tool_calls else "",
        system=system,
        tools=[tool for tool in offered if isinstance(tool, dict) and isinstance(tool.get("name"), str)],
        schema=_parsed(_block("json_schema", system)),
    )


def _block(tag: str, system: str) -> str:
    """Return what stands between the last pair of such tags, each on a line of its own, or ""."""
    found: list[str] = re.findall(rf"^<{tag}>[ \t]*\n(.*?)^</{tag}>", system, re.MULTILINE | re.DOTALL)
    return found[-1] if found else ""


def _parsed(text: str) -> Any:
    """Return the JSON value that a text is, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _calls_text(conversation: _Conversation) -> str:
    """Return the calls that are still to be made, as blocks of text; "" where there are none."""
    calls = _calls_to_make(conversation)
    if ONE_CALL in conversation.system:
        del calls[1:]
    # The arguments may quote a closing tag; JSON can write its slash in another way.
    blocks = (json.dumps(call, ensure_ascii=False).replace("</", "<\\/") for call in calls)
    return "\n".join(f"<tool_call>\n{block}\n</tool_call>" for block in blocks)


def _calls_to_make(conversation: _Conversation) -> list[PlannedCall]:
    tools, question, must = conversation.tools, conversation.question, MUST_CALL in conversation.system
    made = Counter(call["name"] for call in conversation.calls)
    if not made:
        return plan_calls(tools, question, must=must)
    known, results = _result_members(conversation), _result_texts(conversation)
    planned = plan_calls(tools, question, known=known, results=results)
    calls = [call for call in planned if call["name"] not in made]
    # Calls of tools that were called before are planned as they were then, so that those that were made can be counted.
    for call in plan_calls(tools, question):
        if call["name"] in made:
            made[call["name"]] -= 1
            if made[call["name"]] < 0:
                calls.append(call)
    if must and not calls:
        unused = [tool for tool in tools if tool["name"] not in made]
        calls = plan_calls(unused or tools, question, must=True, known=known, results=results)
    return calls


def _json_text(conversation: _Conversation) -> str:
    """Return the JSON that the reply has to be, or "" where none is asked for."""
    schema, question = conversation.schema, conversation.question
    if schema is None:
        if conversation.tools or not re.search(r"\bJSON\b.*\bonly\b|\bonly\b.*\bJSON\b", conversation.system):
            return ""
        keys = _json_keys(question)
        parts = {key: {"type": "number" if _NUMERIC & set(words_of(key)) else "string"} for key in keys}
        schema = {"type": "object", "properties": parts, "required": keys}
        question = re.sub(r"[^.:\n]*\bJSON\b[^.:\n]*[.:]?", "", question[:MAX_READ])
    results = _result_texts(conversation)
    arguments = {_key(name): value for call in conversation.calls for name, value in call["args"].items()}
    values = TextValues("\n".join([question, *results]), arguments | _result_members(conversation), spare=results)
    return json.dumps(generate(schema, values, topic=topic_of(conversation.question)), ensure_ascii=False)


def _json_keys(question: str) -> list[str]:
    """Return the keys that a question asks for ("with the keys name and age"), or one of our own."""
    asked = re.search(r"([^.\n:]*)\b(?:keys?|fields?)\b[:\s]*([^.\n:]*)", question[:MAX_READ], re.IGNORECASE)
    if not asked:
        return ["answer"]
    quoted = re.findall(r"[\"“'`]([^\"”'`\n]+)[\"”'`]", asked.group())
    words = [word for word in re.findall(r"[^\W\d]\w*", asked[2]) if word not in {"and", "or", "the", "with"}]
    return list(dict.fromkeys(quoted or words)) or ["answer"]


def _result_texts(conversation: _Conversation) -> list[str]:
    """Return what the tools said in words."""
    texts = [str(result.text) for result in conversation.results if result.status != "error"]
    return [text for text in texts if not isinstance(_parsed(text), dict)]


def _result_members(conversation: _Conversation) -> dict[str, Any]:
    """Return what the tools said in JSON objects: each value, by its name."""
    members: dict[str, Any] = {}
    objects = [_parsed(str(result.text)) for result in conversation.results]
    while objects:
        value = objects.pop(0)
        if isinstance(value, dict):
            members |= {_key(name): part for name, part in value.items()}
            objects += value.values()
    return members


def _key(name: str) -> str:
    return "".join(words_of(name))


def _results_text(conversation: _Conversation) -> str:
    """Return a sentence for each tool result of this turn, in the order of the results."""
    calls = {call["id"]: call for call in conversation.calls}
    sentences = []
    for result in conversation.results:
        call = calls.get(result.tool_call_id)
        name = result.name or (call and call["name"]) or "the tool"
        if call and call["args"] and len(conversation.results) > 1:
            name += f" ({', '.join(map(str, call['args'].values()))})"
        text = str(result.text).strip() or "nothing"
        end = "" if text.endswith((".", "!", "?")) else "."
        failed = result.status == "error"
        start = f"I could not find out, because {name} failed" if failed else f"The answer that I got from {name}"
        sentences.append(f"{start}: {text}{end}")
    return " ".join(sentences)
