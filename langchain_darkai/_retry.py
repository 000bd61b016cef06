"""When a call is sent again: after which failures, how often, and after which wait."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from langchain_darkai._limits import TimeBudget
from langchain_darkai._log import log, name_of
from langchain_darkai.errors import DarkAIError, DarkAIRateLimitError, DarkAITimeoutError
from langchain_darkai.transport import ApiCall

FIRST_DELAY = 0.5
"""The longest wait before the first retry, in seconds. The limit doubles with each retry."""

MAX_DELAY = 8.0
"""The longest wait before any retry, in seconds, if the server does not say how long to wait."""

MAX_RETRY_AFTER = 60.0
"""The longest wait before a retry, in seconds, if the server sends Retry-After. A longer one is cut to this."""


@dataclass(frozen=True)
class CallPolicy:
    """How long one call may take, and when it is sent again.

    - `budget`: the time for all attempts and the waits between them.
    - `max_retries`: how often the request is sent again after an error that may be temporary.
    - `may_restart`: whether a reply that broke off in the middle is requested again too. Only for callers that pass
      nothing on before the reply is complete.
    - `acquire_rate_limit`: awaited before each request except the first, for which LangChain has acquired the limit.
    - `is_reask`: whether to await it before the first request too, since the one of LangChain was used up before.
    """

    budget: TimeBudget
    max_retries: int = 0
    may_restart: bool = False
    acquire_rate_limit: Callable[[], Awaitable[object]] | None = None
    is_reask: bool = False


class RetryPause:
    """The time until which no call of a client may send a request, because the server asked for a pause."""

    def __init__(self) -> None:
        self._ends_at = 0.0

    def extend(self, seconds: float) -> None:
        """Let the pause last for this many seconds from now, or longer."""
        self._ends_at = max(self._ends_at, time.monotonic() + seconds)

    async def wait(self, deadline: float | None, host: str) -> None:
        """Wait until the pause is over. Raise DarkAIRateLimitError where it outlasts the deadline."""
        seconds = self._ends_at - time.monotonic()
        if seconds <= 0:
            return
        if _is_too_late(seconds, deadline):
            raise DarkAIRateLimitError(
                f"{host} wants no request for another {seconds:.1f} s, which is longer than the call may take.",
                status=429,
                retry_after=seconds,
            )
        await asyncio.sleep(seconds)


class Attempts:
    """The attempts of one call: what to wait for before each, and when to give up.

    `deadline` is a time of the running loop's clock; `host` names the server in messages, and `call` stands in the log.
    """

    def __init__(self, policy: CallPolicy, pause: RetryPause, deadline: float | None, host: str, call: ApiCall) -> None:
        self._policy = policy
        self._pause = pause
        self._deadline = deadline
        self._host = host
        self._call = call
        self._begun = 0
        self._started = time.monotonic()

    async def begin(self) -> None:
        """Wait until the next request may be sent."""
        if self._policy.acquire_rate_limit is not None and (self._begun or self._policy.is_reask):
            await self._acquire_rate_limit(self._policy.acquire_rate_limit)
        if self._policy.max_retries:
            await self._pause.wait(self._deadline, self._host)
        self._begun += 1

    async def wait_or_raise(self, error: DarkAIError) -> None:
        """Wait before the next attempt; raise the error where there will be none."""
        if not error.is_retryable or self._begun > self._policy.max_retries:
            raise self._counted(error)
        delay = delay_after(error, self._begun)
        if isinstance(error, DarkAIRateLimitError) and error.retry_after is not None:
            self._pause.extend(delay)
        if _is_too_late(delay, self._deadline):
            raise self._counted(error)
        retries = self._policy.max_retries
        log(self._call, "retry %d of %d in %.2f s, after %s", self._begun, retries, delay, name_of(error))
        await asyncio.sleep(delay)

    def _counted(self, error: DarkAIError) -> DarkAIError:
        """Return the error with the number of attempts in its message, where there was more than one."""
        if self._begun > 1:
            seconds = time.monotonic() - self._started
            error.args = (f"{error} ({self._begun} attempts in {seconds:.1f} s)",)
        return error

    async def _acquire_rate_limit(self, acquire: Callable[[], Awaitable[object]]) -> None:
        seconds = None if self._deadline is None else self._deadline - asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(acquire(), seconds)
        except asyncio.TimeoutError as error:
            raise DarkAITimeoutError(
                f"{self._host}: the call's timeout ran out while it waited for its rate limiter to try again."
            ) from error


def delay_after(error: DarkAIError, attempt: int) -> float:
    """Return the seconds to wait after the given attempt, counted from 1, has failed.

    What the server asks for counts, up to MAX_RETRY_AFTER. Otherwise the wait is random, up to a limit that doubles
    with each attempt, so that clients which failed together do not come back together ("full jitter").

    Example:
        >>> delay_after(DarkAIRateLimitError("slow down", retry_after=2.0), attempt=1)
        2.0
    """
    if error.retry_after is not None:
        return min(error.retry_after, MAX_RETRY_AFTER)
    return random.uniform(0.0, min(FIRST_DELAY * 2.0 ** min(attempt - 1, 16), MAX_DELAY))


def _is_too_late(seconds: float, deadline: float | None) -> bool:
    """Return whether a wait of this many seconds would reach the deadline."""
    return deadline is not None and asyncio.get_running_loop().time() + seconds >= deadline
