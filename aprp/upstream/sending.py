"""A request with a body on its way to an origin: head, framing, and how far it has come."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aprp.upstream.outgoing import RequestBody
from aprp.upstream.outlet import Outlet, Piece, SocketOutlet, TLSOutlet

if TYPE_CHECKING:
    from aprp.upstream.wire import Wire

# How long an origin may keep a body waiting for its 100 (Continue), in seconds. Many never send it
# (RFC 9110 section 10.1.1: a client should not wait for an indefinite time).
CONTINUE_WAIT: Final = 1.0


class Sender:
    """Sends one request with its body; it is the body's sink.

    `over`: all of it is with the kernel, since `over_at`, in seconds of the loop's clock. Where the
    origin takes no more, that ends the sending and nothing else: the response, if there is one, is
    read on.
    """

    __slots__ = (
        "_attached",
        "_body",
        "_fail",
        "_head",
        "_left",
        "_loop",
        "_outlet",
        "_since",
        "_timer",
        "_wire",
        "over",
        "over_at",
    )

    def __init__(
        self,
        wire: "Wire",
        loop: asyncio.AbstractEventLoop,
        head: bytes,
        body: RequestBody,
        fail: Callable[[Exception], None],
    ) -> None:
        """`fail` is called where the client's side failed; nothing is sent yet."""
        self._wire = wire
        self._loop = loop
        self._head = head
        self._body = body
        self._fail = fail
        self._outlet: Outlet | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._attached = False
        self._left = 0
        self._since = loop.time()
        self.over = False
        self.over_at = 0.0

    def begin(self, expects_continue: bool) -> None:
        """Send the head, and the body behind it.

        `expects_continue`: when the origin says so (`go_on`), or has not said so for a while.
        Raises OSError where there is no descriptor left.
        """
        wire = self._wire
        if not wire.usable:
            # Its end is on its way to the receiver.
            return
        assert wire.transport is not None
        if wire.tcp is not None:
            self._outlet = TLSOutlet(wire)
        else:
            descriptor = wire.transport.get_extra_info("socket").fileno()
            self._outlet = SocketOutlet(descriptor, self._loop, self._broken)
        if expects_continue:
            self._timer = self._loop.call_later(CONTINUE_WAIT, self._attach)
            self._put()
        else:
            self._attach()

    @property
    def active(self) -> bool:
        """Whether there is more to send, or may be."""
        return self._outlet is not None and not self.over

    @property
    def held_back(self) -> bool:
        """Whether the body waits for the origin's consent."""
        return not self._attached

    def go_on(self) -> None:
        """The origin wants the body."""
        if self._timer is not None:
            self._timer.cancel()
            self._attach()

    def since(self, now: float) -> float:
        """Since when it is the origin's turn: it takes nothing of what is there, or has it all.

        That is as exact as this is called often; `now` is in seconds of the loop's clock.
        """
        left = 0 if self._outlet is None else self._outlet.left
        if left != self._left or (not left and self.active):
            self._left = left
            self._since = now
        return self._since

    def stop(self) -> None:
        """Send no more; idempotent. The body may be attached elsewhere if none of it was sent."""
        outlet, self._outlet = self._outlet, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if outlet is None:
            return
        if not self.over:
            self._since = self._loop.time()
        self._left = 0
        outlet.close()
        self._body.detach()

    def drop(self) -> None:
        """Send no more, and let the client's bytes go nowhere."""
        self.stop()
        self._body.release()

    # aprp.upstream.outgoing.BodySink

    def write(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Send body bytes."""
        if self._body.length is None:
            return self._put(b"%x\r\n" % len(view), view, b"\r\n")
        return self._put(view)

    def finish(self) -> None:
        """Send the end."""
        if self._body.length is None:
            waiting = self._put(b"0\r\n\r\n")
        elif self._head:
            waiting = self._put()
        else:
            waiting = None if self._outlet is None else self._outlet.unfinished
        if waiting is None:
            self._sent()
        else:
            waiting.add_done_callback(self._sent)

    def failed(self, error: Exception) -> None:
        """The client's side failed: an incomplete request must not look like a complete one."""
        self._fail(error)

    def _attach(self) -> None:
        self._timer = None
        self._attached = True
        self._body.attach(self)
        # Together with the first bytes of the body, where there are any by now.
        if self._head:
            self._put()

    def _put(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        if self._outlet is None:
            return None
        if self._head:
            pieces = (self._head, *pieces)
            self._head = b""
        try:
            return self._outlet.send(*pieces)
        except OSError:
            self._broken()
            return None

    def _broken(self) -> None:
        """The origin takes no more; what it has to say about that may come yet."""
        self.drop()

    def _sent(self, _: object = None) -> None:
        if self._outlet is not None:
            self.over = True
            self._left = self._outlet.left
            self.over_at = self._since = self._loop.time()
