"""Spans as the SDK has them at the end: who is whose parent, what is an error."""

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode

from aprp.semantics.tracing import TraceParent, trace_parent
from aprp.tracing.spans import RequestSpan, Tracing
from aprp.upstream.errors import ConnectFailed
from tests.loops import both_loops

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Kept:
    """Tracing whose spans stay in memory."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False, **options)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    def request(self, fields: Mapping[str, str]) -> RequestSpan:
        return self.tracing.request(
            "GET",
            "/film",
            "HTTP/1.1",
            ("http", "a.example"),
            fields.get,
            client="192.0.2.7",
            peer="192.0.2.1",
            request_id="3f2a",
        )

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


def end(
    span: RequestSpan,
    status: int,
    why: str | None = None,
    *,
    sent: int = 0,
    range_text: str | None = None,
    first_byte: float | None = None,
) -> None:
    span.end(status, sent=sent, range_text=range_text, first_byte=first_byte, why=why)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    assert span.attributes is not None
    return dict(span.attributes)


def name_of(span: ReadableSpan) -> TraceParent:
    assert span.context is not None
    return TraceParent(f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")


def test_a_request_is_the_child_of_who_sent_it() -> None:
    kept = Kept()
    state = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    span = kept.request({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": state})
    end(span, 206, sent=100, range_text="bytes 0-99/1000", first_byte=0.5)
    (told,) = kept.spans
    assert told.kind is SpanKind.SERVER and told.name == "GET"
    assert told.parent is not None and told.parent.is_remote
    assert f"{told.parent.span_id:016x}" == SPAN
    own = name_of(told)
    assert own.trace_id == TRACE and own.span_id != SPAN
    assert trace_parent(span.traceparent) == own
    assert told.context is not None and told.context.trace_state.to_header() == state
    wanted = {
        "client.address": "192.0.2.7",
        "network.peer.address": "192.0.2.1",
        "aprp.request_id": "3f2a",
        "http.response.status_code": 206,
        "aprp.bytes": 100,
        "aprp.range": "bytes 0-99/1000",
        "aprp.first_byte": 0.5,
    }
    assert attributes(told).items() >= wanted.items()
    assert told.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    "parent", [None, "", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"]
)
def test_without_a_parent_a_trace_begins(parent: str | None) -> None:
    kept = Kept()
    end(kept.request({} if parent is None else {"traceparent": parent}), 200)
    assert kept.spans[0].parent is None
    assert name_of(kept.spans[0]).trace_id != TRACE


def test_the_flags_of_a_later_version() -> None:
    kept = Kept()
    span = kept.request({"traceparent": f"cc-{TRACE}-{SPAN}-ff-more"})
    end(span, 200)
    assert span.traceparent.startswith(f"00-{TRACE}-")
    assert int(span.traceparent[-2:], 16) & ~0x03 == 0


def test_what_is_not_sampled_is_named_all_the_same() -> None:
    kept = Kept(sampler=ParentBased(ALWAYS_OFF))
    unsampled = kept.request({"traceparent": f"00-{TRACE}-{SPAN}-00"})
    unsampled.answered("aprp; hit")
    end(unsampled, 200)
    assert kept.spans == ()
    named = trace_parent(unsampled.traceparent)
    assert named is not None and (named.trace_id, unsampled.traceparent[-2:]) == (TRACE, "00")
    end(kept.request({"traceparent": f"00-{TRACE}-{SPAN}-01"}), 200)
    assert len(kept.spans) == 1


def test_what_is_asked_hangs_below_what_asks() -> None:
    kept = Kept()
    request = kept.request({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1,b=2"})
    fill = kept.tracing.fill(
        {"TraceParent": request.traceparent, "tracestate": "a=1,b=2"}, 0, 1000, "window", False
    )
    fields = [("Range", "bytes=0-999"), ("TRACESTATE", "a=1"), ("tracestate", "b=2")]
    fields.append(("Traceparent", fill.traceparent))
    asked = kept.tracing.origin("GET", "http://o.example/film", "o.example", 80, fields, 1)
    asked.end(206, received=1000, aborted=False, error=None)
    fill.end(got=1000, resumes=1, error=None)
    end(request, 200)
    origin, filled, served = kept.spans
    assert [span.kind for span in kept.spans] == [
        SpanKind.CLIENT,
        SpanKind.INTERNAL,
        SpanKind.SERVER,
    ]
    for child, parent in ((origin, filled), (filled, served)):
        assert child.parent == parent.context and child.parent is not None
        assert not child.parent.is_remote
    assert attributes(filled) == {
        "aprp.range": "bytes=0-999",
        "aprp.fill.kind": "window",
        "aprp.fill.adopted": False,
        "aprp.fill.resumes": 1,
        "aprp.bytes": 1000,
    }
    assert attributes(origin)["http.request.resend_count"] == 1
    assert origin.context is not None and origin.context.trace_state.to_header() == "a=1,b=2"


@pytest.mark.parametrize(
    ("status", "why", "error"),
    [
        pytest.param(404, None, None, id="a client's mistake is none of the server's"),
        pytest.param(504, None, "504", id="5xx"),
        pytest.param(206, "origin broke", "cut_short", id="an answer that is not complete"),
        pytest.param(206, "client went away", None, id="a client that leaves"),
        pytest.param(0, "client went away", None, id="before there was an answer"),
        pytest.param(101, "client broke the connection", None, id="a tunnel that a client ends"),
        pytest.param(200, "origin broke the connection", "cut_short", id="one that breaks"),
    ],
)
def test_errors_of_requests(status: int, why: str | None, error: str | None) -> None:
    kept = Kept()
    end(kept.request({}), status, why)
    (told,) = kept.spans
    assert attributes(told).get("error.type") == error
    assert (told.status.status_code is StatusCode.ERROR) == (error is not None)
    assert attributes(told).get("aprp.end") == why
    assert attributes(told).get("http.response.status_code") == (status or None)


@pytest.mark.parametrize(
    ("status", "aborted", "failure", "error"),
    [
        pytest.param(206, False, None, None, id="well"),
        pytest.param(304, False, None, None, id="304"),
        pytest.param(404, False, None, "404", id="to a client span 4xx are errors"),
        pytest.param(503, False, None, "503", id="5xx"),
        pytest.param(0, False, ConnectFailed("refused"), "ConnectFailed", id="not reached"),
        pytest.param(206, True, None, None, id="what is not wanted any more"),
    ],
)
def test_errors_of_questions(
    status: int, aborted: bool, failure: Exception | None, error: str | None
) -> None:
    kept = Kept()
    asked = kept.tracing.origin("GET", "http://o.example/", "o.example", 80, [], 0)
    asked.end(status, received=0, aborted=aborted, error=failure)
    (told,) = kept.spans
    assert attributes(told).get("error.type") == error
    assert (told.status.status_code is StatusCode.ERROR) == (error is not None)
    assert attributes(told).get("aprp.aborted", False) is aborted


@both_loops
async def test_without_a_collector_there_is_nothing_to_close() -> None:
    kept = Kept()
    await kept.tracing.close()
    end(kept.request({}), 200)
    assert len(kept.spans) == 1
