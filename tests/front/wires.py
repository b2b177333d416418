"""The kinds of wire, each with a client at its other end that reads when it is told to."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from typing import cast

from tornado.iostream import IOStream

from aprp.front.encryption import HandshakeFailed, TlsTransport
from aprp.front.pacing import ConnectionWire
from aprp.front.wire import StreamWire, Wire, make_wire
from tests.front.encrypted import Encrypted
from tests.loops import turns
from tests.peers import server_tls


class Holder(asyncio.BufferedProtocol):
    """The protocol of a transport that is written to over a wire of the proxy's own."""

    def __init__(self) -> None:
        self.wire: ConnectionWire
        self.gone = asyncio.Event()
        self._room = memoryview(bytearray(1000))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = make_wire(cast(asyncio.Transport, transport))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        raise AssertionError("the client only reads")

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.wire.lost()
        self.gone.set()

    def pause_writing(self) -> None:
        self.wire.paused()

    def resume_writing(self) -> None:
        self.wire.resumed()


class Shaking(asyncio.BufferedProtocol):
    """Has TLS come before a Holder."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder
        self._tls: TlsTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tcp, scratch = cast(asyncio.Transport, transport), memoryview(bytearray(1 << 16))
        self._tls = TlsTransport(tcp, server_tls(), scratch, self._done)
        self._tls.shake_hands()

    def _done(self, failure: HandshakeFailed | None) -> None:
        assert failure is None
        self._tls.set_protocol(self._holder)
        self._holder.connection_made(self._tls)


class Client:
    """Takes bytes from its socket when they are asked for, and no others."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    async def read(self, size: int) -> bytes:
        """Take so many bytes; fewer where the connection ends before."""
        loop = asyncio.get_running_loop()
        taken = bytearray()
        while len(taken) < size:
            data = await loop.sock_recv(self.socket, min(size - len(taken), 16384))
            if not data:
                break
            taken += data
        return bytes(taken)

    def read_now(self, size: int) -> bytes:
        """Take so many bytes at most of what is there."""
        try:
            return self.socket.recv(size)
        except BlockingIOError:
            return b""

    def leave(self) -> None:
        """Break the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class TlsClient(Client):
    """The same behind TLS."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.tls = Encrypted(sock)

    async def read(self, size: int) -> bytes:
        return await self.tls.read(size)

    def read_now(self, size: int) -> bytes:
        while (data := self.tls.decrypted(size)) is None:
            if not self.tls.put(super().read_now(size)):
                return b""
        return data


@contextlib.contextmanager
def ends(send: int, receive: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two sockets of a connection, the server's first; their buffers have so many bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        sock.connect(listening.getsockname())
        sock.setblocking(False)
        accepted, _ = listening.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send)
        accepted.setblocking(False)
        yield accepted, sock


@contextlib.asynccontextmanager
async def held(kind: str, holder: Holder, send: int, receive: int) -> AsyncIterator[Client]:
    """Connect a holder ("own" or "tls"); its wire is there at once. Gives who reads from it."""
    loop = asyncio.get_running_loop()
    with ends(send, receive) as (accepted, sock):
        protocol = Shaking(holder) if kind == "tls" else holder
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted)
        client = TlsClient(sock) if kind == "tls" else Client(sock)
        if isinstance(client, TlsClient):
            await client.tls.handshake()
            while not hasattr(holder, "wire"):
                await turns(1)
        try:
            yield client
        finally:
            transport.abort()
            await holder.gone.wait()


@contextlib.asynccontextmanager
async def wired(kind: str) -> AsyncIterator[tuple[Wire, Client]]:
    """A wire ("own", "tls" or "tornado"), and who reads from it; the sockets hold little."""
    if kind == "tornado":
        with ends(8192, 8192) as (accepted, sock):
            stream = IOStream(accepted)
            yield StreamWire(stream), Client(sock)
            stream.close()
        return
    holder = Holder()
    async with held(kind, holder, 8192, 8192) as client:
        yield holder.wire, client
