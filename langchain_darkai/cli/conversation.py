"""The conversation of `langchain-darkai chat` at a terminal."""

import argparse
import contextlib
import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from rich.console import Console

from langchain_darkai._version import __version__
from langchain_darkai.cli.displays import display_for
from langchain_darkai.cli.failures import in_terminal_words, sentence_of
from langchain_darkai.cli.line_editor import line_editor
from langchain_darkai.cli.model_names import host_of, model_names
from langchain_darkai.cli.reply import Reply, fetch

if TYPE_CHECKING:
    from langchain_darkai.chat_models import ChatDarkAI

__all__ = ["Conversation"]


class _Leave(Exception):
    """The user wants to leave."""


class _Command(NamedTuple):
    """A command within the conversation."""

    run: Callable[[str], None]
    argument: str
    help: str


class Conversation:
    """Talks until the user leaves. What fails is told, and the message is kept to be sent again."""

    def __init__(self, model: "ChatDarkAI", options: argparse.Namespace) -> None:
        self._model = model
        self._options = options
        self._system: str = options.system or ""
        self._messages: list[BaseMessage] = []
        self._unsent = ""
        self._console = Console(highlight=False, markup=False, stderr=options.json)
        self._commands = {
            "help": _Command(self._help, "", "show this"),
            "model": _Command(self._choose_model, "[NAME]", "go on with another model, or list them"),
            "system": _Command(self._set_system, "[TEXT]", "set the system message; without TEXT, remove it"),
            "clear": _Command(self._clear, "", "forget what was said; the system message stays"),
            "save": _Command(self._save, "FILE", "write the conversation to a file, as Markdown"),
            "retry": _Command(self._retry, "", "ask for another reply to the last message"),
            "exit": _Command(self._leave, "", "leave; so do exit, quit and Ctrl+D"),
        }

    def run(self) -> None:
        """Talk until the user leaves."""
        self._say(f"langchain-darkai {__version__}: {self._model.model} at {host_of(self._model)}", "bold")
        self._say("Ctrl+C ends a reply, Ctrl+D or /exit the conversation. /help shows all commands.", "dim")
        editor = line_editor([f"/{name}" for name in self._commands])
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # it empties the line that is typed
                try:
                    self._take(editor("> "))
                except (EOFError, _Leave):
                    return

    def _take(self, text: str) -> None:
        """Do what a line says."""
        text = text if text.strip() else self._unsent
        if text.strip() in ("exit", "quit"):
            raise _Leave
        if text.startswith("/") and "\n" not in text:
            self._obey(text)
        elif text:
            self._send(text)

    def _obey(self, line: str) -> None:
        name, _, argument = line[1:].partition(" ")
        known = self._commands.get("exit" if name == "quit" else name)
        if known is None:
            near = difflib.get_close_matches(name, self._commands, n=1)
            self._say(f"There is no /{name}.{f' Did you mean /{near[0]}?' if near else ''} /help lists them.", "red")
            return
        known.run(argument.strip())

    def _send(self, text: str) -> None:
        reply = Reply()
        self._unsent = text
        messages = [*([SystemMessage(self._system)] if self._system else []), *self._messages, HumanMessage(text)]
        try:
            with display_for(self._options) as display:
                fetch(self._model, messages, reply, display, streams=not self._options.no_stream)
        except KeyboardInterrupt:
            self._say("[interrupted]", "dim")
        except ModelError as error:
            self._say(in_terminal_words(sentence_of(error), self._options.words), "red")
        if reply.texts or reply.message:
            self._unsent = ""
            self._messages += [HumanMessage(text), AIMessage(reply.text)]
        else:
            self._say("Your message is kept: press Enter to send it again.", "dim")

    def _help(self, _argument: str) -> None:
        for name, command in self._commands.items():
            self._say(f"{f'/{name} {command.argument}':<16} {command.help}")

    def _choose_model(self, name: str) -> None:
        if name:
            self._model = self._model.model_copy(update={"model": name})
            self._say(f"The model is {name} from now on.", "dim")
            return
        try:
            names = model_names(self._model) or []
        except ModelError as error:
            self._say(in_terminal_words(sentence_of(error)), "red")
            return
        self._say(f"The model is {self._model.model}.", "dim")
        if names:
            self._say(f"There are: {', '.join(names)}.", "dim")

    def _set_system(self, text: str) -> None:
        self._system = text
        self._say("The system message is set." if text else "There is no system message now.", "dim")

    def _clear(self, _argument: str) -> None:
        self._messages, self._unsent = [], ""
        self._say("What was said is forgotten.", "dim")

    def _save(self, name: str) -> None:
        if not name:
            self._say("Name the file: /save FILE", "red")
            return
        parts = [("System", self._system)] if self._system else []
        parts += [("You" if message.type == "human" else "Model", message.text) for message in self._messages]
        try:
            with Path(name).expanduser().open("x", encoding="utf-8") as file:
                file.write("\n\n".join(f"## {who}\n\n{text}" for who, text in parts) + "\n")
        except FileExistsError:
            self._say(f"{name} is there already; choose another name.", "red")
        except OSError as error:
            self._say(f"{name} cannot be written: {error.strerror}.", "red")
        else:
            self._say(f"Saved in {name}.", "dim")

    def _retry(self, _argument: str) -> None:
        if not self._unsent and self._messages:
            self._unsent = self._messages[-2].text
            del self._messages[-2:]
        if self._unsent:
            self._send(self._unsent)
        else:
            self._say("There is no message yet.", "red")

    def _leave(self, _argument: str) -> None:
        raise _Leave

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style)
