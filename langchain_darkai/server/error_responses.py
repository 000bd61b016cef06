"""Errors as HTTP responses: JSON with a sentence in it."""

import math

from aiohttp import web

from langchain_darkai.errors import DarkAIAuthenticationError, DarkAIError
from langchain_darkai.protocol import encode_error, error_class_for_status

__all__ = ["error_response", "to_darkai_error"]


def to_darkai_error(error: web.HTTPException, request: web.Request) -> DarkAIError:
    """Return what aiohttp raises for a request that it does not serve as an error with a sentence of ours."""
    if error.status == 413:
        message = f"The request is longer than the {request.client_max_size:,} bytes that this server reads."
    elif error.status == 404:
        message = f"There is nothing at {request.path!r}. There are POST /chat, GET /models and GET /health."
    elif error.status == 405:
        message = f"{request.path} does not take {request.method}, only {error.headers.get('allow')}."
    else:
        message = f"{error.reason}."
    return error_class_for_status(error.status)(message, status=error.status)


def error_response(error: BaseException, allow: str | None = None) -> web.Response:
    """Return an error as JSON, with the headers that belong to it; `allow` names the methods that a path takes."""
    members = encode_error(error)
    headers = {
        "retry-after": str(math.ceil(members["retry_after"])) if "retry_after" in members else None,
        "www-authenticate": "Bearer" if isinstance(error, DarkAIAuthenticationError) else None,
        "allow": allow,
    }
    return web.json_response(
        {"error": members},
        status=members["status"],
        headers={name: value for name, value in headers.items() if value is not None},
    )
