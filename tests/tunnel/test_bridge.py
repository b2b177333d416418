"""Bytes through a tunnel: each in its place, both ways at once, and no more held than a block."""

import asyncio
import random
import zlib

import pytest

from aprp.tunnel.bridge import Ended, Why
from tests.loops import both_loops, turns
from tests.tunnel.ends import LARGE, Far, tunnelled

SOURCE = random.Random(11).randbytes(3 << 20)
OTHER = random.Random(12).randbytes(2 << 20)

KINDS = pytest.mark.parametrize(
    ("client_tls", "origin_tls"),
    [(False, False), (True, False), (False, True), (True, True)],
    ids=["plain", "TLS client", "TLS origin", "TLS both"],
)


async def chop(far: Far, data: bytes, seed: int) -> None:
    """Send in pieces of random sizes, now and then a moment later."""
    dice = random.Random(seed)
    place = 0
    while place < len(data):
        size = dice.choice((1, 3, 100, 5000, 40_000, 200_000))
        await far.send(data[place : place + size])
        place += size
        await turns(dice.randrange(3))


async def sip(far: Far, size: int, seed: int) -> bytes:
    """Read in pieces of random sizes, now and then a moment later."""
    dice = random.Random(seed)
    taken = bytearray()
    while len(taken) < size:
        piece = await far.reader.read(dice.choice((1, 70, 3000, 65536)))
        assert piece, f"ended after {len(taken)} bytes"
        taken += piece
        await turns(dice.randrange(3))
    return bytes(taken)


@KINDS
@pytest.mark.parametrize("seed", range(3))
@both_loops
async def test_every_byte_arrives_in_its_place(
    client_tls: bool, origin_tls: bool, seed: int
) -> None:
    async with tunnelled(client_tls=client_tls, origin_tls=origin_tls) as tunnel:
        *_, up, down = await asyncio.gather(
            chop(tunnel.client, SOURCE, seed),
            chop(tunnel.origin, OTHER, seed + 10),
            sip(tunnel.origin, len(SOURCE), seed + 20),
            sip(tunnel.client, len(OTHER), seed + 30),
        )
        assert up == SOURCE
        assert down == OTHER
        assert tunnel.counted() == (len(SOURCE), len(OTHER))


@KINDS
@both_loops
async def test_what_came_before_the_tunnel_comes_first(client_tls: bool, origin_tls: bool) -> None:
    async with tunnelled(
        client_tls=client_tls,
        origin_tls=origin_tls,
        client_leftover=b"early words",
        origin_leftover=SOURCE,
    ) as tunnel:
        await tunnel.client.send(b", later words")
        await tunnel.origin.send(OTHER[:1000])
        assert await tunnel.origin.read(24) == b"early words, later words"
        assert await tunnel.client.read(len(SOURCE) + 1000) == SOURCE + OTHER[:1000]
        tunnel.bridge.abort()
        assert await tunnel.ended() == Ended(24, len(SOURCE) + 1000, Why.STOPPED)


@KINDS
@both_loops
async def test_small_messages_go_to_and_fro(client_tls: bool, origin_tls: bool) -> None:
    async with tunnelled(client_tls=client_tls, origin_tls=origin_tls) as tunnel:
        for number in range(200):
            await tunnel.client.send(b"%04d" % number)
            assert await tunnel.origin.read(4) == b"%04d" % number
            await tunnel.origin.send(b"%05d" % number)
            assert await tunnel.client.read(5) == b"%05d" % number
        assert tunnel.counted() == (800, 1000)
        # A tunnel on which nothing moves holds no block.
        assert tunnel.pool.lent == set() and tunnel.tls_pool.lent == set()


@both_loops
async def test_200_mb_to_a_slow_reader_in_bounded_memory() -> None:
    piece = memoryview(random.Random(13).randbytes(1 << 20))
    pieces = 200

    async def send(far: Far) -> None:
        for _ in range(pieces):
            await far.send(piece)
        far.end()

    async with tunnelled() as tunnel:
        sending = asyncio.create_task(send(tunnel.client))
        sum_, size, most_queued = 0, 0, 0
        # The stream of the far end holds at most 32 KiB, which is what is slow about it.
        while data := await tunnel.origin.reader.read(1 << 20):
            sum_ = zlib.crc32(data, sum_)
            size += len(data)
            queued = tunnel.given[1].detached.transport.get_write_buffer_size()
            most_queued = max(most_queued, queued)
        await sending
        expected = 0
        for _ in range(pieces):
            expected = zlib.crc32(piece, expected)
        assert (size, sum_) == (pieces << 20, expected)
        # A block of it, straight from where the kernel wrote it.
        assert 0 < most_queued <= LARGE
        assert tunnel.pool.most <= LARGE
        tunnel.origin.close()
        assert await tunnel.ended() == Ended(pieces << 20, 0, Why.CLOSED)


async def fill(far: Far) -> int:
    """Send until nothing more is taken; the number of bytes."""
    sent = 0
    try:
        async with asyncio.timeout(0.5) as limit:
            while True:
                await far.send(SOURCE[:65536])
                sent += 65536
                limit.reschedule(asyncio.get_running_loop().time() + 0.5)
    except TimeoutError:
        return sent + 65536


@KINDS
@both_loops
async def test_who_does_not_read_holds_the_other_back_and_nobody_else(
    client_tls: bool, origin_tls: bool
) -> None:
    async with tunnelled(client_tls=client_tls, origin_tls=origin_tls) as tunnel:
        # The way is full: sockets of both connections, a block, and no more.
        sent = await fill(tunnel.client)
        assert sent < 16 << 20
        lent = tunnel.pool.most + tunnel.tls_pool.most
        assert lent <= 3 * LARGE + 4 * (320 << 10)
        # The other direction is not disturbed by that.
        await tunnel.origin.send(OTHER[:100_000])
        assert await tunnel.client.read(100_000) == OTHER[:100_000]
        # It goes on where it stood still.
        got = await tunnel.origin.read(sent)
        assert got == SOURCE[:65536] * (sent // 65536)
        await tunnel.client.send(b"more")
        assert await tunnel.origin.read(4) == b"more"


@KINDS
@both_loops
async def test_bytes_queued_before_the_tunnel_are_not_overtaken(
    client_tls: bool, origin_tls: bool
) -> None:
    # The head of a proxy's answer may not have been taken yet when the tunnel begins.
    async with tunnelled(client_tls=client_tls, origin_tls=origin_tls) as tunnel:
        tunnel.given[0].detached.transport.write(SOURCE)
        await tunnel.origin.send(b"first words of the origin")
        assert await tunnel.client.read(len(SOURCE)) == SOURCE
        assert await tunnel.client.read(25) == b"first words of the origin"
