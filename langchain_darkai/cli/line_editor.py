"""The line that is typed in a conversation: history between sessions, pasted lines as one message, completion."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

__all__ = ["history_path", "line_editor"]


def line_editor(commands: Sequence[str]) -> Callable[[str], str]:
    """Return a function that shows its argument and returns what is typed; `commands` are completed.

    Enter ends the input; Alt+Enter begins a new line, and pasted lines stay together. The function raises
    KeyboardInterrupt for Ctrl+C and EOFError for Ctrl+D.
    """
    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    session: PromptSession[str] = PromptSession(
        history=_history(),
        key_bindings=keys,
        multiline=True,
        prompt_continuation="  ",
        completer=WordCompleter(list(commands), sentence=True),
        complete_while_typing=False,
    )
    return session.prompt


def history_path() -> Path:
    """Return the file that keeps what was typed."""
    if sys.platform == "win32":
        state = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "langchain-darkai" / "history"


def _history() -> History:
    """Return the history between sessions, for the user's eyes only; one of this session where it cannot be kept."""
    try:
        path = history_path()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except (OSError, RuntimeError):  # the latter for a user without a home
        return InMemoryHistory()
    return FileHistory(path)
