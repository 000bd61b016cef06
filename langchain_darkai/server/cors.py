"""Which web pages may use a server: CORS, the rules by which browsers ask for leave."""

from collections.abc import Collection

from aiohttp import web

from langchain_darkai.errors import DarkAIPermissionDeniedError
from langchain_darkai.server.error_responses import echoed

__all__ = ["AllowedOrigins"]


class AllowedOrigins:
    """The origins of web pages that may use a server, such as "https://app.example", or "*" for all.

    A browser sends the origin of a page with each request that can change something or be read, and with all others,
    of images and the like, whether page and server belong together. Other programs send neither, and are let in.
    """

    def __init__(self, origins: Collection[str]) -> None:
        if isinstance(origins, str):
            raise TypeError(f"cors_origins is a string; give a list of origins: [{origins!r}].")
        self._origins = frozenset(origin.rstrip("/") for origin in origins)

    def check(self, request: web.Request) -> None:
        """Raise DarkAIPermissionDeniedError where a browser asks for a page that may not use this server."""
        origin = request.headers.get("origin")
        # A page of another port is "same-site", but mostly of another program, too.
        is_of_others = request.headers.get("sec-fetch-site", "") in {"cross-site", "same-site"}
        if (origin is not None or is_of_others) and not self._allows(origin):
            page = "other sites" if origin is None else echoed(origin)
            raise DarkAIPermissionDeniedError(
                f"Web pages of {page} may not use this server: its cors_origins say which may."
            )

    def is_preflight(self, request: web.Request) -> bool:
        """Return whether a browser only asks what a page may do."""
        return request.method == "OPTIONS" and "origin" in request.headers

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell a browser that a page of an allowed origin may read the answer."""
        if not self._origins:
            return
        response.headers["vary"] = "origin"
        origin = request.headers.get("origin")
        if origin is None or not self._allows(origin):
            return
        response.headers["access-control-allow-origin"] = origin
        response.headers["access-control-expose-headers"] = "retry-after, x-request-id"
        if request.method == "OPTIONS":
            wanted = request.headers.get("access-control-request-headers", "")
            response.headers["access-control-allow-methods"] = "GET, POST"
            response.headers["access-control-allow-headers"] = wanted or "authorization, content-type"

    def _allows(self, origin: str | None) -> bool:
        return "*" in self._origins or origin in self._origins
