"""Fetches that are watched: a client on a clock that the test turns, and who takes what comes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tornado.httpclient import HTTPResponse

from aprp.upstream.buffers import TLS_READ
from aprp.upstream.client import OriginClient, OriginEvents
from aprp.upstream.connection import OriginConnection
from aprp.upstream.dial import Endpoint
from aprp.upstream.errors import IdleTimeout
from aprp.upstream.head import ResponseHead
from aprp.upstream.outgoing import RequestBody
from aprp.upstream.request import OriginRequest
from tests.loops import turns
from tests.peers import TLS_HOST, Server, client_tls, server_tls, serving
from tests.upstream.connections import Names, WatchedPool, local

CONNECT, FIRST_BYTE, IDLE = 20.0, 30.0, 40.0
OK = b"HTTP/1.1 200 OK\r\n"


def sized(body: bytes) -> bytes:
    """A response with this body."""
    return OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class Timer:
    """Calls back when the clock says so."""

    def __init__(self, due: float, callback: Callable[[], object]) -> None:
        self.due = due
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """An event loop whose time goes on only when the test says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._now = loop.time()
        self._timers: list[Timer] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def time(self) -> float:
        return self._now

    def call_later(self, delay: float, callback: Callable[..., object], *given: object) -> Timer:
        timer = Timer(self._now + delay, lambda: callback(*given))
        self._timers.append(timer)
        return timer

    @property
    def pending(self) -> list[Timer]:
        """The timers that will fire, the next one first."""
        self._timers = [timer for timer in self._timers if not timer.cancelled]
        return sorted(self._timers, key=lambda timer: timer.due)

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due happens in its order."""
        end = self._now + seconds
        while (timers := self.pending) and timers[0].due <= end:
            self._timers.remove(timers[0])
            self._now = max(self._now, timers[0].due)
            timers[0].callback()
        self._now = end


class Counted(OriginEvents):
    """Counts what the client tells."""

    def __init__(self) -> None:
        self.connects = self.reuses = self.bytes = 0
        self.waits: list[float] = []

    def connected(self) -> None:
        self.connects += 1

    def reused(self) -> None:
        self.reuses += 1

    def received(self, count: int) -> None:
        self.bytes += count

    def answered(self, seconds: float) -> None:
        self.waits.append(seconds)


class Client(OriginClient):
    """A client whose connections go by its clock too."""

    async def dial(self, endpoint: Endpoint, timeout: float | None) -> OriginConnection:
        connection = await super().dial(endpoint, timeout)
        connection.loop = self.loop
        return connection


class Mute(Names):
    """A resolver that never answers."""

    async def resolve(self, host: str, port: int, family: int) -> list[tuple[int, Any]]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody answers")


class Transfer:
    """One fetch, and what was told of it; nothing may be told after its end.

    While `hold` is a future, `on_body` returns it. `at_head` and `at_body` are called in those
    callbacks, for the test to do something in there.
    """

    def __init__(
        self,
        origin: "Origin",
        method: str = "GET",
        target: str = "/film",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        *,
        hold: bool = False,
        idle: float = IDLE,
        body: RequestBody | None = None,
        upgrade: bool = False,
        asterisk: bool = False,
    ) -> None:
        self.heads: list[ResponseHead] = []
        self._body = bytearray()
        self.views: list[memoryview] = []
        self.came = asyncio.Event()
        self.hold: asyncio.Future[None] | None = None
        if hold:
            self.hold = asyncio.get_running_loop().create_future()
        self.at_head: Callable[[], object] = lambda: None
        self.at_body: Callable[[], object] = lambda: None
        self.interim: list[ResponseHead] = []
        self.at_interim: Callable[[], object] = lambda: None
        self.request = OriginRequest(
            f"http://origin.example{target}",
            origin.endpoint,
            method=method,
            headers={"Host": "origin.example"} if headers is None else headers,
            on_head=self._on_head,
            on_body=self._on_body,
            connect_timeout=CONNECT,
            first_byte_timeout=FIRST_BYTE,
            idle_timeout=idle,
            outgoing=body,
            on_interim=self._on_interim,
            upgrade=upgrade,
            target="*" if asterisk else None,
        )
        self.future = origin.client.fetch(self.request, raise_error=False)

    @property
    def body(self) -> bytes:
        """What was taken so far."""
        return bytes(self._body)

    def _on_interim(self, head: ResponseHead) -> None:
        assert not self.future.done()
        assert not self.heads
        self.interim.append(head)
        self.at_interim()

    def _on_head(self, head: ResponseHead) -> None:
        assert not self.future.done()
        assert not self.heads
        self.heads.append(head)
        self.came.set()
        self.at_head()

    def _on_body(self, view: memoryview) -> "asyncio.Future[None] | None":
        assert not self.future.done()
        assert self.heads
        assert not self.views, "more came before the last was taken"
        if self.hold is None:
            self._body += view
        else:
            self.views.append(view)
        self.at_body()
        return self.hold

    def take(self) -> None:
        """Take the bytes that were held, and hold no more."""
        held, self.hold = self.hold, None
        for view in self.views:
            self._body += view
        self.views.clear()
        assert held is not None
        held.set_result(None)

    async def whole(self) -> HTTPResponse:
        """Wait for a good end."""
        return await self.future

    async def error(self) -> Exception:
        """Wait for a bad end, and give its error."""
        try:
            await self.future
        except Exception as error:
            return error
        raise AssertionError("it ended well")


class Origin:
    """A client, and the server that it asks."""

    def __init__(
        self, server: Server, client: Client, clock: Clock, pool: WatchedPool, tls: bool
    ) -> None:
        self.server = server
        self.client = client
        self.clock = clock
        self.pool = pool
        self.events: Counted = client.events  # type: ignore[assignment]
        self.endpoint = Endpoint("origin.example", 80)
        if tls:
            self.endpoint = Endpoint(TLS_HOST, 443, client_tls())

    async def ask(self, method: str = "GET", **options: Any) -> tuple[Transfer, Any]:
        """Start a fetch on a new connection; gives it and the server's end, the head read."""
        transfer = Transfer(self, method, **options)
        peer = await self.server.accept()
        await peer.request()
        return transfer, peer

    async def kept(self) -> Any:
        """Have an exchange that leaves a connection to be kept; gives the server's end."""
        transfer, peer = await self.ask()
        await peer.send(sized(b""))
        await transfer.whole()
        assert self.client.pool.idle == 1
        return peer


