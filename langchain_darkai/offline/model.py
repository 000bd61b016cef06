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
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field

from langchain_darkai._tool_calls.tools import MUST_CALL, ONE_CALL
from langchain_darkai.offline.json_values import fill
from langchain_darkai.offline.small_talk import continued, reply, styled
from langchain_darkai.offline.text_values import LONGEST, TextValues, topic_of, words_of
from langchain_darkai.offline.tool_planner import Tool, plan_calls

_NUMERIC = frozenset("age price cost count quantity number year total amount temperature score".split())


@dataclass(frozen=True)
class _Request:
    """A conversation, as the rules look at it."""

    question: str = ""
    said: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    made: list[AIMessage] = field(default_factory=list)
    results: list[ToolMessage] = field(default_factory=list)
    prefill: str = ""
    system: str = ""
    tools: list[Tool] = field(default_factory=list)
    schema: Any = None


class OfflineChatModel(BaseChatModel):
    """A chat model of rules, which gives the same reply to the same messages, and says that it is no language model.

    It calls tools and fills JSON schemas by the prompt grammar of this package, answers from tool results, counts, does
    sums, remembers what it was told in the conversation, and otherwise says what it was asked. It is the local server's
    default model.

    Fields:

    - `delay`: seconds to wait before each piece of a streamed reply, default 0; a whole reply never waits.
    - `model_name`: what `response_metadata` says, default "darkai-offline".

    `usage_metadata` counts words and punctuation marks, which needs no tokenizer and is the same everywhere.

    Example:
        >>> OfflineChatModel().invoke("Count from 1 to 5").content
        '1, 2, 3, 4, 5'
    """

    model_config = ConfigDict(extra="forbid")

    delay: float = Field(default=0.0, ge=0)
    model_name: str = "darkai-offline"

    @property
    def _llm_type(self) -> str:
        return "darkai-offline"

    def get_num_tokens(self, text: str) -> int:
        """The words and punctuation marks of a text.

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
    """The text that the model writes after these messages, cut at the first stop sequence."""
    request = _read(messages)
    topic = topic_of(request.question)
    text = _calls_text(request) or _json_text(request, topic) or _results_text(request)
    if not text:
        text = styled(reply(request.question, request.said, request.replies), request.system)
    if request.prefill:
        text = continued(request.prefill, text, topic)
    return text[: min((text.find(s) for s in stop or () if s and s in text), default=len(text))]


def _read(messages: Sequence[BaseMessage]) -> _Request:
    system = "\n".join(str(m.text) for m in messages if isinstance(m, SystemMessage))
    tools: list[Tool] = []
    for line in _block("tools", system).splitlines():
        tool = _parsed(line)
        if isinstance(tool, dict) and isinstance(tool.get("name"), str):
            tools.append(tool)
    asked = [index for index, message in enumerate(messages) if isinstance(message, HumanMessage)]
    turn = messages[asked[-1] + 1 :] if asked else messages
    last = messages[-1] if messages else None
    prefill = str(last.text) if isinstance(last, AIMessage) and not last.tool_calls else ""
    return _Request(
        question=str(messages[asked[-1]].text) if asked else "",
        said=[str(messages[index].text) for index in asked[:-1]],
        replies=[
            str(m.text) for m in messages[: len(messages) - bool(prefill)] if isinstance(m, AIMessage) and str(m.text)
        ],
        made=[m for m in turn if isinstance(m, AIMessage)],
        results=[m for m in turn if isinstance(m, ToolMessage)],
        prefill=prefill,
        system=system,
        tools=tools,
        schema=_parsed(_block("json_schema", system)),
    )


def _block(tag: str, system: str) -> str:
    """What the last pair of such tags holds, each on a line of its own, or ""."""
    found: list[str] = re.findall(rf"^<{tag}>[ \t]*\n(.*?)^</{tag}>", system, re.MULTILINE | re.DOTALL)
    return found[-1] if found else ""


def _calls_text(request: _Request) -> str:
    """The calls that are still to be made, as blocks of text."""
    must = MUST_CALL in request.system
    made = Counter(call["name"] for message in request.made for call in message.tool_calls)
    known, told = dict(_result_fields(request)), _result_texts(request)
    calls = plan_calls(request.tools, request.question, must=must and not made)
    if made:
        # What was called before is planned as it was then, to be told from what is still to do.
        again = [call for call in calls if call["name"] in made]
        calls = [
            call
            for call in plan_calls(request.tools, request.question, known=known, results=told)
            if call["name"] not in made
        ]
        for call in again:
            made[call["name"]] -= 1
            if made[call["name"]] < 0:
                calls.append(call)
    if must and not calls:
        fresh = [tool for tool in request.tools if tool["name"] not in made]
        calls = plan_calls(fresh or request.tools, request.question, must=True, known=known, results=told)
    if ONE_CALL in request.system:
        del calls[1:]
    # The arguments may quote a closing tag; JSON can write its slash in another way.
    blocks = (json.dumps(call, ensure_ascii=False).replace("</", "<\\/") for call in calls)
    return "\n".join(f"<tool_call>\n{block}\n</tool_call>" for block in blocks)


def _json_text(request: _Request, topic: str) -> str:
    """The JSON that the reply has to be, or "" where none is asked for."""
    schema, question = request.schema, request.question
    if schema is None:
        keys = _json_keys(request)
        if keys is None:
            return ""
        kinds = {key: {"type": "number" if _NUMERIC & set(words_of(key)) else "string"} for key in keys}
        schema = {"type": "object", "properties": kinds, "required": keys}
        question = re.sub(r"[^.:\n]*\bJSON\b[^.:\n]*[.:]?", "", question[:LONGEST])
    told = _result_texts(request)
    arguments = {_letters(k): v for m in request.made for call in m.tool_calls for k, v in call["args"].items()}
    findings = TextValues("\n".join([question, *told]), arguments | dict(_result_fields(request)), spare=told)
    return json.dumps(fill(schema, findings, topic=topic), ensure_ascii=False)


def _json_keys(request: _Request) -> list[str] | None:
    """The keys of the JSON object that is asked for in words, or None where none is."""
    ruled = "" if request.tools else request.system
    told = re.search(r"\bJSON\b", ruled) and re.search(r"\b(?:only|other than|nothing but)\b", ruled, re.IGNORECASE)
    wanted = r"\b(?:as|in|return|give me|with|into|to)\b[^.\n]{0,30}\bJSON\b|\bJSON (?:object )?with\b"
    if not told and not re.search(wanted, request.question):
        return None
    for text in (request.question[:LONGEST], ruled[:LONGEST]):
        named = re.search(r"([^.\n:]*)\b(?:keys?|fields?|attributes)\b[:\s]*([^.\n:]*)", text, re.IGNORECASE)
        for part in named.groups() if named else ():
            quoted = re.findall(r"[\"“'`]([^\"”'`\n]+)[\"”'`]", part)
            if quoted:
                return list(dict.fromkeys(quoted))
        if named:
            keys = re.findall(r"[^\W\d]\w*", re.split(r":|\b(?:about|for|of|from)\b", named[2])[0])
            keys = [key for key in dict.fromkeys(keys) if key not in {"and", "or", "the", "with"}]
            if keys:
                return keys
    return ["answer"]


def _result_texts(request: _Request) -> list[str]:
    """What the tools said in words."""
    texts = [str(result.text) for result in request.results if result.status != "error"]
    return [text for text in texts if not isinstance(_parsed(text), dict)]


def _result_fields(request: _Request) -> Iterator[tuple[str, Any]]:
    """What the tools said in JSON objects, each value under the letters of its name."""
    objects = [_parsed(str(result.text)) for result in request.results]
    while objects:
        value = objects.pop(0)
        if isinstance(value, dict):
            yield from ((_letters(key), part) for key, part in value.items())
            objects += value.values()


def _letters(name: str) -> str:
    return "".join(words_of(name))


def _parsed(text: str) -> Any:
    """The JSON that a text is, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _results_text(request: _Request) -> str:
    """A sentence for each tool result of this turn, in the order of the results."""
    calls = {call["id"]: call for message in request.made for call in message.tool_calls}
    sentences = []
    for result in request.results:
        call = calls.get(result.tool_call_id)
        name = result.name or (call and call["name"]) or "the tool"
        if call and call["args"] and len(request.results) > 1:
            name += f" ({', '.join(map(str, call['args'].values()))})"
        text = str(result.text).strip() or "nothing"
        end = "" if text.endswith((".", "!", "?")) else "."
        if result.status == "error":
            sentences.append(f"I could not find out, because {name} failed: {text}{end}")
        else:
            sentences.append(f"The answer that I got from {name}: {text}{end}")
    return " ".join(sentences)
