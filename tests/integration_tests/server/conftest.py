"""What the tests of the server share."""

import gc
import threading
from collections.abc import Iterator

import psutil
import pytest

from langchain_darkai.server import LocalServer


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No test leaves a thread or a descriptor, but for the loop that all servers share."""
    LocalServer().start().stop()
    gc.collect()
    threads, descriptors = set(threading.enumerate()), psutil.Process().num_fds()
    yield
    gc.collect()
    assert set(threading.enumerate()) <= threads
    assert psutil.Process().num_fds() <= descriptors
