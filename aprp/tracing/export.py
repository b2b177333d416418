"""The way of spans to a collector: in a thread, in batches, OTLP over HTTP.

The SDK's batch processor takes spans without waiting and drops them when its queue is full, so that
no request ever waits for the collector. What goes wrong is told in the log when it begins, when it
is over, and now and then between.
"""

import asyncio
import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from aprp import __version__
from aprp.tracing.spans import Tracing

_log = logging.getLogger("aprp")
_sdk = logging.getLogger("opentelemetry")

FLUSH_LIMIT: Final = 2.0
"""Seconds that a stop waits for the collector to take the last spans."""

REMIND_AFTER: Final = 600.0
"""Seconds until it is told again that spans are lost."""

_ERRNO: Final = re.compile(r"\[Errno -?\d+\] ([^'\")\]]+)|(Read timed out)")
_MOST_CAUSE: Final = 200

_FULL: Final = (
    "requests come faster than the collector takes spans: what does not fit into the queue "
    "(OTEL_BSP_MAX_QUEUE_SIZE) is lost"
)

# Loggers that tell what happened to a batch, which `Watched` tells.
_OF_BATCHES: Final = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal")


class Notes(logging.Handler):
    """Takes the lines of OpenTelemetry's packages, so that none is a traceback for each batch.

    `cause` is why the batch at hand failed, if it did. All else goes to aprp's log, each line once.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.cause = ""
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line."""
        text = record.getMessage()
        full = text.startswith("Queue full")
        if record.name.startswith(_OF_BATCHES) and not full:
            # The first is the cause, the others say that it was tried again.
            self.cause = self.cause or text
        elif record.msg not in self._told:
            self._told.add(record.msg)
            _log.warning("OpenTelemetry: %s", _FULL if full else text)

    def install(self) -> "Notes":
        """Take the place of an earlier one."""
        for handler in [each for each in _sdk.handlers if isinstance(each, Notes)]:
            _sdk.removeHandler(handler)
        _sdk.addHandler(self)
        _sdk.propagate = False
        return self


class Watched(SpanExporter):
    """An exporter whose failures and recoveries are told in the log, once each.

    Used by the processor's thread alone, but for `give_up`.
    """

    def __init__(self, exporter: SpanExporter, notes: Notes) -> None:
        self._exporter = exporter
        self._notes = notes
        self._lost = 0
        self._remind_at = 0.0
        self._given_up = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hand spans on; a failure is theirs alone."""
        if self._given_up:
            return SpanExportResult.FAILURE
        self._notes.cause = ""
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            self._notes.cause = f"{type(error).__name__}: {error}"
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            self._taken()
        elif not self._given_up:
            # After that the log may be closed; that it was given up is told already.
            self._failed(len(spans))
        return result

    def _taken(self) -> None:
        if self._lost:
            _log.warning("OpenTelemetry: the collector takes spans again, %d were lost", self._lost)
        self._lost = 0
        self._remind_at = 0.0

    def _failed(self, count: int) -> None:
        self._lost += count
        now = time.monotonic()
        if now < self._remind_at:
            return
        self._remind_at = now + REMIND_AFTER
        _log.warning(
            "OpenTelemetry: the collector takes no spans (%s): they are lost until it does, "
            "%d by now; requests are not affected",
            short(self._notes.cause),
            self._lost,
        )

    def give_up(self) -> None:
        """Try no more: end a wait for the next attempt, and drop what is left."""
        self._given_up = True
        self._exporter.shutdown()

    def shutdown(self) -> None:
        """The processor has ended."""
        if not self._given_up:
            self._exporter.shutdown()


def short(cause: str) -> str:
    """Give what matters of what the exporter says, in a few words."""
    if match := _ERRNO.search(cause):
        return (match[1] or match[2]).strip().lower()
    return " ".join(cause.split())[:_MOST_CAUSE] or "it did not answer in time"


class ExportedTracing(Tracing):
    """Tracing whose spans go to a collector."""

    def __init__(self, provider: TracerProvider, exporter: Watched) -> None:
        super().__init__(provider)
        self._provider = provider
        self._exporter = exporter

    async def close(self) -> None:
        """Send what is not sent yet, for FLUSH_LIMIT seconds at most; the loop goes on."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            # Where it took too long, the loop is closed by now.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        # Not in the loop's executor, whose threads are waited for at the end.
        threading.Thread(target=shut_down, name="aprp-spans", daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), FLUSH_LIMIT)
        except TimeoutError:
            _log.warning("OpenTelemetry: stopped before the collector took the last spans")
            self._exporter.give_up()


def make_tracing(worker: int) -> ExportedTracing:
    """Make the tracing of this process; starts the thread that sends.

    The OTEL_* variables say where to and how much. Raises ValueError, RuntimeError or OSError
    for what they must not say.
    """
    exporter = Watched(OTLPSpanExporter(), Notes().install())
    provider = TracerProvider(resource=resource(worker), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return ExportedTracing(provider, exporter)


def resource(worker: int) -> Resource:
    """Who makes the spans; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say it better."""
    own: dict[str, Any] = {
        "service.name": "aprp",
        "service.version": __version__,
        "process.pid": os.getpid(),
        "aprp.worker": worker,
    }
    return Resource.create(own | dict(OTELResourceDetector().detect().attributes))
