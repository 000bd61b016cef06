"""LangChain chat model for the DarkAI chat API, with the server to run it on."""

from typing import TYPE_CHECKING

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

_SERVER_NAMES = (
    "BackendLimits",
    "LocalServer",
    "OfflineChatModel",
    "ServerOperations",
    "ServerTimeouts",
    "app",
    "create_app",
    "serve",
)

if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name: str) -> object:
        if name in _SERVER_NAMES:
            # An AttributeError would be replaced by an ImportError that says nothing of this.
            raise ImportError(f"{name} is in another module; write: from langchain_darkai.server import {name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
