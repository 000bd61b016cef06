"""One request and its answer, as far as logs, metrics and traces tell of it: names, times and counts, never a text."""

import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from langchain_darkai.protocol import wire_error_type
from langchain_darkai.server.keys import ApiKey

__all__ = ["REQUEST_ID", "Exchange", "exchange_of"]

REQUEST_ID = "x-request-id"
"""The header of a request's id, which is taken over from a client or a proxy before the server."""

_SANE_ID = re.compile(r"[!-~]{1,128}")


class Exchange:
    """What is known of one request while it is answered, passed along with it as `exchange_of(request)`."""

    def __init__(self, request: web.Request) -> None:
        given = request.headers.get(REQUEST_ID, "")
        self.request_id: str = given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)
        resource = request.match_info.route.resource
        # Not the path of a request that has no place here: it may hold anything, also a key.
        self.path: str = resource.canonical if resource is not None else "(other)"
        self.key: ApiKey | None = None
        self.model: str | None = None
        self.status: int = 500
        self.first_text: float | None = None
        self.total: float = 0.0
        self.usage: Mapping[str, Any] = {}
        self.error: str | None = None
        self._started = time.perf_counter()
        request[_KEY] = self

    def note_text(self) -> None:
        """Take down the time of the first text; called for each piece."""
        if self.first_text is None:
            self.first_text = time.perf_counter() - self._started

    def note_error(self, error: BaseException) -> None:
        """Take down the class of an error, as the client is told it; the message may quote texts."""
        self.error = wire_error_type(error)

    def end(self, status: int) -> None:
        """Take down how the request ended, and how long it took."""
        self.status = status
        self.total = time.perf_counter() - self._started


def exchange_of(request: web.Request) -> Exchange:
    """Return what is known of a request."""
    known: Exchange = request[_KEY]
    return known


# Before 3.14, aiohttp had strings as keys only.
_KEY: Any = web.RequestKey("exchange", Exchange) if hasattr(web, "RequestKey") else "langchain_darkai.exchange"
