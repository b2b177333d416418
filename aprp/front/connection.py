"""A client's connection: requests in, one after the other.

What Tornado's `HTTP1Connection` is to Tornado's server, for a tenth of the work on a request
without a body: reading stays switched on, so that nothing is asked of the kernel between two
requests, and a client that leaves is noticed at once.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from tornado.httputil import HTTPMessageDelegate, RequestStartLine

from aprp.front.wire import ClientGone, TransportWire
from aprp.semantics.framing import ChunkedDecoder, FramingError
from aprp.semantics.headers import Fields
from aprp.semantics.requests import BadRequest, find_head, parse_request_head

if TYPE_CHECKING:
    from aprp.front.server import ProxyServer

# How long a refused client is listened to, in seconds.
LINGER: Final = 2.0

# Most bytes of requests that wait for their turn. A client that sends more has those answered, and
# its connection closed then.
MAX_WAITING: Final = 256 << 10

# A body that is read only to be dropped, in bytes.
MAX_DROPPED_BODY: Final = 65536


class ClientConnection(asyncio.BufferedProtocol):
    """One connection, with at most one request under way.

    To a delegate it is what Tornado's HTTPConnection is: `context` (itself, with `remote_ip` and
    `protocol`), `set_close_callback`, `finish`, `close`; and `wire` to write to. `malformed` is
    the status and the text of the answer to a head that broke the rules.
    """

    def __init__(self, server: "ProxyServer") -> None:
        self.context = self
        self.remote_ip = ""
        self.protocol = "http"
        self.malformed: tuple[int, str] | None = None
        self.wire: TransportWire
        self._server = server
        self._loop = server.loop
        self._transport: asyncio.Transport | None = None
        self._delegate: HTTPMessageDelegate | None = None
        self._close_callback: Callable[[], None] | None = None
        self._input = bytearray()
        self._body: int | ChunkedDecoder = 0
        self._reading_body = False
        self._dropped = 0
        self._overflow = False
        self._lingering = False
        self._idle_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self._delegate is None

    # For the delegate: what it uses of tornado.httputil.HTTPConnection.

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Call back when the client goes away before `finish`."""
        self._close_callback = callback

    def finish(self) -> None:
        """The response is written: the next request may be read."""
        self._delegate = None
        self._close_callback = None
        self._idle_since = self._loop.time()
        if self._reading_body or self.malformed is not None:
            # Where the next request begins cannot be told.
            self.close()
            return
        if self._input:
            # Not from here: a long row of pipelined requests would be a deep stack.
            self._loop.call_soon(self._advance)
        elif self._overflow:
            self.close()

    def close(self) -> None:
        """Close; everything written has to be taken by then.

        A client that is still sending is heard for a while: a connection closed over unread
        bytes is reset, and the answer to a refused request would be lost (RFC 9112 section 9.6).
        """
        if self._transport is None:
            return
        if self.malformed is None or self._lingering:
            self.wire.close()
            return
        self._lingering = True
        self.wire.closed = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._loop.call_later(LINGER, self.wire.abort)

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.remote_ip = peer[0] if peer else "unix"
        self.wire = TransportWire(self._transport)
        self._server.connections.add(self)
        self._idle_since = self._loop.time()
        self._timer = self._loop.call_later(self._server.idle_timeout, self._check_idle)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the buffer that all connections share: what comes is taken out at once."""
        return self._server.scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of requests came."""
        if self._lingering or self._overflow:
            return
        self._input += self._server.scratch[:nbytes]
        if self._delegate is None or self._reading_body:
            self._advance()
        elif len(self._input) > MAX_WAITING:
            # What is beyond is read all the same: behind it may be the end of the connection.
            self._overflow = True
            del self._input[MAX_WAITING:]

    def eof_received(self) -> bool:
        """The client sends no more: it has gone (RFC 9112 section 9.6 lets it wait no longer)."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._transport = None
        self.wire.lost()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._server.connections.discard(self)
        callback, self._close_callback = self._close_callback, None
        delegate, self._delegate = self._delegate, None
        if callback is not None:
            callback()
        elif delegate is not None:
            delegate.on_connection_close()

    def pause_writing(self) -> None:
        """The client takes less than is written."""
        self.wire.paused()

    def resume_writing(self) -> None:
        """The client has taken what was written."""
        self.wire.resumed()

    # The walk over what has come.

    def _advance(self) -> None:
        if self.wire.closed:
            return
        if self._reading_body:
            self._drop_body()
        elif self._delegate is None and self._input:
            self._take_head()

    def _take_head(self) -> None:
        data = self._input
        end = find_head(data)
        if end < 0 and self._overflow:
            self.close()
            return
        if end < 0 and len(data) <= self._server.max_head:
            return
        if end < 0 or end > self._server.max_head:
            self._refuse(431, "The request's head is larger than MAX_HEADER_SIZE.")
            return
        try:
            head = parse_request_head(bytes(data[:end]) if end < len(data) else bytes(data))
        except BadRequest as error:
            self._refuse(400, f"Malformed request: {error}.")
            return
        del data[:end]
        delegate = self._begin(head.method, head.target, head.version, head.fields)
        if isinstance(head.body, int) and head.body > MAX_DROPPED_BODY:
            self._refuse(413, f"A body of more than {MAX_DROPPED_BODY} bytes is not taken here.")
            return
        if head.body == 0:
            delegate.finish()
            return
        self._body = head.body if isinstance(head.body, int) else ChunkedDecoder()
        self._reading_body = True
        self._dropped = 0
        expects = (head.fields.get("Expect") or "").lower() == "100-continue"
        if expects and head.version == "HTTP/1.1":
            # A client that has gone is noticed as ever.
            with contextlib.suppress(ClientGone):
                self.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._drop_body()

    def _drop_body(self) -> None:
        """Read over a body that has no meaning."""
        size = len(self._input)
        if isinstance(self._body, ChunkedDecoder):
            position = 0
            view = memoryview(bytes(self._input))
            try:
                while position < size and not self._body.finished:
                    _, position = self._body.step(view, position, size)
            except FramingError as error:
                self._refuse(400, f"Malformed request: {error}.")
                return
            over = self._body.finished
        else:
            position = min(size, self._body)
            self._body -= position
            over = self._body == 0
        self._dropped += position
        del self._input[:position]
        if over:
            self._reading_body = False
            assert self._delegate is not None
            self._delegate.finish()
        elif self._overflow:
            # The rest of it was not kept.
            self.close()
        elif self._dropped > MAX_DROPPED_BODY:
            self._refuse(413, f"A body of more than {MAX_DROPPED_BODY} bytes is not taken here.")

    def _begin(self, method: str, target: str, version: str, fields: Fields) -> HTTPMessageDelegate:
        self._idle_since = self._loop.time()
        delegate = self._delegate = self._server.app.start_request(self, self)  # type: ignore[arg-type]
        delegate.headers_received(RequestStartLine(method, target, version), fields)  # type: ignore[arg-type]
        return delegate

    def _refuse(self, status: int, detail: str) -> None:
        """Have the delegate answer what can only be refused; the connection ends with it."""
        self.malformed = status, detail
        self._input.clear()
        self._reading_body = False
        # What cannot be read is answered as a GET of nothing.
        delegate = self._delegate or self._begin("GET", "-", "HTTP/1.1", Fields())
        delegate.finish()

    def _check_idle(self) -> None:
        left = self._server.idle_timeout
        if self._delegate is None or self._reading_body:
            left -= self._loop.time() - self._idle_since
            if left <= 0.001:
                self.close()
                return
        self._timer = self._loop.call_later(left, self._check_idle)
