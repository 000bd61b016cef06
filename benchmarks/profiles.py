"""What the stacks that py-spy sampled say: whose time it is, and which functions take it."""

import re
from collections import Counter
from collections.abc import Iterable

_FRAME = re.compile(r"(?P<function>.+) \((?P<file>.+?)(?::(?P<line>\d+))?\)$")
OURS = "langchain_darkai"


def summary(stacks: str, most: int = 15) -> str:
    """Return a summary of py-spy's raw format: a stack a line, its frames, from the outermost on, and its count.

    The time of the standard library is its caller's: reading JSON is the work of who asked for it.
    """
    owners: Counter[str] = Counter()
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    total = 0
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame for frame in map(_FRAME.match, stack.split(";")) if frame]
        functions = [frame["function"].rpartition(".")[2] for frame in frames]
        if not {"timed", "_serve"} & set(functions[:-1]) or functions[-1] in ("select", "wait"):
            continue  # the start, the end, what the benchmark does between two samples, and waiting
        total += int(count)
        owner = next((owner for owner in map(_owner, reversed(frames)) if owner is not None), "benchmarks")
        owners["the event loop" if owner == "benchmarks" and "_run_once" in functions else owner] += int(count)
        ours = [f"{frame['function']} ({frame['file']})" for frame in frames if _owner(frame) == OURS]
        own.update({ours[-1]: int(count)} if ours and _owner(frames[-1]) in (OURS, None) else {})
        below.update(dict.fromkeys(ours, int(count)))
    lines = ["By package, the standard library's time being its caller's:"]
    lines += _shares(owners, total, 8)
    lines += ["", f"Functions of {OURS}, with the standard library below them:"]
    lines += _shares(own, total, most)
    lines += ["", f"Functions of {OURS}, with all that is below them:"]
    lines += _shares(below, total, most)
    return "\n".join(lines)


def _owner(frame: re.Match[str]) -> str | None:
    """Return the package that a frame belongs to; None for the standard library."""
    path = frame["file"]
    if frame["function"] == "_serve":
        return None  # where the background loop begins
    for package in (OURS, "benchmarks"):
        if f"{package}/" in path:
            return package
    if "site-packages/" in path:
        return path.rpartition("site-packages/")[2].partition("/")[0]
    known = ("langchain_core", "aiohttp", "pydantic", "multidict", "yarl", "tenacity", "langsmith")
    return next((package for package in known if path.startswith(f"{package}/")), None)


def _shares(counts: Counter[str], total: int, most: int) -> Iterable[str]:
    return [f"{count / total:6.1%}  {name}" for name, count in counts.most_common(most)]
