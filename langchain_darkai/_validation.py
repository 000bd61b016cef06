"""Checks of settings and arguments: each returns the value in its final form, or says what is wrong with it.

All raise DarkAIInvalidRequestError, which is a ValueError.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_darkai.errors import DarkAIInvalidRequestError


def check_seconds(name: str, value: Any) -> float | None:
    """Return a duration in seconds; None stands for no limit."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise DarkAIInvalidRequestError(f"{name}={value!r} is not a positive number of seconds. Use None for no limit.")
    return float(value)


def check_url_text(name: str, url: Any) -> str:
    """Return a URL that is a string; raise for anything else. Whether the URL is valid is checked later."""
    if isinstance(url, str):
        return url
    hint = f" Pass its url: {name}=server.url" if hasattr(type(url), "url") else ""
    raise DarkAIInvalidRequestError(f"{name} takes a string, not {type(url).__name__}.{hint}")


def check_count(name: str, value: Any, minimum: int = 0) -> int:
    """Return a whole number that is at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise DarkAIInvalidRequestError(f"{name}={value!r} is not a whole number of {minimum} or more.")
    return value


def check_switch(name: str, value: Any) -> bool | None:
    """Return True, False, or None for neither."""
    if value is None or isinstance(value, bool):
        return value
    raise DarkAIInvalidRequestError(f"{name}={value!r} is not True, False or None.")


def check_limit(name: str, limit: Any) -> int | None:
    """Return a limit of 1 or more, None for no limit."""
    return None if limit is None else check_count(name, limit, minimum=1)


def check_model(model: Any, known: Sequence[str]) -> str:
    """Return the name of a model; `known` are names for the error message, other names are allowed, too."""
    if not isinstance(model, str) or not model.strip():
        raise DarkAIInvalidRequestError(f"model={model!r} is not the name of a model. Known names: {', '.join(known)}.")
    return model


def check_stop(stop: Any) -> tuple[str, ...]:
    """Return stop sequences, given as one string or several."""
    sequences = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, Iterable) else (stop,)
    if not all(isinstance(sequence, str) and sequence for sequence in sequences):
        raise DarkAIInvalidRequestError("stop is not a list of texts, each of one character or more.")
    return sequences


def check_model_kwargs(model_kwargs: Any) -> dict[str, Any]:
    """Return further members of a request's body."""
    if not isinstance(model_kwargs, Mapping):
        raise DarkAIInvalidRequestError(f"model_kwargs={model_kwargs!r} is not a dict of request parameters.")
    for name in ("query", "model"):
        if name in model_kwargs:
            raise DarkAIInvalidRequestError(f"model_kwargs cannot hold {name!r}, which the package fills itself.")
    return dict(model_kwargs)


def sampling_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `temperature` and `max_tokens` that are set."""
    parameters = {name: values[name] for name in ("temperature", "max_tokens") if values.get(name) is not None}
    if not isinstance(parameters.get("temperature", 0.0), int | float):
        raise DarkAIInvalidRequestError(f"temperature={parameters['temperature']!r} is not a number.")
    if "max_tokens" in parameters:
        check_count("max_tokens", parameters["max_tokens"], minimum=1)
    return parameters


_SAMPLING_NAMES = frozenset(
    "frequency_penalty logit_bias logprobs min_p n presence_penalty reasoning_effort repeat_penalty repetition_penalty "
    "seed top_k top_logprobs top_p typical_p user".split()
)
"""Parameters of other chat APIs. Sent like any other member of a request, they need no argument."""


def refuse_unknown(names: Iterable[str], known: Sequence[str], what: str) -> None:
    """Raise for a name that is not among the known ones, with the nearest one that is."""
    for name in names:
        if name not in known:
            if name in _SAMPLING_NAMES:
                raise DarkAIInvalidRequestError(
                    f"{what} has no argument {name!r}. Send it as a further parameter of the request: "
                    f"model_kwargs={{{name!r}: ...}}."
                )
            near = difflib.get_close_matches(name, known, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise DarkAIInvalidRequestError(
                f"{what} has no argument {name!r}.{meant} Further parameters of the request go into model_kwargs."
            )
