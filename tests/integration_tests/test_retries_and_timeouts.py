"""When a call is tried again, how long it waits for that, and when it gives up."""

import asyncio
import itertools
import socket
import statistics
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest
from langchain_core.rate_limiters import BaseRateLimiter, InMemoryRateLimiter

from langchain_darkai import (
    ChatDarkAI,
    DarkAI,
    DarkAIAPIError,
    DarkAIConnectionError,
    DarkAIRateLimitError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
    DarkAIToolChoiceError,
)
from langchain_darkai._http.aiohttp_transport import AiohttpTransport
from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai._retry import delay_after
from langchain_darkai.testing import ReceivedCall, ScriptedServer, reply
from langchain_darkai.testing.wire import CLOSE, END, HOLD, STREAM, Step, answer, chunk, head, text
from tests.support.asker import Asker, ModelOf, Serve

BUSY = answer(503, "busy")


def waits(requests: list[ReceivedCall]) -> list[float]:
    return [later.at - earlier.at for earlier, later in itertools.pairwise(requests)]


class TestWaiting:
    async def test_waits_grow_and_calls_do_not_retry_all_at_once(self, serve: Serve, model_of: ModelOf) -> None:
        servers = [serve(BUSY) for _ in range(30)]
        calls = [model_of(server, max_retries=2).ainvoke("Hi") for server in servers]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(end) for end in ended} == {DarkAIAPIError}
        first, second = zip(*(waits(server.calls) for server in servers), strict=True)
        assert max(first) < 1.0, "half a second at most, and what the machine adds"
        assert max(second) < 1.5
        assert statistics.pstdev(first) > 0.05, "all at once, the next attempts would be too many again"
        assert max(second) > max(first) / 2

    @pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
    async def test_a_wait_lasts_as_long_as_retry_after_says(self, serve: Serve, model_of: ModelOf, status: int) -> None:
        server = serve(answer(status, retry_after="0.3"), reply("Hello"))
        assert (await model_of(server, max_retries=1).ainvoke("Hi")).text == "Hello"
        assert 0.29 < waits(server.calls)[0] < 1.5

    @pytest.mark.parametrize(
        "said", ["0", "-5", formatdate(time.time() - 60, usegmt=True)], ids=["zero", "negative", "a minute ago"]
    )
    async def test_a_retry_after_of_no_time_is_no_wait(self, serve: Serve, model_of: ModelOf, said: str) -> None:
        server = serve(answer(429, retry_after=said), reply("Hello"))
        assert (await model_of(server, max_retries=1).ainvoke("Hi")).text == "Hello"
        assert waits(server.calls)[0] < 1.0

    @pytest.mark.parametrize("said", ["soon", "nan", "inf", "1e400", "", "Thu, 99 Foo 2026 00:00:00 GMT"])
    async def test_a_retry_after_that_is_no_time_is_ignored(self, serve: Serve, model_of: ModelOf, said: str) -> None:
        server = serve(answer(429, retry_after=said), reply("Hello"))
        assert (await model_of(server, max_retries=1).ainvoke("Hi")).text == "Hello"
        assert waits(server.calls)[0] < 1.5

    async def test_a_server_that_asks_for_a_day_is_waited_for_a_minute_at_most(
        self, serve: Serve, model_of: ModelOf
    ) -> None:
        server = serve(answer(429, retry_after="86400"))
        with pytest.raises(DarkAIRateLimitError) as caught:
            await model_of(server, max_retries=0).ainvoke("Hi")
        assert caught.value.retry_after == 86_400.0
        assert delay_after(caught.value, attempt=1) == 60.0

    async def test_what_the_deadline_does_not_allow_fails_at_once(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        server = serve(answer(429, retry_after="20"))
        started = time.monotonic()
        with pytest.raises(DarkAIRateLimitError, match="HTTP 429") as caught:
            await ask(model_of(server, max_retries=5, timeout=2.0))
        assert time.monotonic() - started < 1.5
        assert caught.value.retry_after == 20
        assert len(server.calls) == 1

    async def test_a_cancelled_wait_sends_nothing_more(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(answer(503, retry_after="30"))
        model = model_of(server, max_retries=5, timeout=None, max_concurrency=1)
        call = asyncio.ensure_future(model.ainvoke("Hi"))
        await server.await_for(lambda server: len(server.calls) == 1)
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        server.add(reply("Hello"))
        assert (await asyncio.wait_for(model.ainvoke("Hi"), 5)).text == "Hello"
        assert len(server.calls) == 2


class TestAgain:
    async def test_max_retries_can_be_bound_and_given_with_a_call(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        for bound, given in (
            ({"max_retries": 1}, {}),
            ({}, {"max_retries": 1}),
            ({"max_retries": 5}, {"max_retries": 1}),
        ):
            server = serve(answer(503, retry_after="0"))
            with pytest.raises(DarkAIAPIError, match="2 attempts"):
                await ask(model_of(server).bind(**bound), **given)
            assert len(server.calls) == 2

    async def test_a_stream_that_has_yielded_text_is_not_retried(self, serve: Serve, model_of: ModelOf) -> None:
        """Whatever was shown cannot be taken back, so a stream breaks where an invoke asks again."""
        cut: list[Step] = [STREAM + chunk(text("Hel")) + chunk(b"")]
        server = serve(cut, cut, reply("Hello"))
        assert (await model_of(server, max_retries=2).ainvoke("Hi")).text == "Hello"
        server = serve(cut, reply("Hello"))
        got: list[str] = []
        with pytest.raises(DarkAIStreamTruncatedError):
            await Asker("astream").into(got, model_of(server, max_retries=2))
        assert (got, len(server.calls)) == (["Hel"], 1)

    async def test_a_kept_connection_that_the_server_closes_costs_no_attempt(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        used: set[int] = set()

        def once(request: ReceivedCall) -> list[Step]:
            if request.connection in used:
                return [CLOSE]
            used.add(request.connection)
            return reply("Hello")

        server = serve(once)
        model = model_of(server)
        for _ in range(4):
            assert (await ask(model)).content == "Hello"
        assert len(server.calls) == 7

    async def test_a_dead_connection_is_replaced_in_a_session_of_the_users_own(self, serve: Serve) -> None:
        server = serve(reply("Hello"), [CLOSE], reply("Hello again"))
        async with aiohttp.ClientSession() as session:
            ours = DarkAI(base_url=server.url, session=session, max_retries=0)
            for said in ("Hello", "Hello again"):
                events = [event async for event in ours.stream(ours.call("Hi"))]
                assert events[0] == said
        assert len(server.calls) == 3

    async def test_a_new_connection_that_the_server_closes_is_not_replaced(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        server, other = serve([CLOSE]), serve(reply("Hello"))
        assert (await ask(model_of(other))).content == "Hello"  # leaves a kept connection, but to another server
        with pytest.raises(DarkAIConnectionError, match="broke before the reply"):
            await ask(model_of(server))
        assert len(server.calls) == 1

    async def test_a_new_connection_to_an_address_used_before_is_not_replaced(self, model_of: ModelOf) -> None:
        with ScriptedServer([*reply("Hello"), CLOSE]) as before:
            assert (await model_of(before).ainvoke("Hi")).text == "Hello"  # leaves a kept connection, which closes
        port = int(before.host.rpartition(":")[2])
        await asyncio.sleep(0.1)  # aiohttp sees that it is closed, and drops it
        with ScriptedServer([CLOSE], port=port) as server:
            with pytest.raises(DarkAIConnectionError, match="broke before the reply"):
                await model_of(server).ainvoke("Hi")
            assert len(server.calls) == 1

    async def test_a_connection_that_was_not_kept_is_not_replaced(self, serve: Serve, model_of: ModelOf) -> None:
        whole = chunk(text("Hello")) + END
        server = serve([head(transfer_encoding="chunked", connection="close") + whole, CLOSE], [CLOSE])
        model = model_of(server)
        assert (await model.ainvoke("Hi")).text == "Hello"
        with pytest.raises(DarkAIConnectionError, match="broke before the reply"):
            await model.ainvoke("Hi")
        assert len(server.calls) == 2

    async def test_a_dead_connection_is_replaced_only_once(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(reply("Hello"), [CLOSE])
        model = model_of(server)
        assert (await model.ainvoke("Hi")).text == "Hello"
        with pytest.raises(DarkAIConnectionError, match="broke before the reply"):
            await model.ainvoke("Hi")
        assert len(server.calls) == 3


class CountingLimiter(BaseRateLimiter):
    def __init__(self) -> None:
        self.asked = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.asked += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire(blocking=blocking)


class TestRateLimiter:
    def limiter(self, per_second: float) -> InMemoryRateLimiter:
        return InMemoryRateLimiter(requests_per_second=per_second, check_every_n_seconds=0.01, max_bucket_size=1)

    async def test_the_rate_limiter_is_asked_before_each_attempt(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        server = serve(answer(503, retry_after="0"), answer(503, retry_after="0"), reply("Hello"))
        limiter = CountingLimiter()
        message = await ask(model_of(server, rate_limiter=limiter, max_retries=2))
        assert message.content == "Hello"
        assert limiter.asked == len(server.calls) == 3

    async def test_a_rate_limiter_before_a_retry_does_not_outlast_the_deadline(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        limiter = self.limiter(0.05)
        limiter.available_tokens = 1
        limiter.last = time.monotonic()
        server = serve(answer(503, retry_after="0"))
        started = time.monotonic()
        with pytest.raises(DarkAITimeoutError, match="rate limiter"):
            await ask(model_of(server, rate_limiter=limiter, max_retries=2, timeout=0.4))
        assert time.monotonic() - started < 2.0
        assert len(server.calls) == 1

    async def test_the_rate_limiter_is_asked_before_the_model_is_asked_again(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        server, limiter = serve(reply("no call")), CountingLimiter()
        with pytest.raises(DarkAIToolChoiceError, match="in 3 attempts"):
            await ask(self.forced(model_of(server, rate_limiter=limiter, max_reasks=2)))
        assert limiter.asked == len(server.calls) == 3

    async def test_a_rate_limiter_before_asking_again_does_not_outlast_the_deadline(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        server, limiter = serve(reply("no call")), self.limiter(0.05)
        limiter.available_tokens = 1
        limiter.last = time.monotonic()
        started = time.monotonic()
        with pytest.raises(DarkAITimeoutError, match="rate limiter"):
            await ask(self.forced(model_of(server, rate_limiter=limiter, timeout=0.4)))
        assert time.monotonic() - started < 2.0
        assert len(server.calls) == 1

    def forced(self, model: ChatDarkAI) -> Any:
        def now() -> None:
            """Tell the time."""

        return model.bind_tools([now], tool_choice="any")


@pytest.fixture
def deaf() -> Iterator[str]:
    """Return the address of a listener that takes connections, and nothing from them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


class TestTimeouts:
    async def test_a_timeout_can_be_bound_and_given_with_a_call(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        for bound, given in (({"timeout": 0.2}, {}), ({}, {"timeout": 0.2}), ({"timeout": 9.0}, {"timeout": 0.2})):
            server = serve([HOLD])
            started = time.monotonic()
            with pytest.raises(DarkAITimeoutError):
                await ask(model_of(server, timeout=10.0).bind(**bound), **given)
            assert 0.15 < time.monotonic() - started < 1.5

    async def test_a_call_without_limit_in_a_model_that_has_one(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        server = serve([STREAM, 0.4, chunk(text("Hello")) + chunk(b'data: {"event": "stream-end"}\n') + chunk(b"")])
        assert (await ask(model_of(server, timeout=0.2), timeout=None)).content == "Hello"

    async def test_a_handshake_that_never_comes(self, deaf: str, ask: Asker, model_of: ModelOf, serve: Serve) -> None:
        endpoint = Endpoint.from_settings(base_url=f"https://{deaf}")
        transport = AiohttpTransport(endpoint, idle_timeout=None, connect_timeout=0.2)
        started = time.monotonic()
        with pytest.raises(DarkAITimeoutError, match="no connection was made") as caught:
            await ask(model_of(serve([]), base_url=f"https://{deaf}", transport=transport))
        assert time.monotonic() - started < 2.0
        assert caught.value.is_retryable

    async def test_a_proxy_that_never_answers(self, deaf: str, model_of: ModelOf, serve: Serve) -> None:
        started = time.monotonic()
        with pytest.raises(DarkAITimeoutError):
            await model_of(
                serve([]), base_url="https://model.test", proxy=f"http://{deaf}", stream_chunk_timeout=0.2
            ).ainvoke("Hi", timeout=0.5)
        assert time.monotonic() - started < 2.0

    async def test_the_retries_and_the_pauses_are_within_the_calls_time(
        self, serve: Serve, ask: Asker, model_of: ModelOf
    ) -> None:
        server = serve(answer(429, retry_after="0.1"))
        started = time.monotonic()
        with pytest.raises(DarkAIRateLimitError, match=r"attempts in 0\.\d s"):
            await ask(model_of(server, max_retries=1000, timeout=0.5))
        assert time.monotonic() - started < 1.5
        assert 2 <= len(server.calls) <= 6

    async def test_a_stream_that_is_read_slowly_has_its_time_as_a_whole(self, serve: Serve) -> None:
        server = serve([STREAM, *([chunk(text("x")), 0.05] * 40), HOLD])
        ours = DarkAI(base_url=server.url, max_retries=0, timeout=0.5)
        got = []

        async def read_slowly() -> None:
            async for piece in ours.stream(ours.call("Hi")):
                got.append(piece)
                await asyncio.sleep(0.12)

        with pytest.raises(DarkAITimeoutError, match="longer than its timeout"):
            await read_slowly()
        assert got

    async def test_a_pause_that_the_server_wants_is_within_it_too(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(answer(429, retry_after="30"))
        model = model_of(server, max_retries=1, timeout=40.0)
        waiting = asyncio.ensure_future(model.ainvoke("Hi"))
        await server.await_for(lambda server: len(server.calls) == 1)
        await asyncio.sleep(0.1)
        with pytest.raises(DarkAIRateLimitError, match="wants no request for another") as caught:
            await model.ainvoke("Hi", timeout=1.0)
        assert 25 < (caught.value.retry_after or 0) <= 30
        assert len(server.calls) == 1
        waiting.cancel()
        await asyncio.wait([waiting])
