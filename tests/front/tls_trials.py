"""A connection with TLS as a transport, and what comes to its protocol."""

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import AsyncIterator
from typing import cast

import pytest

from aprp.front.encryption import HandshakeFailed, TlsTransport
from tests.front.encrypted import Encrypted
from tests.front.wires import ends
from tests.loops import turns
from tests.peers import client_tls, server_tls

DATA = random.Random(3).randbytes(1 << 20)
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


class Receiver(asyncio.BufferedProtocol):
    """Keeps what comes; `room` bytes are lent at once."""

    def __init__(self, room: int = 65536, keep_open: bool = False) -> None:
        self.data = bytearray()
        self.changed = asyncio.Event()
        self.ended = 0
        self.lost: list[Exception | None] = []
        self.pauses = 0
        self.writable = asyncio.Event()
        self.writable.set()
        self.keep_open = keep_open
        self.transport: TlsTransport
        self.pause_at = -1
        self._room = memoryview(bytearray(room))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        assert not self.ended and not self.lost and 0 < nbytes <= len(self._room)
        self.data += self._room[:nbytes]
        self._room[:] = bytes(len(self._room))
        if self.pause_at >= 0 and len(self.data) >= self.pause_at:
            self.pause_at = -1
            self.transport.pause_reading()
        self.changed.set()

    def eof_received(self) -> bool:
        self.ended += 1
        self.changed.set()
        return self.keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)
        self.changed.set()

    def pause_writing(self) -> None:
        self.pauses += 1
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    async def has(self, size: int) -> bytes:
        """Wait for so many bytes."""
        while len(self.data) < size:
            self.changed.clear()
            await self.changed.wait()
        return bytes(self.data)

    async def hears(self, what: str) -> None:
        """Wait for the end (`ended`) or the loss (`lost`) of the connection."""
        while not getattr(self, what):
            self.changed.clear()
            await self.changed.wait()


class Trial:
    """A connection: the server's transport and its receiver, and the client."""

    def __init__(self, receiver: Receiver, client: socket.socket, context: ssl.SSLContext) -> None:
        self.receiver = receiver
        self.client = Encrypted(client, context)
        self.transport: TlsTransport
        self.shaken: asyncio.Future[HandshakeFailed | None] = (
            asyncio.get_running_loop().create_future()
        )

    def done(self, failure: HandshakeFailed | None) -> None:
        if failure is None:
            self.receiver.transport = self.transport
            self.transport.set_protocol(self.receiver)
        self.shaken.set_result(failure)

    async def secured(self) -> None:
        await self.client.handshake()
        assert await self.shaken is None


class Below(asyncio.BufferedProtocol):
    """Gives a connection to TLS when it is made."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tcp, scratch = cast(asyncio.Transport, transport), memoryview(bytearray(4096))
        self._trial.transport = TlsTransport(tcp, server_tls(), scratch, self._trial.done)
        self._trial.transport.shake_hands()


@contextlib.asynccontextmanager
async def connection(
    receiver: Receiver | None = None, version: ssl.TLSVersion | None = None
) -> AsyncIterator[Trial]:
    loop = asyncio.get_running_loop()
    context = client_tls()
    if version is not None:
        context.minimum_version = context.maximum_version = version
    with ends(8192, 8192) as (accepted, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        trial = Trial(receiver or Receiver(), sock, context)
        await loop.connect_accepted_socket(lambda: Below(trial), accepted)
        try:
            yield trial
        finally:
            trial.transport.abort()
            if trial.shaken.done() and trial.shaken.result() is None:
                await trial.receiver.hears("lost")
                assert len(trial.receiver.lost) == 1
                assert trial.receiver.ended <= 1
            await turns(3)
