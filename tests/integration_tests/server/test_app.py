"""The application itself: its settings, and how it shuts down."""

import asyncio
import threading
from typing import Any

import pytest

from langchain_darkai.server import create_app
from tests.support.app_client import END, decode, serving, soon, text_chunk
from tests.support.models import scripted


async def test_a_shutdown_lets_replies_finish_and_takes_no_more() -> None:
    go_on = threading.Event()
    async with serving(scripted("Hi", go_on, " there")) as client, client.chat() as response:
        first = await soon(response.content.readuntil(b"\n\n"))
        shutdown = asyncio.create_task(client.runner.cleanup())
        while client.runner.sites:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", client.port)
        go_on.set()
        assert decode(first + await soon(response.content.read())) == [text_chunk("Hi"), text_chunk(" there"), END]
        await soon(shutdown)


@pytest.mark.parametrize("before", [(), ("Hi",)], ids=["thinking", "writing"])
async def test_a_shutdown_ends_replies_that_take_too_long_with_an_error(before: tuple[str, ...]) -> None:
    working = asyncio.Event()
    model = scripted(*before, working.set, ...)
    async with serving(model, grace_period=0.05) as client:
        reply = asyncio.create_task(client.events() if before else client.error())
        await soon(working.wait())
        await soon(client.runner.cleanup())
        assert model.record.was_cancelled.is_set()
        *rest, last = await soon(reply)
        error = last["data"] if before else last
        assert rest == ([text_chunk("Hi")] if before else [503])
        assert (error["type"], error["status"]) == ("ModelAPIError", 503)
        assert "shutting down" in error["message"]


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"model": "gpt-4o"}, TypeError, "str"),
        ({"model": {"a": "b"}}, TypeError, "'a'"),
        ({"model": {}}, ValueError, "empty"),
        ({"api_key": " "}, ValueError, "api_key"),
        ({"max_query_bytes": 0}, ValueError, "max_query_bytes"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"grace_period": -1}, ValueError, "grace_period"),
        ({"cors_origins": "*"}, TypeError, "cors_origins"),
        ({"allowed_hosts": "*"}, TypeError, "allowed_hosts"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        create_app(**arguments)
