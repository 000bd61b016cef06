"""How a reply is shown: as text to the letter, as text that fits a terminal, as Markdown, or as JSON."""

import argparse
import json
import os
import shutil
import sys

from typing_extensions import Self

from langchain_darkai.cli.reply import Display, Reply
from langchain_darkai.cli.word_wrap import WordWrap, printable

__all__ = ["display_for"]


def display_for(options: argparse.Namespace) -> Display:
    """Return the display that the options ask for, and that standard output can show."""
    if options.json:
        return JsonDisplay()
    if not sys.stdout.isatty():
        return TextDisplay(None)
    if not options.plain and os.environ.get("TERM") != "dumb":
        try:
            from langchain_darkai.cli.markdown import MarkdownDisplay
        except ModuleNotFoundError:  # without the extra, a reply is shown as text
            pass
        else:
            return MarkdownDisplay()
    return TextDisplay(WordWrap(shutil.get_terminal_size().columns))


class TextDisplay:
    """Prints text as it comes; with `wrap` for a terminal, else to the letter."""

    def __init__(self, wrap: WordWrap | None) -> None:
        self._wrap = wrap
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._print(self._wrap.finish() if self._wrap else "")
        if self._last and not self._last.endswith("\n"):
            self._print("\n")

    def feed(self, text: str) -> None:
        """Print more text."""
        self._print(self._wrap.feed(printable(text)) if self._wrap else text)

    def finish(self, reply: Reply) -> None:
        """There is nothing to add."""

    def _print(self, text: str) -> None:
        self._last = text or self._last
        print(text, end="", flush=True)


class JsonDisplay:
    """Prints a whole reply as one JSON object in one line."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def feed(self, text: str) -> None:
        """Wait for the end."""

    def finish(self, reply: Reply) -> None:
        """Print the object."""
        assert reply.message is not None
        metadata = reply.message.response_metadata
        shown = {
            "text": reply.text,
            "model": metadata.get("model_name"),
            "finish_reason": metadata.get("finish_reason"),
            "usage": reply.message.usage_metadata,
            "usage_source": metadata.get("usage_source", "server"),
        }
        print(json.dumps(shown, ensure_ascii=False), flush=True)
