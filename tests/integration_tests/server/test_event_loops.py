"""A model whose client keeps connections, asked on several event loops of a process, one after the other."""

import subprocess
import sys
import textwrap

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
