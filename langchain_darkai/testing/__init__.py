"""A kit for tests of programs that use this package: a scripted server, faults, a model by a function, recordings."""

from langchain_darkai.testing import faults, wire
from langchain_darkai.testing.received import ReceivedCall
from langchain_darkai.testing.replies import reply
from langchain_darkai.testing.scripted_server import ScriptedServer, ScriptError

__all__ = ["ReceivedCall", "ScriptError", "ScriptedServer", "faults", "reply", "wire"]
