"""What can go wrong in a call, as one tree.

    DarkAIError                        every failure of a call; also langchain_core's ModelError
    ├── DarkAIInvalidRequestError      wrong use, or a 4xx response; also ValueError
    │   └── DarkAIContextOverflowError the prompt is too long for the model
    ├── DarkAIAuthenticationError      401
    ├── DarkAIPermissionDeniedError    403
    ├── DarkAINotFoundError            404
    ├── DarkAIRateLimitError           429; has `retry_after`
    ├── DarkAIAPIError                 5xx, or an error reported during the reply
    │   ├── DarkAIEmptyResponseError   a complete reply without any text
    │   └── DarkAIStreamDecodeError    a reply that is not a DarkAI event stream
    ├── DarkAIToolChoiceError          a forced tool call that the model did not make
    ├── DarkAIRefusalError             a model behind the server refused to answer
    ├── DarkAIConnectionError          refused, reset, DNS, TLS; also ConnectionError
    │   └── DarkAIStreamTruncatedError a reply that ended too early
    └── DarkAITimeoutError             also TimeoutError and ConnectionError

Each class is also the one that langchain_core has for the same condition, so code written for core catches it.
`is_retryable` is True where a retry can help, and nowhere else.
"""

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

__all__ = [
    "DarkAIAPIError",
    "DarkAIAuthenticationError",
    "DarkAIConnectionError",
    "DarkAIContextOverflowError",
    "DarkAIEmptyResponseError",
    "DarkAIError",
    "DarkAIInvalidRequestError",
    "DarkAINotFoundError",
    "DarkAIPermissionDeniedError",
    "DarkAIRateLimitError",
    "DarkAIRefusalError",
    "DarkAIStreamDecodeError",
    "DarkAIStreamTruncatedError",
    "DarkAITimeoutError",
    "DarkAIToolChoiceError",
]


class DarkAIError(ModelError):
    """A call to a DarkAI endpoint failed.

    The message says what happened, at which host, and what to do. The attributes hold plain values, never a response
    object, a prompt or a key.

    Example:
        >>> DarkAIError("it failed", status=500).status
        500
    """

    status: int | None
    """The HTTP status, or None if the failure has none."""

    retry_after: float | None
    """Seconds to wait before a retry, or None if the server named no time."""

    request_id: str | None
    """The server's id of the request, from its `x-request-id` header, or None."""

    partial_text: str
    """The text that arrived before the failure; "" for none."""

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
    """The prompt is too long for the model."""


class DarkAIAuthenticationError(DarkAIError, ModelAuthenticationError):
    """The API key is missing or was rejected (401)."""


class DarkAIPermissionDeniedError(DarkAIError, ModelPermissionDeniedError):
    """The API key is valid but not allowed to do this (403)."""


class DarkAINotFoundError(DarkAIError, ModelNotFoundError):
    """The server has no such endpoint or model (404)."""


class DarkAIRateLimitError(DarkAIError, ModelRateLimitError):
    """The server received too many requests (429). `retry_after` says how long to wait, if the server named a time."""


class DarkAIAPIError(DarkAIError, ModelAPIError):
    """The server failed (5xx), or reported an error during the reply."""


class DarkAIEmptyResponseError(DarkAIAPIError):
    """The reply is complete but has no text at all."""


class DarkAIStreamDecodeError(DarkAIAPIError):
    """The reply is not a DarkAI event stream, is compressed, or is too long. A retry would bring the same."""

    is_retryable = False


class DarkAIToolChoiceError(DarkAIError):
    """The model had to call a tool and did not. Asking it again, up to `max_reasks` times, did not help."""


class DarkAIRefusalError(DarkAIError, ModelRefusalError):
    """The model behind the server refused to answer, and the server reported that as an error."""


class DarkAIConnectionError(DarkAIError, ModelConnectionError, ConnectionError):
    """The server could not be reached, or the connection broke."""


class DarkAIStreamTruncatedError(DarkAIConnectionError):
    """The reply ended before its `stream-end` event. `partial_text` is the text that arrived."""


class DarkAITimeoutError(DarkAIError, ModelTimeoutError, TimeoutError, ConnectionError):
    """The call took longer than its timeout, or the server sent no content for too long.

    It is a ConnectionError too, as the timeouts of aiohttp and requests are: LangGraph's default `RetryPolicy` retries
    a ConnectionError, and passes over every other OSError, which a TimeoutError is.
    """
