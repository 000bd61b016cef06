"""A chat model of rules, for demos, notebooks and tests on a machine with no network and no weights."""

from langchain_darkai.offline.model import OfflineChatModel

__all__ = ["OfflineChatModel"]
