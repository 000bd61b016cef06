"""The models behind `langchain-darkai serve`: from `[NAME=]PROVIDER:MODEL[@URL]` to a LangChain chat model.

A model that cannot be made is a BackendError whose sentence names what is missing: the package, the variable, the file.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError
from yarl import URL

from langchain_darkai._settings import Native
from langchain_darkai._text import one_line
from langchain_darkai.offline.model import OfflineChatModel
from langchain_darkai.server.config import BackendSettings, Config, ServerSettings
from langchain_darkai.server.fallback import FallbackChatModel

__all__ = ["BackendError", "BackendSpec", "Plan", "parse_backend"]

_OFFLINE = "offline"
_LLAMA_CPP = "llama.cpp"
_URL = re.compile(r"@(?=https?://)")
_ADDRESS = re.compile(r"@[\w.-]+:\d+(/\S*)?$")


class BackendError(ValueError):
    """A model that cannot be made, or cannot be named so, in one sentence that says what to do."""


@dataclass(frozen=True)
class BackendSpec:
    """A model behind the server, as it is named.

    Example:
        >>> BackendSpec(name="llama3.1", provider="ollama", model="llama3.1").where
        'ollama:llama3.1'
    """

    name: str
    """What clients ask for."""

    provider: str
    """As LangChain's `init_chat_model` names it, or "llama.cpp", or "offline"."""

    model: str
    """The model's name there, or the file of its weights; "" for the offline model."""

    url: str | None = None
    """Where it is; None for the provider's own place."""

    is_named: bool = False
    """Whether somebody chose the name. Otherwise it is the model's own."""

    @property
    def where(self) -> str:
        """What is served, and from where, without a password or a key that the URL may hold."""
        place = f" at {URL(self.url).with_user(None).with_query(None)}" if self.url else ""
        return f"{self.provider}:{self.model}{place}" if self.model else f"the {self.provider} model"


def parse_backend(text: str) -> BackendSpec:
    """Return what `[NAME=]PROVIDER:MODEL[@URL]` names, or `[NAME=]offline`.

    A NAME has no colon. A model's name may hold colons, slashes and at signs: its URL begins after the first `@` that
    `http://` or `https://` follows.

    Raises BackendError for anything else.

    Example:
        >>> parse_backend("big=openai:meta/llama-3@http://gpu-1:8000/v1")
        BackendSpec(name='big', provider='openai', model='meta/llama-3', url='http://gpu-1:8000/v1', is_named=True)
        >>> parse_backend("ollama:llama3.1:8b").name
        'llama3.1:8b'
    """
    name, equals, rest = text.partition("=")
    if not equals or ":" in name:
        name, rest = "", text
    elif not name.strip():
        raise BackendError(f"The backend {_shown(text)} has no name before its '='. Write NAME=PROVIDER:MODEL.")
    named, *urls = _URL.split(rest, maxsplit=1)
    url = _checked_url(urls[0], text) if urls else None
    if named == _OFFLINE and url is None:
        return BackendSpec(name or _OFFLINE, _OFFLINE, "", is_named=bool(name))
    provider, _, model = named.partition(":")
    if not provider.strip() or not model.strip() or model.startswith("//"):
        raise BackendError(
            f"The backend {_shown(text)} is not PROVIDER:MODEL, such as ollama:llama3.1, openai:MODEL@http://HOST/v1, "
            "llama.cpp:FILE.gguf or offline."
        )
    if url is None and _ADDRESS.search(model):
        raise BackendError(
            f"The backend {text.partition('@')[0]!r} has an address without http:// after its @. Write "
            "@http://HOST:PORT."
        )
    if provider in {"llama-cpp", "llama_cpp"}:
        provider = _LLAMA_CPP
    own_name = Path(model).stem if provider == _LLAMA_CPP else model
    return BackendSpec(name or own_name, provider, model, url, is_named=bool(name))


