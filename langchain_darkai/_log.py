"""The log of calls, for those who set the logger `langchain_darkai.client` to DEBUG: what happened when, and no texts.

A prompt is written only where the logger `langchain_darkai.client.prompts` itself is set to DEBUG. It does not inherit
that: who turns on the log of all packages does not ask for the texts of users.
"""

import logging
import time

from langchain_darkai.errors import DarkAIError
from langchain_darkai.protocol import StreamEnd
from langchain_darkai.transport import ApiCall, ReplyEvents

_client = logging.getLogger("langchain_darkai.client")
_prompts = logging.getLogger("langchain_darkai.client.prompts")


def log(call: ApiCall, message: str, *values: object) -> None:
    """Write a line about a call, which has one name in all its lines. Nothing is formatted while the log is off."""
    if _client.isEnabledFor(logging.DEBUG):
        _client.debug("%s: %s", _name(call), message % values, stacklevel=2)


def name_of(error: DarkAIError) -> str:
    """Return the class and the status of an error. Its message may quote the words of a server."""
    return type(error).__name__ + (f" (HTTP {error.status})" if error.status else "")


def logged(events: ReplyEvents, call: ApiCall, host: str) -> ReplyEvents:
    """Return the events of a reply; while the log is on, they are watched as they come."""
    if 0 < _prompts.level <= logging.DEBUG:
        _prompts.debug("%s: prompt: %s", _name(call), call.query)
    return _watched(events, call, host) if _client.isEnabledFor(logging.DEBUG) else events


async def _watched(events: ReplyEvents, call: ApiCall, host: str) -> ReplyEvents:
    names = ", ".join(sorted(call.parameters)) or "none"
    log(
        call,
        "request to %s: model %r, prompt of %d characters, parameters: %s",
        host,
        call.model,
        len(call.query),
        names,
    )
    started = time.monotonic()
    characters = pieces = 0
    outcome = "left"
    try:
        async for event in events:
            if isinstance(event, str):
                if not pieces:
                    log(call, "first text after %.0f ms", (time.monotonic() - started) * 1000)
                pieces += 1
                characters += len(event)
            elif isinstance(event, StreamEnd):
                outcome = "complete"
            yield event
    except DarkAIError as error:
        outcome = name_of(error)
        raise
    finally:
        await events.aclose()
        seconds = time.monotonic() - started
        log(call, "%s after %.2f s: %d characters in %d pieces", outcome, seconds, characters, pieces)


def _name(call: ApiCall) -> str:
    return f"call {id(call) >> 4 & 0xFFFF:04x}"
