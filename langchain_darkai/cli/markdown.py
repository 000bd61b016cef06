"""Replies as Markdown in a terminal: the text while it comes, and its Markdown when it is whole."""

from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.text import Text
from typing_extensions import Self

from langchain_darkai.cli.reply import Reply
from langchain_darkai.cli.word_wrap import printable

__all__ = ["MarkdownDisplay", "markdown"]


def markdown(text: str) -> Markdown:
    """Return a text as Markdown that shows all of it: HTML as it is written, line ends as line ends, links in full."""
    shown = Markdown("", hyperlinks=False)
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
    shown.parsed = parser.parse(printable(text))
    _keep_line_ends(shown.parsed)
    return shown


def _keep_line_ends(tokens: Iterable[Token]) -> None:
    for token in tokens:
        if token.type == "softbreak":
            token.type = "hardbreak"
        _keep_line_ends(token.children or ())


class MarkdownDisplay:
    """A spinner until the first text, then the end of the text while it comes, at last its Markdown.

    The console is that of standard output if it is None.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._text = ""
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            console=self._console,
            get_renderable=self._tail,
            transient=True,
            refresh_per_second=12,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()
        if self._text.strip():
            self._console.print(markdown(self._text))

    def feed(self, text: str) -> None:
        """Show more text."""
        self._text += text

    def finish(self, reply: Reply) -> None:
        """The Markdown comes at the end, in any case."""

    def _tail(self) -> RenderableType:
        """Return as much of the end of the text as fits on the screen."""
        if not self._text.strip():
            return self._spinner
        width, height = self._console.size
        shown = Text(printable(self._text[-width * height :]).expandtabs(4))
        return Text("\n").join(shown.wrap(self._console, width)[-(height - 1) :])
