"""A tiny application behind the proxy's server, and a client that sends what a test wants."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest import mock

from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate, RequestStartLine

import aprp.front.server
from aprp.front.connection import ClientConnection
from aprp.front.server import ProxyServer
from aprp.semantics.headers import Fields
from aprp.upstream.buffers import Buffer, BufferPool
from tests.loops import turns
from tests.upstream.fetches import Clock

MAX_HEAD = 2000
# In seconds: without a request, for a head, for a body.
TIMEOUT = 60.0
HEADER_TIMEOUT = 30.0
BODY_TIMEOUT = 45.0
# The most of a body that is read at once, and of a slow client's; in bytes.
BLOCK = 1 << 20
SMALL_BLOCK = BLOCK // 8
# The address that no quotas are for.
EXEMPT = "192.0.2.1"


class Request(HTTPMessageDelegate):
    """One request as the application gets it."""

    def __init__(self, app: "App", connection: ClientConnection) -> None:
        self.app = app
        self.connection = connection
        self.line: RequestStartLine
        self.fields: Fields
        self.body = bytearray()
        self.complete = False
        self.answered = False
        self.failure: tuple[int, str] | None = None
        self.closings = 0

    def headers_received(self, start_line: Any, headers: Any) -> None:
        assert not hasattr(self, "line")
        self.line, self.fields = start_line, headers
        self.app.headed(self)

    def data_received(self, chunk: Any) -> Any:
        assert not self.complete and self.failure is None and not self.answered
        assert isinstance(chunk, memoryview) and len(chunk) > 0
        return self.app.take(self, chunk)

    def finish(self) -> None:
        assert not self.complete and self.failure is None, "finished twice"
        assert not self.answered, "finished after its end"
        self.complete = True
        self._over()

    def body_failed(self, status: int, detail: str) -> None:
        """See RequestDelegate."""
        assert not self.complete and self.failure is None and not self.answered
        self.failure = status, detail
        self._over()

    def _over(self) -> None:
        self.connection.set_close_callback(self.on_connection_close)
        self.app.requests.append(self)
        self.app.arrived.put_nowait(self)
        self.app.serve(self)

    def on_connection_close(self) -> None:
        assert not self.answered, "the client may go when all is written"
        self.closings += 1
        self.app.left.set()

    def answer(self, body: bytes = b"") -> None:
        """Answer; a refused request with its status, and then the connection ends."""
        self.write_answer(body)
        self.connection.finish()

    def write_answer(self, body: bytes = b"") -> None:
        """Write the answer."""
        status, text, fields = self.connection.malformed or (200, "OK", {})
        lines = [f"HTTP/1.1 {status} {text}", *[f"{n}: {v}" for n, v in fields.items()]]
        lines += [f"Content-Length: {len(body)}", "", ""]
        self.connection.wire.send("\r\n".join(lines).encode(), body)
        self.answered = True


class App(HTTPServerConnectionDelegate):
    """Takes requests; `serve` is called with each, and by default answers at once.

    `headed` is called with each whose head has come, `take` with what comes of its body.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.begun: list[Request] = []
        self.arrived: asyncio.Queue[Request] = asyncio.Queue()
        self.left = asyncio.Event()
        self.headed: Callable[[Request], None] = lambda request: None
        self.take: Callable[[Request, memoryview], asyncio.Future[None] | None] = self.keep
        self.serve: Callable[[Request], None] = lambda request: request.answer(
            request.line.path.encode("latin-1")
        )

    @staticmethod
    def keep(request: Request, chunk: memoryview) -> None:
        """Keep the body, and need no time for it."""
        request.body += chunk

    def start_request(self, server_conn: object, request_conn: Any) -> Request:
        assert isinstance(request_conn, ClientConnection)
        request = Request(self, request_conn)
        self.begun.append(request)
        return request

    def on_close(self, server_conn: object) -> None:
        pass

    @property
    def targets(self) -> list[str]:
        """The targets of the requests that were complete, in order."""
        return [request.line.path for request in self.requests]


