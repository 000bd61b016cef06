"""What becomes of a row: the line of its answer, or of its failure."""

import json
from datetime import datetime, timezone
from typing import Any

from langchain_core.messages import AIMessage
from pydantic import BaseModel
from typing_extensions import NotRequired, TypedDict

from langchain_darkai.bulk.rows import Row

__all__ = ["Answer", "answer_of", "failure_of", "line_of", "read_line"]


class Failure(TypedDict):
    """Why a row has no answer: the error's class, its message, and whether another try may help."""

    type: str
    message: str
    is_retryable: bool


class Answer(TypedDict):
    """One line of the answers.

    - `key`: by which the row is known again.
    - `id`: the row's, or its number.
    - `text`: the reply's text; where it was to have a schema, only if it had not.
    - `value`: a structured value, or what a runnable returned that is no message and no text.
    - `calls`: the reply's tool calls.
    - `usage`: the tokens, as LangChain counts them.
    - `error`: why there is no answer.
    - `started`, `seconds`: when the row was asked, in UTC, and how long it took.
    """

    key: str
    id: Any
    text: NotRequired[str]
    value: NotRequired[Any]
    calls: NotRequired[list[dict[str, Any]]]
    usage: NotRequired[dict[str, Any]]
    error: NotRequired[Failure]
    started: str
    seconds: float


def answer_of(row: Row, result: Any, started: float, seconds: float) -> Answer:
    """Return the answer for what a runnable returned: a message, a text, a value, or a structured answer with all."""
    answer = _begun(row)
    if isinstance(result, dict) and result.keys() == {"raw", "parsed", "parsing_error"}:
        message, error = result["raw"], result["parsing_error"]
        if error is not None or result["parsed"] is None:
            answer["text"] = message.text
            answer["error"] = _failure(error or ValueError("The reply has no structured answer."))
        else:
            answer["value"] = _plain(result["parsed"])
        _add_details(answer, message)
    elif isinstance(result, AIMessage):
        answer["text"] = result.text
        _add_details(answer, result)
    else:
        answer["text" if isinstance(result, str) else "value"] = _plain(result)
    return _ended(answer, started, seconds)


def failure_of(row: Row, error: Exception, started: float, seconds: float) -> Answer:
    """Return the answer of a row that failed."""
    return _ended({**_begun(row), "error": _failure(error)}, started, seconds)


def _begun(row: Row) -> Any:
    return {"key": f"{row.key:016x}", "id": row.id}


def _add_details(answer: Any, message: AIMessage) -> None:
    if message.tool_calls:
        answer["calls"] = [{name: call.get(name) for name in ("name", "args", "id")} for call in message.tool_calls]
    if message.usage_metadata:
        answer["usage"] = dict(message.usage_metadata)


def _failure(error: Exception) -> Failure:
    is_retryable = bool(getattr(error, "is_retryable", False))
    return {"type": type(error).__name__, "message": str(error), "is_retryable": is_retryable}


def _ended(answer: Any, started: float, seconds: float) -> Answer:
    answer["started"] = datetime.fromtimestamp(started, timezone.utc).isoformat(timespec="milliseconds")
    answer["seconds"] = round(seconds, 3)
    ended: Answer = answer
    return ended


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


FIRST_BYTES = b'{"key": "'
"""How each line begins."""


def line_of(answer: Answer) -> bytes:
    """Return an answer as a line of JSON, with its end. What JSON cannot say becomes text.

    Example:
        >>> line_of({"key": "0", "id": 1, "text": "Grüße", "started": "", "seconds": 0.1}).decode()
        '{"key": "0", "id": 1, "text": "Grüße", "started": "", "seconds": 0.1}\\n'
    """
    try:
        return json.dumps(answer, ensure_ascii=False, default=_as_json).encode() + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can only escape
        return json.dumps(answer, default=_as_json).encode() + b"\n"


def _as_json(value: Any) -> Any:
    return _plain(value) if isinstance(value, BaseModel) else str(value)


def read_line(line: bytes) -> tuple[int, bool] | None:
    """Return the key of an answer's line, and whether it failed; None for what is no such line."""
    try:
        answer = json.loads(line)
        return int(answer["key"], 16), "error" in answer
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
