"""Python types to JSON Schemas."""

import sys
import types
import typing
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from typing_extensions import NotRequired, Required, TypedDict, get_type_hints, is_typeddict

from langchain_darkai._json.schema import JsonSchema, with_inlined_root, without_titles


def schema_from_type(type_: Any) -> JsonSchema:
    """Return the JSON Schema of any type that Pydantic validates: models, dataclasses, TypedDicts, unions, lists.

    Unlike LangChain's converter it keeps `$defs`, so that recursive types stay whole. Models of Pydantic v1 are taken,
    too. Raises TypeError for a type that has no schema.

    Example:
        >>> schema_from_type(list[int])
        {'items': {'type': 'integer'}, 'type': 'array'}
    """
    if isinstance(type_, type) and not issubclass(type_, BaseModel) and hasattr(type_, "__fields__"):
        return without_titles(type_.schema())  # type: ignore[attr-defined]
    try:
        schema = with_inlined_root(adapter_for_type(type_).json_schema())
    except PydanticUserError as error:
        raise TypeError(f"{type_!r} has no JSON Schema: {error}") from error
    _add_annotated_descriptions(type_, schema)
    return without_titles(schema)


def adapter_for_type(type_: Any) -> TypeAdapter[Any]:
    """Return what validates values of a type. Raises TypeError for a type that Pydantic cannot validate.

    It is raised for None, too, which Pydantic takes for the type of None: whoever passes it has forgotten the type.
    """
    if type_ is None:
        raise TypeError("None is no type")
    try:
        return TypeAdapter(_with_new_typed_dicts(type_))
    except (PydanticSchemaGenerationError, PydanticUserError, RecursionError) as error:
        raise TypeError(f"{type_!r} has no JSON Schema: {error}") from error


def _with_new_typed_dicts(type_: Any) -> Any:
    """Return a type with each `typing.TypedDict` made again by typing_extensions.

    Before Python 3.12, Pydantic takes no others.
    """
    if sys.version_info >= (3, 12):
        return type_
    if is_typeddict(type_):
        members = {
            name: (Required if name in type_.__required_keys__ else NotRequired)[
                _with_new_typed_dicts(_bare_hint(hint))
            ]
            for name, hint in get_type_hints(type_, include_extras=True).items()
        }
        remade: Any = TypedDict(type_.__name__, members)  # type: ignore[misc]
        remade.__doc__ = type_.__doc__
        return remade
    arguments = typing.get_args(type_)
    modern = tuple(_with_new_typed_dicts(argument) for argument in arguments)
    if modern == arguments:
        return type_
    origin = typing.get_origin(type_)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[modern]  # noqa: UP007 - made of a tuple
    if origin is Annotated:
        annotated: Any = Annotated
        parts = (modern[0], *type_.__metadata__)
        return annotated[parts]
    return origin[modern]


def _bare_hint(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) in (Required, NotRequired) else hint


def _add_annotated_descriptions(type_: Any, schema: JsonSchema) -> None:
    """Add the descriptions that LangChain users give to a TypedDict's fields: `Annotated[int, ..., "How many."]`."""
    if not is_typeddict(type_):
        return
    for name, hint in get_type_hints(type_, include_extras=True).items():
        texts = [text for text in getattr(hint, "__metadata__", ()) if isinstance(text, str)]
        member = schema.get("properties", {}).get(name)
        if texts and isinstance(member, dict):
            member.setdefault("description", texts[0])
