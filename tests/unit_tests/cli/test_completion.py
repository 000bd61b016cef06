"""What the scripts of `langchain-darkai completion` complete."""

import subprocess
from pathlib import Path

import pytest

from langchain_darkai.cli import main
from langchain_darkai.cli.command import COMMANDS

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands_and_their_options(shell: str, capsys: Captured) -> None:
    assert main(("completion", shell)) == 0
    script = capsys.readouterr().out
    assert [word for word in (*COMMANDS, "base-url", "keys-file") if word not in script] == []


COMPLETE = """
eval "$1"; cd "$2"; shift 2
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_shtab_langchain_darkai langchain-darkai "${!#}" && printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("ser", ["serve"]),
        ("serve --config ga", ["gateway.toml"]),
        ("batch ro", ["rows.jsonl"]),
        ("batch rows.jsonl -o an", ["answers.jsonl"]),
        ("serve --host ga", [""]),
    ],
)
def test_bash_completes_commands_and_files(typed: str, completed: list[str], capsys: Captured, tmp_path: Path) -> None:
    for name in ("gateway.toml", "rows.jsonl", "answers.jsonl"):
        (tmp_path / name).touch()
    assert main(("completion", "bash")) == 0
    words = ["langchain-darkai", *typed.split()]
    shell = ["bash", "--norc", "-c", COMPLETE, "bash", capsys.readouterr().out, str(tmp_path), *words]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (completed, "")
