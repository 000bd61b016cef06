"""Which web pages may use a server: CORS, the rules by which browsers ask for leave."""

from collections.abc import Collection

from aiohttp import web

from langchain_darkai.errors import DarkAIPermissionDeniedError

__all__ = ["AllowedOrigins"]


class AllowedOrigins:
    """The origins of web pages that may use a server, such as "https://app.example", or "*" for all.

    A browser sends the origin of a page with each of its requests. Other programs send none, and are let in.
    """

    def __init__(self, origins: Collection[str]) -> None:
        if isinstance(origins, str):
            raise TypeError(f"cors_origins is a string; give a list of origins: [{origins!r}].")
        self._origins = frozenset(origin.rstrip("/") for origin in origins)

    def is_preflight(self, request: web.Request) -> bool:
        """Return whether a browser only asks what a page may do; raise where its page may not use this server."""
        origin = request.headers.get("origin")
        if origin is None:
            return False
        if not self._allows(origin):
            raise DarkAIPermissionDeniedError(
                f"Web pages of {origin!r} may not use this server: its cors_origins say which may."
            )
        return request.method == "OPTIONS"

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell a browser that a page of an allowed origin may read the answer."""
        if not self._origins:
            return
        response.headers["vary"] = "origin"
        origin = request.headers.get("origin")
        if origin is None or not self._allows(origin):
            return
        response.headers["access-control-allow-origin"] = origin
        response.headers["access-control-expose-headers"] = "retry-after"
        if request.method == "OPTIONS":
            wanted = request.headers.get("access-control-request-headers", "")
            response.headers["access-control-allow-methods"] = "GET, POST"
            response.headers["access-control-allow-headers"] = wanted or "authorization, content-type"

    def _allows(self, origin: str) -> bool:
        return "*" in self._origins or origin in self._origins
