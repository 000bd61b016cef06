"""What a batch has done so far."""

import time
from dataclasses import dataclass, field

from langchain_darkai.bulk.answers import Answer

__all__ = ["BatchReport"]


@dataclass
class BatchReport:
    """What a batch has done so far, and at its end.

    - `total`: the rows of its source; None where they are not counted yet, or cannot be.
    - `skipped`: rows that had an answer from an earlier run.
    - `answered`, `failed`: rows that this run has asked, by how they ended.
    - `malformed`: rows that cannot be asked.
    - `input_tokens`, `output_tokens`: of the answers of this run.
    - `kept_failures`: rows among the skipped that had failed.

    Example:
        >>> BatchReport(total=10, answered=3, failed=1).done
        4
    """

    total: int | None = None
    skipped: int = 0
    kept_failures: int = 0
    answered: int = 0
    failed: int = 0
    malformed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    began: float = field(default_factory=time.monotonic, repr=False)
    ended: float | None = field(default=None, repr=False)

    @property
    def done(self) -> int:
        """The rows that need nothing more."""
        return self.skipped + self.answered + self.failed + self.malformed

    @property
    def seconds(self) -> float:
        """How long the batch has run."""
        return (self.ended or time.monotonic()) - self.began

    @property
    def rate(self) -> float:
        """Rows that were asked, in a second."""
        return (self.answered + self.failed) / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take at this rate; None where that is not known."""
        return None if self.total is None or not self.rate else max(0, self.total - self.done) / self.rate

    @property
    def is_success(self) -> bool:
        """Whether every row that was read has an answer."""
        return not (self.failed or self.malformed or self.kept_failures)

    def count(self, answer: Answer) -> None:
        """Count an answer."""
        usage = answer.get("usage", {})
        self.input_tokens += usage.get("input_tokens", 0)
        self.output_tokens += usage.get("output_tokens", 0)
        if "error" in answer:
            self.failed += 1
        else:
            self.answered += 1
