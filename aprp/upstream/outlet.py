"""Where the bytes of a request's body leave: the socket itself, or the TLS layer on it.

Unlike a transport, an outlet that cannot write any more says so and nothing else: what the origin
has answered before it stopped listening can still be read.
"""

import asyncio
import fcntl
import os
import struct
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from aprp.upstream.wire import Wire

Piece = bytes | memoryview

# Bytes of a TCP socket that have not been put on the way yet (Linux).
_SIOCOUTQNSD: Final = 0x894B

# What a TLS layer holds that makes it ask for a pause, in bytes: any at all. (At 0, the loops' TLS
# layers pause and resume by turns.)
_ANY: Final = 1


class Outlet(Protocol):
    """A way out for a body."""

    @property
    def left(self) -> int:
        """Bytes that are on their way out of here, as far as this machine knows."""

    @property
    def unfinished(self) -> "asyncio.Future[None] | None":
        """Done when what was sent is taken; None where it is already."""

    def send(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """Write pieces one after the other, as one.

        Their memory has to stay as it is until the future, if any, is done. Raises OSError where
        the other end takes no more.
        """

    def close(self) -> None:
        """Send no more; what is queued is dropped, and whoever waits waits no more."""


def unsent(descriptor: int) -> int:
    """Bytes that the kernel holds of what was written and has not sent; 0 where it cannot tell."""
    try:
        answer = fcntl.ioctl(descriptor, _SIOCOUTQNSD, b"\0\0\0\0")
    except OSError:
        return 0
    count: int = struct.unpack("i", answer)[0]
    return count


class SocketOutlet:
    """Straight from the memory that holds the bytes into a TCP socket.

    The transport knows nothing of it: it would close the connection at the first write that
    fails, and lose an answer that has come. It must have nothing queued itself.
    """

    __slots__ = ("_broken", "_descriptor", "_loop", "_queue", "unfinished")

    def __init__(
        self, descriptor: int, loop: asyncio.AbstractEventLoop, broken: Callable[[], None]
    ) -> None:
        """`broken` is called where a write fails later; raises OSError."""
        # One of its own: loops watch a descriptor for one owner, and the transport's is closed, and
        # its number used again, when the loop finds right.
        self._descriptor = os.dup(descriptor)
        self._loop = loop
        self._broken = broken
        self._queue: deque[Piece] = deque()
        self.unfinished: asyncio.Future[None] | None = None

    @property
    def left(self) -> int:
        """See `Outlet.left`."""
        if self._descriptor < 0:
            return 0
        return sum(map(len, self._queue)) + unsent(self._descriptor)

    def send(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """See `Outlet.send`."""
        if self._descriptor < 0:
            raise BrokenPipeError("the outlet is closed")
        self._queue.extend(pieces)
        if self.unfinished is None:
            self._flush()
            if self._queue:
                self.unfinished = self._loop.create_future()
                self._loop.add_writer(self._descriptor, self._writable)
        return self.unfinished

    def _flush(self) -> None:
        """Write what the kernel takes; at most four pieces are ever queued."""
        queue = self._queue
        try:
            taken = os.writev(self._descriptor, queue)
        except BlockingIOError:
            return
        while queue and taken >= len(queue[0]):
            taken -= len(queue.popleft())
        if taken:
            queue[0] = memoryview(queue[0])[taken:]

    def _writable(self) -> None:
        try:
            self._flush()
        except OSError:
            self._broken()
            return
        if not self._queue:
            self._loop.remove_writer(self._descriptor)
            self._done()

    def _done(self) -> None:
        unfinished, self.unfinished = self.unfinished, None
        if unfinished is not None and not unfinished.done():
            unfinished.set_result(None)

    def close(self) -> None:
        """See `Outlet.close`."""
        if self._descriptor < 0:
            return
        if self.unfinished is not None:
            self._loop.remove_writer(self._descriptor)
        self._queue.clear()
        os.close(self._descriptor)
        self._descriptor = -1
        self._done()


class TLSOutlet:
    """Through a TLS transport. What is sent is copied: the layer below may hold it for longer."""

    __slots__ = ("_wire",)

    def __init__(self, wire: "Wire") -> None:
        """Send through the transport of `wire`."""
        assert wire.transport is not None
        wire.transport.set_write_buffer_limits(high=_ANY)
        self._wire = wire

    @property
    def left(self) -> int:
        """See `Outlet.left`."""
        upper, lower = self._wire.transport, self._wire.tcp
        if upper is None or lower is None or lower.is_closing():
            return 0
        descriptor = lower.get_extra_info("socket").fileno()
        queued = upper.get_write_buffer_size() + lower.get_write_buffer_size()
        return queued + unsent(descriptor)

    @property
    def unfinished(self) -> "asyncio.Future[None] | None":
        """See `Outlet.unfinished`."""
        return self._wire.room

    def send(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """See `Outlet.send`."""
        transport = self._wire.transport
        if transport is None or transport.is_closing():
            raise BrokenPipeError("the connection is closed")
        transport.write(b"".join(pieces))
        return self._wire.room

    def close(self) -> None:
        """See `Outlet.close`; what the layer holds goes with the connection."""
