"""A tunnel: two connections joined, until both have ended."""

import asyncio
import enum
import functools
from dataclasses import dataclass
from typing import Final

from aprp.stats.counters import Count, Counters
from aprp.tunnel.side import Side
from aprp.upstream.buffers import BufferPool
from aprp.upstream.detached import Detached

LINGER: Final = 5.0
"""How long an end is listened to after the other one has gone in good order, in seconds."""


class Why(enum.Enum):
    """How a tunnel ended."""

    CLOSED = "closed in good order"
    CLIENT_BROKE = "client broke the connection"
    ORIGIN_BROKE = "origin broke the connection"
    IDLE = "no byte moved within TUNNEL_IDLE_TIMEOUT"
    STOPPED = "the proxy stopped"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a tunnel carried: bytes from the client (`up`) and to it (`down`)."""

    up: int
    down: int
    why: Why


class Bridge:
    """Joins the connections of a client and an origin; nothing that passes is looked at.

    An end of one direction is passed on, and the other direction goes on (RFC 9293 section
    3.6), but for the event loops' TLS, which ends in both directions at once. A reset is passed
    on as a reset. `last_activity` is when bytes last moved, in seconds of the loop's clock.
    """

    def __init__(
        self,
        client: Detached,
        origin: Detached,
        *,
        idle_timeout: float,
        buffers: BufferPool,
        tls_buffers: BufferPool,
        counters: Counters,
    ) -> None:
        """Nothing moves before `run`.

        `idle_timeout`: seconds without a byte in either direction after which the tunnel ends; 0
        is no limit. `tls_buffers` lends the blocks for what comes over the event loops' TLS, which
        have to take all that such a layer holds.
        """
        self._loop = asyncio.get_running_loop()
        self._idle_timeout = idle_timeout
        self.last_activity = self._loop.time()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._why: Why | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._queued = 0

        def side(detached: Detached, count: Count) -> Side:
            pool = buffers if detached.tcp is None else tls_buffers
            return Side(self, detached, pool, functools.partial(counters.add, count))

        self._client = side(client, Count.TUNNEL_BYTES_UP)
        self._origin = side(origin, Count.TUNNEL_BYTES_DOWN)

    async def run(self) -> Ended:
        """Carry bytes until both connections are closed; to be called once.

        Where the caller is cancelled, both are closed at once.
        """
        client, origin = self._client, self._origin
        if self._idle_timeout:
            self._timer = self._loop.call_later(self._idle_timeout, self._check_idle)
        client.take_over(origin)
        origin.take_over(client)
        for side in (client, origin):
            if side.gone:
                self.lost(side, None)
        for side in (client, origin):
            if self._why is None:
                side.start()
        try:
            await asyncio.shield(self._over)
        except asyncio.CancelledError:
            self.abort()
            raise
        assert self._why is not None
        return Ended(client.moved, origin.moved, self._why)

    def abort(self) -> None:
        """End it now, not before `run`: the proxy stops.

        `run` returns when both connections are closed.
        """
        self._end(Why.STOPPED)

    async def closed(self) -> None:
        """Wait until both connections are closed."""
        await asyncio.shield(self._over)

    # Owner: what the sides tell.

    def ended(self, side: Side) -> None:
        """Pass the end of one direction on; close where it is the end of the second, too."""
        other = self._other(side)
        other.finish_sending()
        if other.passed_on or other.gone:
            self._why = self._why or Why.CLOSED
            side.close()
            other.close()
        elif side.gone:
            self._linger(other)

    def broke(self, side: Side) -> None:
        """End the tunnel as that side ended it."""
        self._end(Why.CLIENT_BROKE if side is self._client else Why.ORIGIN_BROKE, reset=True)

    def lost(self, side: Side, error: Exception | None) -> None:
        """See what the end of a connection means for the other one."""
        other = self._other(side)
        if self._why is None:
            if error is not None or not (side.ended or side.closing):
                self.broke(side)
            elif side.passed_on:
                self._linger(other)
            else:
                # What it sent is on its way still; or it had to be closed, because its other
                # direction was over, and now both are.
                side.finish_reading()
        if side.gone and other.gone and not self._over.done():
            self._finish()

    def _other(self, side: Side) -> Side:
        return self._origin if side is self._client else self._client

    def _linger(self, side: Side) -> None:
        """Give a side whose peer has gone in good order the time to take all and to close."""
        side.stop_listening()
        if self._lingering is None:
            self._lingering = self._loop.call_later(LINGER, self._end, Why.CLOSED)

    def _check_idle(self) -> None:
        now = self._loop.time()
        queued = self._client.queued + self._origin.queued
        if queued != self._queued:
            # A slow end takes what it was given bit by bit.
            self._queued = queued
            self.last_activity = now
        left = self._idle_timeout - (now - self.last_activity)
        if left <= 0.001:
            self._end(Why.IDLE)
        else:
            self._timer = self._loop.call_later(left, self._check_idle)

    def _end(self, why: Why, reset: bool = False) -> None:
        self._why = self._why or why
        self._client.abort(reset)
        self._origin.abort(reset)

    def _finish(self) -> None:
        self._why = self._why or Why.CLOSED
        for timer in (self._timer, self._lingering):
            if timer is not None:
                timer.cancel()
        self._timer = self._lingering = None
        self._client.forget()
        self._origin.forget()
        self._over.set_result(None)
