"""From a client's question to its answer: asks the origin, decides, and streams.

One `Delivery` makes one client response of one or more origin responses. It writes to a `Sink`
and knows nothing of the client's connection behind it.
"""

import asyncio
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, assert_never

from aprp.media.cutter import Cut, Cutter
from aprp.media.errors import (
    BadOrigin,
    ConditionFailed,
    OriginBroke,
    RangeNotSatisfiable,
)
from aprp.media.output import Output, Sink
from aprp.media.parts import send_parts
from aprp.semantics.answer import (
    Answer,
    Asked,
    AskWhole,
    Bad,
    NoSuchRange,
    Part,
    Parts,
    Relay,
    decide,
    range_to_send,
)
from aprp.semantics.conditions import NotModified, PreconditionFailed
from aprp.semantics.multipart import Framing
from aprp.semantics.ranges import ContentRange, RangeSpec, Span
from aprp.upstream.asking import Ask, Reader
from aprp.upstream.errors import OriginFailure
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin

if TYPE_CHECKING:
    from aprp.media.opening import Opening

# Ranges up to this are held back, where only the end of a stream tells how long it is.
_WORTH_HOLDING = 65536

# The rest of a body that is not wanted is read rather than the connection closed, up to this.
_WORTH_READING = 65536


class Delivery(Reader):
    """The answer to one GET or HEAD.

    `aborted` says that the client is gone, `cut` that an answer was not read to its end; `opening`
    is what asks in its name, if anything does. For `aprp.media.parts`: `out` is the client's side,
    `head` that of the answer to go by, `cutter` says what is wanted of a body, and `framing` what
    stands between several parts.
    """

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
        self._target = target
        self._fields = fields
        self._sink = sink
        self.out = Output(sink, via, asked.method)
        self._make_ask = make_ask
        self._ask: Ask | None = None
        self.aborted = False
        self.cut = False
        self.opening: Opening | None = None
        self._gone: asyncio.Future[None] | None = None
        self._sent: RangeSpec | None = None
        self._answer: Answer | None = None
        self.head: ResponseHead | None = None
        self.cutter: Cutter | None = None
        self._discard = False
        self._held: bytearray | None = None
        self._further: Callable[[ResponseHead], None] | None = None
        self.framing: Framing | None = None

    @property
    def begun(self) -> bool:
        """Whether the client has been promised anything."""
        return self.out.begun

    def abort(self) -> None:
        """The client is gone: end what is under way at the origin."""
        self.aborted = self.cut = True
        if self._ask is not None:
            self._ask.abort()
        if self.opening is not None:
            self.opening.left(self)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    @property
    def discards(self) -> bool:
        """Whether the rest of the origin's body is nobody's: it may well break off."""
        return self._discard

    async def wait(self, opening: "Opening") -> None:
        """Wait until the head of an answer is known that others want, too, or the client leaves."""
        self.opening = opening
        opening.joined(self)
        self._gone = asyncio.get_running_loop().create_future()
        await asyncio.wait((opening.settled, self._gone), return_when=asyncio.FIRST_COMPLETED)

    async def run(self) -> None:
        """Deliver.

        Raises an `aprp.media.errors` exception or an OriginFailure; after `begun` it means that
        the answer must be cut short.
        """
        await self.ask_origin(range_to_send(self.asked))
        await self.conclude()

    def tell(self, cache_status: str) -> None:
        """Say in the answer what a cache did for it."""
        self.out.cache_status = cache_status

    def adopt(self, ask: Ask, sent: RangeSpec | None) -> None:
        """Take over an answer that was asked for in another name; `on_head` comes next.

        `sent` is the range that it was asked for. When it is over, `conclude`.
        """
        self._ask = ask
        self._sent = sent

    async def conclude(self) -> None:
        """Do what is left when the first answer is over; raises as `run` does."""
        self._ask = None
        if isinstance(self._answer, AskWhole) and not self.aborted:
            await self.ask_origin(None)
        match self._answer:
            case Relay() | Part() | NotModified():
                pass
            case Parts() as parts:
                await send_parts(self, parts)
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

    @property
    def has_all(self) -> bool:
        """Whether all that is wanted of the last answer has come."""
        return self.cutter is not None and self.cutter.done

    def _check_complete(self) -> None:
        if self.aborted or self.asked.method == "HEAD":
            return
        if self._held is not None:
            self._answer_held()
            return
        if not self.begun and self.cutter is not None:
            # The stream ended before the range.
            raise RangeNotSatisfiable(self.cutter.position)
        if self.out.missing > 0:
            raise OriginBroke(f"{self.out.missing} bytes are missing")

    async def ask_origin(
        self,
        spec: RangeSpec | None,
        condition: str | None = None,
        on_head: Callable[[ResponseHead], None] | None = None,
    ) -> None:
        """Ask the origin for a range, or the whole; `condition` is an If-Range of the proxy's.

        `on_head`, where it is given, decides on the answer; its body is cut as any. Raises as
        `run` does.
        """
        self._further = on_head
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
        if self.aborted:
            return
        try:
            await self._ask.send(self.asked.method, self._target, fields)
        except OriginFailure as error:
            if self.discards:
                return
            if not self.begun:
                raise
            raise OriginBroke(str(error)) from error
        finally:
            self._ask = None

    # Reader: what the origin says.

    def on_origin(self, origin: Origin) -> None:
        """Note who is asked, for the log."""
        self._sink.asks(origin.url)

    def on_interim(self, head: ResponseHead) -> None:
        """Hand on what comes before the answer."""
        if not self.aborted and not self.begun:
            self._sink.interim(head)

    def on_head(self, head: ResponseHead) -> None:
        """Decide, and begin the answer where this response is the one."""
        if "Date" not in head.fields:
            # RFC 9110 section 6.6.1: who has a clock adds the time of receipt.
            head.fields.add("Date", formatdate(usegmt=True))
        if self._further is not None:
            self._further(head)
            return
        self.head = head
        answer = decide(self.asked, self._sent, head.status, head.fields.get)
        self._answer = answer
        match answer:
            case Relay():
                self.out.relay(head)
            case Part() as part:
                self._begin_part(head, part)
            case NotModified():
                self.out.not_modified(head)
                self.reject(head)
            case Parts() as parts:
                self._begin_parts(head, parts)
            case NoSuchRange() | PreconditionFailed() | AskWhole() | Bad():
                self.reject(head)
            case never:
                assert_never(never)

    def on_body(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Send what the client is to have of it."""
        cutter = self.cutter
        if cutter is None:
            if self._discard:
                return None
            return self.out.write(view)
        pieces = cutter.feed(view)
        waiting = None
        if self._held is not None:
            for piece in pieces:
                self._held += piece
        elif pieces:
            if not self.begun:
                assert self.head is not None and isinstance(self._answer, Part)
                self.out.span(self.head, self._answer.span, None)
            waiting = self.out.write(*pieces)
        if cutter.done and self._ask is not None and self._origin_has_more(cutter):
            self.cut = True
            self._ask.abort()
        return waiting

    def _origin_has_more(self, cutter: Cutter) -> bool:
        assert self.head is not None
        length = self.head.fields.get("Content-Length")
        if length is not None:
            return int(length) > cutter.position
        got = ContentRange.parse(self.head.fields.get("Content-Range") or "")
        return not isinstance(got, ContentRange) or got.span.length > cutter.position

    def reject(self, head: ResponseHead) -> None:
        """Get rid of a body that nobody wants."""
        length = head.fields.get("Content-Length")
        self.cutter = None
        self._discard = True
        small = length is not None and length.isdigit() and int(length) <= _WORTH_READING
        if not small and self.asked.method != "HEAD" and head.status not in (204, 304):
            assert self._ask is not None
            self.cut = True
            self._ask.abort()

    # Beginning the answer.

    def _begin_part(self, head: ResponseHead, part: Part) -> None:
        if self.asked.method != "HEAD":
            self.cutter = Cutter([Cut(part.skip, part.skip + part.span.length)])
        if part.total is not None or head.status == 206:
            self.out.span(head, part.span, part.total)
        elif part.span.length <= _WORTH_HOLDING:
            # Whether the stream reaches the range, and its end, shows when the bytes are there.
            self._held = bytearray()

    def _answer_held(self) -> None:
        """Answer with the bytes held: all that were asked for, or what there is of them."""
        assert self._held is not None and self.cutter is not None and self.head is not None
        assert isinstance(self._answer, Part)
        held, self._held = self._held, None
        start = self._answer.span.start
        if not held:
            raise RangeNotSatisfiable(self.cutter.position)
        total = None if self.cutter.done else self.cutter.position
        self.out.span(self.head, Span(start, start + len(held)), total)
        self.out.write(bytes(held))

    def _begin_parts(self, head: ResponseHead, parts: Parts) -> None:
        if parts.source == "none":
            # The head of the first response that does hold bytes is the one to go by.
            self.reject(head)
            return
        framing = self.framing = self.out.parts(head, parts)
        if self.asked.method == "HEAD":
            return
        if parts.source == "whole":
            self.cutter = Cutter(
                [Cut(s.start, s.stop, framing.part_head(i)) for i, s in enumerate(parts.spans)]
            )
        else:
            self.cutter = Cutter([Cut(0, parts.spans[0].length, framing.part_head(0))])
