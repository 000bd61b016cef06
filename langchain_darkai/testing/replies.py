"""Replies of a `ScriptedServer`: text, thoughts, tool calls, structured answers and usage, at once or at a pace."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from langchain_darkai.prompts import format_call
from langchain_darkai.protocol import FinishReason
from langchain_darkai.testing.wire import END, LAST_CHUNK, STREAM, Step, chunk, event, text

__all__ = ["ToolCallSpec", "events", "reply"]

ToolCallSpec = tuple[str, Mapping[str, Any]]
"""A tool call: the tool's name and its arguments, such as `("add", {"a": 1, "b": 2})`."""

_WORD = re.compile(r"\S+\s*|\s+")


def reply(
    *texts: str,
    calls: Sequence[ToolCallSpec] = (),
    structured: Any = None,
    reasoning: str = "",
    usage: Mapping[str, Any] | None = None,
    finish_reason: FinishReason | None = None,
    pace: float | None = None,
) -> list[Step]:
    """Return the steps of a complete reply.

    - `texts`: its text; each string is an event of its own.
    - `calls`: the tools that it calls, after the text.
    - `structured`: its answer as a value of JSON, or as a Pydantic model; None for none.
    - `reasoning`: the thoughts before the text, which are no part of it.
    - `usage`: its token counts, as "input_tokens", "output_tokens" and "total_tokens"; None for none.
    - `finish_reason`: why the model stopped; None says nothing of it.
    - `pace`: tokens a second, where each word is a token; None sends it all in one packet.

    Raises DarkAIInvalidRequestError for arguments of a call that have no JSON form, and TypeError for such an answer.

    Example:
        >>> len(reply("Hello there, world", pace=50))  # three packets with pauses between them, and the end
        7
    """
    parts = events(*_tokens(texts, pace), calls=calls, structured=structured, reasoning=reasoning)
    if usage or finish_reason:
        members = {"usage": dict(usage or {}), "finish_reason": finish_reason}
        end = chunk(event("stream-end", **{name: value for name, value in members.items() if value})) + LAST_CHUNK
    else:
        end = END
    if pace is None:
        return [STREAM + (chunk(body) if (body := b"".join(parts)) else b"") + end]
    steps: list[Step] = []
    for part in parts:
        steps += [chunk(part), 1 / pace]
    first, *others = steps or [b""]
    assert isinstance(first, bytes)
    return [STREAM + first, *others, end]


def events(*texts: str, calls: Sequence[ToolCallSpec] = (), structured: Any = None, reasoning: str = "") -> list[bytes]:
    """Return the events of a reply but for its end, with the arguments of `reply`.

    Example:
        >>> events(structured={"age": 30})
        [b'data: {"event": "text-chunk", "data": {"text": "{\\\\"age\\\\": 30}"}}\\n\\n']
    """
    pieces = [*texts]
    if structured is not None:
        value = structured.model_dump(mode="json") if isinstance(structured, BaseModel) else structured
        pieces.append(json.dumps(value, ensure_ascii=False))
    for place, (name, arguments) in enumerate(calls):
        pieces.append(("\n" if pieces else "") + format_call(name, dict(arguments), f"calls[{place}]"))
    thoughts = [event("reasoning-chunk", text=reasoning)] if reasoning else []
    return [*thoughts, *(text(piece) for piece in pieces)]


def _tokens(texts: Sequence[str], pace: float | None) -> Sequence[str]:
    if pace is None:
        return texts
    if pace <= 0:
        raise ValueError(f"pace is {pace}; it is a number of tokens a second, more than 0.")
    return [word for piece in texts for word in _WORD.findall(piece)]
