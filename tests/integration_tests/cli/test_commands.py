"""The commands as a user has them: processes and sockets, against servers on loopback."""

import contextlib
import http.client
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

from langchain_darkai import DarkAIPermissionDeniedError
from langchain_darkai.cli import main
from langchain_darkai.server import LocalServer
from langchain_darkai.testing import reply
from langchain_darkai.testing.wire import answer
from tests.support.asker import Serve
from tests.support.command_line import SECONDS, serving
from tests.support.models import Piece, scripted

COMMAND = [sys.executable, "-m", "langchain_darkai"]

Call: TypeAlias = "Callable[..., Done]"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with LocalServer() as server:
        monkeypatch.setenv("DARKAI_BASE_URL", server.url)
        yield server.url


class Done(NamedTuple):
    """What a command that has ended left."""

    code: int
    out: str
    err: str


def run(*arguments: str, given: str = "") -> Done:
    """Run a command as a process to its end, with `given` on its standard input."""
    process = subprocess.run(
        [*COMMAND, *arguments], input=given, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return Done(process.returncode, process.stdout, process.stderr)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a command in this process, which spares the time that a new one takes."""

    def run_here(*arguments: str) -> Done:
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else -1
        output = capsys.readouterr()
        return Done(code, output.out, output.err)

    return run_here


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command in the background; it is killed if it still runs at the end."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def one_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text


def test_chat_prints_the_reply_to_a_prompt(offline: str) -> None:
    done = run("chat", "Count from 1 to 5")
    assert done == (0, "1, 2, 3, 4, 5\n", "")


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_chat_reads_the_prompt_from_standard_input(arguments: tuple[str, ...], offline: str) -> None:
    done = run("chat", *arguments, given="Count from 1 to 5\n")
    assert done == (0, "1, 2, 3, 4, 5\n", "")


def test_chat_sends_what_is_piped_in_after_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, ["Short."]) as model:
        assert run("chat", "Summarise", given="a long\ntext\n") == (0, "Short.\n", "")
    assert model.asked == [[("human", "Summarise\n\na long\ntext")]]


def test_chat_sends_the_parameters_of_a_request(monkeypatch: pytest.MonkeyPatch, call: Call, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a secret\n")
    model = scripted("one STOP two")
    with LocalServer(model, api_key="a secret") as server:
        options = ("--temperature", "0", "--max-tokens", "7", "--stop", "STOP", "--stop", "x", "--no-stream")
        done = call("chat", "--base-url", server.url, "--api-key-file", str(tmp_path / "key"), *options, "hi")
    assert done == (0, "one \n", "")
    assert {"temperature": 0.0, "max_tokens": 7}.items() <= model.record.given[0].items()


def test_without_an_endpoint_it_is_told_where_requests_go_before_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DARKAI_BASE_URL", raising=False)
    monkeypatch.setenv("DARKAI_PROXY", "http://127.0.0.1:1")  # nothing leaves this machine
    done = run("chat", "hi")
    assert (done.code, done.out) == (1, "")
    notice, failure = done.err.splitlines()
    assert "requests go to https://darkai.foundation/chat" in notice
    assert "langchain-darkai serve" in notice
    assert "Check DARKAI_PROXY, HTTP_PROXY" in failure


def test_models_lists_the_names(call: Call) -> None:
    with LocalServer({"one": scripted("Yes."), "two": scripted("Yes.")}) as server:
        assert call("models", "--base-url", server.url) == (0, "one\ntwo\n", "")


def test_models_tells_that_there_is_no_list(serve: Serve, call: Call) -> None:
    server = serve(answer(404, "no"))
    done = call("models", "--base-url", server.url)
    assert (done.code, done.out) == (1, "")
    assert f"{server.host} has no list of its models" in one_line(done.err)


def test_models_tells_that_the_key_is_rejected(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKAI_API_KEY", "key")
    with LocalServer(scripted("Yes."), api_key="another") as server:
        done = call("models", "--base-url", server.url)
    assert done.code == 1
    assert "The API key was rejected" in one_line(done.err)


LIGHT = """
import sys
from langchain_darkai.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print({"aiohttp", "langchain_core", "pydantic", "rich"} & sys.modules.keys(), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [("--version",), ("-V",), ("help",), ("help", "chat"), ("completion", "zsh")])
def test_what_needs_no_model_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "set()\n")


BASH = """
source {script}
COMP_WORDS=(langchain-darkai check --mo) COMP_CWORD=2 COMP_LINE="langchain-darkai check --mo" COMP_POINT=27
_shtab_langchain_darkai
echo "${{COMPREPLY[@]}}"
"""


