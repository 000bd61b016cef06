"""Which tools a question asks for, and with which arguments."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from langchain_darkai.offline.json_values import fill
from langchain_darkai.offline.text_values import LONGEST, NUMBER, TextValues, proper_phrases, series, words_of

Tool = Mapping[str, Any]
Call = dict[str, Any]

_PLAIN = frozenset(
    "a an and any api are at be by call can do fetch for from function get give how i in is it me my of on or please "
    "run tell that the this to tool tools up us use user using value want what with you your".split()
)
_SAME = {
    "plus": "add",
    "sum": "add",
    "total": "add",
    "times": "multiply",
    "multiplied": "multiply",
    "product": "multiply",
    "minus": "subtract",
    "difference": "subtract",
    "divided": "divide",
    "quotient": "divide",
    "compute": "calculate",
    "calculator": "calculate",
    "evaluate": "calculate",
}
_SIGNS = {"+": "add", "-": "subtract", "−": "subtract", "*": "multiply", "×": "multiply", "/": "divide", "÷": "divide"}
_BREAK = r"(?:[.;?!]\s+|,\s+(?:and\s+)?(?:then\s+)?|\s+and\s+(?:then\s+)?|\s+then\s+)"
_QUOTE = r"\"[^\"\n]+\"|“[^”\n]+”|(?<!\w)'[^\n]+?'(?!\w)"


def plan_calls(
    tools: Sequence[Tool],
    question: str,
    *,
    must: bool = False,
    known: Mapping[str, Any] | None = None,
    results: Sequence[str] = (),
) -> list[Call]:
    """The calls that a question asks for, in its order; with `must` at least one, if there is a tool at all.

    Example:
        >>> add = {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}}
        >>> plan_calls([add], "Add 2 and 3, and add 4 and 5")
        [{'name': 'add', 'arguments': {'a': 2, 'b': 3}}, {'name': 'add', 'arguments': {'a': 4, 'b': 5}}]
    """
    if not tools or (
        not must and re.search(r"\b(?:without|don't|do not|no)\b.{0,20}\btools?\b", question, re.IGNORECASE)
    ):
        return []
    question = question[:LONGEST]
    groups = _groups(tools, question)
    if not groups:
        best = max(tools, key=lambda tool: _score(tool, question)[1])
        asked = re.search(r"\b(?:use|using|call)\b.{0,20}\btools?\b", question, re.IGNORECASE)
        if not must and not asked and not _is_described(best, question):
            return []
        groups = [(best, question)]
    calls = [call for tool, text in groups for call in _calls(tool, text, known, results)]
    return [call for index, call in enumerate(calls) if call not in calls[:index]]


def _groups(tools: Sequence[Tool], question: str) -> list[tuple[Tool, str]]:
    """The question cut where it turns to another call, each part with the tool that it names."""
    masked = re.sub(_QUOTE, lambda match: "x" * len(match.group()), question)
    cuts = [0, *(match.end() for match in re.finditer(_BREAK, masked)), len(question)]
    groups: list[tuple[Tool, int]] = []
    for start, end in pairwise(cuts):
        clause = question[start:end]
        best = max(tools, key=lambda tool: _score(tool, clause))
        if _score(best, clause)[0] and (not groups or _is_another_call(best, clause, [tool for tool, _ in groups])):
            groups.append((best, start if groups else 0))
        elif groups and len(groups) == 1 and _score(best, question[:end]) > _score(groups[0][0], question[:end]):
            groups = [(best, 0)]
    ends = [start for _, start in groups[1:]] + [len(question)] * bool(groups)
    return [(tool, question[start:end]) for (tool, start), end in zip(groups, ends, strict=True)]


def _is_another_call(tool: Tool, clause: str, before: list[Tool]) -> bool:
    properties = _properties(tool)
    if not properties:
        return tool not in before
    numbers = [p for p in properties.values() if isinstance(p, dict) and p.get("type") in {"integer", "number"}]
    if numbers and len(numbers) == len(properties):
        return bool(re.search(NUMBER, clause))
    named = bool(re.search(NUMBER, clause) or proper_phrases(clause) or re.search(_QUOTE, clause))
    rest = set(words_of(TextValues(clause).remainder()[1])) - set(words_of(str(tool["name"])))
    return named or bool(rest and not re.match(r"\W*(?:please )?(?:use|using|call|with)\b", clause, re.IGNORECASE))


def _calls(tool: Tool, text: str, known: Mapping[str, Any] | None, results: Sequence[str]) -> list[Call]:
    """One call, or one for each member of a list of which the tool takes a single one ("in Paris and Rome")."""
    schema = tool.get("parameters") or {"type": "object"}
    spoken = re.sub(rf"\b{re.escape(str(tool['name']))}\b", lambda match: " " * len(match.group()), text)
    source = "\n".join([spoken, *results])
    findings = TextValues(source, known, spare=results)
    calls = [{"name": tool["name"], "arguments": fill(schema, findings, reach=2)}]
    for run in series(spoken):
        taken = [i for i, (start, end) in enumerate(run) if any(s < end and start < e for s, e in findings.used)]
        if len(taken) == 1:
            for index in range(len(run)):
                if index != taken[0]:
                    others = [span for i, span in enumerate(run) if i != index]
                    arguments = fill(schema, TextValues(source, known, others, spare=results), reach=2)
                    calls.insert(index, {"name": tool["name"], "arguments": arguments})
            break
    return calls


def _score(tool: Tool, text: str) -> tuple[int, float]:
    """How many words of the tool's name the text has, and how well the tool fits it on the whole."""
    said, name = _stems(text, signs=True), _stems(str(tool["name"])) or {str(tool["name"]).lower()}
    hits = len(said & name)
    exact = bool(re.search(rf"\b{re.escape(str(tool['name']))}\b", text))
    hits += 10 * exact
    described = len(said & _stems(str(tool.get("description", ""))))
    parameters = len(said & set().union(*(_stems(key) for key in _properties(tool))))
    return hits, 3 * hits + hits / len(name) + described / 2 + parameters / 2


def _is_described(tool: Tool, text: str) -> bool:
    said = _stems(text, signs=True)
    hits = said & _stems(str(tool.get("description", "")))
    return len(hits) >= 2 and len(hits) >= 0.4 * len(said)


def _stems(text: str, *, signs: bool = False) -> set[str]:
    words = [_SAME.get(word, word) for word in words_of(text)]
    if signs:
        found = [_SIGNS[match[1]] for match in re.finditer(r"[\d)]\s*([-+*/×÷−])\s*[\d(-]", text)]
        words += found + ["calculate"] * bool(found)
    stems = {re.sub(r"(?<=\w{3})(?:ing|ers|er|ors|or|ed|es|s|e|y)$", "", word) for word in words if word not in _PLAIN}
    return {_SAME.get(stem, stem) for stem in stems}


def _properties(tool: Tool) -> dict[str, Any]:
    found = (tool.get("parameters") or {}).get("properties", {})
    return found if isinstance(found, dict) else {}
