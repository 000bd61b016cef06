"""The pytest plugin of langchain-darkai: fixtures for tests that need no network. docs/testing.md shows them.

pytest loads this in each run, also where no test uses it. So it is no part of the package, and imports that only when a
fixture is asked for. `-p no:langchain_darkai` leaves it out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from langchain_darkai import ChatDarkAI
    from langchain_darkai.testing import Recorder, Replayer, ScriptedServer

__all__ = ["darkai_model", "darkai_replay", "darkai_server"]

_MARKER = (
    "darkai_cassette(path, **options): the recording that darkai_replay answers from, relative to the test's file, and "
    "options of Replayer; by default recordings/<module>/<test>.yaml"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that makes recordings."""
    parser.getgroup("langchain_darkai").addoption(
        "--darkai-record",
        metavar="URL",
        help="let darkai_replay pass the calls on to the server at this URL, and record what comes of them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def darkai_server() -> Iterator[ScriptedServer]:
    """A `ScriptedServer` without replies, for the test to `add` some. A call too many is an error of the test."""
    from langchain_darkai.testing import ScriptedServer

    with ScriptedServer() as server:
        yield server


@pytest.fixture
def darkai_model(darkai_server: ScriptedServer) -> ChatDarkAI:
    """A `ChatDarkAI` of `darkai_server` that fails at once instead of trying again."""
    from langchain_darkai import ChatDarkAI

    return ChatDarkAI(base_url=darkai_server.url, max_retries=0)


@pytest.fixture
def darkai_replay(request: pytest.FixtureRequest) -> Iterator[Replayer | Recorder]:
    """A `Replayer` of the test's recording; with `--darkai-record`, a `Recorder` that makes it."""
    marker = request.node.get_closest_marker("darkai_cassette")
    path = request.path.parent / (marker.args[0] if marker and marker.args else _default_path(request))
    options = dict(marker.kwargs) if marker else {}
    with _source_at(path, request.config.getoption("--darkai-record"), options) as source:
        yield source


def _default_path(request: pytest.FixtureRequest) -> str:
    _, *names = request.node.nodeid.split("::")
    name = re.sub(r"[^\w.-]+", "-", ".".join(names))
    return f"recordings/{request.path.stem}/{name}.yaml"


def _source_at(path: Path, url: str | None, options: dict[str, Any]) -> Replayer | Recorder:
    from langchain_darkai.testing import Recorder, Replayer

    if url is None:
        return Replayer(path, **options)
    return Recorder(url, path, secrets=options.get("secrets", ()))