@dataclass(frozen=True)
class Plan:
    """What is to be served: the backends of a configuration, and further ones. Without any it is the offline model.

    Raises BackendError for two of the same name, and for a backend of the configuration that is none.

    Example:
        >>> Plan(Config(), [parse_backend("big=ollama:llama3.1"), parse_backend("offline")]).names
        'big and offline'
    """

    config: Config
    specs: Sequence[BackendSpec] = ()

    def __post_init__(self) -> None:
        names = [*self.config.backends, *(spec.name for spec in self.specs)]
        for name in names:
            if names.count(name) > 1:
                raise BackendError(f"Two backends are called {name!r}. Give one another name: NAME=PROVIDER:MODEL.")
        for name, settings in self.config.backends.items():
            if isinstance(settings, BackendSettings):
                _spec_of(name, settings)

    @property
    def server(self) -> ServerSettings:
        """The settings of the server in the configuration."""
        return self.config.server

    def api_key(self) -> str | None:
        """Return the key that clients must send, from its variable. Raises BackendError where it should be set."""
        variable = self.server.api_key_env
        key = os.environ.get(variable or "DARKAI_API_KEY")
        if variable and not key:
            raise BackendError(f"The configuration names the variable {variable} for the key of clients. Set it.")
        return key

    @property
    def by_name(self) -> list[str]:
        """The names by which clients ask for the models; none where a single one answers to every name."""
        if not self.config.backends and len(self.specs) == 1 and not self.specs[0].is_named:
            return []
        return [*self.config.backends, *(spec.name for spec in self.specs)]

    @property
    def only_name(self) -> str | None:
        """The name of the single model that answers to every name; None where there are names."""
        return None if self.by_name else self.specs[0].name if self.specs else _OFFLINE

    @property
    def natives(self) -> dict[str, Native]:
        """How the models are asked of which the configuration says it."""
        made = self.config.backends.items()
        return {name: one.native for name, one in made if isinstance(one, BackendSettings) and one.native}

    @property
    def single_names(self) -> list[str]:
        """Those of `by_name` that are one model each, and no list of others."""
        return [name for name in self.by_name if not isinstance(self.config.backends.get(name), list)]

    @property
    def names(self) -> str:
        """The names of the backends, for people; the first is the default."""
        *others, last = [*self.config.backends, *(spec.name for spec in self.specs)] or ["the offline model"]
        return f"{', '.join(others)} and {last}" if others else last

    def lines(self) -> Iterator[str]:
        """Say of each backend what it is, in a line, and which variable holds its key."""
        for name, settings in self.config.backends.items():
            if isinstance(settings, BackendSettings):
                variable = settings.api_key_env
                yield f"{name}: {_spec_of(name, settings).where}{f', with the key in {variable}' if variable else ''}"
            else:
                yield f"{name}: {', else '.join(settings)}"
        specs = self.specs if self.specs or self.config.backends else [parse_backend(_OFFLINE)]
        yield from (f"{spec.name}: {spec.where}" for spec in specs)

    def stand_ins(self) -> BaseChatModel | dict[str, BaseChatModel]:
        """Return a model in place of each that `make` returns: the offline one as it is, and one with tools for others.

        They need no key, package or file.
        """
        settings = {name: one for name, one in self.config.backends.items() if isinstance(one, BackendSettings)}
        specs = [*(_spec_of(name, one) for name, one in settings.items()), *self.specs]
        offline = {spec.name for spec in specs if spec.provider == _OFFLINE}
        if not self.by_name:
            return OfflineChatModel() if not specs or offline else FallbackChatModel()
        return {name: OfflineChatModel() if name in offline else FallbackChatModel() for name in self.by_name}

    def make(self) -> BaseChatModel | dict[str, BaseChatModel]:
        """Return the models by name, the default first. A single one whose name nobody chose answers to every name.

        Raises BackendError for a model that cannot be made.
        """
        if not self.by_name:
            return _made(self.specs[0]) if self.specs else OfflineChatModel()
        models = {
            name: _made(_spec_of(name, settings), settings)
            for name, settings in self.config.backends.items()
            if isinstance(settings, BackendSettings)
        }
        named: dict[str, BaseChatModel] = {
            name: FallbackChatModel(name=name, models={other: models[other] for other in made})
            if isinstance(made, list)
            else models[name]
            for name, made in self.config.backends.items()
        }
        return named | {spec.name: _made(spec) for spec in self.specs}


def _spec_of(name: str, settings: BackendSettings) -> BackendSpec:
    """Return the spec of a backend of a configuration. Raises BackendError where it cannot be one."""
    spec = replace(parse_backend(settings.model), name=name, is_named=True)
    if settings.url is None:
        return spec
    if spec.url is not None:
        raise BackendError(f"The backend {name!r} has two URLs: one after the @ of its model, one as its url.")
    return replace(spec, url=_checked_url(settings.url, name))


def _checked_url(text: str, backend: str) -> str:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise BackendError(f"The URL of the backend {_shown(backend)} is not one like http://gpu-1:8000/v1.")
    return text


