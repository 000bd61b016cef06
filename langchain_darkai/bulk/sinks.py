"""Where answers go: to a file that is gone on with after an interruption, or to a function.

An answer is one write at the end of the file. A process that is killed leaves at most one torn line, the last.
"""

import contextlib
import os
import shutil
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

from langchain_darkai.bulk.answers import FIRST_BYTES, Answer, line_of, read_line

__all__ = ["Answered", "FileSink"]


class Answered:
    """The keys of rows that have a line already, in eight bytes each. Equal rows count as often as they were answered.

    Example:
        >>> answered = Answered()
        >>> answered.add(7)
        >>> answered.take(7), answered.take(7)
        (True, False)
    """

    def __init__(self) -> None:
        self._buckets: list[array[int]] = [array("Q") for _ in range(256)]
        self._is_sorted = False

    def add(self, key: int) -> None:
        """Add the key of a line."""
        self._buckets[key >> 56].append(key)
        self._is_sorted = False

    def take(self, key: int) -> bool:
        """Return whether a row has a line, which is then not another's."""
        if not self._is_sorted:
            for place, bucket in enumerate(self._buckets):
                self._buckets[place] = array("Q", sorted(bucket))
            self._is_sorted = True
        bucket = self._buckets[key >> 56]
        place = bisect_left(bucket, key)
        if place == len(bucket) or bucket[place] != key:
            return False
        del bucket[place]
        return True


class FileSink:
    """A file of answers, which is gone on with where it exists. `retry_failed` takes the lines of failures out of it.

    Raises ValueError for a file that holds something else, and OSError for one that cannot be written.
    """

    def __init__(self, path: Path, *, retry_failed: bool = False) -> None:
        self.path: Path = path
        self.answered: Answered = Answered()
        self.failed: Answered = Answered()
        if path.suffix.lower() not in (".jsonl", ".ndjson"):
            raise ValueError(f"Answers are written as JSONL: name the file {path.with_suffix('.jsonl')}.")
        if path.exists():
            self._repair_end()
            self._read(retry_failed=retry_failed)
        self._file = path.open("ab", buffering=0)

    def write(self, answer: Answer) -> None:
        """Write a line."""
        rest = memoryview(line_of(answer))
        while rest:
            rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        """Close the file, when the disk has it all."""
        with contextlib.suppress(OSError):  # a pipe, or a file system that cannot do so
            os.fsync(self._file.fileno())
        self._file.close()

    def _repair_end(self) -> None:
        """End the last line, or cut it off where a process was killed in its midst."""
        with self.path.open("r+b") as file:
            first = file.readline()
            is_torn = FIRST_BYTES.startswith(first[: len(FIRST_BYTES)]) and not first.endswith(b"\n")
            if not is_torn and read_line(first) is None:
                raise ValueError(f"{self.path} holds something else than answers. Name another file.")
            length = place = file.seek(0, os.SEEK_END)
            end = b""
            while place and b"\n" not in end:
                step = min(place, 1 << 16)
                place -= step
                file.seek(place)
                end = file.read(step) + end
            last = end[end.rfind(b"\n") + 1 :]
            if last and read_line(last):
                file.seek(length)
                file.write(b"\n")
            else:
                file.truncate(length - len(last))

    def _read(self, *, retry_failed: bool) -> None:
        """Note what is answered. Write the file anew where lines are to go, of failures and of what is no answer."""
        with self.path.open("rb") as file:
            lines = map(read_line, file)
            has_others = False
            for line in lines:
                if _is_kept(line, retry_failed=retry_failed):
                    assert line
                    key, has_failed = line
                    (self.failed if has_failed else self.answered).add(key)
                else:
                    has_others = True
        if has_others:
            self._rewrite(lambda line: _is_kept(read_line(line), retry_failed=retry_failed))

    def _rewrite(self, is_kept: Callable[[bytes], bool]) -> None:
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "wb") as copy, self.path.open("rb") as file:
                copy.writelines(line for line in file if is_kept(line))
                copy.flush()
                os.fsync(copy.fileno())
            shutil.copymode(self.path, name)
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _is_kept(line: tuple[int, bool] | None, *, retry_failed: bool) -> bool:
    return line is not None and not (retry_failed and line[1])
