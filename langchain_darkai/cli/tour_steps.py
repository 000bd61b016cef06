"""The steps of `langchain-darkai demo`. The code of each is shown beside what it shows, so its lines are short.

`show` puts its arguments in the place of what was shown before.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from rich.progress_bar import ProgressBar
from typing_extensions import TypedDict

from langchain_darkai.chat_models import ChatDarkAI

__all__ = ["STEPS", "Show", "Step"]

Show: TypeAlias = Callable[..., None]
Step: TypeAlias = Callable[[ChatDarkAI, Show], None]


def stream_a_reply(model: ChatDarkAI, show: Show) -> None:
    """A reply, streaming in."""
    question = "Count from 1 to 50."
    text = ""
    for chunk in model.stream(question):
        text += chunk.text
        show(text)


def run_a_chain(model: ChatDarkAI, show: Show) -> None:
    """A chain: prompt, model, parser."""
    prompt = ChatPromptTemplate(
        [
            ("user", "My name is {name}."),
            ("assistant", "Hello, {name}!"),
            ("user", "What is my name?"),
        ]
    )
    chain = prompt | model | StrOutputParser()
    show(chain.invoke({"name": "Ada"}))


def run_an_agent(model: ChatDarkAI, show: Show) -> None:
    """An agent: create_agent calls tools, and answers."""
    from langchain.agents import create_agent

    def weather(city: str) -> str:
        """Get the weather in a city."""
        return f"sunny in {city}"

    agent = create_agent(model, [weather])
    said = HumanMessage("Weather in Paris?")
    for state in agent.stream(
        {"messages": [said]},
        {"recursion_limit": 9},
        stream_mode="values",
    ):
        show(*map(line_of, state["messages"]))


def fill_a_schema(model: ChatDarkAI, show: Show) -> None:
    """A structured answer that grows, and is validated."""

    class Person(TypedDict):
        name: str
        age: int
        job: Literal["engineer", "doctor"]

    class Team(TypedDict):
        people: list[Person]

    text = "Alice, 30, is an engineer, "
    text += "and Bob, 25, is a doctor."
    reader = model.with_structured_output(Team)
    for team in reader.stream(text):
        show(team)


def ask_many_at_once(model: ChatDarkAI, show: Show) -> None:
    """Forty calls at once, each shown as it ends."""
    asked = [f"Count to {n}" for n in range(40)]
    calls = model.batch_as_completed(asked)
    for done, call in enumerate(calls, 1):
        place, reply = call
        show(
            ProgressBar(40, done),
            f"{done} of 40 replies",
            f"{asked[place]}:",
            reply.text,  # type: ignore[union-attr]
        )


STEPS: Sequence[Step] = (
    stream_a_reply,
    run_a_chain,
    run_an_agent,
    fill_a_schema,
    ask_many_at_once,
)


def line_of(message: Any) -> str:
    """Return a message of an agent in short: calls, the result of one, or text."""
    calls = [f"calls {call['name']}({call['args']})" for call in getattr(message, "tool_calls", None) or ()]
    who = {"human": "you ask: ", "tool": "gets "}
    return "\n".join(calls) or f"{who.get(message.type, '')}{message.text}"
