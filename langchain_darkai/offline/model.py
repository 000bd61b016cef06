"""`OfflineChatModel`: a chat model of rules, for a machine with no network and no weights.

It reads what a client of this package writes into the system turn (tools between `<tools>` tags, a schema between
`<json_schema>` tags, and how to answer), and writes calls and JSON as text, in the way that it is asked to.
"""

import asyncio
import json
import math
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

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
from langchain_darkai.offline.budget import MAX_REPLY, Budget, BudgetSpentError, check_size
from langchain_darkai.offline.json_values import generate
from langchain_darkai.offline.small_talk import continuation, reply
from langchain_darkai.offline.text_values import TextValues, topic_of
from langchain_darkai.offline.tool_planner import OfferedTool, PlannedCall, plan_calls
from langchain_darkai.offline.words import keys_in, readable, readable_lines, words_of

__all__ = ["OfflineChatModel"]

_T = TypeVar("_T")

_NUMERIC = frozenset("age price cost count quantity number year total amount temperature score".split())
"""Words in the names of JSON members that are numbers."""

_JSON_ONLY = (re.compile(r"\bJSON\b"), re.compile(r"\bonly\b"))
"""Words of a line that asks for JSON without a schema."""

_MAX_JSON = 1_000_000
"""Characters of JSON that are read, as schemas, tools and results: ten times the largest that are in use."""
_PARSED_A_STEP = 20
"""Characters of a result that are parsed in one step: all that is parsed is kept, and may take 24 bytes for each."""
_MAX_NAME = 200
"""Characters of a tool's name, and of an argument in a sentence; other APIs take names of 64."""
_MAX_PIECES = 1000
"""Pieces of a streamed reply: words, or so many words that there are no more pieces, since each has its cost."""
_MAX_COUNTED = 100_000
"""Characters whose words are counted; the rest of a longer text is estimated by them."""

_MAX_AT_ONCE = 2
"""Replies of one event loop that are worked out at once: Python threads take turns, and the loop waits for its own."""

_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

_TOO_MUCH = (
    "That is more work than the rules of the offline model may do for one reply. Ask for less: a smaller schema, "
    "fewer tools, or a shorter conversation."
)


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
        """Return the number of words and punctuation marks of a text, estimated where it is very long.

        Example:
            >>> OfflineChatModel().get_num_tokens("Hello, world!")
            4
        """
        counted = len(re.findall(r"\w+|[^\w\s]", text[:_MAX_COUNTED]))
        return counted * max(len(text), _MAX_COUNTED) // _MAX_COUNTED

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._result(messages, stop, Budget())

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await _in_thread(self._result, messages, stop)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages, stop, Budget()):
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
        for chunk in await _in_thread(self._chunks, messages, stop):
            await asyncio.sleep(self.delay)
            yield chunk

    def _result(self, messages: list[BaseMessage], stop: list[str] | None, budget: Budget) -> ChatResult:
        text = _reply(messages, stop, budget)
        message = AIMessage(text, usage_metadata=self._usage(messages, text), response_metadata=self._metadata())
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunks(self, messages: list[BaseMessage], stop: list[str] | None, budget: Budget) -> list[ChatGenerationChunk]:
        text = _reply(messages, stop, budget)
        # The limit cuts long runs without a space, as compact JSON or Chinese has them.
        words = re.findall(r"\S{1,24}\s*|\s+", text)
        size = math.ceil(len(words) / _MAX_PIECES)
        pieces = ["".join(words[start : start + size]) for start in range(0, len(words), size or 1)]
        last = AIMessageChunk(
            content="",
            usage_metadata=self._usage(messages, text),
            response_metadata=self._metadata(),
            chunk_position="last",
        )
        return [
            ChatGenerationChunk(message=message)
            for message in [*(AIMessageChunk(content=piece) for piece in pieces), last]
        ]

    def _usage(self, messages: Sequence[BaseMessage], text: str) -> UsageMetadata:
        calls = [
            json.dumps(m.tool_calls, ensure_ascii=False) for m in messages if isinstance(m, AIMessage) and m.tool_calls
        ]
        read = sum(self.get_num_tokens(part) for part in [*(str(m.text) for m in messages), *calls])
        written = self.get_num_tokens(text)
        return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)

    def _metadata(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "finish_reason": "stop"}


