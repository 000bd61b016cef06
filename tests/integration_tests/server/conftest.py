"""What the tests of the server share."""

import gc
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser

from langchain_darkai.server import LocalServer
from tests.support.browser import Chat, OpenPage, chromium_path, running_chromium


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


@pytest.fixture(scope="module")  # other modules run event loops of their own in this thread
def browser() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        pytest.skip("there is no Chromium")  # `make test` says so
    with running_chromium(path) as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open pages; at the end, nothing may have gone wrong in any of them."""
    with ExitStack() as running:
        chats: list[Chat] = []

        def open_chat(model: Any, *, context: dict[str, Any] | None = None, **options: Any) -> Chat:
            server = running.enter_context(LocalServer(model, **options))
            chats.append(Chat(running.enter_context(browser.new_context(**(context or {}))), server.url))
            return chats[-1]

        yield open_chat
        for chat in chats:
            chat.check()
