"""Asking the origins of UPSTREAM for one thing: the first that can be reached answers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tornado.httpclient import AsyncHTTPClient

from aprp.stats.counters import Count, Counters
from aprp.upstream.errors import Aborted, FirstByteTimeout, Undelivered
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin, Origins
from aprp.upstream.receiver import Placer
from aprp.upstream.request import OriginRequest


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
    ) -> None:
        """Nothing is sent yet."""
        self._origins = origins
        self._client = client
        self._limits = limits
        self._counters = counters
        self._reader = reader
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

    async def send(
        self,
        method: str,
        target: str,
        fields: Mapping[str, str],
        *,
        expects_placement: bool = False,
        avoid: Origin | None = None,
    ) -> None:
        """Ask, and return when the response is complete or `abort` was called.

        `fields` go out as they are, after Host. `expects_placement` tells that `on_head` may call
        `place`: until then little is read. `avoid` is asked after all others that can be reached.
        Raises the OriginFailure of the last origin tried; only those that could not be reached
        are passed over (RFC 9110 section 9.2.2). What the placer raises comes out of it, too.
        """
        loop = asyncio.get_running_loop()
        candidates = self._origins.candidates(loop.time(), avoid)
        last = len(candidates) - 1
        for number, origin in enumerate(candidates):
            self.origin = origin
            self._reader.on_origin(origin)
            try:
                await self._send_to(origin, method, target, fields, expects_placement)
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

    async def _send_to(
        self,
        origin: Origin,
        method: str,
        target: str,
        fields: Mapping[str, str],
        expects_placement: bool,
    ) -> None:
        if self._aborted:
            return
        limits = self._limits
        request = self._request = OriginRequest(
            f"{origin.url}{target}",
            origin.endpoint,
            method=method,
            # Host comes first (RFC 9110 section 7.2).
            headers={"Host": origin.host, **fields},
            on_head=self._reader.on_head,
            on_body=self._reader.on_body,
            connect_timeout=limits.connect,
            first_byte_timeout=limits.first_byte,
            idle_timeout=limits.idle,
            placer=self._placer,
            expects_placement=expects_placement,
        )
        self._counters.add(Count.ORIGIN_REQUESTS)
        try:
            await self._client.fetch(request, raise_error=False)
        except Aborted:
            return
        except asyncio.CancelledError:
            request.abort()
            raise
        self.surplus = request.surplus
        if self.surplus:
            self._counters.add(Count.ORIGIN_SURPLUS)
