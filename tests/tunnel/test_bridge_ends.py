"""How tunnels end: half-close, close, reset, silence, and the proxy's own stop."""

import asyncio
import gc
import random
import weakref

import pytest

from aprp.stats.counters import Count, Counters
from aprp.tunnel import bridge as bridge_module
from aprp.tunnel.bridge import Bridge, Ended, Why
from aprp.tunnel.side import Side
from aprp.tunnel.tunnels import Tunnels
from aprp.upstream.buffers import TLS_READ
from tests.loops import both_loops, turns
from tests.tunnel.ends import CountingPool, connection, tunnelled
from tests.tunnel.test_bridge import KINDS

SOURCE = random.Random(21).randbytes(2 << 20)

SIDES = pytest.mark.parametrize("first", ["client", "origin"])


@SIDES
@both_loops
async def test_a_side_that_has_said_all_can_still_listen(first: str) -> None:
    async with tunnelled() as tunnel:
        ends = (tunnel.client, tunnel.origin)
        one, other = ends if first == "client" else ends[::-1]
        await one.send(b"that is all")
        one.end()
        assert await other.rest() == b"that is all"
        # The other direction goes on for as long as it likes.
        sending = asyncio.create_task(other.send(SOURCE))
        assert await one.read(len(SOURCE)) == SOURCE
        await sending
        assert not tunnel.running.done()
        other.end()
        assert await one.rest() == b""
        sizes = (11, len(SOURCE)) if first == "client" else (len(SOURCE), 11)
        assert await tunnel.ended() == Ended(*sizes, Why.CLOSED)


@SIDES
@both_loops
async def test_the_end_comes_behind_what_is_queued(first: str) -> None:
    async with tunnelled() as tunnel:
        ends = (tunnel.client, tunnel.origin)
        one, other = ends if first == "client" else ends[::-1]
        other.end()
        assert await one.rest() == b""
        # More than the sockets hold, to an end that reads nothing yet.
        sending = asyncio.create_task(one.send(SOURCE))
        await turns(50)
        assert not sending.done()
        one.writer.write_eof()
        assert await other.rest() == SOURCE
        await sending
        ended = await tunnel.ended()
        assert ended.why is Why.CLOSED
        assert ended.up + ended.down == len(SOURCE)


@KINDS
@both_loops
async def test_a_client_that_closes_loses_nothing(client_tls: bool, origin_tls: bool) -> None:
    async with tunnelled(client_tls=client_tls, origin_tls=origin_tls) as tunnel:
        tunnel.client.writer.write(SOURCE)
        tunnel.client.close()
        assert await tunnel.origin.rest() == SOURCE
        tunnel.origin.close()
        assert await tunnel.ended() == Ended(len(SOURCE), 0, Why.CLOSED)


@KINDS
@both_loops
async def test_an_origin_that_closes_loses_nothing(client_tls: bool, origin_tls: bool) -> None:
    async with tunnelled(client_tls=client_tls, origin_tls=origin_tls) as tunnel:
        tunnel.origin.writer.write(SOURCE)
        tunnel.origin.close()
        assert await tunnel.client.rest() == SOURCE
        tunnel.client.close()
        assert await tunnel.ended() == Ended(0, len(SOURCE), Why.CLOSED)


@both_loops
async def test_what_a_client_says_to_an_origin_that_closed_its_tls_is_dropped() -> None:
    async with tunnelled(origin_tls=True) as tunnel:
        tunnel.origin.writer.write(SOURCE)
        # TLS, as the loops have it, is closed in both directions at once.
        tunnel.origin.close()
        assert await tunnel.client.rest() == SOURCE
        await tunnel.client.send(b"farewell")
        tunnel.client.end()
        assert (await tunnel.ended()).why is Why.CLOSED
        assert not await tunnel.client.is_reset()


@both_loops
async def test_a_client_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_module, "LINGER", 0.1)
    async with tunnelled(origin_tls=True) as tunnel:
        tunnel.origin.close()
        assert await tunnel.client.rest() == b""
        # It keeps its side open, and is closed.
        assert (await tunnel.ended()).why is Why.CLOSED


@both_loops
async def test_the_end_of_a_client_closes_a_tls_origin_behind_what_is_queued() -> None:
    async with tunnelled(origin_tls=True) as tunnel:
        sending = asyncio.create_task(tunnel.client.send(SOURCE))
        await turns(50)
        assert not sending.done()
        tunnel.client.writer.write_eof()
        assert await tunnel.origin.rest() == SOURCE
        await sending
        assert await tunnel.ended() == Ended(len(SOURCE), 0, Why.CLOSED)


