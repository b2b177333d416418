"""Asking the origins: which one is asked, which one answered, and where its body goes."""

import asyncio

import pytest

from aprp.stats.counters import Count
from aprp.upstream.errors import ConnectFailed, OriginClosed
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin, Origins
from tests.loops import both_loops
from tests.peers import closed_port, serving
from tests.upstream.askers import asker
from tests.upstream.fetches import OK, sized
from tests.upstream.placing import Place

A, B, C = (Origin.parse(f"http://{name}.example", None) for name in "abc")
BODY = bytes(range(256)) * 100


@pytest.mark.parametrize(
    ("down", "avoid", "order"),
    [
        ("", "", "abc"),
        ("", "a", "bca"),
        ("", "b", "acb"),
        ("", "c", "abc"),
        ("", "ab", "cab"),
        ("", "abc", "abc"),
        ("a", "", "bca"),
        # Who could not be reached at all is even less likely to answer.
        ("a", "b", "cba"),
        ("a", "a", "bca"),
        ("ab", "c", "cab"),
        ("abc", "b", "acb"),
    ],
)
def test_order_of_the_origins(down: str, avoid: str, order: str) -> None:
    origins = Origins([A, B, C], retry_after=10.0)
    for origin in (A, B, C):
        if origin.host[0] in down:
            origins.failed(origin, now=100.0)
    avoided = {origin for origin in (A, B, C) if origin.host[0] in avoid}
    assert "".join(o.host[0] for o in origins.candidates(105.0, avoided)) == order


def test_origin_is_avoided_for_the_one_who_asks_only() -> None:
    origins = Origins([A, B, C], retry_after=10.0)
    assert list(origins.candidates(0.0, [A])) == [B, C, A]
    assert list(origins.candidates(0.0)) == [A, B, C]
    origins.failed(B, 0.0)
    assert list(origins.candidates(10.0, [A])) == [B, C, A]
    # An origin of which nothing is known.
    other = Origin.parse("http://other.example", None)
    assert list(origins.candidates(10.0, [other])) == [A, B, C]


@both_loops
async def test_the_reader_gives_the_body_a_place() -> None:
    async with serving() as server, asker(server) as one:
        place = one.placer = Place(len(BODY), (10_000,))
        sending = asyncio.create_task(one.ask.send("GET", "/film", {}, expects_placement=True))
        await (await server.accept()).answer(sized(BODY))
        await sending
        assert (place.body, bytes(one.body)) == (BODY, b"")
        assert one.ask.surplus is False
        assert one.counters.total(Count.ORIGIN_SURPLUS) == 0


@both_loops
async def test_place_that_is_given_before_and_after_the_question() -> None:
    place = Place(len(BODY))
    async with serving() as server, asker(server) as one:
        one.ask.place(place)
        sending = asyncio.create_task(one.ask.send("GET", "/film", {}))
        await (await server.accept()).answer(sized(BODY))
        await sending
        assert (place.body, bytes(one.body)) == (BODY, b"")


@both_loops
async def test_place_that_is_taken_back_in_on_head() -> None:
    async with serving() as server, asker(server) as one:
        place = Place(0)
        one.ask.place(place)
        on_head = one.on_head

        def clear(head: ResponseHead) -> None:
            on_head(head)
            one.ask.place(None)

        one.on_head = clear  # type: ignore[method-assign]
        sending = asyncio.create_task(one.ask.send("GET", "/film", {}))
        await (await server.accept()).answer(sized(BODY))
        await sending
        assert (bytes(one.body), place.asked) == (BODY, 0)


@pytest.mark.parametrize("has_place", [True, False])
@both_loops
async def test_surplus_is_told_and_counted(has_place: bool) -> None:
    async with serving() as server, asker(server) as one:
        if has_place:
            one.placer = Place(len(BODY))
        sending = asyncio.create_task(one.ask.send("GET", "/film", {}, expects_placement=has_place))
        peer = await server.accept()
        await peer.answer(sized(BODY[:9000]) + b"more")
        await sending
        assert one.ask.surplus is True
        assert one.counters.total(Count.ORIGIN_SURPLUS) == 1
        got = one.placer.body if one.placer is not None else bytes(one.body)
        assert got == BODY[:9000]
        assert await peer.closed()


@both_loops
async def test_place_holds_for_the_origin_that_can_be_reached() -> None:
    place = Place(len(BODY))
    dead = closed_port()
    async with serving() as server, asker(server, dead) as one:
        one.ask.place(place)
        sending = asyncio.create_task(one.ask.send("GET", "/film", {}))
        await (await server.accept()).answer(sized(BODY))
        await sending
        assert [origin.endpoint.port for origin in one.asked] == [dead, server.port]
        assert one.ask.origin is one.asked[1]
        assert place.body == BODY


@both_loops
async def test_origin_that_failed_is_avoided() -> None:
    async with serving() as good, serving() as bad, asker(good, bad.port) as one:
        sending = asyncio.create_task(one.ask.send("GET", "/film", {}))
        peer = await bad.accept()
        await peer.answer(OK + b"Content-Length: 9\r\n\r\nhalf")
        peer.close()
        with pytest.raises(OriginClosed):
            await sending
        failed = one.ask.origin
        assert failed is not None
        assert failed.endpoint.port == bad.port
        again = asyncio.create_task(one.ask.send("GET", "/film", {}, avoid=[failed]))
        await (await good.accept()).answer(sized(BODY))
        await again
        assert one.ask.origin is not None
        assert one.ask.origin.endpoint.port == good.port
        assert [origin.endpoint.port for origin in one.asked] == [bad.port, good.port]


@both_loops
async def test_the_only_origin_is_asked_although_it_is_to_be_avoided() -> None:
    async with serving() as server, asker(server) as one:
        only = one.origins.origins[0]
        sending = asyncio.create_task(one.ask.send("GET", "/film", {}, avoid=[only]))
        await (await server.accept()).answer(sized(BODY))
        await sending
        assert bytes(one.body) == BODY


@both_loops
async def test_nobody_can_be_reached() -> None:
    async with serving() as server, asker(server, closed_port(), closed_port()) as one:
        one.origins.origins = one.origins.origins[:2]
        with pytest.raises(ConnectFailed):
            await one.ask.send("GET", "/film", {})
        assert len(one.asked) == 2
        assert one.ask.origin is one.asked[-1]
        assert one.heads == []
