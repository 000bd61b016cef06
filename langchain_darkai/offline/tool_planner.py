"""Which tools a question asks for, and with which arguments."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from langchain_darkai.offline.json_values import generate
from langchain_darkai.offline.text_values import MAX_READ, NUMBER, Freedom, TextValues, lists_in, names_in, words_of

__all__ = ["OfferedTool", "PlannedCall", "plan_calls"]

OfferedTool = Mapping[str, Any]
"""A tool as the prompt offers it: `name`, `description` and `parameters`, a JSON Schema."""
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
_QUOTED = r"\"[^\"\n]+\"|“[^”\n]+”|(?<!\w)'[^\n]+?'(?!\w)"


def plan_calls(
    tools: Sequence[OfferedTool],
    question: str,
    *,
    must: bool = False,
    known: Mapping[str, Any] | None = None,
    results: Sequence[str] = (),
) -> list[PlannedCall]:
    """Return the calls that a question asks for, in its order; with `must` at least one, if there is a tool at all.

    `known` and `results` are what tools said already: values by name, and texts.

    Example:
        >>> add = {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}}
        >>> plan_calls([add], "Add 2 and 3, and add 4 and 5")
        [{'name': 'add', 'arguments': {'a': 2, 'b': 3}}, {'name': 'add', 'arguments': {'a': 4, 'b': 5}}]
    """
    forbidden = re.search(r"\b(?:without|don't|do not|no)\b.{0,20}\btools?\b", question, re.IGNORECASE)
    if not tools or (forbidden and not must):
        return []
    question = question[:MAX_READ]
    groups = _groups(tools, question)
    if not groups:
        best = max(tools, key=lambda tool: _score(tool, question)[1])
        is_asked_for = re.search(r"\b(?:use|using|call)\b.{0,20}\btools?\b", question, re.IGNORECASE)
        if not must and not is_asked_for and not _is_described(best, question):
            return []
        groups = [(best, question)]
    calls = [call for tool, text in groups for call in _calls(tool, text, known, results)]
    return [call for index, call in enumerate(calls) if call not in calls[:index]]


def _groups(tools: Sequence[OfferedTool], question: str) -> list[tuple[OfferedTool, str]]:
    """Return the question cut where it turns to another call, each part with the tool that it names."""
    masked = re.sub(_QUOTED, lambda match: "x" * len(match.group()), question)
    cuts = [0, *(match.end() for match in re.finditer(_CLAUSE_END, masked)), len(question)]
    groups: list[tuple[OfferedTool, int]] = []
    for start, end in pairwise(cuts):
        clause = question[start:end]
        best = max(tools, key=lambda tool: _score(tool, clause))
        if _score(best, clause)[0] and (not groups or _is_another_call(best, clause, [tool for tool, _ in groups])):
            groups.append((best, start if groups else 0))
        elif len(groups) == 1 and _score(best, question[:end]) > _score(groups[0][0], question[:end]):
            groups = [(best, 0)]
    ends = [start for _, start in groups[1:]] + [len(question)] * bool(groups)
    return [(tool, question[start:end]) for (tool, start), end in zip(groups, ends, strict=True)]


def _is_another_call(tool: OfferedTool, clause: str, before: list[OfferedTool]) -> bool:
    """Return whether a clause that names a tool has an argument for it, and is not a part of the call before."""
    properties = _properties(tool)
    if not properties:
        return tool not in before
    numeric = [part for part in properties.values() if isinstance(part, dict) and part.get("type") in _NUMERIC]
    if len(numeric) == len(properties):
        return bool(re.search(NUMBER, clause))
    if re.search(NUMBER, clause) or names_in(clause) or re.search(_QUOTED, clause):
        return True
    rest = set(words_of(TextValues(clause).rest())) - set(words_of(str(tool["name"])))
    return bool(rest) and not re.match(r"\W*(?:please )?(?:use|using|call|with)\b", clause, re.IGNORECASE)


def _calls(tool: OfferedTool, text: str, known: Mapping[str, Any] | None, results: Sequence[str]) -> list[PlannedCall]:
    """Return one call, or one for each member of a list of which the tool takes a single one ("in Paris and Rome")."""
    schema = tool.get("parameters") or {"type": "object"}
    name = str(tool["name"])
    spoken = re.sub(rf"\b{re.escape(name)}\b", lambda match: " " * len(match.group()), text)
    source = "\n".join([spoken, *results])

    def call(values: TextValues) -> PlannedCall:
        return {"name": tool["name"], "arguments": generate(schema, values, freedom=Freedom.ANY)}

    values = TextValues(source, known, spare=results)
    calls = [call(values)]
    for members in lists_in(spoken):
        taken = [i for i, (start, end) in enumerate(members) if any(s < end and start < e for s, e in values.used)]
        if len(taken) != 1:
            continue
        for index in range(len(members)):
            if index != taken[0]:
                others = [span for i, span in enumerate(members) if i != index]
                calls.insert(index, call(TextValues(source, known, others, spare=results)))
        break
    return calls


def _score(tool: OfferedTool, text: str) -> tuple[int, float]:
    """Return how many words of the tool's name a text has, and how well the tool fits it on the whole."""
    said, name = _stems(text), _stems(str(tool["name"])) or {str(tool["name"]).lower()}
    hits = len(said & name)
    hits += 10 * bool(re.search(rf"\b{re.escape(str(tool['name']))}\b", text))
    described = len(said & _stems(str(tool.get("description", ""))))
    parameters = len(said & set().union(*(_stems(key) for key in _properties(tool))))
    return hits, 3 * hits + hits / len(name) + described / 2 + parameters / 2


def _is_described(tool: OfferedTool, text: str) -> bool:
    said = _stems(text)
    hits = said & _stems(str(tool.get("description", "")))
    return len(hits) >= 2 and len(hits) >= 0.4 * len(said)


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