@KINDS
@SIDES
@both_loops
async def test_a_reset_is_passed_on(client_tls: bool, origin_tls: bool, first: str) -> None:
    async with tunnelled(client_tls=client_tls, origin_tls=origin_tls) as tunnel:
        ends = (tunnel.client, tunnel.origin)
        one, other = ends if first == "client" else ends[::-1]
        await one.send(b"x")
        assert await other.read(1) == b"x"
        one.reset()
        assert await other.is_reset()
        broke = Why.CLIENT_BROKE if first == "client" else Why.ORIGIN_BROKE
        assert (await tunnel.ended()).why is broke


@SIDES
@both_loops
async def test_a_reset_is_noticed_while_the_other_side_sends(first: str) -> None:
    async with tunnelled() as tunnel:
        ends = (tunnel.client, tunnel.origin)
        one, other = ends if first == "client" else ends[::-1]
        # It has no more to say, so that only writing to it tells that it is gone.
        one.end()
        assert await other.rest() == b""
        one.reset()
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                await other.send(SOURCE)
        broke = Why.CLIENT_BROKE if first == "client" else Why.ORIGIN_BROKE
        assert (await tunnel.ended()).why is broke


@both_loops
async def test_silence_ends_it() -> None:
    loop = asyncio.get_running_loop()

    async def falls_silent(client_tls: bool, origin_tls: bool) -> None:
        kind = {"client_tls": client_tls, "origin_tls": origin_tls}
        async with tunnelled(**kind, idle_timeout=0.5) as tunnel:  # type: ignore[arg-type]
            began = loop.time()
            while loop.time() < began + 0.8:
                last = loop.time()
                await tunnel.client.send(b"ping")
                assert await tunnel.origin.read(4) == b"ping", kind
            assert (await tunnel.ended()).why is Why.IDLE, kind
            assert 0.49 < loop.time() - last < 5, kind
            assert not await tunnel.origin.is_reset(), kind
            assert not await tunnel.client.is_reset(), kind

    # All kinds at the same time: most of it is waiting.
    async with asyncio.TaskGroup() as group:
        for client_tls in (False, True):
            for origin_tls in (False, True):
                group.create_task(falls_silent(client_tls, origin_tls))


@both_loops
async def test_bytes_in_one_direction_alone_keep_it_open() -> None:
    loop = asyncio.get_running_loop()
    async with tunnelled(idle_timeout=0.5) as tunnel:
        began = loop.time()
        while loop.time() < began + 0.8:
            await tunnel.origin.send(b"tick")
            assert await tunnel.client.read(4) == b"tick"
        assert not tunnel.running.done()
        assert (await tunnel.ended()).up == 0


@both_loops
async def test_an_end_that_takes_its_bytes_slowly_is_not_silent() -> None:
    loop = asyncio.get_running_loop()
    # Given to it at once; it takes them in more time than there may be silence.
    async with tunnelled(client_leftover=SOURCE, idle_timeout=0.5) as tunnel:
        began = loop.time()
        got = 0
        while loop.time() < began + 1.2:
            got += len(await tunnel.origin.read(6000))
            await asyncio.sleep(0.01)
        assert not tunnel.running.done()
        assert await tunnel.origin.read(len(SOURCE) - got) == SOURCE[got:]


@both_loops
async def test_an_end_that_takes_nothing_is_silent() -> None:
    async with tunnelled(idle_timeout=0.3) as tunnel:
        sending = asyncio.create_task(tunnel.client.send(SOURCE))
        assert (await tunnel.ended()).why is Why.IDLE
        with pytest.raises(ConnectionError):
            await sending


@KINDS
@both_loops
async def test_an_abort_ends_it_at_once(client_tls: bool, origin_tls: bool) -> None:
    async with tunnelled(client_tls=client_tls, origin_tls=origin_tls) as tunnel:
        sending = asyncio.create_task(tunnel.origin.send(SOURCE))
        await turns(20)
        tunnel.bridge.abort()
        await tunnel.bridge.closed()
        assert (await tunnel.ended()).why is Why.STOPPED
        await asyncio.wait((sending,))
        # What happened to who was sending depends on how far it had come.
        sending.exception()


