"""What the offline model says where neither a tool nor a schema is asked for: rules, tried in turn."""

import ast
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from langchain_darkai.offline.text_values import LONGEST, NUMBER, topic_of

IDENTITY = "I am the offline model of langchain-darkai: a set of rules, and no language model."

_MOST_COUNTED = 10_000
_LONGEST_SUM = 100
_WORDS = {"plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "over": "/"}
_COMMANDS = {"add": "+", "sum": "+", "multiply": "*", "divide": "/"}
_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def reply(question: str, said: Sequence[str] = (), replies: Sequence[str] = ()) -> str:
    """An answer to a question, given what the user said and what was replied before it.

    Example:
        >>> reply("What is my name?", said=["Hi, I'm Bob."])
        'Your name is Bob. You told me so earlier in this conversation.'
    """
    text = question.strip()
    if len(text) > LONGEST:
        return _about(text)
    plain = _echo(text) or _identity(text) or _recall(text, said, replies) or _count(text) or _arithmetic(text)
    return plain or _greeting(text) or _story(text) or _about(text)


def styled(answer: str, system: str) -> str:
    """The answer as the plain instructions of a system turn want it: in capitals, with a given start or end.

    Example:
        >>> styled("Hello there.", 'End every reply with "Over and out."')
        'Hello there. Over and out.'
    """
    if re.search(r"\b(?:upper ?case|all caps|capital letters|capitals)\b", system, re.IGNORECASE):
        answer = answer.upper()
    elif re.search(r"\blower ?case\b", system, re.IGNORECASE):
        answer = answer.lower()
    for word in ("start|begin", "end|finish"):
        wanted = re.search(
            rf"\b(?:{word})\b[^.\n]{{0,40}}\bwith:?\s+[\"“']([^\"”\n]+?)[\"”'](?!\w)", system, re.IGNORECASE
        )
        if wanted:
            answer = f"{wanted[1]} {answer}" if word.startswith("start") else f"{answer} {wanted[1]}"
    return answer


def continued(prefill: str, whole: str, topic: str) -> str:
    """What follows on a text that the model is to continue: the rest of its answer, or an end for a text of another's.

    Example:
        >>> continued("1, 2,", "1, 2, 3", "numbers")
        ' 3'
    """
    if whole.startswith(prefill) and whole != prefill:
        return whole[len(prefill) :]
    gap = "" if not prefill or prefill[-1].isspace() else " "
    if prefill.rstrip().endswith(":"):
        return f"{gap}{whole}"
    if prefill.rstrip().endswith((".", "!", "?")):
        return f"{gap}That is as far as a set of rules gets with “{topic}”."
    return f"{gap}and there a set of rules, which is no language model, has to leave “{topic}” to you."


def _echo(text: str) -> str | None:
    echo = re.match(
        r"(?:please |can you |could you )*(?:repeat|echo|say|(?:reply|respond|answer)(?: with)?)"
        r"(?: (?:after me|this|back|exactly|only|just|"
        r"the (?:word|words|phrase|sentence|text|following)))*\s*(?::\s*(.+)|[\"“']([^\"”\n]+)[\"”']\W*)$",
        text,
        re.IGNORECASE | re.DOTALL,
    )
    return (echo[1] or echo[2]).strip() if echo else None


def _identity(text: str) -> str | None:
    asked = re.search(
        r"\b(?:who|what) (?:exactly )?are you\b|\bwhat(?:'s| is) your name\b|\bare you (?:an?|the|really|some)\b|"
        r"\bwhat model\b|"
        r"\bwhich model\b|\bintroduce yourself\b|\bwhat can you do\b|\btell me about yourself\b",
        text,
        re.IGNORECASE,
    )
    if not asked:
        return None
    return f"{IDENTITY} I count, work out sums, call tools, fill in JSON schemas, and otherwise say what I was asked."


def _greeting(text: str) -> str | None:
    if re.match(
        r"(?:hi|hello|hey|howdy|greetings|good (?:morning|afternoon|evening|day))\b(?:\W+\w+){0,2}\W*$",
        text,
        re.IGNORECASE,
    ):
        return f"Hello! {IDENTITY} Ask me something, give me a tool to call, or tell me to count from 1 to 10."
    if re.match(r"(?:many )?(?:thanks|thank you)\b.{0,40}$", text, re.IGNORECASE):
        return "With pleasure: that is what the rules are for. Ask me the next thing whenever it suits you."
    if re.match(r"(?:bye|goodbye|good night|see you)\b.{0,40}$", text, re.IGNORECASE):
        return "Goodbye! The rules stay here, and they will say the same things when you come back."
    return None


def _count(text: str) -> str | None:
    asked = re.search(
        r"\bcount\b(?: \w+)*?(?: from (-?\d+))?(?: (?:up |down )?to (-?\d+))(?: (?:by|in steps of) (\d+))?",
        text,
        re.IGNORECASE,
    )
    if not asked:
        return None
    first, last, step = int(asked[1] or 1), int(asked[2]), int(asked[3] or 1) or 1
    numbers = range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
    return ", ".join(map(str, numbers[:_MOST_COUNTED]))


def _arithmetic(text: str) -> str | None:
    lowered = text.lower().replace("×", "*").replace("÷", "/").replace("−", "-")
    for word, sign in _WORDS.items():
        lowered = re.sub(rf"(?<=[\d)])\s+{word}\s+(?=[-\d(])", f" {sign} ", lowered)
    command = re.search(rf"\b(add|sum|multiply|divide) ({NUMBER}) (?:and|by|to|with) ({NUMBER})", lowered)
    taken = re.search(rf"\bsubtract ({NUMBER}) from ({NUMBER})", lowered)
    if command:
        lowered = f"{command[2]} {_COMMANDS[command[1]]} {command[3]}"
    elif taken:
        lowered = f"{taken[2]} - {taken[1]}"
    found = re.search(r"(?<![\w.])(?:[-(]\s*)*\d[\d.]*(?:\s*(?://|[-+*/%])\s*[-(\s]*\d[\d.]*\s*\)*)+", lowered)
    if not found or len(found.group()) > _LONGEST_SUM or (not command and re.fullmatch(r"[\d-]+", found.group())):
        return None
    expression = found.group().strip()
    try:
        value = _worked_out(ast.parse(expression, mode="eval").body)
    except ZeroDivisionError:
        return f"{expression} has no value, since nothing can be divided by zero."
    except (SyntaxError, ValueError, OverflowError):
        return None
    shown = int(value) if isinstance(value, float) and value.is_integer() else value
    return f"{expression} = {round(shown, 10)}, worked out by the rules of arithmetic and not by a language model."


def _worked_out(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_worked_out(left), _worked_out(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_worked_out(operand))
        case _:
            raise ValueError("not arithmetic")


def _recall(text: str, said: Sequence[str], replies: Sequence[str]) -> str | None:
    if re.search(
        r"\bwhat did i (?:just |last )?(?:say|ask|tell|write)\b|\bmy (?:last|previous|first) (?:question|message)\b",
        text,
        re.IGNORECASE,
    ):
        which = 0 if re.search(r"\bfirst\b", text, re.IGNORECASE) else -1
        return f"You said: “{said[which]}”" if said else "This is the first thing that you have said to me."
    if re.search(r"\bwhat did you (?:just |last )?(?:say|answer|reply|tell)\b", text, re.IGNORECASE):
        return (
            f"I said: “{replies[-1]}”"
            if replies
            else "I have not said anything before this, so there is nothing to repeat."
        )
    if re.search(r"\bwho am i\b", text, re.IGNORECASE):
        text = "what is my name?"
    asked = re.search(
        r"\b(?:what(?:'s|’s| is| was| are)|remember|tell me|know) my ([\w -]+?)(?: again| then| called)?\s*[?.!]*$",
        text,
        re.IGNORECASE,
    )
    placed = re.search(
        r"\bwhere do i (live|work)\b|\bwhat do i (like|love|have|do)\b|\b(how old) am i\b", text, re.IGNORECASE
    )
    if asked:
        fact = _fact_of(asked[1].lower(), said)
        if fact:
            return f"Your {asked[1]} is {fact}. You told me so earlier in this conversation."
        return f"You have not told me your {asked[1]} yet. Say “My {asked[1]} is ...” and ask me again."
    if placed:
        verb = placed[1] or placed[2]
        pattern = rf"\bi {verb}\b (?:in |at |as )?([^.,;!?\n]+)" if verb else r"\bi(?:'m| am) (\d+)(?: years old)?\b"
        fact = _latest(pattern, said)
        return f"You told me: {fact}." if fact else "You have not told me that yet; say it, and then ask me again."
    return None


def _fact_of(what: str, said: Sequence[str]) -> str | None:
    fact = _latest(
        rf"\bmy {re.escape(what)}(?:'s|’s| is|:| was) (?:called )?([^,;!?\n]+?)(?= and (?:i|my)\b|[.,;!?\n]|$)", said
    )
    if not fact and what == "name":
        fact = _latest(r"\b(?:(?-i:I)(?:'m|’m| am)|call me|this is) ((?-i:[^\W\d_a-z])\w*(?: (?-i:[A-Z])\w+)?)", said)
    if not fact and what == "age":
        fact = _latest(r"\bi(?:'m|’m| am) (\d+)\b", said)
    return fact


def _latest(pattern: str, said: Sequence[str]) -> str | None:
    found = [match[1].strip() for text in said for match in re.finditer(pattern, text, re.IGNORECASE)]
    return found[-1] if found else None


def _story(text: str) -> str | None:
    kind = re.search(
        r"\b(?:tell|write|compose|give|make)\b.{0,30}\b(story|tale|poem|joke|essay|song)\b", text, re.IGNORECASE
    )
    if not kind:
        return None
    topic = topic_of(text)
    return (
        f"Here is a {kind[1].lower()} by rules, about {topic}. "
        f"Once there was a set of rules that was asked for {topic}. "
        f"It had no words of its own, so it borrowed yours and put them in order, one after the other. "
        f"“Is that all?” asked {topic}. “It is,” said the rules, “for I am no language model.” The end."
    )


def _about(text: str) -> str:
    if not text:
        return f"You sent me no words, so there is nothing to answer. {IDENTITY}"
    name = re.search(r"\bmy name is ((?-i:[^\W\d_a-z])\w*)", text, re.IGNORECASE)
    start = f"Nice to meet you, {name[1]}. " if name else ""
    shown = text if len(text) <= 200 else text[:200].rsplit(" ", 1)[0] + " ..."
    verb = "asked" if "?" in text else "said"
    return (
        f"{start}You {verb}: “{shown}” {IDENTITY} "
        "A language model would answer here; I can count, do sums, call your tools and fill in your JSON schemas."
    )
