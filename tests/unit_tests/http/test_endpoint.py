"""An endpoint shows no secrets, takes on a proxy, and warns of plain http at the user's line."""

import warnings
from collections.abc import Callable

import pytest

from langchain_darkai import ChatDarkAI, DarkAI
from langchain_darkai._http.endpoint import Endpoint, warned_hosts


def test_the_repr_shows_the_host_only() -> None:
    endpoint = Endpoint.from_settings(
        base_url="https://user:hidden@model.test:8000/v1?key=hidden", proxy="http://me:hidden@proxy.test"
    )
    assert repr(endpoint) == "<Endpoint model.test:8000>"


def test_the_password_of_another_proxy_is_redacted_too() -> None:
    endpoint = Endpoint.from_settings(base_url="https://model.test", api_key="sk-key")
    through = endpoint.through("http://me:hidden@proxy.test")
    assert through.proxy == "http://me:hidden@proxy.test"
    assert through.redact("sk-key and hidden") == "*** and ***"
    assert endpoint.redact("sk-key and hidden") == "*** and hidden"
    assert endpoint.through(None) is endpoint


@pytest.mark.parametrize("make", [DarkAI, ChatDarkAI])
def test_the_warning_of_plain_http_is_at_the_users_line(make: Callable[..., object]) -> None:
    warned_hosts.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(base_url="http://model.test", api_key="k")
    assert [warning.filename for warning in caught] == [__file__]
