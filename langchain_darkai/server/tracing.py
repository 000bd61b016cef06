"""A span of OpenTelemetry for each chat, where the program has `opentelemetry-api`; what to do with them is its choice.

The attributes are those of the semantic conventions for generative AI. They hold no texts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from langchain_darkai.server.exchange import Exchange

__all__ = ["Tracing"]


class Tracing:
    """Opens the spans of one application. Without `opentelemetry-api`, it does nothing."""

    def __init__(self) -> None:
        self._api: Any = None
        try:
            import opentelemetry.propagate
            import opentelemetry.trace
        except ImportError:
            return
        self._api = opentelemetry
        self._tracer = opentelemetry.trace.get_tracer("langchain_darkai.server")

    @contextmanager
    def span(self, request: web.Request, exchange: Exchange) -> Iterator[None]:
        """Open a span for a chat, below the client's where it sends one, and above those of the model."""
        if self._api is None or exchange.path != "/chat":
            yield
            return
        trace = self._api.trace
        above = self._api.propagate.extract(request.headers)
        span = self._tracer.start_span("chat", context=above, kind=trace.SpanKind.SERVER)
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield
        finally:
            if span.is_recording():
                _describe(span, exchange)
                if exchange.error is not None or exchange.status >= 500:
                    span.set_status(trace.StatusCode.ERROR)
            span.end()


def _describe(span: Any, exchange: Exchange) -> None:
    known = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "langchain_darkai",
        "gen_ai.request.model": exchange.model,
        "gen_ai.usage.input_tokens": exchange.usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": exchange.usage.get("output_tokens"),
        "http.response.status_code": exchange.status,
        "error.type": exchange.error,
        "langchain_darkai.request_id": exchange.request_id,
        "langchain_darkai.time_to_first_text": exchange.first_text,
    }
    span.set_attributes({name: value for name, value in known.items() if value is not None})
    if exchange.model is not None:
        span.update_name(f"chat {exchange.model}")
