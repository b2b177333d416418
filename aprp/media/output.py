"""The client's side of a delivery: how its answer begins, what was promised, what has gone out."""

import asyncio
import secrets
from typing import Protocol

from aprp.media.cutter import Piece
from aprp.media.fields import not_modified_fields, parts_fields, relayed_fields, span_fields
from aprp.semantics.answer import Parts
from aprp.semantics.headers import Fields
from aprp.semantics.multipart import Framing
from aprp.semantics.ranges import Span
from aprp.upstream.head import ResponseHead


class Sink(Protocol):
    """Where the answer goes."""

    def begin(
        self,
        status: int,
        reason: str,
        fields: Fields,
        length: int | None,
        range_text: str | None = None,
    ) -> None:
        """Start the answer; `length` is that of its body, None where it is not known."""

    def write(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """Send body bytes; the future, if any, is done when their memory may be used again."""

    def offer(self, view: memoryview) -> int:
        """Send of body bytes what can be sent now; how many those are."""

    def interim(self, head: ResponseHead) -> None:
        """Hand on an interim response (1xx)."""

    def asks(self, origin: str) -> None:
        """Note which origin is asked."""


class Output:
    """One answer: begun once, as one of four kinds, then written to.

    `begun` says whether the client has been promised anything, `delivered` how many bytes of a
    body it was given. `age`, in seconds, and `cache_status` tell what a cache did for it.
    """

    def __init__(self, sink: Sink, via: str, method: str) -> None:
        self.begun = False
        self.delivered = 0
        self._sink = sink
        self._via = via
        self._head_only = method == "HEAD"
        self._promised: int | None = None
        self.age: int | None = None
        self.cache_status: str | None = None

    @property
    def missing(self) -> int:
        """How many of the bytes promised have not been given."""
        if self._head_only or self._promised is None:
            return 0
        return self._promised - self.delivered

    def write(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """Send body bytes."""
        self.delivered += sum(map(len, pieces))
        return self._sink.write(*pieces)

    def offer(self, view: memoryview) -> int:
        """Send of body bytes what can be sent now; how many those are."""
        count = self._sink.offer(view)
        self.delivered += count
        return count

    def relay(self, head: ResponseHead) -> None:
        """Begin with the origin's own status and fields."""
        text = head.fields.get("Content-Length")
        bodiless = self._head_only or head.status in (204, 304)
        length = 0 if bodiless else int(text) if text is not None else None
        self._begin(head.status, head.reason, relayed_fields(head, self._via), length)

    def not_modified(self, head: ResponseHead) -> None:
        """Begin a 304."""
        self._begin(304, "Not Modified", not_modified_fields(head, self._via), 0)

    def span(self, head: ResponseHead, span: Span, total: int | None) -> None:
        """Begin a 206 with one span."""
        fields = span_fields(head, self._via, span, total)
        self._begin(206, "Partial Content", fields, span.length, fields.get("Content-Range"))

    def parts(self, head: ResponseHead, parts: Parts) -> Framing:
        """Begin a 206 with several spans, whose framing is up to the caller."""
        framing = Framing(
            secrets.token_hex(16), head.fields.get("Content-Type"), parts.spans, parts.total
        )
        first = parts.spans[0].to_content_range(parts.total)
        text = f"{first} and {len(parts.spans) - 1} more"
        fields = parts_fields(head, self._via, framing)
        self._begin(206, "Partial Content", fields, framing.content_length, text)
        return framing

    def _begin(
        self,
        status: int,
        reason: str,
        fields: Fields,
        length: int | None,
        range_text: str | None = None,
    ) -> None:
        self.begun = True
        self._promised = length
        if self.age is not None:
            fields["Age"] = str(self.age)
        if self.cache_status is not None:
            # Caches nearer to the origin come first (RFC 9211 section 2).
            before = fields.get("Cache-Status")
            fields["Cache-Status"] = (
                f"{before}, {self.cache_status}" if before else self.cache_status
            )
        self._sink.begin(status, reason, fields, length, range_text)
