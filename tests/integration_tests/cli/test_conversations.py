"""`langchain-darkai chat` at a terminal."""

import time

import pytest

from langchain_darkai import DarkAIInvalidRequestError, DarkAIPermissionDeniedError, DarkAIRateLimitError
from tests.support.command_line import SECONDS, Terminal, serving
from tests.support.models import Piece


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


def test_a_reply_that_breaks_stays_in_the_conversation_as_far_as_it_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_blank_lines_at_the_terminal_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, ["a reply"]) as model, Terminal() as terminal:
        for _ in range(2):
            terminal.wait_for("> ")
            terminal.type(" \n")
        assert terminal.leave() == 0
    assert model.asked == []
