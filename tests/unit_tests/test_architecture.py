"""The architecture page names files and functions that exist."""

import ast
import re
from pathlib import Path

import pytest

import langchain_darkai

PACKAGE = Path(langchain_darkai.__file__).parent
PAGE = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "`" in line]
FILES = sorted(set(re.findall(r"`([\w/]+\.py)`", PAGE)))
FUNCTIONS = [
    (file.strip("`"), name)
    for _, file, *functions in ROWS
    for names in functions
    for name in re.findall(r"`(\w+)`", names)
]


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_the_page_names_exists(file: str) -> None:
    assert (PACKAGE / file).is_file()


@pytest.mark.parametrize("folder", sorted(set(re.findall(r"`([\w]+)/`", PAGE))))
def test_a_folder_that_the_page_names_exists(folder: str) -> None:
    assert (PACKAGE / folder).is_dir()


@pytest.mark.parametrize(("file", "function"), FUNCTIONS)
def test_a_function_that_the_page_names_is_in_its_file(file: str, function: str) -> None:
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    assert function in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_folder_and_module_with_a_job_of_its_own_is_on_the_page() -> None:
    top = {path.name for path in PACKAGE.glob("*.py")} - {
        "__init__.py",
        "_version.py",
        "_closable.py",
        "_compat.py",
        "_text.py",
        "_validation.py",
        "__main__.py",
    }
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {name for name in top if name not in PAGE} == set()
    assert {name for name in folders if f"{name}/" not in PAGE} == set()
    assert len(FUNCTIONS) > 15
