"""LangChain chat model for the DarkAI chat API, with the server to run it on."""

from langchain_darkai._version import __version__
from langchain_darkai.chat_models import ChatDarkAI
from langchain_darkai.client import DarkAI
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIConnectionError,
    DarkAIContextOverflowError,
    DarkAIEmptyResponseError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAINotFoundError,
    DarkAIPermissionDeniedError,
    DarkAIRateLimitError,
    DarkAIRefusalError,
    DarkAIStreamDecodeError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
    DarkAIToolChoiceError,
)
from langchain_darkai.prompts import format_prompt

__all__ = [
    "ChatDarkAI",
    "DarkAI",
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
    "__version__",
    "format_prompt",
]
