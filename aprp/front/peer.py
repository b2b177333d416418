"""What lies under a client's connection: its transport, its wire, and how long it is waited for."""

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, cast

from aprp.front.pacing import PacedWire
from aprp.front.wire import TlsWire, TransportWire, make_wire

if TYPE_CHECKING:
    from aprp.front.quotas import Refusal
    from aprp.front.server import ProxyServer

# How long a client that is still sending is listened to when its answer is written, in seconds:
# without a byte, and in all.
LINGER: Final = 2.0
LINGER_IN_ALL: Final = 30.0

# How long a client that was not let in may take to send the request that is refused, in seconds.
REFUSAL_TIMEOUT: Final = 5.0


class Peer(ABC, asyncio.BufferedProtocol):
    """A client as its transport shows it.

    `remote_ip` is its address ("unix" where it has none), `protocol` is http or https. `refusal`
    is why it may not stay. `heard` is when it was last listened to while nobody wanted to know
    what it says, in seconds of the loop's clock.
    """

    def __init__(self, server: "ProxyServer", remote_ip: str | None, protocol: str) -> None:
        """`remote_ip`: the client's address, where it is not the connection's own."""
        self.remote_ip = remote_ip or ""
        self.protocol = protocol
        self.wire: TransportWire | TlsWire | PacedWire
        self.refusal: Refusal | None = None
        self.heard = 0.0
        self._server = server
        self._loop = server.loop
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._counted = False
        self._linger_until: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def gone(self) -> bool:
        """Whether the transport is closed, or about to be."""
        return self._transport is None or self._transport.is_closing()

    @property
    def lingering(self) -> bool:
        """Whether the client is listened to only so that it gets the answer."""
        return self._linger_until is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        if not self.remote_ip:
            peer = transport.get_extra_info("peername")
            self.remote_ip = peer[0] if peer else "unix"
        server = self._server
        wire = make_wire(self._transport)
        self.wire = (
            PacedWire(wire, server.rate_limit, server.rate_limit_after, self._loop)
            if server.rate_limit
            else wire
        )
        if server.quotas is not None and not server.exempt(self.remote_ip):
            self.refusal = server.quotas.enter(self.remote_ip)
            self._counted = self.refusal is None
        self._wake_up_in(self._patience if self.refusal is None else REFUSAL_TIMEOUT)

    def lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._transport = None
        self.wire.lost()
        self.wait_no_more()
        if self._counted and self._server.quotas is not None:
            self._counted = False
            self._server.quotas.leave(self.remote_ip)

    def eof_received(self) -> bool:
        """The client sends no more: it has gone (RFC 9112 section 9.6 lets it wait no longer)."""
        return False

    def pause_writing(self) -> None:
        """The client takes less than is written."""
        self.wire.paused()

    def resume_writing(self) -> None:
        """The client has taken what was written."""
        self.wire.resumed()

    def pause_reading(self) -> None:
        """Let the socket fill up."""
        if not self._paused and not self.gone:
            assert self._transport is not None
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take from the socket again."""
        if self._paused:
            self._paused = False
            if self._transport is not None and not self.gone:
                self._transport.resume_reading()

    def leave(self) -> None:
        """Close in good order: all that was written is taken, and nothing is under way."""
        if self._transport is not None:
            # With TLS the client is told that it misses nothing.
            self._transport.close()
            self.wire.close()

    def linger(self) -> None:
        """Write no more, and listen until the client has had the time to read the answer.

        A connection closed over unread bytes is reset, and the answer would be lost (RFC 9112
        section 9.6).
        """
        if self._transport is None or self.gone:
            return
        self.wire.closed = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.heard = self._loop.time()
        self._linger_until = self.heard + LINGER_IN_ALL
        self._wake_up_in(LINGER)

    # Time.

    @abstractmethod
    def due(self) -> float | None:
        """When the client is out of time; None while nothing is expected of it."""

    @abstractmethod
    def out_of_time(self) -> None:
        """The client took too long for what was expected of it."""

    def wait_no_more(self) -> None:
        """Nothing is expected of the client from now on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _patience(self) -> float:
        """The shortest time that a client is given for anything: it is looked after so often."""
        server = self._server
        return min(server.idle_timeout, server.header_timeout, server.body_timeout)

    def _look_after(self) -> None:
        now = self._loop.time()
        if self._linger_until is not None:
            due: float | None = min(self.heard + LINGER, self._linger_until)
        else:
            due = self.due()
        # Timers may come a little early.
        if due is not None and due <= now + 0.001:
            due = None
            if self.lingering:
                self.wire.abort()
                return
            self.out_of_time()
            if self.gone or self.lingering:
                return
        latest = now + self._patience
        self._wake_up_in((latest if due is None else min(due, latest)) - now)

    def _wake_up_in(self, seconds: float) -> None:
        self.wait_no_more()
        self._timer = self._loop.call_later(seconds, self._look_after)
