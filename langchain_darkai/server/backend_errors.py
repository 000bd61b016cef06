"""Errors of the models behind the server, as sentences that name the model and say what to do.

Providers raise what their HTTP clients raise: errors of openai, ollama, httpx, aiohttp, requests or the system, often
one inside another. They are told by what they have, a status and headers, and by the names of their classes, so that no
provider is imported. Their own words are repeated only where they say what is wrong with the request: those about keys
quote keys.
"""

import logging
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from langchain_core.exceptions import ModelAuthenticationError, ModelError
from yarl import URL

from langchain_darkai._causes import causes_of
from langchain_darkai._http.error_mapping import not_retryable, seconds_from_retry_after
from langchain_darkai._text import one_line, shortened
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIConnectionError,
    DarkAIError,
    DarkAIRateLimitError,
    DarkAITimeoutError,
)
from langchain_darkai.protocol import error_class_for_status

__all__ = ["backend_errors", "describe_backend", "error_of_backend", "is_temporary", "needs_a_hand", "sentence_for_log"]

_MAX_WORDS = 300
"""Characters of a provider's words about a request."""

_UNREACHABLE = frozenset(
    "ConnectError ConnectTimeout ConnectTimeoutError ClientConnectorError NewConnectionError".split()
)
_BROKEN_OFF = frozenset(
    "NetworkError ProtocolError TransportError ServerDisconnectedError ClientPayloadError ClientConnectionError "
    "APIConnectionError ChunkedEncodingError".split()
)
_TIMED_OUT = frozenset("TimeoutError TimeoutException APITimeoutError Timeout".split())

_logger = logging.getLogger("langchain_darkai.server")


@contextmanager
def backend_errors(name: str | None, model: Any) -> Iterator[None]:
    """Raise errors of a model, which clients know as `name`, as errors that name it; what needs a hand is logged."""
    try:
        yield
    except Exception as error:
        told = error_of_backend(error, name, model)
        if told is error:
            raise
        if needs_a_hand(told):
            _logger.warning("%s", sentence_for_log(error, name, model))
        raise told from error


def needs_a_hand(error: Exception) -> bool:
    """Return whether somebody has to do something: a model is down, fails, or rejects the server's key."""
    return isinstance(error, DarkAIAPIError | DarkAIConnectionError)


def sentence_for_log(error: Exception, name: str | None, model: Any) -> str:
    """Return what happened at a model without a word of a provider's, which may be a user's.

    Example:
        >>> sentence_for_log(ValueError("a prompt"), "big", None)
        "The backend 'big' failed with ValueError."
    """
    told = error_of_backend(error, name, model, quotes=False)
    return f"{describe_backend(name, model)} failed with {type(error).__name__}." if told is error else str(told)


def error_of_backend(error: Exception, name: str | None, model: Any, *, quotes: bool = True) -> Exception:
    """Return the error that says what happened at a model, or the error itself where it says so, or nobody knows.

    Without `quotes`, it has no word of the provider's.

    - not reached, or broken off: DarkAIConnectionError, 502
    - a timeout of the provider's client: DarkAITimeoutError, 504
    - 401: DarkAIAPIError, 502, since the key that was rejected is the server's own
    - 429: DarkAIRateLimitError, with its Retry-After
    - 5xx: DarkAIAPIError, 502 or 503
    - another 4xx: the error of that status

    Example:
        >>> print(error_of_backend(ConnectionRefusedError(111, "?"), "big", None))
        The backend 'big' cannot be reached: Connection refused. Start it, or correct its URL.
    """
    backend = describe_backend(name, model)
    status = 401 if isinstance(error, ModelAuthenticationError) else _status_of(error)
    if status == 401:
        return not_retryable(
            DarkAIAPIError(
                f"{backend} rejected this server's key for it. The key of the client is fine; who runs the server must "
                "give it another.",
                status=502,
            )
        )
    if isinstance(error, DarkAIError | web.HTTPException):  # the latter has a status, but for our own clients
        return error
    if status is not None:
        return _error_of_status(error, status, backend, quotes=quotes)
    return _error_of_connection(error, backend, quotes=quotes) or error


