"""The client of a DarkAI chat API: settings, retries, and the provider interface by which the API is known."""

import asyncio
import difflib
import functools
import importlib
import os
import ssl
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from typing_extensions import Self

from langchain_darkai import _portal
from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai._limits import ConcurrencyLimiter
from langchain_darkai.errors import DarkAIError, DarkAIInvalidRequestError, DarkAIRateLimitError, DarkAITimeoutError
from langchain_darkai.prompts import format_prompt
from langchain_darkai.protocol import StreamEnd, encode_request
from langchain_darkai.transport import ApiCall

if TYPE_CHECKING:
    from types import EllipsisType

    import aiohttp
    from tenacity import RetryCallState

T = TypeVar("T")
Events = AsyncGenerator[str | StreamEnd, None]

MAX_RETRY_AFTER = 60.0
"""The longest wait, in seconds, that a Retry-After header can ask for; nobody waits an hour inside a call."""

USER_AGENT = "langchain-darkai"


@dataclass(frozen=True)
class Call:
    """One call of the API.

    `timeout` is in seconds for the whole call, retries included; None for no limit. `per_event` yields each text
    event by itself instead of one piece a network read. `allow_empty` takes a complete reply without text for an
    answer. `before_retry` is awaited, for a rate limiter, before each request but the first; before that, too, where
    `is_retry` says that the caller has asked already.
    """

    query: str
    model: str
    parameters: Mapping[str, Any]
    timeout: float | None = None
    max_retries: int = 0
    per_event: bool = False
    allow_empty: bool = False
    before_retry: Callable[[], Awaitable[object]] | None = None
    is_retry: bool = False


class TimeBudget:
    """The seconds that are left for one call or more, which spend them while they hold a place; None for no limit.

    Example:
        >>> async def spend(limit):
        ...     async with limit:
        ...         await asyncio.sleep(0.01)
        ...     return limit.left < 5
        >>> asyncio.run(spend(TimeBudget(5.0)))
        True
    """

    def __init__(self, seconds: float | None) -> None:
        self.left = seconds

    async def __aenter__(self) -> float | None:
        """Return the deadline, a time of the running loop's clock."""
        self._entered = time.monotonic()
        return None if self.left is None else asyncio.get_running_loop().time() + self.left

    async def __aexit__(self, *_: object) -> None:
        if self.left is not None:
            self.left -= time.monotonic() - self._entered


