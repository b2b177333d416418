"""The end of a body with a place: what the origin sends beyond it, and an origin that leaves."""

import random
from collections.abc import Callable

import pytest

from aprp.upstream.connection import HEAD_ROOM
from aprp.upstream.errors import OriginClosed
from tests.loops import both_loops, turns
from tests.upstream.connections import Link, linked
from tests.upstream.placing import OK, SIZED, Place, ask, framed, until_readable

BODY = random.Random(13).randbytes(100_000)
TLS = pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
SURPLUS = pytest.mark.parametrize("surplus", [b"x", OK + b"\r\n", b"y" * 20_000], ids=len)


@TLS
@SURPLUS
@pytest.mark.parametrize("framing", ["sized", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 5000, HEAD_ROOM - len(SIZED % 8000), 9000, 30_000])
@both_loops
async def test_more_than_was_declared(size: int, framing: str, surplus: bytes, tls: bool) -> None:
    async with linked(tls=tls) as link:
        place = Place(size, (7000,))
        receiver = await ask(link, place)
        link.peer.writer.write(framed(framing, BODY[:size]) + surplus)
        assert await receiver.reusable() is False
        # RFC 9112 section 6.3: the length that is declared is the length.
        assert place.body == BODY[:size]
        assert link.connection.surplus is True
        assert not link.connection.usable
        assert await link.peer.closed()


@TLS
@SURPLUS
@pytest.mark.parametrize("response", [SIZED % 2 + b"hi", framed("chunked", b"hi")])
@both_loops
async def test_more_than_was_declared_without_a_place(
    response: bytes, surplus: bytes, tls: bool
) -> None:
    async with linked(tls=tls) as link:
        receiver = await link.ask()
        link.peer.writer.write(response + surplus)
        assert await receiver.reusable() is False
        assert (receiver.body, link.connection.surplus) == (b"hi", True)


@TLS
@pytest.mark.parametrize("response", [SIZED % 2 + b"hi", framed("chunked", b"hi")])
@both_loops
async def test_flag_is_of_the_last_response(response: bytes, tls: bool) -> None:
    async with linked(tls=tls) as link:
        for place in (Place(2), Place(2)):
            receiver = await ask(link, place)
            await link.peer.send(response)
            assert await receiver.reusable()
            assert link.connection.surplus is False


def leave(link: Link) -> None:
    link.peer.close()


def reset(link: Link) -> None:
    link.peer.reset()


def go_on(link: Link) -> None:
    link.peer.writer.write(b"z")


async def body_taken_late(link: Link, size: int, then: Callable[[Link], None]) -> tuple[bool, bool]:
    """Have the end of a body wait until the origin has done something; reusable, and surplus."""
    place = Place(size)
    receiver = await ask(link, place)
    await link.peer.send(SIZED % size)
    while not receiver.heads:
        await turns(1)
    await link.peer.send(BODY[: size - 1])
    while place.count < size - 1:
        await turns(1)
    place.wait_for_release()
    await link.peer.send(BODY[size - 1 : size])
    while place.count < size:
        await turns(1)
    then(link)
    await until_readable(link)
    place.take()
    reusable = await receiver.reusable()
    assert place.body == BODY[:size]
    return reusable, link.connection.surplus


@pytest.mark.parametrize("size", [1, 2, 20_000])
@pytest.mark.parametrize(
    ("then", "surplus"),
    [(leave, False), (reset, False), (go_on, True)],
    ids=["leaves", "resets", "goes on"],
)
@both_loops
async def test_origin_that_does_something_while_the_last_bytes_are_pending(
    then: Callable[[Link], None], surplus: bool, size: int
) -> None:
    async with linked() as link:
        assert await body_taken_late(link, size, then) == (False, surplus)
        await link.connection.gone.wait()


@both_loops
async def test_a_response_that_says_that_it_is_the_last() -> None:
    async with linked() as link:
        place = Place(20_000)
        receiver = await ask(link, place)
        head = OK + b"Connection: close\r\nContent-Length: 20000\r\n\r\n"
        link.peer.writer.write(head + BODY[:20_000])
        assert await receiver.reusable() is False
        assert (place.body, link.connection.surplus) == (BODY[:20_000], False)


@both_loops
async def test_bytes_that_come_when_the_connection_is_idle_close_it() -> None:
    async with linked() as link:
        place = Place(20_000)
        receiver = await ask(link, place)
        await link.peer.send(framed("sized", BODY[:20_000]))
        assert await receiver.reusable()
        await link.peer.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await link.connection.gone.wait()
        assert place.body == BODY[:20_000]
        assert await link.peer.closed()


@TLS
@pytest.mark.parametrize("ending", [leave, reset])
@pytest.mark.parametrize(
    "sent",
    [
        SIZED % 50_000,
        SIZED % 50_000 + BODY[:1],
        SIZED % 50_000 + BODY[:20_000],
        framed("chunked", BODY[:50_000])[:-1],
        framed("chunked", BODY[:50_000])[:-9],
    ],
    ids=len,
)
@both_loops
async def test_origin_that_leaves_in_the_body(
    sent: bytes, ending: Callable[[Link], None], tls: bool
) -> None:
    async with linked(tls=tls) as link:
        place = Place(50_000, (9000,))
        receiver = await ask(link, place)
        await link.peer.send(sent)
        while not receiver.heads:
            await turns(1)
        ending(link)
        assert isinstance(await receiver.failure(), OriginClosed)
        # A reset may overtake what was sent; what did come is right.
        assert place.body == BODY[: place.count]
        assert link.connection.surplus is False


@both_loops
async def test_reset_does_not_end_a_body_that_the_close_ends() -> None:
    async with linked() as link:
        place = Place(100)
        receiver = await ask(link, place)
        await link.dribble(OK + b"\r\nhalf")
        link.peer.reset()
        assert isinstance(await receiver.failure(), OriginClosed)
        assert place.body == b"half"
