"""The command line as a user has it: processes, sockets and a terminal, against servers on loopback."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import pytest
from typing_extensions import Self

from langchain_darkai import (
    DarkAIInvalidRequestError,
    DarkAIPermissionDeniedError,
    DarkAIRateLimitError,
)
from langchain_darkai.cli import main
from langchain_darkai.server import LocalServer
from tests.support.models import Piece, ScriptedModel, scripted

SECONDS = 20.0
"""How long a process may take to do what is waited for."""

COMMAND = [sys.executable, "-m", "langchain_darkai.cli"]

Call: TypeAlias = "Callable[..., Done]"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("TERM", "dumb")


@contextlib.contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, *replies: list[Piece]) -> Iterator[ScriptedModel]:
    model = ScriptedModel(replies=list(replies))
    with LocalServer(model) as server:
        monkeypatch.setenv("DARKAI_BASE_URL", server.url)
        yield model


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


# chat, with a prompt


def test_chat_prints_the_reply_to_a_prompt(offline: str) -> None:
    done = run("chat", "Count from 1 to 5")
    assert done == (0, "1, 2, 3, 4, 5\n", "")


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_chat_reads_the_prompt_from_standard_input(arguments: tuple[str, ...], offline: str) -> None:
    done = run("chat", *arguments, given="Count from 1 to 5\n")
    assert done == (0, "1, 2, 3, 4, 5\n", "")


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


# what is wrong is told in one line


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


def test_a_url_that_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setenv("DARKAI_BASE_URL", "nonsense")
    done = call("demo")
    assert done.code == 1
    assert "base_url is not a URL like http://127.0.0.1:8000" in one_line(done.err)


def test_a_server_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    with serving(monkeypatch, [RuntimeError("a secret\nof the server")]):
        done = call("check")
    assert (done.code, done.out) == (1, "")
    line = one_line(done.err)
    assert "500" in line
    assert "secret" not in line


# check


def test_check_tells_that_the_endpoint_answers(offline: str, call: Call) -> None:
    done = call("check", "--model", "gpt-4o")
    assert (done.code, done.err) == (0, "")
    host = re.escape(offline.removeprefix("http://"))
    words = rf"{host} answers as gpt-4o: first text after \d+\.\d\d s, [1-9]\d* characters in \d+\.\d\d s\.\n"
    assert re.fullmatch(words, done.out)


def test_check_tells_that_the_model_is_not_there(call: Call) -> None:
    with LocalServer({"mine": scripted("Yes.")}) as server:
        done = call("check", "--base-url", server.url, "--model", "other")
    assert done.code == 1
    assert "There is no model 'other' here. There are: mine." in one_line(done.err)


def test_check_tells_that_the_reply_is_empty(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    with serving(monkeypatch, [""]):
        done = call("check")
    assert (done.code, done.out) == (1, "")
    assert "sent an empty reply" in one_line(done.err)


def test_check_takes_no_longer_than_its_timeout(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    with serving(monkeypatch, [...]):
        done = call("check", "--timeout", "0.5")
    assert done.code == 1
    assert "raise timeout" in one_line(done.err)


# serve


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline()
    found = re.fullmatch(r"Serving the offline model at (http://127\.0\.0\.1:\d+) \(Ctrl\+C stops\)\.\n", line)
    assert found, line
    return found[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    with started("serve", "--port", "0") as process:
        done = run("chat", "--base-url", address(process), "Count from 1 to 5")
        assert (done.code, done.out) == (0, "1, 2, 3, 4, 5\n")
        process.send_signal(number)
        output, error = process.communicate(timeout=SECONDS)
        assert (process.returncode, output, error) == (0, "", "")


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


# demo

DEMO_SHOWS = (
    'for chunk in model.stream("Write a poem about the sea."):',
    "chain = prompt | model | StrOutputParser()",
    "abatch_as_completed",
    "2 * 2 = 4",
    "get_weather({'city': 'Oslo'})",
    "name='Bob' age=25 job='doctor'",
)


def test_the_demo_runs_on_a_server_of_its_own() -> None:
    done = run("demo")
    assert done.code == 0, done.err
    assert re.match(r"A local server runs at http://127\.0\.0\.1:\d+", done.out)
    assert [text for text in DEMO_SHOWS if text not in done.out] == []
    assert "Traceback" not in done.err


def test_the_demo_uses_the_endpoint_that_is_named(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    answer = '{"value": [{"name": "Eve", "age": 41, "job": "doctor"}]}'
    with serving(monkeypatch, [*["a scripted reply"] * 23, answer]) as model:
        done = call("demo")
    assert done.code == 0, done.err
    assert "name='Eve' age=41 job='doctor'" in done.out
    assert "DARKAI_BASE_URL" in done.out.splitlines()[0]
    assert "local server" not in done.out
    assert "a scripted reply" in done.out
    assert [("human", "Write a poem about the sea.")] in model.asked


# chat, at a terminal

# A session leader without a terminal gets the first one that it opens, and with it Ctrl+C.
ON_A_TERMINAL = """
import os, runpy
os.close(os.open(os.ttyname(0), os.O_RDWR))
runpy.run_module("langchain_darkai.cli", run_name="__main__", alter_sys=True)
"""


class Terminal:
    """A conversation on a pseudo-terminal: what is typed, and what stands there."""

    def __init__(self, *arguments: str) -> None:
        self.screen = ""
        self.seen = 0
        self.ours, theirs = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, "chat", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        self._read(lambda: "> " in self.screen, "the first prompt")
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait(SECONDS)
        os.close(self.ours)

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def wait_for(self, text: str, seconds: float = SECONDS) -> None:
        """Read until `text` stands after what was waited for before."""
        self._read(lambda: text in self.screen[self.seen :], f"{text!r} to come", seconds)
        self.seen = self.screen.index(text, self.seen) + len(text)

    def interrupt(self, text: str) -> None:
        """Type Ctrl+C until `text` comes: Python misses one in the moment before it begins to wait for input."""
        for _ in range(int(SECONDS)):
            self.type(CTRL_C)
            with contextlib.suppress(AssertionError):
                self.wait_for(text, 1.0)
                return
        self.wait_for(text, 0.0)

    def leave(self) -> int:
        """Type Ctrl+D at the prompt that is waited for, read to the end, and return the exit code."""
        self.wait_for("> ")
        self.type(CTRL_D)
        self._read(lambda: False, "the end")
        return self.process.wait(SECONDS)

    def _read(self, enough: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not enough():
            ready, _, _ = select.select([self.ours], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"waited for {what} after {self.screen[self.seen :]!r}; on the screen: {self.screen!r}"
            try:
                data = os.read(self.ours, 4096)
            except OSError:  # how Linux says that the other side is gone
                data = b""
            if not data:
                assert what == "the end", f"ended before {what}; on the screen: {self.screen!r}"
                return
            self.screen += data.decode()


CTRL_C, CTRL_D = "\x03", "\x04"


def test_a_conversation_remembers_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, ["one ", "reply"], ["another"]) as model, Terminal("--system", "Be brief.") as terminal:
        terminal.type("first\n")
        terminal.wait_for("one reply\r\n")
        terminal.wait_for("> ")
        terminal.type("second\n")
        terminal.wait_for("another\r\n")
        assert terminal.leave() == 0
    first = [("system", "Be brief."), ("human", "first")]
    assert model.asked == [first, [*first, ("ai", "one reply"), ("human", "second")]]
    assert "Traceback" not in terminal.screen


def test_the_terminal_is_told_how_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch), Terminal() as terminal:
        assert "Ctrl+C" in terminal.screen
        assert "Ctrl+D" in terminal.screen
        assert terminal.leave() == 0


def test_ctrl_c_ends_a_reply_keeps_what_was_shown_and_the_conversation_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(monkeypatch, ["half a reply", ...], ["another"]) as model, Terminal() as terminal:
        terminal.type("first\n")
        terminal.wait_for("half a reply")
        terminal.interrupt("[interrupted]")
        assert model.record.was_cancelled.wait(SECONDS)
        terminal.wait_for("> ")
        terminal.type("second\n")
        terminal.wait_for("another\r\n")
        assert terminal.leave() == 0
    assert model.asked[1] == [("human", "first"), ("ai", "half a reply"), ("human", "second")]
    assert "Traceback" not in terminal.screen


def test_ctrl_c_before_the_first_text_ends_the_reply_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, [...], ["another"]) as model, Terminal() as terminal:
        terminal.type("first\n")
        while not model.asked:
            time.sleep(0.01)
        terminal.interrupt("> ")
        assert model.record.was_cancelled.wait(SECONDS)
        terminal.type("second\n")
        terminal.wait_for("another\r\n")
        assert terminal.leave() == 0
    assert model.asked[1][-1] == ("human", "second")


def test_ctrl_c_while_typing_gives_a_new_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, ["a reply"]) as model, Terminal() as terminal:
        terminal.type("never sent")
        terminal.wait_for("never sent")
        terminal.interrupt("> ")
        terminal.type("sent\n")
        terminal.wait_for("a reply\r\n")
        assert terminal.leave() == 0
    assert model.asked == [[("human", "sent")]]


@pytest.mark.parametrize(
    "error", [DarkAIInvalidRequestError("Not so."), DarkAIRateLimitError("Not so.", retry_after=0)]
)
def test_a_message_that_failed_is_kept_and_enter_sends_it_again(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[list[Piece]] = [[error]] * (3 if isinstance(error, DarkAIRateLimitError) else 1)
    with serving(monkeypatch, *failures, ["a reply"]) as model, Terminal() as terminal:
        terminal.type("a long message\n")
        terminal.wait_for("Not so.")
        terminal.wait_for("press Enter to send it again")
        terminal.wait_for("> ")
        terminal.type("\n")
        terminal.wait_for("a reply\r\n")
        assert terminal.leave() == 0
    assert model.asked == [[("human", "a long message")]] * (len(failures) + 1)
    assert "Traceback" not in terminal.screen


def test_another_message_takes_the_place_of_one_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, [DarkAIPermissionDeniedError("No.")], ["a reply"]) as model, Terminal() as terminal:
        terminal.type("first\n")
        terminal.wait_for("press Enter to send it again")
        terminal.type("second\n")
        terminal.wait_for("a reply\r\n")
        assert terminal.leave() == 0
    assert model.asked == [[("human", "first")], [("human", "second")]]


def test_a_message_that_failed_outlives_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, [DarkAIPermissionDeniedError("No.")], ["a reply"]) as model, Terminal() as terminal:
        terminal.type("a long message\n")
        terminal.wait_for("press Enter to send it again")
        terminal.wait_for("> ")
        terminal.type("half of another")
        terminal.wait_for("half of another")
        terminal.interrupt("> ")
        terminal.type("\n")
        terminal.wait_for("a reply\r\n")
        assert terminal.leave() == 0
    assert model.asked == [[("human", "a long message")]] * 2


def test_a_reply_that_breaks_keeps_what_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    broken: list[Piece] = ["half a reply", DarkAIPermissionDeniedError("No more.")]
    with serving(monkeypatch, broken, ["another"]) as model, Terminal() as terminal:
        terminal.type("first\n")
        terminal.wait_for("half a reply\r\n")
        terminal.wait_for("No more.")
        terminal.wait_for("> ")
        terminal.type("second\n")
        terminal.wait_for("another\r\n")
        assert terminal.leave() == 0
    assert model.asked[1] == [("human", "first"), ("ai", "half a reply"), ("human", "second")]


def test_blank_lines_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, ["a reply"]) as model, Terminal() as terminal:
        for _ in range(2):
            terminal.wait_for("> ")
            terminal.type(" \n")
        assert terminal.leave() == 0
    assert model.asked == []
