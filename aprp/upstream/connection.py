"""One connection to an origin: requests out, response heads and body bytes in.

The kernel writes into a buffer on loan; body bytes are handed on as memoryviews of it, and the
next read waits until the receiver has done with them. That wait is the back-pressure. A receiver
that has a `Placer` gets the body where it says: the kernel writes it there, except for chunked and
TLS bodies and what came together with the head, which are copied.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from aprp.semantics.framing import FramingError
from aprp.upstream.body import Beyond, Body
from aprp.upstream.buffers import BufferPool, Inbox
from aprp.upstream.detached import Detached
from aprp.upstream.errors import BadResponse, OriginClosed, OriginFailure
from aprp.upstream.head import ResponseHead, take_head
from aprp.upstream.receiver import Placer, Receiver
from aprp.upstream.wire import Wire

MAX_INTERIM_RESPONSES: Final = 10

# A client that needs longer than this for a buffer, in seconds, gets small ones.
SLOW_CLIENT: Final = 0.05

# What is read at once, in bytes, while a head is awaited whose body has a place of its own.
HEAD_ROOM: Final = 8192


class OriginConnection(Wire):
    """A connection that carries one exchange at a time and can be kept for the next.

    `bytes_seen` tells whether any byte of the current response has come: a kept connection that
    ends before the first was closed while idle, and the request may be sent again. `surplus` tells
    whether the origin was seen to go on beyond the end of the last response.
    """

    def __init__(
        self, buffers: BufferPool, max_head: int, closed: Callable[["OriginConnection"], None]
    ) -> None:
        """`max_head` bounds a response head in bytes; `closed` is called when it is gone."""
        super().__init__()
        self.max_head = max_head
        self.closed_callback = closed
        self.receiver: Receiver | None = None
        self.bytes_seen = False
        self.idle_since = 0.0
        self.served = 0
        self.surplus = False
        self._inbox = Inbox(buffers)
        self._body: Body | None = None
        self._placer: Placer | None = None
        # The kernel may write to where the placer says; it has been told to; that is asked now.
        self._direct = False
        self._lent = False
        self._asking = False
        self._short = False
        self._interim = 0
        self._eof = False
        self._gone = False
        self._walking = False
        self._switched = False
        self._waiting: asyncio.Future[None] | None = None

    # What the owner does.

    def start(self, receiver: Receiver, request: bytes) -> None:
        """Send a request's bytes, if any, and read its response for `receiver`."""
        assert self.transport is not None and self.receiver is None
        self.receiver = receiver
        self.bytes_seen = False
        self.surplus = False
        # TLS layers need to get rid of all they hold.
        self._short = receiver.expects_placement and self.tcp is None
        self._inbox.slow_down()
        self._interim = 0
        self.last_activity = self.loop.time()
        if request:
            self.transport.write(request)

    @property
    def paused(self) -> bool:
        """Whether reading waits for the receiver."""
        return self._waiting is not None

    def abort(self) -> None:
        """Close at once; the receiver hears nothing more."""
        self.receiver = None
        self._switched = False
        self._place_no_more()
        if self._waiting is None and not self._walking:
            self._inbox.clear()
        if self.transport is None:
            return
        if self._asking:
            # uvloop does not bear the end of a transport in the middle of `get_buffer`.
            self.loop.call_soon(self.transport.abort)
        else:
            self.transport.abort()

    # asyncio.BufferedProtocol

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the kernel the free part of a buffer, or the place of the body's next bytes."""
        if self.receiver is None:
            return self._inbox.space() if self._switched else self._inbox.nowhere()
        # Without TLS nothing comes while the receiver is waited for; if it does, it is kept.
        if self._direct and self._waiting is None and self._inbox.empty:
            return self._lend()
        space = self._inbox.space()
        return space[:HEAD_ROOM] if self._short else space

    def _lend(self) -> memoryview:
        assert self._placer is not None and self._body is not None
        room = self._room(self._placer)
        if room is None:
            return self._inbox.nowhere()
        self._lent = True
        # What goes on beyond the body stays in the socket.
        return room if self._body.until_close else room[: self._body.remaining]

    def _room(self, placer: Placer) -> memoryview | None:
        """Ask where the next body bytes belong; None where the response has ended in that."""
        self._asking = True
        try:
            room = placer.space()
            if room.readonly or not len(room):
                raise ValueError("a placer has to give room for at least one byte, writable")
        except Exception as error:
            self._fail(error)
            return None
        finally:
            self._asking = False
        return None if self.receiver is None else room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what the kernel wrote."""
        if self.receiver is None:
            if self._switched:
                self._inbox.put(nbytes)
            else:
                # An idle connection has nothing to say; what it says is not an answer.
                self.abort()
            return
        if self._lent:
            self._lent = False
            self._take_placed(nbytes)
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
        self.unwired()
        self._eof = self._eof and exc is None
        self.closed_callback(self)
        if self._waiting is None:
            self._inbox.clear()
            self._ended(f"Connection closed ({exc})" if exc else "Connection closed")

    def _ended(self, cause: str) -> None:
        """Tell the receiver that nothing more comes: the end of the body, or a failure."""
        receiver, self.receiver = self.receiver, None
        self._place_no_more()
        if receiver is None:
            return
        if self._body is not None and self._body.until_close and self._eof:
            receiver.on_end(False)
        else:
            receiver.on_failure(OriginClosed(cause))

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
            if not self._switched:
                inbox.clear()
            return False
        if inbox.empty:
            return inbox.next()
        body, placer = self._body, self._placer
        if body is None:
            return self._take_head(receiver)
        if placer is not None:
            waiting = self._copy(placer, body)
        else:
            view = body.next(inbox)
            waiting = receiver.on_data(view) if view else None
        if waiting is not None and not _is_taken(waiting):
            self._wait(waiting)
            return False
        if body.over and self.receiver is not None:
            self._finish(receiver)
            return False
        return True

    def _copy(self, placer: Placer, body: Body) -> "asyncio.Future[None] | None":
        """Put the next body bytes of the inbox where they belong."""
        room = self._room(placer) if body.find(self._inbox) else None
        return None if room is None else placer.placed(body.copy(self._inbox, room))

    def _take_placed(self, count: int) -> None:
        """Go on behind body bytes that the kernel wrote to their place."""
        receiver, placer, body = self.receiver, self._placer, self._body
        assert receiver is not None and placer is not None and body is not None
        self.last_activity = self.loop.time()
        body.received(count)
        waiting = placer.placed(count)
        if waiting is not None and not _is_taken(waiting):
            self._wait(waiting)
        elif body.over and self.receiver is not None:
            self._finish(receiver)

    def _place_no_more(self) -> None:
        self._placer = None
        self._direct = False

    def _take_head(self, receiver: Receiver) -> bool:
        head = take_head(self._inbox, self.max_head, receiver.upgrade)
        if head is None:
            return False
        body = Body(receiver.method, head)
        if head.status == 101:
            self._switch(receiver, head)
            return True
        if head.status < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                raise BadResponse("Too many 1xx responses")
            receiver.on_interim(head)
            return True
        self._body = body
        self._short = False
        receiver.on_head(head, body.length)
        if self.receiver is None:
            return True
        self._placer = receiver.placer
        self._direct = self._placer is not None and self.tcp is None and body.plain
        if body.over:
            self._finish(receiver)
            return False
        return True

    def _switch(self, receiver: Receiver, head: ResponseHead) -> None:
        """HTTP is over here, by RFC 9110 section 7.8; `detach` gives away what there is."""
        if not receiver.upgrade or "Upgrade" not in head.fields or not receiver.sent:
            raise BadResponse("Upgrade without being asked, or to nothing, or too early")
        self._switched = True
        self._inbox.held = True
        self.receiver = None
        self.pause_reading()
        receiver.on_switch(head)

    def detach(self) -> Detached:
        """Give away the transport of a connection that has switched; OriginClosed if it is gone."""
        self._switched = False
        return self.give_away(self._inbox.drain())

    def _wait(self, waiting: "asyncio.Future[None]") -> None:
        """Read no more until the receiver has taken what it got."""
        self._waiting = waiting
        self._inbox.held = True
        self.pause_reading()
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
        if self._body is not None and self._body.over:
            self._finish(receiver)
        else:
            self._advance()
        if self._waiting is None and not self.resume_reading():
            self._inbox.clear()
            self._ended("Connection closed")

    def _finish(self, receiver: Receiver) -> None:
        """The response is complete: the connection is free, if nothing is odd about it."""
        beyond = self._beyond()
        self.surplus = beyond is Beyond.BYTES
        keep_alive = self._body is not None and self._body.keep_alive
        reusable = keep_alive and beyond is Beyond.NOTHING and self.usable and receiver.sent
        self._inbox.clear()
        self._body = None
        self._place_no_more()
        self.receiver = None
        self.served += 1
        if not reusable and self.transport is not None:
            self.transport.abort()
        receiver.on_end(reusable)

    def _beyond(self) -> Beyond:
        """What came behind the end of the response."""
        if not self._inbox.empty or self._inbox.next():
            return Beyond.BYTES
        # Bytes that would have come into the inbox were left in the socket.
        if self._placer is None or self.tcp is not None:
            return Beyond.NOTHING
        return self.look_beyond()

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
