"""Addresses that may not be connected to; and connections for tunnels."""

import asyncio
import socket
from typing import Any

import pytest

from aprp.upstream.client import OriginClient
from aprp.upstream.dial import Endpoint
from aprp.upstream.errors import (
    ConnectFailed,
    ConnectTimeout,
    Forbidden,
    OriginClosed,
    OriginFailure,
    ResolveFailed,
    Undelivered,
)
from aprp.upstream.origins import Origin
from tests.loops import both_loops, turns
from tests.peers import closed_port, serving
from tests.upstream.askers import Only, Talk
from tests.upstream.connections import Names, local
from tests.upstream.fetches import Mute, origin, sized
from tests.upstream.fetches import Transfer as Fetched
from tests.upstream.uploads import arrived

V4 = socket.AF_INET


@both_loops
async def test_address_that_is_refused_is_never_connected_to() -> None:
    async with origin() as o:
        o.endpoint = o.endpoint._replace(guard=Only())
        transfer = Fetched(o)
        error = await transfer.error()
        assert isinstance(error, Forbidden)
        assert isinstance(error, OriginFailure)
        # Another origin is no way round it.
        assert not isinstance(error, Undelivered)
        assert error.address == "127.0.0.1"
        assert "address refused: 127.0.0.1" in str(error)
        await turns(20)
        assert o.server.peers == []


@both_loops
async def test_refused_addresses_are_left_out() -> None:
    names = Names()
    async with origin(names=names) as o:
        port = o.server.port
        names.answer = [(V4, (host, port)) for host in ("127.0.0.8", "127.0.0.9", "127.0.0.1")]
        guard = Only("127.0.0.1")
        o.endpoint = o.endpoint._replace(guard=guard)
        transfer, peer = await o.ask()
        await peer.send(sized(b"hello"))
        await transfer.whole()
        assert guard.asked == ["127.0.0.8", "127.0.0.9", "127.0.0.1"]
        assert peer.writer.get_extra_info("sockname")[0] == "127.0.0.1"


@both_loops
async def test_the_name_is_resolved_once() -> None:
    # A name server that changes its answer between check and use gains nothing.
    names = local(0)
    async with origin(names=names) as o:
        names.answer = [(V4, ("127.0.0.1", o.server.port))]
        o.endpoint = o.endpoint._replace(guard=Only("127.0.0.1"))
        transfer, peer = await o.ask()
        await peer.send(sized(b""))
        await transfer.whole()
        assert len(names.asked) == 1


@both_loops
async def test_kept_connections_are_those_of_one_guard() -> None:
    async with origin() as o:
        await o.kept()
        o.endpoint = o.endpoint._replace(guard=Only())
        assert isinstance(await Fetched(o).error(), Forbidden)
        o.endpoint = o.endpoint._replace(guard=Only("127.0.0.1"))
        transfer, peer = await o.ask()
        await peer.send(sized(b""))
        await transfer.whole()
        assert o.events.connects == 2


def test_guard_of_an_origin() -> None:
    guard = Only()
    assert Origin.parse("http://a.example/films/", None, guard).endpoint.guard is guard
    assert Origin.parse("http://a.example/films/", None).endpoint.guard is None


# Tunnels.


def tunnels(names: Any) -> OriginClient:
    return OriginClient(force_instance=True, resolver=names)


@pytest.mark.parametrize("waits", [False, True])
@both_loops
async def test_tunnel_where_the_other_end_talks_first(waits: bool) -> None:
    async with serving() as server:
        client = tunnels(local(server.port))
        connecting = asyncio.create_task(client.connect(Endpoint("o.example", 22), 5.0))
        peer = await server.accept()
        # More than is read before somebody listens.
        greeting = bytes(range(256)) * 200
        await peer.send(greeting)
        detached = await connecting
        if waits:
            await arrived(peer)
            await turns(5)
        assert len(detached.leftover) < len(greeting)
        talk = Talk(detached)
        await talk.until(greeting)
        detached.transport.write(b"hello")
        assert await peer.reader.readexactly(5) == b"hello"
        assert len(client._connections) == 1
        peer.close()
        await talk.gone.wait()
        assert client._connections == set()
        client.close()


@both_loops
async def test_the_clients_end_is_the_tunnels_end() -> None:
    async with serving() as server:
        client = tunnels(local(server.port))
        detached = await client.connect(Endpoint("o.example", 443), 5.0)
        unused = await client.connect(Endpoint("o.example", 443), 5.0)
        talk = Talk(detached)
        first, second = await server.accept(), await server.accept()
        client.close()
        await talk.gone.wait()
        assert await first.closed()
        assert await second.closed()
        await turns(5)
        assert unused.transport.is_closing()
        assert client._connections == set()
        with pytest.raises(OriginClosed):
            await client.connect(Endpoint("o.example", 443), 5.0)


@both_loops
async def test_tunnels_that_cannot_be_opened() -> None:
    cases: list[tuple[Any, Endpoint, type[Exception]]] = [
        (Names(error=OSError("no such name")), Endpoint("o.example", 443), ResolveFailed),
        (
            Names(error=OSError("none")),
            Endpoint("o.example", 443, guard=Only("::1")),
            ResolveFailed,
        ),
        (Names(error=OSError("none")), Endpoint("o.example", 443, guard=Only()), Forbidden),
        (local(closed_port()), Endpoint("o.example", 443), ConnectFailed),
        (local(1), Endpoint("o.example", 443, guard=Only()), Forbidden),
        (Mute(), Endpoint("o.example", 443), ConnectTimeout),
    ]
    for names, endpoint, expected in cases:
        client = tunnels(names)
        with pytest.raises(expected):
            await client.connect(endpoint, 0.02 if expected is ConnectTimeout else 5.0)
        assert client._connections == set()
        client.close()


@both_loops
async def test_pausing_a_tunnel() -> None:
    async with serving() as server:
        client = tunnels(local(server.port))
        detached = await client.connect(Endpoint("o.example", 443), 5.0)
        peer = await server.accept()
        talk = Talk(detached)
        detached.pause_reading()
        detached.pause_reading()
        await peer.send(b"later")
        await turns(20)
        assert talk.came == b""
        detached.resume_reading()
        detached.resume_reading()
        await talk.until(b"later")
        detached.transport.abort()
        detached.pause_reading()
        detached.resume_reading()
        await talk.gone.wait()
        client.close()
