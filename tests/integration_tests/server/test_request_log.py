"""One line of the log for each request, and ids by which a request can be found there."""

import asyncio
import json
import logging
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_darkai import DarkAIAPIError, DarkAIRateLimitError, format_prompt
from langchain_darkai.server import ServerOperations
from langchain_darkai.server.fallback import FallbackChatModel
from langchain_darkai.server.request_log import logging_to_stderr
from tests.support.app_client import serving, soon
from tests.support.models import scripted

NAME = "langchain_darkai.server.requests"
USAGE = AIMessageChunk(content="", usage_metadata={"input_tokens": 12, "output_tokens": 34, "total_tokens": 46})


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG, "langchain_darkai.server")
    return lambda: [record for record in caplog.records if record.name == NAME]


async def test_a_request_is_one_line_with_names_times_and_counts(lines: Any) -> None:
    async with serving({"mine": scripted("Secret ", 0.02, "text", USAGE)}, api_key="hidden") as client:
        headers = {"authorization": "Bearer hidden", "x-request-id": "abc-1"}
        async with client.chat("A secret prompt", headers=headers) as response:
            await response.read()
    (record,) = lines()
    fields = record.fields
    assert {name: fields[name] for name in ("key", "path", "model", "status", "request_id")} == {
        "key": "default",
        "path": "/chat",
        "model": "mine",
        "status": 200,
        "request_id": "abc-1",
    }
    assert (fields["input_tokens"], fields["output_tokens"]) == (12, 34)
    assert 0 < fields["first_text"] < fields["total"] < 10
    words = dict(word.split("=") for word in record.getMessage().split(" "))
    assert words == {name: str(value) for name, value in fields.items()}
    assert record.levelno == logging.INFO
    assert not {"ecret", "hidden"} & set(record.getMessage().split())


@pytest.mark.parametrize(
    ("pieces", "status", "error"),
    [
        ((DarkAIRateLimitError("a secret"),), 429, "ModelRateLimitError"),
        ((ValueError("a secret"),), 500, "ModelAPIError"),
        (("Hi", DarkAIRateLimitError("a secret")), 200, "ModelRateLimitError"),
    ],
)
async def test_an_error_is_told_by_its_class(lines: Any, pieces: Any, status: int, error: str) -> None:
    async with serving(scripted(*pieces)) as client, client.chat() as response:
        await response.read()
    (record,) = lines()
    assert (record.fields["status"], record.fields["error"], record.fields["model"]) == (status, error, "default")
    assert ("first_text" in record.fields) == (status == 200)
    assert "secret" not in record.getMessage()


async def test_a_client_that_leaves_is_499(lines: Any) -> None:
    async with serving(scripted("Hi", ...)) as client:
        response = await client.chat()
        await response.content.readany()
        response.close()
        while not lines():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
    assert lines()[0].fields["status"] == 499


async def test_probes_are_for_debugging_and_unknown_paths_are_not_quoted(lines: Any) -> None:
    async with serving(operations=ServerOperations(metrics=True)) as client:
        for path in ("health", "ready", "metrics", "models", "secret?key=secret"):
            await client.session.get(f"{client.url}/{path}")
    assert [(record.levelno, record.fields["path"]) for record in lines()] == [
        (logging.DEBUG, "/health"),
        (logging.DEBUG, "/ready"),
        (logging.DEBUG, "/metrics"),
        (logging.INFO, "/models"),
        (logging.INFO, "(other)"),
    ]


@pytest.mark.parametrize("given", ["abc-1", "x" * 128, "{trace:7}"])
async def test_the_id_of_a_request_is_taken_over(given: str) -> None:
    headers = {"x-request-id": given}
    ending = {**headers, "connection": "close"}  # as the server does after a reply that broke off
    async with serving(scripted("Hi", ValueError())) as client:
        async with client.chat(headers=ending) as response:
            assert response.headers["x-request-id"] == given
            assert f'"request_id": "{given}"'.encode() in await response.read()
        async with client.chat({}, headers=headers) as response:
            assert response.status == 400
            assert response.headers["x-request-id"] == (await response.json())["error"]["request_id"] == given
        for path, status in (("models", 200), ("health", 200), ("nowhere", 404)):
            async with client.session.get(f"{client.url}/{path}", headers=headers) as response:
                assert (response.status, response.headers["x-request-id"]) == (status, given)


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "é"])
async def test_an_id_that_is_none_is_made_anew(given: str, lines: Any) -> None:
    head = f"GET /models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-request-id: {given}\r\n\r\n"
    ids = []
    async with serving() as client:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
            writer.write(head.encode("utf-8"))
            answer = (await soon(reader.read())).decode()
            writer.close()
            ids += [line.partition(": ")[2] for line in answer.split("\r\n") if line.startswith("x-request-id: ")]
    assert len({*ids, given}) == 3
    assert [record.fields["request_id"] for record in lines()] == ids
    assert all(len(made) == 32 and made.isalnum() for made in ids)


