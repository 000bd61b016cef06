"""The exception tree: what each class is to core's code, and what it keeps."""

import copy
import inspect
import pickle
import re

import pytest
from langchain_core import exceptions as core
from langgraph.types import RetryPolicy

from langchain_darkai import errors
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIConnectionError,
    DarkAIContextOverflowError,
    DarkAIEmptyResponseError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAINotFoundError,
    DarkAIPermissionDeniedError,
    DarkAIRateLimitError,
    DarkAIRefusalError,
    DarkAIStreamDecodeError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
    DarkAIToolChoiceError,
)

# Each class: the class above it, its core class, its class of the standard library, whether asking again can help.
# langchain-core has it from 1.7.5 on.
ModelRefusalError = getattr(core, "ModelRefusalError", core.ModelError)

TREE: dict[type[DarkAIError], tuple[type[Exception], type[Exception], type[Exception], bool]] = {
    DarkAIError: (core.ModelError, core.ModelError, Exception, False),
    DarkAIInvalidRequestError: (DarkAIError, core.ModelInvalidRequestError, ValueError, False),
    DarkAIContextOverflowError: (DarkAIInvalidRequestError, core.ContextOverflowError, ValueError, False),
    DarkAIAuthenticationError: (DarkAIError, core.ModelAuthenticationError, Exception, False),
    DarkAIPermissionDeniedError: (DarkAIError, core.ModelPermissionDeniedError, Exception, False),
    DarkAINotFoundError: (DarkAIError, core.ModelNotFoundError, Exception, False),
    DarkAIRateLimitError: (DarkAIError, core.ModelRateLimitError, Exception, True),
    DarkAIAPIError: (DarkAIError, core.ModelAPIError, Exception, True),
    DarkAIEmptyResponseError: (DarkAIAPIError, core.ModelAPIError, Exception, True),
    DarkAIStreamDecodeError: (DarkAIAPIError, core.ModelAPIError, Exception, False),
    DarkAIToolChoiceError: (DarkAIError, core.ModelError, Exception, False),
    DarkAIRefusalError: (DarkAIError, ModelRefusalError, Exception, False),
    DarkAIConnectionError: (DarkAIError, core.ModelConnectionError, ConnectionError, True),
    DarkAIStreamTruncatedError: (DarkAIConnectionError, core.ModelConnectionError, ConnectionError, True),
    DarkAITimeoutError: (DarkAIError, core.ModelTimeoutError, TimeoutError, True),
}
CLASSES = list(TREE)
CORE_CLASSES = [
    kind
    for _, kind in inspect.getmembers(core, inspect.isclass)
    if issubclass(kind, (core.ModelError, core.ContextOverflowError))
]


def test_the_table_of_error_classes_is_complete() -> None:
    public = {kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == errors.__name__}
    assert public == set(CLASSES)


def test_the_docstring_draws_the_tree_of_errors() -> None:
    drawn: list[tuple[str, str]] = []
    above: list[str] = [core.ModelError.__name__]
    for indent, name in re.findall(r"^    ([│├└─ ]*)(DarkAI\w+) ", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4 + 1
        drawn.append((name, above[depth - 1]))
        above[depth:] = [name]
    assert drawn == [(kind.__name__, parent.__name__) for kind, (parent, *_) in TREE.items()]


@pytest.mark.parametrize("kind", CLASSES)
def test_the_base_classes_of_an_error(kind: type[DarkAIError]) -> None:
    parent, core_class, stdlib_class, is_retryable = TREE[kind]
    assert kind.__bases__[0] is parent
    assert issubclass(kind, DarkAIError)
    assert issubclass(kind, core_class)
    assert issubclass(kind, stdlib_class)
    assert kind.is_retryable is is_retryable
    assert kind.__doc__


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_has_no_base_class_of_another_condition(kind: type[DarkAIError]) -> None:
    """An `except` for another condition does not catch it."""
    parent, core_class, stdlib_class, _ = TREE[kind]
    expected = {core.ModelError, core_class, *(c for c in parent.__mro__ if c in CORE_CLASSES)}
    assert {c for c in CORE_CLASSES if issubclass(kind, c)} == expected
    # A timeout is a ConnectionError, too, so that LangGraph retries it.
    allowed = {stdlib_class, ConnectionError} if stdlib_class is TimeoutError else {stdlib_class} - {Exception}
    assert {c for c in (ValueError, ConnectionError, TimeoutError) if issubclass(kind, c)} == allowed


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind.is_retryable])
def test_langgraph_retries_what_can_pass_by_default(kind: type[DarkAIError]) -> None:
    assert RetryPolicy().retry_on(kind("it failed"))  # type: ignore[operator]


def test_every_error_class_of_core_has_one_of_ours() -> None:
    assert {kind for kind in CORE_CLASSES if not any(issubclass(c, kind) for c in CLASSES)} == set()


@pytest.mark.parametrize("kind", CLASSES)
def test_attributes_of_an_error_default_to_nothing(kind: type[DarkAIError]) -> None:
    error = kind("it failed")
    assert str(error) == "it failed"
    assert (error.status, error.retry_after, error.request_id, error.partial_text) == (None, None, None, "")


def copies(error: DarkAIError) -> list[DarkAIError]:
    pickled = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    return [copy.copy(error), copy.deepcopy(error), *pickled]


@pytest.mark.parametrize("kind", CLASSES)
def test_copies_and_pickles_of_an_error_keep_everything(kind: type[DarkAIError]) -> None:
    error = kind("it failed\nin two lines", status=503, retry_after=1.5, request_id="r-1", partial_text="Hel\ud83dlo")
    for twin in copies(error):
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert twin.args == error.args
        assert vars(twin) == vars(error)


def test_attributes_of_an_error_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        DarkAIError("it failed", 500)  # type: ignore[call-arg]
