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

_SERVER_NAMES = ("LocalServer", "OfflineChatModel", "ServerTimeouts", "create_app", "serve")

if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name: str) -> object:
        if name not in _SERVER_NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import dis
        import inspect

        hint = f"{name} is in another module; write: from langchain_darkai.server import {name}"
        # `hasattr` and `getattr` need an AttributeError, in place of which `from langchain_darkai import NAME` would
        # raise an ImportError that says nothing of this. No error can be both.
        here = inspect.currentframe()
        caller = here and here.f_back
        if caller and caller.f_code.co_code[caller.f_lasti] == dis.opmap["IMPORT_FROM"]:
            raise ImportError(hint)
        raise AttributeError(hint)
