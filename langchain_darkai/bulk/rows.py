"""One row of a batch: what is asked, with which parameters, and the key by which its answer is known again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import convert_to_messages
from pydantic import BaseModel

from langchain_darkai._text import short_repr

__all__ = ["MalformedRow", "Row", "row_from"]

CONTENTS = ("prompt", "messages", "input")
"""What is asked; a row has one of them. `input` is for a runnable that takes something else than messages."""

PARAMETERS = ("model", "temperature", "max_tokens", "stop", "timeout")
"""Parameters that a row may have as members of its own. Others stand in its `parameters`."""

KEYS = (*CONTENTS, "id", *PARAMETERS, "parameters")


@dataclass(frozen=True, slots=True)
class Row:
    """A row that can be asked.

    `id` is its own, or its number. `key` is 64 bits of a hash of all that the row says: the same row has the same key
    at another place of its file, and another one if its prompt was changed.
    """

    id: Any
    input: Any
    parameters: dict[str, Any]
    key: int


@dataclass(frozen=True, slots=True)
class MalformedRow:
    """A row that cannot be asked: its number, from 1 on (in JSONL and CSV that of its line), and the reason."""

    number: int
    reason: str


def row_from(number: int, value: Any) -> Row | MalformedRow:
    """Return the row for a text, which is a prompt, or for a dict as the keys of this module say.

    Example:
        >>> row_from(1, {"prompt": "Hi", "temperature": 0}).parameters
        {'temperature': 0}
        >>> row_from(2, {"promt": "Hi"})
        MalformedRow(number=2, reason="'promt' is no key of a row; there are prompt, messages, input, id, model, \
temperature, max_tokens, stop, timeout, parameters.")
    """
    members = {"prompt": value} if isinstance(value, str) else value
    try:
        given = _checked(members)
        parameters = {name: given[name] for name in PARAMETERS if name in given} | given.get("parameters", {})
        return Row(given.get("id", number), _input(given), parameters, _key(given))
    except (ValueError, TypeError, RecursionError, NotImplementedError) as error:  # the last of them is LangChain's
        return MalformedRow(number, str(error) or type(error).__name__)


def _checked(members: Any) -> dict[str, Any]:
    if not isinstance(members, Mapping):
        raise TypeError(f"{short_repr(members)} is neither a text nor an object with a prompt or messages.")
    for name in members:
        if name not in KEYS:
            raise ValueError(f"{short_repr(name)} is no key of a row; there are {', '.join(KEYS)}.")
    given = {name: value for name, value in members.items() if value is not None}
    contents = [name for name in CONTENTS if name in given]
    if len(contents) != 1:
        found = " and ".join(contents) or "none of them"
        raise ValueError(f"A row has one of {', '.join(CONTENTS)}; this one has {found}.")
    if not isinstance(given.get("prompt", ""), str):
        raise TypeError(f"The prompt {short_repr(given['prompt'])} is not a text.")
    if not isinstance(given.get("parameters", {}), Mapping):
        raise TypeError(f"The parameters {short_repr(given['parameters'])} are not an object.")
    return given


def _input(given: dict[str, Any]) -> Any:
    if "messages" in given:
        if not isinstance(given["messages"], list | tuple):
            raise TypeError(f"The messages {short_repr(given['messages'])} are not a list.")
        return convert_to_messages(given["messages"])
    return given["prompt"] if "prompt" in given else given["input"]


def _key(given: dict[str, Any]) -> int:
    text = json.dumps(given, sort_keys=True, default=_plain)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else str(value)