async def _in_thread(work: Callable[..., _T], messages: list[BaseMessage], stop: list[str] | None) -> _T:
    """Work in a thread, since the event loop has others to serve; stop soon where nobody waits any more."""
    budget = Budget()
    try:
        async with _gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_MAX_AT_ONCE)):
            return await asyncio.to_thread(work, messages, stop, budget)
    except asyncio.CancelledError:
        budget.stop()
        raise


def _reply(messages: Sequence[BaseMessage], stop: Sequence[str] | None, budget: Budget) -> str:
    """Return the text that the model writes after these messages, cut at the first stop sequence."""
    try:
        conversation = _read(messages)
        text = _calls_text(conversation, budget) or _json_text(conversation, budget) or _results_text(conversation)
        if not text:
            text = reply(conversation.question, conversation.earlier_questions)
        if conversation.prefill:
            text = continuation(conversation.prefill, text)
        for sequence in filter(None, stop or ()):
            budget.spend(1 + len(text) // 1000)
            text = text.partition(sequence)[0]
    except (BudgetSpentError, RecursionError):
        return _TOO_MUCH
    return text


def _read(messages: Sequence[BaseMessage]) -> _Conversation:
    system = "\n".join(str(m.text) for m in messages if isinstance(m, SystemMessage))
    offered = [_parsed(line) for line in _block("tools", system).split("\n")]
    questions = [index for index, message in enumerate(messages) if isinstance(message, HumanMessage)]
    last = messages[-1] if messages else None
    return _Conversation(
        question=str(messages[questions[-1]].text) if questions else "",
        earlier_questions=[str(messages[index].text) for index in questions[:-1]],
        turn=list(messages[questions[-1] + 1 :] if questions else messages),
        prefill=str(last.text) if isinstance(last, AIMessage) and not last.tool_calls else "",
        system=system,
        tools=list(filter(_is_tool, offered)),
        schema=_parsed(_block("json_schema", system)),
    )


def _is_tool(offered: Any) -> bool:
    """Return whether a line that offers a tool has what the rules need; others are passed over."""
    if not isinstance(offered, dict) or not isinstance(offered.get("parameters") or {}, dict):
        return False
    return isinstance(offered.get("name"), str) and len(offered["name"]) <= _MAX_NAME


def _block(tag: str, system: str) -> str:
    """Return what stands between the last pair of such tags, each on a line of its own, or ""."""
    lines = system.split("\n")
    ends = [place for place, line in enumerate(lines) if line.startswith(f"</{tag}>")]
    starts = [place for place, line in enumerate(lines) if line.rstrip(" \t") == f"<{tag}>"]
    start = max((start for start in starts if ends and start < ends[-1]), default=None)
    if start is None:
        return ""
    block = "\n".join(lines[start + 1 : next(end for end in ends if end > start)])
    if len(block) > _MAX_JSON:
        raise BudgetSpentError
    return block


def _parsed(text: str) -> Any:
    """Return the JSON value that a text is, or None."""
    try:
        return json.loads(text) if len(text) <= _MAX_JSON else None
    except (ValueError, RecursionError):
        return None


def _written(value: Any) -> str:
    """Return a value as JSON; raise BudgetSpentError where it is too long, or has no JSON form."""
    check_size(value)
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise BudgetSpentError from error


def _calls_text(conversation: _Conversation, budget: Budget) -> str:
    """Return the calls that are still to be made, as blocks of text; "" where there are none."""
    calls = _calls_to_make(conversation, budget)
    if ONE_CALL in conversation.system:
        del calls[1:]
    # The arguments may quote a closing tag; JSON can write its slash in another way.
    blocks = (_written(call).replace("</", "<\\/") for call in calls)
    return "\n".join(f"<tool_call>\n{block}\n</tool_call>" for block in blocks)


def _calls_to_make(conversation: _Conversation, budget: Budget) -> list[PlannedCall]:
    tools, question, must = conversation.tools, conversation.question, MUST_CALL in conversation.system
    plan = partial(plan_calls, question=question, budget=budget)
    made = Counter(call["name"] for call in conversation.calls)
    if not made:
        return plan(tools, must=must)
    known, results = _result_members(conversation, budget), _result_texts(conversation)
    planned = plan(tools, known=known, results=results)
    calls = [call for call in planned if call["name"] not in made]
    # Calls of tools that were called before are planned as they were then, so that those that were made can be counted.
    for call in plan(tools):
        if call["name"] in made:
            made[call["name"]] -= 1
            if made[call["name"]] < 0:
                calls.append(call)
    if must and not calls:
        unused = [tool for tool in tools if tool["name"] not in made]
        calls = plan(unused or tools, must=True, known=known, results=results)
    return calls


def _json_text(conversation: _Conversation, budget: Budget) -> str:
    """Return the JSON that the reply has to be, or "" where none is asked for."""
    schema, question = conversation.schema, conversation.question
    if schema is None:
        lines = conversation.system.split("\n")
        if conversation.tools or not any(all(word.search(line) for word in _JSON_ONLY) for line in lines):
            return ""
        keys = keys_in(question)
        parts = {key: {"type": "number" if _NUMERIC & set(words_of(key)) else "string"} for key in keys}
        schema = {"type": "object", "properties": parts, "required": keys}
        sentences = re.split(r"(?<=[.:\n])", readable(question))
        question = "".join(sentence for sentence in sentences if not re.search(r"\bJSON\b", sentence))
    results = _result_texts(conversation)
    arguments = {_key(name): value for call in conversation.calls for name, value in call["args"].items()}
    known = arguments | _result_members(conversation, budget)
    values = TextValues(readable_lines([question, *results]), known, spare=results, budget=budget)
    return _written(generate(schema, values, topic=topic_of(conversation.question)))


def _result_texts(conversation: _Conversation) -> list[str]:
    """Return what the tools said in words."""
    texts = [str(result.text) for result in conversation.results if result.status != "error"]
    return [text for text in texts if not (text.lstrip().startswith("{") and isinstance(_parsed(text), dict))]


def _result_members(conversation: _Conversation, budget: Budget) -> dict[str, Any]:
    """Return what the tools said in JSON objects: each value, by its name."""
    members: dict[str, Any] = {}
    for result in conversation.results:
        text = str(result.text)
        if not text.lstrip().startswith("{"):
            continue
        budget.spend(len(text) // _PARSED_A_STEP)
        objects = [_parsed(text)]
        for value in objects:
            if isinstance(value, dict):
                budget.spend(len(value))
                members |= {_key(name): part for name, part in value.items()}
                objects += value.values()
    return members


def _key(name: str) -> str:
    return "".join(words_of(name))


def _results_text(conversation: _Conversation) -> str:
    """Return a sentence for each tool result of this turn, in the order of the results, as long as a reply may be."""
    calls = {call["id"]: call["name"] for call in conversation.calls}
    given = {
        call["id"]: ", ".join(str(value)[:_MAX_NAME] for value in call["args"].values()) for call in conversation.calls
    }
    sentences, size = [], 0
    for result in conversation.results:
        name = result.name or calls.get(result.tool_call_id) or "the tool"
        if given.get(result.tool_call_id) and len(conversation.results) > 1:
            name += f" ({given[result.tool_call_id][:_MAX_NAME]})"
        text = str(result.text).strip() or "nothing"
        end = "" if text.endswith((".", "!", "?")) else "."
        failed = result.status == "error"
        start = f"I could not find out, because {name} failed" if failed else f"The answer that I got from {name}"
        sentences.append(f"{start}: {text}{end}")
        size += len(sentences[-1])
        if size > MAX_REPLY:
            break
    said = " ".join(sentences)
    return said if size <= MAX_REPLY else f"{said[:MAX_REPLY]} ..."
