"""The log of requests: one line for each, plain or as JSON, with names, times and counts, and never a text.

The logger `langchain_darkai.server.requests` writes the lines. `-v` adds what is sent to the models: the logger
`langchain_darkai.server.prompts` writes it, only where its own level is DEBUG, since who turns on the log of everything
does not ask for the texts of users.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.tracers.context import register_configure_hook

from langchain_darkai.server.error_responses import for_log
from langchain_darkai.server.exchange import Exchange

__all__ = ["LOG_FORMATS", "log_request", "logging_to_stderr", "prompts_of"]

LOG_FORMATS = ("plain", "json", "none")
"""How the lines of the log can be written."""

_PROBES = frozenset({"/health", "/ready", "/metrics"})
"""Paths that programs ask for every few seconds; their lines have the level DEBUG."""

_server = logging.getLogger("langchain_darkai.server")
_keys = logging.getLogger("langchain_darkai.server.keys")
_requests = logging.getLogger("langchain_darkai.server.requests")
_prompts = logging.getLogger("langchain_darkai.server.prompts")


def log_request(exchange: Exchange) -> None:
    """Write the line of a request that has ended."""
    level = logging.DEBUG if exchange.path in _PROBES else logging.INFO
    if not _requests.isEnabledFor(level):
        return
    fields = _fields_of(exchange)
    _requests.log(level, "%s", _Words(fields), extra={"fields": fields})


class _Words:
    """Fields as words in a line, made only where a line is plain."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __str__(self) -> str:
        return " ".join(f"{name}={_word(value)}" for name, value in self._fields.items())


def _fields_of(exchange: Exchange) -> dict[str, Any]:
    known = {
        "key": exchange.key and exchange.key.name,
        "path": exchange.path,
        "model": exchange.model,
        "status": exchange.status,
        "error": exchange.error,
        "first_text": exchange.first_text and round(exchange.first_text, 4),
        "total": round(exchange.total, 4),
        "input_tokens": exchange.usage.get("input_tokens"),
        "output_tokens": exchange.usage.get("output_tokens"),
        "request_id": exchange.request_id,
    }
    return {name: value for name, value in known.items() if value is not None}


def _word(value: object) -> str:
    if not isinstance(value, str):
        return str(value)
    text = for_log(value)
    return text if text and not set(text) & set(' "=') else json.dumps(text, ensure_ascii=False)


class _JsonFormatter(logging.Formatter):
    """Writes each record as a JSON object in one line."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        members: dict[str, Any] = {"time": time.replace("+00:00", "Z"), "level": record.levelname.lower()}
        members["logger"] = record.name
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            members |= fields
        else:
            members["message"] = record.getMessage()
        if record.exc_info:
            members["traceback"] = self.formatException(record.exc_info)
        return json.dumps(members, ensure_ascii=False, default=str)


@contextmanager
def logging_to_stderr(style: str, *, with_prompts: bool = False) -> Iterator[None]:
    """Write the server's log to standard error within the block, in one of LOG_FORMATS; "none" writes no requests."""
    handler = logging.StreamHandler()
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if style == "json" else plain)
    root = logging.getLogger()
    levels = {logger: logger.level for logger in (_server, _keys, _requests, _prompts)}
    root.addHandler(handler)
    # Its other lines of INFO quote what models report, which may be texts.
    _server.setLevel(logging.INFO if with_prompts else logging.WARNING)
    _keys.setLevel(logging.INFO)
    _requests.setLevel(logging.WARNING if style == "none" else logging.INFO)
    if with_prompts:
        _prompts.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for logger, level in levels.items():
            logger.setLevel(level)


class _PromptLog(BaseCallbackHandler):
    """Writes what chat models are sent in a request."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def on_chat_model_start(self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **given: Any) -> None:
        """Write the messages, and what else the model is called with, such as tools."""
        sent = [{"type": m.type, "content": m.content, **_calls_of(m)} for batch in messages for m in batch]
        parameters = {
            name: value for name, value in (given.get("invocation_params") or {}).items() if name in _SHOWN and value
        }
        fields = {"request_id": self._exchange.request_id, "messages": sent, "parameters": parameters}
        words = json.dumps({"messages": sent, "parameters": parameters}, ensure_ascii=False, default=str)
        _prompts.debug("request_id=%s sends %s", self._exchange.request_id, words, extra={"fields": fields})


_SHOWN = frozenset({"tools", "tool_choice", "response_format", "format", "stop", "parallel_tool_calls"})
"""Parameters that are shown. The others may hold anything that a model is made with, also its key."""


def _calls_of(message: BaseMessage) -> dict[str, Any]:
    calls = getattr(message, "tool_calls", None)
    return {"tool_calls": calls} if calls else {}


_prompt_log: ContextVar[_PromptLog | None] = ContextVar("langchain_darkai_prompt_log", default=None)
register_configure_hook(_prompt_log, inheritable=True)


@contextmanager
def prompts_of(exchange: Exchange) -> Iterator[None]:
    """Log what models are sent within the block, where that log is turned on."""
    if not 0 < _prompts.level <= logging.DEBUG:
        yield
        return
    token = _prompt_log.set(_PromptLog(exchange))
    try:
        yield
    finally:
        _prompt_log.reset(token)
