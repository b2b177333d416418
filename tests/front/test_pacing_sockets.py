"""Writing at a rate to sockets, with TLS and without."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import cast

import pytest

from aprp.front.pacing import Clock, PacedWire
from aprp.front.wire import ClientGone, make_wire
from tests.front.virtual_clock import VirtualClock
from tests.front.wires import Client, Holder, held
from tests.loops import both_loops, turns

SOURCE = random.Random(7).randbytes(2 << 20)


class PacedHolder(Holder):
    wire: PacedWire

    def __init__(self, rate: float, burst: int, clock: Clock) -> None:
        super().__init__()
        self._settings = rate, burst, clock

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = make_wire(cast(asyncio.Transport, transport))
        self.wire = PacedWire(wire, *self._settings)


@contextlib.asynccontextmanager
async def paced(
    kind: str, rate: float, burst: int, clock: Clock
) -> AsyncIterator[tuple[PacedWire, Client]]:
    """A paced wire ("own" or "tls") and who reads from it; the sockets hold little."""
    holder = PacedHolder(rate, burst, clock)
    async with held(kind, holder, send=16384, receive=65536) as client:
        yield holder.wire, client


KINDS = pytest.mark.parametrize("kind", ["own", "tls"])


@KINDS
@pytest.mark.parametrize("seed", range(3))
@both_loops
async def test_every_byte_in_its_place(kind: str, seed: int) -> None:
    # One buffer is used again and again; it is overwritten as soon as the wire has done with it.
    dice = random.Random(seed)
    clock = VirtualClock()
    buffer = bytearray(100_000)
    view = memoryview(buffer)
    async with paced(kind, 1_000_000, dice.choice((0, 70_000)), clock) as (wire, client):
        reading = asyncio.create_task(client.read(len(SOURCE)))
        place = 0
        while place < len(SOURCE):
            size = min(dice.choice((1, 500, 20_000, 100_000)), len(SOURCE) - place)
            buffer[:size] = SOURCE[place : place + size]
            cut = dice.randrange(size + 1)
            offered = wire.offer(view[:cut]) if dice.random() < 0.3 else 0
            waiting = wire.send(view[offered:cut], bytes(view[cut:size]))
            while waiting is not None and not waiting.done():
                if clock.timers:
                    clock.next()
                await turns(1)
            buffer[:size] = b"\xdd" * size
            place += size
        assert await reading == SOURCE
    assert clock.now - 50 > (len(SOURCE) - 70_000) / 1_000_000 - 0.1
    assert clock.timers == []


@KINDS
@both_loops
async def test_a_client_with_a_full_socket(kind: str) -> None:
    clock = VirtualClock()
    async with paced(kind, 50_000_000, 0, clock) as (wire, client):
        waiting = wire.send(SOURCE)
        assert waiting is not None
        while wire.waiting_since is None:
            clock.next()
        assert clock.timers == []
        at = clock.now
        clock.now += 60
        await turns(10)
        assert wire.waiting_since == at
        assert not waiting.done()
        reading = asyncio.create_task(client.read(len(SOURCE)))
        while not waiting.done():
            if clock.timers:
                clock.next()
            await turns(1)
        assert await reading == SOURCE
        assert wire.unfinished is None


@KINDS
@pytest.mark.parametrize("reset", [False, True])
@both_loops
async def test_the_client_leaves_while_bytes_are_held_back(kind: str, reset: bool) -> None:
    clock = VirtualClock()
    async with paced(kind, 50_000, 0, clock) as (wire, client):
        waiting = wire.send(SOURCE)
        assert waiting is not None
        assert len(clock.timers) == 1
        if reset:
            client.leave()
        else:
            client.socket.close()
        # No timer comes: the connection says so.
        await waiting
        assert wire.closed
        assert clock.timers == []
        with pytest.raises(ClientGone):
            wire.send(b"hello?")


@both_loops
async def test_by_the_loop_s_own_clock() -> None:
    loop = asyncio.get_running_loop()
    async with paced("own", 1_000_000, 50_000, loop) as (wire, client):
        begun = loop.time()
        waiting = wire.send(memoryview(SOURCE)[:350_000])
        assert waiting is not None
        reading = asyncio.create_task(client.read(350_000))
        await waiting
        assert await reading == SOURCE[:350_000]
        # 300,000 bytes after the burst, of which a tenth of a second's worth may come earlier.
        assert loop.time() - begun > 0.2 - 0.005
        assert wire.unfinished is None
