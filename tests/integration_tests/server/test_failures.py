"""Models that fail or hang, and clients that leave."""

import asyncio
import logging
import threading
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from langchain_core import exceptions as core

from langchain_darkai.errors import DarkAIRateLimitError
from langchain_darkai.server import ServerTimeouts, create_app
from tests.support.app_client import END, no_connections, serving, soon, text_chunk
from tests.support.models import ScriptedModel, Stubborn, scripted

CORE_ERRORS = [
    (core.ModelPermissionDeniedError, 403),
    (core.ModelNotFoundError, 404),
    (core.ModelRateLimitError, 429),
    (core.ModelTimeoutError, 504),
    (core.ModelConnectionError, 502),
    (core.ModelInvalidRequestError, 400),
    (core.ContextOverflowError, 400),
    (core.ModelAPIError, 500),
]


@pytest.mark.parametrize(("kind", "status"), CORE_ERRORS)
async def test_errors_of_the_model_keep_their_class(kind: type[core.ModelError], status: int) -> None:
    async with serving({"at once": scripted(kind("why")), "later": scripted("Hi", kind("why"))}) as client:
        got, error = await client.error(model="at once")
        assert (got, error["status"], error["type"]) == (status, status, kind.__name__)
        events = await client.events(model="later")
        error["message"] = error["message"].replace("at once", "later")  # some sentences name the model
        assert events == [text_chunk("Hi"), {"event": "error", "data": error}]


async def test_a_rate_limit_says_when_to_ask_again() -> None:
    error = DarkAIRateLimitError("slow down", retry_after=1.5)
    async with serving(scripted(error)) as client, client.chat() as response:
        assert (response.status, response.headers["retry-after"]) == (429, "2")
        assert (await response.json())["error"]["retry_after"] == 1.5


@pytest.mark.parametrize("wait", [float("nan"), -1, "soon"])
async def test_a_retry_after_that_is_no_time_is_left_out(wait: Any) -> None:
    error = core.ModelRateLimitError("slow down")
    error.retry_after = wait  # type: ignore[attr-defined]
    async with serving(scripted(error)) as client, client.chat() as response:
        assert response.status == 429
        assert "retry-after" not in response.headers


@pytest.mark.parametrize("before", [(), ("Hi",)], ids=["at once", "later"])
@pytest.mark.parametrize("kind", [RuntimeError, KeyError, web.HTTPNotFound])
async def test_what_breaks_inside_is_logged_and_not_told(
    before: tuple[str, ...], kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "langchain_darkai.server")
    secret = "the password is 1234"
    broken = kind(reason=secret) if issubclass(kind, web.HTTPException) else kind(secret)
    async with serving(scripted(*before, broken)) as client, client.chat() as response:
        body = await response.text()
        assert response.status == (200 if before else 500)
    assert "1234" not in body
    assert "The server failed." in body
    assert "stream-end" not in body
    told, shown = [record for record in caplog.records if record.name == "langchain_darkai.server"]
    assert told.levelno == logging.ERROR
    assert f"{kind.__name__}\n" in told.getMessage()
    assert "models.py" in told.getMessage()
    assert "1234" not in told.getMessage()
    assert shown.levelno == logging.INFO
    assert shown.exc_info is not None
    assert shown.exc_info[1] is broken


async def test_what_breaks_in_the_server_itself_is_logged_in_full(caplog: pytest.LogCaptureFixture) -> None:
    async def break_down(*_: Any) -> None:
        raise RuntimeError("broken")

    app = create_app()
    app.on_response_prepare.append(break_down)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/health")
    await runner.cleanup()
    assert {str(record.exc_info[1]) for record in caplog.records if record.exc_info} == {"broken"}


async def test_a_model_that_cancels_itself_is_an_error() -> None:
    async with serving(
        {"at once": scripted(asyncio.CancelledError()), "later": scripted("Hi", asyncio.CancelledError())}
    ) as client:
        status, error = await soon(client.error(model="at once"))
        assert (status, error["type"]) == (503, "ModelAPIError")
        assert await soon(client.events(model="later")) == [text_chunk("Hi"), {"event": "error", "data": error}]


