"""A collector of OpenTelemetry: takes OTLP over HTTP, and keeps the spans."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.programs import PATIENCE


class Taken:
    """A span that came: what a test wants to know of it."""

    def __init__(self, span: Span, resource: dict[str, Any]) -> None:
        self.trace_id = span.trace_id.hex()
        self.span_id = span.span_id.hex()
        self.parent_id = span.parent_span_id.hex()
        self.name = span.name
        self.kind = Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower()
        self.attributes = values(span.attributes)
        self.failed = span.status.code == 2
        self.begin, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.resource = resource

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} {self.span_id} of {self.parent_id} {self.attributes}>"


def values(pairs: Any) -> dict[str, Any]:
    """Attributes as Python has them."""

    def value(pair: KeyValue) -> Any:
        kind = pair.value.WhichOneof("value")
        return None if kind is None else getattr(pair.value, kind)

    return {pair.key: value(pair) for pair in pairs}


class Collector:
    """Listens on a free port. While `hangs` is set it takes batches and does not answer them."""

    def __init__(self) -> None:
        self.spans: list[Taken] = []
        self.batches = 0
        self.status = 200
        self.hangs = threading.Event()
        self._released = threading.Event()
        self._changed = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._take(self)

            def log_message(self, format: str, *arguments: object) -> None:
                """A test has its own words."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self._changed:
            self.batches += 1
            self._changed.notify_all()
        if self.hangs.is_set():
            self._released.wait(PATIENCE)
            handler.close_connection = True
            return
        assert handler.path == "/v1/traces", handler.path
        assert handler.headers["Content-Type"] == "application/x-protobuf"
        if self.status == 200:
            message = ExportTraceServiceRequest.FromString(body)
            found = [
                Taken(span, values(of_resource.resource.attributes))
                for of_resource in message.resource_spans
                for of_scope in of_resource.scope_spans
                for span in of_scope.spans
            ]
            with self._changed:
                self.spans += found
                self._changed.notify_all()
        answer = ExportTraceServiceResponse().SerializeToString()
        handler.send_response(self.status)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def wait(self, what: Callable[[], Any]) -> Any:
        """Wait until something is true of what has come; gives it."""
        with self._changed:
            if not self._changed.wait_for(what, PATIENCE):
                pytest.fail(f"not within {PATIENCE:g} s; there are {self.spans}")
            return what()

    def of(self, trace_id: str, kinds: str) -> list[Taken]:
        """Wait for as many spans of a trace as there are words in `kinds`; in that order of kinds.

        Fails where they are others.
        """
        wanted = kinds.split()

        def there() -> list[Taken] | None:
            found = [span for span in self.spans if span.trace_id == trace_id]
            return found if len(found) >= len(wanted) else None

        found = self.wait(there)
        assert sorted(span.kind for span in found) == sorted(wanted), found
        return sorted(found, key=lambda span: (wanted.index(span.kind), span.begin))

    def close(self) -> None:
        """Be gone."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
