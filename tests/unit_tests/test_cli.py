"""The command line in-process: usage, exit codes, and one line for each thing that is wrong. Nothing is sent."""

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_darkai import ChatDarkAI, DarkAI, DarkAIConnectionError, __version__
from langchain_darkai.cli import main
from langchain_darkai.cli.command import COMMANDS
from langchain_darkai.cli.endpoint import DEFAULT_MODEL
from langchain_darkai.server import BackendLimits, OfflineChatModel, ServerOperations

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


@pytest.fixture(autouse=True)
def endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKAI_BASE_URL", "http://127.0.0.1:1")


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_told(option: str, capsys: Captured) -> None:
    assert run(option) == 0
    assert capsys.readouterr().out == f"langchain-darkai {__version__}\n"


def test_the_default_model_is_that_of_the_client() -> None:
    assert DarkAI.default_model == DEFAULT_MODEL


def test_help_names_the_commands(capsys: Captured) -> None:
    assert run("--help") == 0
    help_text = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name} " not in help_text] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: Captured) -> None:
    assert run(command, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: langchain-darkai {command}")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "required: COMMAND"),
        (("talk",), "there is no 'talk' here. There are: demo, chat, "),
        (("chekc",), "there is no 'chekc' here. Did you mean check? There are: demo, chat, "),
        (("completion", "zhs"), "there is no 'zhs' here. Did you mean zsh? There are: bash, zsh, fish."),
        (("chat", "hi", "there"), "unrecognized arguments: there"),
        (("chat", "--sistem=x", "hi"), "unrecognized arguments: --sistem=x. Did you mean --system?"),
        (("check", "hi", "--base", "x", "--model-name", "y"), "--model-name y. Did you mean --model?"),
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
        (("--base-url", "localhost:8000"), "--base-url is not a URL like http://127.0.0.1:8000"),
        (("--base-url", "ftp://example.org"), "--base-url is not a URL like http://127.0.0.1:8000"),
        (("--base-url", "http://"), "--base-url is not a URL like http://127.0.0.1:8000"),
        (("--model", ""), "--model '' is not the name of a model. Known names: gpt-4o"),
        (("--model", " "), "--model ' ' is not the name of a model. Known names: gpt-4o"),
        (("--timeout", "0"), "--timeout 0.0 is not a positive number of seconds."),
        (("--timeout", "-3"), "--timeout -3.0 is not a positive number of seconds."),
        (("--timeout", "nan"), "--timeout nan is not a positive number of seconds."),
        (("--api-key-file", "/nowhere/key"), "--api-key-file /nowhere/key cannot be read: No such file"),
        (("--timeout", "inf"), "--timeout inf is not a positive number of seconds."),
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
    assert asked[0][0].text == "Be brief."


def test_a_failure_is_told_in_one_line_after_what_was_shown(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "half a re", DarkAIConnectionError("It broke,\n  in two\nlines."))
    assert run("chat", "hi") == 1
    output = capsys.readouterr()
    assert output.out == "half a re\n"
    assert output.err == "langchain-darkai chat: It broke, in two lines.\n"


def test_an_error_without_a_message_is_told_by_its_name(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, OSError())
    assert run("chat", "hi") == 1
    assert capsys.readouterr().err == "langchain-darkai chat: OSError\n"


def test_json_is_one_object_a_reply(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "Two\n", "lines")
    assert run("chat", "--json", "hi") == 0
    shown = json.loads(one_line(capsys.readouterr().out))
    assert shown["text"] == "Two\nlines"
    assert shown.keys() == {"text", "model", "finish_reason", "usage", "usage_source"}


def test_words_for_the_terminal_name_the_option(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, DarkAIConnectionError("h: the call took longer; raise timeout. Check base_url."))
    assert run("chat", "hi") == 1
    said = "langchain-darkai chat: h: the call took longer; raise --timeout. Check --base-url.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_what_the_option_shows(command: str, capsys: Captured) -> None:
    assert run("help", command) == 0
    shown = capsys.readouterr().out
    assert run(command, "--help") == 0
    assert capsys.readouterr().out == shown


def test_help_alone_lists_the_commands(capsys: Captured) -> None:
    assert run("help") == 0
    assert "\n    completion " in capsys.readouterr().out


@pytest.mark.parametrize(("module", "command"), [("shtab", ("completion", "bash")), ("rich", ("demo",))])
def test_a_missing_extra_is_named(
    module: str, command: tuple[str, ...], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith(("rich.", "langchain_darkai.cli.tour"))]:
        monkeypatch.delitem(sys.modules, name)
    assert run(*command) == 1
    assert "pip install 'langchain-darkai[cli]'" in one_line(capsys.readouterr().err)


def test_ctrl_c_ends_with_exit_code_130_and_keeps_what_was_shown(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, "half a re", KeyboardInterrupt())
    assert run("chat", "hi") == 130
    output = capsys.readouterr()
    assert output.out == "half a re\n"
    assert "Traceback" not in output.err


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_serve_refuses_a_port_that_is_none(port: str, capsys: Captured) -> None:
    assert run("serve", f"--port={port}") != 0
    assert f"--port is {port}; it must be from 0" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(("backend", "code"), [("no-such-model", 2), ("=offline:x", 2), ("llama.cpp:no.gguf", 1)])
def test_serve_tells_why_a_backend_cannot_be_had(backend: str, code: int, capsys: Captured) -> None:
    assert run("serve", "--port", "0", "--backend", backend) == code
    line = one_line(capsys.readouterr().err)
    assert line.startswith("langchain-darkai")
    assert backend.rpartition(":")[2] in line


def test_an_error_of_a_providers_own_is_told_in_one_line(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert run("serve", "--backend", "openai:gpt-4o") == 1
    assert "OPENAI_API_KEY" in one_line(capsys.readouterr().err)


def served_by(monkeypatch: pytest.MonkeyPatch, *arguments: str, replies: int = 0) -> tuple[Any, dict[str, Any]]:
    """Run `serve` without a server; return its models and its settings."""
    served: list[Any] = []

    def serve(models: Any, **settings: Any) -> None:
        settings.pop("on_ready")("http://[::1]:9000")
        settings.pop("on_stop")(replies)
        served.extend((models, settings))

    monkeypatch.setattr("langchain_darkai.server.serve", serve)
    assert run("serve", *arguments) == 0
    models, settings = served
    return models, settings


def test_serve_hands_over_its_settings(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("DARKAI_API_KEY", "a secret")
    names = ("--allowed-host", "a.example", "--allowed-host", "b.example")
    models, settings = served_by(
        monkeypatch, "--host", "::1", "--port", "9000", "--backend", "offline", "--no-prefill", "--no-page", *names
    )
    assert isinstance(models, OfflineChatModel)
    assert settings == {
        "host": "::1",
        "port": 9000,
        "api_key": "a secret",
        "allowed_hosts": ["a.example", "b.example"],
        "prefill": False,
        "page": False,
        "native": "auto",
        "operations": ServerOperations(limits={"*": BackendLimits()}),
        "sock": None,
    }
    line = "Serving offline at http://[::1]:9000, with the key in DARKAI_API_KEY (Ctrl+C stops).\n"
    assert capsys.readouterr().out == line


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        (0, ""),
        (1, "Waiting for 1 reply to finish; press Ctrl+C again to end it.\n"),
        (2, "Waiting for 2 replies to finish; press Ctrl+C again to end them.\n"),
    ],
)
def test_a_stop_says_for_how_many_replies_it_waits(
    replies: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    served_by(monkeypatch, replies=replies)
    assert capsys.readouterr().out.partition("\n")[2] == said


CONFIG = """
[server]
host = "0.0.0.0"
port = 9000
api_key_env = "GATEWAY_KEY"
timeout = 60
metrics = true

[backends]
chat = ["big", "small"]
small = { model = "offline", max_concurrency = 2, max_queue = 0 }
big = { model = "openai:meta/l@http://me:secret@gpu-1:8000/v1", api_key_env = "GPU_KEY", native = "always" }
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG)
    return str(path)


def test_a_configuration_is_served_and_options_come_first(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "a secret")
    monkeypatch.setenv("GPU_KEY", "another")
    arguments = (
        "--config",
        config,
        "--host",
        "127.0.0.1",
        "--backend",
        "more=offline",
        "--max-concurrency",
        "8",
        "--native",
        "more=never",
    )
    models, settings = served_by(monkeypatch, *arguments)
    assert list(models) == ["chat", "small", "big", "more"]
    assert settings == {
        "host": "127.0.0.1",
        "port": 9000,
        "api_key": "a secret",
        "timeout": 60.0,
        "native": {"small": "auto", "big": "always", "more": "never"},
        "operations": ServerOperations(
            limits={"*": BackendLimits(max_concurrency=8), "small": BackendLimits(max_concurrency=2, max_queue=0)},
            metrics=True,
        ),
        "sock": None,
    }
    assert capsys.readouterr().out.startswith("Serving chat, small, big and more at ")


@pytest.mark.parametrize(
    ("words", "said"), [(["sometimes"], "'sometimes'; there are: auto"), (["big=never"], "names 'big', which is none")]
)
def test_a_way_of_asking_that_is_none_is_told(words: list[str], said: str, capsys: Captured) -> None:
    assert run("serve", "--backend", "a=offline", *(word for each in words for word in ("--native", each))) == 1
    assert said in one_line(capsys.readouterr().err)


def test_check_only_says_what_would_be_served(config: str, capsys: Captured) -> None:
    assert run("serve", "--config", config, "--check") == 0
    assert capsys.readouterr().out == (
        "chat: big, else small\n"
        "small: the offline model\n"
        "big: openai:meta/l at http://gpu-1:8000/v1, with the key in GPU_KEY\n"
        "Would listen on 0.0.0.0:9000, with the key in GATEWAY_KEY.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((), "offline"), (("--backend", "offline"), "offline"), (("--backend", "ollama:llama3.1:8b"), "llama3.1:8b")],
)
def test_a_single_model_may_be_named_in_options(
    arguments: tuple[str, ...], name: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    named = (*arguments, "--native", f"{name}=never", "--max-queue", f"{name}=2", "--max-queue", "5")
    assert run("serve", "--check", *named) == 0
    if name == "offline":
        _, settings = served_by(monkeypatch, *named)
        limits = {"*": BackendLimits(max_queue=5), "default": BackendLimits(max_queue=2)}
        assert (settings["native"], settings["operations"].limits) == ("never", limits)
    assert run("serve", "--check", *arguments, "--native", "other=never") == 1
    assert f"names 'other', which is none of the models: {name}." in capsys.readouterr().err


def test_a_variable_of_the_configuration_that_is_not_set_is_named(
    config: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("serve", "--config", config) == 1
    assert "GATEWAY_KEY" in one_line(capsys.readouterr().err)
    monkeypatch.setenv("GATEWAY_KEY", "a secret")
    assert run("serve", "--config", config) == 1
    assert "GPU_KEY" in one_line(capsys.readouterr().err)


def test_a_configuration_that_is_wrong_is_told_in_one_line(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a.toml").write_text("[backends]\na = { modle = 'offline' }")
    assert run("serve", "--check", "--config", str(tmp_path / "a.toml")) == 1
    assert "[backends.a] has no" in one_line(capsys.readouterr().err)


def test_key_makes_a_key_and_its_line(capsys: Captured) -> None:
    assert run("key", "team-a", "--model", "small", "--model", "big", "--at-once", "2", "--per-minute", "60") == 0
    shown, line = (words.partition(": ")[2].strip() for words in capsys.readouterr().out.splitlines())
    digest = sha256(shown.encode()).hexdigest()
    assert line == f"team-a:{digest} models=big,small at-once=2 per-minute=60"


@pytest.mark.parametrize("arguments", [("a b",), ("a:b",), ("",), ("a", "--at-once", "0"), ("a", "--model", "x y")])
def test_a_key_that_no_line_can_hold_is_told_in_one_line(arguments: tuple[str, ...], capsys: Captured) -> None:
    assert run("key", *arguments) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert one_line(output.err).startswith("langchain-darkai key: ")


@pytest.mark.parametrize("check", [("--check",), ()], ids=["checked", "served"])
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--max-concurrency", "many"), "--max-concurrency is 'many'; it must be a whole number."),
        (("--max-concurrency", "0"), "--max-concurrency is 0; it must be positive"),
        (("--max-queue", "other=1"), "There are limits for other, which is no model here."),
        (("--log-format", "xml"), "--log-format is 'xml'; there are: plain, json, none."),
        (("--workers", "0"), "--workers is 0; there must be one at least."),
        (("--limits-url", "http://user:hidden@host"), "The URL for limits is none of Redis."),
        (("--port", "99999"), "port is 99999; it must be from 0 (any free one) to 65535."),
        (("--keys-file", "/nowhere/keys"), "The file of keys /nowhere/keys cannot be read: No such file"),
        (("--native", "always"), 'native is "always", but OfflineChatModel has no bind_tools of its own'),
        (("--backend", "a=offline", "--native", "a=always"), "OfflineChatModel has no bind_tools of its own"),
        (("--backend", "a=offline", "--max-queue", "b=1"), "There are limits for b, which is no model here."),
    ],
)
def test_options_of_serve_that_cannot_work_are_told_in_one_line(
    arguments: tuple[str, ...], reason: str, check: tuple[str, ...], capsys: Captured
) -> None:
    assert run("serve", "--port", "0", *arguments, *check) == 1
    error = one_line(capsys.readouterr().err)
    assert error.startswith("langchain-darkai serve: ")
    assert reason in error
    assert "hidden" not in error


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
