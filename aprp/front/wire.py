"""Writing to a client: bytes straight from the buffer into the socket, with back-pressure.

A piece goes to the kernel at once where there is room; only what the kernel does not take is
queued, and a future says when its memory may be used again.
"""

import asyncio
import functools
import os
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from tornado.iostream import IOStream, StreamClosedError

from aprp.front.encryption import TlsTransport
from aprp.front.unacknowledged import unacknowledged

Piece = bytes | memoryview

# The most pieces that writev takes.
_MOST_AT_ONCE: Final = os.sysconf("SC_IOV_MAX")


class ClientGone(Exception):
    """The client closed its connection, or it broke."""


class Wire(Protocol):
    """A place to write a response to."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""

    @property
    def unfinished(self) -> "asyncio.Future[None] | None":
        """Done when the client has taken what is written; None where it has already."""

    @property
    def queued(self) -> int:
        """Bytes written that the client's side has not acknowledged, where the wire can tell."""

    def send(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """Write pieces one after the other, as one.

        None says that the kernel has taken all of them; otherwise the pieces' memory must stay
        as it is until the future is done. Raises ClientGone.
        """

    def offer(self, piece: Piece) -> int:
        """Write as much of a piece as the kernel takes now, nothing of it later; how many bytes.

        Raises ClientGone.
        """

    def close(self) -> None:
        """Close the connection at once; what is queued is lost."""


class RequestConnection(Protocol):
    """What a delegate uses of a connection, the proxy's own or Tornado's HTTP1Connection."""

    context: Any

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Call back when the client goes away before `finish`."""

    def finish(self) -> None:
        """The response is written."""

    def close(self) -> None:
        """Close the connection."""


class TransportWire:
    """The wire of the proxy's own connections.

    The transport's write limits are zero: it pauses writing as soon as it queues a byte, and
    resumes when the last one is gone. `paused` and `resumed` pass that on.
    """

    __slots__ = ("_descriptor", "_transport", "closed", "unfinished")

    def __init__(self, transport: asyncio.Transport) -> None:
        """Write to `transport`, a plain one: what it would encrypt must not go around it."""
        transport.set_write_buffer_limits(high=0)
        self._transport: asyncio.Transport | None = transport
        self._descriptor: int = transport.get_extra_info("socket").fileno()
        self.closed = False
        self.unfinished: asyncio.Future[None] | None = None

    @property
    def queued(self) -> int:
        """See `Wire.queued`."""
        return 0 if self._transport is None else unacknowledged(self._transport)

    def send(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """See `Wire.send`."""
        if self.closed:
            raise ClientGone
        if self.unfinished is not None:
            return self._queue(pieces)
        try:
            taken = os.writev(self._descriptor, pieces[:_MOST_AT_ONCE])
        except BlockingIOError:
            taken = 0
        except OSError:
            self.close()
            raise ClientGone from None
        for index, piece in enumerate(pieces):
            size = len(piece)
            if taken < size:
                return self._queue((memoryview(piece)[taken:], *pieces[index + 1 :]))
            taken -= size
        return None

    def offer(self, piece: Piece) -> int:
        """See `Wire.offer`."""
        if self.closed:
            raise ClientGone
        if self.unfinished is not None:
            return 0
        try:
            return os.write(self._descriptor, piece)
        except BlockingIOError:
            return 0
        except OSError:
            self.close()
            raise ClientGone from None

    def _queue(self, pieces: tuple[Piece, ...]) -> "asyncio.Future[None] | None":
        assert self._transport is not None
        for piece in pieces:
            self._transport.write(piece)
        return self.unfinished

    def paused(self) -> None:
        """The transport has begun to queue."""
        if self.unfinished is None:
            self.unfinished = asyncio.get_running_loop().create_future()

    def resumed(self) -> None:
        """The transport's queue is empty."""
        unfinished, self.unfinished = self.unfinished, None
        if unfinished is not None and not unfinished.done():
            unfinished.set_result(None)

    def close(self) -> None:
        """See `Wire.close`."""
        if not self.closed:
            self.closed = True
            self.abort()

    def abort(self) -> None:
        """Close the transport, whatever its state."""
        self._descriptor = -1
        if self._transport is not None:
            self._transport.abort()

    def lost(self) -> None:
        """The transport is closed: whoever waits for room waits no more."""
        self.closed = True
        self._descriptor = -1
        self._transport = None
        self.resumed()


class TlsWire:
    """The wire of the proxy's own connections with TLS.

    What is written is encrypted piece by piece, as the client takes it: a client that is slow holds
    one piece of records in memory, and the rest waits where it is.
    """

    __slots__ = ("_full", "_pending", "_transport", "closed", "unfinished")

    def __init__(self, transport: TlsTransport) -> None:
        """Write to `transport`, which passes on the pauses of the one below it."""
        transport.set_write_buffer_limits(high=0)
        self._transport = transport
        self._pending: deque[memoryview] = deque()
        self._full = False
        self.closed = False
        self.unfinished: asyncio.Future[None] | None = None
        if transport.get_write_buffer_size():
            # The end of the handshake, of a client that takes nothing.
            self.paused()

    @property
    def queued(self) -> int:
        """See `Wire.queued`."""
        return sum(map(len, self._pending)) + unacknowledged(self._transport)

    def send(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """See `Wire.send`."""
        if self.closed:
            raise ClientGone
        self._pending.extend(memoryview(piece) for piece in pieces if piece)
        self._encrypt()
        if self._transport.is_closing():
            self.close()
            raise ClientGone
        return self.unfinished

    def offer(self, piece: Piece) -> int:
        """See `Wire.offer`: what is encrypted is taken whole or not at all."""
        return 0

    def _encrypt(self) -> None:
        while self._pending and not self._full and not self._transport.is_closing():
            self._transport.write_some(self._pending)

    def paused(self) -> None:
        """The transport has begun to queue."""
        self._full = True
        if self.unfinished is None:
            self.unfinished = asyncio.get_running_loop().create_future()

    def resumed(self) -> None:
        """The transport's queue is empty."""
        self._full = False
        self._encrypt()
        if not self._full:
            self._finish()

    def _finish(self) -> None:
        self._pending.clear()
        unfinished, self.unfinished = self.unfinished, None
        if unfinished is not None and not unfinished.done():
            unfinished.set_result(None)

    def close(self) -> None:
        """See `Wire.close`; with no close_notify the client knows that something is missing."""
        if not self.closed:
            self.closed = True
            self.abort()

    def abort(self) -> None:
        """Close the transport, whatever its state."""
        self._transport.abort()

    def lost(self) -> None:
        """The transport is closed: whoever waits for room waits no more."""
        self.closed = True
        self._finish()


def make_wire(transport: asyncio.Transport) -> TransportWire | TlsWire:
    """Make the wire of a connection by its transport; both have the same methods."""
    return TlsWire(transport) if isinstance(transport, TlsTransport) else TransportWire(transport)


class StreamWire:
    """The wire where Tornado's own HTTPServer serves the application.

    (The future of `HTTP1Connection.write` cannot take its place: with two writes under way, the
    first to be done completes the future of the second.)
    """

    def __init__(self, stream: IOStream) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._last: asyncio.Future[None] | None = None

    @property
    def closed(self) -> bool:
        """See `Wire.closed`."""
        return self._stream.closed()

    @property
    def unfinished(self) -> "asyncio.Future[None] | None":
        """See `Wire.unfinished`."""
        return None if self._last is None or self._last.done() else self._last

    @property
    def queued(self) -> int:
        """See `Wire.queued`: the stream does not tell."""
        return 0

    def send(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """See `Wire.send`."""
        try:
            for piece in pieces:
                written = self._stream.write(piece)
        except StreamClosedError:
            raise ClientGone from None
        if not written.done():
            # Not this one itself: it fails when the client leaves.
            self._last = asyncio.get_running_loop().create_future()
            written.add_done_callback(functools.partial(_finish, self._last))
        return self.unfinished

    def offer(self, piece: Piece) -> int:
        """See `Wire.offer`: the stream does not tell."""
        return 0

    def close(self) -> None:
        """See `Wire.close`."""
        self._stream.close()


def _finish(unfinished: "asyncio.Future[None]", written: object) -> None:
    if not unfinished.done():
        unfinished.set_result(None)
