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
