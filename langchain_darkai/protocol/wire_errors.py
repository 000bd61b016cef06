"""How errors travel over the wire: HTTP statuses and wire names to error classes and back, and what servers report.

The name of an error on the wire is the `langchain_core` class that it is, so that the class survives the way through a
server: a rate limit behind the server is a rate limit for its client.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from langchain_darkai._compat import ModelRefusalError
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIConnectionError,
    DarkAIContextOverflowError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAINotFoundError,
    DarkAIPermissionDeniedError,
    DarkAIRateLimitError,
    DarkAIRefusalError,
    DarkAITimeoutError,
)
from langchain_darkai.protocol._excerpt import excerpt

__all__ = [
    "ReportedError",
    "encode_error",
    "error_class_for_status",
    "error_class_for_wire_type",
    "hint_for",
    "reported_error",
    "status_for_error",
    "wire_error_type",
]

_CLASS_BY_STATUS: dict[int, type[DarkAIError]] = {
    401: DarkAIAuthenticationError,
    403: DarkAIPermissionDeniedError,
    404: DarkAINotFoundError,
    408: DarkAITimeoutError,
    429: DarkAIRateLimitError,
}

# The status by which a server reports an error; the most specific class first.
_STATUS_BY_CLASS: tuple[tuple[type[BaseException], int], ...] = (
    (ContextOverflowError, 400),
    (ModelAuthenticationError, 401),
    (ModelPermissionDeniedError, 403),
    (ModelNotFoundError, 404),
    (ModelRateLimitError, 429),
    (ModelTimeoutError, 504),
    (ModelConnectionError, 502),
    (ModelInvalidRequestError, 400),
)

_CLASS_BY_WIRE_TYPE: dict[str, type[DarkAIError]] = {
    "ContextOverflowError": DarkAIContextOverflowError,
    "ModelAuthenticationError": DarkAIAuthenticationError,
    "ModelPermissionDeniedError": DarkAIPermissionDeniedError,
    "ModelNotFoundError": DarkAINotFoundError,
    "ModelRateLimitError": DarkAIRateLimitError,
    "ModelTimeoutError": DarkAITimeoutError,
    "ModelConnectionError": DarkAIConnectionError,
    "ModelInvalidRequestError": DarkAIInvalidRequestError,
    "ModelAPIError": DarkAIAPIError,
    "ModelRefusalError": DarkAIRefusalError,
    "ModelError": DarkAIError,
}

_HINTS: dict[type[DarkAIError], str] = {
    DarkAIContextOverflowError: "The prompt is too long for this model; send less.",
    DarkAIAuthenticationError: "Set api_key, or DARKAI_API_KEY, to a key that this server knows.",
    DarkAIPermissionDeniedError: "The key may not use this; ask the server's owner.",
    DarkAINotFoundError: "Check base_url and the model's name.",
    DarkAIRateLimitError: "Wait, or ask more slowly.",
    DarkAITimeoutError: "Ask again.",
}


def error_class_for_status(status: int) -> type[DarkAIError]:
    """Return the error class of an HTTP status that is not a success.

    408 is a timeout. Any other 4xx without a class of its own is an invalid request; everything else, 3xx and 5xx, is a
    failure of the server.

    Example:
        >>> error_class_for_status(429).__name__
        'DarkAIRateLimitError'
    """
    if status in _CLASS_BY_STATUS:
        return _CLASS_BY_STATUS[status]
    return DarkAIInvalidRequestError if 400 <= status < 500 else DarkAIAPIError


def status_for_error(error: BaseException) -> int:
    """Return the HTTP status by which a server reports an error: its own, else that of its class, else 500.

    Example:
        >>> status_for_error(DarkAIRateLimitError("slow down"))
        429
    """
    own = error.status if isinstance(error, DarkAIError) else None
    if own is not None and 400 <= own <= 599:
        return own
    return next((status for kind, status in _STATUS_BY_CLASS if isinstance(error, kind)), 500)


def error_class_for_wire_type(name: Any) -> type[DarkAIError] | None:
    """Return the error class of a wire name, or None for a name that is not one of ours.

    Example:
        >>> error_class_for_wire_type("ModelRateLimitError").__name__
        'DarkAIRateLimitError'
    """
    return _CLASS_BY_WIRE_TYPE.get(name) if isinstance(name, str) else None


def wire_error_type(error: BaseException) -> str:
    """Return the name of an error on the wire: that of the `langchain_core` class it is.

    Example:
        >>> wire_error_type(DarkAIRateLimitError("slow down"))
        'ModelRateLimitError'
    """
    kinds = (*(kind for kind, _ in _STATUS_BY_CLASS), ModelAPIError, ModelRefusalError, ModelError)
    return next((kind.__name__ for kind in kinds if isinstance(error, kind)), "ModelAPIError")


def hint_for(kind: type[DarkAIError]) -> str:
    """Return what to do about an error that a server reported.

    Example:
        >>> hint_for(DarkAIRateLimitError)
        'Wait, or ask more slowly.'
    """
    return _HINTS.get(kind) or ("Ask again later." if kind.is_retryable else "Check the request.")


def encode_error(error: BaseException) -> dict[str, Any]:
    """Return the members by which a server reports a failure, in an error event or under "error" in a JSON body.

    Only a chat model's own error keeps its message. The message of any other exception could hold what no client may
    see, so it is replaced.

    Example:
        >>> encode_error(KeyError("secret"))
        {'type': 'ModelAPIError', 'message': 'The server failed.', 'status': 500}
    """
    members = {
        "type": wire_error_type(error),
        "message": str(error) if isinstance(error, ModelError) else "The server failed.",
        "status": status_for_error(error),
    }
    retry_after = _seconds(getattr(error, "retry_after", None))
    return members if retry_after is None else {**members, "retry_after": retry_after}


class ReportedError(NamedTuple):
    """A failure that a server reported: the class to raise it as, the message, the status and the time to wait."""

    kind: type[DarkAIError]
    message: str
    status: int | None
    retry_after: float | None


def reported_error(
    data: Any, source: str, status: int | None = None, redact: Callable[[str], str] = str
) -> ReportedError:
    """Return what a server reported, from the data of an error event or from the JSON of an HTTP response.

    The members are those of `encode_error`; a plain string, "detail" and "error", which other servers send, are read
    too.

    - `source`: the server's name in the message.
    - `status`: the response's own status, which takes precedence over one in the data; None for an event.
    - `redact`: removes secrets from the server's words; str removes nothing.
    """
    members = data if isinstance(data, dict) else {"message": data}
    message = next((m for m in map(members.get, ("message", "detail", "error")) if isinstance(m, str) and m), None)
    number = status if status is not None else members.get("status")
    number = number if isinstance(number, int) and 400 <= number <= 599 else status
    kind = error_class_for_wire_type(members.get("type")) or (
        error_class_for_status(number) if number is not None else DarkAIAPIError
    )
    seconds = _seconds(members.get("retry_after"))
    reason = f": {excerpt(message, 500, redact)}" if message else ", without saying why"
    return ReportedError(kind, f"{source} reported an error{reason}", number, seconds)


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1e9 else None
