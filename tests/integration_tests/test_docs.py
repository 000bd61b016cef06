"""README.md and the pages of docs/ are true: their Python and their terminal sessions run, and print what is shown.

All Python on a page shares one namespace, but in the README each block runs by itself. A Python block before
a text block prints that text. A console block holds commands after `$ `, each followed by its output. The server of a
session listens on a free port instead of the port that is written. What `check` and pytest measure is not compared. A
TOML block is a file that its first line names, and so is a Python block that begins with such a line. Where a page uses
a model of Ollama, a scripted server stands in for it.
"""

import contextlib
import inspect
import io
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel

from langchain_darkai import ChatDarkAI, DarkAI, errors
from langchain_darkai.server import LocalServer
from langchain_darkai.server.config import BackendSettings, ServerSettings
from langchain_darkai.server.llama_cpp import start_engine
from tests.support.scripted_engine import ScriptedEngine

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
FOLDERS = [ROOT / "benchmarks", ROOT / "evals", ROOT / "examples"]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *PAGES[1:], *(folder / "README.md" for folder in FOLDERS)]
SERVED_AT = "http://127.0.0.1:8000"


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the language and the text of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    """Return the text of a page of docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def pages_with(language: str) -> list[Any]:
    texts = {path: path.read_text(encoding="utf-8") for path in PAGES}
    return [
        pytest.param(path, id=name_of(path))
        for path, text in texts.items()
        if language in (block[0] for block in blocks(text))
    ]


OLLAMA_REPLIES = {
    "README.md": '{"name": "Paris", "country": "France"}',
    "docs/how-to/local-models.md": '{"name": "Paris", "country": "France"}',
}
"""What a model of Ollama says in the example of a page: a scripted server stands where Ollama would be."""


@pytest.fixture
def _ollama(page: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ScriptedEngine([[OLLAMA_REPLIES.get(name_of(page), "")]]) as engine:
        monkeypatch.setenv("OLLAMA_HOST", engine.url)
        yield


@pytest.mark.usefixtures("_ollama")
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")  # of `load`
@pytest.mark.parametrize("page", pages_with("python"))
def test_python_blocks_print_what_the_page_shows(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": page.stem}
    found = blocks(page.read_text(encoding="utf-8"))
    shown: list[tuple[str, str]] = []
    try:
        for number, (language, text) in enumerate(found):
            if language != "python":
                continue
            if page == README:
                namespace = {"__name__": page.stem}
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(text, f"{page.name}, block {number}", "exec"), namespace)
            following = found[number + 1] if number + 1 < len(found) else ("", "")
            shown.append((printed.getvalue(), following[1] if following[0] == "text" else ""))
    finally:
        for name in ("langchain_darkai.client", "langchain_darkai.client.prompts"):
            logging.getLogger(name).setLevel(logging.NOTSET)  # the page about the log sets them
        for value in namespace.values():
            if isinstance(value, LocalServer):
                value.stop()
    assert [printed for printed, _ in shown] == [expected for _, expected in shown]


def test_the_pages_that_live_by_examples_have_some() -> None:
    counts = {name_of(path): [block[0] for block in blocks(path.read_text(encoding="utf-8"))] for path in PAGES}
    assert counts["README.md"].count("python") == 2
    assert counts["docs/tutorial.md"].count("python") >= 7
    assert counts["docs/tutorial.md"].count("console") >= 2
    assert counts["docs/protocol.md"].count("console") >= 1
    assert counts["docs/tool-calls.md"].count("python") >= 2


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Terminal"]:
    for name, module in {"langchain-darkai": "langchain_darkai.cli", "pytest": "pytest -p no:cacheprovider"}.items():
        command = tmp_path / name
        script = f'exec {shlex.quote(sys.executable)} -m {module} "$@"'
        command.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        command.chmod(0o755)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the plugin of the package alone
    monkeypatch.setenv("PYTEST_PLUGINS", "_langchain_darkai_pytest")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.chdir(tmp_path)
    terminal = Terminal()
    yield terminal
    terminal.close()


class Terminal:
    """Runs commands. A server takes a free port, and its output shows the port that the page names."""

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self.server: subprocess.Popen[str] | None = None
        self.url = SERVED_AT

    def run(self, command: str) -> str:
        if assignment := re.fullmatch(r"export (\w+)=(.*)", command):
            self.environment[assignment[1]] = assignment[2].replace(SERVED_AT, self.url)
            return ""
        if command.startswith("langchain-darkai serve") and "--check" not in command:
            self.server = subprocess.Popen(
                [*shlex.split(command), "--port", "0"], env=self.environment, stdout=subprocess.PIPE, text=True
            )
            assert self.server.stdout
            line = self.server.stdout.readline()
            address = re.search(r"http://[\d.:]+", line)
            assert address, line
            self.url = address[0]
            return self._as_written(line)
        done = subprocess.run(
            command.replace(SERVED_AT, self.url),
            shell=True,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,  # the machine may be busy
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return self._as_written(done.stdout + done.stderr)

    def _as_written(self, output: str) -> str:
        return output.replace(self.url.removeprefix("http://"), SERVED_AT.removeprefix("http://"))

    def close(self) -> None:
        if self.server:
            self.server.terminate()
            self.server.communicate(timeout=20)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", pages_with("console"))
def test_terminal_sessions_print_what_the_page_shows(page: Path, terminal: Terminal) -> None:
    found = blocks(page.read_text(encoding="utf-8"))
    for text in (text for language, text in found if language in {"toml", "python"}):
        if file := re.match(r"# ([\w-]+\.(?:toml|py))\n", text):
            Path(file[1]).write_text(text, encoding="utf-8")
    sessions = [text for language, text in found if language == "console"]
    commands = [command for session in sessions for command in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]]
    for command, expected in (text.split("\n", 1) for text in commands):
        assert without_measures(terminal.run(command)) == without_measures(expected), command


def without_measures(text: str) -> str:
    return re.sub(r"\d+\.\d+ ?s\b", "SECONDS", re.sub(r"\d+ characters", "CHARACTERS", text))


def test_the_keys_of_the_configuration_file_are_those_that_are_read() -> None:
    tables = [
        set(re.findall(r"^\| (`.*?) \|", part, re.MULTILINE)) for part in text_of("backends.md").split("| Key |")[1:]
    ]
    named = [{key for row in table for key in re.findall(r"`(\w+)`", row)} for table in tables]
    options = set(inspect.signature(start_engine).parameters) - {"path"}
    assert named[0] == set(ServerSettings.model_fields)
    assert named[1] == set(BackendSettings.model_fields) | options


def test_the_configuration_table_has_every_field_and_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", text_of("settings.md"), re.MULTILINE))
    own = {name: field for name, field in ChatDarkAI.model_fields.items() if name not in BaseChatModel.model_fields}
    assert rows == {name: repr(field.get_default(call_default_factory=True)) for name, field in own.items()}


def test_the_environment_variables_are_those_that_are_read() -> None:
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "langchain_darkai").rglob("*.py"))
    read = {name for source in sources for name in re.findall(r'"(DARKAI_[A-Z_]+)"', source)}
    assert set(re.findall(r"DARKAI_[A-Z_]+", text_of("settings.md"))) == read


def test_the_error_tree_is_that_of_the_module() -> None:
    tree = next(text for _, text in blocks(text_of("errors.md")) if text.startswith("DarkAIError"))
    assert [line.strip() for line in tree.splitlines()] == [
        line.strip() for line in (errors.__doc__ or "").split("\n\n")[1].splitlines()
    ]


def test_the_provider_interface_is_named_whole() -> None:
    section = text_of("provider-class.md")
    others = {"aclose", "call", "close", "endpoint", "host", "policy", "stream"}
    interface = {name for name in vars(DarkAI) if not name.startswith("_")} - others
    assert {name for name in interface if f"`{name}`" not in section} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_to_files_and_headings(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, heading = target.partition("#")
        path = document.parent / name if name else document
        assert path.is_file(), target
        if heading:
            assert heading in headings(path), target


def headings(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def test_every_page_has_its_place_in_the_site() -> None:
    places = re.findall(r"([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(places) == sorted(path.relative_to(DOCS).as_posix() for path in PAGES[1:])


def test_the_readme_is_two_screens_long() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 110


def test_make_has_the_targets_that_are_named() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    texts = [document.read_text(encoding="utf-8") for document in DOCUMENTS]
    for target in re.findall(r"\bmake ([a-z-]+)(?=`|  |$)", "\n".join(texts), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