def test_bash_completes_an_option(tmp_path: Path, call: Call) -> None:
    script = tmp_path / "script"
    script.write_text(call("completion", "bash").out)
    done = subprocess.run(
        ["bash", "-c", BASH.format(script=script)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.stdout, done.returncode) == ("--model\n", 0), done.stderr


def test_chat_sends_the_system_message_and_the_model(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    model = scripted("Yes.")
    with LocalServer({"mine": model}) as server:
        done = call("chat", "--base-url", server.url, "--model", "mine", "--system", "Be brief.", "Is it so?")
    assert (done.code, done.out) == (0, "Yes.\n")
    assert model.asked == [[("system", "Be brief."), ("human", "Is it so?")]]


def test_chat_shows_text_as_it_comes_and_ctrl_c_ends_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, ["half a reply", ...]) as model, started("chat", "hi") as process:
        assert process.stdout
        assert process.stdout.read(12) == "half a reply"
        time.sleep(0.1)  # Python misses a signal in the moment before it begins to wait
        process.send_signal(signal.SIGINT)
        rest, error = process.communicate(timeout=SECONDS)
        assert (process.returncode, rest, error.strip()) == (130, "\n", "")
        assert model.record.was_cancelled.wait(SECONDS)


def test_chat_fails_in_one_line_and_keeps_what_was_shown(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    with serving(monkeypatch, ["half a re", DarkAIPermissionDeniedError("Enough.")]):
        done = call("chat", "hi")
    assert (done.code, done.out) == (1, "half a re\n")
    assert "Enough." in one_line(done.err)


def test_chat_to_a_reader_that_leaves_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, ["first line\n", *(["and more of it\n"] * 20_000)]), started("chat", "hi") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "first line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(SECONDS) == 0


def test_text_that_the_terminals_encoding_lacks_does_not_end_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    with serving(monkeypatch, ["na", "ï", "ve"]):
        done = run("chat", "hi")
    assert done.code == 0, done.err
    assert re.fullmatch(r"na.+ve\n", done.out)


@pytest.mark.parametrize("command", [("chat", "hi"), ("check",)])
def test_an_endpoint_that_is_not_there_is_told_with_the_way_out(command: tuple[str, ...], call: Call) -> None:
    done = call(*command, "--base-url", "http://127.0.0.1:1")
    assert (done.code, done.out) == (1, "")
    line = one_line(done.err)
    assert line.startswith(f"langchain-darkai {command[0]}: 127.0.0.1:1 cannot be reached: ")
    assert "langchain-darkai serve" in line


def test_a_demo_without_its_endpoint_fails_in_one_line(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setenv("DARKAI_BASE_URL", "http://127.0.0.1:1")
    done = call("demo")
    assert done.code == 1
    assert "127.0.0.1:1 cannot be reached" in one_line(done.err)


def test_a_bad_url_for_the_demo_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setenv("DARKAI_BASE_URL", "nonsense")
    done = call("demo")
    assert done.code == 1
    assert "DARKAI_BASE_URL is not a URL like http://127.0.0.1:8000" in one_line(done.err)


def test_a_server_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    with serving(monkeypatch, [RuntimeError("a secret\nof the server")]):
        done = call("check")
    assert (done.code, done.out) == (1, "")
    line = one_line(done.err)
    assert "500" in line
    assert "secret" not in line


def test_check_tells_that_the_endpoint_answers(offline: str, call: Call) -> None:
    done = call("check", "--model", "gpt-4o", "--base-url", offline.replace("//", "//someone:pass@"))
    assert (done.code, done.err) == (0, "")
    host = re.escape(offline.removeprefix("http://"))
    words = rf"{host} answers as gpt-4o: first text after \d+\.\d\d s, [1-9]\d* characters in \d+\.\d\d s\.\n"
    assert re.fullmatch(words, done.out)


def test_check_tells_that_the_model_is_not_there(call: Call) -> None:
    with LocalServer({"mine": scripted("Yes.")}) as server:
        done = call("check", "--base-url", server.url, "--model", "other")
    assert done.code == 1
    assert "There is no model 'other' at 127.0.0.1:" in one_line(done.err)


def test_check_tells_that_a_server_of_one_model_does_not_list_the_name(offline: str, call: Call) -> None:
    done = call("check", "--model", "nonsense")
    assert done.code == 1
    assert "There is no model 'nonsense' at 127.0.0.1:" in one_line(done.err)


def test_check_trusts_an_endpoint_without_a_list(serve: Serve, call: Call) -> None:
    server = serve(answer(404, "no"), reply("Hello"))
    done = call("check", "--base-url", server.url, "--model", "any")
    assert done.code == 0, done.err


def test_check_tells_that_the_reply_is_empty(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    with serving(monkeypatch, [""]):
        done = call("check")
    assert (done.code, done.out) == (1, "")
    assert "sent an empty reply" in one_line(done.err)


def test_check_takes_no_longer_than_its_timeout(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    with serving(monkeypatch, [...]):
        done = call("check", "--timeout", "0.5")
    assert done.code == 1
    assert "raise --timeout" in one_line(done.err)


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline()
    found = re.fullmatch(r"Serving the offline model at (http://[\d.]+:\d+), .* \(Ctrl\+C stops\)\.\n", line)
    assert found, line
    return found[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    with started("serve", "--port", "0") as process:
        done = run("chat", "--base-url", address(process), "Count from 1 to 5")
        assert (done.code, done.out) == (0, "1, 2, 3, 4, 5\n")
        process.send_signal(number)
        output, error = process.communicate(timeout=SECONDS)
        assert (process.returncode, output) == (0, "")
        assert " path=/chat model=default status=200 " in one_line(error)


def test_serve_stops_before_anybody_asked_it_anything() -> None:
    with started("serve", "--port", "0") as process:
        address(process)
        process.terminate()
        output, error = process.communicate(timeout=SECONDS)
        assert (process.returncode, output, error) == (0, "", "")


def test_serve_asks_for_the_key_in_the_environment(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setenv("DARKAI_API_KEY", "a secret")
    with started("serve", "--port", "0") as process:
        url = address(process)
        assert call("check", "--base-url", url).code == 0
        monkeypatch.setenv("DARKAI_API_KEY", "another secret")
        done = call("check", "--base-url", url)
        assert done.code == 1
        assert "key" in one_line(done.err)
        assert "another secret" not in done.err


@pytest.mark.parametrize(("options", "status"), [((), 421), (("--allowed-host", "chat.example"), 200)])
def test_serve_answers_to_names_that_are_allowed(options: tuple[str, ...], status: int) -> None:
    with started("serve", "--port", "0", *options) as process:
        connection = http.client.HTTPConnection(address(process).removeprefix("http://"), timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", "/health", headers={"host": "chat.example"})
            assert connection.getresponse().status == status


def test_serve_tells_that_the_port_is_taken(offline: str, call: Call) -> None:
    port = offline.rpartition(":")[2]
    done = call("serve", "--port", port)
    assert (done.code, done.out) == (1, "")
    line = one_line(done.err)
    assert line.startswith(f"langchain-darkai serve: Cannot listen on 127.0.0.1:{port}: ")
    assert "Choose another host or port" in line


def test_serve_tells_that_the_host_is_not_there(call: Call) -> None:
    done = call("serve", "--port", "0", "--host", "192.0.2.1")
    assert (done.code, done.out) == (1, "")
    assert one_line(done.err).startswith("langchain-darkai serve: Cannot listen on 192.0.2.1:0: ")


DEMO_SHOWS = (
    "for chunk in model.stream(question):",
    "1, 2, 3, 4, 5, 6",
    "chain = prompt | model | StrOutputParser()",
    "Your name is Ada.",
    "create_agent(model, [weather])",
    "calls weather({'city': 'Paris'})",
    '"name": "Bob"',
    "batch_as_completed",
    "40 of 40 replies",
    "What to try next",
)


def test_the_demo_runs_on_a_server_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://no-such-host.invalid:3128")  # a proxy is not asked for this machine
    done = run("demo")
    assert done.code == 0, done.err
    assert re.match(r"A local server runs at http://127\.0\.0\.1:\d+", done.out)
    assert [text for text in DEMO_SHOWS if text not in done.out] == []
    assert done.out.count("no language model") + done.out.count("not by a language model") == 1
    assert "\x1b" not in done.out
    assert "Traceback" not in done.err


def test_the_demo_uses_the_endpoint_that_is_named(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    said: list[Piece] = ["a scripted reply"]
    answer = '{"people": [{"name": "Eve", "age": 41, "job": "doctor"}]}'
    with serving(monkeypatch, said, said, said, [answer], said) as model:
        done = call("demo")
    assert done.code == 0, done.err
    assert '"name": "Eve"' in done.out
    assert "DARKAI_BASE_URL" in done.out.splitlines()[0]
    assert "local server" not in done.out
    assert "a scripted reply" in done.out
    assert model.asked[0] == [("human", "Count from 1 to 50.")]


def test_the_demo_goes_on_where_a_model_does_not_manage_a_step(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    with serving(monkeypatch, ["a scripted reply"]):
        done = call("demo")
    assert done.code == 0, done.err
    assert "The model did not manage this: " in done.out
    assert "40 of 40 replies" in done.out


def test_the_demo_runs_on_a_backend_that_is_named(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setenv("DARKAI_BASE_URL", "http://127.0.0.1:1")
    done = call("demo", "--backend", "offline")
    assert done.code == 0, done.err
    assert "with offline." in done.out.splitlines()[0]


def test_a_backend_of_the_demo_that_cannot_be_had_is_told_in_one_line(call: Call) -> None:
    done = call("demo", "--backend", "llama.cpp:/nowhere.gguf")
    assert (done.code, done.out) == (1, "")
    assert "/nowhere.gguf" in one_line(done.err)
