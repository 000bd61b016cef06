"""Checks that the reference has every public name."""

import ast
import logging
import re
from pathlib import Path
from typing import Any

log = logging.getLogger("mkdocs.hooks.reference")

PACKAGE = Path(__file__).parents[2] / "langchain_darkai"
MODULES = {
    "bulk": "bulk/__init__.py",
    "chat-models": "chat_models.py",
    "client": "client.py",
    "errors": "errors.py",
    "prompts": "prompts.py",
    "protocol": "protocol/__init__.py",
    "server": "server/__init__.py",
    "testing": "testing/__init__.py",
    "transport": "transport.py",
}
"""The pages of the reference, and the modules whose names they show."""
INTERNAL = {"Restart"}
"""What is public between modules only."""


def on_post_build(config: Any, **_: Any) -> None:
    """Warn of each name that is in the `__all__` of a module and not on its page."""
    for page, module in MODULES.items():
        html = (Path(config.site_dir) / "reference" / f"{page}.html").read_text(encoding="utf-8")
        shown = {name.rpartition(".")[2] for name in re.findall(r'<h2 id="(langchain_darkai[.\w]+)"', html)}
        for name in sorted(_public_names(PACKAGE / module) - INTERNAL - shown):
            log.warning("reference/%s.md does not show %s.", page, name)


def _public_names(path: Path) -> set[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()
