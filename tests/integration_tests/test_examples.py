"""The examples run as newcomers start them. Those that need Ray, Dask, FastAPI, Streamlit or MCP run elsewhere.

`make test-examples` runs those, in an environment of their own: examples/tests/.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_darkai.server import LocalServer
from tests.support.models import scripted

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))

RUNS = {
    "rag.py": """\
The answer that I got from search_handbook: Shipping takes two days. It is free for orders above 50 euros.
Source: shipping.md
""",
    "agent_memory.py": """\
monday: My name is Ada. Save the note 'likes green tea'.
    The answer that I got from save_note: saved.
monday: What is my name?
    Your name is Ada. You told me so earlier in this conversation.
tuesday: What is my name?
    You have not told me your name yet. Say “My name is ...” and ask me again.
tuesday: Read the notes about me.
    The answer that I got from read_notes: likes green tea.
""",
    "human_in_the_loop.py": """\
refund({'order': 17, 'amount': 20})? y, or why not:
The answer that I got from refund: 20.00 euros were paid back for order 17.
""",
}
"""What each prints, where the human types y."""


def output_of(script: str, typed: str, *arguments: str, base_url: str = "") -> str:
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *arguments],
        input=typed,
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        check=False,
        env={
            **os.environ,
            "DARKAI_BASE_URL": base_url,
            "PYTHONIOENCODING": "utf-8",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("script", RUNS)
def test_an_example_prints_what_it_should(script: str) -> None:
    assert output_of(script, "y\n") == RUNS[script]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_human_decides_about_each_call() -> None:
    request = "Refund order 17 with an amount of 20, and refund order 18 with an amount of 90"
    assert output_of("human_in_the_loop.py", "y\ntoo much\n", request) == (
        "refund({'order': 17, 'amount': 20})? y, or why not:\n"
        "refund({'order': 18, 'amount': 90})? y, or why not:\n"
        "The answer that I got from refund (17, 20): 20.00 euros were paid back for order 17. "
        "I could not find out, because refund (18, 90) failed: refused by a human: too much.\n"
    )


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("script", RUNS)
def test_an_example_uses_the_server_that_is_named(script: str) -> None:
    model = scripted("All is well.")
    with LocalServer(model) as server:
        assert "All is well." in output_of(script, "", base_url=server.url)
    assert model.asked


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_an_example_says_how_it_is_used(script: Path) -> None:
    described = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    assert re.findall(r"^(Install|Start|Prints): ", described, re.MULTILINE) == ["Install", "Start", "Prints"]
    assert f"examples/{script.name}" in described


def test_every_example_is_run_and_in_the_index() -> None:
    names = {path.name for path in SCRIPTS}
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (FOLDER / "tests").glob("test_*.py"))
    started_by_another = {"mcp_orders.py"}
    assert {name for name in names if f'"{name}"' in tests} | set(RUNS) | started_by_another == names
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+\.py)\)", index)) == names
