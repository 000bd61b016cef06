"""The commands on a real terminal: what is seen there, and what keys and Ctrl+C do."""

import functools
import time
from pathlib import Path

import pytest

from tests.support.command_line import ALT_ENTER, ENTER, PROMPT, SECONDS, Terminal, pasted, serving

MARKDOWN = "Some **bold** text\nin <b>two</b> lines\x1b[41m\n\n- [one](http://a.example)\n- two\n"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_conversation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serving(monkeypatch, ["one ", "reply"], [MARKDOWN]) as model:
        with Terminal("--model", "gpt-4o", home=tmp_path) as terminal:
            assert ": gpt-4o at 127.0.0.1:" in terminal.lines[0]
            assert [words for words in ("Ctrl+C", "Ctrl+D", "/exit", "/help") if words not in terminal.lines[1]] == []
            assert terminal.lines[2] == ">"
            terminal.type(f"{pasted('one' + ENTER + 'two')}{ALT_ENTER}three{ENTER}")
            terminal.wait_for(PROMPT)
            assert terminal.lines[2:6] == ["> one", "  two", "  three", "one reply"]
            terminal.type(f"next{ENTER}")
            terminal.wait_for(PROMPT)
            at = terminal.lines.index("> next") + 1
            assert [line for line in terminal.lines[at:] if line] == [
                "Some bold text",
                "in <b>two</b> lines[41m",
                " • one (http://a.example)",
                " • two",
                ">",
            ]
            terminal.seen = terminal.text.rindex(PROMPT)
            assert terminal.leave() == 0
        with Terminal(home=tmp_path) as terminal:
            terminal.type(f"\x1b[A{ENTER}")  # the arrow up
            terminal.wait_for(PROMPT)
            terminal.seen = terminal.text.rindex(PROMPT)
            assert terminal.leave() == 0
    first = ("human", "one\ntwo\nthree")
    asked = [[first], [first, ("ai", "one reply"), ("human", "next")], [("human", "next")]]
    assert model.asked == asked
    assert (tmp_path / "langchain-darkai" / "history").stat().st_mode & 0o777 == 0o600
    assert "Traceback" not in terminal.text


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ctrl_c_ends_what_is_typed_and_replies_and_the_conversation_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, [...], ["half a reply", ...], ["another"]) as model, Terminal() as terminal:
        terminal.type("never sent")
        terminal.wait_for("never sent")
        terminal.interrupt(PROMPT)
        terminal.type(f"first{ENTER}")
        while not model.asked:
            time.sleep(0.01)
        terminal.interrupt("[interrupted]")
        terminal.wait_for(PROMPT)
        terminal.type(f"second{ENTER}")
        terminal.wait_for("half a reply")
        terminal.interrupt("[interrupted]")
        assert model.record.was_cancelled.wait(SECONDS)
        terminal.wait_for(PROMPT)
        assert "half a reply" in terminal.lines
        terminal.type(f"third{ENTER}")
        terminal.wait_for("another")
        assert terminal.leave() == 0
    second = ("human", "second")
    assert model.asked == [
        [("human", "first")],
        [second],
        [second, ("ai", "half a reply"), ("human", "third")],
    ]
    assert "Traceback" not in terminal.text


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_without_an_endpoint_a_local_server_is_offered_before_anything_is_sent() -> None:
    words = ("Count from 1 to 15", "--plain")
    with Terminal(*words, variables={"DARKAI_BASE_URL": "", "COLUMNS": "30"}, waits=False) as terminal:
        terminal.wait_for("https://darkai.foundation/chat")
        terminal.wait_for("[Y/n] ")
        terminal.type(ENTER)
        assert terminal.end() == 0
    at = terminal.lines.index("1, 2, 3, 4, 5, 6, 7, 8, 9, 10,")
    assert terminal.lines[at + 1] == "11, 12, 13, 14, 15"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_each_step_of_the_demo_fits_on_a_screen() -> None:
    with Terminal(command="demo", variables={"DARKAI_BASE_URL": ""}, waits=False) as terminal:
        for number in range(1, 6):
            terminal.wait_until(functools.partial(shows_step, number))
        terminal.wait_for("What to try next:")
        assert terminal.end() == 0
    assert terminal.text.count("no language model") == 1


def shows_step(number: int, lines: list[str]) -> bool:
    """Return whether a step is on the screen whole: its title, what is written and answered, and the end of both."""
    titles = [place for place, line in enumerate(lines) if line.startswith(f"{number} of 5: ")]
    below = lines[titles[0] + 1 :] if titles else []
    return bool(below) and "You write" in below[0] and any(line.startswith("╰") for line in below)
