"""No unit test opens a socket; what the network would bring is scripted one layer above it."""

from collections.abc import Iterator

import pytest
import pytest_socket

from tests.support.scripted_transport import ScriptedTransport


@pytest.fixture(autouse=True)
def _no_sockets() -> Iterator[None]:
    # An event loop wakes itself by a pair of Unix sockets, which reach nobody else.
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.fixture
def api() -> ScriptedTransport:
    return ScriptedTransport()
