"""The house: what may import what, what an import costs, and which names are public."""

import inspect
import subprocess
import sys

import pytest

import langchain_darkai
from langchain_darkai import errors
from tests.support.sources import NAME, PACKAGE, ROOT, SOURCES, imports

PURE = ("errors", "_text", "protocol", "prompts", "_prompts", "_json", "_tool_calls", "_structured_output")

# The layers, from the bottom up. A name is a module, or a folder with all that is in it. A module imports from lower
# layers and from its own folder, never from a layer above or from its neighbours.
LAYERS = (
    ("_compat", "_version"),
    ("_causes", "_closable", "_text", "_threads", "errors"),
    ("_validation", "protocol", "_json", "_prompts"),
    ("prompts",),
    ("transport",),
    ("_log",),
    ("_http", "_limits", "_portal"),
    ("_retry",),
    ("client",),
    ("_settings", "_tool_calls"),
    ("_structured_output",),
    ("_generation",),
    ("_gateway",),
    ("chat_models",),
    ("offline", "bulk"),
    ("server",),
    ("testing",),
    ("cli",),
    ("__main__",),
)
LAYER = {f"{NAME}.{name}": height for height, names in enumerate(LAYERS) for name in names}
PUBLIC = {"ChatDarkAI", "DarkAI", "format_prompt", "__version__"} | {
    name for name, kind in vars(errors).items() if inspect.isclass(kind) and kind.__module__ == errors.__name__
}


def run(code: str) -> str:
    """Run code in a fresh interpreter; return what it prints, and fail with its traceback where it fails."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


IMPORT_EACH_ANEW = f"""
import importlib, sys
for module in {sorted(SOURCES)}:
    for loaded in [name for name in sys.modules if name.partition(".")[0] == {NAME!r}]:
        del sys.modules[loaded]
    importlib.import_module(module)
    print(module)
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", [module for module in SOURCES if "._" not in module and module.count(".") < 2])
def test_a_module_imports_alone(module: str) -> None:
    assert run(f"import sys, {module}; print({module!r} in sys.modules)") == "True"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_module_imports_before_the_others() -> None:
    assert run(IMPORT_EACH_ANEW).split() == sorted(SOURCES)


# What stands under langchain_core opens a socket of its own: urllib3 tries whether there is IPv6.
IMPORT_AND_WATCH = """
import sys, threading
import langchain_core.language_models.chat_models, langchain_core.messages
opened = []
sys.addaudithook(lambda event, args: opened.append(event) if event == "socket.__new__" else None)
import langchain_darkai
from langchain_darkai import *
heavy = {"aiohttp", "jsonschema", "multidict", "yarl"}
print(sorted(heavy & sys.modules.keys()), threading.active_count(), opened)
"""


@pytest.mark.slow
def test_importing_the_package_is_light() -> None:
    assert run(IMPORT_AND_WATCH) == "[] 1 []"


@pytest.mark.slow
def test_importing_the_package_warns_of_nothing_and_prints_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error::DeprecationWarning:langchain_darkai", "-c", f"import {NAME}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_public_names_are_sorted_and_complete() -> None:
    names = langchain_darkai.__all__
    assert names == sorted(names)
    assert set(names) == PUBLIC
    assert all(getattr(langchain_darkai, name) is not None for name in names)


def test_public_names_are_listed_by_dir() -> None:
    assert set(dir(langchain_darkai)) >= PUBLIC


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="ChatDarkAl"):
        langchain_darkai.ChatDarkAl  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", ["LocalServer", "OfflineChatModel", "ServerTimeouts", "create_app", "serve"])
def test_a_name_of_the_server_is_told_where_it_is(name: str) -> None:
    with pytest.raises(ImportError, match=f"write: from langchain_darkai.server import {name}"):
        exec(f"from langchain_darkai import {name}")  # what a user types
    exec(f"from langchain_darkai.server import {name}")


def test_the_names_that_are_told_where_they_are_are_those_of_the_server() -> None:
    from langchain_darkai import server

    assert sorted(langchain_darkai._SERVER_NAMES) == server.__all__


OWN_IMPORTS = {
    module: {name for name in imports(path) if name in SOURCES and name not in {NAME, module}}
    for module, path in SOURCES.items()
    if module != NAME
}


def reach(module: str) -> set[str]:
    """Return the modules of the package that a module imports, itself or through others."""
    found: set[str] = set()
    ahead = [module]
    while ahead:
        new = OWN_IMPORTS[ahead.pop()] - found
        found |= new
        ahead += new
    return found


def place(module: str) -> str:
    """Return the module or the folder at the top of the package that a module is, or is in."""
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("module", OWN_IMPORTS)
def test_imports_run_downwards(module: str) -> None:
    assert module not in reach(module), "imports go in a circle"
    others = {place(name) for name in OWN_IMPORTS[module]} - {place(module), NAME}
    assert {name for name in others if LAYER[name] >= LAYER[place(module)]} == set()


@pytest.mark.parametrize("module", [name for name in OWN_IMPORTS if place(name).rpartition(".")[2] in PURE])
def test_pure_modules_know_no_io(module: str) -> None:
    known = {module, *reach(module)}
    assert {place(name).rpartition(".")[2] for name in known} <= {*PURE, "_compat", "_version", "_validation"}
    roots = {name.partition(".")[0] for part in known for name in imports(SOURCES[part])}
    assert roots & {"aiohttp", "asyncio", "socket", "ssl", "threading", "subprocess", "urllib", "http"} == set()


def test_the_type_hints_are_for_everyone() -> None:
    assert (PACKAGE / "py.typed").is_file()
