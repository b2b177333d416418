"""The spans of aprp: a request, a fill, a question to an origin. Needs OpenTelemetry's packages.

A span is named to what is done in its name by `traceparent`, which goes where the field of that
name goes: from the request to the fields for an origin, to a fill with the marks of the request
that began it, and from each of them to the question that it asks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

from aprp import __version__
from aprp.semantics.headers import Pair
from aprp.semantics.tracing import is_trace_state, trace_parent
from aprp.tracing import attributes
from aprp.tracing.attributes import Attributes

_SCHEMA: Final = "https://opentelemetry.io/schemas/1.23.0"


class Span:
    """A span under way; `end` it once. `traceparent` is its name for what is asked under it."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        of = span.get_span_context()
        self.traceparent = f"00-{of.trace_id:032x}-{of.span_id:016x}-{of.trace_flags:02x}"

    def _end(self, told: Attributes, error: str | None, description: str | None = None) -> None:
        """End it; `error` is the value of error.type, and the span's status where there is one."""
        if error is not None:
            told["error.type"] = error
            self._span.set_status(Status(StatusCode.ERROR, description))
        self._span.set_attributes(told)
        self._span.end()


class RequestSpan(Span):
    """A client's request, from its head to the end of its answer (kind server)."""

    __slots__ = ()

    def answered(self, cache_status: str | None) -> None:
        """Note what the cache did for the answer that begins; None: it had no part in it."""
        if cache_status is not None:
            self._span.set_attributes(attributes.of_cache(cache_status))

    def end(
        self,
        status: int,
        *,
        sent: int,
        range_text: str | None,
        first_byte: float | None,
        why: str | None,
    ) -> None:
        """End it with the exchange; `why` says why the answer is not complete.

        A client's own mistakes, and its leaving, are not this proxy's errors.
        """
        told: Attributes = {"aprp.bytes": sent}
        if status:
            told["http.response.status_code"] = status
        if range_text is not None:
            told["aprp.range"] = range_text
        if first_byte is not None:
            told["aprp.first_byte"] = first_byte
        error = str(status) if status >= 500 else None
        if why is not None:
            told["aprp.end"] = why
            if error is None and not why.startswith("client "):
                error = "cut_short"
        self._end(told, error, why)


class FillSpan(Span):
    """A fetch for the cache, which several requests may read from (kind internal)."""

    __slots__ = ()

    def end(self, *, got: int, resumes: int, error: Exception | None) -> None:
        """End it; `got` bytes have come, and it was taken up again `resumes` times."""
        told: Attributes = {"aprp.bytes": got, "aprp.fill.resumes": resumes}
        kind = None if error is None else type(error).__name__
        self._end(told, kind, None if error is None else str(error))


class OriginSpan(Span):
    """A request to one origin (kind client)."""

    __slots__ = ()

    def end(
        self, status: int, *, received: int, aborted: bool, error: BaseException | None
    ) -> None:
        """End it; `status` is 0 where no head has come; `aborted`: the rest was not wanted."""
        told: Attributes = {"aprp.bytes": received}
        kind = None
        if status:
            told["http.response.status_code"] = status
            kind = str(status) if status >= 400 else None
        if aborted:
            told["aprp.aborted"] = True
        elif error is not None:
            kind = type(error).__name__
        self._end(told, kind, None if error is None else str(error))


class Tracing:
    """Makes the spans of one process. `close` is what its owner has to await at the end."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("aprp", __version__, _SCHEMA)

    async def close(self) -> None:
        """Send what is not sent yet, within a bound; does nothing where nothing is sent."""

    def request(
        self,
        method: str,
        resource: str,
        version: str,
        seen_as: tuple[str, str | None],
        get: Callable[[str], str | None],
        *,
        client: str,
        peer: str,
        request_id: str,
    ) -> RequestSpan:
        """Begin the span of a request, under the one that its traceparent names.

        For the first five see `aprp.tracing.attributes.of_request`.
        """
        told = attributes.of_request(method, resource, version, seen_as, get)
        told["client.address"] = client
        told["network.peer.address"] = peer
        told["aprp.request_id"] = request_id
        parent = _parent(get("traceparent"), get("tracestate"), remote=True)
        return RequestSpan(self._start(attributes.span_name(method), SpanKind.SERVER, parent, told))

    def fill(
        self, marks: Mapping[str, str], begin: int, stop: int, kind: str, adopted: bool
    ) -> FillSpan:
        """Begin the span of a fill of the bytes from `begin` up to `stop`.

        `marks` are the fields of the request that began it; `kind` is a short token; `adopted`: it
        takes over an answer that the request has asked for itself.
        """
        told: Attributes = {
            "aprp.range": f"bytes={begin}-{stop - 1}",
            "aprp.fill.kind": kind,
            "aprp.fill.adopted": adopted,
        }
        return FillSpan(self._start("fill", SpanKind.INTERNAL, _parent_in(marks.items()), told))

    def origin(
        self, method: str, url: str, host: str, port: int, fields: Sequence[Pair], again: int
    ) -> OriginSpan:
        """Begin the span of a request to an origin, which is the one after `again` others.

        `fields` are those of the request, with the traceparent of whoever asks.
        """
        by_name = {name.lower(): value for name, value in fields}
        told = attributes.of_question(method, url, host, port, by_name)
        if again:
            told["http.request.resend_count"] = again
        parent = _parent_in(fields)
        return OriginSpan(self._start(attributes.span_name(method), SpanKind.CLIENT, parent, told))

    def _start(
        self, name: str, kind: SpanKind, parent: trace.SpanContext | None, told: Attributes
    ) -> trace.Span:
        # Not that of the running task: a connection's callbacks run in the context of whoever
        # opened it, which may have been another request.
        context = trace.set_span_in_context(
            trace.INVALID_SPAN if parent is None else trace.NonRecordingSpan(parent)
        )
        return self._tracer.start_span(name, context, kind, told)


def _parent_in(fields: Iterable[Pair]) -> trace.SpanContext | None:
    """The span of this process that fields name; their tracestate may have several lines."""
    parent, states = None, []
    for name, value in fields:
        match name.lower():
            case "traceparent":
                parent = value
            case "tracestate":
                states.append(value)
    return _parent(parent, ",".join(states), remote=False)


def _parent(value: str | None, state: str | None, *, remote: bool) -> trace.SpanContext | None:
    """The span that a traceparent names; None where there is none, or it is malformed."""
    parent = trace_parent(value)
    if value is None or parent is None:
        return None
    return trace.SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=remote,
        # The flags of any version stand where those of version 00 do; of later ones only those
        # that are known here are meant (section 3.2.2.5).
        trace_flags=trace.TraceFlags(int(value[53:55], 16) & 0x03),
        trace_state=trace.TraceState.from_header([state])
        if state and is_trace_state(state)
        else None,
    )
