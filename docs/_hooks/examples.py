"""Lets the reference show the examples of docstrings as code, and their sections as headings of the text."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^( *)>>> .*\n?(?:^\1\S.*\n?)*", re.MULTILINE)
SECTION = re.compile(r"^([A-Z][\w ]+):\n((?:(?: {4}.*)?(?:\n|$))+)", re.MULTILINE)


class Examples(griffe.Extension):
    """Puts examples into code blocks, and makes bold titles of sections that Griffe would put into boxes."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            text = EXAMPLE.sub(lambda found: _fenced(found[0], found[1]), obj.docstring.value)
            obj.docstring.value = SECTION.sub(_section, text)


def _fenced(example: str, indent: str) -> str:
    return f"{indent}```pycon\n{example.rstrip()}\n{indent}```\n"


def _section(found: re.Match[str]) -> str:
    return f"**{found[1]}**\n\n" + re.sub(r"^ {4}", "", found[2], flags=re.MULTILINE)
