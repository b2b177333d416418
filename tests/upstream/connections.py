"""Connections, receivers and buffers that are watched, for the tests of the origin's side."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aprp.semantics.framing import Delimiter
from aprp.upstream.buffers import TLS_READ, Buffer, BufferPool
from aprp.upstream.connection import OriginConnection
from aprp.upstream.dial import Endpoint, dial
from aprp.upstream.errors import OriginClosed
from aprp.upstream.head import ResponseHead
from aprp.upstream.receiver import Placer
from tests.peers import TLS_HOST, Peer, client_tls, server_tls, serving

MAX_HEAD = 2000
SMALL = 8192
LARGE = 32768
REQUEST = b"GET /film HTTP/1.1\r\nHost: origin\r\n\r\n"

_POISON = 0xDD


class WatchedPool(BufferPool):
    """Knows which buffers are on loan, and overwrites what is given back.

    So bytes that anybody still needs from a buffer that is given back are seen to be wrong.
    """

    __slots__ = ("lent",)

    def __init__(self, small: int = SMALL, large: int = LARGE) -> None:
        super().__init__(small, large)
        self.lent: set[Buffer] = set()

    def acquire(self, large: bool = False) -> Buffer:
        buffer = super().acquire(large)
        assert buffer not in self.lent
        self.lent.add(buffer)
        return buffer

    def release(self, buffer: Buffer) -> None:
        self.lent.remove(buffer)
        buffer.data[:] = bytes([_POISON]) * buffer.size
        super().release(buffer)


class WatchedConnection(OriginConnection):
    """Tells when it has read something."""

    def __init__(self, pool: BufferPool, max_head: int = MAX_HEAD) -> None:
        self.closings = 0
        self.read = asyncio.Event()
        self.gone = asyncio.Event()
        super().__init__(pool, max_head, self._closed)

    def _closed(self, connection: OriginConnection) -> None:
        assert connection is self
        self.closings += 1
        self.gone.set()
        self.read.set()

    def buffer_updated(self, nbytes: int) -> None:
        super().buffer_updated(nbytes)
        self.read.set()


class Recorder:
    """A receiver that keeps what it is told; nothing may be told after the end.

    While `hold` is a future, body bytes are taken only when that is done.
    """

    expects_placement = False
    upgrade = False
    sent = True

    def __init__(self, method: str = "GET") -> None:
        self.method = method
        self.placer: Placer | None = None
        self.interim: list[int] = []
        self.heads: list[ResponseHead] = []
        self.length: int | Delimiter | None = None
        self._body = bytearray()
        self.hold: asyncio.Future[None] | None = None
        self.views: list[memoryview] = []
        self.data_came = asyncio.Event()
        self.over: asyncio.Future[bool | Exception] = asyncio.get_running_loop().create_future()

    @property
    def body(self) -> bytes:
        """What was taken so far."""
        return bytes(self._body)

    def on_interim(self, head: ResponseHead) -> None:
        assert not self.over.done() and not self.heads
        self.interim.append(head.status)

    def on_switch(self, head: ResponseHead) -> None:
        raise AssertionError(head)

    def on_head(self, head: ResponseHead, length: int | Delimiter) -> None:
        assert not self.over.done() and not self.heads
        self.heads.append(head)
        self.length = length

    def on_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        assert not self.over.done() and self.heads
        assert len(view) > 0
        self.data_came.set()
        if self.hold is None:
            self._body += view
        else:
            self.views.append(view)
        return self.hold

    def on_end(self, reusable: bool) -> None:
        assert self.heads
        self.over.set_result(reusable)

    def on_failure(self, error: Exception) -> None:
        self.over.set_result(error)

    def wait_for_release(self) -> "asyncio.Future[None]":
        """From now on hold bytes; the future lets them go."""
        self.hold = asyncio.get_running_loop().create_future()
        return self.hold

    def take(self) -> None:
        """Take the bytes that were held, and hold no more."""
        held, self.hold = self.hold, None
        views, self.views = self.views, []
        for view in views:
            self._body += view
        if held is not None:
            held.set_result(None)

    async def reusable(self) -> bool:
        """Wait for a good end, and tell whether the connection may be kept."""
        outcome = await self.over
        assert isinstance(outcome, bool), outcome
        return outcome

    async def failure(self) -> Exception:
        """Wait for a bad end, and give its error."""
        outcome = await self.over
        assert isinstance(outcome, Exception), "it ended well"
        return outcome


async def fail_to_take(
    outcome: str,
    when: str,
    receiver: Recorder,
    waiting: "asyncio.Future[None]",
    come: Callable[[], Awaitable[object]],
) -> None:
    """Have bytes come whose `waiting` fails, `at once` or `later`: that is the end of the fetch.

    `outcome` is `error` or `cancelled`; `come` returns when the bytes have come.
    """
    error = OSError("the disk is full")

    def fail() -> None:
        if outcome == "error":
            waiting.set_exception(error)
        else:
            waiting.cancel()

    if when == "at once":
        fail()
    await come()
    if when == "later":
        fail()
    failure = await receiver.failure()
    assert failure is error if outcome == "error" else isinstance(failure, OriginClosed)


class Link:
    """A connection under test, and the other end of it."""

    def __init__(self, pool: WatchedPool, connection: WatchedConnection, peer: Peer) -> None:
        self.pool = pool
        self.connection = connection
        self.peer = peer

    async def ask(self, method: str = "GET") -> Recorder:
        """Send a request, and wait until the other end has it."""
        receiver = Recorder(method)
        self.connection.start(receiver, REQUEST)
        assert await self.peer.request() == REQUEST
        return receiver

    async def dribble(self, data: bytes) -> None:
        """Send byte by byte, each to be read on its own."""
        for index in range(len(data)):
            if self.connection.transport is None:
                return
            self.connection.read.clear()
            self.peer.writer.write(data[index : index + 1])
            await self.connection.read.wait()


class Names:
    """A resolver whose answer, for any name, is what the test says."""

    def __init__(self, *answer: tuple[int, Any], error: Exception | None = None) -> None:
        self.answer = list(answer)
        self.error = error
        self.asked: list[tuple[str, int, int]] = []

    async def resolve(self, host: str, port: int, family: int) -> list[tuple[int, Any]]:
        self.asked.append((host, port, family))
        if self.error is not None:
            raise self.error
        return self.answer

    def close(self) -> None:
        """Nothing is open."""


def local(port: int) -> Names:
    """A resolver that leads to a port of loopback."""
    return Names((socket.AF_INET, ("127.0.0.1", port)))


async def connect(pool: WatchedPool, port: int, *, tls: bool, max_head: int) -> WatchedConnection:
    """Connect to a port of loopback."""
    endpoint = Endpoint(TLS_HOST, port, client_tls() if tls else None)
    made = WatchedConnection(pool, max_head)
    connection = await dial(endpoint, lambda: made, local(port), 5.0)  # type: ignore[arg-type]
    assert connection is made
    return made


@contextlib.asynccontextmanager
async def linked(*, tls: bool = False, max_head: int = MAX_HEAD) -> AsyncIterator[Link]:
    """Connect over loopback; at the end every buffer must have come back."""
    # A TLS layer must be able to hand on all it holds at once.
    pool = WatchedPool(TLS_READ, TLS_READ) if tls else WatchedPool()
    async with serving(server_tls() if tls else None) as server:
        connection = await connect(pool, server.port, tls=tls, max_head=max_head)
        peer = await server.accept()
        try:
            yield Link(pool, connection, peer)
        finally:
            connection.abort()
            await connection.gone.wait()
        assert connection.closings == 1
        assert not connection.usable
    assert pool.lent == set()
