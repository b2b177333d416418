"""A tunnel between two connections over loopback, and the far ends of them for a test to use."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aprp.front.encryption import HandshakeFailed, TlsTransport
from aprp.stats.counters import Count, Counters
from aprp.tunnel.bridge import Bridge, Ended
from aprp.upstream.buffers import TLS_READ, Buffer
from aprp.upstream.detached import Detached
from tests.peers import TLS_HOST, client_tls, server_tls
from tests.upstream.connections import WatchedPool

SMALL = 16384
LARGE = 65536
HELD = 65536
"""What the kernel is asked to hold of each socket's bytes."""


class CountingPool(WatchedPool):
    """Knows how much was on loan at most, in bytes."""

    __slots__ = ("most",)

    def __init__(self, small: int = SMALL, large: int = LARGE) -> None:
        super().__init__(small, large)
        self.most = 0

    def acquire(self, large: bool = False) -> Buffer:
        buffer = super().acquire(large)
        self.most = max(self.most, sum(lent.size for lent in self.lent))
        return buffer


class Far:
    """The other end of one of the tunnel's connections; reads when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes | memoryview) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """Read to the end in good order."""
        return await self.reader.read()

    def end(self) -> None:
        """Send no more; still read."""
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def is_reset(self) -> bool:
        """Wait for the end of the connection, and tell whether it was broken."""
        try:
            await self.reader.read()
        except ConnectionResetError:
            return True
        return False


class _Holder(asyncio.BufferedProtocol):
    """The protocol that a connection has before it is given away."""

    def get_buffer(self, sizehint: int) -> memoryview:
        # TLS layers ask for room before they know of bytes.
        return memoryview(bytearray(1))

    def buffer_updated(self, nbytes: int) -> None:
        raise AssertionError("reading is paused")


@dataclass
class Given:
    """A connection to be given to a bridge, and what happens to it."""

    far: Far
    detached: Detached
    gone: list[Exception | None]


@contextlib.asynccontextmanager
async def connection(*, tls: bool, server: bool, leftover: bytes) -> AsyncIterator[Given]:
    """Connect over loopback; `server`: it is the client's, whose TLS is the proxy's own."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HELD)
        near = socket.create_connection(listening.getsockname())
        away, _ = listening.accept()
    # Ends that do not read are to be noticed soon.
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, HELD)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HELD)
    away.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, HELD)
    tcp, holder = await loop.create_connection(_Holder, sock=near)
    transport, below = tcp, None
    if not tls:
        far = Far(*await asyncio.open_connection(sock=away, limit=16384))
    elif server:
        done: asyncio.Future[HandshakeFailed | None] = loop.create_future()
        own = TlsTransport(tcp, server_tls(), memoryview(bytearray(65536)), done.set_result)
        own.shake_hands()
        far = await _open(away, client_tls(), True)
        assert await done is None
        own.set_protocol(holder)
        transport = own
    else:
        starting = loop.start_tls(tcp, holder, client_tls(), server_hostname=TLS_HOST)
        far, wrapped = await asyncio.gather(_open(away, server_tls(), False), starting)
        assert wrapped is not None
        transport, below = wrapped, tcp
    gone: list[Exception | None] = []
    given = Given(far, Detached(transport, below, leftover, gone.append), gone)
    given.detached.pause_reading()
    try:
        yield given
    finally:
        if not far.writer.is_closing():
            far.writer.transport.abort()
        with contextlib.suppress(OSError):
            await far.writer.wait_closed()


async def _open(away: socket.socket, context: ssl.SSLContext, client: bool) -> Far:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=16384)
    protocol = asyncio.StreamReaderProtocol(reader)
    if client:
        transport, _ = await loop.create_connection(
            lambda: protocol,
            sock=away,
            ssl=context,
            server_hostname=TLS_HOST,
        )
    else:
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, away, ssl=context)
    return Far(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


class Tunnelled:
    """A tunnel that runs, and both its far ends."""

    def __init__(self, client: Given, origin: Given, idle_timeout: float) -> None:
        self.client = client.far
        self.origin = origin.far
        self.given = (client, origin)
        self.counters = Counters()
        self.pool = CountingPool()
        self.tls_pool = CountingPool(TLS_READ, TLS_READ)
        self.bridge = Bridge(
            client.detached,
            origin.detached,
            idle_timeout=idle_timeout,
            buffers=self.pool,
            tls_buffers=self.tls_pool,
            counters=self.counters,
        )
        self.running = asyncio.create_task(self.bridge.run())

    async def ended(self) -> Ended:
        """Wait for the end of it."""
        return await self.running

    def counted(self) -> tuple[int, int]:
        """The bytes up and down in the statistics."""
        total = self.counters.total
        return total(Count.TUNNEL_BYTES_UP), total(Count.TUNNEL_BYTES_DOWN)

    def check_nothing_left(self) -> None:
        """Every block came back, and each connection was told once that it is gone."""
        assert self.pool.lent == set() and self.tls_pool.lent == set()
        for given in self.given:
            assert len(given.gone) == 1
            assert given.detached.transport.is_closing()


@contextlib.asynccontextmanager
async def tunnelled(
    *,
    client_tls: bool = False,
    origin_tls: bool = False,
    client_leftover: bytes = b"",
    origin_leftover: bytes = b"",
    idle_timeout: float = 0,
) -> AsyncIterator[Tunnelled]:
    """Join two connections; at the end the tunnel must have ended with nothing left over."""
    async with (
        connection(tls=client_tls, server=True, leftover=client_leftover) as client,
        connection(tls=origin_tls, server=False, leftover=origin_leftover) as origin,
    ):
        tunnel = Tunnelled(client, origin, idle_timeout)
        try:
            yield tunnel
        finally:
            tunnel.bridge.abort()
            with contextlib.suppress(asyncio.CancelledError):
                await tunnel.running
        tunnel.check_nothing_left()
