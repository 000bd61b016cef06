"""A batch's progress in words."""

import pytest

from langchain_darkai.bulk import BatchReport
from langchain_darkai.bulk.progress import describe, summary


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (BatchReport(began=0.0, ended=0.0), "0 rows, 0.0/s, 0 tokens, 0 errors"),
        (BatchReport(total=9, began=0.0, ended=5.0), "0 of 9 rows, 0.0/s, 0 tokens, 0 errors"),
        (BatchReport(answered=5, malformed=1, began=0.0, ended=10.0), "6 rows, 0.5/s, 0 tokens, 1 error"),
        (
            BatchReport(total=1_000_000, skipped=900_000, answered=10_000, output_tokens=5000, began=0.0, ended=1000.0),
            "910,000 of 1,000,000 rows, 10.0/s, 5,000 tokens, 0 errors, 2:30:00 left",
        ),
        (
            BatchReport(total=5, answered=6, began=0.0, ended=1.0),
            "6 of 5 rows, 6.0/s, 0 tokens, 0 errors, 0:00 left",
        ),
    ],
)
def test_what_is_not_known_is_not_said(report: BatchReport, words: str) -> None:
    assert describe(report) == words


def test_one_row_is_no_rows() -> None:
    assert summary(BatchReport(answered=1, began=0.0, ended=1.0)).startswith("1 row answered, 0 failed")
