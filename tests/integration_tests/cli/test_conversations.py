"""A conversation of `langchain-darkai chat`: commands, and messages that fail. Keys come from a pipe."""

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from langchain_darkai import DarkAIInvalidRequestError, DarkAIPermissionDeniedError, DarkAIRateLimitError
from langchain_darkai._text import one_line
from langchain_darkai.cli import main
from langchain_darkai.server import LocalServer
from tests.support.command_line import CTRL_D, ENTER, serving
from tests.support.models import Piece, scripted


class TerminalText(io.StringIO):
    """An output, or an empty input, that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


Talk = Callable[..., str]


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Talk:
    """Type messages, each with Enter, and then Ctrl+D; return what is shown, which is the conversation's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TERM", "dumb")  # no spinner, no colours

    def run(messages: Sequence[str], *arguments: str) -> str:
        output = TerminalText()
        monkeypatch.setattr(sys, "stdin", TerminalText())
        monkeypatch.setattr(sys, "stdout", output)
        with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
            keys.send_text("".join(f"{message}{ENTER}" for message in messages) + CTRL_D)
            assert main(["chat", *arguments]) == 0
        return output.getvalue()

    return run


def test_commands_change_show_and_save_the_conversation(
    monkeypatch: pytest.MonkeyPatch, talk: Talk, tmp_path: Path
) -> None:
    small, big = scripted("a reply"), scripted("from the big one")
    file = tmp_path / "talk.md"
    typed = [
        ("/system Be brief.", "The system message is set."),
        ("first", "a reply"),
        ("/retry", "a reply"),
        ("/model big", "The model is big from now on."),
        ("/model", "There are: small, big."),
        ("/help", "/save FILE "),
        ("/sav", "There is no /sav. Did you mean /save?"),
        ("second", "from the big one"),
        (f"/save {file}", "Saved in"),
        (f"/save {file}", "is there already"),
        ("/save", "Name the file"),
        ("/save /dev/null/x", "cannot be written"),
        ("/clear", "forgotten"),
        ("/retry", "There is no message yet."),
    ]
    with LocalServer({"small": small, "big": big}) as server:
        monkeypatch.setenv("DARKAI_BASE_URL", server.url)
        shown = one_line(talk([message for message, _ in typed], "--model", "small"))
    place = 0
    for _, text in typed:
        place = shown.find(text, place)
        assert place >= 0, (text, shown)
    system = ("system", "Be brief.")
    assert small.asked == [[system, ("human", "first")]] * 2
    assert big.asked[0] == [system, ("human", "first"), ("ai", "a reply"), ("human", "second")]
    assert file.read_text() == (
        "## System\n\nBe brief.\n\n## You\n\nfirst\n\n## Model\n\na reply\n\n"
        "## You\n\nsecond\n\n## Model\n\nfrom the big one\n"
    )


@pytest.mark.parametrize("word", ["exit", "quit", "/exit", "/quit", " "])
def test_words_that_are_not_sent(word: str, monkeypatch: pytest.MonkeyPatch, talk: Talk) -> None:
    with serving(monkeypatch, ["a reply"]) as model:
        talk([word, word])
    assert model.asked == []


@pytest.mark.parametrize("again", ["", "/retry"])
@pytest.mark.parametrize(
    "error", [DarkAIInvalidRequestError("Not so."), DarkAIRateLimitError("Not so.", retry_after=0)]
)
def test_a_message_that_failed_is_kept_and_sent_again(
    error: Exception, again: str, monkeypatch: pytest.MonkeyPatch, talk: Talk
) -> None:
    failures: list[list[Piece]] = [[error]] * (3 if isinstance(error, DarkAIRateLimitError) else 1)
    with serving(monkeypatch, *failures, ["Yes, so."]) as model:
        shown = talk(["a message", again])
    assert model.asked == [[("human", "a message")]] * (len(failures) + 1)
    assert shown.index("Not so.") < shown.index("press Enter to send it again") < shown.index("Yes, so.")


def test_another_message_takes_the_place_of_one_that_failed(monkeypatch: pytest.MonkeyPatch, talk: Talk) -> None:
    with serving(monkeypatch, [DarkAIPermissionDeniedError("No.")], ["a reply"]) as model:
        talk(["first", "second"])
    assert model.asked == [[("human", "first")], [("human", "second")]]


def test_a_reply_that_breaks_stays_in_the_conversation_as_far_as_it_was_shown(
    monkeypatch: pytest.MonkeyPatch, talk: Talk
) -> None:
    broken: list[Piece] = ["half a reply", DarkAIPermissionDeniedError("No more.")]
    with serving(monkeypatch, broken, ["another"]) as model:
        shown = talk(["first", "second"], "--system", "Be brief.")
    first = [("system", "Be brief."), ("human", "first")]
    assert model.asked == [first, [*first, ("ai", "half a reply"), ("human", "second")]]
    assert shown.index("half a reply\n") < shown.index("No more.") < shown.index("another\n")


def test_json_has_standard_output_for_itself(monkeypatch: pytest.MonkeyPatch, talk: Talk) -> None:
    with serving(monkeypatch, ["one"], ["two"]):
        shown = talk(["first", "second"], "--json")
    assert [line[:14] for line in shown.splitlines()] == ['{"text": "one"', '{"text": "two"']
