"""A local server that speaks the DarkAI chat API over any LangChain chat model, and a model that needs no network."""

from langchain_darkai.offline.model import OfflineChatModel
from langchain_darkai.server.app import create_app
from langchain_darkai.server.environment import app
from langchain_darkai.server.limits import BackendLimits
from langchain_darkai.server.local import LocalServer
from langchain_darkai.server.operations import ServerOperations
from langchain_darkai.server.runner import serve
from langchain_darkai.server.timeouts import ServerTimeouts

__all__ = [
    "BackendLimits",
    "LocalServer",
    "OfflineChatModel",
    "ServerOperations",
    "ServerTimeouts",
    "app",
    "create_app",
    "serve",
]
