"""LangChain chat model for the DarkAI chat API, with the server to run it on."""

import importlib
from typing import TYPE_CHECKING

from langchain_darkai._version import __version__

if TYPE_CHECKING:
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

_MODULES = ("chat_models", "client", "errors", "prompts", "protocol", "transport")
"""Modules that are attributes of the package without an import of their own."""

if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name: str) -> object:
        # Imported with the first use: the command's help and version need none of it, and langchain_core takes long.
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name in __all__:
            own = {"ChatDarkAI": "chat_models", "DarkAI": "client", "format_prompt": "prompts"}
            value = getattr(importlib.import_module(f"{__name__}.{own.get(name, 'errors')}"), name)
            globals()[name] = value
            return value
        if name in _SERVER_NAMES:
            # An AttributeError would be replaced by an ImportError that says nothing of this.
            raise ImportError(f"{name} is in another module; write: from langchain_darkai.server import {name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_MODULES})
