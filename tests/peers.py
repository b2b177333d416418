"""Servers on loopback whose every byte a test decides, in the test's own event loop."""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import tornado.test

# Tornado ships a certificate for its own tests; it signs itself.
TLS_HOST = "foo.example.com"
_TLS_FILES = Path(tornado.test.__file__).parent


def server_tls() -> ssl.SSLContext:
    """A context for a server called TLS_HOST."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_TLS_FILES / "test.crt", _TLS_FILES / "test.key")
    return context


def client_tls() -> ssl.SSLContext:
    """A context that trusts TLS_HOST and nobody else."""
    return ssl.create_default_context(cafile=str(_TLS_FILES / "test.crt"))


class Peer:
    """A server's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def socket(self) -> socket.socket:
        """For options; neither read from it nor write to it."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        return sock

    async def request(self) -> bytes:
        """Read the head of a request."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def send(self, data: bytes) -> None:
        """Send, and wait until the transport has not much of it any more."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, data: bytes) -> bytes:
        """Read the head of a request, and send."""
        head = await self.request()
        await self.send(data)
        return head

    async def closed(self) -> bool:
        """Wait for the end of the connection; True if there was nothing more to read before."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Close in good order."""
        self.writer.close()

    def reset(self) -> None:
        """Break the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Server:
    """Accepts connections for a test to play with."""

    def __init__(self) -> None:
        self.port = 0
        self.peers: list[Peer] = []
        self._arrived: asyncio.Queue[Peer] = asyncio.Queue()

    async def accept(self) -> Peer:
        """The next connection."""
        return await self._arrived.get()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection."""
        peer = Peer(reader, writer)
        self.peers.append(peer)
        self._arrived.put_nowait(peer)


@contextlib.asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Listen on a free port; at the end everything is closed."""
    server = Server()
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for peer in server.peers:
            peer.writer.transport.abort()
        await listening.wait_closed()
        for peer in server.peers:
            with contextlib.suppress(OSError):
                await peer.writer.wait_closed()


def unshared_port() -> int:
    """A port that nobody listens on, and that the kernel gives to nobody who asks for any port."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(min(20_000, first // 2), first)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def closed_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def shout_and_leave(listening: socket.socket, response: bytes, close_notify: bool) -> None:
    """Serve one TLS connection as servers do that wait for nobody; blocks, for a thread.

    Reads a request, sends, says with a close_notify alert that this is the end (or does not),
    and closes TCP at once.
    """
    sock, _ = listening.accept()
    with server_tls().wrap_socket(sock, server_side=True) as wrapped:
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += wrapped.recv(65536)
        wrapped.sendall(response)
        if close_notify:
            wrapped.setblocking(False)
            with contextlib.suppress(OSError):
                wrapped.unwrap()
