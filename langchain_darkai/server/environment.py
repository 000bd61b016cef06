"""The settings of a server that is left running, as a command's words or the environment give them, and `app`.

Each option of `langchain-darkai serve` here has a variable of the same name: `--max-concurrency` is
DARKAI_SERVER_MAX_CONCURRENCY, and what may be repeated is separated by blanks there. A word comes before a variable.
"""

import argparse
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar, cast

from aiohttp import web

from langchain_darkai._gateway.binding import NATIVE
from langchain_darkai._settings import Native
from langchain_darkai.server.app import create_app
from langchain_darkai.server.backends import Plan, parse_backend
from langchain_darkai.server.config import BackendSettings, Config, read_config
from langchain_darkai.server.limits import BackendLimits
from langchain_darkai.server.operations import DEFAULT_MODEL, ServerOperations
from langchain_darkai.server.request_log import LOG_FORMATS, logging_to_stderr

__all__ = ["app", "log_settings", "native_from", "operations_from", "plan_from", "workers_from"]

_T = TypeVar("_T", int, float)
_PREFIX = "DARKAI_SERVER_"
_LIMITS: dict[str, Callable[[str], float]] = {
    "max_concurrency": int,
    "max_queue": int,
    "timeout": float,
    "max_prompt_bytes": int,
}
"""The options that are fields of `BackendLimits`, each for all models or for one."""


def plan_from(options: argparse.Namespace | None = None) -> Plan:
    """Return the models to serve. Raises BackendError and ConfigError, which are a ValueError, for what cannot be."""
    _, path = _one(options, "config")
    return Plan(read_config(path) if path else Config(), [parse_backend(text) for text in _many(options, "backend")[1]])


def native_from(options: argparse.Namespace | None, plan: Plan) -> Native | dict[str, Native]:
    """Return how models are asked, by name where there are names. Raises ValueError for a name that no model has."""
    source, words = _many(options, "native")
    by_name = {name: value for name, _, value in (word.rpartition("=") for word in words)}
    for_all = by_name.pop("", plan.server.native or "auto")
    for_all = by_name.pop(plan.only_name or "", for_all)
    if unknown := sorted(by_name.keys() - plan.by_name):
        raise ValueError(f"{source} names {unknown[0]!r}, which is none of the models: {plan.only_name or plan.names}.")
    # A list of models has none of its own, unless its name is given: each of them goes by its own.
    natives = {**dict.fromkeys(plan.single_names, for_all), **plan.natives, **by_name}
    for value in (for_all, *natives.values()):
        if value not in NATIVE:
            raise ValueError(f"{source} is {value!r}; there are: {', '.join(NATIVE)}.")
    return cast("dict[str, Native]", natives) or cast("Native", for_all)


def operations_from(options: argparse.Namespace | None = None, plan: Plan | None = None) -> ServerOperations:
    """Return what a command's options, the environment and the configuration say.

    Raises ValueError, which names what cannot be read.
    """
    plan = plan or Plan(Config())
    config = plan.config
    given: dict[str, dict[str, float]] = {
        name: dict(backend.limits)
        for name, backend in config.backends.items()
        if isinstance(backend, BackendSettings) and backend.limits
    }
    for field, kind in _LIMITS.items():
        source, words = _many(options, field)
        for word in words:
            model, _, number = word.rpartition("=")
            place = DEFAULT_MODEL if model == plan.only_name else model or "*"
            given.setdefault(place, {})[field] = _number(number, kind, source)
    for_all = given.setdefault("*", {})
    settings: dict[str, Any] = {name: {**for_all, **own} for name, own in given.items()}
    return ServerOperations(
        keys_file=_one(options, "keys_file", config)[1],
        keys=os.environ.get(f"{_PREFIX}KEYS"),
        limits={name: BackendLimits(**own) for name, own in settings.items()},
        limits_url=_one(options, "limits_url", config)[1],
        metrics=_is_on(options, "metrics", config),
    )


def workers_from(options: argparse.Namespace, config: Config | None = None) -> int:
    """Return how many processes are asked for."""
    source, text = _one(options, "workers", config)
    count = 1 if text is None else _number(str(text), int, source)
    if count < 1:
        raise ValueError(f"{source} is {count}; there must be one at least.")
    return count


def log_settings(options: argparse.Namespace | None = None, config: Config | None = None) -> tuple[str, bool]:
    """Return the format of the log, and whether it shows what is sent to the models."""
    source, style = _one(options, "log_format", config)
    if style is not None and style not in LOG_FORMATS:
        raise ValueError(f"{source} is {style!r}; there are: {', '.join(LOG_FORMATS)}.")
    return style or "plain", _is_on(options, "verbose")


def app() -> web.Application:
    """Return the application of `langchain-darkai serve` for a server such as gunicorn, set by the environment alone.

        gunicorn 'langchain_darkai.server:app()' -k aiohttp.GunicornWebWorker

    DARKAI_SERVER_BACKEND names models as `--backend` does, DARKAI_SERVER_CONFIG is the file of `--config`,
    DARKAI_API_KEY the key of clients, and DARKAI_SERVER_ALLOWED_HOST the names by which they call it; the other
    variables are those of this module's options. It logs to standard error.

    Raises ValueError for settings that cannot work, which names the variable.

    Example:
        >>> sorted(resource.canonical for resource in app().router.resources())
        ['/', '/chat', '/health', '/models', '/ready']
    """
    plan = plan_from()
    settings = {name: value for name, value in plan.server.given().items() if name not in {"host", "port"}}
    settings["native"] = native_from(None, plan)
    if hosts := _many(None, "allowed_host")[1]:
        settings["allowed_hosts"] = hosts
    made = create_app(plan.make(), api_key=plan.api_key(), operations=operations_from(None, plan), **settings)
    style, with_prompts = log_settings(None, plan.config)
    logging = ExitStack()

    async def log(_app: web.Application) -> None:
        logging.enter_context(logging_to_stderr(style, with_prompts=with_prompts))

    async def log_no_more(_app: web.Application) -> None:
        logging.close()

    made.on_startup.append(log)
    made.on_cleanup.append(log_no_more)
    return made


def _one(options: argparse.Namespace | None, name: str, config: Config | None = None) -> tuple[str, Any]:
    """Return where a setting is, and its text, or None; True for an option that has none."""
    word = getattr(options, name, None)
    if word is not None:
        return f"--{name.replace('_', '-')}", word
    variable = f"{_PREFIX}{name.upper()}"
    if text := os.environ.get(variable):
        return variable, text
    return f"{name} in [server]", getattr(config.server, name) if config else None


def _many(options: argparse.Namespace | None, name: str) -> tuple[str, list[str]]:
    source, found = _one(options, name)
    return source, found.split() if isinstance(found, str) else list(found or ())


def _is_on(options: argparse.Namespace | None, name: str, config: Config | None = None) -> bool:
    source, found = _one(options, name, config)
    if found in (True, False, None):
        return bool(found)
    if found.lower() not in {"1", "0", "true", "false", "yes", "no", "on", "off"}:
        raise ValueError(f"{source} is {found!r}; it must be 1 or 0.")
    return found.lower() in {"1", "true", "yes", "on"}


def _number(text: str, kind: Callable[[str], _T], source: str) -> _T:
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"{source} is {text!r}; it must be {what}.") from None
