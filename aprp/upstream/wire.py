"""What lies under a connection to an origin: TCP, or TLS on top of it; writing, and pausing."""

import asyncio
from typing import cast

from aprp.upstream.body import Beyond, Lookout
from aprp.upstream.detached import Detached
from aprp.upstream.errors import OriginClosed


class Wire(asyncio.BufferedProtocol):
    """The transports of a connection.

    `tcp` is what lies below a TLS transport: pausing has to begin there, because a TLS layer that
    is paused alone reads on, and drops what it holds when the connection ends. `last_activity` is
    when bytes were last sent or taken, in seconds of the loop's clock. `room` is done when the
    transport has room for more; None where it has.
    """

    def __init__(self) -> None:
        """Nothing is connected yet."""
        self.transport: asyncio.Transport | None = None
        self.tcp: asyncio.Transport | None = None
        self.loop = asyncio.get_running_loop()
        self.last_activity = 0.0
        self._lookout: Lookout | None = None
        self.room: asyncio.Future[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether another request can be sent."""
        return self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def secured(self, transport: asyncio.BaseTransport) -> None:
        """TLS stands on top of the connection."""
        self.tcp = self.transport
        self.transport = cast(asyncio.Transport, transport)

    def write(self, data: bytes | memoryview) -> "asyncio.Future[None] | None":
        """Send bytes of a request body; the future, if any, is done when more are welcome."""
        if self.transport is None or self.transport.is_closing():
            raise OriginClosed("Connection closed")
        self.transport.write(data)
        self.last_activity = self.loop.time()
        return self.room

    def pause_writing(self) -> None:
        """The send buffer is full."""
        self.room = self.loop.create_future()

    def resume_writing(self) -> None:
        """The send buffer has room."""
        waiting, self.room = self.room, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    # The end.

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def give_away(self, leftover: bytes) -> Detached:
        """Let another protocol have the transport, and what has come already.

        Raises OriginClosed where it is closed.
        """
        if self.transport is None or self.transport.is_closing():
            raise OriginClosed("Connection closed")
        return Detached(self.transport, self.tcp, leftover, self.connection_lost)

    # For the reading side.

    def pause_reading(self) -> None:
        """Let the socket fill up."""
        below = self.tcp or self.transport
        if below is not None and not below.is_closing():
            below.pause_reading()

    def resume_reading(self) -> bool:
        """Take from the socket again; False where there is none any more."""
        below = self.tcp or self.transport
        if below is None:
            return False
        if not below.is_closing():
            below.resume_reading()
        return True

    def look_beyond(self) -> Beyond:
        """Tell what the socket holds that has not been read; there must be no TLS on it."""
        if self.transport is None or self.transport.is_closing():
            return Beyond.CLOSED
        if self._lookout is None:
            self._lookout = Lookout(self.transport.get_extra_info("socket").fileno())
        return self._lookout.look()

    def unwired(self) -> None:
        """The connection is gone: nobody waits for room in it any more."""
        self.transport = self.tcp = self._lookout = None
        if self.room is not None and not self.room.done():
            self.room.set_result(None)
