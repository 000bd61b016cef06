"""The settings of ChatDarkAI: its fields, and how they are validated, copied, pickled, serialized and closed.

A base class of `ChatDarkAI`, so that the chat model itself can be read in a few screens.
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit, urlunsplit

from langchain_core.language_models import BaseChatModel, ModelProfile
from langchain_core.utils.utils import from_env, secret_from_env
from pydantic import ConfigDict, Field, SecretStr, ValidationInfo, field_serializer, field_validator, model_validator
from typing_extensions import Self

from langchain_darkai._closable import Closable
from langchain_darkai._validation import (
    check_count,
    check_model,
    check_model_kwargs,
    check_stop,
    check_url_text,
    refuse_unknown,
)
from langchain_darkai._version import __version__
from langchain_darkai.client import DarkAI
from langchain_darkai.prompts import OnUnsupported
from langchain_darkai.protocol import MAX_REPLY_BYTES
from langchain_darkai.transport import Transport

Native = Literal["auto", "always", "never", "schema"]
"""What a model behind does by its own means: tools and schemas are bound to it, as far as it takes them, or asked for
in the prompt's words."""


class ChatSettings(Closable, BaseChatModel):
    """The fields of `ChatDarkAI`, and the client that is made from them."""

    # Models are made of ChatDarkAI only. So pydantic need not build validators for this class and those between.
    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", hide_input_in_errors=True, protected_namespaces=(), defer_build=True
    )

    model: str = DarkAI.default_model
    """The model's name. Aliases are resolved; unknown names are sent as they are."""

    base_url: str | None = Field(default_factory=from_env("DARKAI_BASE_URL", default=None))
    """Where the API is; None for the hosted service. Default: the environment variable `DARKAI_BASE_URL`."""

    api_key: SecretStr | str | None = Field(default_factory=secret_from_env("DARKAI_API_KEY", default=None))
    """Sent as a bearer token; None for no key. Default: the environment variable `DARKAI_API_KEY`."""

    temperature: float | None = None
    """The sampling temperature; None sends none. The server may ignore it."""

    max_tokens: int | None = Field(default=None, gt=0)
    """The most tokens of a reply; None sends no limit. The server may ignore it."""

    stop: list[str] | str | None = None
    """A reply ends before the first of these texts, whatever the server does. A call's own `stop` replaces them."""

    timeout: float | None = 600.0
    """Seconds for a whole call, retries included; None for no limit."""

    stream_chunk_timeout: float | None = 120.0
    """The idle timeout: the longest gap, in seconds, between events with content; None for no limit."""

    max_reply_bytes: int | None = MAX_REPLY_BYTES
    """The most text of one reply, in bytes of UTF-8; a longer one is an error. None for no limit."""

    max_retries: int = 2
    """How often a request is retried after an error that may be temporary; a stream only before its first text."""

    max_reasks: int = 1
    """How often the model is asked again after a wrong tool call or an invalid structured answer."""

    max_concurrency: int | None = None
    """How many requests this object makes at once, over all threads and loops; None for no limit. Waiting for a free
    place counts towards no timeout. A copy has a count of its own, and so has what `configurable_fields` makes."""

    proxy: str | None = Field(default_factory=from_env("DARKAI_PROXY", default=None), repr=False, exclude=True)
    """An http(s) proxy URL; None for HTTP(S)_PROXY and NO_PROXY, which are never used for this machine. Default: the
    environment variable `DARKAI_PROXY`."""

    default_headers: Mapping[str, str] | None = Field(default=None, repr=False, exclude=True)
    """Headers sent with each request. They replace the package's own, and are never serialized."""

    verify: bool | str | os.PathLike[str] | ssl.SSLContext = Field(default=True, repr=False, exclude=True)
    """TLS verification: True, False, a CA file or folder, or a context. A model with a context cannot be pickled."""

    transport: Transport | None = Field(default=None, repr=False, exclude=True)
    """What sends the calls, for tests and for models that need no HTTP; None for HTTP. Never serialized."""

    within: BaseChatModel | None = Field(default=None, repr=False)
    """The model in the same process that answers, as `ChatDarkAI.over` sets it; None for the endpoint."""

    native: Native = "auto"
    """Which of tools and schemas the model within takes natively; it means nothing without one. "auto" binds them where
    the model takes them, "always" also where its profile says that it does not, "never" asks in words. "schema" asks
    for required calls and for answers by their JSON Schema, for engines that constrain JSON but do not call."""

    reasoning: bool | None = None
    """What becomes of thoughts, which models write in `<think>` and the like. None leaves them in the text. True takes
    them out of it, into `additional_kwargs["reasoning_content"]`. False drops them. Thoughts that a server sends beside
    the text are in `reasoning_content`, unless this is False."""

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further members of the request's JSON body."""

    streaming: bool = False
    """Whether `invoke` streams, too, for callbacks that want tokens. An explicit False turns `stream` off."""

    chunk_per_event: bool = False
    """Whether each text event is a chunk of its own. Otherwise all text of one network read is one chunk."""

    on_unsupported: OnUnsupported = None
    """What becomes of images, files and other blocks that are no text: "error" refuses them, "describe" puts a text in
    their place that names type, name and size. None describes those of tools and models, and refuses the others."""

    allow_empty: bool = False
    """Whether a complete reply without any content is an answer. Otherwise it is retried, then an error."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_arguments(cls, values: Any) -> Any:
        if isinstance(values, dict):
            refuse_unknown(values, tuple(cls.model_fields), "ChatDarkAI")
        return values

    if not TYPE_CHECKING:  # type checkers know the fields

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            if args:
                raise TypeError('ChatDarkAI takes keyword arguments only: write ChatDarkAI(model="gpt-4o").')
            super().__init__(**kwargs)

    @field_validator("base_url", "proxy", mode="before")
    @classmethod
    def _check_url_text(cls, value: Any, info: ValidationInfo) -> str | None:
        return None if value is None else check_url_text(str(info.field_name), value)

    @field_validator("api_key", mode="after")
    @classmethod
    def _hide_api_key(cls, value: SecretStr | str | None) -> SecretStr | None:
        return SecretStr(value) if isinstance(value, str) else value

    @field_validator("model", mode="after")
    @classmethod
    def _check_model(cls, value: str) -> str:
        return check_model(value, DarkAI.models)

    @field_validator("stop", mode="after")
    @classmethod
    def _check_stop(cls, value: list[str] | str | None) -> list[str] | None:
        return None if value is None else list(check_stop(value))

    @field_validator("model_kwargs", mode="after")
    @classmethod
    def _check_model_kwargs(cls, value: dict[str, Any]) -> dict[str, Any]:
        return check_model_kwargs(value)

    @model_validator(mode="after")
    def _check_profile_keys(self) -> Self:
        # Core evaluates the annotations of ModelProfile each time, which takes a third of the construction.
        is_known = self.profile is None or self.profile.keys() <= ModelProfile.__annotations__.keys()
        return self if is_known else super()._check_profile_keys()  # type: ignore[operator] # pydantic makes a method of it

    @model_validator(mode="after")
    def _record_darkai_version(self) -> Self:
        self._add_version("langchain-darkai", __version__)
        return self

    @model_validator(mode="after")
    def _check_client_settings(self) -> Self:
        # The client is made here and not with the first call, when two threads could each make one: they would not
        # share `max_concurrency`. This validator is the last one, since assigning to a field drops the client.
        _ = self._client
        check_count("max_reasks", self.max_reasks)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, SecretStr(value) if name == "api_key" and isinstance(value, str) else value)
        self._drop_caches()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, with `update`'s values where it is given."""
        copied = super().model_copy(deep=deep)
        copied._drop_caches()  # noqa: SLF001 - a model of this class
        for name, value in (update or {}).items():
            setattr(copied, name, value)
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        memo = {} if memo is None else memo
        # A TLS context cannot be copied; a transport holds connections, and so may a model.
        for shared in (self.verify, self.transport, self.within):
            if not isinstance(shared, bool | str | None):
                memo[id(shared)] = shared
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {
            **state,
            "__dict__": {k: v for k, v in state["__dict__"].items() if k not in ("_client", "_serialized")},
        }

    def _drop_caches(self) -> None:
        """Drop what is derived from the fields: the client, and core's serialization, which is the cache's key."""
        for name in ("_client", "_serialized"):
            vars(self).pop(name, None)

    @cached_property
    def _client(self) -> DarkAI:
        key = self.api_key.get_secret_value() if isinstance(self.api_key, SecretStr) else self.api_key
        return DarkAI(
            # "" and not None: for None, the client would read the environment, which the fields have done already.
            base_url=self.base_url or "",
            api_key=key or "",
            proxy=self.proxy or "",
            timeout=self.timeout,
            max_retries=self.max_retries,
            stream_chunk_timeout=self.stream_chunk_timeout,
            max_reply_bytes=self.max_reply_bytes,
            default_headers=self.default_headers,
            verify=self.verify,
            max_concurrency=self.max_concurrency,
            transport=self._own_transport(),
        )

    def _own_transport(self) -> Transport | None:
        """Return what sends the calls; None for HTTP."""
        return self.transport

    async def aclose(self) -> None:
        """Close the running loop's connections; not needed, since they end with their loop. The model stays usable."""
        await self._client.aclose()

    def close(self) -> None:
        """Close the connections of the synchronous calls; not needed, since they end with the process."""
        self._client.close()

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The constructor's secrets, and the environment variables that hold them when a model is loaded."""
        return {"api_key": "DARKAI_API_KEY"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """What a dump says instead of a field: the base URL without user, password and query."""
        return {"base_url": without_credentials(self.base_url)} if self.base_url else {}

    @field_serializer("base_url")
    def _dump_base_url(self, value: str | None) -> str | None:
        return value and without_credentials(value)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, without_credentials(value) if name == "base_url" and value else value

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: a model can be dumped and loaded, its key by reference only."""
        return True


def without_credentials(url: str) -> str:
    """Return a URL without its user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
