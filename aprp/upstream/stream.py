"""The fetch of the proxy's own requests: what comes is handed on as it comes."""

import asyncio
from typing import TYPE_CHECKING

from tornado.httpclient import HTTPResponse
from tornado.httputil import HTTPHeaders

from aprp.semantics.framing import Delimiter
from aprp.upstream.errors import FirstByteTimeout, IdleTimeout, OriginClosed, Undelivered
from aprp.upstream.fetch import FRESHLY_IDLE, Fetch
from aprp.upstream.head import ResponseHead
from aprp.upstream.receiver import Placer
from aprp.upstream.request import OriginRequest
from aprp.upstream.sending import Sender

if TYPE_CHECKING:
    from aprp.upstream.client import OriginClient

# The head went to `on_head`.
_NO_HEADERS = HTTPHeaders()


class StreamFetch(Fetch):
    """The fetch of an `OriginRequest`: head and body go on as they come, nothing is kept."""

    def __init__(
        self,
        client: "OriginClient",
        request: OriginRequest,
        future: "asyncio.Future[HTTPResponse]",
    ) -> None:
        """`future` gets a response without a body, or the exception."""
        super().__init__(client, request.method)
        self._request = request
        self._future = future
        self._sent = 0.0
        self._placer: Placer | None = None
        self._sender: Sender | None = None
        self._head = b""
        self.upgrade = request.upgrade
        self.endpoint = request.endpoint
        request.running = self

    def start(self) -> None:
        """Send the request as soon as a slot is free."""
        try:
            head = self._request.to_bytes()
        except ValueError as error:
            self.over = True
            self._future.set_exception(error)
            return
        if self._request.outgoing is None:
            self.request_head = head
        else:
            # The body's way has to be the head's as well, or it would overtake it.
            self._head = head
        self.begin()

    @property
    def connect_limit(self) -> float | None:
        """The request's connect timeout."""
        return self._request.connect_timeout

    # The request's body.

    @property
    def repeatable(self) -> bool:
        """Whether no byte of a body is gone, and the method allows it."""
        body = self._request.outgoing
        return self.idempotent and (body is None or not body.started)

    @property
    def most_idle(self) -> float | None:
        """A body that was begun cannot be sent again, whatever the method."""
        return None if self.idempotent and self._request.outgoing is None else FRESHLY_IDLE

    def after_head(self) -> None:
        """Send the request that has a body."""
        body, connection = self._request.outgoing, self.connection
        if body is None or connection is None:
            return
        sender = self._sender = Sender(connection, self.client.loop, self._head, body, self.end)
        try:
            sender.begin(self._request.expects_continue)
        except OSError as error:
            self.end(OriginClosed(f"cannot send the request's body: {error}"))

    @property
    def sent(self) -> bool:
        """Whether the body is sent, too."""
        return self._sender is None or self._sender.over

    def before_again(self) -> None:
        """The body waits for the next connection."""
        if self._sender is not None:
            self._sender.stop()

    # Time limits.

    def arm(self) -> None:
        """Wait for the head."""
        self._sent = self.client.loop.time()
        request = self._request
        limit = request.first_byte_timeout
        if request.outgoing is not None:
            limit = min(limit, request.idle_timeout) / 4
        self.set_timer(limit, self._check)

    def _check(self) -> None:
        """One timer for all limits, set anew when it fires: most fetches are over before."""
        self._timer = None
        connection, sender = self.connection, self._sender
        if connection is None:
            return
        request, now = self._request, self.client.loop.time()
        sending = sender is not None and sender.active
        if self.head is None:
            # A head that trickles in is late, too.
            limit, since = request.first_byte_timeout, self._sent
        else:
            limit, since = request.idle_timeout, connection.last_activity
        often = limit
        if sender is not None:
            # A slow client does not make the origin late.
            since = sender.since(now) if sending else max(since, sender.since(now))
            limit = request.idle_timeout if sending else limit
            often = limit / 4
        left = limit if connection.paused else since + limit - now
        if left > 0.001:
            self.set_timer(min(left, often), self._check)
        elif sending:
            self.end(IdleTimeout(f"no bytes of the request's body taken for {limit:g} s"))
        elif self.head is None:
            self.end(FirstByteTimeout(f"no answer within {limit:g} s"))
        else:
            self.end(IdleTimeout(f"no bytes for {limit:g} s"))

    # What the connection tells.

    def on_interim(self, head: ResponseHead) -> None:
        """Send the body after 100; hand the others on."""
        if head.status == 100:
            if self._sender is not None:
                self._sender.go_on()
        elif self._request.on_interim is not None:
            try:
                self._request.on_interim(head)
            except Exception as error:
                self.end(error)

    def on_switch(self, head: ResponseHead) -> None:
        """Hand the head on, and keep the connection for who wants to have it."""
        request, connection = self._request, self.connection
        assert connection is not None
        self.head = head
        self._tell_answered()
        request.switched = connection
        try:
            request.on_head(head)
        except Exception as error:
            self.end(error)
        if self.over:
            request.switched = None
            return
        self.connection = None
        if request.switched is not None:
            patience = self.connect_limit or 0.0
            request.expiry = self.client.loop.call_later(patience, request.abort)
        self.end()

    def on_head(self, head: ResponseHead, length: int | Delimiter) -> None:
        """Hand the head on."""
        self.head = head
        self._tell_answered()
        request = self._request
        if request.idle_timeout < request.first_byte_timeout:
            self.stop_timer()
            self.set_timer(request.idle_timeout, self._check)
        try:
            request.on_head(head)
        except Exception as error:
            self.end(error)
        else:
            self._placer = request.placer
        if self._sender is not None:
            self._answered_early(self._sender, head)

    def _tell_answered(self) -> None:
        """Note the status, and tell how long the origin took.

        One that did not wait for the whole request took no time.
        Counted from the last byte of the request, so that a slow client makes no slow origin.
        """
        assert self.head is not None
        self._request.status = self.head.status
        sender = self._sender
        if sender is None or sender.over:
            sent = self._sent if sender is None else max(self._sent, sender.over_at)
            self.client.events.answered(self.client.loop.time() - sent)

    @staticmethod
    def _answered_early(sender: Sender, head: ResponseHead) -> None:
        """Cease sending where the origin does not want the body (RFC 9112 section 9.5)."""
        if sender.held_back or (sender.active and head.status >= 400 and not head.keep_alive):
            sender.drop()

    @property
    def expects_placement(self) -> bool:
        """Whether the request has a placer or may get one."""
        return self._request.expects_placement

    @property
    def placer(self) -> Placer | None:
        """The fetch itself, which counts the bytes that it passes on to the request's placer."""
        return None if self._placer is None else self

    def space(self) -> memoryview:
        """Ask the request's placer; the connection sees to its errors."""
        assert self._placer is not None
        return self._placer.space()

    def placed(self, count: int) -> "asyncio.Future[None] | None":
        """Hand on that body bytes came to their place."""
        self.client.events.received(count)
        self._request.received += count
        assert self._placer is not None
        try:
            return self._placer.placed(count)
        except Exception as error:
            self.end(error)
            return None

    def on_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Hand body bytes on."""
        self.client.events.received(len(view))
        self._request.received += len(view)
        try:
            return self._request.on_body(view)
        except Exception as error:
            self.end(error)
            return None

    def on_end(self, reusable: bool) -> None:
        """Note whether that was all the origin sent."""
        assert self.connection is not None
        self._request.surplus = self.connection.surplus
        super().on_end(reusable)

    def release(self) -> None:
        """Stop sending, too."""
        super().release()
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.stop()

    def ended(self, error: Exception | None) -> None:
        """Tell whoever awaits."""
        request = self._request
        request.running = None
        self._placer = None
        if request.outgoing is not None and not isinstance(error, Undelivered):
            # One that was never sent may go to another origin.
            request.outgoing.release()
        future = self._future
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            assert self.head is not None
            future.set_result(
                HTTPResponse(request, self.head.status, _NO_HEADERS, reason=self.head.reason)
            )