def is_temporary(error: Exception) -> bool:
    """Return whether another model may answer where one raised this: a connection error, 429 or 5xx.

    Example:
        >>> is_temporary(ConnectionResetError()), is_temporary(KeyError())
        (True, False)
    """
    status = error.status if isinstance(error, DarkAIError) else _status_of(error)
    if status is not None:
        return status == 429 or status >= 500
    return error.is_retryable if isinstance(error, ModelError) else _error_of_connection(error, "") is not None


def describe_backend(name: str | None, model: Any) -> str:
    """Return how a sentence calls a model at its beginning.

    Example:
        >>> describe_backend("big", None)
        "The backend 'big'"
    """
    name = name or next(_texts(model, "model_name", "model"), None)
    url = next(_texts(model, "openai_api_base", "base_url", "anthropic_api_url", "endpoint"), "")
    place = URL(url) if url.startswith(("http://", "https://")) else None
    return "The backend" + (f" {name!r}" if name else "") + (f" ({place.origin()})" if place and place.host else "")


def _texts(model: Any, *names: str) -> Iterator[str]:
    return (value for value in (getattr(model, name, None) for name in names) if isinstance(value, str) and value)


def _error_of_status(error: Exception, status: int, backend: str, *, quotes: bool) -> Exception:
    if status == 429:
        return DarkAIRateLimitError(
            f"{backend} takes no more requests for now. Wait, or ask more slowly.",
            status=429,
            retry_after=_retry_after(error),
        )
    if status >= 500:
        return DarkAIAPIError(
            f"{backend} failed, with status {status}. Ask again later; its own log may say why.",
            status=503 if status == 503 else 502,
            retry_after=_retry_after(error),
        )
    if isinstance(error, ModelError):
        return error  # its class says more than the status, and its words are for callers
    words = next(_texts(error, "error", "message"), "")
    reason = _quoted(words, quotes=quotes) if words else ", without saying why"
    return error_class_for_status(status)(f"{backend} refused the request{reason}", status=status)


def _quoted(words: str, *, quotes: bool) -> str:
    return f": {shortened(one_line(words), _MAX_WORDS)}" if quotes else "."


def _error_of_connection(error: Exception, backend: str, *, quotes: bool = True) -> DarkAIError | None:
    """Return the error for what a connection raises; None for anything else."""
    causes = list(causes_of(error))
    names = {base.__name__ for cause in causes for base in type(cause).__mro__}
    if names & _UNREACHABLE or any(isinstance(cause, ConnectionRefusedError | socket.gaierror) for cause in causes):
        return DarkAIConnectionError(
            f"{backend} cannot be reached{_system_reason(causes)}. Start it, or correct its URL."
        )
    if names & _TIMED_OUT:
        return DarkAITimeoutError(f"{backend} took too long. Ask again.")
    if names & _BROKEN_OFF or isinstance(error, ConnectionError):
        return DarkAIConnectionError(
            f"{backend} broke off the connection{_system_reason(causes)}. Ask again; its own log may say why."
        )
    if "APIError" in names and (words := next(_texts(error, "message"), "")):
        return DarkAIAPIError(f"{backend} reported an error{_quoted(words, quotes=quotes)}", status=502)
    return None


def _system_reason(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return f": TLS says {reason}" if (reason := getattr(cause, "reason", None)) else ": TLS failed"
        if isinstance(cause, socket.gaierror) and cause.strerror:
            return f": {cause.strerror}"
        if isinstance(cause, OSError) and cause.errno:
            return f": {os.strerror(cause.errno)}"
    return ""


def _status_of(error: BaseException) -> int | None:
    """Return the HTTP status by which a model's API answered; None where it did not."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and 400 <= status <= 599:
                return status
    return None


def _retry_after(error: BaseException) -> float | None:
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or getattr(error, "headers", None)
    value = headers.get("retry-after") if hasattr(headers, "get") else None
    return seconds_from_retry_after(value if isinstance(value, str) else None)
