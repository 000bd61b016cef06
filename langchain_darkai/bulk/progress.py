"""A batch's progress in words."""

from langchain_darkai.bulk.report import BatchReport

__all__ = ["describe", "summary"]


def describe(report: BatchReport) -> str:
    """Return how far a batch is: rows, their rate, tokens, errors, and the time that is left.

    Example:
        >>> describe(BatchReport(total=2000, answered=400, failed=100, began=0.0, ended=10.0))
        '500 of 2,000 rows, 50.0/s, 0 tokens, 100 errors, 0:30 left'
    """
    of_total = f" of {report.total:,}" if report.total is not None else ""
    tokens = report.input_tokens + report.output_tokens
    errors = report.failed + report.malformed
    text = f"{report.done:,}{of_total} rows, {report.rate:.1f}/s, {tokens:,} tokens, {_counted(errors, 'error')}"
    left = report.seconds_left
    return text if left is None else f"{text}, {_clock(left)} left"


def summary(report: BatchReport) -> str:
    """Return what a batch has done, in a sentence.

    Example:
        >>> summary(BatchReport(answered=400, skipped=3, input_tokens=7, output_tokens=9, began=0.0, ended=10.0))
        '400 rows answered, 0 failed, 0 malformed, 3 done before; 7 tokens sent and 9 received in 10.0 s.'
    """
    tokens = f"{report.input_tokens:,} tokens sent and {report.output_tokens:,} received"
    counts = f"{report.failed:,} failed, {report.malformed:,} malformed, {report.skipped:,} done before"
    return f"{_counted(report.answered, 'row')} answered, {counts}; {tokens} in {report.seconds:.1f} s."


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
