"""The agent loop: a model calls tools, gets their results, and answers; tools and tasks never change."""

from collections.abc import Callable
from typing import Any, NamedTuple

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage

_MAX_STEPS = 13
"""Of the agent's graph: six replies and the results between them, where the longest task needs three replies."""


def get_temperature(city: str) -> str:
    """Return the temperature in a city now, in degrees Celsius."""
    return {"Oslo": "-7", "Rome": "16", "Cairo": "29"}.get(city, f"There is no weather station in {city}.")


def get_price(item: str) -> str:
    """Return the price of one item in the shop, in euros."""
    return {"bicycle": "479", "helmet": "65"}.get(item.lower().rstrip("s"), f"The shop has no {item}.")


def multiply(a: float, b: float) -> float:
    """Return the product of two numbers."""
    return a * b


def get_arrival(train: str) -> str:
    """Return when a train arrives today."""
    return {"T12": "18:42, 5 minutes late", "T7": "09:15, on time"}.get(train, f"There is no train {train}.")


def send_message(to: str, text: str) -> str:
    """Send a text message to a person."""
    return f"Sent {len(text)} characters to {to}."


TOOLS: tuple[Callable[..., Any], ...] = (get_temperature, get_price, multiply, get_arrival, send_message)


class AgentTask(NamedTuple):
    """A question, the calls that it takes, and words that a right answer has."""

    question: str
    calls: tuple[str, ...]
    answer: tuple[str, ...]


TASKS = (
    AgentTask("How warm is it in Oslo?", ("get_temperature(city=Oslo)",), ("7",)),
    AgentTask("What is 17 times 23?", ("multiply(a=17, b=23)",), ("391",)),
    AgentTask("When does train T12 arrive?", ("get_arrival(train=T12)",), ("18:42",)),
    AgentTask("How much does a helmet cost?", ("get_price(item=helmet)",), ("65",)),
    AgentTask(
        "Is it warmer in Rome or in Cairo right now?",
        ("get_temperature(city=Rome)", "get_temperature(city=Cairo)"),
        ("Cairo", "29"),
    ),
    AgentTask(
        "Look up the price of a bicycle, then multiply it by 3.",
        ("get_price(item=bicycle)", "multiply(a=479, b=3)"),
        ("1437",),
    ),
    AgentTask('Send Anna the message "Dinner at eight".', ("send_message(text=Dinner at eight, to=Anna)",), ()),
    AgentTask("Say good morning in French.", (), ("onjour",)),
)


def run(model: BaseChatModel, task: AgentTask) -> list[BaseMessage]:
    """Return the messages of an agent that works on a task."""
    agent = create_agent(model, list(TOOLS))
    state = agent.invoke({"messages": [HumanMessage(task.question)]}, {"recursion_limit": _MAX_STEPS})
    messages: list[BaseMessage] = state["messages"]
    return messages


def written(name: str, arguments: dict[str, Any]) -> str:
    """Return a call as the tasks write it: sorted arguments, whole numbers without a point."""
    shown = (
        f"{key}={value:g}" if isinstance(value, int | float) else f"{key}={value}"
        for key, value in sorted(arguments.items())
    )
    return f"{name}({', '.join(shown)})"
