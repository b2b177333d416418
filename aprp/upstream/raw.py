"""A connection that carries no HTTP: what CONNECT asks for (RFC 9110 section 9.3.6)."""

from collections.abc import Callable
from typing import Final

from aprp.upstream.detached import Detached
from aprp.upstream.wire import Wire

# Read at once, in bytes, from an end that talks before there is somebody to listen.
_ROOM: Final = 16384


class RawConnection(Wire):
    """A TCP connection to be given away; no more than its first bytes are read before that."""

    def __init__(self, closed: Callable[["RawConnection"], None]) -> None:
        """`closed` is called when it is gone, whoever has its transport by then."""
        super().__init__()
        self._closed = closed
        self._room = memoryview(bytearray(_ROOM))
        self._came = b""
        self._gone = False

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend room for the first bytes."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Keep what came, and let the rest wait. (uvloop does not bear a pause any earlier.)"""
        self._came += self._room[:nbytes]
        self.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; told once, by the transport or by who has taken it over."""
        if self._gone:
            return
        self._gone = True
        self.unwired()
        self._closed(self)

    def detach(self) -> Detached:
        """Give the transport away; raises OriginClosed where the other end has left already."""
        self.pause_reading()
        return self.give_away(self._came)
