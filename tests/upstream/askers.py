"""Who asks origins: a reader of answers, what a tunnel would be, and a guard of addresses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from aprp.stats.counters import Counters
from aprp.upstream.asking import Ask, Limits
from aprp.upstream.client import OriginClient
from aprp.upstream.detached import Detached
from aprp.upstream.errors import Forbidden
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin, Origins
from tests.loops import turns
from tests.peers import Server
from tests.upstream.placing import Place


class Asker:
    """A reader, its ask, and what was told; `placer` is set when the head comes."""

    def __init__(self, urls: Sequence[str], client: OriginClient) -> None:
        self.counters = Counters()
        self.origins = Origins([Origin.parse(url, None) for url in urls], retry_after=10.0)
        self.ask = Ask(self.origins, client, Limits(5.0, 5.0, 5.0), self.counters, self)
        self.placer: Place | None = None
        self.asked: list[Origin] = []
        self.heads: list[ResponseHead] = []
        self.body = bytearray()
        self.came = asyncio.Event()

    def on_origin(self, origin: Origin) -> None:
        assert self.ask.origin is origin
        self.asked.append(origin)

    def on_interim(self, head: ResponseHead) -> None:
        raise AssertionError(head)

    def on_head(self, head: ResponseHead) -> None:
        self.heads.append(head)
        if self.placer is not None:
            self.ask.place(self.placer)
        self.came.set()

    def on_body(self, view: memoryview) -> None:
        self.body += view


@contextlib.asynccontextmanager
async def asker(server: Server, *others: int) -> AsyncIterator[Asker]:
    """Ask a server; `others` are ports that are tried before it."""
    client = OriginClient(force_instance=True, unlimited_body=True)
    urls = [f"http://127.0.0.1:{port}" for port in (*others, server.port)]
    try:
        yield Asker(urls, client)
    finally:
        client.close()
        await turns(20)


class Only:
    """A guard that lets only some addresses pass."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed
        self.asked: list[str] = []

    def check_nameless(self, host: str) -> None:
        if not self.allowed:
            raise Forbidden(host, "for this test")

    def check(self, address: str) -> None:
        self.asked.append(address)
        if address not in self.allowed:
            raise Forbidden(address, "for this test")


class Talk(asyncio.BufferedProtocol):
    """What a tunnel would be."""

    def __init__(self, detached: Detached) -> None:
        self.detached = detached
        self.came = bytearray(detached.leftover)
        self.news = asyncio.Event()
        self.gone = asyncio.Event()
        self._room = memoryview(bytearray(1000))
        detached.hand_to(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self.came += self._room[:nbytes]
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.detached.lost(exc)
        self.gone.set()

    async def until(self, expected: bytes) -> None:
        """Wait until just this has come."""
        while bytes(self.came) != expected:
            assert expected.startswith(self.came)
            self.news.clear()
            await self.news.wait()
