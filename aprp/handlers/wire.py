"""Writing to a client: bytes straight from the buffer into the socket, with back-pressure.

A piece goes to the kernel at once where there is room; only what the kernel does not take is
handed to Tornado's stream, and the future of that write says when the memory may be used again.
(The future of `HTTP1Connection.write` cannot say so: with two writes under way, the first to be
done completes the future of the second.)
"""

import asyncio

from tornado.iostream import IOStream, StreamClosedError

Piece = bytes | memoryview


class ClientGone(Exception):
    """The client closed its connection, or it broke."""


class Wire:
    """The client's connection, seen as a place to write."""

    __slots__ = ("_socket", "_unfinished", "stream")

    def __init__(self, stream: IOStream) -> None:
        """Write to `stream`; a TLS stream does all writing itself."""
        self.stream = stream
        self._socket = stream.socket if type(stream) is IOStream else None
        self._unfinished: asyncio.Future[None] | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self.stream.closed()

    @property
    def unfinished(self) -> "asyncio.Future[None] | None":
        """The write that the client has not taken yet, if there is one."""
        if self._unfinished is not None and self._unfinished.done():
            self._unfinished = None
        return self._unfinished

    def send(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """Write pieces one after the other, as one.

        None says that the kernel has taken all of them; otherwise the pieces' memory must stay
        as it is until the future is done. Raises ClientGone.
        """
        if self._socket is None or self.unfinished is not None:
            return self._queue(pieces)
        try:
            taken = (
                self._socket.send(pieces[0]) if len(pieces) == 1 else self._socket.sendmsg(pieces)
            )
        except BlockingIOError:
            taken = 0
        except OSError:
            self.stream.close()
            raise ClientGone from None
        if taken == len(pieces[0]) and len(pieces) == 1:
            return None
        rest: list[Piece] = []
        for piece in pieces:
            size = len(piece)
            if taken >= size:
                taken -= size
                continue
            rest.append(memoryview(piece)[taken:] if taken else piece)
            taken = 0
        return self._queue(tuple(rest)) if rest else None

    def _queue(self, pieces: tuple[Piece, ...]) -> "asyncio.Future[None] | None":
        future: asyncio.Future[None] | None = None
        try:
            for piece in pieces:
                future = self.stream.write(piece)
        except StreamClosedError:
            raise ClientGone from None
        if future is None or (future.done() and future.exception() is None):
            return None
        self._unfinished = future
        return future