class _ClassOrInstanceMethod:
    """A method that gets its instance, or its class where it is called on that."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        functools.update_wrapper(self, function)  # type: ignore[arg-type]

    def __get__(self, instance: object, owner: type) -> Callable[..., Any]:
        return functools.partial(self.function, owner if instance is None else instance)


class DarkAI:
    """A client of one DarkAI endpoint.

    Constructing does no I/O. The connections belong to the running event loop, are shared by all clients on it, and end
    with it. All durations are in seconds.

    - `base_url`: where the API is; None for `DARKAI_BASE_URL`, else the hosted service. A trailing slash or `/chat`
      does not matter.
    - `api_key`: sent as a bearer token; None for `DARKAI_API_KEY`, else no key is sent.
    - `proxy`: an http(s) proxy URL; None for `DARKAI_PROXY`, else HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
    - `timeout`: for a whole call, retries included; None for no limit.
    - `max_retries`: further requests after one that failed in a way that may pass.
    - `stream_chunk_timeout`: the longest gap between events with content; None for no limit.
    - `default_headers`: sent with each request, over the client's own.
    - `verify`: True, False, a CA file or folder, or an `ssl.SSLContext`.
    - `max_concurrency`: requests at once; None for no limit. Waiting for a place counts towards no timeout.
    - `session`: an aiohttp session to use instead; it is never closed here.

    Raises DarkAIInvalidRequestError, a ValueError, for settings that cannot work.

    Example:
        >>> DarkAI(base_url="http://127.0.0.1:8000/").endpoint
        'http://127.0.0.1:8000/chat'
    """

    url: ClassVar[str] = "https://darkai.foundation/chat"
    api_endpoint: ClassVar[str] = "https://darkai.foundation/chat"
    working: ClassVar[bool] = False
    supports_stream: ClassVar[bool] = True
    default_model: ClassVar[str] = "llama-3-70b"
    models: ClassVar[list[str]] = ["gpt-4o", "gpt-3.5-turbo", default_model]
    model_aliases: ClassVar[dict[str, str]] = {"llama-3.1-70b": "llama-3-70b"}

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        proxy: str | None = None,
        timeout: float | None = 600.0,
        max_retries: int = 2,
        stream_chunk_timeout: float | None = 120.0,
        default_headers: Mapping[str, str] | None = None,
        verify: "bool | str | os.PathLike[str] | ssl.SSLContext" = True,
        max_concurrency: int | None = None,
        session: "aiohttp.ClientSession | None" = None,
    ) -> None:
        self._target = Endpoint.from_settings(
            base_url=_or_environment(base_url, "DARKAI_BASE_URL") or self.api_endpoint,
            api_key=_or_environment(api_key, "DARKAI_API_KEY"),
            proxy=_or_environment(proxy, "DARKAI_PROXY"),
            default_headers=default_headers,
            verify=verify,
        )
        self.endpoint = self._target.url
        self.host = self._target.host
        self.proxy = self._target.proxy
        self.headers = self._target.headers
        self.verify = self._target.verify
        self.timeout = check_seconds("timeout", timeout)
        self.max_retries = check_count("max_retries", max_retries)
        self.stream_chunk_timeout = check_seconds("stream_chunk_timeout", stream_chunk_timeout)
        self._resume_at = 0.0
        self.session = session
        self.slots = ConcurrencyLimiter(
            None if max_concurrency is None else check_count("max_concurrency", max_concurrency, least=1)
        )

    @classmethod
    def get_model(cls, model: str | None = None) -> str:
        """Return the name to send for a model: aliases resolved, None and "" the default, others as they are.

        Example:
            >>> DarkAI.get_model("llama-3.1-70b")
            'llama-3-70b'
        """
        return cls.model_aliases.get(model, model) if model else cls.default_model

    @_ClassOrInstanceMethod
    async def create_async_generator(
        self, model: str | None, messages: Sequence[Any], proxy: str | None = None, **kwargs: Any
    ) -> AsyncIterator[str]:
        """Yield the text of a reply as it comes: the interface of the API's known providers.

        `messages` are `{"role": ..., "content": ...}` dicts or LangChain messages. Called on the class, `proxy` and the
        keywords that the constructor knows are its settings; called on an instance, the instance's are used. All other
        keywords are parameters of the request's body.

        Example:
            >>> from langchain_darkai.server import LocalServer
            >>> async def ask(url):
            ...     messages = [{"role": "user", "content": "Hello"}]
            ...     return [text async for text in DarkAI.create_async_generator("gpt-4o", messages, base_url=url)]
            >>> with LocalServer() as server:
            ...     "".join(asyncio.run(ask(server.url))) != ""
            True
        """
        if isinstance(self, type):
            settings = {name: kwargs.pop(name) for name in SETTINGS & kwargs.keys()}
            client = self(proxy=proxy, **settings)
        elif proxy is not None or SETTINGS & kwargs.keys():
            given = ", ".join(sorted(SETTINGS & kwargs.keys() | ({"proxy"} if proxy is not None else set())))
            raise DarkAIInvalidRequestError(
                f"{given}: an instance has its settings already; give them to its constructor."
            )
        else:
            client = self
        call = client.call(format_prompt(messages), model, parameters=kwargs)
        events = client.stream(call)
        try:
            async for event in events:
                if isinstance(event, str):
                    yield event
        finally:
            await events.aclose()

    def call(
        self,
        query: str,
        model: str | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        timeout: "float | EllipsisType | None" = ...,
        max_retries: int | None = None,
        per_event: bool = False,
        allow_empty: bool = False,
        before_retry: Callable[[], Awaitable[object]] | None = None,
    ) -> Call:
        """Return a call, checked before anything is sent; what is not given is as in this client's settings."""
        name = self.get_model(model)
        encode_request(query, name, parameters)
        return Call(
            query=query,
            model=name,
            parameters=dict(parameters or {}),
            timeout=self.timeout if timeout is ... else check_seconds("timeout", timeout),
            max_retries=self.max_retries if max_retries is None else check_count("max_retries", max_retries),
            per_event=per_event,
            allow_empty=allow_empty,
            before_retry=before_retry,
        )

    async def stream(self, call: Call, limit: TimeBudget | None = None) -> Events:
        """Yield the reply's text as it comes, then its `StreamEnd`.

        A request that fails before the first of these is tried again where that can help; later, what was handed over
        cannot be taken back. `limit` is shared with other calls; None for the call's own timeout. Raises a DarkAIError.
        """
        async with self.slots, limit or TimeBudget(call.timeout) as deadline:

            async def begin() -> tuple[Events, str | StreamEnd]:
                events = await self._post(call, deadline)
                try:
                    return events, await anext(events)
                except BaseException:
                    await events.aclose()
                    raise

            events, first = await self._with_retries(call, deadline, begin)
            try:
                yield first
                async for event in events:
                    yield event
            finally:
                await events.aclose()

    async def read(self, call: Call, reader: Callable[[Events], Awaitable[T]], limit: TimeBudget | None = None) -> T:
        """Return what `reader` makes of the whole reply, which it may leave early.

        Nothing is handed over before the end, so a reply that breaks in the middle is asked for again, too. `limit` is
        as in `stream`.
        """
        async with self.slots, limit or TimeBudget(call.timeout) as deadline:

            async def attempt() -> T:
                events = await self._post(call, deadline)
                try:
                    return await reader(events)
                finally:
                    await events.aclose()

            return await self._with_retries(call, deadline, attempt)

    async def _post(self, call: Call, deadline: float | None) -> Events:
        """Return the events of one request, which is sent when the first is asked for."""
        http = await _http()
        if call.max_retries:
            await self._wait_out_pause(call, deadline)
        transport = http.AiohttpTransport(self._target, idle_timeout=self.stream_chunk_timeout, session=self.session)
        events: Events = transport.stream(
            ApiCall(call.query, call.model, call.parameters, call.per_event, call.allow_empty), deadline
        )
        return events

    async def _wait_out_pause(self, call: Call, deadline: float | None) -> None:
        """Wait until the time before which the server wants no request, from any call of this client."""
        pause = self._resume_at - time.monotonic()
        if pause > 0:
            if deadline is not None and asyncio.get_running_loop().time() + pause >= deadline:
                raise DarkAIRateLimitError(
                    f"{self.host} wants no request for another {pause:.1f} s, which is longer than the call may take.",
                    status=429,
                    retry_after=pause,
                )
            await asyncio.sleep(pause)

    async def _with_retries(self, call: Call, deadline: float | None, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return the attempt's result, tried again while its error says that this can help and the deadline allows."""
        started = time.monotonic()
        if call.is_retry:
            await self._wait_to_retry(call, deadline)
        try:
            return await attempt()
        except DarkAIError as error:
            if not (error.is_retryable and call.max_retries):
                raise
            failure = error
        import tenacity  # not for each call: most succeed at once

        attempts = 0
        backoff = tenacity.wait_random_exponential(multiplier=0.5, max=8)

        async def counted() -> T:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                raise failure
            await self._wait_to_retry(call, deadline)
            return await attempt()

        def wait(state: "RetryCallState") -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, DarkAIError) else None
            if asked is None:
                return float(backoff(state))
            seconds = min(asked, MAX_RETRY_AFTER)
            if isinstance(error, DarkAIRateLimitError) and state.attempt_number <= call.max_retries:
                self._resume_at = max(self._resume_at, time.monotonic() + seconds)
            return seconds

        def stop(state: "RetryCallState") -> bool:
            late = deadline is not None and asyncio.get_running_loop().time() + state.upcoming_sleep >= deadline
            return late or state.attempt_number > call.max_retries

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, DarkAIError) and error.is_retryable),
            stop=stop,
            wait=wait,
            reraise=True,
        )
        try:
            return await retrying(counted)
        except DarkAIError as error:
            error.__context__ = None  # Python 3.10 sets it to what tenacity caught
            if attempts > 1:
                error.args = (f"{error} ({attempts} attempts in {time.monotonic() - started:.1f} s)",)
            raise

    async def _wait_to_retry(self, call: Call, deadline: float | None) -> None:
        """Wait for the rate limiter, no longer than the call may take."""
        if call.before_retry is None:
            return
        try:
            await asyncio.wait_for(call.before_retry(), deadline and deadline - asyncio.get_running_loop().time())
        except asyncio.TimeoutError as error:
            raise DarkAITimeoutError(
                f"{self.host}: the call's timeout ran out while it waited for its rate limiter to try again."
            ) from error

    async def aclose(self) -> None:
        """Close the running loop's connections, which all clients on it share; the next call makes new ones.

        Those in use, by whichever client, are closed when the last of their calls has ended. Nothing needs to be closed
        by hand: connections end with their loop. A session of the user's own stays open.
        """
        for http in _loaded:
            await http.close_shared_session()

    def close(self) -> None:
        """Close the connections of the synchronous calls, as `aclose` does those of a loop."""
        _portal.run_if_started(self.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


SETTINGS = frozenset(DarkAI.__init__.__kwdefaults__ or ()) - {"proxy"}
"""The names of the constructor's settings, but for the one that `create_async_generator` names itself."""


_loaded: list[Any] = []


async def _http() -> Any:
    """Return the module that knows aiohttp, loaded with the first call, and beside the loop: it takes a while."""
    if not _loaded:  # not sys.modules, where a module stands before it is whole
        load = functools.partial(importlib.import_module, "langchain_darkai._http.aiohttp_transport")
        if threading.main_thread().is_alive():
            with ThreadPoolExecutor(1) as own:  # the threads of the loop's executor may all be waiting for this call
                _loaded.append(await asyncio.get_running_loop().run_in_executor(own, load))
        else:
            _loaded.append(load())  # at the exit, when no thread can be had any more
    return _loaded[0]


def check_seconds(name: str, value: Any) -> float | None:
    """Return a duration, None for no limit; DarkAIInvalidRequestError for what is no positive number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise DarkAIInvalidRequestError(f"{name}={value!r} is not a positive number of seconds. Use None for no limit.")
    return float(value)


def check_count(name: str, value: Any, least: int = 0) -> int:
    """Return a whole number, refusing one below `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DarkAIInvalidRequestError(f"{name}={value!r} is not a whole number of {least} or more.")
    return value


def refuse_unknown(names: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Raise DarkAIInvalidRequestError for a name that is not known, with the nearest one that is."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise DarkAIInvalidRequestError(
                f"{what} has no argument {name!r}.{meant} Further parameters of the request go into model_kwargs."
            )


def _or_environment(value: str | None, variable: str) -> str | None:
    """Return a setting, None for an empty one; the environment counts only where nothing was given."""
    return (os.environ.get(variable) if value is None else value) or None
