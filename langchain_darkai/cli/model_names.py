"""The names of the models that an endpoint lists at `/models`, which not every endpoint does."""

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai._http.environment import environment_proxy, tls_setting
from langchain_darkai._http.error_mapping import error_from_response, map_error
from langchain_darkai.client import DarkAI
from langchain_darkai.errors import DarkAINotFoundError

if TYPE_CHECKING:
    from langchain_darkai.chat_models import ChatDarkAI

__all__ = ["host_of", "model_names"]


def host_of(model: "ChatDarkAI") -> str:
    """Return the host and port of a model's endpoint."""
    return DarkAI(base_url=model.base_url or "").host


def model_names(model: "ChatDarkAI") -> list[str] | None:
    """Return the names that the endpoint of a model lists, the default first; None where it has no list.

    Raises a DarkAIError where the endpoint cannot be reached, or refuses.
    """
    key: Any = model.api_key
    endpoint = Endpoint.from_settings(
        base_url=model.base_url or DarkAI.api_endpoint,
        api_key=(key and key.get_secret_value()) or None,
        proxy=model.proxy or None,
    )
    try:
        return asyncio.run(_listed(endpoint.through(endpoint.proxy or environment_proxy(endpoint.url)), model.timeout))
    except DarkAINotFoundError:
        return None


async def _listed(endpoint: Endpoint, timeout: float | None) -> list[str] | None:
    address, question, query = endpoint.url.partition("?")
    url = f"{address.removesuffix('/chat')}/models{question}{query}"
    tls = await tls_setting(endpoint.verify)
    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=limit) as session,
            session.get(
                url,
                headers={**endpoint.headers, "accept": "application/json"},
                allow_redirects=False,
                proxy=endpoint.proxy,
                ssl=tls,
            ) as response,
        ):
            if response.status in (404, 405):
                return None
            if response.status != 200:
                raise await error_from_response(endpoint, response, 3.0)
            listed = await response.json() if response.content_type == "application/json" else None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise map_error(error, endpoint) from None
    names = listed.get("models") if isinstance(listed, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else None
