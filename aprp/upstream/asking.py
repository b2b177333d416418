"""Asking the origins of UPSTREAM for one thing: the first that can be reached answers."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tornado.httpclient import AsyncHTTPClient

from aprp.semantics.headers import Pair
from aprp.semantics.tracing import with_parent
from aprp.stats.counters import Count, Counters
from aprp.upstream.detached import Detached
from aprp.upstream.errors import Aborted, FirstByteTimeout, OriginClosed, Undelivered
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin, Origins
from aprp.upstream.outgoing import RequestBody
from aprp.upstream.receiver import Placer
from aprp.upstream.request import OriginRequest

if TYPE_CHECKING:
    from aprp.tracing.spans import OriginSpan, Tracing


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits of a request to an origin, in seconds."""

    connect: float
    first_byte: float
    idle: float


class Reader(Protocol):
    """Who asked, and takes head and body as they come."""

    def on_origin(self, origin: Origin) -> None:
        """`origin` is asked now."""

    def on_interim(self, head: ResponseHead) -> None:
        """An interim response (1xx) has come, and the final one follows; not 100, not 101."""

    def on_head(self, head: ResponseHead) -> None:
        """The head has come.

        `Ask.abort` may be called if the body is not wanted, `Ask.place` if it has a place.
        """

    def on_body(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Take body bytes; their memory is used again when the returned future is done."""


class Ask:
    """One question to the origins: a method, a path with its query, and fields.

    `origin` is the one that was asked last: the one that answered, if any did. `surplus` is True
    where it was seen to send more than the body that it had declared.
    """

    def __init__(
        self,
        origins: Origins,
        client: AsyncHTTPClient,
        limits: Limits,
        counters: Counters,
        reader: Reader,
        tracing: "Tracing | None" = None,
    ) -> None:
        """Nothing is sent yet; `tracing` makes a span of each request, where any are made."""
        self._origins = origins
        self._client = client
        self._limits = limits
        self._counters = counters
        self._reader = reader
        self._tracing = tracing
        self._request: OriginRequest | None = None
        self._placer: Placer | None = None
        self._aborted = False
        self.origin: Origin | None = None
        self.surplus = False

    def place(self, placer: Placer | None) -> None:
        """Have the body put where `placer` says, in the place of `Reader.on_body`; None: not.

        To be called before `send`, or in `Reader.on_head`; later it is too late.
        """
        self._placer = placer
        if self._request is not None:
            self._request.placer = placer

    def abort(self) -> None:
        """Close the origin's connection; `send` returns."""
        self._aborted = True
        if self._request is not None:
            self._request.abort()

    def detach(self) -> Detached:
        """Give away the connection of a 101 (see `send`), in `on_head` or when `send` has returned.

        After the limit on connecting it is too late. Raises OriginClosed.
        """
        if self._request is None:
            raise OriginClosed("nothing was asked")
        return self._request.detach()

    def has_others(self, avoid: Collection[Origin]) -> bool:
        """Whether there are origins besides these."""
        return any(origin not in avoid for origin in self._origins.origins)

    async def send(
        self,
        method: str,
        target: str,
        fields: Mapping[str, str] | Sequence[Pair],
        *,
        body: RequestBody | None = None,
        upgrade: bool = False,
        expects_placement: bool = False,
        avoid: Collection[Origin] = (),
    ) -> None:
        """Ask, and return when the response is complete or `abort` was called.

        `target` is path and query, or `*`. `fields` go out as they are, pairs with their repeats
        and names; Host comes first, and is the origin's unless it is among them. `body` is sent
        with the framing that its length asks for, and where `fields` has `Expect: 100-continue`
        after the origin's 100; it is released at the end. `upgrade` tells that `fields` asks for
        another protocol: a 101 goes to `on_head`, and this returns. `expects_placement` tells that
        `on_head` may call `place`: until then little is read. `avoid` are asked after all others
        that can be reached.

        Raises the OriginFailure of the last origin tried; only those that could not be reached
        are passed over (RFC 9110 section 9.2.2). What the placer raises comes out of it, too, and
        the error of a body that failed.
        """
        loop = asyncio.get_running_loop()
        candidates = self._origins.candidates(loop.time(), avoid)
        last = len(candidates) - 1
        try:
            for number, origin in enumerate(candidates):
                self.origin = origin
                self._reader.on_origin(origin)
                try:
                    await self._send_to(
                        origin, method, target, fields, body, upgrade, expects_placement, number
                    )
                except Undelivered:
                    self._counters.add(Count.ORIGIN_FAILURES)
                    self._origins.failed(origin, loop.time())
                    if number == last:
                        raise
                    self._counters.add(Count.ORIGIN_FAILOVERS)
                    continue
                except FirstByteTimeout:
                    self._counters.add(Count.ORIGIN_TIMEOUTS)
                    raise
                self._origins.reached(origin)
                return
        finally:
            if body is not None:
                body.release()

    async def _send_to(
        self,
        origin: Origin,
        method: str,
        target: str,
        fields: Mapping[str, str] | Sequence[Pair],
        body: RequestBody | None,
        upgrade: bool,
        expects_placement: bool,
        number: int,
    ) -> None:
        if self._aborted:
            return
        url = origin.url if target == "*" else f"{origin.url}{target}"
        span: OriginSpan | None = None
        if self._tracing is not None:
            span, fields = _begin(self._tracing, origin, method, url, fields, number)
        limits = self._limits
        request = self._request = OriginRequest(
            url,
            origin.endpoint,
            method=method,
            headers=_host_first(origin.host, fields),
            on_head=self._reader.on_head,
            on_body=self._reader.on_body,
            connect_timeout=limits.connect,
            first_byte_timeout=limits.first_byte,
            idle_timeout=limits.idle,
            placer=self._placer,
            expects_placement=expects_placement,
            outgoing=body,
            on_interim=self._reader.on_interim,
            upgrade=upgrade,
            target="*" if target == "*" else None,
        )
        self._counters.add(Count.ORIGIN_REQUESTS)
        try:
            await self._client.fetch(request, raise_error=False)
        except Aborted:
            _end(span, request)
            return
        except asyncio.CancelledError:
            request.abort()
            _end(span, request)
            raise
        except Exception as error:
            _end(span, request, error)
            raise
        if span is not None:
            span.end(request.status, received=request.received, aborted=False, error=None)
        self.surplus = request.surplus
        if self.surplus:
            self._counters.add(Count.ORIGIN_SURPLUS)


def _begin(
    tracing: "Tracing",
    origin: Origin,
    method: str,
    url: str,
    fields: Mapping[str, str] | Sequence[Pair],
    number: int,
) -> "tuple[OriginSpan, Mapping[str, str] | Sequence[Pair]]":
    """Begin the span of a request; the fields name it to the origin."""
    pairs = list(fields.items() if isinstance(fields, Mapping) else fields)
    where = origin.endpoint
    span = tracing.origin(method, url, where.host, where.port, pairs, number)
    pairs = with_parent(pairs, span.traceparent)
    return span, dict(pairs) if isinstance(fields, Mapping) else pairs


def _end(span: "OriginSpan | None", request: OriginRequest, error: Exception | None = None) -> None:
    """End the span of a request that failed, or, without an error, was given up."""
    if span is not None:
        span.end(request.status, received=request.received, aborted=error is None, error=error)


def _host_first(
    host: str, fields: Mapping[str, str] | Sequence[Pair]
) -> Mapping[str, str] | Sequence[Pair]:
    """Put Host in front (RFC 9110 section 7.2); it is `host` where the fields have none."""
    if isinstance(fields, dict):
        return {"Host": host, **fields}
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    hosts = [pair for pair in pairs if pair[0].lower() == "host"]
    others = [pair for pair in pairs if pair[0].lower() != "host"]
    return [hosts[0] if hosts else ("Host", host), *others]
