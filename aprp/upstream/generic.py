"""The fetch of a plain HTTPRequest, with all that Tornado's client does.

Request bodies, `Expect: 100-continue`, gzip, redirects, a limit on the whole time, bodies
collected in memory. The media path needs none of it.
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
from aprp.upstream.errors import BadResponse, HeadTooLarge, OriginClosed, TLSFailed, TotalTimeout
from aprp.upstream.fetch import Fetch
from aprp.upstream.gunzip import Gunzip
from aprp.upstream.head import ResponseHead
from aprp.upstream.prepare import Prepared, prepare
from aprp.upstream.redirects import follow, leads_elsewhere

if TYPE_CHECKING:
    from aprp.upstream.client import OriginClient


class GenericFetch(Fetch):
    """The state of one `AsyncHTTPClient.fetch` of a plain request."""

    def __init__(
        self, client: "OriginClient", request: Any, callback: Callable[[HTTPResponse], None]
    ) -> None:
        """`request` is the merged request that AsyncHTTPClient makes of an HTTPRequest."""
        super().__init__(client, request.method)
        self._request = request
        self._callback = callback
        self._started = client.loop.time()
        self._started_wall = time.time()
        self._prepared: Prepared | None = None
        self._headers: HTTPHeaders | None = None
        self._body = bytearray()
        self._size = 0
        self._gunzip: Gunzip | None = None
        self._redirected = False
        self._writing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send the request as soon as a slot is free."""
        try:
            prepared = self._prepared = prepare(self._request)
        except (ValueError, KeyError, NotImplementedError) as error:
            self.over = True
            self.ended(error)
            return
        self.endpoint, self.request_head = prepared.endpoint, prepared.head
        self.begin()

    @property
    def connect_limit(self) -> float | None:
        """The smaller one of the connect and the request timeout; 0 is none."""
        limits = (self._request.connect_timeout, self._request.request_timeout)
        return min((limit for limit in limits if limit), default=None)

    @property
    def repeatable(self) -> bool:
        """A body that is produced once cannot be sent again."""
        return super().repeatable and self._request.body_producer is None

    def arm(self) -> None:
        """Bound the time of the whole."""
        if self._request.request_timeout:
            left = self._started + self._request.request_timeout - self.client.loop.time()
            self.set_timer(max(left, 0), self._total_timeout)

    def _total_timeout(self) -> None:
        self.end(TotalTimeout("Timeout during request"))

    # The request's body.

    def after_head(self) -> None:
        """Send the body, unless the origin is to say first that it wants it."""
        if not self._request.expect_100_continue:
            self._send_body()

    def on_interim(self, head: ResponseHead) -> None:
        """After 100 the body may go."""
        if head.status == 100 and self._request.expect_100_continue and self._writing is None:
            self._send_body()

    def _send_body(self) -> None:
        assert self._prepared is not None and self.connection is not None
        if self._request.body_producer is not None:
            self._writing = self.client.spawn(self._produce())
        elif self._prepared.body is not None:
            self.connection.write(self._prepared.body)

    async def _produce(self) -> None:
        assert self._prepared is not None and self.connection is not None
        connection, chunked = self.connection, self._prepared.chunked

        def write(data: bytes) -> "asyncio.Future[None]":
            waiting = connection.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            if waiting is None:
                waiting = self.client.loop.create_future()
                waiting.set_result(None)
            return waiting

        try:
            produced = self._request.body_producer(write)
            if produced is not None:
                await convert_yielded(produced)
            if chunked:
                connection.write(b"0\r\n\r\n")
        except OriginClosed as error:
            self.end(error)
        except Exception as error:
            self._failed_callback(error)

    # The response.

    def on_head(self, head: ResponseHead, length: int | Delimiter) -> None:
        """Tell the header callback, line by line."""
        self.head = head
        limit = self.client.max_body_size
        if limit is not None and isinstance(length, int) and length > limit:
            raise BadResponse("Content-Length too long")
        headers = self._headers = HTTPHeaders()
        for name, value in head.fields.get_all():
            headers.add(name, value)
        if leads_elsewhere(self._request, head.status, headers):
            self._redirected = True
            return
        if self._request.decompress_response and length != 0:
            self._gunzip = Gunzip.for_response(headers)
        callback = self._request.header_callback
        if callback is None:
            return
        try:
            callback(f"{head.version} {head.status} {head.reason}\r\n")
            for name, value in headers.get_all():
                callback(f"{name}: {value}\r\n")
            callback("\r\n")
        except Exception as error:
            self._failed_callback(error)

    def on_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Hand body bytes to the streaming callback, or collect them."""
        self.client.events.received(len(view))
        if self._redirected:
            return None
        if self._gunzip is not None:
            return asyncio.ensure_future(self._inflate(self._gunzip, bytes(view)))
        chunked = self._headers is not None and "Transfer-Encoding" in self._headers
        self._grow(len(view), "chunked body too large" if chunked else "Body too long")
        return self._deliver(bytes(view))

    async def _inflate(self, gunzip: Gunzip, data: bytes) -> None:
        for piece in gunzip.pieces(data):
            self._grow(len(piece), "decompressed body too large")
            waiting = self._deliver(piece)
            if waiting is not None:
                await waiting

    def _grow(self, count: int, complaint: str) -> None:
        self._size += count
        limit = self.client.max_body_size
        if limit is not None and self._size > limit:
            raise BadResponse(complaint)

    def _deliver(self, data: bytes) -> "asyncio.Future[None] | None":
        if self._request.streaming_callback is None:
            self._body += data
            return None
        try:
            waiting = self._request.streaming_callback(data)
        except Exception as error:
            self._failed_callback(error)
            return None
        return None if waiting is None else asyncio.ensure_future(self._watch(waiting))

    async def _watch(self, waiting: Any) -> None:
        try:
            await convert_yielded(waiting)
        except (Exception, asyncio.CancelledError) as error:
            self._failed_callback(error)

    def _failed_callback(self, error: BaseException) -> None:
        app_log.error("Uncaught exception", exc_info=error)
        self.end(OriginClosed("Connection closed"))

    # The end.

    def completed(self, reusable: bool) -> None:
        """Check the coding, follow a redirect."""
        still_writing = self._writing is not None and not self._writing.done()
        if still_writing and self.connection is not None:
            self.connection.abort()
        self.keep(reusable and not still_writing)
        if self._gunzip is not None:
            try:
                self._gunzip.finish()
            except BadResponse as error:
                self.on_failure(error)
                return
        if not self._redirected:
            self.end()
            return
        assert self.head is not None and self._headers is not None
        self.over = True
        self.release()
        follow(self.client, self._request, self.head.status, self._headers, self._callback)

    def release(self) -> None:
        """Stop producing a body, too."""
        super().release()
        writing, self._writing = self._writing, None
        if writing is not None and writing is not asyncio.current_task():
            writing.cancel()

    def ended(self, error: Exception | None) -> None:
        """Answer with a response, as AsyncHTTPClient wants it."""
        request = self._request
        elapsed = self.client.loop.time() - self._started
        if error is None:
            assert self.head is not None
            response = HTTPResponse(
                getattr(request, "original_request", request),
                self.head.status,
                reason=self.head.reason,
                headers=self._headers,
                request_time=elapsed,
                start_time=self._started_wall,
                buffer=io.BytesIO(bytes(self._body)),
                effective_url=request.url,
            )
        else:
            _log_as_tornado_does(error)
            response = HTTPResponse(
                request, 599, error=error, request_time=elapsed, start_time=self._started_wall
            )
        self._callback(response)


def _log_as_tornado_does(error: Exception) -> None:
    if isinstance(error, BadResponse):
        gen_log.info("Malformed HTTP message from None: %s", error.message)
    elif isinstance(error, HeadTooLarge):
        gen_log.info("Unsatisfiable read, closing connection: %s", error)
    elif isinstance(error, TLSFailed):
        gen_log.warning("SSL Error: %s", error)
