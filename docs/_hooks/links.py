"""What the site needs beside MkDocs: links out of docs/, and a check that no page loads anything from another host.

On GitHub, a page links to a file of the repository by its path. The site has no such files, so there the link goes to
GitHub. A path that does not exist fails the strict build.
"""

import logging
import re
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

log = logging.getLogger("mkdocs.hooks.links")

ROOT = Path(__file__).parents[2]
SOURCE = "https://github.com/langchain-darkai/langchain-darkai/blob/main"
LINK = re.compile(r"(?<=\]\()\.\./[^)\s]*")
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video)\b[^>]*\ssrc=["']?(?:https?:)?//[^>]*>"""
    r"""|<link\b(?![^>]*\brel=["']?canonical)[^>]*\shref=["']?(?:https?:)?//[^>]*>""",
    re.IGNORECASE,
)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page with its links out of docs/ as links to GitHub."""

    def to_github(found: re.Match[str]) -> str:
        path, sharp, heading = found[0].partition("#")
        target = normpath(join("docs", dirname(page.file.src_uri), path))
        if target.startswith("docs/"):
            return found[0]
        if not (ROOT / target).is_file():
            log.warning("%s links to %s, which does not exist.", page.file.src_uri, target)
        return f"{SOURCE}/{target}{sharp}{heading}"

    return LINK.sub(to_github, markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Warn where a page loads something from another host."""
    for element in LOADED.findall(output):
        log.warning("%s loads from another host: %s", page.file.src_uri, element)
    return output
