"""The file of `langchain-darkai serve --config`: TOML in which each section is a class and each key a field of it.

    [server]                            how the server listens: the fields of `ServerSettings`
    host = "0.0.0.0"

    [backends]                          the models behind it by name, the default first
    small = "ollama:llama3.1"           a model: PROVIDER:MODEL[@URL]
    chat = ["big", "small"]             models that are asked in this order, until one answers

    [backends.big]                      a model with more to say of it: the fields of `BackendSettings`
    model = "openai:meta-llama/Llama-3.1-70B-Instruct"
    url = "http://gpu-1:8000/v1"

Keys are never in the file: it names the environment variables that hold them.
"""

import difflib
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_darkai._settings import Native

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["BackendSettings", "Config", "ConfigError", "ServerSettings", "read_config"]


class ConfigError(ValueError):
    """What is wrong with a configuration, in one sentence that names the file and the place."""


class _Section(BaseModel):
    """A table of the file. Its fields are the keys that it may have; each needs a default, unless it must be there."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServerSettings(_Section):
    """The table `[server]`: how the server listens. A key that is missing has the default of the command.

    Example:
        >>> ServerSettings(port=80).given()
        {'port': 80}
    """

    host: str | None = None
    """The address to listen on."""

    port: int | None = Field(default=None, ge=0, le=65535)
    """The port; 0 for a free one."""

    api_key_env: str | None = None
    """The environment variable with the key that clients must send; DARKAI_API_KEY if it is missing."""

    allowed_hosts: list[str] | None = None
    """Names by which clients may call the server."""

    cors_origins: list[str] | None = None
    """Origins of web pages that may use the server."""

    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds for a whole reply."""

    grace_period: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Seconds that running replies get to finish when the server shuts down."""

    max_query_bytes: int | None = Field(default=None, gt=0)
    """The longest request body."""

    native: Native | None = None
    """Whether tools and schemas are bound to the models that say nothing of it; None for "auto"."""

    prefill: bool | None = None
    """Whether models get the beginning of a call or of JSON."""

    page: bool | None = None
    """Whether there is a page to chat in a browser."""

    keys_file: str | None = None
    """A file of keys, as `langchain-darkai key` makes them."""

    limits_url: str | None = None
    """A Redis on which several processes count requests together."""

    metrics: bool | None = None
    """Whether `/metrics` answers."""

    log_format: str | None = None
    """"plain", "json" or "none"."""

    workers: int | None = Field(default=None, gt=0)
    """How many processes answer at the port."""

    def given(self) -> dict[str, Any]:
        """Return the keys that the file has and that are arguments of `serve`."""
        return self.model_dump(exclude_unset=True, exclude={"api_key_env", "native", *OPERATIONS})


OPERATIONS = frozenset({"keys_file", "limits_url", "metrics", "log_format", "workers"})
"""The keys of `[server]` that are options for a server that is left running."""


class BackendSettings(_Section):
    """A table `[backends.NAME]`: a model behind the server.

    Example:
        >>> BackendSettings(model="ollama:llama3.1").options
        {}
    """

    model: str
    """PROVIDER:MODEL[@URL], or "offline"."""

    url: str | None = None
    """Where the model is, if `model` does not say so; None for the provider's own place."""

    api_key_env: str | None = None
    """The environment variable with the key for the model; None for that of the provider, such as OPENAI_API_KEY."""

    native: Native | None = None
    """Whether tools and schemas are bound to the model, as `create_app` describes it; None for the command's."""

    max_concurrency: int | None = Field(default=None, gt=0)
    """How many replies it makes at once; None for no limit."""

    max_queue: int | None = Field(default=None, ge=0)
    """How many requests may wait for it; None for the default."""

    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds for a whole reply, with its wait; None for the server's."""

    max_prompt_bytes: int | None = Field(default=None, gt=0)
    """The longest request; None for the server's limit."""

    @property
    def limits(self) -> dict[str, float]:
        """The limits that the file has, as fields of `BackendLimits`."""
        names = {"max_concurrency", "max_queue", "timeout", "max_prompt_bytes"}
        return self.model_dump(include=names, exclude_none=True)

    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the model's class, such as `temperature`."""


@dataclass(frozen=True)
class Config:
    """What a file says: the server's settings, and its backends by name, each a model or the names of models to try.

    Example:
        >>> list(Config().backends)
        []
    """

    server: ServerSettings = field(default_factory=ServerSettings)
    backends: Mapping[str, BackendSettings | list[str]] = field(default_factory=dict)


def read_config(path: str | Path) -> Config:
    """Return what a file says.

    Raises ConfigError for a file that cannot be read, is not TOML, or has keys that are unknown or hold no such value.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}.") from error
    try:
        return _config(tables)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _config(tables: dict[str, Any]) -> Config:
    for name in tables:
        if name not in {"server", "backends"}:
            raise ConfigError(f"there is no section {name!r}.{_meant(name, ['server', 'backends'])}")
    backends = tables.get("backends", {})
    if not isinstance(backends, dict) or not backends:
        raise ConfigError('there is no backend. Add one: [backends] and below it name = "PROVIDER:MODEL".')
    return Config(
        server=_section(ServerSettings, tables.get("server", {}), "[server]"),
        backends={name: _backend(name, value, backends) for name, value in backends.items()},
    )


def _backend(name: str, value: Any, backends: Mapping[str, Any]) -> BackendSettings | list[str]:
    if isinstance(value, list):
        return _names(name, value, backends)
    if isinstance(value, str):
        value = {"model": value}
    return _section(BackendSettings, value, f"[backends.{name}]")


def _names(name: str, value: list[Any], backends: Mapping[str, Any]) -> list[str]:
    single = [other for other, settings in backends.items() if not isinstance(settings, list)]
    for tried in value:
        if tried not in single:
            why = "is itself a list" if tried in backends else "is not the name of a backend"
            raise ConfigError(f"backends.{name}: {tried!r} {why}.{_meant(str(tried), single)}")
    if len(value) < 2:
        raise ConfigError(
            f"backends.{name} is a list of {len(value)}; name two backends or more, to be tried in order."
        )
    return value


_Kind = TypeVar("_Kind", bound=_Section)


def _section(kind: type[_Kind], table: Any, place: str) -> _Kind:
    if not isinstance(table, dict):
        raise ConfigError(f"{place} is not a table.")
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        # Without the value: it may be a key that somebody has written into the file.
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        first = min(errors, key=lambda one: one["type"] != "extra_forbidden")  # a key that is missing may be misspelt
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{place} has no key {key!r}.{_meant(key, kind.model_fields)}") from None
        if first["type"] == "missing":
            raise ConfigError(f"{place} has no {key!r}, which it needs.") from None
        raise ConfigError(f"{place}: {key}: {first['msg']}.") from None


def _meant(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(known)}."
