"""Rules for every source file: its length, its depth, what it documents, and the private names that it may use."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sources import NAME, PACKAGE, ROOT, SOURCES, imports, tree

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40  # without the signature and the docstring
MAX_DEPTH = 4  # of compound statements in each other, in a function

PRIVATE_API = f"{NAME}._http.private_api"
FOREIGN_PRIVATE_NAMES = {
    "__kwdefaults__",
    "_in_shutdown",
    "_acquired",
    "_conns",
    "_read_nowait",
    "_sock",
    "_ssl_protocol",
    "_transport",
    "re._parser",
    "sre_parse",
}

COMPOUND = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
Function = ast.FunctionDef | ast.AsyncFunctionDef

PUBLIC_MODULES = [module for module in SOURCES if "._" not in module]
PRIVATE_FOLDERS = sorted(path for path in PACKAGE.rglob("_*") if path.is_dir() and path.name != "__pycache__")


def functions(path: Path) -> Iterator[Function]:
    """Yield the functions of a file, and those within them, too."""
    yield from (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def body_lines(function: Function) -> int:
    """Return how many lines the body of a function has after its docstring."""
    body = function.body if ast.get_docstring(function) is None else function.body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def depth(node: ast.AST) -> int:
    """Return how deep compound statements lie in each other below a node; an `elif` is no deeper than its `if`."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child.col_offset == node.col_offset
        deepest = max(deepest, depth(child) + (isinstance(child, COMPOUND) and not is_elif))
    return deepest


def foreign_private_names(path: Path) -> set[str]:
    """Return the private names of aiohttp and Python that a file uses as attributes, in strings or in imports."""
    used = imports(path)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            used |= {node.attr, ast.unparse(node)}
        elif isinstance(node, ast.Constant):
            used.add(str(node.value))
    return used & FOREIGN_PRIVATE_NAMES


@pytest.mark.parametrize("module", SOURCES)
def test_no_file_is_too_long(module: str) -> None:
    lines = SOURCES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_FILE_LINES


@pytest.mark.parametrize("module", SOURCES)
def test_no_function_is_too_long(module: str) -> None:
    lines = {function.name: body_lines(function) for function in functions(SOURCES[module])}
    assert {name: count for name, count in lines.items() if count > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("module", SOURCES)
def test_no_function_is_too_deep(module: str) -> None:
    depths = {function.name: depth(function) for function in functions(SOURCES[module])}
    assert {name: levels for name, levels in depths.items() if levels > MAX_DEPTH} == {}


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_a_public_module_says_what_it_is_and_which_names_are_public(module: str) -> None:
    source = tree(SOURCES[module])
    assert ast.get_docstring(source)
    assigned = {
        target for node in source.body if isinstance(node, ast.Assign) for target in map(ast.unparse, node.targets)
    }
    assert "__all__" in assigned


@pytest.mark.parametrize("folder", PRIVATE_FOLDERS, ids=lambda folder: folder.name)
def test_a_private_folder_imports_nothing_by_itself(folder: Path) -> None:
    assert (folder / "__init__.py").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("module", [module for module in SOURCES if module != PRIVATE_API])
def test_private_names_of_others_are_used_in_one_file_only(module: str) -> None:
    assert foreign_private_names(SOURCES[module]) == set()


@pytest.mark.parametrize("folder", ["tests", "soak", "evals"])
def test_helpers_are_not_imported_from_tests(folder: str) -> None:
    imported = {name for path in (ROOT / folder).rglob("*.py") for name in imports(path)}
    of_tests = {name for name in imported if name.startswith("tests.")}
    assert {name for name in of_tests if not name.startswith("tests.support")} == set()