async def silent_after(o: Origin, transfer: Transfer, take: Callable[[], None]) -> None:
    """Bytes that came are taken after a long time, and no more come: that alone is silence."""
    for _ in range(20):
        o.clock.advance(IDLE * 0.9)
        await turns(2)
    assert not transfer.future.done()
    take()
    await turns(3)
    # From now on it is the origin that is waited for.
    o.clock.advance(IDLE * 0.9)
    assert not transfer.future.done()
    o.clock.advance(IDLE)
    assert isinstance(await transfer.error(), IdleTimeout)


def open_sockets() -> set[str]:
    """The sockets of this process; none may be left open, also not by a second descriptor."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        # The one of this listing is gone by now.
        with contextlib.suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}


@contextlib.asynccontextmanager
async def origin(
    *, names: Names | None = None, tls: bool = False, **options: Any
) -> AsyncIterator[Origin]:
    """A server and a client; at the end nothing may be left of what fetches take."""
    before = open_sockets()
    async with serving(server_tls() if tls else None) as server:
        client = Client(
            force_instance=True,
            resolver=names or local(server.port),
            events=Counted(),
            unlimited_body=True,
            **options,
        )
        clock = Clock(client.loop)
        client.loop = clock  # type: ignore[assignment]
        pool = client.buffers = WatchedPool()
        if tls:
            pool = client.tls_buffers = WatchedPool(TLS_READ, TLS_READ)
        try:
            yield Origin(server, client, clock, pool, tls)
            await turns(5)
            assert client._tasks == set()
            assert client.pool.active == 0
            assert not [ticket for ticket in client.queue if not ticket.left]
        finally:
            client.close()
            await turns(20)
        assert clock.pending == []
        assert pool.lent == set()
        assert client._connections == set()
        assert client._tasks == set()
    await turns(20)
    assert open_sockets() <= before
