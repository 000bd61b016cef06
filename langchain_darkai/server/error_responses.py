"""Errors as HTTP responses: JSON with a sentence in it; and words of others, as sentences and logs can hold them."""

import math
import traceback
from typing import Any

from aiohttp import web

from langchain_darkai._causes import causes_of
from langchain_darkai._text import echoed
from langchain_darkai.errors import DarkAIAuthenticationError, DarkAIError
from langchain_darkai.protocol import encode_error, error_class_for_status
from langchain_darkai.server.exchange import Exchange

__all__ = ["error_members", "error_response", "for_log", "raised_at", "to_darkai_error"]

_MAX_MESSAGE = 2000
"""Characters of a model's error that are told and logged: some quote the whole prompt."""


def to_darkai_error(error: web.HTTPException, request: web.Request) -> DarkAIError:
    """Return what aiohttp raises for a request that it does not serve as an error with a sentence of ours."""
    if error.status == 404:
        places = "POST /chat, GET /models, GET /health and GET /ready"
        message = f"There is nothing at {echoed(request.path)}. There are {places}."
    elif error.status == 405:
        message = f"{request.path} does not take {echoed(request.method)}, only {error.headers.get('allow')}."
    else:
        message = f"{error.reason}."
    return error_class_for_status(error.status)(message, status=error.status)


def for_log(text: str) -> str:
    """Return a text of others as it may stand in a line of a log: cut, and with line ends and the like escaped.

    Example:
        >>> print(for_log("no\\n2025-01-01 INFO all is well"))
        no\\n2025-01-01 INFO all is well
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:_MAX_MESSAGE])


def raised_at(error: BaseException) -> str:
    """Return the class of an error and where it was raised, and those inside it, without what they say: a text, maybe.

    Example:
        >>> raised_at(ValueError("a prompt"))
        'ValueError'
    """
    return "\ncaused by ".join("\n".join([type(inner).__name__, *_frames_of(inner)]) for inner in causes_of(error))


def _frames_of(error: BaseException) -> list[str]:
    return [frame.rstrip("\n") for frame in traceback.format_tb(error.__traceback__)]


def error_members(error: BaseException, exchange: Exchange) -> dict[str, Any]:
    """Return the members by which an error is told, with its message cut where it is very long."""
    exchange.note_error(error)
    members = encode_error(error)
    return {**members, "message": members["message"][:_MAX_MESSAGE], "request_id": exchange.request_id}


def error_response(error: BaseException, exchange: Exchange, allow: str | None = None) -> web.Response:
    """Return an error as JSON, with the headers that belong to it; `allow` names the methods that a path takes."""
    members = error_members(error, exchange)
    headers = {
        "retry-after": str(math.ceil(members["retry_after"])) if "retry_after" in members else None,
        "www-authenticate": "Bearer" if isinstance(error, DarkAIAuthenticationError) else None,
        "allow": allow,
    }
    return web.json_response(
        {"error": members},
        status=members["status"],
        headers={name: value for name, value in headers.items() if value is not None},
    )
