"""A model whose client keeps connections, asked on several event loops of a process, one after the other."""

import asyncio
from collections.abc import Iterator

import pytest
from langchain_openai import ChatOpenAI

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer
from tests.support.scripted_engine import engine

# The model's client leaves its connections open when their event loop ends.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.fixture
def model() -> Iterator[ChatOpenAI]:
    with engine(["Hi"], keeps_connections=True) as running:
        yield ChatOpenAI(
            model="m",
            base_url=f"{running.url}/v1",
            api_key="none",  # type: ignore[arg-type]
            max_retries=0,
            streaming=True,  # the engine replies with a stream only,
        )


def test_a_model_in_the_process_answers_on_every_loop(model: ChatOpenAI) -> None:
    over = ChatDarkAI.over(model, max_retries=0)

    async def ask_five() -> list[str]:
        return [reply.text for reply in await asyncio.gather(*(over.ainvoke("Hello") for _ in range(5)))]

    for _ in range(2):
        assert over.invoke("Hello").text == "Hi"
        assert asyncio.run(ask_five()) == ["Hi"] * 5
    assert "".join(chunk.text for chunk in over.stream("Hello")) == "Hi"


def test_a_server_takes_over_a_model_that_was_asked_before(model: ChatOpenAI) -> None:
    assert asyncio.run(model.ainvoke("Hello")).text == "Hi"

    with LocalServer(model) as server:
        assert ChatDarkAI(base_url=server.url, max_retries=0).invoke("Hello").text == "Hi"
