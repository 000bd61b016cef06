"""What the environment says of connections: its proxies, and its CA bundles."""

import functools
import os
import ssl
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from langchain_darkai._http.endpoint import is_loopback
from langchain_darkai._threads import in_thread
from langchain_darkai.errors import DarkAIInvalidRequestError

_PROXY_VARIABLES = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)


def environment_proxy(url: str) -> str | None:
    """Return the proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name for a URL.

    None for this machine: a proxy would look for it on its own, and a local server is not to depend on NO_PROXY.
    aiohttp's own `trust_env` is not used, since it also takes passwords from ~/.netrc.
    """
    return None if _is_here(url) else _proxy_for(url, tuple(map(os.environ.get, _PROXY_VARIABLES)))


@functools.lru_cache(maxsize=64)
def _is_here(url: str) -> bool:
    return is_loopback(URL(url).host or "")


@functools.lru_cache(maxsize=64)
def _proxy_for(url: str, _variables: tuple[str | None, ...]) -> str | None:
    # Cached by the variables' values: `getproxies` goes through the whole environment, which is slow for each call.
    parts = URL(url)
    proxies = getproxies()
    if not proxies or proxy_bypass(f"{parts.host}:{parts.port}"):
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy and not proxy.lower().startswith(("http://", "https://")):
        raise DarkAIInvalidRequestError(
            f"The environment names a proxy of another kind than http(s) for {parts.host}. Set proxy= or "
            f"{parts.scheme.upper()}_PROXY to an http(s) proxy, or {parts.host} in NO_PROXY."
        )
    return proxy


_contexts: dict[str, ssl.SSLContext] = {}
"""The contexts of the CA bundles that were read."""


async def tls_setting(verify: bool | str | ssl.SSLContext) -> bool | ssl.SSLContext:
    """Return what aiohttp takes for `ssl=`: a context, True for the system's certificates, or False for no check."""
    if verify is True:  # read at each call: aiohttp reads SSL_CERT_FILE only once, when it is imported
        verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True
    if not isinstance(verify, str):
        return verify
    if verify and verify not in _contexts:
        _contexts[verify] = await in_thread(_context, verify)
    return _contexts[verify] if verify else True


def _context(bundle: str) -> ssl.SSLContext:
    try:
        is_folder = Path(bundle).is_dir()
        return ssl.create_default_context(cafile=None if is_folder else bundle, capath=bundle if is_folder else None)
    except (OSError, ssl.SSLError) as error:
        raise DarkAIInvalidRequestError(
            f"The CA bundle {bundle!r} cannot be read: {error}. Give verify= (or REQUESTS_CA_BUNDLE or "
            "SSL_CERT_FILE) a PEM file or folder."
        ) from error