@pytest.mark.parametrize("before", [(), ("Hi",)], ids=["at once", "later"])
async def test_a_model_that_hangs_is_a_timeout(before: tuple[str, ...]) -> None:
    model = scripted(*before, ...)
    async with serving(model, timeout=0.1) as client:
        if before:
            events = await soon(client.events())
            assert events[0] == text_chunk("Hi")
            error = events[1]["data"]
        else:
            status, error = await soon(client.error())
            assert status == 504
        assert error["type"] == "ModelTimeoutError"
        assert model.record.was_cancelled.is_set()


async def test_a_model_that_hangs_is_named() -> None:
    class Engine(ScriptedModel):
        base_url: str = "http://me:secret@gpu-1:8000/v1"
        model_name: str = "m"

    hangs = Engine(replies=[[...]])
    for models, name in (({"mine": hangs}, "mine"), (hangs, "m")):
        async with serving(models, timeout=0.1) as client:
            status, error = await soon(client.error())
        assert (status, error["message"]) == (
            504,
            f"The backend '{name}' (http://gpu-1:8000) took too long. Ask again.",
        )


@pytest.mark.parametrize("before", [(), ("Hi",)], ids=["at once", "later"])
async def test_a_model_that_will_not_end_is_a_timeout_and_what_it_says_later_is_dropped(
    before: tuple[str, ...],
) -> None:
    let_go = threading.Event()
    model = ScriptedModel(replies=[[*before, Stubborn(let_go), "late"], ["Hello"]])
    async with serving(model, timeout=0.1) as client:
        if before:
            events = await soon(client.events())
            assert events[:-1] == [text_chunk("Hi")]
            error = events[-1]["data"]
        else:
            status, error = await soon(client.error())
            assert status == 504
        assert error["type"] == "ModelTimeoutError"
        let_go.set()
        await asyncio.to_thread(model.comes_to, 0)
        assert await client.events() == [text_chunk("Hello"), END]  # over the same connection, where it was kept


@pytest.mark.parametrize("before", [(), ("Hi",)], ids=["thinking", "writing"])
async def test_a_client_that_leaves_cancels_the_model(before: tuple[str, ...]) -> None:
    working = asyncio.Event()
    model = scripted(*before, working.set, ..., "never")
    async with serving(model) as client:
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        body = b'{"query": "Hi"}'
        writer.write(b"POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await soon(working.wait())
        writer.close()
        assert await asyncio.to_thread(model.record.was_cancelled.wait, 10)
        async with client.session.get(f"{client.url}/health") as response:
            assert response.status == 200


async def test_a_client_that_leaves_during_a_fast_reply_closes_the_model() -> None:
    model = scripted(*["x" * 10_000] * 100_000)
    async with serving(model) as client:
        response = await client.chat()
        await soon(response.content.readexactly(100_000))
        response.close()
        assert await asyncio.to_thread(model.record.was_cancelled.wait, 10)


async def test_a_client_that_reads_nothing_does_not_stay_for_ever() -> None:
    model = scripted(*["x" * 100_000] * 10_000)
    async with serving(model, timeout=0.2, timeouts=ServerTimeouts(error_write=0.05)) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1000)
        body = b'{"query": "Hi"}'
        writer.write(b"POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        assert await asyncio.to_thread(model.record.was_cancelled.wait, 10)
        await soon(no_connections(client.runner))
        assert b"stream-end" not in await soon(reader.read())
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("before", [(), ("Hi",)], ids=["at once", "later"])
async def test_the_message_of_a_model_is_one_line_of_the_log(
    before: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """It can hold words of anybody, so it can neither begin a line of its own nor fill the log."""
    caplog.set_level(logging.INFO)
    forged = "no\n2025-01-01 INFO all is well\r\x1b[2K\u2028\x85end" + "x" * 1_000_000
    async with serving(scripted(*before, core.ModelAPIError(forged))) as client, client.chat() as response:
        assert len(await response.read()) < 20_000
    [message] = [record.getMessage() for record in caplog.records if record.name == "langchain_darkai.server"]
    assert "ModelAPIError: no\\n2025-01-01 INFO all is well\\r\\x1b[2K\\u2028\\x85end" in message
    assert message.isprintable()
    assert len(message) < 3000
