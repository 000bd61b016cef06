"""Where requests go, and what goes with each of them: the address, the headers, the proxy, TLS, and the secrets."""

import contextlib
import dataclasses
import inspect
import ipaddress
import os
import re
import ssl
import warnings
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from typing_extensions import Self

from langchain_darkai._http.redaction import basic_credentials, collect_secrets, login_secrets, redact
from langchain_darkai._validation import check_url_text
from langchain_darkai.errors import DarkAIInvalidRequestError

USER_AGENT = "langchain-darkai"

warned_hosts: set[str] = set()
"""The hosts for which a warning of plain http was given. Clear it to be warned again."""


@dataclasses.dataclass(frozen=True, repr=False)
class Endpoint:
    """One address of the API, with what a request to it needs.

    - `url`: the address that requests are sent to.
    - `host`: its host and port, which name the server in messages.
    - `headers`: sent with each request, names in lower case.
    - `proxy`: the URL of an http(s) proxy; None for the environment's.
    - `verify`: True, False, a CA file or folder, or an `ssl.SSLContext`.
    - `secrets`: what must not show where a server repeats it.
    """

    url: str
    host: str
    headers: Mapping[str, str]
    proxy: str | None
    verify: bool | str | ssl.SSLContext
    secrets: tuple[str, ...]

    @classmethod
    def from_settings(
        cls,
        *,
        base_url: str,
        api_key: str | None = None,
        proxy: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        verify: "bool | str | os.PathLike[str] | ssl.SSLContext" = True,
    ) -> Self:
        """Return the endpoint for a client's settings.

        Raises DarkAIInvalidRequestError for settings that cannot work. Warns, once a host, of a key that is sent over
        plain http.

        Example:
            >>> Endpoint.from_settings(base_url="http://127.0.0.1:8000/").url
            'http://127.0.0.1:8000/chat'
        """
        url, authorization = _url_and_authorization(base_url)
        if api_key and authorization:
            raise DarkAIInvalidRequestError("base_url holds a user and a password, and there is an api_key: use one.")
        if proxy is not None:
            _split_url("proxy", proxy)
        headers = _headers(f"Bearer {api_key}" if api_key else authorization, default_headers)
        _warn_of_plain_http(urlsplit(url), headers)
        return cls(
            url=url,
            host=urlsplit(url).netloc,
            headers=headers,
            proxy=proxy,
            verify=verify if isinstance(verify, bool | ssl.SSLContext) else os.fspath(verify),
            secrets=collect_secrets(api_key, base_url, proxy, (default_headers or {}).values()),
        )

    def __repr__(self) -> str:
        return f"<Endpoint {self.host}>"  # error reporters such as Sentry show local variables: no headers, no secrets

    def through(self, proxy: str | None) -> Self:
        """Return this endpoint with another proxy, whose user and password are secrets, too."""
        if proxy == self.proxy:
            return self
        return dataclasses.replace(self, proxy=proxy, secrets=(*self.secrets, *login_secrets(proxy or "")))

    def redact(self, text: str) -> str:
        """Return a server's words without the secrets."""
        return redact(text, self.secrets)


def _url_and_authorization(base_url: str) -> tuple[str, str | None]:
    """Return the URL of the API without user and password, and the authorization header that is made from them."""
    parts = _split_url("base_url", base_url)
    path = parts.path.rstrip("/")
    login, _, netloc = parts.netloc.rpartition("@")
    parts = parts._replace(netloc=netloc, path=path if path.endswith("/chat") else f"{path}/chat", fragment="")
    return urlunsplit(parts), f"Basic {basic_credentials(login)}" if login else None


def _split_url(name: str, url: str) -> SplitResult:
    """Return the parts of an http(s) URL; the error names the environment variable that it comes from, if it does."""
    check_url_text(name, url)
    with contextlib.suppress(ValueError):
        parts = urlsplit(url.strip())
        if parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0):
            return parts
    variable = f"DARKAI_{name.upper()}"
    raise DarkAIInvalidRequestError(
        f"{variable if os.environ.get(variable) == url else name} is not a URL like http://127.0.0.1:8000 or "
        f"https://example.org: {_shown(url)}."
    )


def _shown(url: str) -> str:
    """Return what is no URL, quoted, without what could be a password or a key in it."""
    match = _PARTS_OF_NO_URL.fullmatch(url)
    assert match is not None
    scheme, login, rest, hidden = match.groups(default="")
    if "@" in hidden:  # the password may have a ? in it, or the query an @: nobody can tell
        login, rest, hidden = "", "***", ""
    shown = f"{scheme}{login and '***@'}{rest}{hidden and hidden[0] + '***'}"
    return repr(shown) if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]!r}..."


MAX_SHOWN = 80
"""Characters of a refused URL that an error quotes: enough to know it again."""

_PARTS_OF_NO_URL = re.compile(r"(\w+://)?([^?#]*@)?([^?#]*)([?#].*)?", re.DOTALL)


_NOT_IN_NAMES = frozenset(' \t\r\n:"(),/;<=>?@[\\]{}')
"""What the name of a header cannot have."""


def _headers(authorization: str | None, default_headers: Mapping[str, str] | None) -> dict[str, str]:
    headers = {
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "user-agent": USER_AGENT,
    }
    if authorization:
        headers["authorization"] = authorization
    for name, value in (default_headers or {}).items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise DarkAIInvalidRequestError(f"default_headers: {name!r} and its value must both be strings.")
        headers[name.lower()] = value
    for name, value in headers.items():
        if not (name.isascii() and value.isprintable() and _NOT_IN_NAMES.isdisjoint(name)):
            what = "api_key" if name == "authorization" and authorization else f"the header {name!r}"
            raise DarkAIInvalidRequestError(
                f"{what} has a character that HTTP headers cannot carry, a line end perhaps."
            )
    return headers


_NAMES_OF_KEYS = re.compile("auth|cookie|key|secret|token", re.IGNORECASE)


def _warn_of_plain_http(url: SplitResult, headers: Mapping[str, str]) -> None:
    """Warn, once a host, of a key in a header or the query that goes over the network for everybody to read."""
    host = url.hostname or ""
    if url.scheme != "http" or host in warned_hosts:
        return
    names = (*headers, *(name for name, _ in parse_qsl(url.query)))
    if not is_loopback(host) and any(map(_NAMES_OF_KEYS.search, names)):
        warned_hosts.add(host)
        message = f"The key for {host} is sent over plain http; use https."
        warnings.warn(message, UserWarning, stacklevel=_stacklevel_of_the_user())


def is_loopback(host: str) -> bool:
    """Return whether a host, in lower case, is this machine.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("model.localhost"), is_loopback("192.168.0.1")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


_BETWEEN = ("langchain_darkai", "langchain_core", "pydantic", "functools")


def _stacklevel_of_the_user() -> int:
    """Return the `stacklevel` with which this function's caller warns of the user's line.

    The code of `ChatDarkAI`, pydantic and others may stand between that line and here.
    """
    level = 0
    frame = inspect.currentframe()
    while frame and frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame = frame.f_back
        level += 1
    return level
