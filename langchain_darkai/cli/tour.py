"""The tour behind `langchain-darkai demo`: the code of each step is shown, then run."""

import asyncio
import contextlib
import inspect
import os
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Literal

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_darkai.chat_models import ChatDarkAI

QUESTIONS = [f"What is {number} times {number}?" for number in range(2, 22)]


def stream_a_reply(model: ChatDarkAI) -> None:
    """A reply, streaming in."""
    for chunk in model.stream("Write a poem about the sea."):
        print(chunk.text, end="", flush=True)
    print()


def run_a_chain(model: ChatDarkAI) -> None:
    """A chain."""
    prompt = ChatPromptTemplate.from_template("Count from {first} to {last}.")
    chain = prompt | model | StrOutputParser()
    print(chain.invoke({"first": 7, "last": 12}))


def ask_many_at_once(model: ChatDarkAI) -> None:
    """An async batch, with a progress bar."""

    async def ask_all() -> list[str]:
        replies = [""] * len(QUESTIONS)
        calls = model.abatch_as_completed(QUESTIONS)
        async for place, reply in progress(calls, total=len(QUESTIONS)):
            replies[place] = reply.text
        return replies

    for question, reply in [*zip(QUESTIONS, asyncio.run(ask_all()), strict=True)][:3]:
        print(f"{question}  {reply}")


def run_an_agent(model: ChatDarkAI) -> None:
    """An agent: the model calls tools, and answers with their results."""

    @tool
    def get_weather(city: str) -> str:
        """Get the weather in a city."""
        return {"Paris": "sunny, 21 degrees", "Oslo": "snow, 2 degrees"}.get(city, "unknown")

    agent = model.bind_tools([get_weather])
    messages: list[AnyMessage] = [HumanMessage("What is the weather in Paris and Oslo?")]
    while (reply := agent.invoke(messages)).tool_calls and len(messages) < 10:
        print(*(f"{call['name']}({call['args']})" for call in reply.tool_calls), sep="\n")
        messages += [reply, *map(get_weather.invoke, reply.tool_calls)]
    print(reply.text)


def fill_a_schema(model: ChatDarkAI) -> None:
    """A structured answer, validated."""

    class Person(BaseModel):
        name: str
        age: int
        job: Literal["engineer", "doctor"]

    people = model.with_structured_output(list[Person])
    print(*people.invoke("Alice, 30, is an engineer, and Bob, 25, is a doctor."), sep="\n")


STEPS: Sequence[Callable[[ChatDarkAI], None]] = (
    stream_a_reply,
    run_a_chain,
    ask_many_at_once,
    run_an_agent,
    fill_a_schema,
)


async def progress(items: AsyncIterator, total: int) -> AsyncIterator:  # type: ignore[type-arg]
    """Yield the items, and show a tqdm progress bar where the `cli` extra is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        print("(for a progress bar: pip install 'langchain-darkai[cli]')")
        async for item in items:
            yield item
        return
    with tqdm(total=total, unit="call", ncols=72) as bar:
        async for item in items:
            bar.update()
            yield item


def run_demo() -> None:
    """Run the tour on `DARKAI_BASE_URL` if it is set, else on a local server."""
    started = time.perf_counter()
    with _endpoint() as base_url:
        model = ChatDarkAI(base_url=base_url)
        for number, step in enumerate(STEPS, 1):
            print(f"\n{number}. {inspect.getdoc(step)}\n")
            print(textwrap.indent(_code(step), "    "), end="\n\n")
            step(model)
    print(f"\nDone in {time.perf_counter() - started:.1f} s.")


@contextlib.contextmanager
def _endpoint() -> Iterator[str]:
    if base_url := os.environ.get("DARKAI_BASE_URL"):
        print("Using the endpoint that DARKAI_BASE_URL names.")
        yield base_url
        return
    from langchain_darkai.server import LocalServer, OfflineChatModel

    with LocalServer(OfflineChatModel(delay=0.02)) as server:
        print(f"A local server runs at {server.url}, with the offline model: rules, no language model.")
        yield server.url


def _code(step: Callable[..., object]) -> str:
    """Return a step's body as it stands in this file, without its docstring."""
    lines = inspect.getsource(step).splitlines()[2:]
    return textwrap.dedent("\n".join(lines)).strip("\n")
