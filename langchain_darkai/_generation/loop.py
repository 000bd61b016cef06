"""Asking a model, judging its reply, and asking again where the reply is not what was asked for."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar, cast

from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_darkai._generation.reply import Reply
from langchain_darkai._generation.request import GenerationRequest
from langchain_darkai._generation.text_gate import AnswerGate, TextGate
from langchain_darkai._threads import in_thread
from langchain_darkai.client import DarkAI, Restart
from langchain_darkai.errors import DarkAIError, DarkAITimeoutError, DarkAIToolChoiceError
from langchain_darkai.protocol import ReasoningText, StreamEnd, Usage

if TYPE_CHECKING:
    from langchain_darkai._tool_calls.output import Part

T = TypeVar("T")

LATE_USAGE_TIMEOUT = 0.1
"""Seconds to wait for the server's count of tokens after the one call that was asked for; a model may write on."""


class Reask:
    """Separates the parts of a reply that was wrong from those of the next one."""


@dataclass
class GenerationResult:
    """The last reply of a call, and what all of its replies took together.

    - `usage`: the tokens of all replies.
    - `is_estimated`: whether the usage is, in part or whole, an estimate, because the server sent no counts.
    - `reasks`: how often the model was asked again.
    """

    reply: Reply
    usage: UsageMetadata
    is_estimated: bool
    reasks: int


class ReaskLoop:
    """One LangChain call. Use `complete` for a whole reply, or `parts` for one that is handed over as it comes.

    `count_tokens` estimates the tokens of a text, for servers that do not count. `first_call_index` is the number of
    the first tool call. `result` is set when a reply has been read, and final once `complete` or `parts` has ended.
    """

    result: GenerationResult

    def __init__(
        self,
        client: DarkAI,
        request: GenerationRequest,
        count_tokens: Callable[[str], int],
        *,
        first_call_index: int = 0,
    ) -> None:
        self._client = client
        self._request = request
        self._count_tokens = count_tokens
        self._first_call_index = first_call_index
        self._reasks = 0

    async def complete(self) -> GenerationResult:
        """Return the result. Nothing is handed over before it, so the request's policy may allow a restart.

        Raises as `parts` does.
        """
        async for _ in self.parts():
            pass
        return self.result

    async def parts(self) -> "AsyncGenerator[Part | Reask, None]":
        """Yield the parts of the answer as they come: texts, and pieces of calls.

        Raises a DarkAIError.
        """
        requirements = self._request.requirements
        gate = (AnswerGate if requirements.content_must_be_json else TextGate)(hold=requirements.forces_call)
        first_index = self._first_call_index
        while True:
            reply = Reply(self._request)
            async with aclosing(self._read(reply)) as reads:
                async for parts in reads:
                    for part in gate.feed(parts):
                        yield _renumbered(part, first_index)
            self._count(reply)
            violation = await self._violation(reply)
            if violation is None or not self._request.can_reask(self._reasks):
                break
            self._reasks += 1
            first_index += len(reply.calls)
            gate.begin_reply()
            yield Reask()
            self._request = self._request.with_feedback(reply.text, violation)
        if violation is not None:
            self._raise_for_missing_call(reply)
        for part in (*gate.feed([reply.rest]), gate.end()):
            if part:
                yield part

    async def _read(self, reply: Reply) -> "AsyncGenerator[list[Part], None]":
        """Yield the parts of one reply as they come, those of one network read together."""
        async with aclosing(self._client.stream(self._request.call, self._request.policy)) as events:
            try:
                async for event in events:
                    await self._feed(reply, event)
                    if parts := reply.take():
                        yield parts
                    if reply.is_over:
                        break
                if reply.calls and reply.usage is None:
                    reply.usage = await _late_usage(events)
            except DarkAIError:
                if parts := reply.abort():
                    yield parts
                raise

    async def _feed(self, reply: Reply, event: str | ReasoningText | StreamEnd | Restart) -> None:
        """Let the reply read an event. Other tasks go on between the slices of a long one, and while it is judged."""
        was_late = self._request.policy.budget.is_spent
        for judge in reply.slices(event):
            await (asyncio.sleep(0) if judge is None else self._in_thread(judge, reply, was_late))
            self._raise_if_late(reply, was_late)
        self._raise_if_late(reply, was_late)

    async def _violation(self, reply: Reply) -> str | None:
        """Return what is wrong with a reply. To find that out takes time from the call's timeout, too."""
        budget = self._request.policy.budget
        was_late = budget.is_spent
        async with budget:
            if reply.is_long:
                violation = await self._in_thread(reply.violation, reply, was_late)
            else:
                violation = reply.violation()
        self._raise_if_late(reply, was_late)
        return violation

    async def _in_thread(self, judge: Callable[[], T], reply: Reply, was_late: bool) -> T:
        """Return what a function says of a long reply. It may take as long as the schema lets it, so a thread waits."""
        try:
            return await asyncio.wait_for(in_thread(judge), None if was_late else self._request.policy.budget.left)
        except asyncio.TimeoutError:  # the call's, or one of the schema's own code
            self._raise_if_late(reply, was_late)
            raise

    def _raise_if_late(self, reply: Reply, was_late: bool) -> None:
        """Raise where the call's time ran out while the reply was read. While it is awaited, the transport does so."""
        if self._request.policy.budget.is_spent and not was_late:
            raise DarkAITimeoutError(
                f"{self._client.host}: the call's timeout ran out while its reply was read; raise timeout, or ask for "
                "less.",
                partial_text=reply.text,
            )

    def _count(self, reply: Reply) -> None:
        """Add up the usage of all replies so far: the server's count, or else an estimate."""
        counted = reply.usage
        is_estimated = counted is None
        if counted is None:
            sent, received = self._count_tokens(self._request.call.query), self._count_tokens(reply.text)
            counted = Usage(input_tokens=sent, output_tokens=received, total_tokens=sent + received)
        usage = cast("UsageMetadata", dict(counted))
        if self._reasks:
            usage = add_usage(self.result.usage, usage)
            is_estimated = is_estimated or self.result.is_estimated
        self.result = GenerationResult(reply, usage, is_estimated, self._reasks)

    def _raise_for_missing_call(self, reply: Reply) -> None:
        """Raise where a forced call is missing. A structured answer is left to its parser, which says what is wrong."""
        requirements = self._request.requirements
        is_structured = requirements.output is not None and requirements.output.method == "function_calling"
        if reply.valid_calls or not requirements.forces_call or is_structured:
            return
        wanted = f"the tool {requirements.forced_tool!r}" if requirements.forced_tool else "a tool"
        attempts = f"{self._reasks + 1} attempts" if self._reasks else "the only attempt"
        raise DarkAIToolChoiceError(
            f"{self._request.call.model} did not call {wanted}, in {attempts}. Raise max_reasks, or leave the "
            'choice to the model with tool_choice="auto".',
            partial_text=reply.content,
        )


async def _late_usage(events: "AsyncGenerator[str | ReasoningText | StreamEnd | Restart, None]") -> Usage | None:
    """Return the usage of a reply that is read no further than its call, if it is there or comes within a moment."""

    async def usage() -> Usage | None:
        async for event in events:
            if isinstance(event, StreamEnd):
                return event.usage
        return None

    try:
        return await asyncio.wait_for(usage(), LATE_USAGE_TIMEOUT)
    except (asyncio.TimeoutError, DarkAIError):
        return None


def _renumbered(part: "Part", first_index: int) -> "Part":
    """Return a part of a reply, its calls counted on from those of the replies before it."""
    if not first_index or isinstance(part, str) or part.kind != "call":
        return part
    return replace(part, index=first_index + part.index)
