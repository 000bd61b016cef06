"""What a model is asked: each kind of task, asked in one way, ends in one verdict."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.runnables import Runnable

from evals import agents, branches, leaderboard, structured
from evals.leaderboard import Call, Question
from evals.subject import Client

_MODELS = ("native", "prompted", "gateway")
WAYS = (*(f"{model}{choice}" for model in _MODELS for choice in ("", "-forced")), "bfcl")
MORE_WAYS = branches.WAYS
"""Ways that are asked only where they are named."""
VERDICTS = ("right", "wrong", "text", "broken", "raised")
VALIDITY = ("first", "again", "never")
"""The verdicts on structured answers: valid the first time, after asking again, or never."""


class Outcome(NamedTuple):
    """What came of one task; `detail` is for those who want to know why."""

    verdict: str
    detail: str = ""


class Task(NamedTuple):
    """A task of a category, in one way, for any client."""

    way: str
    category: str
    id: str
    run: Callable[[Client], Outcome]


def tasks(ways: list[str], categories: list[str], sample: int) -> list[Task]:
    """Return all tasks, at most `sample` of each category in each way."""
    made = []
    for category in categories:
        if category == "agent":
            made += [_agent_task(way, task) for way in ways if way in _MODELS for task in agents.TASKS]
        elif category == "structured":
            made += [
                _structured_task(way, depth, number)
                for way in ways
                if way in _MODELS
                for depth in structured.DEPTHS
                for number in range(min(sample, structured.TEXTS))
            ]
        else:
            asked = leaderboard.questions(category, sample)
            made += [_call_task(way, question) for way in ways if _makes_sense(way, category) for question in asked]
    return made


def _makes_sense(way: str, category: str) -> bool:
    """Return whether a category can be answered right in a way: not where a call is forced, and none fits."""
    return not (way.endswith("-forced") and category in leaderboard.IRRELEVANT)


def _call_task(way: str, question: Question) -> Task:
    def run(client: Client) -> Outcome:
        if way == "bfcl":
            return _by_leaderboard(client.native, question)
        if way in branches.WAYS:
            calls, text = branches.ask(client.native, question, way)
            return _judged(question, calls, is_broken=False, text=text)
        model, tools, names = _for_model(way, client, question)
        choice: dict[str, Any] = {"tool_choice": "any"} if way.endswith("-forced") else {}
        asked: Runnable[LanguageModelInput, AIMessage] = model.bind_tools(tools, **choice)
        reply = asked.invoke(convert_to_messages(question.messages))
        calls = [(names.get(call["name"], call["name"]), call["args"]) for call in reply.tool_calls]
        return _judged(question, calls, is_broken=bool(reply.invalid_tool_calls), text=reply.text)

    return Task(way, question.category, question.id, run)


def _for_model(
    way: str, client: Client, question: Question
) -> tuple[BaseChatModel, list[dict[str, Any]], dict[str, str]]:
    """Return the model of a way, its tools, and which names they have in the question.

    OpenAI's protocol takes no dots in names; this package does.
    """
    if not way.startswith("native"):
        return client.model(way), question.tools, {}
    names: dict[str, str] = {}
    tools = question.tools
    for tool in tools:
        name = tool["function"]["name"]
        tool["function"]["name"] = re.sub(r"[^\w-]", "_", name)[:64]
        names[tool["function"]["name"]] = name
    return client.native, tools, names


def _by_leaderboard(model: BaseChatModel, question: Question) -> Outcome:
    text = model.invoke(convert_to_messages(leaderboard.with_prompt(question))).text
    try:
        return _judged(question, leaderboard.calls_in(text), is_broken=False, text=text)
    except ValueError:
        begun = any(f"{function['name']}(" in text for function in question.functions)
        return _judged(question, [], is_broken=begun, text=text)


def _judged(question: Question, calls: list[Call], *, is_broken: bool, text: str) -> Outcome:
    detail = repr(calls) if calls else text
    if is_broken and not calls:
        return Outcome("broken", detail)
    if question.answer is None:
        return Outcome("wrong" if calls else "right", detail)
    if not calls:
        return Outcome("text", detail)
    return Outcome("right" if leaderboard.is_right(question, calls) else "wrong", detail)


def _structured_task(way: str, depth: int, number: int) -> Task:
    text, schema = structured.text(depth, number), structured.SCHEMAS[depth]

    def run(client: Client) -> Outcome:
        model = client.model(way)
        answer: Any = model.with_structured_output(schema, include_raw=True).invoke(text)
        if answer["parsed"] is None:
            return Outcome("never", f"{answer['parsing_error']}\n{answer['raw'].text}")
        return Outcome("first" if client.tally().requests == 1 else "again", repr(answer["parsed"]))

    return Task(way, f"depth {depth}", f"depth_{depth}_{number}", run)


def _agent_task(way: str, task: agents.AgentTask) -> Task:
    def run(client: Client) -> Outcome:
        messages = agents.run(client.model(way), task)
        return _judged_agent(task, messages)

    return Task(way, "agent", task.question, run)


def _judged_agent(task: agents.AgentTask, messages: list[BaseMessage]) -> Outcome:
    replies = [message for message in messages if isinstance(message, AIMessage)]
    calls = [agents.written(call["name"], call["args"]) for reply in replies for call in reply.tool_calls]
    detail = f"{calls} {replies[-1].text}"
    if replies[-1].invalid_tool_calls:
        return Outcome("broken", detail)
    if task.calls and not calls:
        return Outcome("text", detail)
    is_right = set(calls) == set(task.calls) and all(word in replies[-1].text for word in task.answer)
    return Outcome("right" if is_right else "wrong", detail)
