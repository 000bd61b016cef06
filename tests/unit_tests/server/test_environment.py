"""Settings of a server that is left running, from the words of a command and from the environment."""

import argparse
import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from langchain_darkai.cli import main
from langchain_darkai.server import BackendLimits, ServerOperations, app
from langchain_darkai.server.environment import log_settings, operations_from, workers_from
from langchain_darkai.server.keys import parse_keys
from langchain_darkai.server.metrics import Metrics


def words(**given: Any) -> argparse.Namespace:
    return argparse.Namespace(**given)


def test_words_are_read() -> None:
    given = words(
        keys_file="keys",
        max_concurrency=["8", "big=2"],
        max_queue=["5"],
        timeout=["big=1.5"],
        max_prompt_bytes=["a=b=100"],
        limits_url="redis://localhost",
        metrics=True,
    )
    assert operations_from(given) == ServerOperations(
        keys_file="keys",
        limits={
            "*": BackendLimits(max_concurrency=8, max_queue=5),
            "big": BackendLimits(max_concurrency=2, max_queue=5, timeout=1.5),
            "a=b": BackendLimits(max_concurrency=8, max_queue=5, max_prompt_bytes=100),
        },
        limits_url="redis://localhost",
        metrics=True,
    )


def test_variables_are_read_and_words_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KEYS_FILE": "keys",
        "KEYS": "a:b",
        "MAX_CONCURRENCY": "8 big=2",
        "METRICS": "yes",
        "LOG_FORMAT": "json",
        "VERBOSE": "0",
        "WORKERS": "3",
        "LIMITS_URL": "",
    }.items():
        monkeypatch.setenv(f"DARKAI_SERVER_{name}", value)
    limits = {"*": BackendLimits(max_concurrency=8), "big": BackendLimits(max_concurrency=2)}
    assert operations_from() == ServerOperations(keys_file="keys", keys="a:b", limits=limits, metrics=True)
    assert (log_settings(), workers_from(words())) == (("json", False), 3)
    given = words(keys_file="others", max_concurrency=["1"], log_format="none", verbose=True, workers="1")
    assert operations_from(given).keys_file == "others"
    assert operations_from(given).limits == {"*": BackendLimits(max_concurrency=1)}
    assert (log_settings(given), workers_from(given)) == (("none", True), 1)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("max_concurrency", "many", "is 'many'; it must be a whole number."),
        ("max_concurrency", "big=", "is ''; it must be a whole number."),
        ("max_queue", "1.5", "is '1.5'; it must be a whole number."),
        ("timeout", "soon", "is 'soon'; it must be a number."),
        ("metrics", "perhaps", "is 'perhaps'; it must be 1 or 0."),
        ("log_format", "xml", "is 'xml'; there are: plain, json, none."),
        ("workers", "0", "is 0; there must be one at least."),
        ("workers", "two", "is 'two'; it must be a whole number."),
    ],
)
def test_what_cannot_be_read_is_named(name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(options: argparse.Namespace) -> None:
        operations_from(options)
        log_settings(options)
        workers_from(options)

    variable = f"DARKAI_SERVER_{name.upper()}"
    with monkeypatch.context() as patched:
        patched.setenv(variable, value)
        with pytest.raises(ValueError, match=r"^.+$") as caught:
            read(words())
        assert str(caught.value) == f"{variable} {reason}"
    with pytest.raises(ValueError, match=r"^.+$") as caught:
        read(words(**{name: [value] if name in {"max_concurrency", "max_queue", "timeout"} else value}))
    assert str(caught.value) == f"--{name.replace('_', '-')} {reason}"


def test_the_application_is_set_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DARKAI_SERVER_METRICS", "1")
    assert "/metrics" in [resource.canonical for resource in app().router.resources()]
    monkeypatch.setenv("DARKAI_SERVER_KEYS_FILE", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        app()


PAGE = (Path(__file__).parents[3] / "docs" / "scaling.md").read_text(encoding="utf-8")


def test_the_page_lists_every_option_and_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    group = capsys.readouterr().out.partition("options for a server that is left running:")[2]
    options = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", group, re.MULTILINE))
    rows = re.findall(r"^\| (?:`(--[\w-]+)` )?\| `(DARKAI_SERVER_\w+)` \|", PAGE, re.MULTILINE)
    assert {option for option, _ in rows if option} == options
    assert len(options) == 10
    for option, variable in rows:
        assert variable == "DARKAI_SERVER_" + (option.removeprefix("--").upper().replace("-", "_") or "KEYS")


def test_the_page_lists_every_metric() -> None:
    names = set(re.findall(r"^# HELP (\w+)", asyncio.run(_metrics()), re.MULTILINE))
    assert names == set(re.findall(r"^\| `(langchain_darkai_\w+)` \|", PAGE, re.MULTILINE))


async def _metrics() -> str:
    response = await Metrics().answer(make_mocked_request("GET", "/metrics"))
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    return response.body.decode()


def test_the_lines_of_the_page_are_keys() -> None:
    (lines,) = re.findall(r"^```text\n(# name:sha256.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    team, batch = parse_keys(lines, "the page")
    assert (team.name, team.per_minute) == ("team-a", None)
    assert (batch.models, batch.at_once, batch.per_minute) == (frozenset({"small", "big"}), 2, 60)
