"""What a server counts for Prometheus: requests, errors, times, tokens, and what is running and waiting.

With the environment variable PROMETHEUS_MULTIPROC_DIR, several processes count together: each writes into files of that
folder, and each answers with the sum. `langchain-darkai serve --workers` sets it up.
"""

import os
from types import ModuleType
from typing import Any

from aiohttp import web

from langchain_darkai.server.exchange import Exchange

__all__ = ["MULTIPROC_DIR", "Metrics", "forget_process"]

MULTIPROC_DIR = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder in which several processes count together."""

_TIMES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Bounds of the histograms, in seconds."""


class Metrics:
    """The metrics of one application; ValueError where `prometheus_client` is not installed."""

    def __init__(self) -> None:
        client = self._client = _import_client()
        self._registry = client.CollectorRegistry()

        def new(kind: Any, name: str, text: str, *labels: str, **options: Any) -> Any:
            return kind(f"langchain_darkai_{name}", text, labels, registry=self._registry, **options)

        self._requests = new(
            client.Counter, "requests", "Requests answered, by model and HTTP status.", "path", "model", "status"
        )
        self._errors = new(client.Counter, "errors", "Requests that failed, by class of the error.", "model", "error")
        self._first_text = new(
            client.Histogram, "first_text_seconds", "Time to the first text of a reply.", "model", buckets=_TIMES
        )
        self._duration = new(
            client.Histogram, "duration_seconds", "Time of a whole request for a chat.", "model", buckets=_TIMES
        )
        self._tokens = new(client.Counter, "tokens", "Tokens that models counted.", "model", "direction")
        self._counts = {
            what: new(client.Gauge, what, text, "model", multiprocess_mode="livesum")
            for what, text in {
                "running": "Replies that models are at work on.",
                "queued": "Requests that wait for a place at a model.",
            }.items()
        }

    def count(self, what: str, model: str, change: int) -> None:
        """Count what is "running" or "queued" up or down."""
        self._counts[what].labels(model).inc(change)

    def observe(self, exchange: Exchange) -> None:
        """Count a request that has ended."""
        model = exchange.model or ""
        self._requests.labels(exchange.path, model, str(exchange.status)).inc()
        if exchange.error is not None:
            self._errors.labels(model, exchange.error).inc()
        if exchange.model is None:  # it was refused, or was for something else
            return
        self._duration.labels(model).observe(exchange.total)
        if exchange.first_text is not None:
            self._first_text.labels(model).observe(exchange.first_text)
        for direction in ("input", "output"):
            self._tokens.labels(model, direction).inc(exchange.usage.get(f"{direction}_tokens", 0))

    async def answer(self, _request: web.Request) -> web.StreamResponse:
        """Answer with the metrics in the format of Prometheus: those of all processes where they count together."""
        registry = self._registry
        if MULTIPROC_DIR in os.environ:
            registry = self._client.CollectorRegistry()
            self._client.multiprocess.MultiProcessCollector(registry)
        body = self._client.generate_latest(registry)
        return web.Response(body=body, headers={"content-type": self._client.CONTENT_TYPE_LATEST})

    async def leave(self, _app: web.Application) -> None:
        """Take what is running out of the sums when the process ends."""
        if MULTIPROC_DIR in os.environ:
            forget_process(os.getpid(), os.environ[MULTIPROC_DIR])


def forget_process(pid: int, folder: str) -> None:
    """Take what is running in a process that has ended out of the sums; its other counts stay."""
    _import_client().multiprocess.mark_process_dead(pid, folder)


def _import_client() -> ModuleType:
    try:
        import prometheus_client
        import prometheus_client.multiprocess
    except ImportError as error:
        raise ValueError("Metrics need prometheus_client: pip install 'langchain-darkai[metrics]'.") from error
    return prometheus_client