def _shown(text: str) -> str:
    return repr(re.sub(r"//[^/@\s]*@", "//***@", text))  # a password of the URL


def _made(spec: BackendSpec, settings: BackendSettings | None = None) -> BaseChatModel:
    variable = settings.api_key_env if settings else None
    key = os.environ.get(variable) if variable else None
    if variable and not key:
        raise BackendError(f"The backend {spec.name!r} needs its key in the variable {variable}, which is not set.")
    make = _MAKERS.get(spec.provider, _by_name)
    try:
        return make(spec, key, settings.options if settings else {})
    except BackendError:
        raise
    except ImportError as error:
        raise BackendError(f"The backend {spec.name!r} cannot be made: {_missing(spec, error)}") from error
    except Exception as error:
        # Providers raise what they like for a missing key: openai.OpenAIError, ValueError, errors of pydantic.
        raise BackendError(f"The backend {spec.name!r} ({spec.where}) cannot be made: {_reason(error)}") from error


def _missing(spec: BackendSpec, error: ImportError) -> str:
    extra = {"openai": "openai", "ollama": "ollama", _LLAMA_CPP: "llama-cpp"}.get(spec.provider)
    if extra is None:
        return _reason(error)
    return f"{error.name or extra} is not installed. Run: pip install 'langchain-darkai[{extra}]'"


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):  # without the values, of which one may be a key
        return one_line(" ".join(item["msg"].removeprefix("Value error, ") for item in error.errors()))
    return one_line(str(error)) or type(error).__name__


def _openai(spec: BackendSpec, key: str | None, options: dict[str, Any]) -> BaseChatModel:
    from langchain_openai import ChatOpenAI

    from langchain_darkai._gateway.reasoning_openai import ReasoningChatOpenAI

    given: dict[str, Any] = {"model": spec.model, "max_retries": 0}  # the client tries again, or a fallback is asked
    if spec.url is not None:
        # What speaks OpenAI's protocol speaks this part of it. Usage is asked for: by itself it comes from OpenAI only.
        given |= {"base_url": spec.url, "use_responses_api": False, "stream_usage": True}
        key = key or os.environ.get("OPENAI_API_KEY") or "none"  # the class asks for one, most servers do not
    kind = ChatOpenAI if spec.url is None else ReasoningChatOpenAI  # engines send thoughts, which OpenAI does not
    return kind(**{**given, **({"api_key": key} if key else {}), **options})


def _ollama(spec: BackendSpec, key: str | None, options: dict[str, Any]) -> BaseChatModel:
    from langchain_ollama import ChatOllama

    given: dict[str, Any] = {"model": spec.model}
    if spec.url is not None:
        given["base_url"] = spec.url
    if key is not None:
        given["client_kwargs"] = {"headers": {"authorization": f"Bearer {key}"}}
    return ChatOllama(**{**given, **options})


def _llama_cpp(spec: BackendSpec, _key: str | None, options: dict[str, Any]) -> BaseChatModel:
    if spec.url is not None:
        raise BackendError(
            f"The backend {spec.name!r} runs in this process and has no URL. For a llama-server elsewhere, write "
            "openai:MODEL@URL."
        )
    path = Path(spec.model).expanduser()
    if not path.is_file():
        raise BackendError(f"The backend {spec.name!r} needs the file {spec.model}, which is not there.")
    from langchain_darkai.server.llama_cpp import ChatLlamaCpp

    return ChatLlamaCpp.of_file(path, **options)


def _offline(spec: BackendSpec, _key: str | None, options: dict[str, Any]) -> BaseChatModel:
    return OfflineChatModel(**options)


def _by_name(spec: BackendSpec, key: str | None, options: dict[str, Any]) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise BackendError(
            f"The backend {spec.name!r} needs langchain, which finds the class of a provider: pip install langchain, "
            f"and the provider's package."
        ) from error
    given: dict[str, Any] = {"base_url": spec.url, "api_key": key}
    given = {name: value for name, value in given.items() if value is not None}
    made: BaseChatModel = init_chat_model(spec.model, model_provider=spec.provider, **{**given, **options})
    return made


_MAKERS: Mapping[str, Callable[[BackendSpec, str | None, dict[str, Any]], BaseChatModel]] = {
    "openai": _openai,
    "ollama": _ollama,
    _LLAMA_CPP: _llama_cpp,
    _OFFLINE: _offline,
}
