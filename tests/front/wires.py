"""The kinds of wire, each with a client at its other end that reads when it is told to."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import cast

from tornado.iostream import IOStream

from aprp.front.wire import StreamWire, TransportWire, Wire


class Holder(asyncio.Protocol):
    """The protocol of a transport that is written to over a TransportWire."""

    def __init__(self) -> None:
        self.wire: TransportWire
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = TransportWire(cast(asyncio.Transport, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self.wire.lost()
        self.gone.set()

    def pause_writing(self) -> None:
        self.wire.paused()

    def resume_writing(self) -> None:
        self.wire.resumed()


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

    def leave(self) -> None:
        """Break the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@contextlib.asynccontextmanager
async def wired(kind: str) -> AsyncIterator[tuple[Wire, Client]]:
    """A wire ("own" or "tornado"), and who reads from it; the sockets hold little."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.connect(listening.getsockname())
        sock.setblocking(False)
        accepted, _ = listening.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        accepted.setblocking(False)
        if kind == "tornado":
            stream = IOStream(accepted)
            yield StreamWire(stream), Client(sock)
            stream.close()
            return
        transport, holder = await loop.connect_accepted_socket(Holder, accepted)
        try:
            yield holder.wire, Client(sock)
        finally:
            transport.abort()
            await holder.gone.wait()
