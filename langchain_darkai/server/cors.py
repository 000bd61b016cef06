"""Which web pages may use a server: CORS, the rules by which browsers ask for leave."""

from collections.abc import Collection

from aiohttp import web

from langchain_darkai._text import echoed
from langchain_darkai.errors import DarkAIPermissionDeniedError
from langchain_darkai.server.hosts import AllowedHosts

__all__ = ["AllowedOrigins"]


class AllowedOrigins:
    """The origins of web pages that may use a server, such as "https://app.example", or "*" for all.

    A browser sends the origin of a page with each request that can change something or be read, and with all others,
    of images and the like, whether page and server belong together. Other programs send neither, and are let in.

    With `own_page_of`, the names of a server that has a page itself, that page may use it, and links may lead to it.
    """

    def __init__(self, origins: Collection[str], *, own_page_of: AllowedHosts | None = None) -> None:
        if isinstance(origins, str):
            raise TypeError(f"cors_origins is a string; give a list of origins: [{origins!r}].")
        self._origins = frozenset(origin.rstrip("/") for origin in origins)
        self._own_hosts = own_page_of

    def check(self, request: web.Request) -> None:
        """Raise DarkAIPermissionDeniedError where a browser asks for a page that may not use this server."""
        origin = request.headers.get("origin")
        # A page of another port is "same-site", but mostly of another program, too.
        is_of_others = request.headers.get("sec-fetch-site", "") in {"cross-site", "same-site"}
        if (origin is not None or is_of_others) and not (self._allows(origin) or self._is_own_page(request)):
            page = "other sites" if origin is None else echoed(origin)
            own = " Its own page is open by its address, localhost, or a name in its allowed_hosts."
            raise DarkAIPermissionDeniedError(
                f"Web pages of {page} may not use this server: its cors_origins say which may."
                f"{own if self._own_hosts else ''}"
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

    def _is_own_page(self, request: web.Request) -> bool:
        """Return whether this server's own page asks, or somebody follows a link to it.

        A foreign name can be made to point here (DNS rebinding), and its pages then have the origin of this server. An
        address cannot, so the page works by addresses, and by the names that this server is known to have.
        """
        if self._own_hosts is None:
            return False
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        fetch = [request.headers.get(f"sec-fetch-{name}") for name in ("site", "mode", "dest")]
        if origin is None:
            return (request.method, request.path, *fetch[1:]) == ("GET", "/", "navigate", "document")
        is_same = origin in {f"http://{host}", f"https://{host}"} and fetch[0] in {None, "same-origin"}
        return is_same and self._own_hosts.is_certain(host)

    def _allows(self, origin: str | None) -> bool:
        return "*" in self._origins or origin in self._origins
