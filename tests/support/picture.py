"""Makes docs/images/terminal.png, the picture of the demo in the README: python -m tests.support.picture

It needs the packages of development, and Chromium.
"""

import io
from pathlib import Path

import pyte
from rich.console import Console
from rich.text import Text

from tests.support.browser import chromium_path, running_chromium
from tests.support.command_line import Terminal

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "terminal.png"
ROWS = 60


def text_of(screen: pyte.Screen) -> Text:
    """Return what stands on a screen, with its colours."""
    names = {"default": "default", "brown": "yellow"}  # the other names are the same in pyte and in rich
    text = Text()
    for row in range(screen.lines):
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            colour = names.get(cell.fg, cell.fg.replace("bright", "bright_"))
            text.append(cell.data, f"bold {colour}" if cell.bold else colour)
        text.append("\n")
    return text


def main() -> None:
    """Run the demo, and take the picture when its fourth step is done."""
    with Terminal(command="demo", variables={"DARKAI_BASE_URL": ""}, waits=False, rows=ROWS) as terminal:
        terminal.wait_until(lambda lines: any(line.startswith("5 of 5") for line in lines), 300.0)
        console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
        rows = terminal.lines
        shown = text_of(terminal.emulator).split("\n")
        first = next(n for n, line in enumerate(rows) if line.startswith("3 of 5"))
        last = next(n for n, line in enumerate(rows) if line.startswith("5 of 5"))
        console.print(Text("\n").join(shown[first : last - 1]))
    picture = console.export_svg(title="langchain-darkai demo")
    path = chromium_path()
    assert path, "There is no Chromium here."
    with running_chromium(path) as browser:
        page = browser.new_page(device_scale_factor=1.5)
        page.set_content(f"<body style='margin:0;width:900px'>{picture}</body>")
        page.locator("svg").first.screenshot(path=PICTURE, omit_background=True)


if __name__ == "__main__":
    main()
