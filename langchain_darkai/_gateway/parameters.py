"""The parameters of a request, such as a temperature, on a model that has fields of these names."""

import functools
import math
from collections.abc import Mapping
from typing import Annotated, Any, cast

from langchain_core.language_models import BaseChatModel
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from langchain_darkai._text import echoed
from langchain_darkai.errors import DarkAIInvalidRequestError

# Parameters of a request that set a model's field of the same name. A list, and not every field that a model has:
# clients must not change where it lives, and with which key.
_WHOLE_NUMBERS = frozenset({"max_tokens", "top_k", "seed"})
NUMBERS = _WHOLE_NUMBERS | {"temperature", "top_p", "presence_penalty", "frequency_penalty"}


def with_parameters(model: BaseChatModel, parameters: Mapping[str, Any]) -> tuple[BaseChatModel, list[str] | None]:
    """Return the model with the fields that a request's parameters set, and the stop strings, which every model takes.

    Raises DarkAIInvalidRequestError for parameters of another type, and for values that the model's fields forbid.
    """
    stop = parameters.get("stop")
    stop = [stop] if isinstance(stop, str) else stop
    if stop is not None and not (isinstance(stop, list) and all(isinstance(text, str) for text in stop)):
        raise DarkAIInvalidRequestError('"stop" is neither a string nor a list of strings.')
    for name in sorted(NUMBERS & parameters.keys()):
        value = parameters[name]
        if value is None:
            continue
        if type(value) is not int and (type(value) is not float or name in _WHOLE_NUMBERS or not math.isfinite(value)):
            kind = "whole number" if name in _WHOLE_NUMBERS else "number"
            raise DarkAIInvalidRequestError(f'"{name}" is {echoed(value)}; it must be a {kind}.')
        if name in type(model).model_fields:
            model = _with_field(model, name, value)
    return model, stop or None


def _with_field(model: BaseChatModel, name: str, value: Any) -> BaseChatModel:
    """Return a copy of a model with another field, as its validators take it; `model_copy` would take anything.

    A copy, since models differ in the keyword arguments that they take per call, and agree on their fields.
    """
    try:
        return _assigned(model, name, value)
    except Exception as error:  # validators may raise anything, and some take no assignments at all
        if isinstance(error, ValidationError) and _takes_assignments(model, name):
            raise _refused(name, value, error) from error
        return model.model_copy(update={name: _checked(type(model), name, value)})


def _assigned(model: BaseChatModel, name: str, value: Any) -> BaseChatModel:
    """Return a copy of a model with another field, after the validators of the field and of the model have seen it."""
    copy = model.model_copy()
    type(model).__pydantic_validator__.validate_assignment(copy, name, value)
    return copy


def _takes_assignments(model: BaseChatModel, name: str) -> bool:
    """Return whether a field can be set to what it is. Frozen models refuse that, and validators made for a dict."""
    try:
        _assigned(model, name, getattr(model, name))
    except Exception:  # noqa: BLE001
        return False
    return True


def _checked(model: type[BaseChatModel], name: str, value: float) -> Any:
    """Return a value as the type of a model's field takes it."""
    field = _field(model, name)
    try:
        return value if field is None else field.validate_python(value)
    except ValidationError as error:
        raise _refused(name, value, error) from error


def _refused(name: str, value: Any, error: ValidationError) -> DarkAIInvalidRequestError:
    reason = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
    return DarkAIInvalidRequestError(f'"{name}" is {echoed(value)}. {reason}.')


@functools.lru_cache(maxsize=100)
def _field(model: type[BaseChatModel], name: str) -> TypeAdapter[Any] | None:
    """Return the type of a model's field with its bounds; None for a type that only its model can check."""
    field, annotated = model.model_fields[name], cast("Any", Annotated)
    type_and_rules = (field.annotation, *field.metadata, None)  # Annotated wants one rule at least
    try:
        return TypeAdapter(annotated[type_and_rules])
    except PydanticUserError:
        return None
