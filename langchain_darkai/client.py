"""The client of a DarkAI chat API: an endpoint's settings, calls with their retries, and the provider interface.

The provider interface is the one by which this API is known: class attributes such as `models`, and
`create_async_generator`.
"""

import functools
import inspect
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_darkai import _portal
from langchain_darkai._closable import Closable
from langchain_darkai._http.endpoint import Endpoint
from langchain_darkai._limits import ConcurrencyLimiter, TimeBudget
from langchain_darkai._log import logged
from langchain_darkai._retry import Attempts, CallPolicy, RetryPause
from langchain_darkai._threads import LazyImport
from langchain_darkai._validation import check_count, check_limit, check_seconds
from langchain_darkai.errors import DarkAIError, DarkAIInvalidRequestError
from langchain_darkai.prompts import format_prompt
from langchain_darkai.protocol import MAX_REPLY_BYTES, ReasoningText, StreamEnd, encode_request
from langchain_darkai.transport import ApiCall, Transport

if TYPE_CHECKING:
    from aiohttp import ClientSession
else:
    ClientSession = Any  # aiohttp is imported with the first call, but the annotations must resolve at any time

__all__ = ["DarkAI", "Restart"]


class Restart:
    """Marks that the reply begins again: what came before does not count."""


class _ClassOrInstanceMethod:
    """A method that gets its instance, or its class where it is called on that.

    The provider interface calls `create_async_generator` on the class. A plain class method would ignore the settings
    of an instance that it is called on, and send its prompts to the hosted service.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        functools.update_wrapper(self, function)  # type: ignore[arg-type]

    def __get__(self, instance: object, owner: type) -> Callable[..., Any]:
        return functools.partial(self.function, owner if instance is None else instance)


class DarkAI(Closable):
    """A client of one DarkAI endpoint.

    Constructing does no I/O. The connections belong to the running event loop, are shared by all clients on it, and end
    with it. All durations are in seconds.

    - `base_url`: where the API is; None for `DARKAI_BASE_URL`, else the hosted service. A trailing slash or `/chat`
      does not matter.
    - `api_key`: sent as a bearer token; None for `DARKAI_API_KEY`, else no key is sent.
    - `proxy`: an http(s) proxy URL; None for `DARKAI_PROXY`, else HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Those of the
      environment are never used for this machine (localhost, 127.0.0.1, ::1).
    - `timeout`: for a whole call, retries included; None for no limit.
    - `max_retries`: how often a request is sent again after an error that may be temporary.
    - `stream_chunk_timeout`: the idle timeout: the longest gap between events with content; None for no limit.
    - `max_reply_bytes`: the most text of one reply, in bytes of UTF-8; a longer one is an error. None for no limit.
    - `default_headers`: sent with each request, over the client's own.
    - `verify`: True, False, a CA file or folder, or an `ssl.SSLContext`.
    - `max_concurrency`: requests at once; None for no limit. Waiting for a place counts towards no timeout.
    - `session`: an aiohttp session to use instead; it is never closed here.
    - `transport`: what sends the calls; None for HTTP. `session`, `proxy`, `verify`, `default_headers`,
      `stream_chunk_timeout` and `max_reply_bytes` are settings of HTTP, and mean nothing to another transport.

    Raises DarkAIInvalidRequestError, a ValueError, for settings that cannot work.

    Example:
        >>> DarkAI(base_url="http://127.0.0.1:8000/").endpoint
        'http://127.0.0.1:8000/chat'
    """

    url: ClassVar[str] = "https://darkai.foundation/chat"
    """The hosted service."""
    api_endpoint: ClassVar[str] = "https://darkai.foundation/chat"
    """Where it takes calls."""
    working: ClassVar[bool] = False
    """Whether the hosted service answered when it was last tried."""
    supports_stream: ClassVar[bool] = True
    """Whether replies come in pieces."""
    default_model: ClassVar[str] = "llama-3-70b"
    """The model that is asked where none is named."""
    models: ClassVar[list[str]] = ["gpt-4o", "gpt-3.5-turbo", default_model]
    """The models of the hosted service."""
    model_aliases: ClassVar[dict[str, str]] = {"llama-3.1-70b": "llama-3-70b"}
    """Other names of these."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        proxy: str | None = None,
        timeout: float | None = 600.0,
        max_retries: int = 2,
        stream_chunk_timeout: float | None = 120.0,
        max_reply_bytes: int | None = MAX_REPLY_BYTES,
        default_headers: Mapping[str, str] | None = None,
        verify: "bool | str | os.PathLike[str] | ssl.SSLContext" = True,
        max_concurrency: int | None = None,
        session: ClientSession | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._endpoint = Endpoint.from_settings(
            base_url=_or_environment(base_url, "DARKAI_BASE_URL") or self.api_endpoint,
            api_key=_or_environment(api_key, "DARKAI_API_KEY"),
            proxy=_or_environment(proxy, "DARKAI_PROXY"),
            default_headers=default_headers,
            verify=verify,
        )
        self.timeout: float | None = check_seconds("timeout", timeout)
        self.max_retries: int = check_count("max_retries", max_retries)
        self.stream_chunk_timeout: float | None = check_seconds("stream_chunk_timeout", stream_chunk_timeout)
        self.max_reply_bytes: int | None = check_limit("max_reply_bytes", max_reply_bytes)
        self.session = session
        self.limiter: ConcurrencyLimiter = ConcurrencyLimiter(check_limit("max_concurrency", max_concurrency))
        self._transport = transport
        self._pause = RetryPause()

    @property
    def endpoint(self) -> str:
        """The URL that calls are sent to."""
        return self._endpoint.url

    @property
    def host(self) -> str:
        """The endpoint's host and port, by which error messages name it; or the name that a transport has."""
        return getattr(self._transport, "name", None) or self._endpoint.host

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
            >>> import asyncio
            >>> from langchain_darkai.server import LocalServer
            >>> async def ask(url):
            ...     messages = [{"role": "user", "content": "Hello"}]
            ...     return [text async for text in DarkAI.create_async_generator("gpt-4o", messages, base_url=url)]
            >>> with LocalServer() as server:
            ...     "".join(asyncio.run(ask(server.url))) != ""
            True
        """
        if isinstance(self, type):
            settings = {name: kwargs.pop(name) for name in _SETTINGS & kwargs.keys()}
            client = self(proxy=proxy, **settings)
        elif proxy is not None or _SETTINGS & kwargs.keys():
            given = ", ".join(sorted(_SETTINGS & kwargs.keys() | ({"proxy"} if proxy is not None else set())))
            raise DarkAIInvalidRequestError(
                f"{given}: an instance has its settings already; give them to its constructor."
            )
        else:
            client = self
        events = client.stream(client.call(format_prompt(messages), model, parameters=kwargs))
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
        per_event: bool = False,
        allow_empty: bool = False,
        is_whole: bool = False,
        stop: tuple[str, ...] = (),
        callbacks: Any = None,
    ) -> ApiCall:
        """Return a call, its model's alias resolved. Raise DarkAIInvalidRequestError for parameters without JSON form.

        The arguments are described at `ApiCall`.
        """
        if parameters:
            encode_request("", "", parameters)  # raises here, before anything is sent or retried
        name = self.get_model(model)
        return ApiCall(query, name, parameters or {}, per_event, allow_empty, is_whole, stop, callbacks)

    def policy(
        self,
        *,
        timeout: float | EllipsisType | None = ...,
        max_retries: int | None = None,
        may_restart: bool = False,
        acquire_rate_limit: Callable[[], Awaitable[object]] | None = None,
    ) -> CallPolicy:
        """Return how long a call may take and when it is sent again; what is not given is as in the client's settings.

        The arguments are described at `CallPolicy`; `timeout` is in seconds, None for no limit.
        """
        return CallPolicy(
            TimeBudget(self.timeout if timeout is ... else check_seconds("timeout", timeout)),
            self.max_retries if max_retries is None else check_count("max_retries", max_retries),
            may_restart,
            acquire_rate_limit,
        )

    async def stream(
        self, call: ApiCall, policy: CallPolicy | None = None
    ) -> "AsyncGenerator[str | ReasoningText | StreamEnd | Restart, None]":
        """Yield the reply's text and thoughts as they come, then its `StreamEnd`.

        A request that fails before its first text is sent again if that can help and the policy allows it. `policy` is
        None for the client's own. If a request fails later, text has been yielded already. With `may_restart`, a
        `Restart` is then yielded, and the reply begins again; otherwise the error is raised. Raises a DarkAIError.
        """
        policy = policy or self.policy()
        async with self.limiter, policy.budget as deadline:
            transport = self._transport or await self._http()
            attempts = Attempts(policy, self._pause, deadline, self.host, call)
            while True:
                await attempts.begin()
                has_begun = False
                events = logged(transport.stream(call, deadline), call, self.host)
                try:
                    async for event in events:
                        has_begun = True
                        yield event
                except DarkAIError as error:
                    if has_begun and not policy.may_restart:
                        raise
                    await attempts.wait_or_raise(error)
                else:
                    return
                finally:
                    await events.aclose()
                if has_begun:
                    yield Restart()

    async def _http(self) -> Transport:
        """Return the client's HTTP transport, made with the first call."""
        if self._transport is None:
            make = await _load_http_transport()
            self._transport = make(
                self._endpoint,
                idle_timeout=self.stream_chunk_timeout,
                max_reply_bytes=self.max_reply_bytes,
                session=self.session,
            )
        return self._transport

    async def aclose(self) -> None:
        """Close the running loop's connections, which all clients on it share; the next call makes new ones.

        They are closed when the last call that uses them has ended, whichever client made it. You do not need to call
        this: connections close with their loop. A session of the user's own stays open.
        """
        if self._transport is not None or _http_transport:
            await (self._transport or await self._http()).aclose()

    def close(self) -> None:
        """Close the connections of the synchronous calls; `aclose` closes those of the running event loop."""
        _portal.run_if_started(self.aclose)


_SETTINGS = frozenset(inspect.signature(DarkAI.__init__).parameters) - {"self", "proxy"}
"""The names of the constructor's settings, except `proxy`, which `create_async_generator` has as an argument."""


_http_transport = LazyImport("langchain_darkai._http.aiohttp_transport")
"""The HTTP transport, imported with the first call: aiohttp takes a tenth of a second to import."""


async def _load_http_transport() -> Callable[..., Transport]:
    (module,) = await _http_transport.modules()
    transport: Callable[..., Transport] = module.AiohttpTransport
    return transport


def _or_environment(value: str | None, variable: str) -> str | None:
    """Return the value that was given, or the environment variable if it is None. An empty string becomes None."""
    return (os.environ.get(variable) if value is None else value) or None
