"""Connections that are given away to a tunnel."""

import asyncio
from collections.abc import Callable

import pytest

from aprp.front.connection import MAX_WAITING
from aprp.front.quotas import Quotas
from aprp.front.wire import ClientGone
from aprp.upstream.detached import Detached
from tests.front.apps import TIMEOUT, Client, Request, Served, served
from tests.front.requests import get
from tests.loops import both_loops, turns

CONNECT = get("films.example:443").replace(b"GET", b"CONNECT")


class Tunnel(asyncio.BufferedProtocol):
    """What takes a connection over: keeps what comes."""

    def __init__(self, detached: Detached) -> None:
        self.detached = detached
        self.came = bytearray(detached.leftover)
        self.room = bytearray(100)
        self.read = asyncio.Event()
        self.lost = asyncio.Event()
        detached.hand_to(self)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        self.came += self.room[:nbytes]
        self.read.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.detached.lost(exc)
        self.lost.set()


async def connected(s: Served, more: bytes = b"") -> tuple[Client, Request]:
    """A client whose CONNECT has come."""
    client = await s.connect()
    s.app.serve = lambda request: None
    await client.send(CONNECT + more)
    request = await s.app.arrived.get()
    assert request.line.path == "films.example:443"
    return client, request


@pytest.mark.parametrize("early", [b"", b"GET / HTTP/1.1\r\n", bytes(100_000)])
@both_loops
async def test_all_that_comes_belongs_to_the_tunnel(early: bytes) -> None:
    async with served() as s:
        client, request = await connected(s)
        if early:
            await client.send(early)
            while len(request.connection._input) < len(early):
                await turns(1)
        request.connection.wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        detached = request.connection.detach()
        assert detached.leftover == early
        # Nothing gets lost before there is a protocol to take it.
        await client.send(b"abc")
        await turns(10)
        tunnel = Tunnel(detached)
        await tunnel.read.wait()
        assert tunnel.came == early + b"abc"
        # What an exchange does at its end changes nothing.
        request.connection.finish()
        await client.send(get("/"))
        while not tunnel.came.endswith(b"\r\n\r\n"):
            tunnel.read.clear()
            await tunnel.read.wait()
        assert len(s.app.begun) == 1
        # It is still one of the server's connections, and busy, for however long.
        s.server.close_idle()
        s.clock.advance(100 * TIMEOUT)
        await turns(5)
        assert len(s.server.connections) == 1
        client.leave()
        await tunnel.lost.wait()
        assert len(s.server.connections) == 0
        assert request.closings == 0


def by_server(s: Served, request: Request) -> None:
    s.server.close_all()


def by_connection(s: Served, request: Request) -> None:
    request.connection.close()


@pytest.mark.parametrize("end", [by_server, by_connection])
@both_loops
async def test_tunnel_is_ended_from_here(end: Callable[[Served, Request], None]) -> None:
    quotas = Quotas(connections=1)
    async with served(quotas=quotas) as s:
        client, request = await connected(s)
        tunnel = Tunnel(request.connection.detach())
        assert quotas.connections == 1
        end(s, request)
        await tunnel.lost.wait()
        assert await client.ended()
        assert quotas.connections == 0
        assert len(s.server.connections) == 0


@both_loops
async def test_client_that_is_gone_already() -> None:
    async with served() as s:
        client, request = await connected(s)
        client.leave()
        await s.app.left.wait()
        with pytest.raises(ClientGone):
            request.connection.detach()


@both_loops
async def test_client_that_sent_too_much_too_early() -> None:
    # Some of it is lost: a tunnel with a gap is none.
    async with served() as s:
        client, request = await connected(s)
        await client.send(bytes(2 * MAX_WAITING))
        while not request.connection._overflow:
            await turns(1)
        with pytest.raises(ClientGone):
            request.connection.detach()
        await s.settled(0)
