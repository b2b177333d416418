"""Bodies that are received where they belong: every byte, in its place, and nothing beside it."""

import asyncio
import random

import pytest

from aprp.semantics.framing import Delimiter
from aprp.upstream.connection import HEAD_ROOM
from aprp.upstream.errors import BadResponse
from aprp.upstream.head import ResponseHead
from tests.loops import both_loops
from tests.upstream.connections import Recorder, linked
from tests.upstream.placing import FRAMINGS, OK, SIZED, Place, Placing, SlowPlace, ask, framed

BODY = random.Random(11).randbytes(1 << 20)
HEAD = len(SIZED % 10_000)
TLS = pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
SIZES = [0, 1, 2, HEAD_ROOM - HEAD - 1, HEAD_ROOM - HEAD, HEAD_ROOM - HEAD + 1, HEAD_ROOM, 1 << 20]
ROOMS = [(1 << 20,), (1,), (1, 7, 1000), (HEAD_ROOM,), (65536,)]


@TLS
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", SIZES)
@both_loops
async def test_whole_body_is_placed(size: int, framing: str, tls: bool) -> None:
    async with linked(tls=tls) as link:
        place = Place(size)
        receiver = await ask(link, place)
        link.peer.writer.write(framed(framing, BODY[:size]))
        if framing == "close":
            link.peer.close()
        assert await receiver.reusable() is (framing != "close")
        assert place.body == BODY[:size]
        assert link.connection.surplus is False


@TLS
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("rooms", ROOMS, ids=str)
@both_loops
async def test_room_for_less_than_comes(rooms: tuple[int, ...], framing: str, tls: bool) -> None:
    size = 4000 if 1 in rooms else 300_000
    async with linked(tls=tls) as link:
        place = Place(size, rooms)
        receiver = await ask(link, place)
        link.peer.writer.write(framed(framing, BODY[:size]))
        if framing == "close":
            link.peer.close()
        assert await receiver.reusable() is (framing != "close")
        assert place.body == BODY[:size]
        assert len(place.pieces) >= size // max(rooms)


@pytest.mark.parametrize("framing", FRAMINGS)
@both_loops
async def test_body_that_comes_byte_by_byte(framing: str) -> None:
    async with linked() as link:
        place = Place(12)
        receiver = await ask(link, place)
        await link.dribble(framed(framing, b"twelve bytes", chunk=5))
        if framing == "close":
            link.peer.close()
        assert await receiver.reusable() is (framing != "close")
        assert place.body == b"twelve bytes"
        assert place.pieces == [1] * 12


@both_loops
async def test_kernel_writes_to_the_place() -> None:
    async with linked() as link:
        place = Place(100_000)
        receiver = await ask(link, place)
        await link.peer.send(SIZED % 100_000 + BODY[:10])
        await place.came.wait()
        # No buffer is held any more, and what the kernel is lent is the place itself.
        assert link.pool.lent == set()
        lent = link.connection.get_buffer(-1)
        assert lent.obj is place.memory
        assert len(lent) == 100_000 - 10
        await link.peer.send(BODY[10:99_999])
        while place.count < 99_999:
            place.came.clear()
            await place.came.wait()
            assert link.pool.lent == set()
        # Not a byte more than the body has.
        assert len(link.connection.get_buffer(-1)) == 1
        await link.peer.send(BODY[99_999:100_000])
        assert await receiver.reusable()
        assert place.body == BODY[:100_000]


@both_loops
async def test_little_comes_outside_of_the_place() -> None:
    async with linked() as link:
        place = Place(200_000)
        receiver = await ask(link, place)
        link.peer.writer.write(SIZED % 200_000 + BODY[:200_000])
        assert await receiver.reusable()
        assert place.pieces[0] == HEAD_ROOM - len(SIZED % 200_000)
        assert place.body == BODY[:200_000]


