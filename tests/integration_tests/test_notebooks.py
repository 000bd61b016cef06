"""The notebooks run, each in a fresh kernel and an empty folder, and give the outputs that are kept in them.

A cell that begins with %pip installs what is here already, so it does not run, but what it names must be all that the
notebook imports. What a language model writes is not compared, in cells that say so. A notebook with weights that are
not installed is left out, as are the tests with them.
"""

import ast
import contextlib
import os
import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.engine import small_weights

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.slow

CELL_SECONDS = 100  # a language model on a busy machine
INSTALLS = "%pip "
WITH_WEIGHTS = "real_model.ipynb"
DIFFERS = "# The words differ between machines."
VARYING = {
    r"lc_run-[\w-]+|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b": "ID",
    r"127\.0\.0\.1:\d{4,5}\b": "127.0.0.1:PORT",
    r"\b\d+(?:\.\d+)? (?:s|ms|seconds)\b": "TIME",
}


def test_the_docs_link_to_all_notebooks() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\(\.\./notebooks/([^)]+)\)", index)
    assert sorted(linked) == [path.name for path in NOTEBOOKS]
    assert "chat.ipynb" in linked


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_gives_the_outputs_that_it_keeps(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = read(path)
    if path.name == WITH_WEIGHTS and small_weights() is None:
        pytest.skip("there is no engine")  # `make test` says so
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    run = read(path)
    for cell in code_cells(run):
        cell.outputs = []
        if cell.source.startswith(INSTALLS):
            cell.source = "# It is here."
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
def test_a_notebook_first_installs_what_it_imports(path: Path) -> None:
    cells = [cell.source for cell in code_cells(read(path))]
    lines = cells[0].splitlines()
    assert all(line.startswith(INSTALLS) for line in lines)
    assert not [source for source in cells[1:] if INSTALLS in source]
    named = [name for line in lines for name in installed_by(line)]
    assert named[0] == "langchain-darkai"
    installed = {each for name in named for each in with_requirements(name)}
    distributions = packages_distributions()
    for module in modules_of("\n".join(cells[1:])) - sys.stdlib_module_names - {"langchain_darkai"}:
        assert installed & {canonicalize_name(name) for name in distributions.get(module, [module])}, module


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_links_of_a_notebook_lead_to_files_and_headings_and_to_all_notebooks(path: Path) -> None:
    targets = [target.partition("#") for target in re.findall(r"\]\(([^)\s]+)\)", words_of(path))]
    for name, _, heading in targets:
        if name.startswith("https://"):
            continue
        linked = path.parent / name if name else path
        assert linked.is_file(), name
        assert not heading or heading in headings_of(linked)
    assert {other.name for other in NOTEBOOKS} - {path.name} <= {name for name, _, _ in targets}


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def words_of(path: Path) -> str:
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def headings_of(path: Path) -> set[str]:
    return {title.replace(" ", "-") for title in re.findall(r"^#+ (.*)$", words_of(path), re.MULTILINE)}


def installed_by(line: str) -> list[str]:
    """Return the names of the distributions that a `%pip install` names."""
    words = [word for word in shlex.split(line)[2:] if not word.startswith("-")]
    return [word.rpartition("/")[2] if word.startswith("git+") else Requirement(word).name for word in words]


def with_requirements(name: str) -> set[str]:
    """Return the names of a distribution and of all that it requires, without its extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        with contextlib.suppress(PackageNotFoundError):  # a requirement for other machines
            required = [Requirement(line) for line in requires(name) or []]
            waiting += [each.name for each in required if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def modules_of(source: str) -> set[str]:
    """Return the first parts of the names of all modules that are imported, or looked for."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names} | set(re.findall(r'find_spec\("(\w+)"\)', source))


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(cell: Any) -> list[tuple[str, str]]:
    """Return the outputs of a cell, (kind, text) each: pieces of a stream joined, and without what varies."""
    found: list[tuple[str, str]] = []
    if cell.source.startswith(DIFFERS):
        return [("stream", "written")] if any(output.get("text", "").strip() for output in cell.outputs) else []
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
