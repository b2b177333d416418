"""One request of a client and its response: what every door has in common.

A bare `HTTPMessageDelegate`: a `RequestHandler` costs more than all of the proxy's own work on
a small range (docs/architecture.md has the figures).
"""

import asyncio
import logging
from collections.abc import Iterable
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, Protocol

from tornado import httputil
from tornado.http1connection import HTTP1Connection

from aprp import __version__, logs
from aprp.front.connection import ClientConnection
from aprp.front.wire import ClientGone, Piece, RequestConnection, StreamWire, Wire
from aprp.handlers.errors import PROBLEM_TYPE, Problem, reason_phrase
from aprp.semantics import cors
from aprp.semantics.headers import Fields, head_bytes
from aprp.semantics.requests import origin_form
from aprp.stats.counters import Count

if TYPE_CHECKING:
    from aprp.application import Application

SERVER: Final = f"aprp/{__version__}"
# Of a request whose head has not come; never changed.
_NO_HEADERS: Final = httputil.HTTPHeaders()

_log = logging.getLogger("aprp")


class Work(Protocol):
    """What goes on for an exchange elsewhere."""

    def abort(self) -> None:
        """End it: the client is gone."""


class Exchange(httputil.HTTPMessageDelegate):
    """A request, the way to answer it, and what is told of it afterwards.

    It is the `Sink` of a delivery. Attributes a door reads: `method`, `resource` (path and query
    as they came; `target` is the whole request target), `version`, `headers`, `client` (an
    address), `scheme`, `closed`. `work`, if set, is aborted when the client goes away.
    """

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
        self.method = self.target = self.resource = self.version = ""
        self.headers = _NO_HEADERS
        context = connection.context
        self.client: str = getattr(context, "remote_ip", "")
        self.scheme: str = getattr(context, "protocol", "http")
        self.closed = False
        self.status = 0
        self.sent = 0
        self.first_byte: float | None = None
        self.range_text: str | None = None
        self.origin: str | None = None
        self.end: str | None = None
        self._keep_alive = True
        self._head: bytes | None = None
        self._chunked = False
        self._task: asyncio.Task[None] | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self.work: Work | None = None
        # The answer has its CORS fields already.
        self.preflight = False

    # tornado.httputil.HTTPMessageDelegate

    def headers_received(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
    ) -> None:
        """The request's head has come."""
        assert isinstance(start_line, httputil.RequestStartLine)
        self.started = self.loop.time()
        self.method, self.target, self.version = start_line
        self.resource = origin_form(self.target)
        self.headers = headers

    def data_received(self, chunk: bytes) -> None:
        """A body of GET or HEAD has no meaning (RFC 9110 section 9.3.1); it is read and dropped."""

    def finish(self) -> None:
        """The request is complete: answer it."""
        self.connection.set_close_callback(self._client_gone)
        self._task = self.loop.create_task(self._serve())
        self.app.exchanges.add(self)

    def on_connection_close(self) -> None:
        """The connection ended in the middle of the request."""
        self.closed = True

    # The life of the exchange.

    async def _serve(self) -> None:
        counters = self.app.counters
        counters.add(Count.REQUESTS)
        try:
            await self._answer()
            if not self.closed:
                await self._complete()
        except ClientGone:
            self._client_gone()
        finally:
            self.app.exchange_over(self)
            if self._stalled is not None:
                self._stalled.cancel()
            # No cycle of references: what is over is freed now, not by the collector.
            self.work = None
            self._tell()

    async def _answer(self) -> None:
        try:
            await self.app.door(self)
        except Problem as problem:
            self.problem(problem)
        except ClientGone:
            raise
        except Exception:
            # A bug, or what nobody thought of: the log has the trace, the client has not.
            _log.exception("error while answering %s %r", self.method, self.target)
            if self.status:
                self.cut_short("internal error")
            else:
                self.problem(Problem(500, "The proxy failed. Its log has the cause."))

    async def _complete(self) -> None:
        """Let the client take the last bytes, and leave the connection as HTTP has it."""
        self._flush_head()
        if self._chunked:
            self._watch(self.wire.send(b"0\r\n\r\n"))
        unfinished = self.wire.unfinished
        if unfinished is not None:
            await asyncio.wait((unfinished,))
        if self.wire.closed:
            raise ClientGone
        self.connection.finish()
        if not self._keep_alive or self.app.draining:
            self.connection.close()

    def _client_gone(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self.end is None:
            self.end = "client went away"
            self.app.counters.add(Count.CLIENT_ABORTS)
        if self.work is not None:
            self.work.abort()
        self.wire.close()

    def cut_short(self, why: str) -> None:
        """End a begun answer so that the client sees that bytes are missing."""
        if self.end is None:
            self.end = why
        self.closed = True
        self.connection.close()

    def _tell(self) -> None:
        logs.access(
            logs.AccessEntry(
                client=self.client,
                method=self.method,
                target=self.target,
                version=self.version,
                status=self.status,
                range=self.range_text,
                sent=self.sent,
                first_byte=self.first_byte,
                total=self.loop.time() - self.started,
                origin=self.origin,
                referer=self.headers.get("Referer"),
                user_agent=self.headers.get("User-Agent"),
                end=self.end,
            )
        )

    # Answering. `begin`, `write` and `asks` make this the sink of a delivery.

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
        self.app.counters.answered(status)
        bodiless = self.method == "HEAD" or status in (204, 304) or status < 200
        self._chunked = length is None and not bodiless and self.version == "HTTP/1.1"
        if self._chunked:
            fields["Transfer-Encoding"] = "chunked"
        self._decide_keep_alive(length is not None or bodiless or self._chunked, fields)
        allowed = self.app.cors_origins
        if allowed and not self.preflight:
            for name, _ in fields.get_all():
                if cors.is_cors_field(name):
                    fields.remove(name)
            for name, value in cors.decorate(self.headers.get("Origin"), allowed):
                fields.add(name, value)
        self._head = head_bytes(f"HTTP/1.1 {status} {reason}", fields.get_all())
        self.loop.call_soon(self._flush_head_soon)

    def _decide_keep_alive(self, delimited: bool, fields: Fields) -> None:
        """Say in Connection whether another request may follow (RFC 9112 section 9.3)."""
        welcome = delimited and not self.app.draining and "Connection" not in fields
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
        self.sent += size
        self.app.counters.add(Count.BYTES_TO_CLIENTS, size)
        return None if waiting is None else self._watch(waiting)

    def _flush_head_soon(self) -> None:
        try:
            self._flush_head()
        except ClientGone:
            self._client_gone()

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
        elif not self.closed:
            self.end = "client took no bytes"
            self.app.counters.add(Count.CLIENT_ABORTS)
            self._client_gone()

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

    def problem(self, problem: Problem) -> None:
        """Answer with problem details (RFC 9457), or cut short what has begun."""
        if problem.private:
            _log.warning(
                "%s %s: %d %s (%s)",
                self.method,
                self.target,
                problem.status,
                problem.detail,
                problem.private,
            )
        if self.status:
            self.cut_short(problem.detail)
            return
        fields = {"Cache-Control": "no-store", **problem.fields}
        if getattr(self.connection, "malformed", None):
            # Where the next request would begin is not known.
            fields["Connection"] = "close"
        self.respond(
            problem.status, problem.body(self.app.settings.DEBUG), PROBLEM_TYPE, fields.items()
        )
