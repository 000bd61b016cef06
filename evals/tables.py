"""The results as Markdown, and where they stand in README.md."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from evals.cost import COUNTS
from evals.tasks import VALIDITY, VERDICTS

README = Path(__file__).with_name("README.md")
_RESULTS = re.compile(r"(?<=<!-- results -->\n).*(?=<!-- end -->)", re.DOTALL)


class Result(NamedTuple):
    """What came of one task, and what it cost."""

    way: str
    category: str
    id: str
    verdict: str
    prompt_tokens: int
    requests: int
    detail: str


def report(model: str, command: str, results: Iterable[Result], costs: dict[str, list[int]]) -> str:
    """Return a model's section of the page."""
    calls: list[Result] = []
    answers: list[Result] = []
    for result in results:
        (answers if result.category.startswith("depth ") else calls).append(result)
    parts = [f"### {model}\n", f"`{command}`\n"]
    if calls:
        parts.append(_counts("category", calls, VERDICTS))
    if answers:
        parts.append(_counts("structured output", answers, (*VALIDITY, "raised")))
    if costs:
        rows = [[way, *map(str, tokens)] for way, tokens in costs.items()]
        parts.append(
            _table(
                ["tokens of the instructions", *(f"{count} tool{'s' if count > 1 else ''}" for count in COUNTS)], rows
            )
        )
    return "\n".join(parts)


def record(model: str, section: str) -> None:
    """Put a model's section into README.md, in place of the one that is there."""
    page = README.read_text(encoding="utf-8")
    found = _RESULTS.search(page)
    assert found is not None
    sections = {part.split("\n", 1)[0]: f"### {part}" for part in found[0].split("### ")[1:]}
    sections[model] = f"{section}\n"
    README.write_text(_RESULTS.sub(lambda _found: "\n" + "".join(sections.values()), page), encoding="utf-8")


def _counts(what: str, results: Sequence[Result], verdicts: tuple[str, ...]) -> str:
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        groups[result.category, result.way].append(result)
    rows = []
    for (category, way), group in groups.items():
        counts = Counter(result.verdict for result in group)
        tokens = sum(result.prompt_tokens for result in group) / len(group)
        requests = sum(result.requests for result in group) / len(group)
        shown = [str(counts[verdict]) for verdict in verdicts]
        rows.append([category, way, str(len(group)), *shown, f"{tokens:.0f}", f"{requests:.1f}"])
    rows.sort(key=lambda row: [result.category for result in results].index(row[0]))
    return _table([what, "way", "asked", *verdicts, "prompt tokens", "requests"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    is_number = [all(re.fullmatch(r"[\d.-]+", row[place]) for row in rows) for place in range(len(head))]

    def line(cells: list[str]) -> str:
        columns = zip(cells, widths, is_number, strict=True)
        return f"| {' | '.join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in columns)} |"

    rules = ["-" * (width - 1) + (":" if right else "-") for width, right in zip(widths, is_number, strict=True)]
    return "\n".join([line(head), line(rules), *map(line, rows), ""])
