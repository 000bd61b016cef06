"""The command line in-process: usage, exit codes, and one line for each thing that is wrong. Nothing is sent."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessageChunk

from langchain_darkai import ChatDarkAI, DarkAIConnectionError, __version__
from langchain_darkai.cli import main

Captured = pytest.CaptureFixture[str]


def run(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else -1


def answering(monkeypatch: pytest.MonkeyPatch, *pieces: str | BaseException) -> list[Any]:
    """Let every model reply with the pieces, of which errors are raised; return the list of what it is asked."""
    asked = []

    def stream(_model: ChatDarkAI, messages: Any) -> Iterator[AIMessageChunk]:
        asked.append(messages)
        for piece in pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield AIMessageChunk(content=piece)

    monkeypatch.setattr(ChatDarkAI, "stream", stream)
    return asked


def test_the_version_is_told(capsys: Captured) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"langchain-darkai {__version__}\n"


def test_help_names_the_commands(capsys: Captured) -> None:
    assert run("--help") == 0
    help_text = capsys.readouterr().out
    assert [name for name in ("demo", "chat", "check", "serve") if f"\n    {name} " not in help_text] == []


@pytest.mark.parametrize("command", ["demo", "chat", "check", "serve"])
def test_each_command_has_help(command: str, capsys: Captured) -> None:
    assert run(command, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: langchain-darkai {command}")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "required: COMMAND"),
        (("talk",), "invalid choice: 'talk'"),
        (("chat", "hi", "there"), "unrecognized arguments: there"),
        (("chat", "--timeout", "soon", "hi"), "invalid float value: 'soon'"),
        (("serve", "--port", "http"), "invalid int value: 'http'"),
    ],
)
def test_wrong_arguments_end_with_the_usage(arguments: tuple[str, ...], reason: str, capsys: Captured) -> None:
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("usage: langchain-darkai")
    assert reason in error.splitlines()[-1]


@pytest.mark.parametrize("command", [("chat", "hi"), ("check",)])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--base-url", "localhost:8000"), "base_url is not a URL like http://127.0.0.1:8000"),
        (("--base-url", "ftp://example.org"), "base_url is not a URL like http://127.0.0.1:8000"),
        (("--base-url", "http://"), "base_url is not a URL like http://127.0.0.1:8000"),
        (("--model", ""), "model='' is not the name of a model. Known names: gpt-4o"),
        (("--model", " "), "model=' ' is not the name of a model. Known names: gpt-4o"),
        (("--timeout", "0"), "timeout=0.0 is not a positive number of seconds"),
        (("--timeout", "-3"), "timeout=-3.0 is not a positive number of seconds"),
        (("--timeout", "nan"), "timeout=nan is not a positive number of seconds"),
        (("--timeout", "inf"), "timeout=inf is not a positive number of seconds"),
    ],
)
def test_settings_that_cannot_work_are_told_in_one_line_with_exit_code_2(
    command: tuple[str, ...],
    options: tuple[str, ...],
    reason: str,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = answering(monkeypatch, "never")
    assert run(*command, *options) == 2
    output = capsys.readouterr()
    assert one_line(output.err).startswith("langchain-darkai")
    assert reason in output.err
    assert (output.out, asked) == ("", [])


@pytest.mark.parametrize("variable", ["DARKAI_BASE_URL", "DARKAI_PROXY"])
def test_a_bad_url_in_the_environment_is_told_in_one_line(
    variable: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "nonsense")
    assert run("check") == 2
    assert "is not a URL" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("text", ["", "  \n\n"])
@pytest.mark.parametrize("given", ["argument", "input"])
def test_no_prompt_is_wrong_usage(text: str, given: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, "never")
    monkeypatch.setattr(sys, "stdin", Input(text))
    assert run("chat", *([text] if given == "argument" else [])) == 2
    assert "there is no prompt" in one_line(capsys.readouterr().err)
    assert asked == []


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_standard_input_is_the_prompt_to_the_letter_but_for_line_ends_around_it(
    arguments: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, "Yes.")
    monkeypatch.setattr(sys, "stdin", Input("\n  first\n\nsecond \n\n"))
    assert run("chat", *arguments) == 0
    assert [message.text for message in asked[0]] == ["  first\n\nsecond "]
    assert capsys.readouterr().out == "Yes.\n"


def test_a_reply_is_shown_to_the_letter_and_ends_its_line(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, " Two\n", "lines ", "")
    assert run("chat", "hi") == 0
    assert capsys.readouterr().out == " Two\nlines \n"


def test_a_reply_that_ends_its_own_line_gets_no_second_end(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "One line.", "\n")
    assert run("chat", "hi") == 0
    assert capsys.readouterr().out == "One line.\n"


def test_the_system_message_of_chat_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, "Yes.")
    assert run("chat", "--system", "Be brief.", "hi") == 0
    assert asked[0][0] == ("system", "Be brief.")


def test_a_failure_is_told_in_one_line_after_what_was_shown(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "half a re", DarkAIConnectionError("It broke,\n  in two\nlines."))
    assert run("chat", "hi") == 1
    output = capsys.readouterr()
    assert output.out == "half a re\n"
    assert output.err == "langchain-darkai chat: It broke, in two lines.\n"


def test_an_error_without_a_message_is_told_by_its_name(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, OSError())
    assert run("check") == 1
    assert capsys.readouterr().err == "langchain-darkai check: OSError\n"


def test_ctrl_c_ends_with_exit_code_130_and_keeps_what_was_shown(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, "half a re", KeyboardInterrupt())
    assert run("chat", "hi") == 130
    output = capsys.readouterr()
    assert output.out == "half a re\n"
    assert "Traceback" not in output.err


def test_check_tells_an_empty_reply(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "", "")
    assert run("check", "--base-url", "http://example.org") == 1
    output = capsys.readouterr()
    assert "example.org sent an empty reply" in one_line(output.err)
    assert output.out == ""


def test_check_tells_what_it_measured(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "Hel", "lo", "")
    assert run("check", "--base-url", "https://someone:pass@example.org", "--model", "gpt-4o") == 0
    output = capsys.readouterr()
    assert output.out.startswith("example.org answers as gpt-4o: first text after 0.")
    assert ", 5 characters in 0." in output.out
    assert output.err == ""


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_serve_refuses_a_port_that_is_none(port: str, capsys: Captured) -> None:
    assert run("serve", f"--port={port}") != 0
    assert f"port is {port}; it must be from 0" in one_line(capsys.readouterr().err)


def test_serve_needs_langchain_for_another_backend(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain.chat_models", None)
    assert run("serve", "--port", "0", "--backend", "openai:gpt-4o") == 1
    assert "--backend needs langchain: pip install langchain" in one_line(capsys.readouterr().err)


def test_serve_tells_why_a_backend_cannot_be_had(capsys: Captured) -> None:
    assert run("serve", "--port", "0", "--backend", "no-such-model") == 1
    assert "no-such-model" in one_line(capsys.readouterr().err)


def test_serve_hands_over_its_settings(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    backend = FakeListChatModel(responses=["Yes."])
    served: list[Any] = []

    def serve(model: Any, **settings: Any) -> None:
        settings.pop("on_ready")("http://[::1]:9000")
        served.append((model, settings))

    monkeypatch.setattr("langchain_darkai.server.serve", serve)
    monkeypatch.setattr("langchain.chat_models.init_chat_model", {"fake:yes": backend}.__getitem__)
    monkeypatch.setenv("DARKAI_API_KEY", "a secret")
    options = ("--allowed-host", "a.example", "--allowed-host", "b.example", "--no-prefill", "--no-page")
    assert run("serve", "--host", "::1", "--port", "9000", "--backend", "fake:yes", *options) == 0
    expected = {
        "host": "::1",
        "port": 9000,
        "api_key": "a secret",
        "allowed_hosts": ["a.example", "b.example"],
        "prefill": False,
        "page": False,
    }
    assert served == [(backend, expected)]
    assert capsys.readouterr().out == "Serving fake:yes at http://[::1]:9000 (Ctrl+C stops).\n"


class Input:
    """Standard input that is no terminal."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self) -> str:
        return self.text

    def isatty(self) -> bool:
        return False


def one_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text
