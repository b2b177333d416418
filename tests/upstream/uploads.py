"""Both ends of a request's body: who feeds it from memory used again, and who reads it."""

import asyncio
import fcntl
import random
import select
import sys
import termios

import pytest

from aprp.upstream.outgoing import RequestBody
from tests.loops import turns
from tests.peers import Peer
from tests.upstream.fetches import Origin, Transfer

_POISON = 0xDD

BODY = random.Random(3).randbytes(3_000_001)
TLS = pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
KNOWN = pytest.mark.parametrize("known", [True, False], ids=["sized", "chunked"])


def body_for(data: bytes, known: bool = True) -> RequestBody:
    """A body for these bytes, of known length or not; nothing is fed yet."""
    return RequestBody(len(data) if known else None)


async def started(o: Origin, method: str = "POST", *, body: RequestBody) -> tuple[Transfer, Peer]:
    """Start a fetch on a new connection; gives it and the server's end, nothing read."""
    transfer = Transfer(o, method, body=body)
    return transfer, await o.server.accept()


class Feeder:
    """Feeds bytes from one block of memory, which is overwritten as soon as it may be."""

    def __init__(self, body: RequestBody, size: int = 100_000) -> None:
        self.body = body
        self.taken = 0
        self._memory = bytearray(size)

    async def feed(self, data: bytes) -> None:
        """Feed all of it, piece by piece."""
        view = memoryview(self._memory)
        for at in range(0, len(data), len(self._memory)):
            piece = data[at : at + len(self._memory)]
            view[: len(piece)] = piece
            waiting = self.body.feed(view[: len(piece)])
            if waiting is not None:
                await waiting
            self.taken += len(piece)
            view[:] = bytes([_POISON]) * len(view)

    async def send(self, data: bytes) -> None:
        """Feed all of it, and end the body."""
        await self.feed(data)
        self.body.end()


def feeding(body: RequestBody, data: bytes, size: int = 100_000) -> "asyncio.Task[None]":
    """Send a whole body in the background."""
    return asyncio.create_task(Feeder(body, size).send(data))


async def chunks(peer: Peer) -> list[bytes]:
    """Read a chunked body to its end (RFC 9112 section 7.1)."""
    found: list[bytes] = []
    while True:
        line = await peer.reader.readuntil(b"\r\n")
        size = int(line[:-2], 16)
        data = await peer.reader.readexactly(size + 2)
        assert data[-2:] == b"\r\n"
        if not size:
            return found
        found.append(data[:-2])


async def body_of(peer: Peer, head: bytes) -> bytes:
    """Read the body that a request's head announces."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        if name.lower() == b"content-length":
            return await peer.reader.readexactly(int(value))
    assert b"\r\nTransfer-Encoding: chunked\r\n" in head
    return b"".join(await chunks(peer))


async def until_stuck(transfer: Transfer) -> None:
    """Wait until the connection to the origin takes no more, and takes none some turns later."""
    running = transfer.request.running
    assert running is not None and running.connection is not None
    assert running.connection.transport is not None
    descriptor = running.connection.transport.get_extra_info("socket").fileno()
    stuck = 0
    while stuck < 5:
        _, writable, _ = select.select([], [descriptor], [], 0)
        stuck = 0 if writable else stuck + 1
        await turns(3)


async def arrived(peer: Peer) -> None:
    """Wait until all that the peer sent is with the system at our end."""
    queued = True
    while queued or peer.writer.transport.get_write_buffer_size():
        await turns(1)
        unconfirmed = fcntl.ioctl(peer.socket.fileno(), termios.TIOCOUTQ, bytes(4))
        queued = int.from_bytes(unconfirmed, sys.byteorder) > 0
