"""Bodies with a place: back-pressure, errors of the placer, and aborts at every moment."""

import asyncio
import random
import select
import socket

import pytest

from tests.loops import both_loops, turns
from tests.upstream.connections import Link, fail_to_take, linked
from tests.upstream.placing import FRAMINGS, LATER, SIZED, Place, Placing, ask, framed, send_in_turn

BODY = random.Random(12).randbytes(3 << 20)
TLS = pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
FRAMING = pytest.mark.parametrize("framing", FRAMINGS)


@both_loops
async def test_a_place_that_waits_holds_back_the_origin() -> None:
    async with linked() as link:
        assert link.connection.transport is not None
        ours = link.connection.transport.get_extra_info("socket")
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        link.peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        place = Place(len(BODY))
        receiver = await ask(link, place)
        await link.peer.send(SIZED % len(BODY))
        while not receiver.heads:
            await turns(1)
        place.wait_for_release()
        sending = asyncio.create_task(link.peer.send(BODY))
        await place.came.wait()
        # Until the peer's socket takes no more, and takes none some turns later.
        stuck = 0
        while stuck < 5:
            _, writable, _ = select.select([], [link.peer.socket.fileno()], [], 0)
            stuck = 0 if writable else stuck + 1
            await turns(3)
        assert link.connection.paused
        assert (len(place.pieces), place.asked) == (1, 1)
        assert link.pool.lent == set()
        place.take()
        assert await receiver.reusable()
        await sending
        assert place.body == BODY
        assert not link.connection.paused


@TLS
@pytest.mark.parametrize("size", [1000, 200_000, 1_000_000])
@FRAMING
@both_loops
async def test_an_origin_that_closes_while_the_place_waits(
    framing: str, size: int, tls: bool
) -> None:
    async with linked(tls=tls) as link:
        place = Place(size, (50_000,))
        receiver = await ask(link, place)
        place.wait_for_release()
        response = framed(framing, BODY[:size])
        link.peer.writer.transport.set_write_buffer_limits(high=2 * len(response))
        link.peer.writer.write(response)
        await place.came.wait()
        link.peer.close()
        await turns(30)
        assert not receiver.over.done()
        place.take()
        await receiver.over
        assert place.body == BODY[:size]


@TLS
@FRAMING
@both_loops
async def test_the_end_waits_for_the_last_bytes(framing: str, tls: bool) -> None:
    async with linked(tls=tls) as link:
        place = Place(9)
        receiver = await ask(link, place)
        place.wait_for_release()
        await link.peer.send(framed(framing, b"all of it"))
        await place.came.wait()
        if framing == "close":
            link.peer.close()
        await turns(20)
        assert not receiver.over.done()
        place.take()
        assert await receiver.reusable() is (framing != "close")
        assert (place.body, place.pieces) == (b"all of it", [9])


@both_loops
async def test_future_that_is_done_already_delays_nothing() -> None:
    async with linked() as link:
        place = Place(100_000, (700,))
        place.wait_for_release().set_result(None)
        receiver = await ask(link, place)
        link.peer.writer.write(framed("sized", BODY[:100_000]))
        await place.came.wait()
        assert not link.connection.paused
        assert await receiver.reusable()
        assert place.body == BODY[:100_000]


async def come(link: Link, framing: str, later: bool) -> None:
    """Send a body but for its end; `later`: in a piece of its own."""
    await send_in_turn(link.peer, framed(framing, BODY[:100_000])[:-20], later)


@TLS
@LATER
@FRAMING
@pytest.mark.parametrize("when", ["later", "at once"])
@pytest.mark.parametrize("outcome", ["error", "cancelled"])
@both_loops
async def test_future_that_fails(
    outcome: str, when: str, framing: str, later: bool, tls: bool
) -> None:
    async with linked(tls=tls) as link:
        place = Place(100_000)
        receiver = await ask(link, place)
        waiting = place.wait_for_release()

        async def some() -> None:
            await come(link, framing, later)
            await place.came.wait()

        await fail_to_take(outcome, when, receiver, waiting, some)
        assert len(place.pieces) == 1
        # What was not read may make the system send a reset.
        assert await link.peer.closed()


@TLS
@LATER
@FRAMING
@pytest.mark.parametrize("nth", [1, 2])
@both_loops
async def test_placer_without_room(nth: int, framing: str, later: bool, tls: bool) -> None:
    async with linked(tls=tls) as link:
        place = Place(100_000, (1000,))
        receiver = await ask(link, place)
        error = LookupError("no room")

        def fail() -> None:
            if place.asked == nth:
                raise error

        place.at_space = fail
        await come(link, framing, later)
        assert await receiver.failure() is error
        assert (place.asked, len(place.pieces)) == (nth, nth - 1)
        assert await link.peer.closed()


@LATER
@pytest.mark.parametrize(
    "space", [memoryview(b""), memoryview(b"read-only"), None], ids=["empty", "read-only", "none"]
)
@both_loops
async def test_room_that_is_none(space: memoryview | None, later: bool) -> None:
    class Wrong(Place):
        def space(self) -> memoryview:
            return memoryview(bytearray()) if space is None else space

    async with linked() as link:
        place = Wrong(0)
        receiver = await ask(link, place)
        await come(link, "sized", later)
        failure = await receiver.failure()
        assert isinstance(failure, ValueError)
        assert "room for at least one byte" in str(failure)
        assert place.pieces == []


MOMENTS = ["head", "space", "second space", "placed", "placed, pending", "last byte", "pending"]


@TLS
@LATER
@FRAMING
@pytest.mark.parametrize("moment", MOMENTS)
@both_loops
async def test_abort(moment: str, framing: str, later: bool, tls: bool) -> None:
    async with linked(tls=tls) as link:
        place = Place(100_000, (40_000,))
        receiver = Placing(place)
        waiting = place.wait_for_release() if "pending" in moment else None

        def abort() -> None:
            link.connection.abort()
            place.over = True

        if moment == "head":
            # Not told what comes of it: it has been aborted before.
            receiver.on_head = lambda *_: abort()  # type: ignore[method-assign]
        elif "space" in moment:
            place.at_space = lambda: abort() if place.asked == 1 + ("sec" in moment) else None
        elif "placed" in moment:
            place.at_placed = abort
        elif moment == "last byte":
            place.at_placed = lambda: abort() if place.count == 100_000 else None
        link.connection.start(receiver, b"GET / HTTP/1.1\r\n\r\n")
        await link.peer.request()
        await come(link, framing, later)
        if moment == "last byte":
            link.peer.writer.write(framed(framing, BODY[:100_000])[-20:])
        elif moment == "pending":
            await place.came.wait()
            abort()
        await link.connection.gone.wait()
        assert not link.connection.usable
        if waiting is not None:
            assert len(place.pieces) == 1
            waiting.set_result(None)
            await turns(3)
        assert place.body == BODY[: place.count]
        assert link.pool.lent == set()
        assert not receiver.over.done()


@both_loops
async def test_abort_of_a_place_that_still_waits_for_bytes() -> None:
    async with linked() as link:
        place = Place(100_000)
        receiver = await ask(link, place)
        await link.peer.send(SIZED % 100_000 + BODY[:5000])
        while place.count < 5000:
            await turns(1)
        link.connection.abort()
        place.over = True
        await link.peer.send(BODY[5000:50_000])
        await link.connection.gone.wait()
        assert place.body == BODY[:5000]
        assert not receiver.over.done()
