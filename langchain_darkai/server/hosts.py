"""By which names a server may be called: a guard against web pages that give this machine a name of theirs."""

import ipaddress
import re
from collections.abc import Collection

from aiohttp import web

from langchain_darkai._text import echoed
from langchain_darkai.errors import DarkAIInvalidRequestError

__all__ = ["AllowedHosts"]


class AllowedHosts:
    """The names that clients may send as Host: those given, or "*" for all; names of loopback are always among them.

    A browser keeps the pages of one name from what another name answers. But the owner of a name can let it point at
    127.0.0.1 at any time (DNS rebinding). So a server that only this machine reaches asks by which name it was called.
    With None, servers on other addresses do not ask: they can be reached without such a trick.
    """

    def __init__(self, hosts: Collection[str] | None) -> None:
        if isinstance(hosts, str):
            raise TypeError(f"allowed_hosts is a string; give a list of names: [{hosts!r}].")
        self._names = None if hosts is None else frozenset(map(_name_in, hosts))
        self._own_name: str | None = None
        self._is_local: bool | None = None

    def listen(self, host: str, *, is_local: bool) -> None:
        """Take down where the server listens; where nobody tells, each connection shows whether it is a local one."""
        self._own_name, self._is_local = _name_in(host), is_local

    def check(self, request: web.Request) -> None:
        """Raise DarkAIInvalidRequestError where a server of this name is not here."""
        host = request.headers.get("host")
        if host is None or not self._is_asked_for(request):
            return
        self._check(_name_in_header(host), host)
        if not request.raw_path.startswith(("/", "*")):  # a proxy would go by this name
            self._check((request.url.host or "").lower().rstrip("."), request.raw_path)

    def is_certain(self, host: str) -> bool:
        """Return whether a Host header has an address, or a name that nobody else can let point here."""
        name = _name_in_header(host)
        return _address_of(name) is not None or name in {"localhost", self._own_name, *(self._names or ())} - {"*"}

    def _check(self, name: str, given: str) -> None:
        if not name or (name != self._own_name and name not in (self._names or ()) and not _is_loopback(name)):
            raise DarkAIInvalidRequestError(
                f"This server does not answer to the name {echoed(given)}. Call it localhost or 127.0.0.1, or list the "
                "name in its allowed_hosts.",
                status=421,
            )

    def _is_asked_for(self, request: web.Request) -> bool:
        if self._names is not None:
            return "*" not in self._names
        if self._is_local is not None:
            return self._is_local
        address = request.transport and request.transport.get_extra_info("sockname")
        return isinstance(address, tuple) and _is_loopback(address[0])


_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]@/?#\s]+))(?::[0-9]*)?", re.IGNORECASE)


def _name_in_header(host: str) -> str:
    """Return the name in a Host header, without its port; "" where it is no name with a port."""
    found = _HOST.fullmatch(host.strip())
    return (found[1] or found[2]).lower().rstrip(".") if found else ""


def _name_in(host: str) -> str:
    """Return the name in a host that a user of the server gives, without its port."""
    host = host.strip().lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host
    return name.partition(":")[0].rstrip(".") if name.count(":") == 1 else name.rstrip(".")


def _address_of(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a name is, or None where it is none."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _is_loopback(name: str) -> bool:
    address = _address_of(name)
    return name == "localhost" or (address is not None and address.is_loopback)
