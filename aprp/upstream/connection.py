"""One connection to an origin: requests out, response heads and body bytes in.

The kernel writes into a buffer on loan; body bytes are handed on as memoryviews of it, and the
next read waits until the receiver has done with them. That wait is the back-pressure.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from aprp.semantics.framing import ChunkedDecoder, Delimiter, FramingError, response_framing
from aprp.upstream.buffers import BufferPool, Inbox
from aprp.upstream.errors import BadResponse, HeadTooLarge, OriginClosed, OriginFailure
from aprp.upstream.head import ResponseHead, parse_head

MAX_INTERIM_RESPONSES: Final = 10

# A client that needs longer than this for a buffer, in seconds, gets small ones.
SLOW_CLIENT: Final = 0.05


class Receiver(Protocol):
    """Who asked, and takes what comes."""

    method: str

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx response came; the final one follows."""

    def on_head(self, head: ResponseHead, length: int | Delimiter) -> None:
        """The head of the final response came, and how its body is delimited."""

    def on_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Take body bytes; the view is valid until the returned future is done."""

    def on_end(self, reusable: bool) -> None:
        """The response is complete and its last bytes are taken."""

    def on_failure(self, error: Exception) -> None:
        """There will be no more of this response."""


class OriginConnection(asyncio.BufferedProtocol):
    """A connection that carries one exchange at a time and can be kept for the next.

    `bytes_seen` tells whether any byte of the current response has come: a kept connection that
    ends before the first was closed while idle, and the request may be sent again. `tcp` is what
    lies below a TLS transport: pausing has to begin there, because a TLS layer that is paused
    alone reads on, and drops what it holds when the connection ends.
    """

    def __init__(
        self, buffers: BufferPool, max_head: int, closed: Callable[["OriginConnection"], None]
    ) -> None:
        """`max_head` bounds a response head in bytes; `closed` is called when it is gone."""
        self.max_head = max_head
        self.closed_callback = closed
        self.transport: asyncio.Transport | None = None
        self.tcp: asyncio.Transport | None = None
        self.loop = asyncio.get_running_loop()
        self.receiver: Receiver | None = None
        self.bytes_seen = False
        self.last_activity = 0.0
        self.idle_since = 0.0
        self.served = 0
        self._inbox = Inbox(buffers)
        self._in_body = False
        self._remaining = 0
        self._chunked: ChunkedDecoder | None = None
        self._until_close = False
        self._keep_alive = False
        self._interim = 0
        self._eof = False
        self._gone = False
        self._walking = False
        self._waiting: asyncio.Future[None] | None = None
        self._resume_writing: asyncio.Future[None] | None = None

    # What the owner does.

    def start(self, receiver: Receiver, request: bytes) -> None:
        """Send a request's bytes and read its response for `receiver`."""
        assert self.transport is not None and self.receiver is None
        self.receiver = receiver
        self.bytes_seen = False
        self._inbox.slow_down()
        self._interim = 0
        self.last_activity = self.loop.time()
        self.transport.write(request)

    def write(self, data: bytes | memoryview) -> "asyncio.Future[None] | None":
        """Send bytes of a request body; the future, if any, is done when more are welcome."""
        if self.transport is None or self.transport.is_closing():
            raise OriginClosed("Connection closed")
        self.transport.write(data)
        self.last_activity = self.loop.time()
        return self._resume_writing

    @property
    def paused(self) -> bool:
        """Whether reading waits for the receiver."""
        return self._waiting is not None

    @property
    def usable(self) -> bool:
        """Whether another request can be sent."""
        return self.transport is not None and not self.transport.is_closing()

    def abort(self) -> None:
        """Close at once; the receiver hears nothing more."""
        self.receiver = None
        if self._waiting is None and not self._walking:
            self._inbox.clear()
        if self.transport is not None:
            self.transport.abort()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def secured(self, transport: asyncio.BaseTransport) -> None:
        """TLS stands on top of the connection."""
        self.tcp = self.transport
        self.transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the kernel the free part of a buffer."""
        return self._inbox.nowhere() if self.receiver is None else self._inbox.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Take what the kernel wrote."""
        if self.receiver is None:
            # An idle connection has nothing to say; what it says is not an answer.
            self.abort()
            return
        self._inbox.put(nbytes)
        self.bytes_seen = True
        if self._waiting is None:
            self.last_activity = self.loop.time()
            self._advance()

    def eof_received(self) -> bool:
        """The origin sends no more; connection_lost tells the receiver."""
        self._eof = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; what has come of it is still handed on.

        Told once: by the transport, or by who failed to put TLS on top of it.
        """
        if self._gone:
            return
        self._gone = True
        self.transport = self.tcp = None
        self._eof = self._eof and exc is None
        if self._resume_writing is not None and not self._resume_writing.done():
            self._resume_writing.set_result(None)
        self.closed_callback(self)
        if self._waiting is None:
            self._inbox.clear()
            self._ended(f"Connection closed ({exc})" if exc else "Connection closed")

    def _ended(self, cause: str) -> None:
        """Tell the receiver that nothing more comes: the end of the body, or a failure."""
        receiver, self.receiver = self.receiver, None
        if receiver is None:
            return
        if self._in_body and self._until_close and self._eof:
            receiver.on_end(False)
        else:
            receiver.on_failure(OriginClosed(cause))

    def pause_writing(self) -> None:
        """The send buffer is full."""
        self._resume_writing = self.loop.create_future()

    def resume_writing(self) -> None:
        """The send buffer has room."""
        waiting, self._resume_writing = self._resume_writing, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    # The walk over what has come.

    def _advance(self) -> None:
        failure: OriginFailure | None = None
        self._walking = True
        try:
            while self._step():
                pass
        except FramingError as error:
            failure = BadResponse(str(error))
        except OriginFailure as error:
            failure = error
        finally:
            self._walking = False
        if failure is not None:
            self._fail(failure)

    def _step(self) -> bool:
        """Take one head or one run of body bytes; False where there is nothing to take now."""
        receiver, inbox = self.receiver, self._inbox
        if receiver is None:
            inbox.clear()
            return False
        if inbox.empty:
            return inbox.next()
        if not self._in_body:
            return self._take_head(receiver)
        begin, end = inbox.position, inbox.end
        if self._chunked is not None:
            begin, end = self._chunked.step(inbox.view, begin, end)
        elif not self._until_close:
            end = min(end, begin + self._remaining)
            self._remaining -= end - begin
        inbox.position = end
        if end > begin:
            waiting = receiver.on_data(inbox.view[begin:end])
            if waiting is not None and not _is_taken(waiting):
                self._wait(waiting)
                return False
        if self._over and self.receiver is not None:
            self._finish(receiver)
            return False
        return True

    @property
    def _over(self) -> bool:
        """Whether the whole body has been walked over."""
        if self._chunked is not None:
            return self._chunked.finished
        return self._remaining == 0 and not self._until_close

    def _take_head(self, receiver: Receiver) -> bool:
        inbox = self._inbox
        data, begin, end = inbox.data, inbox.position, inbox.end
        stop = data.find(b"\r\n\r\n", begin, end)
        if stop < 0 and data.find(b"\n\n", begin, end) >= 0:
            raise BadResponse("line feed without carriage return in the response head")
        stop = stop + 4 if stop >= 0 else end
        if stop - begin > self.max_head:
            raise HeadTooLarge(f"delimiter not found within {self.max_head} bytes")
        if data[stop - 4 : stop] != b"\r\n\r\n":
            return False
        head = parse_head(bytes(inbox.view[begin:stop]))
        inbox.position = stop
        fields = head.fields
        length = response_framing(
            receiver.method,
            head.status,
            fields.getlist("Content-Length"),
            fields.getlist("Transfer-Encoding"),
        )
        if head.status < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                raise BadResponse("Too many 1xx responses")
            receiver.on_interim(head)
            return True
        self._in_body = True
        # RFC 9112 section 6.1: in HTTP/1.0 a transfer coding makes the framing doubtful.
        doubtful = length is Delimiter.CHUNKED and head.version == "HTTP/1.0"
        self._keep_alive = head.keep_alive and not doubtful
        self._until_close = length is Delimiter.CLOSE
        self._chunked = ChunkedDecoder() if length is Delimiter.CHUNKED else None
        self._remaining = length if isinstance(length, int) else 0
        receiver.on_head(head, length)
        if length == 0 and self.receiver is not None:
            self._finish(receiver)
            return False
        return True

    def _wait(self, waiting: "asyncio.Future[None]") -> None:
        """Read no more until the receiver has taken what it got."""
        self._waiting = waiting
        self._inbox.held = True
        below = self.tcp or self.transport
        if below is not None and not below.is_closing():
            below.pause_reading()
        waiting.add_done_callback(self._resume)

    def _resume(self, waiting: "asyncio.Future[None]") -> None:
        self._waiting = None
        self._inbox.held = False
        error = asyncio.CancelledError() if waiting.cancelled() else waiting.exception()
        receiver = self.receiver
        if receiver is None:
            self._inbox.clear()
            return
        if error is not None:
            self._fail(error if isinstance(error, Exception) else OriginClosed("cancelled"))
            return
        now = self.loop.time()
        if now - self.last_activity > SLOW_CLIENT:
            self._inbox.slow_down()
        self.last_activity = now
        if self._over:
            self._finish(receiver)
        else:
            self._advance()
        if self._waiting is not None:
            return
        below = self.tcp or self.transport
        if below is None:
            self._inbox.clear()
            self._ended("Connection closed")
        elif not below.is_closing():
            below.resume_reading()

    def _finish(self, receiver: Receiver) -> None:
        """The response is complete: the connection is free, if nothing is odd about it."""
        surplus = not self._inbox.empty or self._inbox.next()
        reusable = self._keep_alive and not self._until_close and not surplus and self.usable
        self._inbox.clear()
        self._in_body = False
        self._chunked = None
        self.receiver = None
        self.served += 1
        if not reusable and self.transport is not None:
            self.transport.abort()
        receiver.on_end(reusable)

    def _fail(self, error: Exception) -> None:
        receiver = self.receiver
        self.abort()
        if receiver is not None:
            receiver.on_failure(error)

    def __repr__(self) -> str:
        state = "closed" if self.transport is None else "idle" if self.receiver is None else "busy"
        return f"<OriginConnection {state}, {self.served} served>"


def _is_taken(waiting: "asyncio.Future[None]") -> bool:
    return waiting.done() and not waiting.cancelled() and waiting.exception() is None
