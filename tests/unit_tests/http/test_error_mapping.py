"""Every error that aiohttp knows becomes one of ours, before the reply and during it, and shows no secrets."""

import asyncio
import ssl
import time
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai._http.error_mapping import map_error, seconds_from_retry_after
from langchain_darkai.errors import DarkAIError, DarkAIStreamTruncatedError

ENDPOINT = Endpoint.from_settings(base_url="https://model.test/?key=sk-hidden")
KINDS = sorted(
    {kind for kind in vars(aiohttp).values() if isinstance(kind, type) and issubclass(kind, aiohttp.ClientError)},
    key=lambda kind: kind.__name__,
)


def made(kind: type[aiohttp.ClientError]) -> aiohttp.ClientError:
    """Return an error as aiohttp makes it, with all that it may carry."""
    url = URL(ENDPOINT.url)
    if issubclass(kind, aiohttp.ClientResponseError):
        headers = CIMultiDictProxy(CIMultiDict({"authorization": "sk-hidden"}))
        return kind(aiohttp.RequestInfo(url, "POST", headers, url), (), status=502, message="no")
    if issubclass(kind, aiohttp.ClientConnectorCertificateError):
        refused = ssl.SSLCertVerificationError(1, "self-signed")
        refused.verify_message = "self-signed"  # where ssl makes the error, it sets this
        return kind(connection_key(), refused)
    if issubclass(kind, aiohttp.ClientConnectorError):
        return kind(connection_key(), OSError(111, "sk-hidden"))
    if issubclass(kind, aiohttp.ServerFingerprintMismatch):
        return kind(b"expected", b"got", "model.test", 443)
    if issubclass(kind, aiohttp.ClientOSError):
        return kind(104, "sk-hidden")
    if issubclass(kind, aiohttp.InvalidURL):
        return kind(url)
    return kind("sk-hidden")


def connection_key() -> Any:
    return SimpleNamespace(host="model.test", port=443, ssl=True, is_ssl=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("partial_text", [None, "Hel"], ids=["before the reply", "during the reply"])
def test_every_error_of_aiohttp_becomes_one_of_ours(kind: Any, partial_text: str | None) -> None:
    error = map_error(made(kind), ENDPOINT, partial_text)
    assert isinstance(error, DarkAIError)
    assert error.partial_text in (partial_text, "")
    assert "model.test" in str(error)
    assert (
        "sk-hidden" not in f"{error} {error!r} {error.__cause__!r} {vars(error.__cause__) if error.__cause__ else ''}"
    )


def test_the_errors_of_aiohttp_are_found() -> None:
    assert len(KINDS) > 20


@pytest.mark.parametrize(
    "error", [asyncio.TimeoutError(), TimeoutError(), ValueError("x"), RuntimeError("x"), KeyError()]
)
def test_other_errors_become_ours_too(error: Exception) -> None:
    assert isinstance(map_error(error, ENDPOINT), DarkAIError)
    assert map_error(error, ENDPOINT, "Hel").partial_text == "Hel"


def test_an_error_of_ours_is_left_as_it_is() -> None:
    error = DarkAIStreamTruncatedError("cut")
    assert map_error(error, ENDPOINT) is error


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("2", 2.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_from_retry_after(header) == seconds


def test_retry_after_may_be_a_date_to_come() -> None:
    assert 90 < (seconds_from_retry_after(formatdate(time.time() + 100, usegmt=True)) or 0) <= 100
