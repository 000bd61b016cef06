"""The span of a chat, for those who have OpenTelemetry."""

import sys
from collections.abc import Iterator
from typing import Any

import opentelemetry.trace
import pytest
from langchain_core.messages import AIMessageChunk
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langchain_darkai import DarkAIRateLimitError
from langchain_darkai.testing import FunctionChatModel
from tests.support.app_client import serving, text_of
from tests.support.models import scripted

USAGE = AIMessageChunk(content="", usage_metadata={"input_tokens": 12, "output_tokens": 34, "total_tokens": 46})


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(opentelemetry.trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


async def test_a_chat_is_a_span_with_the_attributes_of_generative_ai(spans: InMemorySpanExporter) -> None:
    async with serving({"mine": scripted("A secret reply", USAGE)}) as client:
        await client.events("A secret prompt")
        await client.session.get(f"{client.url}/health")
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind, span.parent) == ("chat mine", opentelemetry.trace.SpanKind.SERVER, None)
    attributes = dict(span.attributes or {})
    assert 0 < attributes.pop("langchain_darkai.time_to_first_text") < 10  # type: ignore[operator]
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "langchain_darkai",
        "gen_ai.request.model": "mine",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 34,
        "http.response.status_code": 200,
        "langchain_darkai.request_id": "asked",
    }
    assert span.status.is_unset
    assert "secret" not in span.to_json()


async def test_the_span_lies_between_the_clients_and_the_models(spans: InMemorySpanExporter) -> None:
    seen: list[Any] = []

    def reply(_messages: Any, _tools: Any) -> str:
        seen.append(opentelemetry.trace.get_current_span().get_span_context())
        return "Hi"

    above = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    model = FunctionChatModel(reply)
    async with serving(model) as client, client.chat(headers={"traceparent": above}) as response:
        await response.read()
    (span,) = spans.get_finished_spans()
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" in above
    assert seen == [span.context]


@pytest.mark.parametrize("pieces", [(DarkAIRateLimitError("a secret"),), ("Hi", DarkAIRateLimitError("a secret"))])
async def test_an_error_is_told_by_its_class(spans: InMemorySpanExporter, pieces: Any) -> None:
    async with serving(scripted(*pieces)) as client, client.chat() as response:
        await response.read()
    (span,) = spans.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ModelRateLimitError"
    assert not span.status.is_ok
    assert not span.status.is_unset
    assert "secret" not in span.to_json()


async def test_nothing_is_needed_where_opentelemetry_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("opentelemetry.propagate", "opentelemetry.trace"):
        monkeypatch.setitem(sys.modules, name, None)
    async with serving(scripted("Hi")) as client:
        assert text_of(await client.events()) == "Hi"
