"""How long a retry waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_darkai import DarkAIAPIError, DarkAIRateLimitError
from langchain_darkai._retry import FIRST_DELAY, MAX_DELAY, MAX_RETRY_AFTER, delay_after


@pytest.mark.parametrize(
    ("retry_after", "delay"), [(0.0, 0.0), (0.1, 0.1), (MAX_RETRY_AFTER, MAX_RETRY_AFTER), (86_400.0, MAX_RETRY_AFTER)]
)
def test_the_server_says_how_long_to_wait_up_to_a_limit(retry_after: float, delay: float) -> None:
    assert delay_after(DarkAIRateLimitError("slow down", retry_after=retry_after), 1) == delay


@given(st.integers(1, 10_000))
def test_a_random_wait_grows_up_to_a_limit(attempt: int) -> None:
    limit = min(FIRST_DELAY * 2 ** min(attempt - 1, 20), MAX_DELAY)
    assert 0 <= delay_after(DarkAIAPIError("busy"), attempt) <= limit


def test_clients_that_failed_together_do_not_come_back_together() -> None:
    assert len({delay_after(DarkAIAPIError("busy"), 5) for _ in range(20)}) > 1
