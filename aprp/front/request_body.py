"""The body of a client's request, read and handed on piece by piece without a copy.

The kernel writes into a buffer on loan, and what takes the body gets memoryviews of it. While
one of them is still in use, the client is not read from: that wait is the back-pressure.
"""

import asyncio
from typing import Any, Final, Protocol

from tornado.httputil import RequestStartLine

from aprp.semantics.framing import ChunkedDecoder, FramingError
from aprp.upstream.buffers import BufferPool, Inbox

# Chunk extensions of one body, in bytes: nobody means anything by them.
MAX_EXTENSIONS: Final = 4096

# Whoever needs longer than this for a piece, in seconds, gets small ones.
SLOW_TAKER: Final = 0.05


class RequestDelegate(Protocol):
    """Who takes a request: Tornado's HTTPMessageDelegate, and a method more."""

    def headers_received(self, start_line: RequestStartLine, headers: Any) -> object:
        """The request's head has come; `headers` are `Fields`."""

    def data_received(self, chunk: memoryview) -> "asyncio.Future[None] | None":
        """Bytes of the body have come.

        Their memory stays as it is until the future, if any, is done, in whatever way: that a
        piece could not be used, its taker knows. Meanwhile nothing is read from the client.
        """

    def finish(self) -> None:
        """The request is complete."""

    def body_failed(self, status: int, detail: str) -> None:
        """The body breaks the rules, or does not go on: no more of it comes.

        `status` and `detail` are for an answer; the connection ends with that.
        """

    def on_connection_close(self) -> None:
        """The client went away, and no close callback is set."""


class Source(Protocol):
    """The connection that a body comes on."""

    def pause_reading(self) -> None:
        """Let the socket fill up."""

    def resume_reading(self) -> None:
        """Take from the socket again."""

    def body_over(self, beyond: bytes) -> None:
        """All of the body has been taken; `beyond` came behind its end."""

    def body_broken(self, status: int, detail: str) -> None:
        """The body breaks the rules: what follows cannot be understood."""


class IncomingBody:
    """A body that is being read.

    `left` is what has not come yet of it, in bytes; None where it is chunked. `taker` has to be set
    before anything comes. `heard` is when the client was last listened to, in seconds of the
    loop's clock.
    """

    __slots__ = (
        "_chunks",
        "_dropped",
        "_handing",
        "_inbox",
        "_loop",
        "_source",
        "_waiting",
        "heard",
        "left",
        "taker",
    )

    def __init__(
        self,
        length: int | None,
        source: Source,
        pool: BufferPool,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """`length` in bytes, None for a chunked body."""
        self.left = length
        self.heard = loop.time()
        self.taker: RequestDelegate
        self._source = source
        self._loop = loop
        self._inbox = Inbox(pool)
        self._chunks = ChunkedDecoder(MAX_EXTENSIONS) if length is None else None
        self._waiting: asyncio.Future[None] | None = None
        self._handing = False
        self._dropped = False

    @property
    def paused(self) -> bool:
        """Whether a piece is still in use, and nothing is expected of the client."""
        return self._waiting is not None

    def fill(self, data: bytearray) -> None:
        """Take from the front of `data` what came together with the head."""
        inbox = self._inbox
        inbox.held = True
        with memoryview(data) as view:
            size = len(view) if self.left is None else min(len(view), self.left)
            place = 0
            while place < size:
                room = inbox.space()
                count = min(len(room), size - place)
                room[:count] = view[place : place + count]
                inbox.put(count)
                place += count
        inbox.held = False
        del data[:size]
        if self.left is not None:
            self.left -= size
        self._advance()

    def space(self) -> memoryview:
        """Room for the next bytes; nothing beyond a sized body fits in."""
        room = self._inbox.space()
        return room if self.left is None else room[: self.left]

    def put(self, count: int) -> None:
        """Take note that `count` bytes were written into the space."""
        self._inbox.put(count)
        if self.left is not None:
            self.left -= count
        # Under TLS something may come while a piece is in use.
        if self._waiting is None:
            self.heard = self._loop.time()
            self._advance()

    def drop(self) -> None:
        """Hand nothing more on, and forget what has come."""
        self._dropped = True
        # A buffer that somebody still uses is not lent to another; it goes when he is done.
        if self._waiting is None and not self._handing:
            self._inbox.clear()

    def _advance(self) -> None:
        while (piece := self._next()) is not None:
            self._handing = True
            try:
                waiting = self.taker.data_received(piece)
            finally:
                self._handing = False
            if waiting is not None and not waiting.done():
                self._wait(waiting)
                return
            if self._dropped:
                self._inbox.clear()
                return

    def _next(self) -> memoryview | None:
        """Walk over the next bytes of the body; None where there are none, or it has ended."""
        inbox, chunks = self._inbox, self._chunks
        while not inbox.empty or inbox.next():
            begin, end = inbox.position, inbox.end
            if chunks is not None:
                try:
                    begin, end = chunks.step(inbox.view, begin, end)
                except FramingError as error:
                    self._source.body_broken(400, f"Malformed request body: {error}.")
                    return None
                if chunks.finished:
                    inbox.position = end
                    break
            inbox.position = end
            if begin < end:
                return inbox.view[begin:end]
        if self.left == 0 or (chunks is not None and chunks.finished):
            self._dropped = True
            self._source.body_over(inbox.drain())
        return None

    def _wait(self, waiting: "asyncio.Future[None]") -> None:
        self._waiting = waiting
        self._inbox.held = True
        # What comes when nothing is left is the next request, or the client's end.
        if self.left != 0 and not self._dropped:
            self._source.pause_reading()
        waiting.add_done_callback(self._taken)

    def _taken(self, waiting: "asyncio.Future[None]") -> None:
        self._waiting = None
        self._inbox.held = False
        if not waiting.cancelled():
            waiting.exception()
        if self._dropped:
            self._inbox.clear()
            return
        now = self._loop.time()
        if now - self.heard > SLOW_TAKER:
            self._inbox.slow_down()
        self.heard = now
        self._advance()
        if self._waiting is None and not self._dropped:
            self._source.resume_reading()

    def __repr__(self) -> str:
        left = "chunks" if self.left is None else f"{self.left} bytes"
        state = "dropped" if self._dropped else "paused" if self.paused else "read"
        return f"<IncomingBody {left} to come, {state}>"
