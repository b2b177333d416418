"""The way to a collector: what is told of it, and that a stop does not wait for it for ever."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from aprp import __version__
from aprp.tracing import export
from aprp.tracing.export import ExportedTracing, Notes, Watched, resource, short
from tests.loops import PATIENCE, both_loops

WELL, ILL = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


class Collector(SpanExporter):
    """Answers as it is told; `stuck` holds every batch up until it is shut down."""

    def __init__(self, stuck: bool = False) -> None:
        self.result: SpanExportResult | Exception = WELL
        self.taken = 0
        self.stuck = stuck
        self.asked = threading.Event()
        self.over = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        if self.stuck:
            assert self.over.wait(PATIENCE)
            return ILL
        if isinstance(self.result, Exception):
            raise self.result
        if self.result is WELL:
            self.taken += len(spans)
        else:
            sdk = logging.getLogger("opentelemetry.exporter.x")
            sdk.warning("Transient error: [Errno 111] Refused")
            sdk.error("Failed due to timeout")
        return self.result

    def shutdown(self) -> None:
        self.over.set()


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notes]:
    sdk = logging.getLogger("opentelemetry")
    before = sdk.propagate
    notes = Notes().install()
    yield notes
    sdk.removeHandler(notes)
    sdk.propagate = before


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What stands in the log of the program, which has no place for the packages' own lines."""
    return [record.getMessage() for record in caplog.records if record.name == "aprp"]


def test_failures_are_told_once_and_their_end_too(
    notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    collector = Collector()
    watched = Watched(collector, notes)
    spans: Any = [None] * 3
    assert watched.export(spans) is WELL
    collector.result = ILL
    assert [watched.export(spans) for _ in range(4)] == [ILL] * 4
    collector.result = ValueError("the endpoint is no URL")
    assert watched.export(spans) is ILL
    collector.result = WELL
    assert [watched.export(spans) for _ in range(2)] == [WELL] * 2
    assert told(caplog) == [
        "OpenTelemetry: the collector takes no spans (refused): they are lost until it does, "
        "3 by now; requests are not affected",
        "OpenTelemetry: the collector takes spans again, 15 were lost",
    ]
    assert all(record.exc_info is None for record in caplog.records if record.name == "aprp")


def test_what_lasts_is_told_again(
    notes: Notes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = Collector()
    collector.result = ValueError("no")
    watched = Watched(collector, notes)
    spans: Any = [None]
    for now in (1000.0, 1001.0, 1000.0 + export.REMIND_AFTER):
        monkeypatch.setattr(time, "monotonic", partial(float, now))
        watched.export(spans)
    assert [message.partition("; ")[0][-8:] for message in told(caplog)] == [
        "1 by now",
        "3 by now",
    ]


def test_lines_of_the_packages_are_no_tracebacks(
    notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    sdk = logging.getLogger("opentelemetry.sdk.trace")
    for _ in range(3):
        try:
            raise ValueError("x")
        except ValueError:
            sdk.exception("Unable to parse %s", "OTEL_BSP_SCHEDULE_DELAY")
    for _ in range(3):
        logging.getLogger("opentelemetry.sdk._shared_internal").warning("Queue full, dropping it.")
    assert told(caplog) == [
        "OpenTelemetry: Unable to parse OTEL_BSP_SCHEDULE_DELAY",
        "OpenTelemetry: requests come faster than the collector takes spans: what does not fit "
        "into the queue (OTEL_BSP_MAX_QUEUE_SIZE) is lost",
    ]
    assert all(record.exc_info is None for record in caplog.records if record.name == "aprp")


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            "Transient error HTTPConnectionPool(host='localhost', port=4318): Max retries exceeded "
            "with url: /v1/traces (Caused by NewConnectionError(\"HTTPConnection(host='localhost',"
            ' port=4318): Failed to establish a new connection: [Errno 111] Connection refused"))',
            "connection refused",
        ),
        ("HTTPConnectionPool(host='a'): Read timed out. (read timeout=10)", "read timed out"),
        (
            "Failed to export spans batch code: 404, reason: Not Found",
            "Failed to export spans batch code: 404, reason: Not Found",
        ),
        ("", "it did not answer in time"),
        ("line\n  break " + "x" * 1000, "line break " + "x" * 189),
    ],
)
def test_causes_in_a_few_words(said: str, cause: str) -> None:
    assert short(said) == cause


def tracing_to(collector: Collector, notes: Notes) -> tuple[ExportedTracing, TracerProvider]:
    watched = Watched(collector, notes)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(watched, schedule_delay_millis=60_000))
    return ExportedTracing(provider, watched), provider


@both_loops
async def test_a_stop_sends_what_is_left(notes: Notes) -> None:
    collector = Collector()
    tracing, provider = tracing_to(collector, notes)
    for _ in range(3):
        provider.get_tracer("x").start_span("x").end()
    await tracing.close()
    assert collector.taken == 3 and collector.over.is_set()


@both_loops
async def test_a_stop_does_not_wait_for_a_collector_that_hangs(
    notes: Notes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(export, "FLUSH_LIMIT", 0.05)
    collector = Collector(stuck=True)
    tracing, provider = tracing_to(collector, notes)
    provider.get_tracer("x").start_span("x").end()
    async with asyncio.timeout(PATIENCE):
        await tracing.close()
    assert collector.asked.is_set() and collector.over.is_set()
    assert told(caplog)[0] == "OpenTelemetry: stopped before the collector took the last spans"
    names = ("aprp-spans", "OtelBatchSpanRecordProcessor")
    for thread in [each for each in threading.enumerate() if each.name in names]:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    # Whoever comes late finds the log closed.
    assert len(told(caplog)) == 1


def test_who_makes_the_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)
    own = resource(3).attributes
    assert (own["service.name"], own["service.version"]) == ("aprp", __version__)
    assert own["aprp.worker"] == 3
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment.name=t")
    assert resource(0).attributes["service.name"] == "a"
    assert resource(0).attributes["deployment.environment.name"] == "t"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "edge")
    assert resource(0).attributes["service.name"] == "edge"
