"""The tour behind `langchain-darkai demo`: the code of each step stands beside what comes back while it runs."""

import contextlib
import inspect
import json
import os
import textwrap
import time
from collections.abc import Callable, Iterator

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from langchain_darkai.chat_models import ChatDarkAI
from langchain_darkai.cli.tour_steps import STEPS, Step
from langchain_darkai.cli.word_wrap import printable
from langchain_darkai.errors import DarkAITimeoutError, DarkAIToolChoiceError

__all__ = ["run_demo"]

_CODE_WIDTH = 48
_MIN_LINES = 9
"""Lines for a reply beside short code."""

_NEXT = (
    ("langchain-darkai chat", "talk to a model"),
    ("langchain-darkai serve", "serve models, with a page"),
    ("langchain-darkai demo --backend llama.cpp:FILE", "this tour, on a real model"),
    ("langchain-darkai help", "all commands"),
    ("README.md, docs/ and notebooks/", "the rest"),
)


def run_demo(backend: str | None = None) -> None:
    """Run the tour on a local server with the backend, on `DARKAI_BASE_URL`, or on the offline model."""
    console = Console(highlight=False, markup=False)
    started = time.perf_counter()
    with _endpoint(console, backend) as base_url:
        model = ChatDarkAI(base_url=base_url)
        for number, step in enumerate(STEPS, 1):
            title = f"{number} of {len(STEPS)}: {(inspect.getdoc(step) or '').rstrip('.')}"
            (_run_on_screen if console.is_terminal else _run_plainly)(console, title, step, model)
    console.print(f"\nDone in {time.perf_counter() - started:.1f} s. What to try next:\n", style="bold")
    for command, what in _NEXT:
        console.print(Text(f"  {command:<48}", "cyan").append(what), soft_wrap=True)


@contextlib.contextmanager
def _endpoint(console: Console, backend: str | None) -> Iterator[str]:
    base_url = os.environ.get("DARKAI_BASE_URL")
    if base_url and not backend:
        console.print("Using the endpoint that DARKAI_BASE_URL names.")
        yield base_url
        return
    from langchain_darkai.server import LocalServer, OfflineChatModel

    served: BaseChatModel | dict[str, BaseChatModel] = OfflineChatModel(delay=0.02)
    what = "the offline model: rules, no language model"
    if backend:
        from langchain_darkai.server.backends import Plan, parse_backend
        from langchain_darkai.server.config import Config

        plan = Plan(Config(), [parse_backend(backend)])
        with console.status(f"Loading {plan.names} ..."):
            served, what = plan.make(), plan.names
    with LocalServer(served) as server:
        console.print(f"A local server runs at {server.url}, with {what}.", soft_wrap=True)
        yield server.url


def _run_on_screen(console: Console, title: str, step: Step, model: ChatDarkAI) -> None:
    width = min(console.width, 100)
    code = _code(step)
    lines = max(len(code.splitlines()) + 1, _MIN_LINES)
    written = Syntax(code, "python", theme="ansi_dark", background_color="default", word_wrap=True)
    shown: list[RenderableType] = [Spinner("dots", style="cyan")]

    def frame() -> RenderableType:
        table = Table.grid(expand=True)
        table.add_column(width=_CODE_WIDTH)
        table.add_column(ratio=1)
        table.add_row(
            Panel(written, title="You write", title_align="left", border_style="blue", height=lines + 2),
            Panel(Group(*shown), title="It answers", title_align="left", border_style="green", height=lines + 2),
        )
        return Group(Text(f"\n{title}", "bold"), table)

    def show(*values: object) -> None:
        shown[:] = map(_renderable, values)

    with Live(console=console, get_renderable=frame, refresh_per_second=15, redirect_stdout=False):
        console.width, before = width, console.width
        try:
            _run(step, model, show)
        finally:
            console.width = before


def _run_plainly(console: Console, title: str, step: Step, model: ChatDarkAI) -> None:
    console.print(f"\n{title}\n\n{textwrap.indent(_code(step), '    ')}\n", soft_wrap=True)
    last: list[object] = []

    def show(*values: object) -> None:
        last[:] = values

    _run(step, model, show)
    for value in last:
        if isinstance(renderable := _renderable(value), Text):
            console.print(renderable.plain, soft_wrap=True)


def _run(step: Step, model: ChatDarkAI, show: Callable[..., None]) -> None:
    """Run a step. What a weak model does not manage is shown; an endpoint that does not answer ends the tour."""
    try:
        step(model, show)
    except ModuleNotFoundError as error:
        show(f"This step needs another package: pip install {error.name}")
    except (DarkAITimeoutError, DarkAIToolChoiceError, OutputParserException, RecursionError) as error:
        show(f"The model did not manage this: {str(error).splitlines()[0]}")


def _renderable(value: object) -> RenderableType:
    if isinstance(value, str):
        return Text(printable(value))
    if isinstance(value, dict | list):
        return Text(json.dumps(value, indent=2, ensure_ascii=False))
    assert isinstance(value, ProgressBar)
    return Padding(value, 0)  # which ends its line


def _code(step: Step) -> str:
    """Return a step's body as it stands in its file, without its title and remarks for tools."""
    lines = inspect.getsource(step).splitlines()[2:]
    return textwrap.dedent("\n".join(line.partition("  # ")[0] for line in lines)).strip("\n")
