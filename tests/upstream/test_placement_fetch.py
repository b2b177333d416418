"""Fetches whose bodies have a place: what is counted, what ends them, how long it may take."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from aprp.upstream.dial import Endpoint
from aprp.upstream.errors import Aborted, IdleTimeout, OriginClosed, OriginFailure
from aprp.upstream.request import OriginRequest
from tests.loops import both_loops, turns
from tests.peers import Peer, serving
from tests.upstream.fetches import IDLE, OK, Origin, Transfer, origin, silent_after, sized
from tests.upstream.placing import FRAMINGS, LATER, Place, SlowPlace, framed, send_in_turn

BODY = random.Random(15).randbytes(300_000)


@asynccontextmanager
async def placed(
    place: Place, *, late: bool = False
) -> AsyncIterator[tuple[Origin, Transfer, Peer]]:
    """A fetch that has been sent, and whose body has a place; `late`: from `on_head` on."""
    async with origin() as o:
        transfer = Transfer(o)
        transfer.request.expects_placement = True
        if late:
            transfer.at_head = lambda: setattr(transfer.request, "placer", place)
        else:
            transfer.request.placer = place
        peer = await o.server.accept()
        await peer.request()
        yield o, transfer, peer
        place.over = True


@pytest.mark.parametrize("late", [False, True], ids=["from the first", "when the head came"])
@pytest.mark.parametrize("framing", FRAMINGS)
@both_loops
async def test_body_is_placed_and_counted(framing: str, late: bool) -> None:
    place = Place(len(BODY), (50_000,))
    async with placed(place, late=late) as (o, transfer, peer):
        peer.writer.write(framed(framing, BODY))
        if framing == "close":
            peer.close()
        response = await transfer.whole()
        assert (response.code, place.body, transfer.body) == (200, BODY, b"")
        assert o.events.bytes == len(BODY)
        assert transfer.request.surplus is False
        assert o.client.pool.idle == (framing != "close")


@both_loops
async def test_placer_may_be_cleared_in_on_head() -> None:
    place = Place(0)
    async with placed(place) as (_, transfer, peer):
        transfer.at_head = lambda: setattr(transfer.request, "placer", None)
        peer.writer.write(sized(BODY))
        await transfer.whole()
        assert (transfer.body, place.asked) == (BODY, 0)


@both_loops
async def test_placer_is_settled_when_on_head_has_returned() -> None:
    place = Place(1000)
    async with placed(place) as (_, transfer, peer):
        await peer.send(sized(BODY[:1000])[:-10])
        await place.came.wait()
        transfer.request.placer = None
        await peer.send(BODY[990:1000])
        await transfer.whole()
        assert (transfer.body, place.body) == (b"", BODY[:1000])


@both_loops
async def test_request_says_whether_it_expects_a_placement() -> None:
    async with origin() as o:
        for expected in (True, False):
            request = OriginRequest(
                "http://origin.example/",
                o.endpoint,
                headers={},
                on_head=lambda _: None,
                on_body=lambda _: None,
                connect_timeout=1.0,
                first_byte_timeout=1.0,
                idle_timeout=1.0,
                placer=Place(0) if expected else None,
            )
            assert request.expects_placement is expected


@pytest.mark.parametrize("kind", ["placed", "unplaced"])
@both_loops
async def test_surplus_is_told(kind: str) -> None:
    place = Place(20_000)
    async with placed(place) as (o, transfer, peer):
        if kind == "unplaced":
            transfer.at_head = lambda: setattr(transfer.request, "placer", None)
        peer.writer.write(sized(BODY[:6000]) + b"and more")
        await transfer.whole()
        assert place.body + transfer.body == BODY[:6000]
        assert transfer.request.surplus is True
        assert o.client.pool.idle == 0
        assert await peer.closed()


@both_loops
async def test_origin_that_closes_is_no_surplus() -> None:
    place = Place(20_000)
    async with placed(place) as (_, transfer, peer):
        peer.writer.write(sized(BODY[:20_000]))
        peer.close()
        await transfer.whole()
        assert (place.body, transfer.request.surplus) == (BODY[:20_000], False)


@both_loops
async def test_a_kept_connection_gives_its_next_body_another_place() -> None:
    async with origin() as o:
        peer = await o.kept()
        for number in range(1, 4):
            place = SlowPlace(20_000 * number, (9000,))
            transfer = Transfer(o)
            transfer.request.expects_placement = True
            transfer.request.placer = place
            await peer.answer(sized(BODY[: 20_000 * number]))
            await transfer.whole()
            assert place.body == BODY[: 20_000 * number]
        assert o.events.connects == 1


@both_loops
async def test_silence_in_a_placed_body() -> None:
    place = Place(1000)
    async with placed(place) as (o, transfer, peer):
        await peer.send(sized(BODY[:1000])[:-500])
        await place.came.wait()
        for end in (990, 999):
            o.clock.advance(IDLE - 0.1)
            # Bytes that come straight to their place are no silence.
            await peer.send(BODY[place.count : end])
            while place.count < end:
                await turns(1)
        o.clock.advance(IDLE - 0.1)
        await turns(3)
        assert not transfer.future.done()
        o.clock.advance(0.2)
        assert isinstance(await transfer.error(), IdleTimeout)
        assert await peer.closed()


@both_loops
async def test_a_place_that_takes_its_time_is_no_silence_of_the_origin() -> None:
    place = Place(1000)
    async with placed(place) as (o, transfer, peer):
        place.wait_for_release()
        await peer.send(sized(BODY[:1000])[:-1])
        await place.came.wait()
        await silent_after(o, transfer, place.take)


async def come(peer: Peer, later: bool) -> None:
    """Send a body but for its end; `later`: in a piece of its own."""
    await send_in_turn(peer, sized(BODY)[:-5], later)


@LATER
@pytest.mark.parametrize("where", ["at_space", "at_placed"])
@both_loops
async def test_error_of_the_placer_ends_the_fetch(where: str, later: bool) -> None:
    place = Place(len(BODY))
    async with placed(place) as (_, transfer, peer):
        error = LookupError("a mistake")

        def fail() -> None:
            raise error

        setattr(place, where, fail)
        await come(peer, later)
        assert await transfer.error() is error
        assert await peer.closed()


@both_loops
async def test_error_of_the_future_ends_the_fetch() -> None:
    place = Place(len(BODY))
    async with placed(place) as (_, transfer, peer):
        error = OSError("the disk is full")
        waiting = place.wait_for_release()
        await come(peer, True)
        await place.came.wait()
        waiting.set_exception(error)
        assert await transfer.error() is error
        assert await peer.closed()


def abort(o: Origin, transfer: Transfer) -> type[Exception]:
    transfer.request.abort()
    return Aborted


def close(o: Origin, transfer: Transfer) -> type[Exception]:
    o.client.close()
    return OriginFailure


@LATER
@pytest.mark.parametrize("end", [abort, close])
@pytest.mark.parametrize("where", ["at_space", "at_placed", "pending", "at_placed, pending"])
@both_loops
async def test_ends_at_every_moment(
    where: str, end: Callable[[Origin, Transfer], type[Exception]], later: bool
) -> None:
    place = Place(len(BODY))
    async with placed(place) as (o, transfer, peer):
        expected: list[type[Exception]] = []

        def stop() -> None:
            expected.append(end(o, transfer))

        waiting = place.wait_for_release() if "pending" in where else None
        if where.startswith("at_"):
            setattr(place, where.partition(",")[0], stop)
        await come(peer, later)
        if where == "pending":
            await place.came.wait()
            stop()
        assert isinstance(await transfer.error(), expected[0])
        place.over = True
        assert len(expected) == 1
        assert await peer.closed()
        if waiting is not None:
            waiting.set_result(None)
        await turns(5)
        assert place.body == BODY[: place.count]


@both_loops
async def test_origin_that_leaves_in_the_middle() -> None:
    place = Place(len(BODY))
    async with placed(place) as (_, transfer, peer):
        await come(peer, True)
        while place.count < len(BODY) - 5:
            await turns(1)
        peer.close()
        assert isinstance(await transfer.error(), OriginClosed)
        assert place.body == BODY[:-5]


@pytest.mark.parametrize("make", [Place, SlowPlace])
@both_loops
async def test_any_other_client_places_too(make: type[Place]) -> None:
    place = make(100_000, (30_000, 1))
    async with serving() as server:
        client = SimpleAsyncHTTPClient(force_instance=True)
        request = OriginRequest(
            f"http://127.0.0.1:{server.port}/film",
            Endpoint("127.0.0.1", server.port),
            headers={"Host": "origin.example"},
            on_head=lambda _: setattr(request, "placer", place),
            on_body=lambda _: pytest.fail("the body has a place"),
            connect_timeout=5.0,
            first_byte_timeout=5.0,
            idle_timeout=5.0,
        )
        fetch: Awaitable[Any] = client.fetch(request, raise_error=False)
        peer = await server.accept()
        sending = asyncio.create_task(peer.answer(sized(BODY[:100_000])))
        await fetch
        await sending
        assert place.body == BODY[:100_000]
        client.close()


@both_loops
async def test_any_other_client_hands_on_what_has_no_place() -> None:
    async with serving() as server:
        client = SimpleAsyncHTTPClient(force_instance=True)
        pieces: list[Any] = []
        request = OriginRequest(
            f"http://127.0.0.1:{server.port}/film",
            Endpoint("127.0.0.1", server.port),
            headers={"Host": "origin.example"},
            on_head=lambda _: None,
            on_body=pieces.append,
            connect_timeout=5.0,
            first_byte_timeout=5.0,
            idle_timeout=5.0,
        )
        fetch = client.fetch(request, raise_error=False)
        peer = await server.accept()
        await peer.answer(OK + b"Content-Length: 5\r\n\r\nhello")
        await fetch
        assert b"".join(pieces) == b"hello"
        client.close()
