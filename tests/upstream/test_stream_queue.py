"""Which fetch runs when, and which connections are kept between them."""

import pytest

from aprp.upstream.errors import Aborted, ConnectFailed, Overloaded
from tests.loops import both_loops, turns
from tests.peers import Peer, closed_port
from tests.upstream.connections import local
from tests.upstream.fetches import CONNECT, FIRST_BYTE, Origin, Transfer, origin, sized


@both_loops
async def test_nobody_listens() -> None:
    async with origin(names=local(closed_port())) as o:
        assert isinstance(await Transfer(o).error(), ConnectFailed)


@both_loops
async def test_more_fetches_than_may_run_wait_in_order() -> None:
    async with origin(max_clients=2) as o:
        running = [await o.ask(), await o.ask()]
        queued = [Transfer(o, target=f"/{number}") for number in range(4)]
        queued[1].request.abort()
        assert isinstance(await queued[1].error(), Aborted)
        order: list[bytes] = []
        for _ in range(4):
            transfer, peer = running.pop(0)
            await peer.send(sized(b""))
            await transfer.whole()
            if len(order) < 3:
                order.append((await peer.request()).split()[1])
                running.append((queued[int(order[-1][1:])], peer))
                assert o.client.pool.active == 2
        assert order == [b"/0", b"/2", b"/3"]
        await running[0][1].send(sized(b""))
        await running[0][0].whole()
        # All went over the two connections.
        assert (o.events.connects, o.client.pool.active) == (2, 0)


@pytest.mark.parametrize("end", ["abort", "timeout", "error"])
@both_loops
async def test_a_fetch_that_fails_makes_room_for_the_next(end: str) -> None:
    async with origin(max_clients=1) as o:
        first, peer = await o.ask()
        second = Transfer(o)
        if end == "abort":
            first.request.abort()
        elif end == "timeout":
            o.clock.advance(CONNECT - 1)
            second.request.abort()
            await second.error()
            second = Transfer(o)
            o.clock.advance(FIRST_BYTE - CONNECT + 2)
        else:
            peer.reset()
        await first.error()
        await (await o.server.accept()).answer(sized(b""))
        await second.whole()


@both_loops
async def test_too_long_in_the_queue() -> None:
    async with origin(max_clients=1) as o:
        first, peer = await o.ask()
        second = Transfer(o)
        o.clock.advance(CONNECT - 0.1)
        await turns(2)
        third = Transfer(o)
        o.clock.advance(0.2)
        assert isinstance(await second.error(), Overloaded)
        assert not third.future.done()
        await peer.send(sized(b""))
        await first.whole()
        await peer.answer(sized(b""))
        await third.whole()


async def keep_several(o: Origin, count: int) -> list[Peer]:
    """Leave that many idle connections."""
    asked = [await o.ask() for _ in range(count)]
    for transfer, peer in asked:
        await peer.send(sized(b""))
        await transfer.whole()
    return [peer for _, peer in asked]


@both_loops
async def test_idle_connections_are_closed_in_time() -> None:
    async with origin(keep_for=60.0) as o:
        peers = await keep_several(o, 3)
        o.clock.advance(59.0)
        transfer = Transfer(o)
        await peers[2].answer(sized(b""))
        await transfer.whole()
        assert o.client.pool.idle == 3
        o.clock.advance(20.0)
        assert await peers[0].closed()
        assert await peers[1].closed()
        assert o.client.pool.idle == 1
        o.clock.advance(60.0)
        assert await peers[2].closed()
        assert (o.client.pool.idle, o.clock.pending) == (0, [])


@both_loops
async def test_no_more_idle_connections_than_allowed() -> None:
    async with origin(max_idle=1) as o:
        peers = await keep_several(o, 2)
        assert await peers[0].closed()
        assert o.client.pool.idle == 1
    async with origin(max_idle=0) as o:
        transfer, peer = await o.ask()
        await peer.send(sized(b""))
        await transfer.whole()
        assert await peer.closed()
