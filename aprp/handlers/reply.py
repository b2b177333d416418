"""Writing the response of an exchange: head, body, and how the connection goes on after it."""

import asyncio
from collections.abc import Iterable
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from tornado import httputil
from tornado.http1connection import HTTP1Connection

from aprp import __version__
from aprp.front.connection import ClientConnection
from aprp.front.pacing import PacedWire
from aprp.front.wire import ClientGone, Piece, RequestConnection, StreamWire, Wire
from aprp.handlers.errors import reason_phrase
from aprp.semantics import cors
from aprp.semantics.headers import Fields, end_to_end, head_bytes
from aprp.semantics.tracing import REQUEST_ID
from aprp.stats.counters import Count

if TYPE_CHECKING:
    from aprp.application import Application
    from aprp.tracing.spans import RequestSpan
    from aprp.upstream.head import ResponseHead

SERVER: Final = f"aprp/{__version__}"
# The field of answers that hold for this moment alone.
NO_STORE: Final = (("Cache-Control", "no-store"),)
# Interim responses have no id; an origin's is not the client's.
_NOT_INTERIM: Final = frozenset({REQUEST_ID.lower()})
# Of a request whose head has not come; never changed.
NO_HEADERS: Final = httputil.HTTPHeaders()


class Reply:
    """The answering half of an `Exchange`. `begin` and `write` make it the sink of a delivery."""

    def __init__(self, app: "Application", connection: RequestConnection) -> None:
        self.app = app
        self.connection = connection
        if isinstance(connection, ClientConnection):
            self.wire: Wire = connection.wire
        else:
            assert isinstance(connection, HTTP1Connection)
            self.wire = StreamWire(connection.stream)
        self.loop = app.loop
        self.started = self.loop.time()
        self.method = self.target = self.resource = self.version = self.request_id = ""
        self.headers = NO_HEADERS
        self.closed = False
        self.status = 0
        self.sent = 0
        self.first_byte: float | None = None
        # After how many seconds the head of a tunnel went out.
        self.tunnel_after: float | None = None
        self.range_text: str | None = None
        self.origin: str | None = None
        self.end: str | None = None
        # The answer has its CORS fields already.
        self.preflight = False
        # No page of another web origin may read it, whatever CORS_ORIGINS says.
        self.private = False
        # Its body counts among the bytes given to clients.
        self.counted = True
        self._keep_alive = True
        self._head: bytes | None = None
        self._chunked = False
        self._length: int | None = None
        # Where spans are made.
        self.span: RequestSpan | None = None
        # The client's side of the connection has taken all of the answer.
        self.taken = False
        self._stalled: asyncio.TimerHandle | None = None

    def lose_client(self) -> None:
        """The client has gone, or takes nothing."""
        raise NotImplementedError

    def asks(self, origin: str) -> None:
        """Note which origin is asked."""
        self.origin = origin

    def begin(
        self,
        status: int,
        reason: str,
        fields: Fields,
        length: int | None,
        range_text: str | None = None,
    ) -> None:
        """Start the answer: the head goes out with the first body bytes, or a moment later."""
        if self.closed:
            raise ClientGone
        self.status = status
        self.range_text = range_text
        self.rewrite(fields)
        # In the place of the origin's, which may be stored and be another request's.
        fields[REQUEST_ID] = self.request_id
        self.app.counters.answered(status)
        if self.span is not None:
            self.span.answered(self.cache_status_of(fields))
        bodiless = self.method == "HEAD" or status in (204, 304) or status < 200
        self._chunked = length is None and not bodiless and self.version == "HTTP/1.1"
        self._length = None if bodiless else length
        if self._chunked:
            fields["Transfer-Encoding"] = "chunked"
        self._decide_keep_alive(length is not None or bodiless or self._chunked, fields)
        allowed = self.cors_origins
        if allowed and not self.preflight:
            for name in cors.cors_fields(fields.names):
                fields.remove(name)
            for name, value in cors.decorate(self.headers.get("Origin"), allowed):
                fields.add(name, value)
        self._head = head_bytes(f"HTTP/1.1 {status} {reason}", fields.get_all())
        self.loop.call_soon(self._flush_head_soon)

    def _decide_keep_alive(self, delimited: bool, fields: Fields) -> None:
        """Say in Connection whether another request may follow (RFC 9112 section 9.3)."""
        ends = getattr(self.connection, "must_close", False)
        welcome = delimited and not (ends or self.app.draining) and "Connection" not in fields
        said = (self.headers.get("Connection") or "").lower()
        options = [option.strip() for option in said.split(",")]
        if self.version == "HTTP/1.1":
            self._keep_alive = welcome and "close" not in options
            if not self._keep_alive:
                fields["Connection"] = "close"
        else:
            self._keep_alive = welcome and "keep-alive" in options and "close" not in options
            if self._keep_alive:
                fields["Connection"] = "keep-alive"
        if "Upgrade" in fields:
            # RFC 9110 section 7.8.
            told = fields.get("Connection")
            fields["Connection"] = "Upgrade" if told in (None, "Upgrade") else f"Upgrade, {told}"

    @property
    def cors_origins(self) -> frozenset[str]:
        """The web origins whose pages may read the answer (CORS_ORIGINS)."""
        return self.app.cors_origins

    def cache_status_of(self, fields: Fields) -> str | None:
        """What the answer's fields say of this proxy's own cache; None where it has no part."""
        return None

    def rewrite(self, fields: Fields) -> None:
        """Change what an origin says of its own place; does nothing of itself."""

    @property
    def promised(self) -> int | None:
        """Bytes of the whole body; None where they are not known, or nothing is promised yet."""
        return self._length

    @property
    def delivered(self) -> int:
        """Bytes of the body that the client's side of the connection has taken so far."""
        return max(self.sent - self.wire.queued, 0)

    def interim(self, head: "ResponseHead") -> None:
        """Hand on an interim response (1xx) of the origin, if the client understands them."""
        if self.closed or self.status or self.version != "HTTP/1.1":
            return
        pairs = end_to_end(head.fields.get_all(), head.fields.get("Connection"), _NOT_INTERIM)
        self._watch(self.wire.send(head_bytes(f"HTTP/1.1 {head.status} {head.reason}", pairs)))

    def begin_tunnel(self, status: int, reason: str, fields: Fields) -> None:
        """Answer with a head that HTTP ends with: 101, or 200 to CONNECT."""
        if self.closed:
            raise ClientGone
        self.status = status
        self.tunnel_after = self.loop.time() - self.started
        fields[REQUEST_ID] = self.request_id
        self.app.counters.answered(status)
        self._watch(self.wire.send(head_bytes(f"HTTP/1.1 {status} {reason}", fields.get_all())))

    def write(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """Send body bytes; the future, if any, is done when their memory may be used again."""
        if self.closed:
            raise ClientGone
        size = sum(map(len, pieces)) if len(pieces) > 1 else len(pieces[0])
        if self.first_byte is None:
            self.first_byte = self.loop.time() - self.started
        if self._chunked:
            pieces = (b"%x\r\n" % size, *pieces, b"\r\n")
        if self._head is not None:
            head, self._head = self._head, None
            waiting = self.wire.send(head, *pieces)
        else:
            waiting = self.wire.send(*pieces)
        self._gave(size, waiting)
        return None if waiting is None else self._watch(waiting)

    def _gave(self, size: int, waiting: "asyncio.Future[None] | None") -> None:
        """Account for body bytes; with the last of them a client may leave as it likes."""
        self.sent += size
        if self.counted:
            self.app.counters.add(Count.BYTES_TO_CLIENTS, size)
        if self.sent == self._length:
            if waiting is None:
                self.taken = True
            else:
                waiting.add_done_callback(self._all_taken)

    def _all_taken(self, _: object) -> None:
        self.taken = not self.wire.closed

    def offer(self, view: memoryview) -> int:
        """Send of body bytes what the client's socket takes now; how many those are."""
        if self._head is not None or self._chunked:
            return 0
        count = self.wire.offer(view)
        if count:
            self._gave(count, None)
        return count

    def _flush_head_soon(self) -> None:
        try:
            self._flush_head()
        except ClientGone:
            self.lose_client()

    def _flush_head(self) -> None:
        if self._head is not None and not self.closed:
            head, self._head = self._head, None
            self._watch(self.wire.send(head))

    def _watch(self, waiting: "asyncio.Future[None] | None") -> "asyncio.Future[None] | None":
        """Bound the time in which the client takes what is written."""
        if waiting is not None and self._stalled is None:
            self._stalled = self.loop.call_later(
                self.app.settings.SEND_TIMEOUT, self._check_stalled, waiting
            )
        return waiting

    def _check_stalled(self, waiting: "asyncio.Future[None]") -> None:
        self._stalled = None
        if waiting.done():
            self._watch(self.wire.unfinished)
        elif isinstance(self.wire, PacedWire) and not self._has_stalled(self.wire):
            self._watch(waiting)
        elif not self.closed:
            self.end = "client took no bytes"
            self.app.counters.add(Count.CLIENT_ABORTS)
            self.lose_client()

    def _has_stalled(self, wire: PacedWire) -> bool:
        """Whether it is the client that is waited for, and not the time for more (RATE_LIMIT)."""
        since = wire.waiting_since
        return since is not None and self.loop.time() - since >= self.app.settings.SEND_TIMEOUT

    def respond(
        self, status: int, body: bytes, content_type: str, fields: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Answer with a small body of the proxy's own."""
        own = Fields([("Server", SERVER), ("Date", formatdate(usegmt=True))])
        if status not in (204, 304):
            own.add("Content-Type", content_type)
            own.add("Content-Length", str(len(body)))
            own.add("X-Content-Type-Options", "nosniff")
        for name, value in fields:
            own[name] = value
        self.begin(status, reason_phrase(status), own, len(body))
        if body and self.method != "HEAD" and status not in (204, 304):
            self._watch(self.write(body))
