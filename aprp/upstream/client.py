"""The project's AsyncHTTPClient: keep-alive, streaming without copies, back-pressure.

Installed with `AsyncHTTPClient.configure(OriginClient, ...)`. A plain `HTTPRequest` behaves as
with Tornado's `SimpleAsyncHTTPClient`; an `OriginRequest` streams memoryviews.
"""

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from tornado.concurrent import Future
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.netutil import OverrideResolver, Resolver

from aprp.upstream.buffers import TLS_READ, BufferPool
from aprp.upstream.connection import OriginConnection
from aprp.upstream.detached import Detached
from aprp.upstream.dial import Endpoint, dial, look_up
from aprp.upstream.errors import OriginClosed
from aprp.upstream.fetch import Fetch
from aprp.upstream.generic import GenericFetch
from aprp.upstream.pool import Pool, Ticket
from aprp.upstream.raw import RawConnection
from aprp.upstream.request import OriginRequest
from aprp.upstream.stream import StreamFetch
from aprp.upstream.wire import Wire


class OriginEvents:
    """What a client can be told to count; the defaults do nothing."""

    def connected(self) -> None:
        """A connection to an origin was opened."""

    def reused(self) -> None:
        """A request went out on a kept connection."""

    def received(self, count: int) -> None:
        """`count` body bytes came from an origin."""

    def answered(self, seconds: float) -> None:
        """The head of an answer came, so long after the request was sent, to a request sent whole.

        Of an `OriginRequest` alone.
        """


class OriginClient(AsyncHTTPClient):
    """An asynchronous HTTP/1.1 client that keeps connections.

    Options, beside those of `SimpleAsyncHTTPClient`: `buffer_size` (most bytes read at once),
    `keep_for` (seconds an idle connection is kept), `max_idle` (idle connections per origin;
    0 closes each after its response), `events` (an `OriginEvents`).
    """

    def initialize(  # type: ignore[override]  # as SimpleAsyncHTTPClient's, with names
        self,
        max_clients: int = 10,
        hostname_mapping: dict[Any, Any] | None = None,
        max_buffer_size: int = 104857600,
        resolver: Resolver | None = None,
        defaults: dict[str, Any] | None = None,
        max_header_size: int | None = None,
        max_body_size: int | None = None,
        unlimited_body: bool = False,
        buffer_size: int = 1048576,
        keep_for: float = 55.0,
        max_idle: int = 64,
        events: OriginEvents | None = None,
    ) -> None:
        """Set the client up for the running loop."""
        super().initialize(defaults=defaults)
        # IOLoop does not declare it; its only implementation has it.
        self.loop: asyncio.AbstractEventLoop = self.io_loop.asyncio_loop  # type: ignore[attr-defined]
        self.max_clients = max_clients
        self.max_header_size = max_header_size or 65536
        self.max_body_size = (
            None if unlimited_body else max_buffer_size if max_body_size is None else max_body_size
        )
        self._own_resolver = resolver is None
        self.resolver = resolver or Resolver()
        if hostname_mapping is not None:
            self.resolver = OverrideResolver(resolver=self.resolver, mapping=hostname_mapping)
        # A head has to fit in.
        small = max(buffer_size // 4, self.max_header_size + 4096)
        self.buffers = BufferPool(small, buffer_size)
        # The loops' TLS layers hand on what fits and leave the rest for later, when the end of the
        # connection may have overtaken it: a buffer has to take all they can hold.
        self.tls_buffers = BufferPool(max(small, TLS_READ), buffer_size)
        self.pool = Pool(max_clients, max_idle, keep_for)
        self.events = events or OriginEvents()
        self.fetches: set[Fetch] = set()
        self._connections: set[Wire] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close every connection; fetches under way fail."""
        super().close()
        # Nobody is let in for those who leave.
        for ticket in self.pool.queue:
            ticket.left = True
        for fetch in list(self.fetches):
            fetch.end(OriginClosed("Client closed"))
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for task in list(self._tasks):
            task.cancel()
        for connection in list(self._connections):
            connection.abort()
        self.pool.drain()
        if self._own_resolver:
            self.resolver.close()

    def fetch(
        self, request: str | HTTPRequest, raise_error: bool = True, **kwargs: Any
    ) -> "Future[HTTPResponse]":
        """Fetch; an `OriginRequest` takes the short way, without copies of its headers.

        For that one no status is an error, whatever `raise_error` says.
        """
        if not isinstance(request, OriginRequest):
            return super().fetch(request, raise_error, **kwargs)
        if self._closed:
            raise RuntimeError("fetch() called on closed AsyncHTTPClient")
        future: Future[HTTPResponse] = self.loop.create_future()
        StreamFetch(self, request, future).start()
        return future

    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        """Start a fetch; `callback` gets its response."""
        GenericFetch(self, request, callback).start()

    async def connect(self, endpoint: Endpoint, timeout: float | None) -> Detached:
        """Open a TCP connection for a tunnel; `close` closes it, too.

        The endpoint's `tls` is not looked at. `timeout` is in seconds. Raises what
        `aprp.upstream.dial.dial` raises, and OriginClosed where the other end left at once.
        """
        if self._closed:
            raise OriginClosed("Client closed")
        connection = await dial(endpoint._replace(tls=None), self._make_raw, self.resolver, timeout)
        self.events.connected()
        return connection.detach()

    async def look_up(self, endpoint: Endpoint, timeout: float | None) -> None:
        """Return where an endpoint's host has an address that its guard lets pass.

        `timeout` is in seconds. Raises ResolveFailed, Forbidden, ConnectTimeout.
        """
        await look_up(endpoint, self.resolver, timeout)

    def _make_raw(self) -> RawConnection:
        connection = RawConnection(self._connections.discard)
        self._connections.add(connection)
        return connection

    @property
    def queue(self) -> deque[Ticket]:
        """The fetches that wait for a free slot."""
        return self.pool.queue

    # For the fetches.

    @property
    def closed(self) -> bool:
        """Whether nothing can be fetched any more."""
        return self._closed

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine that ends with the client at the latest."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def dial(self, endpoint: Endpoint, timeout: float | None) -> OriginConnection:
        """Open a connection; see `aprp.upstream.dial.dial` for what it raises."""
        buffers = self.buffers if endpoint.tls is None else self.tls_buffers
        make = functools.partial(self._make_connection, buffers)
        connection = await dial(endpoint, make, self.resolver, timeout)
        self.events.connected()
        return connection

    def _make_connection(self, buffers: BufferPool) -> OriginConnection:
        connection = OriginConnection(buffers, self.max_header_size, self._connections.discard)
        self._connections.add(connection)
        return connection

    def keep(self, endpoint: Endpoint, connection: OriginConnection) -> None:
        """Keep an idle connection for the next request."""
        for surplus in self.pool.keep(endpoint, connection, self.loop.time()):
            surplus.abort()
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(self.pool.keep_for, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        for connection in self.pool.expired(self.loop.time()):
            connection.abort()
        if self.pool.idle:
            self._sweeper = self.loop.call_later(max(self.pool.keep_for / 4, 0.1), self._sweep)

    def leave(self) -> None:
        """Give a fetch's slot back, to the next one that waits."""
        ticket = self.pool.leave()
        if ticket is not None:
            ticket.granted()
