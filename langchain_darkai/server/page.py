"""The page for people at `GET /`: one HTML document that holds its style and script, and loads nothing else."""

import base64
import functools
import hashlib
from importlib import resources

from aiohttp import web

__all__ = ["show_page"]

_SCRIPTS = ("prompt.js", "markdown.js", "wire.js", "turns.js", "page.js")

_HEADERS = {
    "cache-control": "no-cache",  # a new version of the package brings a new page
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-dns-prefetch-control": "off",  # the name in a link of a reply would be looked up before anybody clicks on it
    "x-frame-options": "DENY",
}


async def show_page(_request: web.Request) -> web.Response:
    """Answer with the page. It holds no data: what it shows, it asks for with the key that its user gives."""
    html, policy = load_page()
    return web.Response(
        text=html, content_type="text/html", charset="utf-8", headers={**_HEADERS, "content-security-policy": policy}
    )


@functools.cache
def load_page() -> tuple[str, str]:
    """Return the page's HTML, and the policy that lets it run its own script and style, and call its own server."""
    style = _asset("page.css")
    script = "".join(map(_asset, _SCRIPTS))
    html = _asset("page.html").replace("{{style}}", style).replace("{{script}}", script)
    policy = (
        "default-src 'none'",
        f"script-src {_hash(script)}",
        f"style-src {_hash(style)}",
        "connect-src 'self'",
        "img-src data:",  # its icon
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # innerHTML and the like fail, also if a line of ours ever used them
        "trusted-types 'none'",
    )
    return html, "; ".join(policy)


def _asset(name: str) -> str:
    return resources.files("langchain_darkai.server").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
