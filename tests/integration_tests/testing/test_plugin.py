"""The pytest plugin, as the package declares it: its fixtures, its cost, and its company."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_darkai.testing import ScriptedServer
from langchain_darkai.testing.cassette import load
from tests.support.sources import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]  # each starts processes


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder with the entry point as pip writes it, so that the tests need no installation of their own."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = project.split("[project.entry-points.pytest11]\n")[1].split("\n[")[0]
    folder = tmp_path / "installed"
    metadata = folder / "of_the_test-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: of-the-test\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[pytest11]\n" + re.sub('"', "", declared))
    return folder


def run_pytest(installed: Path, tests: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run tests in a folder of their own, with the plugins that are named and no others."""
    folder = installed.parent / "suite"
    folder.mkdir(exist_ok=True)
    (folder / "test_agent.py").write_text(tests, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "langchain_darkai", "-p", "no:cacheprovider", "-q", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        },
        capture_output=True,
        text=True,
        timeout=70,
        check=False,
    )


def outcome(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the counts in the last line."""
    return done.stdout.strip().splitlines()[-1].partition(" in ")[0]


FIXTURES = """
import pytest
from langchain_darkai.testing import faults, reply

def test_plain(darkai_server, darkai_model):
    darkai_server.add(reply("Hello"))
    assert darkai_model.invoke("Hi").text == "Hello"
    assert darkai_server.calls[0].messages[0].text == "Hi"

@pytest.mark.asyncio
async def test_by_asyncio(darkai_server, darkai_model):
    darkai_server.add("Hello")
    assert (await darkai_model.ainvoke("Hi")).text == "Hello"

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_by_anyio(darkai_server, darkai_model):
    darkai_server.add("Hello")
    assert [chunk.text async for chunk in darkai_model.astream("Hi")][0] == "Hello"

@pytest.mark.parametrize("number", range(4))
def test_many(darkai_server, darkai_model, number):
    darkai_server.add(f"reply {number}")
    assert darkai_model.invoke("Hi").text == f"reply {number}"

def test_too_many(darkai_server, darkai_model):
    with pytest.raises(ValueError):
        darkai_model.invoke("Hi")
"""


def test_the_fixtures_work_with_asyncio_anyio_and_xdist(installed: Path) -> None:
    company = ("-p", "pytest_asyncio.plugin", "-p", "anyio", "-p", "xdist.plugin", "-n", "2", "-W", "error")
    scope = "asyncio_default_fixture_loop_scope=function"
    done = run_pytest(installed, FIXTURES, *company, "--strict-markers", "-o", scope)
    assert outcome(done) == "8 passed, 1 error", done.stdout + done.stderr
    assert "Request 1 was one too many: the script has 0 replies" in done.stdout


REPLAYED = """
import pytest
from langchain_darkai import ChatDarkAI

def test_hello(darkai_replay):
    assert ChatDarkAI(base_url=darkai_replay.url, max_retries=0).invoke("Hi").text == "Hello"

class TestIt:
    @pytest.mark.darkai_cassette("own.yaml", repeat_last=True)
    @pytest.mark.parametrize("said", ["a/b"])
    def test_more(self, darkai_replay, said):
        for _ in range(2):
            assert ChatDarkAI(base_url=darkai_replay.url, max_retries=0).invoke(said).text == "Hello"
"""


def test_a_recording_is_made_and_answered_from(installed: Path) -> None:
    with ScriptedServer(rule=lambda _: "Hello") as server:
        recorded = run_pytest(installed, REPLAYED, f"--darkai-record={server.url}", "--strict-markers")
        assert outcome(recorded) == "2 passed", recorded.stdout
        assert len(server.calls) == 3
    suite = installed.parent / "suite"
    assert len(load(suite / "recordings" / "test_agent" / "test_hello.yaml")) == 1
    assert len(load(suite / "own.yaml")) == 2
    changed = run_pytest(installed, REPLAYED.replace('"Hi"', '"Hello there"'))
    assert outcome(changed) == "1 failed, 1 passed, 1 error"
    assert "-  query: Hi" in changed.stdout
    assert "+  query: Hello there" in changed.stdout


UNUSED = """
import sys

def test_nothing_is_imported(pytestconfig):
    assert pytestconfig.pluginmanager.has_plugin("langchain_darkai")
    heavy = {"langchain_darkai", "langchain_core", "pydantic", "aiohttp", "asyncio", "yaml"}
    assert heavy & sys.modules.keys() == set()
"""


def test_a_run_that_does_not_use_it_imports_nothing_for_it(installed: Path) -> None:
    done = run_pytest(installed, UNUSED)
    assert outcome(done) == "1 passed", done.stdout + done.stderr


def test_it_is_in_what_pip_installs() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wheel = project.split("[tool.hatch.build.targets.wheel]\n")[1].split("\n[")[0]
    [module] = re.findall(r'^langchain_darkai = "(\w+)"$', project.split("[project.entry-points.pytest11]\n")[1], re.M)
    assert f'"{module}.py"' in wheel
    assert (ROOT / f"{module}.py").is_file()
