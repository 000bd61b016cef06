"""What tests of all kinds share: a clean environment, a scripted server, and a way to call by each entry point."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from langchain_darkai import ChatDarkAI
from langchain_darkai.testing import ScriptedServer
from langchain_darkai.testing.scripted_server import Reply
from tests.support.asker import ENTRIES, Asker, ModelOf, Serve


def pytest_configure() -> None:
    """Let property tests take their time on a busy machine, and let the programs that tests start see Ctrl+C.

    A shell starts its background jobs with Ctrl+C ignored. What a job starts inherits that, also where the job is us.
    """
    hypothesis.settings.register_profile("patient", parent=hypothesis.settings(), deadline=None)
    hypothesis.settings.load_profile("patient")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the property tests as slow, each of which tries hundreds of examples. Others are marked where they stand."""
    for item in items:
        if hasattr(getattr(item, "obj", None), "hypothesis"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep settings and proxies of the machine, and tracing, out of the tests."""
    names = ("DARKAI_BASE_URL", "DARKAI_API_KEY", "DARKAI_PROXY", "LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2")
    for name in (*names, "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start scripted servers, which end with the test; each repeats its last reply and keeps connections."""
    with contextlib.ExitStack() as running:

        def start(*scripts: Reply) -> ScriptedServer:
            return running.enter_context(ScriptedServer(*scripts, repeat_last=True, keep_alive=True))

        yield start


@pytest.fixture(params=ENTRIES)
def ask(request: pytest.FixtureRequest) -> Asker:
    """Run the test once by each of invoke, ainvoke, stream and astream."""
    return Asker(request.param)


@pytest.fixture
def model_of() -> ModelOf:
    """Make a model of a scripted server that fails at once instead of trying again."""

    def make(server: ScriptedServer, **settings: Any) -> ChatDarkAI:
        return ChatDarkAI(**{"base_url": server.url, "max_retries": 0, "timeout": 10.0, **settings})

    return make
