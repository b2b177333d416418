"""One fetch: from the request to the last byte of its response.

A fetch waits for its slot, takes an idle connection or opens one, sends, and hands on what
comes. A request that a kept connection did not answer with a single byte is sent once more on
a new connection (RFC 9112 section 9.3.1).
"""

import asyncio
import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado.gen import convert_yielded
from tornado.httpclient import HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.log import app_log, gen_log

from aprp.semantics.framing import Delimiter
from aprp.upstream.connection import OriginConnection
from aprp.upstream.errors import (
    Aborted,
    BadResponse,
    FirstByteTimeout,
    HeadTooLarge,
    IdleTimeout,
    OriginClosed,
    Overloaded,
    TLSFailed,
    TotalTimeout,
)
from aprp.upstream.gunzip import Gunzip
from aprp.upstream.head import ResponseHead
from aprp.upstream.redirects import follow, leads_elsewhere
from aprp.upstream.request import OriginRequest, Prepared, prepare

if TYPE_CHECKING:
    from aprp.upstream.client import OriginClient

_REPEATABLE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"}


class Fetch:
    """The state of one `AsyncHTTPClient.fetch`; a `Receiver` of its connection."""

    __slots__ = (
        "_body",
        "_callback",
        "_client",
        "_connection",
        "_gunzip",
        "_head",
        "_headers",
        "_own",
        "_prepared",
        "_redirected",
        "_request",
        "_started",
        "_started_wall",
        "_task",
        "_ticket",
        "_timer",
        "_total_body",
        "_writing",
        "method",
    )

    def __init__(
        self, client: "OriginClient", request: Any, callback: Callable[[HTTPResponse], None]
    ) -> None:
        """`request` is the merged request that AsyncHTTPClient makes of an HTTPRequest."""
        self._client = client
        self._request = request
        self._callback: Callable[[HTTPResponse], None] | None = callback
        inner = request.request
        self._own: OriginRequest | None = inner if isinstance(inner, OriginRequest) else None
        if self._own is not None:
            self._own.fetch = self
        self.method: str = inner.method
        self._started = client.loop.time()
        self._started_wall = time.time()
        self._connection: OriginConnection | None = None
        self._head: ResponseHead | None = None
        self._headers: HTTPHeaders | None = None
        self._body = bytearray()
        self._total_body = 0
        self._gunzip: Gunzip | None = None
        self._redirected = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._ticket: Any = None
        self._prepared: Prepared | None = None

    # Getting a connection.

    def start(self) -> None:
        """Send the request as soon as a slot is free."""
        try:
            self._prepared = prepare(self._request)
        except (ValueError, KeyError, NotImplementedError) as error:
            self._end(error=error)
            return
        self._ticket = self._client.pool.enter(self._granted)
        if self._ticket is None:
            self._go(reuse=True)
            return
        gen_log.debug("max_clients limit reached, request queued. %r", self._client.pool)
        limits = [t for t in (self._request.connect_timeout, self._request.request_timeout) if t]
        if limits:
            self._timer = self._client.loop.call_later(min(limits), self._queued_too_long)

    def _granted(self) -> None:
        self._ticket = None
        self._stop_timer()
        self._go(reuse=True)

    def _queued_too_long(self) -> None:
        self._timer = None
        self._end(error=Overloaded("Timeout in request queue"))

    def _go(self, reuse: bool) -> None:
        assert self._prepared is not None
        connection = self._client.pool.take(self._prepared.endpoint) if reuse else None
        if connection is not None:
            self._client.on_reuse()
            self._send(connection)
            return
        self._task = self._client.spawn(self._dial())

    async def _dial(self) -> None:
        assert self._prepared is not None
        limits = [t for t in (self._request.connect_timeout, self._request.request_timeout) if t]
        try:
            connection = await self._client.dial(
                self._prepared.endpoint, min(limits) if limits else None
            )
            self._task = None
            self._send(connection)
        except Exception as error:
            self._task = None
            if isinstance(error, TLSFailed) and self._own is None:
                gen_log.warning("SSL Error: %s", error)
            self._end(error=error)

    def _send(self, connection: OriginConnection) -> None:
        assert self._prepared is not None
        self._connection = connection
        connection.start(self, self._prepared.head)
        self._arm()
        if not self._request.expect_100_continue:
            self._send_body()

    def _send_body(self) -> None:
        assert self._prepared is not None and self._connection is not None
        if self._own is not None:
            return
        if self._request.body_producer is not None:
            self._writing = self._client.spawn(self._produce())
        elif self._prepared.body is not None:
            self._connection.write(self._prepared.body)

    async def _produce(self) -> None:
        assert self._prepared is not None and self._connection is not None
        connection, chunked = self._connection, self._prepared.chunked

        def write(data: bytes) -> "asyncio.Future[None]":
            waiting = connection.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            if waiting is None:
                waiting = self._client.loop.create_future()
                waiting.set_result(None)
            return waiting

        try:
            produced = self._request.body_producer(write)
            if produced is not None:
                await convert_yielded(produced)
            if chunked:
                connection.write(b"0\r\n\r\n")
        except Exception as error:
            self._fail_callback(error) if not isinstance(error, OriginClosed) else self._end(
                error=error
            )

    # What the connection tells.

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx response: after 100 the body may go."""
        if head.status == 100 and self._request.expect_100_continue and self._writing is None:
            self._send_body()

    def on_head(self, head: ResponseHead, length: int | Delimiter) -> None:
        """Tell the header callback, line by line."""
        self._head = head
        request = self._request
        limit = self._client.max_body_size
        if limit is not None and isinstance(length, int) and length > limit:
            raise BadResponse("Content-Length too long")
        if self._own is None:
            self._headers = HTTPHeaders()
            for name, value in head.fields:
                self._headers.add(name, value)
            if leads_elsewhere(request, head.status, self._headers):
                self._redirected = True
                return
            if request.decompress_response and length != 0:
                self._gunzip = Gunzip.for_response(self._headers)
        callback = request.request.header_callback
        if callback is None:
            return
        try:
            callback(f"{head.version} {head.status} {head.reason}\r\n")
            fields = head.fields if self._own is not None else self._headers.get_all()  # type: ignore[union-attr]
            for name, value in fields:
                callback(f"{name}: {value}\r\n")
            callback("\r\n")
        except Exception as error:
            self._fail_callback(error)

    def on_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Hand body bytes to the streaming callback, or collect them."""
        self._client.on_bytes(len(view))
        if self._redirected:
            return None
        own = self._own
        if own is not None:
            try:
                waiting = own.streaming_callback(view)  # type: ignore[misc,arg-type]
            except Exception as error:
                self._fail_callback(error)
                return None
            if waiting is None or isinstance(waiting, asyncio.Future):
                return waiting
            return asyncio.ensure_future(waiting)
        return self._on_generic_data(view)

    def _on_generic_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        limit = self._client.max_body_size
        if self._gunzip is None:
            self._total_body += len(view)
            if limit is not None and self._total_body > limit:
                raise BadResponse(
                    "chunked body too large" if self._is_chunked() else "Body too long"
                )
            return self._deliver(bytes(view))
        return asyncio.ensure_future(self._inflate(bytes(view)))

    async def _inflate(self, data: bytes) -> None:
        assert self._gunzip is not None
        limit = self._client.max_body_size
        for piece in self._gunzip.pieces(data):
            self._total_body += len(piece)
            if limit is not None and self._total_body > limit:
                raise BadResponse("decompressed body too large")
            waiting = self._deliver(piece)
            if waiting is not None:
                await waiting

    def _deliver(self, data: bytes) -> "asyncio.Future[None] | None":
        if self._request.streaming_callback is None:
            self._body += data
            return None
        try:
            waiting = self._request.streaming_callback(data)
        except Exception as error:
            self._fail_callback(error)
            return None
        if waiting is None:
            return None
        return asyncio.ensure_future(self._watch(waiting))

    async def _watch(self, waiting: Any) -> None:
        try:
            await convert_yielded(waiting)
        except (Exception, asyncio.CancelledError) as error:
            self._fail_callback(error)

    def _is_chunked(self) -> bool:
        return self._headers is not None and "Transfer-Encoding" in self._headers

    def on_end(self, reusable: bool) -> None:
        """The response is complete."""
        connection, self._connection = self._connection, None
        if reusable and connection is not None and self._prepared is not None:
            if self._writing is not None and not self._writing.done():
                connection.abort()
            else:
                self._client.keep(self._prepared.endpoint, connection)
        if self._gunzip is not None:
            try:
                self._gunzip.finish()
            except BadResponse as error:
                self.on_failure(error)
                return
        if self._redirected:
            self._redirect()
            return
        self._end()

    def on_failure(self, error: Exception) -> None:
        """The connection ended, or what came is no HTTP."""
        connection, self._connection = self._connection, None
        if isinstance(error, OriginClosed):
            stale = connection is not None and connection.served > 0 and not connection.bytes_seen
            if stale and self._own is not None and self.method in _REPEATABLE:
                self._stop_timer()
                self._go(reuse=False)
                return
            if stale and self._may_repeat():
                self._stop_timer()
                self._go(reuse=False)
                return
        elif self._own is None and isinstance(error, BadResponse):
            gen_log.info("Malformed HTTP message from None: %s", error.message)
        elif self._own is None and isinstance(error, HeadTooLarge):
            gen_log.info("Unsatisfiable read, closing connection: %s", error)
        self._end(error=error)

    def _may_repeat(self) -> bool:
        return self.method in _REPEATABLE and self._request.body_producer is None

    def _redirect(self) -> None:
        assert self._head is not None and self._headers is not None
        callback, self._callback = self._callback, None
        self._release()
        assert callback is not None
        follow(self._client, self._request, self._head.status, self._headers, callback)

    # Time limits: one timer, set anew when it fires.

    def _arm(self) -> None:
        own = self._own
        if own is not None:
            self._timer = self._client.loop.call_later(own.first_byte_timeout, self._check)
        elif self._request.request_timeout:
            left = self._started + self._request.request_timeout - self._client.loop.time()
            self._timer = self._client.loop.call_later(max(left, 0), self._total_timeout)

    def _total_timeout(self) -> None:
        self._timer = None
        self._end(error=TotalTimeout("Timeout during request"))

    def _check(self) -> None:
        self._timer = None
        own, connection = self._own, self._connection
        if own is None or connection is None:
            return
        limit = own.idle_timeout if self._head is not None else own.first_byte_timeout
        now = self._client.loop.time()
        left = limit if connection.paused else connection.last_activity + limit - now
        if left > 0.001:
            self._timer = self._client.loop.call_later(left, self._check)
        elif self._head is None:
            self._end(error=FirstByteTimeout(f"no answer within {limit:g} s"))
        else:
            self._end(error=IdleTimeout(f"no bytes for {limit:g} s"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # The end.

    def abort(self) -> None:
        """Give up: the origin's connection is closed and the fetch fails with Aborted."""
        self._end(error=Aborted("given up"))

    def _fail_callback(self, error: BaseException) -> None:
        """A callback raised: that is the caller's bug or wish, and the fetch is over."""
        if self._own is None:
            app_log.error("Uncaught exception", exc_info=error)
            error = OriginClosed("Connection closed")
        self._end(error=error)

    def _release(self) -> None:
        self._stop_timer()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        for task in (self._task, self._writing):
            if task is not None and not task.done() and task is not asyncio.current_task():
                task.cancel()
        self._task = None
        if self._ticket is not None:
            self._ticket.left = True
            self._ticket = None
        else:
            self._client.leave()

    def _end(self, error: BaseException | None = None) -> None:
        callback, self._callback = self._callback, None
        if callback is None:
            return
        self._release()
        request = self._request
        elapsed = self._client.loop.time() - self._started
        if error is not None:
            response = HTTPResponse(
                request,
                599,
                error=error,
                request_time=elapsed,
                start_time=self._started_wall,
            )
        else:
            assert self._head is not None
            response = HTTPResponse(
                getattr(request, "original_request", request),
                self._head.status,
                reason=self._head.reason,
                headers=self._headers,
                request_time=elapsed,
                start_time=self._started_wall,
                buffer=io.BytesIO(bytes(self._body)),
                effective_url=request.url,
            )
        callback(response)
