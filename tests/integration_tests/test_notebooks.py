"""The notebooks run, each in a fresh kernel and an empty folder, and give the outputs that are kept in them."""

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.slow

CELL_SECONDS = 40
VARYING = {
    r"lc_run-[\w-]+|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b": "ID",
    r"127\.0\.0\.1:\d{4,5}\b": "127.0.0.1:PORT",
    r"\b\d+(?:\.\d+)? (?:s|ms|seconds)\b": "TIME",
}


def test_there_are_notebooks() -> None:
    assert "chat.ipynb" in [path.name for path in NOTEBOOKS]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_gives_the_outputs_that_it_keeps(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    kept = read(path)
    run = read(path)
    for cell in code_cells(run):
        cell.outputs = []
    work = tmp_path / "work"
    work.mkdir()
    NotebookClient(
        run, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    ).execute()
    assert [outputs(cell) for cell in code_cells(run)] == [outputs(cell) for cell in code_cells(kept)]
    assert any(outputs(cell) for cell in code_cells(kept))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_keeps_nothing_of_the_run_but_its_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert [cell.metadata for cell in notebook.cells] == [{}] * len(notebook.cells)
    assert not [output for cell in code_cells(notebook) for output in cell.outputs if output.output_type == "error"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_uses_public_modules_only(path: Path) -> None:
    private = re.compile(r"\blangchain_darkai\.(?:\w+\.)*_\w+")
    assert [found for cell in code_cells(read(path)) for found in private.findall(cell.source)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_links_of_a_notebook_lead_to_files_and_headings(path: Path) -> None:
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    headings = {title.replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("https://"):
            assert (path.parent / target).is_file(), target


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(cell: Any) -> list[tuple[str, str]]:
    """Return the outputs of a cell, (kind, text) each: pieces of a stream joined, and without what varies."""
    found: list[tuple[str, str]] = []
    for output in cell.outputs:
        streamed = output.output_type == "stream"
        kind = output.name if streamed else output.output_type
        text = output.text if streamed else output.get("data", {}).get("text/plain", "")
        if streamed and found and found[-1][0] == kind:
            text = found.pop()[1] + text
        found.append((kind, text))
    return [(kind, without_what_varies(text)) for kind, text in found]


def without_what_varies(text: str) -> str:
    for pattern, name in VARYING.items():
        text = re.sub(pattern, name, text)
    return text
