"""A client with TLS whose every byte a test decides: on a socket, and nothing read ahead."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

from tests.peers import TLS_HOST, client_tls


class Encrypted:
    """TLS by hand on a socket that does not block."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None = None) -> None:
        self.socket = sock
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or client_tls()).wrap_bio(
            self._incoming, self._outgoing, server_hostname=TLS_HOST
        )
        # Whether the server said that nothing more comes.
        self.told_goodbye = False

    def records(self) -> bytes:
        """What TLS wants to have sent."""
        return self._outgoing.read()

    async def flush(self) -> None:
        """Send it."""
        await self._loop.sock_sendall(self.socket, self.records())

    async def take(self, size: int = 16384) -> bool:
        """Take records from the socket; False at its end."""
        return self.put(await self._loop.sock_recv(self.socket, size))

    def put(self, data: bytes) -> bool:
        """Take records that somebody has read; False for none."""
        self._incoming.write(data)
        return data != b""

    async def step(self, step: Callable[[], object]) -> None:
        """Go on with something until TLS has done it."""
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                await self.flush()
                assert await self.take(), "the connection ended"
            else:
                await self.flush()
                return

    async def handshake(self) -> None:
        """Shake hands."""
        await self.step(self.tls.do_handshake)

    def encrypted(self, data: bytes) -> bytes:
        """The records of some bytes."""
        assert self.tls.write(data) == len(data)
        return self.records()

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        for begin in range(0, len(data), 16384):
            await self._loop.sock_sendall(self.socket, self.encrypted(data[begin : begin + 16384]))

    def decrypted(self, size: int) -> bytes | None:
        """So many bytes at most of what has come; b"" at its proper end, None if none are there."""
        try:
            data = self.tls.read(size)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            data = b""
        self.told_goodbye = self.told_goodbye or data == b""
        return data

    async def read(self, size: int) -> bytes:
        """Take so many bytes; fewer where the connection ends before."""
        taken = bytearray()
        while len(taken) < size:
            data = self.decrypted(min(size - len(taken), 16384))
            if data == b"":
                break
            if data is None:
                try:
                    if not await self.take():
                        break
                except ConnectionResetError:
                    break
            else:
                taken += data
        return bytes(taken)

    def say_goodbye(self) -> bytes:
        """The records of a close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.records()
