"""A client's connection: requests in, one after the other.

What Tornado's `HTTP1Connection` is to Tornado's server, for a tenth of the work on a request
without a body: reading stays switched on, so that nothing is asked of the kernel between two
requests, and a client that leaves is noticed at once. It is switched off only while a piece of a
body is in use.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from tornado.httputil import RequestStartLine

from aprp.front.peer import REFUSAL_TIMEOUT, Peer
from aprp.front.request_body import IncomingBody, RequestDelegate
from aprp.front.wire import ClientGone
from aprp.semantics.framing import Delimiter
from aprp.semantics.headers import Fields
from aprp.semantics.requests import (
    BadRequest,
    RequestHead,
    check_beginning,
    find_head,
    parse_request_head,
)
from aprp.upstream.detached import Detached

if TYPE_CHECKING:
    from aprp.front.server import ProxyServer

# Most bytes of requests that wait for their turn. A client that sends more has those answered, and
# its connection closed then.
MAX_WAITING: Final = 256 << 10

# The most of a body, in bytes, that is read only to be dropped.
MAX_DROPPED_BODY: Final = 65536


class ClientConnection(Peer):
    """One connection, with at most one request under way.

    To a delegate it is what Tornado's HTTPConnection is: `context` (itself, with `remote_ip` and
    `protocol`), `set_close_callback`, `finish`, `close`; and `wire` to write to.

    `malformed` is the status, the text and the fields of the answer to a request that cannot be
    served. `expects_continue`: the client waits for `send_continue` before it sends its body.
    """

    def __init__(
        self, server: "ProxyServer", remote_ip: str | None = None, protocol: str = "http"
    ) -> None:
        """See `Peer`."""
        super().__init__(server, remote_ip, protocol)
        self.context = self
        self.malformed: tuple[int, str, Mapping[str, str]] | None = None
        self.expects_continue = False
        self._delegate: RequestDelegate | None = None
        self._close_callback: Callable[[], None] | None = None
        self._input = bytearray()
        self._body: IncomingBody | None = None
        # How much of an answered request's body is still to be read over.
        self._skip = 0
        self._overflow = False
        # What comes is dropped.
        self._deaf = False
        self._detached = False
        self._idle_since = 0.0
        self._head_since: float | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self._delegate is None

    @property
    def must_close(self) -> bool:
        """Whether the connection ends with an answer to the present request that is given now.

        So it is where the beginning of the next one cannot be told, or is too far away.
        """
        body = self._body
        return self.malformed is not None or (
            body is not None
            and (self.expects_continue or body.left is None or body.left > MAX_DROPPED_BODY)
        )

    # For the delegate: what it uses of tornado.httputil.HTTPConnection.

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Call back when the client goes away before `finish`."""
        self._close_callback = callback

    def finish(self) -> None:
        """The response is written: the next request may be read.

        A short rest of this one's body is read over. Before a longer one the connection ends, in
        such a way that a client that is still sending gets the answer all the same.
        """
        if self._detached:
            return
        self._delegate = None
        self._close_callback = None
        self._idle_since = self._loop.time()
        if self._body is not None or self.malformed is not None:
            if self.must_close:
                self._hear_out()
                return
            assert self._body is not None
            self._skip = self._body.left or 0
            self._leave_body()
        if self._input:
            # Not from here: a long row of pipelined requests would be a deep stack.
            self._loop.call_soon(self._advance)
        elif self._overflow:
            self._hear_out()

    def close(self) -> None:
        """Close: in the middle of a response so that the client sees that it is not complete.

        Everything written has to be taken by then.
        """
        if self.lingering or self._transport is None:
            return
        if self._delegate is not None:
            self.wire.close()
        elif self._skip or self._input or self._overflow:
            self._hear_out()
        else:
            self.leave()

    def abort(self) -> None:
        """Close at once, in whatever state."""
        self.wire.abort()

    # For the delegate: what is not in Tornado's.

    def send_continue(self) -> None:
        """Tell a client that waits for it to send its body (RFC 9110 section 15.2.1).

        Only before the response's head; nothing happens where the client does not wait.
        """
        if self.expects_continue and self._body is not None:
            self.expects_continue = False
            self._body.heard = self._loop.time()
            # A client that has gone is noticed as ever.
            with contextlib.suppress(ClientGone):
                self.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def detach(self) -> Detached:
        """Give the connection away: HTTP is over on it, and what comes belongs to a tunnel.

        The response's head has to be taken (`wire.unfinished`), and the request's body complete.
        No callback comes any more; `abort` still closes it. Raises ClientGone where it is closed.
        """
        assert self._body is None
        transport = self._transport
        if self._overflow:
            # Of what came too early, some is lost.
            self.wire.close()
        if transport is None or self.gone:
            raise ClientGone
        self._detached = True
        self._close_callback = None
        self.wait_no_more()
        self.pause_reading()
        leftover = bytes(self._input)
        self._input.clear()
        # Where there is TLS, its transport pauses the one below by itself.
        return Detached(transport, None, leftover, self.lost)

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        super().connection_made(transport)
        self._server.connections.add(self)
        self._idle_since = self._loop.time()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the buffer that all connections share, or one for a body."""
        body = self._body
        if body is None or body.left == 0 or self._deaf:
            return self._server.scratch
        return body.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of requests came."""
        body = self._body
        if body is not None or self._deaf:
            if self._deaf:
                self.heard = self._loop.time()
                return
            if body is not None and body.left != 0:
                self.expects_continue = False
                body.put(nbytes)
                return
        self._input += self._server.scratch[:nbytes]
        if self._delegate is not None:
            self._curb_input()
        elif self._skip:
            self._advance()
        else:
            self._take_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.lost(exc)
        callback, self._close_callback = self._close_callback, None
        delegate, self._delegate = self._delegate, None
        if callback is not None:
            callback()
        elif delegate is not None:
            delegate.on_connection_close()

    def lost(self, exc: Exception | None) -> None:
        """See `Peer.lost`."""
        super().lost(exc)
        self._leave_body()
        self._server.connections.discard(self)

    # The walk over what has come.

    def _advance(self) -> None:
        if self.wire.closed or self._delegate is not None:
            return
        if self._skip:
            count = min(self._skip, len(self._input))
            del self._input[:count]
            self._skip -= count
            self._idle_since = self._loop.time()
        if self._input:
            self._take_head()
        elif self._overflow:
            self._hear_out()

    def _curb_input(self) -> None:
        """Keep no more than MAX_WAITING bytes of what has to wait.

        What is beyond is read all the same: behind it may be the end of the connection.
        """
        if len(self._input) > MAX_WAITING:
            self._overflow = self._deaf = True
            del self._input[MAX_WAITING:]

    def _take_head(self) -> None:
        data = self._input
        end = find_head(data)
        if end < 0 and self._overflow:
            self._hear_out()
            return
        try:
            if end < 0 and len(data) <= self._server.max_head:
                check_beginning(data)
                if self._head_since is None:
                    self._head_since = self._loop.time()
                return
            if end < 0 or end > self._server.max_head:
                self._refuse_long_head()
                return
            head = parse_request_head(bytes(data[:end]) if end < len(data) else bytes(data))
        except BadRequest as error:
            self._refuse_head(error.status, f"Malformed request: {error}.")
            return
        del data[:end]
        self._head_since = None
        if head.body == 0 and self.refusal is None and "Expect" not in head.fields:
            self._begin(head).finish()
        else:
            self._take_more_than_a_head(head)

    def _take_more_than_a_head(self, head: RequestHead) -> None:
        """Begin with a request that has a body or expectations, or may not be made at all."""
        # RFC 9110 section 10.1.1: of HTTP/1.0 it is ignored.
        expect = head.fields.get("Expect", "") if head.version == "HTTP/1.1" else ""
        expectations = {word.strip(" \t").lower() for word in expect.split(",")} - {""}
        if (refusal := self.refusal) is not None:
            self._refuse(head, refusal.status, refusal.detail, refusal.fields)
        elif expectations - {"100-continue"}:
            self._refuse(head, 417, "The only expectation that is understood is 100-continue.")
        elif head.body == 0:
            self._begin(head).finish()
        else:
            self._take_body(head, bool(expectations))

    def _take_body(self, head: RequestHead, expects: bool) -> None:
        length = None if isinstance(head.body, Delimiter) else head.body
        if self._overflow and length is not None and length > len(self._input):
            # The rest of it was not kept: an origin is not to be asked with a part.
            self._hear_out()
            return
        self.expects_continue = expects
        body = self._body = IncomingBody(length, self, self._server.buffers, self._loop)
        body.taker = self._begin(head)
        if self._body is body and self._input and not self.gone:
            self.expects_continue = False
            body.fill(self._input)
        if self._overflow and self._body is body and body.left != 0:
            # The rest of it was not kept.
            self.close()

    def _begin(self, head: RequestHead) -> RequestDelegate:
        delegate = self._server.app.start_request(self, self)
        self._delegate = delegate
        delegate.headers_received(
            RequestStartLine(head.method, head.target, head.version), head.fields
        )
        return delegate

    def _refuse_long_head(self) -> None:
        if self._input.find(b"\n", len("\r\n"), self._server.max_head) < 0:
            # RFC 9112 section 3: of the target it is the length that is too much.
            self._refuse_head(414, "The request line is longer than MAX_HEADER_SIZE.")
        else:
            self._refuse_head(431, "The request's head is larger than MAX_HEADER_SIZE.")

    def _refuse_head(self, status: int, detail: str) -> None:
        """Have what cannot be read answered as a GET of nothing."""
        self._refuse(RequestHead("GET", "-", "HTTP/1.1", Fields(), 0), status, detail)

    def _refuse(
        self, head: RequestHead, status: int, detail: str, fields: Mapping[str, str] | None = None
    ) -> None:
        """Have the delegate answer what can only be refused; the connection ends with it."""
        self._give_up(status, detail, fields)
        self._begin(head).finish()

    def _give_up(self, status: int, detail: str, fields: Mapping[str, str] | None = None) -> None:
        """Understand nothing any more."""
        self.malformed = status, detail, fields or {}
        self._deaf = True
        self._input.clear()
        self._leave_body()

    def _hear_out(self) -> None:
        """End the connection of a client that may still be sending."""
        self._deaf = True
        self._input.clear()
        self._leave_body()
        self.linger()

    # The source of an IncomingBody.

    def body_over(self, beyond: bytes) -> None:
        """The request is complete; `beyond` came behind it."""
        self._body = None
        self._input += beyond
        self._curb_input()
        self.resume_reading()
        assert self._delegate is not None
        self._delegate.finish()

    def body_broken(self, status: int, detail: str) -> None:
        """Have the delegate answer a request whose body cannot be read."""
        self._give_up(status, detail)
        assert self._delegate is not None
        self._delegate.body_failed(status, detail)

    def _leave_body(self) -> None:
        """Give a body up that is being read."""
        body, self._body = self._body, None
        if body is not None:
            self.expects_continue = False
            body.drop()
            self.resume_reading()

    # Time.

    def due(self) -> float | None:
        """See `Peer.due`."""
        server = self._server
        if self._body is not None:
            waits = self._body.paused or self.expects_continue
            return None if waits else self._body.heard + server.body_timeout
        if self._delegate is not None:
            return None
        if self.refusal is not None:
            return self._idle_since + REFUSAL_TIMEOUT
        if self._head_since is not None:
            return self._head_since + server.header_timeout
        return self._idle_since + server.idle_timeout

    def out_of_time(self) -> None:
        """See `Peer.out_of_time`."""
        if self._body is not None:
            self.body_broken(408, "Nothing of the request's body came within BODY_TIMEOUT.")
        elif self._head_since is not None and self.refusal is None:
            self._refuse_head(408, "The request's head was not complete within HEADER_TIMEOUT.")
        else:
            self.leave()