@both_loops
async def test_head_that_is_larger_than_what_is_read_at_once() -> None:
    async with linked(max_head=3 * HEAD_ROOM) as link:
        link.pool.small = link.pool.large = 4 * HEAD_ROOM
        place = Place(50_000)
        receiver = await ask(link, place)
        fill = b"Fill: " + b"x" * (2 * HEAD_ROOM) + b"\r\n"
        link.peer.writer.write(OK + fill + framed("sized", BODY[:50_000])[len(OK) :])
        assert await receiver.reusable()
        assert place.body == BODY[:50_000]


@TLS
@both_loops
async def test_part(tls: bool) -> None:
    async with linked(tls=tls) as link:
        place = Place(50_000)
        receiver = await ask(link, place)
        head = b"Content-Range: bytes 100-50099/1048576\r\nContent-Length: 50000\r\n\r\n"
        await link.peer.send(b"HTTP/1.1 206 Partial Content\r\n" + head + BODY[100:50_100])
        assert await receiver.reusable()
        assert (receiver.heads[0].status, place.body) == (206, BODY[100:50_100])


@TLS
@pytest.mark.parametrize(
    ("method", "response"),
    [
        ("HEAD", SIZED % 5000),
        ("HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n"),
        ("GET", SIZED % 0),
    ],
)
@both_loops
async def test_no_body_wants_no_room(method: str, response: bytes, tls: bool) -> None:
    async with linked(tls=tls) as link:
        place = Place(0)
        receiver = await ask(link, place, method)
        await link.peer.send(response)
        assert await receiver.reusable()
        assert place.asked == 0


@TLS
@both_loops
async def test_connection_is_used_again_with_and_without_a_place(tls: bool) -> None:
    async with linked(tls=tls) as link:
        for number in range(12):
            body = BODY[number : number + number * 5000]
            receiver: Recorder
            if number % 3:
                place = Place(len(body), (3000, 70_000))
                receiver = await ask(link, place)
            else:
                receiver = await link.ask()
            await link.peer.send(framed("chunked" if number % 2 else "sized", body))
            assert await receiver.reusable()
            assert (place.body if number % 3 else receiver.body) == body
            assert link.pool.lent == set()


class Undecided(Placing):
    """Has a placer until the head comes, and then none."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.placer = place

    def on_head(self, head: ResponseHead, length: int | Delimiter) -> None:
        super().on_head(head, length)
        self.placer = None

    def on_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        return Recorder.on_data(self, view)


@TLS
@both_loops
async def test_placer_that_is_taken_back_when_the_head_comes(tls: bool) -> None:
    async with linked(tls=tls) as link:
        place = Place(0)
        receiver = Undecided(place)
        link.connection.start(receiver, b"GET / HTTP/1.1\r\n\r\n")
        await link.peer.request()
        link.peer.writer.write(framed("sized", BODY[:60_000]))
        assert await receiver.reusable()
        assert (receiver.body, place.asked) == (BODY[:60_000], 0)


@both_loops
async def test_interim_responses_come_before_the_placed_body() -> None:
    async with linked() as link:
        place = Place(30_000)
        receiver = await ask(link, place)
        early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        link.peer.writer.write(early + early + framed("sized", BODY[:30_000]))
        assert await receiver.reusable()
        assert (receiver.interim, place.body) == ([103, 103], BODY[:30_000])


@both_loops
async def test_malformed_chunk_behind_placed_bytes() -> None:
    async with linked() as link:
        place = Place(100, (3,))
        receiver = await ask(link, place)
        response = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX\r\n"
        link.peer.writer.write(response)
        assert isinstance(await receiver.failure(), BadResponse)
        assert place.body == b"hello"
        assert await link.peer.closed()


@TLS
@pytest.mark.parametrize("framing", FRAMINGS)
@both_loops
async def test_every_byte_comes_to_a_slow_place(framing: str, tls: bool) -> None:
    async with linked(tls=tls) as link:
        place = SlowPlace(len(BODY), (100_000, 1, 30_000))
        receiver = await ask(link, place)

        async def send() -> None:
            await link.peer.send(framed(framing, BODY))
            if framing == "close":
                link.peer.close()

        sending = asyncio.create_task(send())
        assert await receiver.reusable() is (framing != "close")
        await sending
        assert place.body == BODY
