"""The Dockerfile's claims, as far as they can be checked without Docker: what it copies, installs, runs and asks."""

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
LINES = re.sub(r"\\\n", "", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
STEPS = [line.partition(" ")[::2] for line in LINES if line]
SECONDS = 40.0


def of(name: str) -> list[str]:
    return [rest.strip() for step, rest in STEPS if step == name]


def words(name: str) -> list[str]:
    """Return the words of a step that is written as JSON, without its options."""
    (rest,) = of(name)
    found = json.loads(rest[rest.index("[") :])
    assert all(isinstance(word, str) for word in found)
    return list(found)


def test_it_is_slim_and_does_not_run_as_root() -> None:
    assert all(image.startswith("python:3.13-slim") for image in of("FROM"))
    (user,) = of("USER")
    assert int(user) > 0
    assert f"useradd --system --uid {user} " in TEXT
    names = [step for step, _ in STEPS]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name in {"COPY", "RUN"})


def test_it_copies_what_the_package_is_built_of() -> None:
    copied = {name for rest in of("COPY") if not rest.startswith("--from") for name in rest.split()[:-1]}
    assert [name for name in copied if not (ROOT / name).exists()] == []
    wheel = PROJECT.split("[tool.hatch.build.targets.wheel]\n")[1].split("\n[")[0]
    built_of = set(re.findall(r'^(?:readme|license-files) = \[?"(.+?)"', PROJECT, re.MULTILINE))
    built_of |= set(re.findall('"(.+?)"', wheel))
    assert copied == built_of | {"pyproject.toml"}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied


def test_the_extras_that_it_installs_are_there() -> None:
    (extras,) = of("ARG")
    asked = extras.removeprefix("EXTRAS=").split(",")
    (install,) = [rest for rest in of("RUN") if "pip install" in rest]
    assert '".[$EXTRAS]"' in install
    declared = re.findall(
        r"^([\w-]+) = \[", PROJECT.split("[project.optional-dependencies]\n")[1].split("\n[")[0], re.M
    )
    assert set(asked) <= set(declared)


@pytest.mark.slow
def test_its_command_serves_and_its_health_check_tells() -> None:
    entry, *rest = words("ENTRYPOINT")
    assert f'{entry} = "langchain_darkai.cli:main"' in PROJECT
    command = [*rest, *words("CMD")]
    (port,) = of("EXPOSE")
    assert command[command.index("--port") + 1] == port
    command[command.index("--port") + 1] = "0"
    program, *check = words("HEALTHCHECK")
    assert program == "python"
    assert urlsplit_port(check) == port

    def is_healthy(at: str) -> bool:
        asked = [word.replace(f":{port}/", f":{at}/") for word in check]
        return subprocess.run([sys.executable, *asked], capture_output=True, check=False).returncode == 0

    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    with subprocess.Popen(
        [sys.executable, "-m", "langchain_darkai.cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\d.]+:(\d+)", process.stdout.readline())
            assert found
            assert is_healthy(found[1])
            with urllib.request.urlopen(f"{found[0]}/metrics", timeout=SECONDS) as response:
                assert response.status == 200
            (signal,) = of("STOPSIGNAL")
            subprocess.run(["kill", "-s", signal.removeprefix("SIG"), str(process.pid)], check=True)
            _, error = process.communicate(timeout=SECONDS)
            assert process.returncode == 0
            assert all(json.loads(line)["level"] == "warning" for line in error.splitlines())  # that there is no key
            assert not is_healthy(found[1])
        finally:
            process.kill()


def urlsplit_port(check: list[str]) -> str:
    found = re.search(r"http://127\.0\.0\.1:(\d+)/health", shlex.join(check))
    assert found
    return found[1]
