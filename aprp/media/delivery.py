"""From a client's question to its answer: asks the origin, decides, and streams.

One `Delivery` makes one client response of one or more origin responses. It writes to a `Sink`
and knows nothing of the client's connection behind it.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Protocol, assert_never

from aprp.media.cutter import Cut, Cutter, Piece
from aprp.media.errors import (
    BadOrigin,
    ConditionFailed,
    OriginBroke,
    RangeNotSatisfiable,
)
from aprp.media.fields import (
    not_modified_fields,
    parts_fields,
    relayed_fields,
    span_fields,
)
from aprp.semantics.answer import (
    Answer,
    Asked,
    AskWhole,
    Bad,
    NoSuchRange,
    Part,
    Parts,
    Relay,
    check_further_part,
    decide,
    range_to_send,
)
from aprp.semantics.conditions import NotModified, PreconditionFailed, Validators
from aprp.semantics.headers import Fields
from aprp.semantics.multipart import Framing
from aprp.semantics.ranges import IntRange, RangeSpec, Span
from aprp.upstream.asking import Ask, Reader
from aprp.upstream.errors import OriginFailure
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin

# Ranges up to this are held back, where only the end of a stream tells how long it is.
_WORTH_HOLDING = 65536

# The rest of a body that is not wanted is read rather than the connection closed, up to this.
_WORTH_READING = 65536


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

    def asks(self, origin: str) -> None:
        """Note which origin is asked."""


class Delivery(Reader):
    """The answer to one GET or HEAD."""

    def __init__(
        self,
        asked: Asked,
        target: str,
        fields: Mapping[str, str],
        sink: Sink,
        make_ask: Callable[[Reader], Ask],
        via: str,
    ) -> None:
        """`target` is path and query, `fields` the request's own, without Range and If-Range."""
        self.asked = asked
        self.begun = False
        self._target = target
        self._fields = fields
        self._sink = sink
        self._make_ask = make_ask
        self._via = via
        self._ask: Ask | None = None
        self._aborted = False
        self._sent: RangeSpec | None = None
        self._answer: Answer | None = None
        self._head: ResponseHead | None = None
        self._cutter: Cutter | None = None
        self._discard = False
        self._expected: int | None = None
        self._delivered = 0
        self._held: bytearray | None = None
        self._further: Callable[[ResponseHead], None] | None = None
        self._framing: Framing | None = None

    def abort(self) -> None:
        """The client is gone: end what is under way at the origin."""
        self._aborted = True
        if self._ask is not None:
            self._ask.abort()

    async def run(self) -> None:
        """Deliver.

        Raises an `aprp.media.errors` exception or an OriginFailure; after `begun` it means that
        the answer must be cut short.
        """
        await self._ask_origin(range_to_send(self.asked))
        if isinstance(self._answer, AskWhole) and not self._aborted:
            await self._ask_origin(None)
        match self._answer:
            case Relay() | Part() | NotModified():
                pass
            case Parts() as parts:
                await self._send_parts(parts)
            case NoSuchRange(total):
                raise RangeNotSatisfiable(total)
            case PreconditionFailed(field):
                raise ConditionFailed(field)
            case Bad(reason):
                raise BadOrigin(reason)
            case AskWhole():
                raise BadOrigin("the origin's answers do not settle which version it holds")
            case None:
                # Only an aborted delivery has no answer.
                return
            case never:
                assert_never(never)
        self._check_complete()

    def _check_complete(self) -> None:
        if self._aborted or self.asked.method == "HEAD":
            return
        if self._held is not None:
            self._answer_held()
            return
        if not self.begun and self._cutter is not None:
            # The stream ended before the range.
            raise RangeNotSatisfiable(self._cutter.position)
        if self._expected is not None and self._delivered < self._expected:
            raise OriginBroke(f"{self._expected - self._delivered} bytes are missing")

    async def _ask_origin(self, spec: RangeSpec | None, condition: str | None = None) -> None:
        """Ask the origin for a range, or the whole; `condition` is an If-Range of the proxy's."""
        fields = dict(self._fields)
        if spec is not None:
            fields["Range"] = f"bytes={spec}"
            if_range = condition or self.asked.if_range
            if if_range is not None:
                fields["If-Range"] = if_range
        if self.asked.ranges is not None:
            # Ranges are of the bytes as they are stored, whatever coding the client could take.
            fields["Accept-Encoding"] = "identity"
        self._sent = spec
        self._discard = False
        self._ask = self._make_ask(self)
        if self._aborted:
            return
        try:
            await self._ask.send(self.asked.method, self._target, fields)
        except OriginFailure as error:
            if not self.begun:
                raise
            raise OriginBroke(str(error)) from error
        finally:
            self._ask = None

    # Reader: what the origin says.

    def on_origin(self, origin: Origin) -> None:
        """Note who is asked, for the log."""
        self._sink.asks(origin.url)

    def on_head(self, head: ResponseHead) -> None:
        """Decide, and begin the answer where this response is the one."""
        if "Date" not in head.fields:
            # RFC 9110 section 6.6.1: who has a clock adds the time of receipt.
            head.fields.add("Date", formatdate(usegmt=True))
        if self._further is not None:
            self._further(head)
            return
        self._head = head
        answer = decide(self.asked, self._sent, head.status, head.fields.get)
        self._answer = answer
        match answer:
            case Relay():
                self._begin_relay(head)
            case Part() as part:
                self._begin_part(head, part)
            case NotModified():
                self._begin(304, "Not Modified", not_modified_fields(head, self._via), 0)
                self._reject(head)
            case Parts() as parts:
                self._begin_parts(head, parts)
            case NoSuchRange() | PreconditionFailed() | AskWhole() | Bad():
                self._reject(head)
            case never:
                assert_never(never)

    def on_body(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Send what the client is to have of it."""
        cutter = self._cutter
        if cutter is None:
            if self._discard:
                return None
            self._delivered += len(view)
            return self._sink.write(view)
        pieces = cutter.feed(view)
        waiting = None
        if self._held is not None:
            for piece in pieces:
                self._held += piece
        elif pieces:
            if not self.begun:
                assert self._head is not None and isinstance(self._answer, Part)
                self._begin_span(self._head, self._answer.span, None)
            self._delivered += sum(len(piece) for piece in pieces)
            waiting = self._sink.write(*pieces)
        if cutter.done and self._ask is not None and self._origin_has_more(cutter):
            self._ask.abort()
        return waiting

    def _origin_has_more(self, cutter: Cutter) -> bool:
        assert self._head is not None
        length = self._head.fields.get("Content-Length")
        return length is None or int(length) > cutter.position

    def _reject(self, head: ResponseHead) -> None:
        """Get rid of a body that nobody wants."""
        length = head.fields.get("Content-Length")
        self._cutter = None
        self._discard = True
        small = length is not None and length.isdigit() and int(length) <= _WORTH_READING
        if not small and self.asked.method != "HEAD" and head.status not in (204, 304):
            assert self._ask is not None
            self._ask.abort()

    # Beginning the answer.

    def _begin(
        self,
        status: int,
        reason: str,
        fields: Fields,
        length: int | None,
        range_text: str | None = None,
    ) -> None:
        self.begun = True
        self._sink.begin(status, reason, fields, length, range_text)
        self._expected = length

    def _begin_relay(self, head: ResponseHead) -> None:
        text = head.fields.get("Content-Length")
        bodiless = self.asked.method == "HEAD" or head.status in (204, 304)
        length = 0 if bodiless else int(text) if text is not None else None
        self._begin(head.status, head.reason, relayed_fields(head, self._via), length)

    def _begin_part(self, head: ResponseHead, part: Part) -> None:
        if self.asked.method != "HEAD":
            self._cutter = Cutter([Cut(part.skip, part.skip + part.span.length)])
        if part.total is not None or head.status == 206:
            self._begin_span(head, part.span, part.total)
        elif part.span.length <= _WORTH_HOLDING:
            # Whether the stream reaches the range, and its end, shows when the bytes are there.
            self._held = bytearray()

    def _answer_held(self) -> None:
        """Answer with the bytes held: all that were asked for, or what there is of them."""
        assert self._held is not None and self._cutter is not None and self._head is not None
        assert isinstance(self._answer, Part)
        held, self._held = self._held, None
        start = self._answer.span.start
        if not held:
            raise RangeNotSatisfiable(self._cutter.position)
        total = None if self._cutter.done else self._cutter.position
        self._begin_span(self._head, Span(start, start + len(held)), total)
        self._delivered += len(held)
        self._sink.write(bytes(held))

    def _begin_parts(self, head: ResponseHead, parts: Parts) -> None:
        if parts.source == "none":
            # The head of the first response that does hold bytes is the one to go by.
            self._reject(head)
            return
        framing = self._begin_multipart(head, parts)
        if self.asked.method == "HEAD":
            return
        if parts.source == "whole":
            self._cutter = Cutter(
                [Cut(s.start, s.stop, framing.part_head(i)) for i, s in enumerate(parts.spans)]
            )
        else:
            self._cutter = Cutter([Cut(0, parts.spans[0].length, framing.part_head(0))])

    def _begin_multipart(self, head: ResponseHead, parts: Parts) -> Framing:
        spans, total = parts.spans, parts.total
        framing = Framing(secrets.token_hex(16), head.fields.get("Content-Type"), spans, total)
        text = f"{spans[0].to_content_range(total)} and {len(spans) - 1} more"
        fields = parts_fields(head, self._via, framing)
        self._begin(206, "Partial Content", fields, framing.content_length, text)
        self._framing = framing
        return framing

    def _begin_span(self, head: ResponseHead, span: Span, total: int | None) -> None:
        fields = span_fields(head, self._via, span, total)
        text = span.to_content_range(total)
        self._begin(206, "Partial Content", fields, span.length, text)

    # Several parts.

    async def _send_parts(self, parts: Parts) -> None:
        """Fetch what the first response did not hold, part by part, and close the framing."""
        assert self._head is not None
        if self.asked.method == "HEAD":
            return
        held = {"whole": len(parts.spans), "first": 1}.get(parts.source, 0)
        if held and not self._aborted and not (self._cutter is not None and self._cutter.done):
            # What would come next must not stand in the place of what is missing.
            raise OriginBroke("the first answer is incomplete")
        # A 416 says nothing of the version.
        known = Validators.from_headers(self._head.fields.get) if self._head.status != 416 else None
        for index in range(held, len(parts.spans)):
            if self._aborted:
                return
            await self._send_further(parts, index, known)
            known = Validators.from_headers(self._head.fields.get)
        if self._framing is not None and not self._aborted:
            tail = self._framing.tail()
            self._delivered += len(tail)
            waiting = self._sink.write(tail)
            if waiting is not None:
                await waiting

    async def _send_further(self, parts: Parts, index: int, known: Validators | None) -> None:
        span, total = parts.spans[index], parts.total
        wrong: list[Bad] = []

        def on_head(head: ResponseHead) -> None:
            skip = check_further_part(span, total, known, head.status, head.fields.get)
            if isinstance(skip, Bad):
                wrong.append(skip)
                self._reject(head)
                return
            self._head = head
            if not self.begun:
                if len(parts.spans) > 1:
                    self._begin_multipart(head, parts)
                else:
                    self._begin_span(head, span, total)
            prefix = self._framing.part_head(index) if self._framing is not None else b""
            self._cutter = Cutter([Cut(skip, skip + span.length, prefix)])

        self._further = on_head
        condition = _strong_validator(self._head, known) if known is not None else None
        await self._ask_origin(IntRange(span.start, span.stop - 1), condition)
        if wrong:
            raise OriginBroke(wrong[0].reason) if self.begun else BadOrigin(wrong[0].reason)
        if not self._aborted and not (self._cutter is not None and self._cutter.done):
            raise OriginBroke(f"part {index + 1} is incomplete")


def _strong_validator(head: ResponseHead | None, validators: Validators) -> str | None:
    """What to put into If-Range so that a further part is of the same version."""
    if head is None:
        return None
    if validators.etag is not None:
        return None if validators.etag.weak else head.fields.get("ETag")
    return head.fields.get("Last-Modified") if validators.last_modified_is_strong else None
