"""Writing to a client that takes its time: every byte in its place, no memory touched too soon."""

import asyncio
import random

import pytest

from aprp.front.wire import ClientGone, Wire
from tests.front.wires import wired
from tests.loops import both_loops, turns

WIRES = pytest.mark.parametrize("kind", ["own", "tls", "tornado"])
SOURCE = random.Random(5).randbytes(4 << 20)


async def taken(wire: Wire, waiting: "asyncio.Future[None] | None") -> None:
    """Wait until what was written may be forgotten."""
    if waiting is not None:
        assert wire.unfinished is waiting
        await waiting


@WIRES
@both_loops
async def test_what_fits_is_taken_at_once(kind: str) -> None:
    async with wired(kind) as (wire, client):
        assert wire.send(b"HTTP/1.1 ", memoryview(b"200"), b" OK") is None
        assert wire.unfinished is None
        assert await client.read(15) == b"HTTP/1.1 200 OK"


@WIRES
@pytest.mark.parametrize("seed", range(5))
@both_loops
async def test_pieces_keep_their_order_and_content(kind: str, seed: int) -> None:
    # One buffer is used again and again, as the origin's side does it; it is overwritten as soon
    # as the wire says that it has done with it.
    async with wired(kind) as (wire, client):
        dice = random.Random(seed)
        buffer = bytearray(100_000)
        view = memoryview(buffer)
        reading = asyncio.create_task(client.read(len(SOURCE)))
        place = 0
        stalls = 0
        while place < len(SOURCE):
            size = min(dice.choice((1, 500, 20_000, 100_000)), len(SOURCE) - place)
            buffer[:size] = SOURCE[place : place + size]
            cuts = sorted(dice.randrange(size + 1) for _ in range(dice.randrange(4)))
            pieces = [
                view[a:b] if dice.random() < 0.7 else bytes(view[a:b])
                for a, b in zip((0, *cuts), (*cuts, size), strict=True)
            ]
            waiting = wire.send(*pieces)
            stalls += waiting is not None
            await taken(wire, waiting)
            buffer[:size] = b"\xdd" * size
            place += size
            if waiting is None:
                await turns(1)
        assert stalls > 3
        assert await reading == SOURCE


@WIRES
@both_loops
async def test_writes_that_do_not_wait_for_each_other(kind: str) -> None:
    async with wired(kind) as (wire, client):
        pieces = [SOURCE[at : at + 50_000] for at in range(0, 1_000_000, 50_000)]
        last = None
        for piece in pieces:
            last = wire.send(memoryview(piece)[:10], memoryview(piece)[10:])
        assert last is not None
        assert await client.read(1_000_000) == SOURCE[:1_000_000]
        await last
        assert wire.unfinished is None
        assert wire.send(b"more") is None
        assert await client.read(4) == b"more"


@WIRES
@both_loops
async def test_a_write_does_not_overtake(kind: str) -> None:
    async with wired(kind) as (wire, client):
        got = bytearray()
        waiting = wire.send(SOURCE[:500_000])
        for place in range(500_000, 500_200):
            # There is room in the socket now, and the loop has not seen it yet.
            got += client.read_now(20_000)
            waiting = wire.send(SOURCE[place : place + 1])
        assert waiting is not None
        got += await client.read(500_200 - len(got))
        await waiting
        assert got == SOURCE[:500_200]


@WIRES
@both_loops
async def test_not_done_before_the_client_takes_it(kind: str) -> None:
    async with wired(kind) as (wire, client):
        buffer = bytearray(SOURCE[:500_000])
        waiting = wire.send(memoryview(buffer))
        assert waiting is not None
        # All but a little is taken, and that little lies in the sockets, so that all may be.
        got = await client.read(300_000)
        await turns(10)
        assert not waiting.done()
        assert wire.unfinished is waiting
        got += await client.read(200_000)
        await waiting
        assert got == SOURCE[:500_000]


@pytest.mark.parametrize("kind", ["own", "tls"])
@both_loops
async def test_what_is_queued_is_told(kind: str) -> None:
    async with wired(kind) as (wire, client):
        await acknowledged(wire)
        waiting = wire.send(memoryview(SOURCE[:500_000]))
        assert waiting is not None
        before = wire.queued
        # All but what the client's socket holds; TLS adds some bytes to each record.
        assert 300_000 < before < 510_000
        await client.read(200_000)
        await turns(10)
        assert before - 250_000 < wire.queued < before - 150_000
        await client.read(300_000)
        await waiting
        await acknowledged(wire)


async def acknowledged(wire: Wire) -> None:
    """Wait until the client's kernel has said that it has all; it may be a moment late with it."""
    async with asyncio.timeout(10):
        while wire.queued:
            await turns(1)


@pytest.mark.parametrize("kind", ["own", "tls"])
@both_loops
async def test_what_the_kernel_holds_is_queued_too(kind: str) -> None:
    async with wired(kind) as (wire, client):
        await acknowledged(wire)
        sent = 1000
        while wire.send(SOURCE[:1000]) is None:
            sent += 1000
        # The transport has hardly begun to hold anything, and the client has read nothing.
        assert sent > 10_000
        assert sent / 3 < wire.queued < sent * 1.1
        await client.read(sent)
        await acknowledged(wire)


@WIRES
@both_loops
async def test_nothing_to_write(kind: str) -> None:
    async with wired(kind) as (wire, client):
        assert wire.send(b"", memoryview(b""), b"x", b"") is None
        assert wire.send(b"") is None
        assert await client.read(1) == b"x"


@WIRES
@both_loops
async def test_very_many_pieces(kind: str) -> None:
    # More than writev takes at once (1024 on Linux).
    async with wired(kind) as (wire, client):
        pieces = [b"%05d" % number for number in range(3000)]
        wire.send(*pieces)
        assert await client.read(15_000) == b"".join(pieces)


@WIRES
@both_loops
async def test_closed(kind: str) -> None:
    async with wired(kind) as (wire, client):
        assert not wire.closed
        wire.send(b"bye")
        wire.close()
        wire.close()
        assert wire.closed
        with pytest.raises(ClientGone):
            wire.send(b"hello?")
        assert await client.read(4) == b"bye"


@WIRES
@both_loops
async def test_closed_with_bytes_pending(kind: str) -> None:
    async with wired(kind) as (wire, client):
        waiting = wire.send(memoryview(bytearray(SOURCE)))
        assert waiting is not None
        wire.close()
        await asyncio.wait([waiting])
        got = await client.read(len(SOURCE))
        assert len(got) < len(SOURCE)
        assert SOURCE.startswith(got)


@WIRES
@both_loops
async def test_client_leaves_with_bytes_pending(kind: str) -> None:
    async with wired(kind) as (wire, client):
        waiting = wire.send(memoryview(bytearray(SOURCE)))
        assert waiting is not None
        client.leave()
        await waiting
        assert wire.closed
        assert wire.unfinished is None
        with pytest.raises(ClientGone):
            wire.send(b"hello?")


@WIRES
@both_loops
async def test_client_leaves_and_is_noticed_by_writing(kind: str) -> None:
    async with wired(kind) as (wire, client):
        client.leave()
        with pytest.raises(ClientGone):
            while True:
                waiting = wire.send(b"hello?")
                await taken(wire, waiting)
                await turns(1)
        assert wire.closed
