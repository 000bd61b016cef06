"""Errors on the wire: statuses and names to classes and back, and what servers report."""

import inspect
import json
from datetime import timedelta
from typing import Any

import pytest
from langchain_core import exceptions as core

from langchain_darkai import errors
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIAuthenticationError,
    DarkAIContextOverflowError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAINotFoundError,
    DarkAIPermissionDeniedError,
    DarkAIRateLimitError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
    DarkAIToolChoiceError,
)
from langchain_darkai.protocol import (
    EventDecoder,
    StreamFailure,
    encode_error,
    encode_event,
    error_class_for_status,
    error_class_for_wire_type,
    reported_error,
    status_for_error,
    wire_error_type,
)
from tests.support.decoding import END, HEL, LO, read, read_in_every_way

CORE_CLASSES = [
    kind
    for _, kind in inspect.getmembers(core, inspect.isclass)
    if issubclass(kind, (core.ModelError, core.ContextOverflowError))
]


CLASSES = [getattr(errors, name) for name in dir(errors) if name.startswith("DarkAI")]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, DarkAIInvalidRequestError),
        (401, DarkAIAuthenticationError),
        (402, DarkAIInvalidRequestError),
        (403, DarkAIPermissionDeniedError),
        (404, DarkAINotFoundError),
        (405, DarkAIInvalidRequestError),
        (408, DarkAITimeoutError),
        (409, DarkAIInvalidRequestError),
        (413, DarkAIInvalidRequestError),
        (415, DarkAIInvalidRequestError),
        (422, DarkAIInvalidRequestError),
        (429, DarkAIRateLimitError),
        (499, DarkAIInvalidRequestError),
        (500, DarkAIAPIError),
        (502, DarkAIAPIError),
        (503, DarkAIAPIError),
        (504, DarkAIAPIError),
        (529, DarkAIAPIError),
        (599, DarkAIAPIError),
    ],
)
def test_the_error_class_of_an_http_status(status: int, kind: type[DarkAIError]) -> None:
    assert error_class_for_status(status) is kind


@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308])
def test_a_redirect_status_has_an_error_class(status: int) -> None:
    assert issubclass(error_class_for_status(status), DarkAIError)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (core.ContextOverflowError("x"), 400),
        (core.ModelInvalidRequestError("x"), 400),
        (core.ModelAuthenticationError("x"), 401),
        (core.ModelPermissionDeniedError("x"), 403),
        (core.ModelNotFoundError("x"), 404),
        (core.ModelRateLimitError("x"), 429),
        (core.ModelAPIError("x"), 500),
        (core.ModelError("x"), 500),
        (core.ModelConnectionError("x"), 502),
        (core.ModelTimeoutError("x"), 504),
        (DarkAIContextOverflowError("x"), 400),
        (DarkAIStreamTruncatedError("x"), 502),
        (DarkAIToolChoiceError("x"), 500),
        (KeyError("x"), 500),
        (ValueError("x"), 500),
        (TimeoutError("x"), 500),
    ],
)
def test_the_http_status_of_an_error(error: Exception, status: int) -> None:
    assert status_for_error(error) == status


@pytest.mark.parametrize("kind", CORE_CLASSES)
def test_core_classes_survive_the_wire(kind: type[core.ModelError]) -> None:
    name = wire_error_type(kind("x"))
    back = error_class_for_wire_type(name)
    assert name == kind.__name__
    assert back is not None
    assert issubclass(back, kind)
    assert back.is_retryable is kind.is_retryable


@pytest.mark.parametrize("kind", CLASSES)
def test_own_classes_survive_the_wire_as_their_core_class(kind: type[DarkAIError]) -> None:
    back = error_class_for_wire_type(wire_error_type(kind("x")))
    assert back is not None
    assert {c for c in CORE_CLASSES if issubclass(kind, c)} <= set(back.__mro__)


def test_an_error_of_another_provider_has_the_wire_name_of_its_core_class() -> None:
    class TheirRateLimitError(core.ModelRateLimitError):
        pass

    assert wire_error_type(TheirRateLimitError("x")) == "ModelRateLimitError"


@pytest.mark.parametrize("error", [KeyError("x"), OSError("x"), TimeoutError("x"), ValueError("x")])
def test_an_error_that_is_no_model_error_has_the_wire_name_of_an_api_error(error: Exception) -> None:
    assert wire_error_type(error) == "ModelAPIError"


