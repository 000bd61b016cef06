"""A kit for tests of programs that use this package: a scripted server, faults, a model by a function, recordings.

All of it runs on this machine, on free ports, and needs no network. docs/testing.md shows each part at work. `Recorder`
is loaded when it is first used, because it imports the HTTP client.
"""

from typing import TYPE_CHECKING

from langchain_darkai.testing import faults, wire
from langchain_darkai.testing.cassette import CassetteError
from langchain_darkai.testing.function_model import FunctionChatModel
from langchain_darkai.testing.received import ReceivedCall
from langchain_darkai.testing.replayer import Replayer, ReplayError
from langchain_darkai.testing.replies import reply
from langchain_darkai.testing.scripted_server import ScriptedServer, ScriptError

if TYPE_CHECKING:
    from langchain_darkai.testing.recorder import Recorder

__all__ = [
    "CassetteError",
    "FunctionChatModel",
    "ReceivedCall",
    "Recorder",
    "ReplayError",
    "Replayer",
    "ScriptError",
    "ScriptedServer",
    "faults",
    "reply",
    "wire",
]


def __getattr__(name: str) -> object:
    if name == "Recorder":
        from langchain_darkai.testing.recorder import Recorder

        return Recorder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
