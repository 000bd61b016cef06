"""Which tools a question asks for, and with which arguments."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from langchain_darkai.offline.budget import Budget, check_size
from langchain_darkai.offline.json_values import generate
from langchain_darkai.offline.text_values import Freedom, TextValues
from langchain_darkai.offline.words import NUMBER, QUOTED, lists_in, names_in, readable, readable_lines, words_of

__all__ = ["OfferedTool", "PlannedCall", "plan_calls"]

OfferedTool = Mapping[str, Any]
"""A tool as the prompt offers it: `name`, a string, and perhaps `description`, and `parameters`, a JSON Schema."""
PlannedCall = dict[str, Any]
"""A call as the reply writes it: `name` and `arguments`."""

_IGNORED = frozenset(
    "a an and any api are at be by call can do fetch for from function get give how i in is it me my of on or please "
    "run tell that the this to tool tools up us use user using value want what with you your".split()
)
_SYNONYMS = {
    "plus": "add",
    "sum": "add",
    "times": "multiply",
    "minus": "subtract",
    "divided": "divide",
}
_SIGNS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
_NUMERIC = ("integer", "number")
_CLAUSE_END = r"(?:[.;?!]\s+|,\s+(?:and\s+)?(?:then\s+)?|\s+and\s+(?:then\s+)?|\s+then\s+)"


def plan_calls(
    tools: Sequence[OfferedTool],
    question: str,
    *,
    must: bool = False,
    known: Mapping[str, Any] | None = None,
    results: Sequence[str] = (),
    budget: Budget | None = None,
) -> list[PlannedCall]:
    """Return the calls that a question asks for, in its order; with `must` at least one, if there is a tool at all.

    `known` and `results` are what tools said already: values by name, and texts.

    Raises BudgetSpentError where that is too much work.

    Example:
        >>> add = {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}}
        >>> plan_calls([add], "Add 2 and 3, and add 4 and 5")
        [{'name': 'add', 'arguments': {'a': 2, 'b': 3}}, {'name': 'add', 'arguments': {'a': 4, 'b': 5}}]
    """
    question, budget = readable(question), budget or Budget()
    forbidden = re.search(r"\b(?:without|don't|do not|no)\b.{0,20}\btools?\b", question, re.IGNORECASE)
    if not tools or (forbidden and not must):
        return []
    known_by = [_KnownBy(tool, budget) for tool in tools]
    groups = _groups(known_by, question)
    if not groups:
        best = max(known_by, key=lambda each: each.score(question)[1])
        is_asked_for = re.search(r"\b(?:use|using|call)\b.{0,20}\btools?\b", question, re.IGNORECASE)
        if not must and not is_asked_for and not best.is_described(question):
            return []
        groups = [(best.tool, question)]
    calls = [call for tool, text in groups for call in _calls(tool, text, known, results, budget)]
    check_size(calls)
    return list({json.dumps(call): call for call in calls}.values())


class _KnownBy:
    """The words by which a tool is known, and how well it fits a text by them."""

    def __init__(self, tool: OfferedTool, budget: Budget) -> None:
        properties = list(_properties(tool))
        description = readable(str(tool.get("description", "")))
        budget.spend(10 + (len(description) + sum(map(len, properties))) // 10)
        self.tool = tool
        self._budget = budget
        self._full_name = re.compile(rf"\b{re.escape(tool['name'])}\b")
        self._name = _stems(tool["name"]) or {tool["name"].lower()}
        self._description = _stems(description)
        self._parameters = set().union(*map(_stems, properties))

    def score(self, text: str) -> tuple[int, float]:
        """Return how many words of the tool's name a text has, and how well the tool fits it on the whole."""
        self._budget.spend(10 + len(text) // 10)
        said = _stems(text)
        hits = len(said & self._name)
        hits += 10 * bool(self._full_name.search(text))
        others = len(said & self._description) + len(said & self._parameters)
        return hits, 3 * hits + hits / len(self._name) + others / 2

    def is_described(self, text: str) -> bool:
        """Return whether much of a text stands in the tool's description."""
        said = _stems(text)
        hits = said & self._description
        return len(hits) >= 2 and len(hits) >= 0.4 * len(said)


def _groups(tools: Sequence[_KnownBy], question: str) -> list[tuple[OfferedTool, str]]:
    """Return the question cut where it turns to another call, each part with the tool that it names."""
    masked = re.sub(QUOTED, lambda match: "x" * len(match.group()), question)
    cuts = [0, *(match.end() for match in re.finditer(_CLAUSE_END, masked)), len(question)]
    groups: list[tuple[_KnownBy, int]] = []
    for start, end in pairwise(cuts):
        clause = question[start:end]
        best = max(tools, key=lambda each: each.score(clause))
        before = [each.tool for each, _ in groups]
        if best.score(clause)[0] and (not groups or _is_another_call(best.tool, clause, before)):
            groups.append((best, start if groups else 0))
        elif len(groups) == 1 and best.score(question[:end]) > groups[0][0].score(question[:end]):
            groups = [(best, 0)]
    ends = [start for _, start in groups[1:]] + [len(question)] * bool(groups)
    return [(each.tool, question[start:end]) for (each, start), end in zip(groups, ends, strict=True)]


def _is_another_call(tool: OfferedTool, clause: str, before: list[OfferedTool]) -> bool:
    """Return whether a clause that names a tool has an argument for it, and is not a part of the call before."""
    properties = _properties(tool)
    if not properties:
        return tool not in before
    numeric = [part for part in properties.values() if isinstance(part, dict) and part.get("type") in _NUMERIC]
    if len(numeric) == len(properties):
        return bool(re.search(NUMBER, clause))
    if re.search(NUMBER, clause) or names_in(clause) or re.search(QUOTED, clause):
        return True
    rest = set(words_of(TextValues(clause).rest())) - set(words_of(tool["name"]))
    return bool(rest) and not re.match(r"\W*(?:please )?(?:use|using|call|with)\b", clause, re.IGNORECASE)


def _calls(
    tool: OfferedTool, text: str, known: Mapping[str, Any] | None, results: Sequence[str], budget: Budget
) -> list[PlannedCall]:
    """Return one call, or one for each member of a list of which the tool takes a single one ("in Paris and Rome")."""
    schema = tool.get("parameters") or {"type": "object"}
    spoken = readable(re.sub(rf"\b{re.escape(tool['name'])}\b", lambda match: " " * len(match.group()), text))
    source = readable_lines([spoken, *results])
    new_values = partial(TextValues, source, known, spare=results, budget=budget)

    def call(values: TextValues) -> PlannedCall:
        return {"name": tool["name"], "arguments": generate(schema, values, freedom=Freedom.ANY)}

    values = new_values()
    calls = [call(values)]
    for members in lists_in(spoken):
        taken = [i for i, (start, end) in enumerate(members) if any(s < end and start < e for s, e in values.used)]
        if len(taken) != 1:
            continue
        for index in range(len(members)):
            if index != taken[0]:
                others = [span for i, span in enumerate(members) if i != index]
                calls.insert(index, call(new_values(used=others)))
        break
    return calls


def _stems(text: str) -> set[str]:
    """Return the words of a text that say something, without their endings, and with one word for its synonyms."""
    words = [_SYNONYMS.get(word, word) for word in words_of(text)]
    words += [_SIGNS[match[1]] for match in re.finditer(r"\d\s*([-+*/])\s*(?=\d)", text)]
    stems = {
        re.sub(r"(?<=\w{3})(?:ing|ers|er|ors|or|ed|es|s|e|y)$", "", word) for word in words if word not in _IGNORED
    }
    return {_SYNONYMS.get(stem, stem) for stem in stems}


def _properties(tool: OfferedTool) -> dict[str, Any]:
    properties = (tool.get("parameters") or {}).get("properties", {})
    return properties if isinstance(properties, dict) else {}