@pytest.mark.parametrize("name", ["", "rate_limit", "modelratelimiterror", "KeyError", None, 5, ["ModelAPIError"], {}])
def test_an_unknown_wire_name_has_no_error_class(name: object) -> None:
    assert error_class_for_wire_type(name) is None


# What a server reports in an error event, and what it is raised as: class, words in the message, status, retry_after.
REPORTED: dict[str, tuple[Any, type[DarkAIError], str, int | None, float | None]] = {
    "a message": ({"message": "boom"}, DarkAIAPIError, "boom", None, None),
    "a string": ("boom", DarkAIAPIError, "boom", None, None),
    "nothing": (None, DarkAIAPIError, "without saying why", None, None),
    "an empty object": ({}, DarkAIAPIError, "without saying why", None, None),
    "an empty message": ({"message": ""}, DarkAIAPIError, "without saying why", None, None),
    "a message that is no string": ({"message": ["boom"]}, DarkAIAPIError, "without saying why", None, None),
    "a list": (["boom"], DarkAIAPIError, "without saying why", None, None),
    "a number": (5, DarkAIAPIError, "without saying why", None, None),
    "a detail": ({"detail": "boom"}, DarkAIAPIError, "boom", None, None),
    "a core class": ({"type": "ModelTimeoutError", "message": "slow"}, DarkAITimeoutError, "slow", None, None),
    "a class of its own": ({"type": "rate_limit", "message": "slow"}, DarkAIAPIError, "slow", None, None),
    "a status": ({"message": "slow", "status": 429}, DarkAIRateLimitError, "slow", 429, None),
    "a class and a status": (
        {"type": "ContextOverflowError", "message": "long", "status": 400},
        DarkAIContextOverflowError,
        "long",
        400,
        None,
    ),
    "a time to wait": (
        {"message": "slow", "status": 429, "retry_after": 7},
        DarkAIRateLimitError,
        "slow",
        429,
        7.0,
    ),
    "a time that has passed": (
        {"message": "x", "status": 429, "retry_after": -1},
        DarkAIRateLimitError,
        "x",
        429,
        None,
    ),
    "no time": ({"message": "x", "status": 429, "retry_after": "7"}, DarkAIRateLimitError, "x", 429, None),
    "a time without end": ({"message": "x", "retry_after": 1e999}, DarkAIAPIError, "x", None, None),
    "a time beyond floats": ({"message": "x", "retry_after": 10**400}, DarkAIAPIError, "x", None, None),
    "a status that is a success": ({"message": "x", "status": 200}, DarkAIAPIError, "x", None, None),
    "a status that is a string": ({"message": "x", "status": "429"}, DarkAIAPIError, "x", None, None),
    "a status that is huge": ({"message": "x", "status": 10**30}, DarkAIAPIError, "x", None, None),
    "more than a few lines": ({"message": "very " * 10_000 + "long"}, DarkAIAPIError, "very", None, None),
    "another script": ({"message": "\u5931\u6557 😀"}, DarkAIAPIError, "\u5931\u6557 😀", None, None),
    "half a character": ({"message": "a\ud83d"}, DarkAIAPIError, "a", None, None),
}


@pytest.mark.parametrize("name", REPORTED)
def test_an_error_event_becomes_the_error_it_reports(name: str) -> None:
    data, kind, words, status, retry_after = REPORTED[name]
    body = HEL + encode_event("error", data) + LO + END
    reply = read_in_every_way(body) if len(body) < 1000 else read([body])
    assert reply[:4] == ("Hel", False, None, kind)
    assert words in reply.message
    assert len(reply.message) < 1000
    reply.message.encode()
    assert (reply.status, reply.retry_after) == (status, retry_after)


def test_an_error_event_without_data_is_an_api_error() -> None:
    reply = read_in_every_way(HEL + b'data: {"event": "error"}\n')
    assert (reply.text, reply.failure) == ("Hel", DarkAIAPIError)


