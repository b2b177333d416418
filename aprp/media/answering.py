"""The answer to a GET or HEAD where there is a cache: what is stored, what comes, or passed on."""

import time
from typing import assert_never

from aprp.media.checks import Changed, Denied, Refused
from aprp.media.delivery import Delivery
from aprp.media.errors import (
    BadOrigin,
    ConditionFailed,
    OnlyIfCached,
    OriginBroke,
    RangeNotSatisfiable,
)
from aprp.media.library import Library
from aprp.media.output import Output, Sink
from aprp.media.reader import ReaderGone, SpanReader
from aprp.media.request import Request
from aprp.media.shelf import Found
from aprp.media.version import Version
from aprp.semantics.answer import (
    RELAY,
    Answer,
    AskWhole,
    Bad,
    NoSuchRange,
    Part,
    Parts,
    Relay,
    decide,
)
from aprp.semantics.cache_status import cache_status
from aprp.semantics.conditions import NotModified, PreconditionFailed
from aprp.semantics.ranges import Span
from aprp.semantics.storing import storable
from aprp.stats.counters import Count, Counters
from aprp.upstream.errors import OriginFailure

# How often an answer that has not begun is begun anew because the file changed meanwhile.
_ATTEMPTS = 4


class _NotToBeStored(Exception):
    """Bytes are missing, and the client wants none to be stored, or may have none of these."""


