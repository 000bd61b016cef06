"""What tools cost: the tokens of the instructions for them, in this package and in others."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.request import Request, urlopen

from langchain_core.messages import convert_to_openai_messages

from evals import leaderboard
from evals.subject import Subject
from langchain_darkai import ChatDarkAI, DarkAIError
from langchain_darkai.server import LocalServer
from tests.support.models import GeneratingModel

COUNTS = (1, 5, 30)
QUESTION = "What is the weather in Oslo?"

# LiteLLM 1.110.2 (MIT), litellm_core_utils/prompt_templates/factory.py: for models without tool calling.
_LITELLM = (
    "To call a function, reply with JSON ONLY in this format "
    '{"name": "function_name", "arguments":{"argument_name": "argument_value"}}. Once a function result answers the '
    "request, reply to the user in plain text instead of calling a function again. The following functions are "
    "available to you:"
)

Messages = list[dict[str, Any]]


def instruction_tokens(subject: Subject) -> dict[str, list[int]]:
    """Return, for each way of asking, how many tokens 1, 5 and 30 tools add to a prompt."""
    bare = _count(subject, [_system(""), _user()])
    functions = _functions(max(COUNTS))
    ways: dict[str, Callable[[list[dict[str, Any]]], Messages]] = {
        "prompted": _prompted,
        "prompted-forced": lambda given: _prompted(given, tool_choice="any"),
        "native: the model's own template": lambda _given: [_system(""), _user()],
        "bfcl": lambda given: [_system(leaderboard.tools_prompt(given)), _user()],
        "LiteLLM": lambda given: [_system(_LITELLM + "".join(f"\n{tool}\n" for tool in _tools(given))), _user()],
        "the JSON of the tools alone": lambda given: [_system(json.dumps(_tools(given))), _user()],
    }
    return {
        way: [
            _count(subject, messages(functions[:count]), _tools(functions[:count]) if "native" in way else None) - bare
            for count in COUNTS
        ]
        for way, messages in ways.items()
    }


def _user() -> dict[str, Any]:
    return {"role": "user", "content": QUESTION}


def _system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def _functions(count: int) -> list[dict[str, Any]]:
    """Return different functions of the questions that have many."""
    found: dict[str, dict[str, Any]] = {}
    for question in leaderboard.questions("live_multiple", 200):
        found.update({function["name"]: function for function in question.functions})
    return list(found.values())[:count]


def _tools(functions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tools = leaderboard.Question("", "", [], functions, None).tools
    for tool in tools:
        tool["function"]["name"] = re.sub(r"[^\w-]", "_", tool["function"]["name"])
    return tools


def _prompted(functions: list[dict[str, Any]], **choice: Any) -> Messages:
    """Return the messages that a model behind this package's server gets, in OpenAI's form."""
    call = json.dumps({"name": "none", "arguments": {}})
    recorder = GeneratingModel(replies=[[f"<tool_call>\n{call}\n</tool_call>"]])
    with LocalServer(recorder) as server, suppress(DarkAIError):  # of a forced call that the recorder does not make
        ChatDarkAI(base_url=server.url, max_reasks=0).bind_tools(_tools(functions), **choice).invoke(QUESTION)
    return list(convert_to_openai_messages(recorder.record.asked[-1]))


def _count(subject: Subject, messages: Messages, tools: list[dict[str, Any]] | None = None) -> int:
    """Return how many tokens a prompt has in the model's template; only llama.cpp tells."""
    body = {"messages": messages, **({"tools": tools} if tools else {})}
    prompt = _post(subject, "apply-template", body)["prompt"]
    return len(_post(subject, "tokenize", {"content": prompt, "add_special": True, "parse_special": True})["tokens"])


def _post(subject: Subject, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = Request(  # noqa: S310 - the address is the proxy's
        f"{subject.proxy.url('cost')}/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urlopen(request, timeout=600) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
    return answer
