"""One fetch: from the request to the last byte of its response.

A fetch waits for its slot, takes an idle connection or opens one, sends, and hands on what
comes. A request that a kept connection did not answer with a single byte is sent once more on
a new connection (RFC 9112 section 9.3.1). `aprp.upstream.stream` has the fetch of the proxy's own
requests, `aprp.upstream.generic` the one of all others.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aprp.semantics.framing import Delimiter
from aprp.upstream.connection import OriginConnection
from aprp.upstream.dial import Endpoint
from aprp.upstream.errors import Aborted, OriginClosed, Overloaded
from aprp.upstream.head import ResponseHead
from aprp.upstream.pool import Ticket
from aprp.upstream.receiver import Placer

if TYPE_CHECKING:
    from aprp.upstream.client import OriginClient

# RFC 9110 section 9.2.2.
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})

# What cannot be sent again goes out on a kept connection only if that was idle for less than this,
# in seconds: the likelier it is that the origin has not closed it meanwhile.
FRESHLY_IDLE: Final = 1.0


class Fetch:
    """What every fetch has: a slot, a connection, a time limit, an end.

    A subclass says what is sent (`after_head` sends a body), takes head and body, and is told
    of the end once, by `ended`.
    """

    upgrade = False

    def __init__(self, client: "OriginClient", method: str) -> None:
        self.client = client
        self.method = method
        self.idempotent = method in _IDEMPOTENT
        self.endpoint: Endpoint | None = None
        self.request_head = b""
        self.connection: OriginConnection | None = None
        self.head: ResponseHead | None = None
        self.over = False
        self._task: asyncio.Task[None] | None = None
        self._ticket: Ticket | None = None
        self._timer: asyncio.TimerHandle | None = None

    # What a subclass decides.

    @property
    def connect_limit(self) -> float | None:
        """Seconds for a slot, and for a connection; None: no limit."""
        raise NotImplementedError

    def arm(self) -> None:
        """Set the time limit of what follows the request; `set_timer` is there for it."""

    def after_head(self) -> None:
        """The request's head is sent."""

    @property
    def repeatable(self) -> bool:
        """Whether the request may be sent again if nothing came back."""
        return self.idempotent

    @property
    def most_idle(self) -> float | None:
        """Seconds that a kept connection may have been idle to be used; None: any time."""
        return None if self.repeatable else FRESHLY_IDLE

    def before_again(self) -> None:
        """The request will be sent once more."""

    def completed(self, reusable: bool) -> None:
        """The response is complete; `keep` or close the connection and `end`."""
        self.keep(reusable)
        self.end()

    def ended(self, error: Exception | None) -> None:
        """The fetch is over; told once."""
        raise NotImplementedError

    # Getting a connection.

    def begin(self) -> None:
        """Send the request as soon as a slot is free."""
        self.client.fetches.add(self)
        self._ticket = self.client.pool.enter(self._granted)
        if self._ticket is None:
            self._go(reuse=True)
        elif self.connect_limit:
            self.set_timer(self.connect_limit, self._queued_too_long)

    def _granted(self) -> None:
        self._ticket = None
        self.stop_timer()
        self._go(reuse=True)

    def _queued_too_long(self) -> None:
        self.end(Overloaded("Timeout in request queue"))

    def _go(self, reuse: bool) -> None:
        assert self.endpoint is not None
        if self.client.closed:
            self.end(OriginClosed("Client closed"))
            return
        connection = None
        if reuse:
            most = self.most_idle
            since = None if most is None else self.client.loop.time() - most
            connection = self.client.pool.take(self.endpoint, since)
        if connection is not None:
            self.client.events.reused()
            self._send(connection)
        else:
            self._task = self.client.spawn(self._dial(self.endpoint))

    async def _dial(self, endpoint: Endpoint) -> None:
        try:
            connection = await self.client.dial(endpoint, self.connect_limit)
            self._task = None
            self._send(connection)
        except Exception as error:
            self._task = None
            self.end(error)

    def _send(self, connection: OriginConnection) -> None:
        self.connection = connection
        connection.start(self, self.request_head)
        self.arm()
        self.after_head()

    # What the connection tells (`aprp.upstream.receiver.Receiver`).

    @property
    def sent(self) -> bool:
        """Whether the whole request is sent."""
        return True

    @property
    def expects_placement(self) -> bool:
        """Whether `placer` may be there when the head has come."""
        return False

    @property
    def placer(self) -> Placer | None:
        """Who takes the body in the place of `on_data`."""
        return None

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx response came."""

    def on_switch(self, head: ResponseHead) -> None:
        """A 101 response came, to a fetch that says that it has `upgrade`."""
        raise NotImplementedError

    def on_head(self, head: ResponseHead, length: int | Delimiter) -> None:
        """The head of the final response came."""
        raise NotImplementedError

    def on_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Body bytes came."""
        raise NotImplementedError

    def on_end(self, reusable: bool) -> None:
        """The response is complete."""
        self.completed(reusable)

    def on_failure(self, error: Exception) -> None:
        """The connection ended, or what came is no HTTP."""
        connection, self.connection = self.connection, None
        stale = connection is not None and connection.served > 0 and not connection.bytes_seen
        if isinstance(error, OriginClosed) and stale and self.repeatable:
            self.stop_timer()
            self.before_again()
            self._go(reuse=False)
            return
        self.end(error)

    def keep(self, reusable: bool) -> None:
        """Give the connection to the next request, if it can serve one."""
        connection, self.connection = self.connection, None
        if reusable and connection is not None and self.endpoint is not None:
            self.client.keep(self.endpoint, connection)

    # The end.

    def set_timer(self, delay: float, callback: Callable[[], None]) -> None:
        """Call back after `delay` seconds, unless the fetch ends before."""
        self._timer = self.client.loop.call_later(delay, callback)

    def stop_timer(self) -> None:
        """Call back no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def abort(self) -> None:
        """Give up: the origin's connection is closed and the fetch fails with Aborted."""
        self.end(Aborted("given up"))

    def end(self, error: Exception | None = None) -> None:
        """End the fetch, with an error if there is one; a second end is ignored."""
        if self.over:
            return
        self.over = True
        self.release()
        self.ended(error)

    def release(self) -> None:
        """Give up timer, connection, dial and slot."""
        self.client.fetches.discard(self)
        self.stop_timer()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abort()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            ticket.left = True
        else:
            self.client.leave()