class CountingPool(BufferPool):
    """Knows how many blocks are on loan."""

    lent = 0

    def acquire(self, large: bool = False) -> Buffer:
        self.lent += 1
        return super().acquire(large)

    def release(self, buffer: Buffer) -> None:
        self.lent -= 1
        super().release(buffer)


class Watched(ClientConnection):
    """Tells when it has read."""

    read = asyncio.Event()

    def buffer_updated(self, nbytes: int) -> None:
        super().buffer_updated(nbytes)
        self.read.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.read.set()


class Client:
    """A client's socket."""

    def __init__(self, server: "Served", sock: socket.socket) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._held = b""
        # Of the last answer.
        self.head = b""
        self.socket = sock

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await self._loop.sock_sendall(self.socket, data)

    async def dribble(self, data: bytes) -> None:
        """Send byte by byte, each to be read on its own."""
        for index in range(len(data)):
            Watched.read.clear()
            await self.send(data[index : index + 1])
            await Watched.read.wait()

    async def send_and_be_read(self, data: bytes) -> None:
        """Send, and wait until the server has read something."""
        Watched.read.clear()
        await self.send(data)
        await Watched.read.wait()

    async def answer(self) -> tuple[int, bytes]:
        """Read an answer: its status and body."""
        while b"\r\n\r\n" not in self._held:
            await self._more()
        head, _, rest = self._held.partition(b"\r\n\r\n")
        status = int(head[9:12])
        if status < 200:
            self._held = rest
            return status, b""
        length = int(head.rpartition(b": ")[2])
        self.head = head
        while len(rest) < length:
            await self._more()
            rest = self._held.partition(b"\r\n\r\n")[2]
        self._held = rest[length:]
        return status, rest[:length]

    async def _more(self) -> None:
        data = await self._loop.sock_recv(self.socket, 65536)
        assert data, f"the connection ended after {self._held!r}"
        self._held += data

    async def ended(self) -> bool:
        """Wait for the end of the connection; True if there was nothing more to read before."""
        return self._held == b"" and await self._loop.sock_recv(self.socket, 1) == b""

    def leave(self, how: str = "close") -> None:
        """Go away."""
        if how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Served:
    """A server under test."""

    def __init__(
        self, app: App, server: ProxyServer, pool: CountingPool, clock: Clock, port: int
    ) -> None:
        self.app = app
        self.server = server
        self.pool = pool
        self.clock = clock
        self.port = port
        self.clients: list[Client] = []

    async def connect(self, room: int = 0) -> Client:
        """Connect a client; `room` is the size of its send buffer, if not the usual one."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if room:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        client = Client(self, sock)
        self.clients.append(client)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        return client

    async def settled(self, connections: int) -> None:
        """Wait until the server has so many connections."""
        while len(self.server.connections) != connections:
            await turns(1)


@contextlib.asynccontextmanager
async def served(room: int = 0, quotas: Any = None) -> AsyncIterator[Served]:
    """Serve on loopback; at the end no connection, no timer and no block on loan may be left."""
    app = App()
    server = ProxyServer(
        app,
        max_head=MAX_HEAD,
        idle_timeout=TIMEOUT,
        header_timeout=HEADER_TIMEOUT,
        body_timeout=BODY_TIMEOUT,
        buffer_size=BLOCK,
        quotas=quotas,
        exempt=lambda address: address == EXEMPT,
    )
    pool = server.buffers = CountingPool(server.buffers.small, server.buffers.large)
    clock = Clock(server.loop)
    server.loop = clock  # type: ignore[assignment]
    listening = socket.create_server(("127.0.0.1", 0))
    if room:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    Watched.read = asyncio.Event()
    with mock.patch.object(aprp.front.server, "ClientConnection", Watched):
        await server.listen([listening])
        trial = Served(app, server, pool, clock, listening.getsockname()[1])
        try:
            yield trial
        finally:
            server.stop()
            server.close_all()
            for client in trial.clients:
                client.socket.close()
            await trial.settled(0)
        await turns(3)
        clock.advance(1e6)
        assert clock.pending == []
        assert pool.lent == 0