async def test_a_name_with_blanks_is_one_word(lines: Any) -> None:
    async with serving({'my "own" model\nx=1': scripted("Hi")}) as client:
        await client.events()
    assert r'model="my \"own\" model\\nx=1" ' in lines()[0].getMessage()


async def test_json_lines_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr("json"):
        async with serving({"mine": scripted("Hi", USAGE)}) as client:
            await client.events()
            await client.error({})
        error = ValueError("of something else\nentirely")
        logging.getLogger("elsewhere").error("It broke:\n%s", "so", exc_info=error)
    first, *_, last = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["time"].endswith("Z")
    assert (first["level"], first["logger"]) == ("info", NAME)
    assert (first["model"], first["status"], first["output_tokens"]) == ("mine", 200, 34)
    assert (last["level"], last["message"]) == ("error", "It broke:\nso")
    assert "ValueError: of something else" in last["traceback"]


SECRET = "my secret question"


class APIError(Exception):
    """What openai's client raises for an error amid a stream."""

    message = f"cannot tokenize: {SECRET}"


def raised(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (DarkAIRateLimitError(f"No more of: {SECRET}"), ()),
        (APIError(), ("WARNING", "The backend 'mine' reported an error.")),
        (DarkAIAPIError(f"busy with: {SECRET}"), ("WARNING", "The backend 'mine' failed with DarkAIAPIError.")),
        (ValueError(SECRET), ("ERROR", "is not told: ValueError\n")),
        (raised(RuntimeError(SECRET), ValueError(SECRET)), ("ERROR", "caused by ValueError")),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("style", ["plain", "json"])
async def test_an_error_that_quotes_a_text_is_logged_without_it(
    error: Exception, logged: tuple[str, ...], style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for with_prompts in (False, True):
        models = {"mine": scripted(error), "then": scripted("Hi")}
        listed = FallbackChatModel(name="chat", models=models)
        with logging_to_stderr(style, with_prompts=with_prompts):
            async with serving({**models, "chat": listed}) as client:
                await client.error(SECRET, model="mine")
                async with client.chat(SECRET, model="chat") as response:
                    await response.read()
        shown = capsys.readouterr().err
        assert (SECRET in shown) == with_prompts
        if style == "plain":
            assert [word for word in logged if word not in shown] == []


@pytest.mark.parametrize(("style", "count"), [("plain", 1), ("none", 0)])
async def test_plain_lines_or_none(style: str, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr(style):
        async with serving(scripted("Hi")) as client:
            await client.events("A secret prompt")
    shown = capsys.readouterr().err
    assert shown.count(f"INFO {NAME}: path=/chat model=default status=200 ") == shown.count("\n") == count
    async with serving(scripted("Hi")) as client:
        await client.events()
    assert capsys.readouterr().err == ""


async def test_what_is_sent_to_the_model_is_logged_only_where_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("langchain_darkai"), "level", logging.DEBUG)
    for with_prompts in (True, False):
        with logging_to_stderr("json", with_prompts=with_prompts):
            async with serving(scripted("a reply")) as client:
                await client.events(format_prompt([("system", "Be brief."), ("human", "A question")]), stop=["END"])
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        prompts = [line for line in lines if line["logger"] == "langchain_darkai.server.prompts"]
        if not with_prompts:
            assert prompts == []
            continue
        (prompt,) = prompts
        assert prompt["request_id"] == "asked"
        assert [(m["type"], m["content"]) for m in prompt["messages"]] == [
            ("system", "Be brief."),
            ("human", "A question"),
        ]
        assert prompt["parameters"] == {"stop": ["END"]}
