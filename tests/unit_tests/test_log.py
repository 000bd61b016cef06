"""The log of calls: one line for each step of a call, no texts, and nothing at all unless it is turned on."""

import logging
import re
from collections.abc import Iterator

import pytest

from langchain_darkai import DarkAIError, DarkAIRateLimitError, DarkAIStreamTruncatedError
from langchain_darkai.protocol import StreamEnd
from tests.support.asker import Asker
from tests.support.scripted_transport import ScriptedTransport

CLIENT, PROMPTS = "langchain_darkai.client", "langchain_darkai.client.prompts"
PROMPT = "a prompt that is private"
REPLY = ["a reply ", "that is private"]


@pytest.fixture(autouse=True)
def _levels() -> Iterator[None]:
    yield
    for name in (CLIENT, PROMPTS):
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log says, without the name of the call, and with numbers as N."""
    return [re.sub(r"\d+(\.\d+)?", "N", re.sub("^call [0-9a-f]{4}: ", "", message)) for message in caplog.messages]


async def test_each_step_of_a_call_is_a_line(ask: Asker, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger(CLIENT).setLevel(logging.DEBUG)
    api = ScriptedTransport([*REPLY, StreamEnd()])
    await ask(api.model(model="some-model", temperature=0.5, model_kwargs={"seed": 1}), PROMPT)
    assert lines(caplog) == [
        "request to model.test: model 'some-model', prompt of N characters, parameters: seed, temperature",
        "first text after N ms",
        "complete after N s: N characters in N pieces",
    ]
    assert f"prompt of {len(PROMPT)} characters" in caplog.messages[0]
    assert f"{len(''.join(REPLY))} characters in 2 pieces" in caplog.messages[2]
    assert {record.name for record in caplog.records} == {CLIENT}
    assert len({message[:10] for message in caplog.messages}) == 1, "the lines of a call have its name"


async def test_a_retry_is_a_line_that_says_why(ask: Asker, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger(CLIENT).setLevel(logging.DEBUG)
    words = "what a server says is private"
    api = ScriptedTransport(
        [DarkAIRateLimitError(words, status=429, retry_after=0.0)],
        [DarkAIStreamTruncatedError(words)],
        [*REPLY, StreamEnd()],
    )
    await ask(api.model(max_retries=2), PROMPT)
    said = lines(caplog)
    assert [line for line in said if "retry" in line] == [
        "retry N of N in N s, after DarkAIRateLimitError (HTTP N)",
        "retry N of N in N s, after DarkAIStreamTruncatedError",
    ]
    assert "DarkAIRateLimitError (HTTP N) after N s: N characters in N pieces" in said
    assert len([line for line in said if line.startswith("request to")]) == 3
    assert "private" not in "".join(caplog.messages)


async def test_a_failure_is_a_line_without_the_words_of_the_server(
    ask: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger(CLIENT).setLevel(logging.DEBUG)
    api = ScriptedTransport([*REPLY, DarkAIError("it is private", status=500)])
    with pytest.raises(DarkAIError):
        await ask(api.model(), PROMPT)
    assert lines(caplog)[-1] == "DarkAIError (HTTP N) after N s: N characters in N pieces"
    assert "private" not in "".join(caplog.messages)


async def test_a_stream_that_is_left_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger(CLIENT).setLevel(logging.DEBUG)
    client = ScriptedTransport([*REPLY, StreamEnd()]).client()
    stream = client.stream(client.call(PROMPT))
    await anext(stream)
    await stream.aclose()
    assert lines(caplog)[-1] == "left after N s: N characters in N pieces"


@pytest.mark.parametrize("level", [logging.NOTSET, logging.INFO, logging.WARNING])
async def test_nothing_is_logged_above_debug(ask: Asker, caplog: pytest.LogCaptureFixture, level: int) -> None:
    logging.getLogger(CLIENT).setLevel(level)
    await ask(ScriptedTransport([*REPLY, StreamEnd()]).model(), PROMPT)
    assert caplog.messages == []


async def test_the_prompt_is_logged_only_where_its_own_logger_is_set_to_debug(
    ask: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    model = ScriptedTransport([*REPLY, StreamEnd()]).model()
    for name in ("langchain_darkai", CLIENT):
        logging.getLogger(name).setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)  # the root logger's
    await ask(model, PROMPT)
    assert "private" not in "".join(caplog.messages)
    caplog.clear()
    logging.getLogger(CLIENT).setLevel(logging.WARNING)
    logging.getLogger(PROMPTS).setLevel(logging.DEBUG)
    await ask(model, PROMPT)
    assert lines(caplog) == [f"prompt: {PROMPT}"]
    assert caplog.records[0].name == PROMPTS
    logging.getLogger("langchain_darkai").setLevel(logging.NOTSET)


async def test_a_prompt_and_a_model_name_stay_on_one_line_where_no_prompt_was_asked_for(
    ask: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger(CLIENT).setLevel(logging.DEBUG)
    await ask(ScriptedTransport([*REPLY, StreamEnd()]).model(model="a\nforged line"), PROMPT)
    assert "\n" not in "".join(caplog.messages)


class Unprintable(str):
    """A model's name that fails where it is formatted."""

    __slots__ = ()

    def __repr__(self) -> str:
        raise AssertionError("it was formatted")

    __str__ = __repr__


async def test_nothing_is_formatted_while_the_log_is_off(ask: Asker) -> None:
    client = ScriptedTransport([*REPLY, StreamEnd()]).client()
    logging.getLogger(CLIENT).setLevel(logging.INFO)
    assert [piece async for piece in client.stream(client.call(PROMPT, Unprintable("name")))][:2] == REPLY