class Answering:
    """One answer of the cache; does as a `Delivery` does towards its client."""

    def __init__(
        self,
        library: Library,
        request: Request,
        sink: Sink,
        via: str,
        counters: Counters,
    ) -> None:
        self._library = library
        self._request = request
        self._sink = sink
        self._via = via
        self._counters = counters
        self._out = Output(sink, via, request.asked.method)
        self._passer: Delivery | None = None
        self._reader: SpanReader | None = None
        self._gone = False

    @property
    def begun(self) -> bool:
        """Whether the client has been promised anything."""
        return self._out.begun or (self._passer is not None and self._passer.begun)

    def abort(self) -> None:
        """The client is gone."""
        self._gone = True
        if self._passer is not None:
            self._passer.abort()
        if self._reader is not None:
            self._reader.abort()

    async def run(self) -> None:
        """Answer; raises as `Delivery.run` does, and OnlyIfCached."""
        for _ in range(_ATTEMPTS):
            found = self._library.look(self._request)
            if found is None:
                self._passer = self._delivery()
                found = await self._library.find(self._request, self._passer)
                if found is None:
                    self._counters.add(Count.CACHE_PASSES)
                    return
            try:
                if self._gone or await self._answer(found):
                    return
            except _NotToBeStored:
                await self._pass()
                return
        raise BadOrigin("the file changes at the origin faster than it can be read")

    async def _pass(self) -> None:
        """Let the origin answer this client; nothing is stored (RFC 9111 section 5.2.1.5)."""
        passer = self._passer = self._delivery()
        passer.tell(cache_status(self._library.name, fwd="request"))
        self._counters.add(Count.CACHE_PASSES)
        if self._gone:
            passer.abort()
        await passer.run()

    def _delivery(self) -> Delivery:
        request = self._request
        return Delivery(
            request.asked,
            request.target,
            request.fields,
            self._sink,
            request.source.make_ask,
            self._via,
        )

    async def _answer(self, found: Found) -> bool:
        """Answer with a version; False if it has been replaced before a byte was promised."""
        try:
            await self._send(found)
        except ReaderGone:
            return True
        except Changed:
            found.version.changed = True
            if self.begun:
                raise OriginBroke("the file changed at the origin") from None
            return False
        except Refused as error:
            if self.begun:
                raise OriginBroke(str(error)) from error
            if isinstance(error, Denied):
                raise _NotToBeStored from error
            raise BadOrigin(str(error), counted=True) from error
        except OriginFailure as error:
            if self.begun:
                raise OriginBroke(str(error)) from error
            raise
        finally:
            self._reader = None
        return True

    async def _send(self, found: Found) -> None:
        version, asked = found.version, self._request.asked
        head = found.head or version.head
        answer: Answer = RELAY
        if version.entry.status == 200:
            answer = decide(asked, None, 200, version.fields.get)
        match answer:
            case Relay():
                await self._send_whole(found)
            case Part(span, total, _):
                reader = self._reader_of(version, span.start, span.stop)
                self._note(found, span)
                if asked.method == "HEAD":
                    self._out.span(head, span, total)
                    return
                with reader:
                    await reader.first()
                    self._out.span(head, span, total)
                    await reader.run()
            case Parts() as parts:
                await self._send_parts(found, parts)
            case NotModified():
                self._note(found)
                self._out.not_modified(head)
            case PreconditionFailed(field):
                raise ConditionFailed(field)
            case NoSuchRange(total):
                raise RangeNotSatisfiable(total)
            case AskWhole() | Bad():
                raise BadOrigin("what is stored does not answer the question")
            case never:
                assert_never(never)

    async def _send_whole(self, found: Found) -> None:
        version = found.version
        head = found.head or version.head
        self._note(found, Span(0, version.length))
        if self._request.asked.method == "HEAD" or version.length == 0:
            self._out.relay(head)
            return
        with self._reader_of(version, 0, version.length) as reader:
            await reader.first()
            self._out.relay(head)
            await reader.run()

    async def _send_parts(self, found: Found, parts: Parts) -> None:
        version = found.version
        head = found.head or version.head
        self._note(found, *parts.spans)
        if self._request.asked.method == "HEAD":
            self._out.parts(head, parts)
            return
        framing = None
        for number, span in enumerate(parts.spans):
            with self._reader_of(version, span.start, span.stop) as reader:
                await reader.first()
                if framing is None:
                    framing = self._out.parts(head, parts)
                waiting = self._out.write(framing.part_head(number))
                if waiting is not None:
                    await waiting
                await reader.run()
        assert framing is not None
        waiting = self._out.write(framing.tail())
        if waiting is not None:
            await waiting

    def _reader_of(self, version: Version, start: int, stop: int) -> SpanReader:
        request = self._request
        version.touched(request)
        # What is fetched in advance nobody has watched yet (Fetch Standard, Sec-Purpose).
        watched = request.get("Sec-Purpose") is None
        reader = self._reader = SpanReader(
            version, start, stop, self._out, cause=request, watched=watched
        )
        if self._gone:
            reader.abort()
        return reader

    def _note(self, found: Found, *spans: Span) -> None:
        """Say in the answer, and count, what the cache did for it; `spans` are what it gives."""
        counters, version = self._counters, found.version
        fwd = found.fwd
        if found.stored:
            counters.add(Count.CACHE_MISSES)
        elif all(version.holds_all(span.start, span.stop) for span in spans):
            counters.add(Count.CACHE_HITS)
        elif self._request.directives.only_if_cached:
            raise OnlyIfCached
        elif storable("GET", self._request.get, 200, version.fields.get, time.time()):
            # What this client is given must not be stored (RFC 9111 sections 3.5 and 5.2.1.5).
            raise _NotToBeStored
        else:
            missing = all(version.available(span.start, span.stop) is None for span in spans)
            counters.add(Count.CACHE_MISSES if missing else Count.CACHE_PARTIAL)
            fwd = fwd or "partial"
            # The newest client's link is the likeliest to be good still.
            version.link = self._request.link
        self._out.age = int(found.age)
        self._out.cache_status = cache_status(
            self._library.name,
            hit=fwd is None,
            fwd=fwd,
            fwd_status=found.fwd_status if fwd is not None else None,
            stored=found.stored,
            ttl=None if found.stored else found.ttl,
            collapsed=found.collapsed and fwd is not None,
        )
