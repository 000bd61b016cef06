"""What the offline model says where neither a tool nor a schema is asked for: rules, tried in turn."""

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from langchain_darkai.offline.words import MAX_READ, NUMBER, as_number, readable

__all__ = ["IDENTITY", "continuation", "reply"]

IDENTITY = "I am the offline model of langchain-darkai: a set of rules, and no language model."

_MAX_COUNTED = 10_000
_SIGNS = {"plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "×": "*", "÷": "/"}
_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def reply(question: str, earlier: Sequence[str] = ()) -> str:
    """Return the answer to a question; `earlier` is what the user said before it.

    Example:
        >>> reply("What is my name?", ["My name is Bob."])
        'Your name is Bob. You told me so earlier in this conversation.'
    """
    text = question.strip()
    if len(text) > MAX_READ:
        return _echo(text)
    read = readable(text)
    return _recall(read, earlier) or _count(read) or _sum(read) or _greeting(read) or _echo(text)


def continuation(prefill: str, answer: str) -> str:
    """Return what follows on the beginning of a reply: the rest of the answer, or all of it after other words.

    Example:
        >>> continuation("1, 2,", "1, 2, 3")
        ' 3'
    """
    if answer.startswith(prefill) and answer != prefill:
        return answer[len(prefill) :]
    return answer if prefill[-1].isspace() else f" {answer}"


def _recall(text: str, earlier: Sequence[str]) -> str | None:
    """Answer what the user's name is, or anything else that they called "my"."""
    asked = re.search(r"\b(?:what(?:'s|’s| is| was| are)|tell me|know) my ([\w-][\w -]*)[\s?.!]*$", text, re.IGNORECASE)
    if not asked:
        return None
    what = asked[1].rstrip()
    told = rf"\bmy {re.escape(what)}(?:'s|’s| is|:| was) ([^,;!?\n]+?)(?= and (?:i|my)\b|[.,;!?\n]|$)"
    facts = [fact[1].strip() for said in earlier for fact in re.finditer(told, readable(said), re.IGNORECASE)]
    if facts:
        return f"Your {what} is {facts[-1]}. You told me so earlier in this conversation."
    return f"You have not told me your {what} yet. Say “My {what} is ...” and ask me again."


def _count(text: str) -> str | None:
    number = r"(-?\d{1,15})\b"
    asked = re.search(rf"\bcount\b(?: \w+)*?(?: from {number})?(?: (?:up |down )?to {number})", text, re.IGNORECASE)
    if not asked:
        return None
    first, last = int(asked[1] or 1), int(asked[2])
    numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
    return ", ".join(map(str, numbers[:_MAX_COUNTED]))


def _sum(text: str) -> str | None:
    """Work out two numbers with a sign or a word for it between them."""
    words = "|".join(_SIGNS)
    found = re.search(rf"({NUMBER})(?:\s*([+*/×÷])\s*|\s+(-|{words})\s+)({NUMBER})", text, re.IGNORECASE)
    if not found or len(re.findall(NUMBER, text)) > 2:
        return None
    sign = (found[2] or found[3]).lower()
    sign = _SIGNS.get(sign, sign)
    expression = f"{found[1]} {sign} {found[4]}"
    try:
        value = _OPERATIONS[sign](as_number(found[1]), as_number(found[4]))
    except ZeroDivisionError:
        return f"{expression} has no value, since nothing can be divided by zero."
    except OverflowError:
        return None
    shown = int(value) if isinstance(value, float) and value.is_integer() else round(value, 10)
    return f"{expression} = {shown}, worked out by the rules of arithmetic and not by a language model."


def _greeting(text: str) -> str | None:
    if re.match(r"(?:hi|hello|hey|good (?:morning|afternoon|evening|day))\b(?:\W+\w+){0,2}\W*$", text, re.IGNORECASE):
        return f"Hello! {IDENTITY} Ask me something, give me a tool to call, or tell me to count from 1 to 10."
    return None


def _echo(text: str) -> str:
    if not text:
        return f"You sent me no words, so there is nothing to answer. {IDENTITY}"
    shown = text if len(text) <= 200 else text[:200].rsplit(" ", 1)[0] + " ..."
    verb = "asked" if "?" in text else "said"
    return (
        f"You {verb}: “{shown}” {IDENTITY} "
        "A language model would answer here; I can count, do sums, call your tools and fill in your JSON schemas."
    )
