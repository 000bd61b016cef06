"""What errors of providers become, told by what they have and by the names of their classes."""

import asyncio
import socket
import ssl
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from langchain_core.language_models import FakeListChatModel

from langchain_darkai import (
    DarkAIAPIError,
    DarkAIConnectionError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAINotFoundError,
    DarkAIPermissionDeniedError,
    DarkAIRateLimitError,
    DarkAITimeoutError,
)
from langchain_darkai.protocol import encode_error
from langchain_darkai.server.backend_errors import backend_errors, describe_backend, error_of_backend, is_temporary

KEY = ConnectionKey("gpu-1", 8000, False, True, None, None, None)


def named(name: str, base: type[Exception] = Exception, **attributes: Any) -> Exception:
    """Return an error of a class with that name, as a package would have it that is not installed here."""
    error = type(name, (base,), {})("secret")
    vars(error).update(attributes)
    return cast("Exception", error)


def http(status: int, **headers: str) -> Exception:
    return named("HTTPStatusError", response=SimpleNamespace(status_code=status, headers=headers))


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


REFUSED = ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 8000)")
NO_HOST = socket.gaierror(-2, "Name or service not known")
ERRORS: list[tuple[Exception, type[DarkAIError], int, str]] = [
    (REFUSED, DarkAIConnectionError, 502, "cannot be reached: Connection refused. Start it, or correct its URL."),
    (caused(named("ConnectError"), REFUSED), DarkAIConnectionError, 502, "cannot be reached: Connection refused."),
    (caused(named("APIConnectionError"), caused(named("ConnectError"), NO_HOST)), DarkAIConnectionError, 502,
     "cannot be reached: Name or service not known."),
    (aiohttp.ClientConnectorError(KEY, OSError(113, "secret")), DarkAIConnectionError, 502, "No route"),
    (named("NewConnectionError"), DarkAIConnectionError, 502, "cannot be reached."),
    (named("ConnectTimeout"), DarkAIConnectionError, 502, "cannot be reached."),
    (caused(named("ConnectError"), ssl.SSLError(1, "secret")), DarkAIConnectionError, 502, "cannot be reached"),
    (ConnectionResetError(104, "secret"), DarkAIConnectionError, 502, "broke off the connection: Connection reset"),
    (named("ProtocolError"), DarkAIConnectionError, 502, "broke off the connection."),
    (aiohttp.ClientPayloadError("secret"), DarkAIConnectionError, 502, "broke off the connection."),
    (aiohttp.ServerDisconnectedError("secret"), DarkAIConnectionError, 502, "broke off the connection."),
    (named("TimeoutException"), DarkAITimeoutError, 504, "took too long."),
    (named("APITimeoutError"), DarkAITimeoutError, 504, "took too long."),
    (asyncio.TimeoutError(), DarkAITimeoutError, 504, "took too long."),
    (http(401), DarkAIAPIError, 502, "rejected this server's key for it."),
    (http(403), DarkAIPermissionDeniedError, 403, "refused the request, without saying why"),
    (http(404), DarkAINotFoundError, 404, "refused the request, without saying why"),
    (named("ResponseError", status_code=404, error="model 'x' not\nfound"), DarkAINotFoundError, 404,
     "refused the request: model 'x' not found"),
    (named("ResponseError", status_code=422, error="x" * 5000), DarkAIInvalidRequestError, 422, "...xxx"),
    (http(429), DarkAIRateLimitError, 429, "takes no more requests for now."),
    (http(500), DarkAIAPIError, 502, "failed, with status 500."),
    (http(503), DarkAIAPIError, 503, "failed, with status 503."),
    (named("APIError", message="the\nslot is gone"), DarkAIAPIError, 502, "reported an error: the slot is gone"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "kind", "status", "said"), ERRORS)
def test_an_error_names_the_backend_and_says_what_to_do(
    error: Exception, kind: type[DarkAIError], status: int, said: str
) -> None:
    told = error_of_backend(error, "big", FakeListChatModel(responses=[]))
    assert type(told) is kind
    assert str(told).startswith("The backend 'big' ")
    assert said in str(told)
    assert "secret" not in str(told)
    assert len(str(told)) < 500
    assert encode_error(told)["status"] == status


@pytest.mark.parametrize("error", [KeyError("x"), OSError(2, "no file"), RuntimeError(), ValueError()])
def test_what_nobody_knows_is_left_as_it_is(error: Exception) -> None:
    assert error_of_backend(error, "big", None) is error
    assert not is_temporary(error)
    with pytest.raises(type(error)), backend_errors("big", None):
        raise error


@pytest.mark.parametrize(
    ("error", "temporary"), [(error, status >= 429 and "key" not in said) for error, _, status, said in ERRORS]
)
def test_another_model_is_asked_where_it_may_help(error: Exception, temporary: bool) -> None:
    assert is_temporary(error) == temporary


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), ("", None)])
def test_the_wait_of_a_rate_limit_is_kept(header: str, seconds: float | None) -> None:
    told = error_of_backend(http(429, **{"retry-after": header}), "big", None)
    assert isinstance(told, DarkAIRateLimitError)
    assert told.retry_after == seconds


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        (
            "big",
            SimpleNamespace(base_url="http://me:secret@gpu-1:8000/v1?key=secret"),
            "The backend 'big' (http://gpu-1:8000)",
        ),
        (
            None,
            SimpleNamespace(model_name="m", openai_api_base="https://a.example/v1"),
            "The backend 'm' (https://a.example)",
        ),
        (None, SimpleNamespace(model="m", base_url=None), "The backend 'm'"),
        ("big", SimpleNamespace(base_url="gpu-1:11434"), "The backend 'big'"),
        (None, None, "The backend"),
    ],
)
def test_a_backend_is_described_without_secrets(name: str | None, model: Any, said: str) -> None:
    assert describe_backend(name, model) == said
