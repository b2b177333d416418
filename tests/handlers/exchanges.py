"""An exchange that becomes a tunnel, as its door sees it, with a client's real connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

from tornado.netutil import Resolver

from aprp.front.wire import ClientGone
from aprp.semantics.headers import Fields
from aprp.stats.counters import Counters
from aprp.tunnel.tunnels import Tunnels
from aprp.upstream.client import OriginClient
from aprp.upstream.detached import Detached
from aprp.upstream.head import ResponseHead
from tests.tunnel.ends import CountingPool, Far, connection


class TunnelExchange:
    """What the doors of CONNECT and Upgrade use of an `Exchange`; keeps what is answered."""

    def __init__(
        self,
        method: str,
        target: str,
        fields: Sequence[tuple[str, str]],
        resolver: Resolver | None = None,
    ) -> None:
        self.method = method
        self.target = self.resource = target
        self.version = "HTTP/1.1"
        self.headers = Fields(fields)
        self.client = "192.0.2.7"
        self.request_id = "3f2a"
        self.scheme = "http"
        self.loop = asyncio.get_running_loop()
        self.counters = Counters()
        self.origin_client = OriginClient(force_instance=True, resolver=resolver)
        self.pool = CountingPool()
        pools = {"buffers": self.pool, "tls_buffers": self.pool}
        self.app = SimpleNamespace(
            counters=self.counters,
            client=self.origin_client,
            tunnels=Tunnels(self.counters, idle_timeout=0, **pools),
        )
        self.closed = False
        self.work: Any = None
        self.wire = SimpleNamespace(unfinished=None)
        self.interims: list[int] = []
        self.origin: str | None = None
        self.heads: list[tuple[int, str, Fields]] = []
        self.lengths: list[int | None] = []
        self.body = None
        self.status = 0
        self.asked: str | None = None
        self.connection = None
        self.answer = bytearray()
        self.cut: str | None = None
        self.detached: Detached | None = None
        self.sent = 0
        self.end: str | None = None
        self.span = None

    def asks(self, origin: str) -> None:
        self.origin = origin

    def begin(self, status: int, reason: str, fields: Fields, length: int | None) -> None:
        if self.closed:
            raise ClientGone
        self.status = status
        self.heads.append((status, reason, fields))
        self.lengths.append(length)

    def interim(self, head: ResponseHead) -> None:
        self.interims.append(head.status)

    def write(self, *pieces: memoryview) -> None:
        for piece in pieces:
            self.answer += piece

    def cut_short(self, why: str) -> None:
        self.cut = why

    def begin_tunnel(self, status: int, reason: str, fields: Fields) -> None:
        if self.closed:
            raise ClientGone
        self.heads.append((status, reason, fields))

    def detach(self) -> Detached:
        assert self.detached is not None
        return self.detached

    def close(self) -> None:
        """Close what it opened."""
        self.origin_client.close()


@contextlib.asynccontextmanager
async def client_of(exchange: TunnelExchange, leftover: bytes = b"") -> AsyncIterator[Far]:
    """The client, whose connection is given away when the tunnel begins."""
    async with connection(tls=False, server=True, leftover=leftover) as given:
        exchange.detached = given.detached
        yield given.far
