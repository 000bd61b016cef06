"""A model whose client keeps connections, asked on several event loops of a process, one after the other."""

import subprocess
import sys
import textwrap

import pytest

from tests.support.programs import ROOT
from tests.support.scripted_engine import engine

START = """
import asyncio, sys
from langchain_openai import ChatOpenAI
from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer

model = ChatOpenAI(model="m", base_url=sys.argv[1], api_key="none", max_retries=0, streaming=True)
"""


def run(code: str) -> list[str]:
    """Run a program with a model over an engine that replies "Hi", and return the words that it prints.

    In a process of its own, since the model's client leaves its connections open when their event loop ends.
    """
    with engine(["Hi"], keeps_connections=True) as running:
        done = subprocess.run(
            [sys.executable, "-c", START + textwrap.dedent(code), f"{running.url}/v1"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=ROOT,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_model_in_the_process_answers_on_every_loop() -> None:
    words = run("""
        over = ChatDarkAI.over(model, max_retries=0)

        async def ask_five():
            return [reply.text for reply in await asyncio.gather(*(over.ainvoke("Hello") for _ in range(5)))]

        for _ in range(2):
            print(over.invoke("Hello").text, *asyncio.run(ask_five()))
        print(*(chunk.text for chunk in over.stream("Hello")))
    """)

    assert words == ["Hi"] * 13


def test_a_server_takes_over_a_model_that_was_asked_before() -> None:
    words = run("""
        print(asyncio.run(model.ainvoke("Hello")).text)
        with LocalServer(model) as server:
            print(ChatDarkAI(base_url=server.url, max_retries=0).invoke("Hello").text)
    """)

    assert words == ["Hi", "Hi"]


@pytest.mark.parametrize("backend", ["openai:m@{url}/v1", "ollama:m@{url}"])
def test_a_server_can_be_started_again_over_the_same_engine(backend: str) -> None:
    words = run(f"""
        from langchain_darkai.server.backends import Plan, parse_backend
        from langchain_darkai.server.config import Config

        backend = {backend!r}.format(url=sys.argv[1].removesuffix("/v1"))

        def serving():
            return LocalServer(Plan(Config(), [parse_backend(backend)]).make())

        def ask(server):
            with server:
                print(ChatDarkAI(base_url=server.url, max_retries=0).invoke("Hello").text)

        for _ in range(3):
            ask(serving())
        server = serving()
        for _ in range(3):
            ask(server)
    """)

    assert words == ["Hi"] * 6
