"""Batches over a real server and over other runnables: what is asked, what is written, and what goes wrong."""

import asyncio
import io
import json
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import BaseModel

from langchain_darkai import ChatDarkAI
from langchain_darkai.bulk import Answer, BatchReport, MalformedRow, arun_batch, run_batch
from langchain_darkai.testing import ReceivedCall, reply
from langchain_darkai.testing.wire import END, HOLD, STREAM, Step, answer, chunk, text
from tests.support.asker import ModelOf, Serve


def echo(request: ReceivedCall) -> list[Step]:
    return reply(f"reply to {request.query}", usage={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows_in(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_file_of_rows_becomes_a_file_of_answers(serve: Serve, model_of: ModelOf, tmp_path: Path) -> None:
    server = serve(echo)
    rows = rows_in(
        tmp_path / "rows.jsonl",
        {"prompt": "One"},
        {"id": "b", "messages": [["system", "Be brief."], ["user", "Two"]], "temperature": 0.5},
        {"id": "c", "prompt": "Three", "model": "gpt-4o", "stop": " to"},
    )
    report = run_batch(model_of(server), rows, tmp_path / "answers.jsonl")
    found = {line["id"]: line for line in lines(tmp_path / "answers.jsonl")}
    assert found[1]["text"] == "reply to One"
    assert found["b"]["text"].startswith("reply to ")
    assert found["c"]["text"] == "reply"
    assert found[1]["usage"]["total_tokens"] == 7
    assert found[1]["started"].endswith("+00:00")
    assert found[1]["seconds"] >= 0
    asked = {request.query.split()[-1]: request.body for request in server.calls}
    assert (asked["Three"]["model"], [body.get("temperature") for body in asked.values()].count(0.5)) == ("gpt-4o", 1)
    assert (report.answered, report.failed, report.total, report.done, report.is_success) == (3, 0, 3, 3, True)
    assert report.input_tokens == sum(line["usage"]["input_tokens"] for line in found.values()) >= 6
    assert report.output_tokens == sum(line["usage"]["output_tokens"] for line in found.values()) >= 8


def test_a_structured_answer_is_a_value(serve: Serve, model_of: ModelOf) -> None:
    class Person(BaseModel):
        name: str

    def respond(request: ReceivedCall) -> list[Step]:
        return reply('{"name": "Ada"}' if "Ada" in request.query else "I do not know.")

    model = model_of(serve(respond), max_reasks=0)
    for schema in (Person, Person.model_json_schema()):
        answers: list[Answer] = []
        report = run_batch(model, ["Who is Ada?", "Who?"], answers.append, schema=schema)
        good, bad = sorted(answers, key=lambda one: one["id"])
        assert good["value"] == {"name": "Ada"}
        assert (bad["text"], bad["error"]["type"]) == ("I do not know.", "OutputParserException")
        assert (report.answered, report.failed) == (1, 1)


def test_calls_are_in_the_answer(serve: Serve, model_of: ModelOf) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    call = '<tool_call>{"name": "add", "arguments": {"a": 2, "b": 3}}</tool_call>'
    answers: list[Answer] = []
    run_batch(model_of(serve(reply(call))).bind_tools([add]), ["Add 2 and 3."], answers.append)
    assert [(made["name"], made["args"]) for made in answers[0]["calls"]] == [("add", {"a": 2, "b": 3})]


def test_any_runnable_can_be_asked() -> None:
    chain = (
        ChatPromptTemplate.from_template("About {topic}?") | FakeListChatModel(responses=["Tea."]) | StrOutputParser()
    )
    answers: list[Answer] = []
    run_batch(chain, [{"input": {"topic": "tea"}}], answers.append)
    run_batch(RunnableLambda(len), ["four"], answers.append)
    assert [one.get("text", one.get("value")) for one in answers] == ["Tea.", 4]


def test_a_failure_is_kept_and_asked_again_only_where_that_is_wanted(
    serve: Serve, model_of: ModelOf, tmp_path: Path
) -> None:
    refused = {"2", "4"}

    def respond(request: ReceivedCall) -> list[Step]:
        return answer(429, '{"error": "slow down"}') if request.query in refused else echo(request)

    server = serve(respond)
    rows, answers = [str(number) for number in range(1, 7)], tmp_path / "answers.jsonl"
    first = run_batch(model_of(server), rows, answers)
    assert (first.answered, first.failed, first.is_success) == (4, 2, False)
    errors = {line["id"]: line["error"] for line in lines(answers) if "error" in line}
    assert {number: (error["type"], error["is_retryable"]) for number, error in errors.items()} == {
        2: ("DarkAIRateLimitError", True),
        4: ("DarkAIRateLimitError", True),
    }
    second = run_batch(model_of(server), rows, answers)
    assert (second.skipped, second.kept_failures, second.done, len(server.calls)) == (6, 2, 6, 6)
    assert not second.is_success
    refused.remove("2")
    third = run_batch(model_of(server), rows, answers, retry_failed=True)
    assert (third.skipped, third.answered, third.failed, len(server.calls)) == (4, 1, 1, 8)
    assert sorted(line["id"] for line in lines(answers)) == [1, 2, 3, 4, 5, 6]


def test_a_row_that_changed_is_asked_and_equal_rows_are_each_asked_once(
    serve: Serve, model_of: ModelOf, tmp_path: Path
) -> None:
    server, answers = serve(echo), tmp_path / "answers.jsonl"
    run_batch(model_of(server), ["same", "same", "other"], answers)
    assert len(server.calls) == 3
    report = run_batch(model_of(server), ["new", "same", "same", "same", "changed"], answers)
    assert sorted(request.query for request in server.calls[3:]) == ["changed", "new", "same"]
    assert (report.skipped, report.answered) == (2, 3)


def test_malformed_rows_are_told_and_the_others_are_asked(serve: Serve, model_of: ModelOf, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "One"}\n{"prompt"\n{"promt": "Three"}\n{"prompt": "Four"}\n', encoding="utf-8")
    told: list[MalformedRow] = []
    answers: list[Answer] = []
    report = run_batch(model_of(serve(echo)), path, answers.append, on_malformed=told.append)
    assert [row.number for row in told] == [2, 3]
    assert sorted(one["id"] for one in answers) == [1, 4]
    assert (report.malformed, report.done, report.is_success) == (2, 4, False)


@pytest.mark.parametrize(("given", "of_the_model", "most"), [(None, None, 64), (None, 5, 5), (7, None, 7)])
def test_as_many_rows_are_asked_at_once_as_is_said(
    serve: Serve, model_of: ModelOf, given: int | None, of_the_model: int | None, most: int
) -> None:
    gate = threading.Event()
    server = serve([STREAM, gate, 0.05, chunk(text("Hello")) + END])

    def open_gate() -> None:
        server.wait_for(lambda server: server.peak >= most, 40.0)
        gate.set()

    thread = threading.Thread(target=open_gate)
    thread.start()
    model = model_of(server, max_concurrency=of_the_model, timeout=50.0)
    assert run_batch(model, ["Hi"] * (most + 20), lambda _: None, concurrency=given).answered == most + 20
    thread.join()
    assert server.peak == most


@pytest.mark.parametrize("rate", [20, "20/s", "1200/m"])
def test_rows_are_asked_at_a_rate(serve: Serve, model_of: ModelOf, rate: Any) -> None:
    server = serve(echo)
    run_batch(model_of(server), ["Hi"] * 5, lambda _: None, rate=rate)
    times = sorted(request.at for request in server.calls)
    assert times[-1] - times[0] > 0.1


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"rate": "fast"}, ValueError, "rate is a number of rows a second above 0, or a text such as 50/s"),
        ({"rate": 0}, ValueError, "rate is"),
        ({"concurrency": 0}, ValueError, "concurrency=0 is not a whole number of 1 or more"),
        ({"rows": "rows.txt"}, ValueError, "is of no kind that can be read"),
        ({"model": "gpt-4o"}, TypeError, "model is a str; give a chat model"),
        ({"model": RunnableLambda(len), "schema": {"title": "a"}}, TypeError, "A RunnableLambda takes no schema"),
        ({"schema": 5}, ValueError, "5"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_asked(
    serve: Serve, model_of: ModelOf, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    server = serve(echo)
    given: dict[str, Any] = {"model": model_of(server), "rows": ["Hi"], "sink": lambda _: None, **options}
    with pytest.raises(error, match=match):
        run_batch(**given)
    assert server.calls == []


def test_the_file_of_the_rows_is_not_the_file_of_the_answers(serve: Serve, model_of: ModelOf, tmp_path: Path) -> None:
    rows = rows_in(tmp_path / "rows.jsonl", "Hi")
    with pytest.raises(ValueError, match="is the file of the rows"):
        run_batch(model_of(serve(echo)), rows, tmp_path / "." / "rows.jsonl")
    assert rows.read_text(encoding="utf-8") == '"Hi"\n'


async def test_an_asynchronous_sink_is_awaited_and_progress_is_told(serve: Serve, model_of: ModelOf) -> None:
    kept: list[Any] = []
    seen: list[tuple[int, int | None]] = []

    async def keep(answer: Answer) -> None:
        await asyncio.sleep(0.001)
        kept.append(answer["id"])

    def show(report: BatchReport) -> None:
        seen.append((report.done, report.total))

    report = await arun_batch(model_of(serve(echo)), ["a", "b", "c"], keep, concurrency=2, on_progress=show)
    assert sorted(kept) == [1, 2, 3]
    assert seen[-1] == (3, 3)
    assert report.rate > 0
    assert report.seconds_left == 0


async def test_a_sink_that_fails_ends_the_batch(serve: Serve, model_of: ModelOf) -> None:
    server = serve(echo)

    def keep(_: Answer) -> None:
        raise OSError("The disk is full.")

    with pytest.raises(OSError, match="disk is full"):
        await arun_batch(model_of(server), ["Hi"] * 500, keep, concurrency=4)
    assert len(server.calls) < 20


async def test_rows_that_cannot_be_read_on_end_the_batch(serve: Serve, model_of: ModelOf) -> None:
    def rows() -> Iterator[str]:
        yield "One"
        raise OSError("The disk is gone.")

    with pytest.raises(OSError, match="disk is gone"):
        await arun_batch(model_of(serve(echo)), rows(), lambda _: None)


async def test_a_batch_that_is_cancelled_ends_its_calls_and_goes_on_later(
    serve: Serve, model_of: ModelOf, tmp_path: Path
) -> None:
    def first_answers(request: ReceivedCall) -> list[Step]:
        return echo(request) if request.query == "0" or len(server.calls) > 5 else [STREAM, HOLD]

    server, answers = serve(first_answers), tmp_path / "answers.jsonl"
    rows = [str(number) for number in range(20)]
    running = asyncio.ensure_future(arun_batch(model_of(server), rows, answers, concurrency=4))
    await server.await_for(lambda server: len(server.calls) == 5, 40.0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await server.await_for(lambda server: server.left == 4, 40.0)
    report = await arun_batch(model_of(server), rows, answers, concurrency=4)
    assert (report.skipped, report.answered) == (1, 19)
    assert sorted(line["id"] for line in lines(answers)) == list(range(1, 21))


class Instant(Runnable[Any, str]):
    """Answers at once."""

    def invoke(self, input: Any, config: Any = None, **_: Any) -> str:  # noqa: A002 - as core names it
        return str(input)

    async def ainvoke(self, input: Any, config: Any = None, **_: Any) -> str:  # noqa: A002
        return str(input)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peaks(count: int) -> tuple[int, int]:
        def rows() -> Iterator[dict[str, Any]]:
            return ({"id": number, "prompt": "x" * 200} for number in range(count))

        answers = tmp_path / f"{count}.jsonl"
        tracemalloc.start()
        assert run_batch(Instant(), rows(), answers).answered == count
        first = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert run_batch(Instant(), rows(), answers).skipped == count
        again = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return first, again

    peaks(500)
    few, many = peaks(1000), peaks(10_000)
    assert max(many) < max(few) + 1_500_000, "a row alone has 600 bytes"


def test_rows_are_read_only_as_far_as_they_are_needed() -> None:
    read, most_ahead, answered = 0, 0, 0

    def rows() -> Iterator[str]:
        nonlocal read
        for number in range(5000):
            read += 1
            yield str(number)

    def keep(_: Answer) -> None:
        nonlocal most_ahead, answered
        answered += 1
        most_ahead = max(most_ahead, read - answered)

    assert run_batch(Instant(), rows(), keep).answered == 5000
    assert most_ahead < 1000


def test_standard_input_is_read_as_jsonl() -> None:
    answers: list[Answer] = []
    run_batch(Instant(), io.BytesIO(b'{"prompt": "Hi"}\n\n{"prompt": "Ho"}\n'), answers.append)
    assert sorted((one["id"], one["text"]) for one in answers) == [(1, "Hi"), (3, "Ho")]


def test_a_model_of_the_package_is_asked_on_its_own_connections(serve: Serve) -> None:
    server = serve(echo)
    run_batch(ChatDarkAI(base_url=server.url), ["Hi"] * 30, lambda _: None, concurrency=3)
    assert server.connections <= 3
