"""What can go wrong in a call, as one tree.

    DarkAIError                        every failure of a call; also langchain_core's ModelError
    ├── DarkAIInvalidRequestError      misuse, or a 4xx answer; also ValueError
    │   └── DarkAIContextOverflowError the prompt is longer than the model reads
    ├── DarkAIAuthenticationError      401
    ├── DarkAIPermissionDeniedError    403
    ├── DarkAINotFoundError            404
    ├── DarkAIRateLimitError           429; has `retry_after`
    ├── DarkAIAPIError                 5xx, or a failure reported amid the reply
    │   ├── DarkAIEmptyResponseError   a complete reply without any content
    │   └── DarkAIStreamDecodeError    a reply that is not the protocol
    ├── DarkAIToolChoiceError          a forced tool call that the model never made
    ├── DarkAIConnectionError          refused, reset, DNS, TLS; also ConnectionError
    │   └── DarkAIStreamTruncatedError a reply that ended too early
    └── DarkAITimeoutError             also TimeoutError

Each is also the class that langchain_core names for its condition, so code written against core catches it.
`is_retryable` is True exactly where asking again can help.
"""

from typing import Any

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


class DarkAIError(ModelError):
    """A call to a DarkAI endpoint failed.

    Attributes hold plain values only, never a response object, a prompt or a key:

    - `status`: the HTTP status, or None where the failure has none.
    - `retry_after`: seconds to wait before asking again, or None where the server did not say.
    - `request_id`: the server's name for the request, or None.
    - `partial_text`: the text that had arrived before the failure, "" for none.

    Example:
        >>> DarkAIError("it failed", status=500).status
        500
    """

    status: int | None
    retry_after: float | None
    request_id: str | None
    partial_text: str

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        partial_text: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id
        self.partial_text = partial_text


class DarkAIInvalidRequestError(DarkAIError, ModelInvalidRequestError, ValueError):
    """The request cannot be sent as it is, or the server refused it (4xx)."""


class DarkAIContextOverflowError(DarkAIInvalidRequestError, ContextOverflowError):
    """The prompt is longer than the model can read."""


class DarkAIAuthenticationError(DarkAIError, ModelAuthenticationError):
    """The server wants a key, or another one (401)."""


class DarkAIPermissionDeniedError(DarkAIError, ModelPermissionDeniedError):
    """The key is known and may not do this (403)."""


class DarkAINotFoundError(DarkAIError, ModelNotFoundError):
    """The server has no such endpoint or model (404)."""


class DarkAIRateLimitError(DarkAIError, ModelRateLimitError):
    """Too many requests (429); `retry_after` says how long to wait, where the server did."""


class DarkAIAPIError(DarkAIError, ModelAPIError):
    """The server failed (5xx), or reported a failure in the middle of its reply."""


class DarkAIEmptyResponseError(DarkAIAPIError):
    """The reply is complete and has no content at all."""


class DarkAIStreamDecodeError(DarkAIAPIError):
    """The reply is not the DarkAI event stream; asking again would bring the same."""

    is_retryable = False


class DarkAIToolChoiceError(DarkAIError):
    """The model was told to call a tool, was asked again, and still did not."""


class DarkAIConnectionError(DarkAIError, ModelConnectionError, ConnectionError):
    """The server could not be reached, or the connection to it broke."""


class DarkAIStreamTruncatedError(DarkAIConnectionError):
    """The reply ended before its `stream-end` event; `partial_text` is what had come."""


class DarkAITimeoutError(DarkAIError, ModelTimeoutError, TimeoutError):
    """The server took longer than the call allows."""


_BY_STATUS: dict[int, type[DarkAIError]] = {
    401: DarkAIAuthenticationError,
    403: DarkAIPermissionDeniedError,
    404: DarkAINotFoundError,
    408: DarkAITimeoutError,
    429: DarkAIRateLimitError,
}


def error_class_for_status(status: int) -> type[DarkAIError]:
    """Return the error class of an HTTP status that is not a success.

    408 is a timeout; 4xx without a class of its own is an invalid request; all else, 3xx and 5xx, is the server's
    failure.

    Example:
        >>> error_class_for_status(429).__name__
        'DarkAIRateLimitError'
    """
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return DarkAIInvalidRequestError if 400 <= status < 500 else DarkAIAPIError


_HINTS: dict[type[DarkAIError], str] = {
    DarkAIContextOverflowError: "The prompt is too long for this model; send less.",
    DarkAIAuthenticationError: "Set api_key, or DARKAI_API_KEY, to a key that this server knows.",
    DarkAIPermissionDeniedError: "The key may not use this; ask the server's owner.",
    DarkAINotFoundError: "Check base_url and the model's name.",
    DarkAIRateLimitError: "Wait, or ask more slowly.",
    DarkAITimeoutError: "Ask again.",
}


def hint_for(kind: type[DarkAIError]) -> str:
    """Return what to do about an error that a server reported.

    Example:
        >>> hint_for(DarkAIRateLimitError)
        'Wait, or ask more slowly.'
    """
    return _HINTS.get(kind) or ("Ask again later." if kind.is_retryable else "Check the request.")


# How a core error travels through the local server: the HTTP status that names it, most specific class first.
_STATUS_OF: tuple[tuple[type[BaseException], int], ...] = (
    (ContextOverflowError, 400),
    (ModelAuthenticationError, 401),
    (ModelPermissionDeniedError, 403),
    (ModelNotFoundError, 404),
    (ModelRateLimitError, 429),
    (ModelTimeoutError, 504),
    (ModelConnectionError, 502),
    (ModelInvalidRequestError, 400),
)


def status_for_error(error: BaseException) -> int:
    """Return the HTTP status by which an error is reported: its own, else that of its class, else 500.

    Example:
        >>> status_for_error(DarkAIRateLimitError("slow down"))
        429
    """
    own = error.status if isinstance(error, DarkAIError) else None
    if own is not None and 400 <= own <= 599:
        return own
    return next((status for kind, status in _STATUS_OF if isinstance(error, kind)), 500)


def wire_error_type(error: BaseException) -> str:
    """Return the name of an error on the wire: the langchain_core class it is, e.g. `ModelRateLimitError`."""
    kinds = (*(kind for kind, _ in _STATUS_OF), ModelAPIError, ModelError)
    return next((kind.__name__ for kind in kinds if isinstance(error, kind)), "ModelAPIError")


_BY_WIRE_TYPE: dict[str, type[DarkAIError]] = {
    "ContextOverflowError": DarkAIContextOverflowError,
    "ModelAuthenticationError": DarkAIAuthenticationError,
    "ModelPermissionDeniedError": DarkAIPermissionDeniedError,
    "ModelNotFoundError": DarkAINotFoundError,
    "ModelRateLimitError": DarkAIRateLimitError,
    "ModelTimeoutError": DarkAITimeoutError,
    "ModelConnectionError": DarkAIConnectionError,
    "ModelInvalidRequestError": DarkAIInvalidRequestError,
    "ModelAPIError": DarkAIAPIError,
    "ModelError": DarkAIError,
}


def error_class_for_wire_type(name: Any) -> type[DarkAIError] | None:
    """Return the error class that a server names in an error body or event, or None for a name of its own."""
    return _BY_WIRE_TYPE.get(name) if isinstance(name, str) else None