@both_loops
async def test_cancelling_closes_both() -> None:
    async with tunnelled() as tunnel:
        await tunnel.client.send(b"x")
        assert await tunnel.origin.read(1) == b"x"
        tunnel.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await tunnel.running
        await tunnel.bridge.closed()
        assert await tunnel.origin.rest() == b""
        assert await tunnel.client.rest() == b""


@SIDES
@both_loops
async def test_a_connection_that_is_closed_already(first: str) -> None:
    async with (
        connection(tls=False, server=True, leftover=b"") as client,
        connection(tls=False, server=False, leftover=b"") as origin,
    ):
        closed, other = (client, origin) if first == "client" else (origin, client)
        closed.detached.transport.abort()
        await turns(3)
        pool = CountingPool()
        bridge = Bridge(
            client.detached,
            origin.detached,
            idle_timeout=0,
            buffers=pool,
            tls_buffers=pool,
            counters=Counters(),
        )
        broke = Why.CLIENT_BROKE if first == "client" else Why.ORIGIN_BROKE
        assert await bridge.run() == Ended(0, 0, broke)
        assert await other.far.is_reset()
        assert (len(client.gone), len(origin.gone)) == (1, 1)


@SIDES
@both_loops
async def test_nothing_is_left_for_the_garbage_collector(first: str) -> None:
    gc.disable()
    try:
        async with tunnelled() as tunnel:
            watched: list[weakref.ref[Bridge] | weakref.ref[Side]] = [
                weakref.ref(tunnel.bridge),
                weakref.ref(tunnel.bridge._client),
                weakref.ref(tunnel.bridge._origin),
            ]
            await tunnel.client.send(SOURCE[:1000])
            assert await tunnel.origin.read(1000) == SOURCE[:1000]
            ends = (tunnel.client, tunnel.origin)
            one, other = ends if first == "client" else ends[::-1]
            one.end()
            await other.rest()
            other.end()
            assert (await tunnel.ended()).why is Why.CLOSED
            await turns(5)
            replacement = Bridge.__new__(Bridge)
            replacement.abort = lambda: None  # type: ignore[method-assign]
            tunnel.bridge = replacement
            assert [ref() for ref in watched] == [None, None, None]
    finally:
        gc.enable()


def tunnels(counters: Counters, pool: CountingPool) -> Tunnels:
    tls_pool = CountingPool(TLS_READ, TLS_READ)
    return Tunnels(counters, idle_timeout=0, buffers=pool, tls_buffers=tls_pool)


@both_loops
async def test_tunnels_are_counted_while_they_are_open() -> None:
    counters, pool = Counters(), CountingPool()
    opened = tunnels(counters, pool)
    async with (
        connection(tls=False, server=True, leftover=b"") as client,
        connection(tls=False, server=False, leftover=b"") as origin,
    ):
        carrying = asyncio.create_task(opened.carry(client.detached, origin.detached))
        await client.far.send(b"12345")
        assert await origin.far.read(5) == b"12345"
        assert len(opened) == 1
        assert counters.total(Count.TUNNELS_OPEN) == 1
        client.far.end()
        assert await origin.far.rest() == b""
        origin.far.end()
        assert await carrying == Ended(5, 0, Why.CLOSED)
    assert len(opened) == 0
    assert counters.total(Count.TUNNELS_OPEN) == 0
    assert counters.total(Count.TUNNELS) == 1
    assert counters.total(Count.TUNNEL_BYTES_UP) == 5
    assert counters.total(Count.TUNNEL_BYTES_DOWN) == 0


@both_loops
async def test_closing_ends_all_tunnels_and_those_to_come() -> None:
    counters, pool = Counters(), CountingPool()
    opened = tunnels(counters, pool)
    async with (
        connection(tls=False, server=True, leftover=b"") as client,
        connection(tls=False, server=False, leftover=b"") as origin,
        connection(tls=False, server=True, leftover=b"") as later_client,
        connection(tls=False, server=False, leftover=b"") as later_origin,
    ):
        carrying = asyncio.create_task(opened.carry(client.detached, origin.detached))
        await client.far.send(b"x")
        assert await origin.far.read(1) == b"x"
        await opened.close()
        assert (await carrying).why is Why.STOPPED
        assert await client.far.rest() == await origin.far.rest() == b""
        later = await opened.carry(later_client.detached, later_origin.detached)
        assert later == Ended(0, 0, Why.STOPPED)
        assert await later_client.far.rest() == await later_origin.far.rest() == b""
        # With no tunnel open there is nothing to wait for.
        await opened.close()
    assert counters.total(Count.TUNNELS_OPEN) == 0
    assert pool.lent == set()
