"""Compare the instructions of fixed work with those recorded: `python -m benchmarks.guard`, or `make bench-guard`.

A noisy machine changes times, but hardly the number of instructions. valgrind counts them, and has to be there
(Debian, Ubuntu: apt install valgrind).
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

RECORD = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.05
"""Of the recorded count. From run to run, the fewest of two counts differ by a tenth of a percent; but where long texts
are moved in memory, by up to 3 %."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--record", action="store_true", help="record the counts of this Python, instead of comparing")
    parser.add_argument("--valgrind", default="valgrind", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if shutil.which(options.valgrind) is None:
        sys.exit("There is no valgrind, which counts instructions (Debian, Ubuntu: apt install valgrind).")
    recorded = json.loads(RECORD.read_text())
    version = "{}.{}".format(*sys.version_info)
    if version not in recorded and not options.record:
        sys.exit(
            f"No counts are recorded for Python {version}: python -m benchmarks.guard --record, on the older commit."
        )
    counts = counted(options.valgrind)
    if options.record:
        recorded[version] = {"build": _build(), "counts": counts}
        RECORD.write_text(json.dumps(dict(sorted(recorded.items())), indent=2) + "\n")
        return
    before = recorded[version]
    print(f"Millions of instructions, recorded and now, Python {version}:")
    for name, count in counts.items():
        print(shown(name, before["counts"].get(name), count))
    if slower := [name for name, count in counts.items() if is_slower(before["counts"].get(name), count)]:
        other = "" if before["build"] == _build() else f" They were recorded with another build: {before['build']}."
        sys.exit(f"More instructions than recorded: {'; '.join(slower)}.{other}")


def is_slower(before: int | None, count: int) -> bool:
    """Return whether a count is too high."""
    return before is None or count > before * (1 + TOLERANCE)


def shown(name: str, before: int | None, count: int) -> str:
    """Return a line of the table."""
    if before is None:
        return f"{name:<26} {'-':>8} {count / 1e6:8.1f}  not recorded"
    return f"{name:<26} {before / 1e6:8.1f} {count / 1e6:8.1f}  {count / before - 1:+.1%}"


def counted(valgrind: str) -> Mapping[str, int]:
    """Return the instructions of each work, the fewest of several times."""
    with tempfile.TemporaryDirectory() as folder:
        tool = [valgrind, "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"]
        command = [*tool, sys.executable, "-m", "benchmarks.works"]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "0"}, stderr=subprocess.DEVNULL)
        dumps = [path.read_text() for path in sorted(Path(folder).glob("out.*"), key=lambda path: int(path.suffix[1:]))]
    counts: dict[str, int] = {}
    for dump in dumps:
        name, count = _one(r"^desc: Trigger: dump (.*)$", dump), int(_one(r"^totals: (\d+)", dump))
        counts[name] = min(count, counts.get(name, count))
    return counts


def _one(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None
    return found[1]


def _build() -> str:
    return f"Python {platform.python_version()}, {platform.python_compiler()}, {platform.machine()}"


if __name__ == "__main__":
    main()