@pytest.mark.parametrize(
    ("data", "status", "kind"),
    [
        ({"type": "ModelAuthenticationError", "message": "no"}, 401, DarkAIAuthenticationError),
        ({"message": "no"}, 403, DarkAIPermissionDeniedError),
        ({"message": "no", "status": 500}, 404, DarkAINotFoundError),
        ({"type": "ContextOverflowError", "message": "no"}, 400, DarkAIContextOverflowError),
        ("no", 400, DarkAIInvalidRequestError),
        ("no", 503, DarkAIAPIError),
        ("no", 302, DarkAIAPIError),
    ],
)
def test_the_status_of_a_response_precedes_the_one_in_its_body(data: Any, status: int, kind: type[DarkAIError]) -> None:
    reported = reported_error(data, "example.org", status)
    assert (reported.kind, reported.status) == (kind, status)
    assert "example.org" in reported.message
    assert "no" in reported.message


@pytest.mark.parametrize("before", [0, 60, 79, 80, 480, 499, 500])
def test_secrets_are_redacted_before_words_are_cut_and_escaped(before: int) -> None:
    secret = "'\\\"" * 40
    words = "x" * before + secret + "y" * 600

    def redact(text: str) -> str:
        return text.replace(secret, "***")

    assert "'" not in reported_error(words, "example.org", 400, redact).message.split(": ")[1].strip("'.")
    for body in (f"data: {words}\n", f"{words}\n", f"data: {json.dumps({'event': 3, 'words': 'x' * before})}\n"):
        failure = (decoder := EventDecoder("example.org", redact)).feed(body.encode()).end or decoder.finish().end
        assert isinstance(failure, StreamFailure)
        assert '\\"' not in str(failure.error)


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({"message": "no"}, "Ask again later."),
        ({"message": "no", "status": 401}, "Set api_key, or DARKAI_API_KEY, to a key that this server knows."),
        ({"message": "no", "type": "ContextOverflowError"}, "The prompt is too long for this model; send less."),
        ({"message": "no", "type": "ModelTimeoutError"}, "Ask again."),
        ({"message": "no", "status": 400}, "Check the request."),
        ({"message": "no", "type": "ModelError"}, "Check the request."),
    ],
)
def test_an_error_event_says_what_to_do(data: dict[str, Any], hint: str) -> None:
    assert read([encode_event("error", data)]).message == f"example.org reported an error: 'no'. {hint}"


@pytest.mark.parametrize("kind", CORE_CLASSES)
def test_an_error_of_a_model_survives_an_error_event(kind: type[core.ModelError]) -> None:
    reply = read_in_every_way(HEL + encode_event("error", encode_error(kind("told in its own words"))))
    assert reply.failure is not None
    assert issubclass(reply.failure, kind)
    assert reply.failure.is_retryable is kind.is_retryable
    assert "told in its own words" in reply.message
    assert reply.status is not None
    assert reply.status >= 400


def test_an_error_of_ours_survives_an_error_event() -> None:
    reply = read([encode_event("error", encode_error(DarkAIRateLimitError("slow down", retry_after=2.5)))])
    assert (reply.failure, reply.status, reply.retry_after) == (DarkAIRateLimitError, 429, 2.5)
    assert "slow down" in reply.message
    assert "no call" in read([encode_event("error", encode_error(DarkAIToolChoiceError("no call")))]).message


def chained(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = error.__context__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        KeyError("secret"),
        RuntimeError("secret"),
        ValueError("secret"),
        FileNotFoundError(2, "no such file", "/secret"),
        TimeoutError("secret"),
        ConnectionResetError("secret"),
        core.LangChainException("secret"),
        core.OutputParserException("secret"),
        chained(RuntimeError("secret"), core.ModelRateLimitError("secret")),
        chained(core.ModelAPIError("overloaded"), KeyError("secret")),
        chained(core.ModelRateLimitError("slow"), KeyError("secret")),
        chained(DarkAIAPIError("it failed", partial_text="secret", request_id="secret"), KeyError("secret")),
    ],
)
def test_details_inside_a_server_are_not_sent(error: BaseException) -> None:
    assert "secret" not in encode_event("error", encode_error(error)).decode()


@pytest.mark.parametrize("wait", ["soon", timedelta(seconds=7), float("nan"), float("inf"), -1, [7]])
def test_an_invalid_retry_after_is_left_out(wait: object) -> None:
    error = core.ModelRateLimitError("slow")
    error.retry_after = wait  # type: ignore[attr-defined]
    body = encode_event("error", encode_error(error))
    json.loads(body.removeprefix(b"data: "), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    message = "example.org reported an error: 'slow'. Wait, or ask more slowly."
    assert read([body])[3:7] == (DarkAIRateLimitError, message, 429, None)
