"""The fetch of the proxy's own requests: what comes is handed on as it comes."""

import asyncio
from typing import TYPE_CHECKING

from tornado.httpclient import HTTPResponse
from tornado.httputil import HTTPHeaders

from aprp.semantics.framing import Delimiter
from aprp.upstream.errors import FirstByteTimeout, IdleTimeout
from aprp.upstream.fetch import Fetch
from aprp.upstream.head import ResponseHead
from aprp.upstream.receiver import Placer
from aprp.upstream.request import OriginRequest

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
        self.endpoint = request.endpoint
        request.running = self

    def start(self) -> None:
        """Send the request as soon as a slot is free."""
        try:
            self.request_head = self._request.to_bytes()
        except ValueError as error:
            self.over = True
            self._future.set_exception(error)
            return
        self.begin()

    @property
    def connect_limit(self) -> float | None:
        """The request's connect timeout."""
        return self._request.connect_timeout

    def arm(self) -> None:
        """Wait for the head."""
        self._sent = self.client.loop.time()
        self.set_timer(self._request.first_byte_timeout, self._check)

    def _check(self) -> None:
        """One timer for both limits, set anew when it fires: most fetches are over before."""
        self._timer = None
        connection = self.connection
        if connection is None:
            return
        request = self._request
        if self.head is None:
            # A head that trickles in is late, too.
            limit, since = request.first_byte_timeout, self._sent
        else:
            limit, since = request.idle_timeout, connection.last_activity
        left = limit if connection.paused else since + limit - self.client.loop.time()
        if left > 0.001:
            self.set_timer(left, self._check)
        elif self.head is None:
            self.end(FirstByteTimeout(f"no answer within {limit:g} s"))
        else:
            self.end(IdleTimeout(f"no bytes for {limit:g} s"))

    def on_head(self, head: ResponseHead, length: int | Delimiter) -> None:
        """Hand the head on."""
        self.head = head
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
        assert self._placer is not None
        try:
            return self._placer.placed(count)
        except Exception as error:
            self.end(error)
            return None

    def on_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Hand body bytes on."""
        self.client.events.received(len(view))
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

    def ended(self, error: Exception | None) -> None:
        """Tell whoever awaits."""
        self._request.running = None
        self._placer = None
        future = self._future
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            assert self.head is not None
            future.set_result(
                HTTPResponse(self._request, self.head.status, _NO_HEADERS, reason=self.head.reason)
            )
