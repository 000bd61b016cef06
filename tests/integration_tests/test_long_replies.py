"""A reply without end and a small body that inflates to a huge one fill no memory."""

import gzip
from collections.abc import Iterator

import pytest

from langchain_darkai import DarkAIStreamDecodeError
from langchain_darkai.testing import reply
from langchain_darkai.testing.wire import CLOSE, STREAM, Step, chunk, head, text
from tests.support.asker import Asker, ModelOf, Serve
from tests.support.programs import run

LIMIT = 1_000_000


def without_end() -> Iterator[Step]:
    yield STREAM
    while True:
        yield chunk(text("x" * 60_000))


async def test_a_reply_without_end_is_left_at_its_limit(serve: Serve, ask: Asker, model_of: ModelOf) -> None:
    server = serve(lambda _: without_end())
    with pytest.raises(
        DarkAIStreamDecodeError, match=r"more than 1,000,000 bytes of text\. Raise max_reply_bytes"
    ) as caught:
        await ask(model_of(server, max_reply_bytes=LIMIT, max_retries=3))
    assert 0.9 * LIMIT < len(caught.value.partial_text) <= LIMIT
    assert not caught.value.is_retryable
    assert len(server.calls) == 1
    await server.await_for(lambda server: server.left == 1)


async def test_no_limit_is_a_choice(serve: Serve, ask: Asker, model_of: ModelOf) -> None:
    words = "x" * 2 * LIMIT
    server = serve(reply(words))
    assert (await ask(model_of(server, max_reply_bytes=None))).content == words
    assert (await ask(model_of(server))).content == words


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Return 200 KB that inflate to 100 MB."""
    return gzip.compress(text("x" * 100_000) * 1000)


@pytest.mark.slow
@pytest.mark.parametrize("session", ["", "aiohttp.ClientSession()", "aiohttp.ClientSession(auto_decompress=True)"])
@pytest.mark.parametrize("status", [200, 500])
def test_a_compressed_body_is_not_inflated(serve: Serve, bomb: bytes, session: str, status: int) -> None:
    server = serve([head(status, content_encoding="gzip", connection="close") + bomb, CLOSE])
    code = f"""
        import aiohttp, resource

        async def main():
            session = {session or "None"}
            client = DarkAI(base_url=url, max_retries=0, session=session)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                async for _ in client.stream(client.call("Hi")):
                    pass
            except Exception as error:
                print(type(error).__name__)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            print("small" if grown * (1 if sys.platform == "darwin" else 1024) < 50_000_000 else grown)
            if session:
                await session.close()

        asyncio.run(main())
    """
    assert run(server, code) == ["DarkAIStreamDecodeError" if status == 200 else "DarkAIAPIError", "small"]
