"""One end of a tunnel: what comes from it goes to the other end, block by block."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Final, Protocol

from aprp.upstream.buffers import BufferPool, Inbox
from aprp.upstream.detached import Detached

SLOW_READER: Final = 0.05
"""An end that needs longer than this for a block, in seconds, gets small ones."""

# Closing with this option set is a reset (RFC 9293 section 3.10.5), not an end in good order.
_RESETS: Final = struct.pack("ii", 1, 0)


class Owner(Protocol):
    """Whom a side tells what happens; `last_activity` is when bytes last moved (loop time)."""

    last_activity: float

    def ended(self, side: "Side") -> None:
        """`side` sends no more, and all that it sent has been given to the other one."""

    def broke(self, side: "Side") -> None:
        """`side` can no longer be written to."""

    def lost(self, side: "Side", error: Exception | None) -> None:
        """The connection of `side` is gone; without an error it was closed in good order."""


class Side(asyncio.BufferedProtocol):
    """An end of a tunnel.

    Bytes are read into blocks on loan and written to the peer straight from them; while the peer
    takes none, nothing is read here. `moved` counts the bytes that were given to the peer.
    `ended` says that no more will come from here, `passed_on` that the peer has been told so,
    `closing` that this end was told to close, `gone` that its connection is no more.
    """

    def __init__(
        self, owner: Owner, detached: Detached, pool: BufferPool, count: Callable[[int], None]
    ) -> None:
        """`count` is told of the bytes that are given to the peer; `start` begins."""
        self.moved = 0
        self.ended = self.passed_on = self.closing = self.gone = False
        self._owner: Owner | None = owner
        self._peer: Side | None = None
        self._detached = detached
        self._transport = detached.transport
        self._count = count
        self._inbox = Inbox(pool)
        self._loop = asyncio.get_running_loop()
        self._deaf = False
        # What was given to the peer last is still on its way, since then.
        self._waiting = False
        self._waiting_since = 0.0
        # The transport holds bytes that the socket did not take.
        self._full = False
        # Written to directly where nothing has to be encrypted on the way.
        self._descriptor = -1
        ssl_object = self._transport.get_extra_info("ssl_object")
        self._secure = detached.tcp is not None or ssl_object is not None

    @property
    def queued(self) -> int:
        """Bytes that wait for this end to take them."""
        return 0 if self.gone else self._transport.get_write_buffer_size()

    # What the bridge does.

    def take_over(self, peer: "Side") -> None:
        """Be the connection's protocol from now on; what comes from here is for `peer`.

        Where it is closed already, this side is `gone` afterwards, and the owner is not told.
        """
        self._peer = peer
        if self._transport.is_closing():
            # Its end may have been told before, to whoever had it.
            self.gone = True
            self._detached.lost(None)
            return
        self._transport.set_protocol(self)
        self._full = self._transport.get_write_buffer_size() > 0
        # Then "not paused" says that the memory of what was written may be used again. (The event
        # loops' TLS, with a limit of zero, pauses without a byte queued.)
        self._transport.set_write_buffer_limits(high=0 if self._detached.tcp is None else 1, low=0)
        if not self._secure:
            self._descriptor = self._transport.get_extra_info("socket").fileno()

    def start(self) -> None:
        """Pass on what has come already, and begin to read."""
        leftover = self._detached.leftover
        if self.gone or (leftover and not self._give(memoryview(leftover))):
            return
        self._detached.resume_reading()

    def finish_sending(self) -> None:
        """Nothing more comes for this end: tell it so behind what is queued.

        Where only both directions can be ended (the event loops' TLS), it is closed.
        """
        if self.gone or self._transport.is_closing():
            return
        if not self._transport.can_write_eof():
            self.close()
            return
        try:
            self._transport.write_eof()
        except OSError:
            assert self._owner is not None
            self._owner.broke(self)

    def finish_reading(self) -> None:
        """Nothing more comes from here: tell the peer so behind what is on its way to it."""
        self.ended = True
        if not self._waiting:
            self._pass_end_on()

    def close(self) -> None:
        """Close when what is queued has been taken."""
        self.closing = True
        self._descriptor = -1
        if not self.gone:
            self._transport.close()

    def stop_listening(self) -> None:
        """Read what still comes only to see the end: nobody is left to take it.

        Closing over unread bytes would be a reset, and this end might lose what it was sent.
        """
        self._deaf = True
        self.release()
        if not self.gone and not self.ended:
            self._detached.resume_reading()

    def abort(self, reset: bool) -> None:
        """Close at once, as a reset if `reset`; what is queued is lost."""
        if self.gone:
            return
        self._deaf = True
        self._descriptor = -1
        if reset and not self._transport.is_closing():
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
        self._transport.abort()

    def release(self) -> None:
        """Give back what is on loan; nobody needs it any more."""
        self._waiting = self._inbox.held = False
        self._inbox.clear()

    def forget(self) -> None:
        """All is over: hold on to nobody, so that nothing is left for the garbage collector."""
        self.release()
        self._owner = self._peer = None

    # asyncio.BufferedProtocol

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the kernel, or the TLS layer, the free part of a block."""
        return self._inbox.nowhere() if self._deaf else self._inbox.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came: pass them on."""
        if self._deaf:
            return
        assert self._owner is not None
        self._owner.last_activity = self._loop.time()
        self._inbox.put(nbytes)
        # A TLS layer may hold more than was read before the pause.
        if not self._waiting:
            self._advance()

    def eof_received(self) -> bool:
        """No more comes from here; the other direction goes on where that is possible."""
        self.finish_reading()
        return self._transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self.gone:
            return
        self.gone = True
        self._full = False
        self._descriptor = -1
        self._detached.lost(exc)
        if self._owner is not None:
            self._owner.lost(self, exc)

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self._full = True

    def resume_writing(self) -> None:
        """All that was queued has been taken."""
        self._full = False
        if self._peer is not None:
            self._peer._go_on()

    # Passing on.

    def _advance(self) -> None:
        inbox = self._inbox
        while not inbox.empty or inbox.next():
            view = inbox.view[inbox.position : inbox.end]
            inbox.position = inbox.end
            if not self._give(view):
                return
        if self.ended:
            self._pass_end_on()

    def _give(self, view: memoryview) -> bool:
        """Give bytes to the peer; False where nothing more is to be given to it now."""
        assert self._peer is not None and self._owner is not None
        self.moved += len(view)
        self._count(len(view))
        try:
            if self._peer._send(view):
                return True
        except OSError:
            self._owner.broke(self._peer)
            return False
        self._waiting = self._inbox.held = True
        self._waiting_since = self._loop.time()
        self._detached.pause_reading()
        return False

    def _send(self, view: memoryview) -> bool:
        """Write to this end; where False is returned, `_go_on` tells the peer when it is taken."""
        transport = self._transport
        if self.gone or transport.is_closing():
            # Nobody is there to take it; the bridge hears of it in its turn.
            return True
        if self._descriptor < 0 or self._full:
            transport.write(view)
            return not self._full
        try:
            taken = os.write(self._descriptor, view)
        except BlockingIOError:
            taken = 0
        if taken == len(view):
            return True
        transport.write(view[taken:])
        return not self._full

    def _go_on(self) -> None:
        """The peer has taken what it was given."""
        if not self._waiting or self._owner is None:
            return
        self._waiting = self._inbox.held = False
        now = self._owner.last_activity = self._loop.time()
        if now - self._waiting_since > SLOW_READER:
            self._inbox.slow_down()
        self._advance()
        if not self._waiting and not self.ended:
            self._detached.resume_reading()

    def _pass_end_on(self) -> None:
        self._inbox.clear()
        if self._owner is not None and not self.passed_on:
            self.passed_on = True
            self._owner.ended(self)
