"""Bodies of requests: every byte handed on once, in order, and no faster than it is taken."""

import asyncio
import contextlib
import hashlib
import socket

import pytest

from aprp.front.connection import MAX_WAITING
from tests.front.apps import BLOCK, BODY_TIMEOUT, SMALL_BLOCK, Client, Request, served
from tests.front.requests import GET, SOURCE, Slow, get, post, post_chunked
from tests.loops import both_loops, turns

CHUNKED = get("/up", "Transfer-Encoding: chunked").replace(b"GET", b"POST", 1)
CHUNKS = (
    b'5;a=b\r\n01234\r\n1 ; x="y"\r\n5\r\n00004\r\n6789\r\n0;last\r\nX: dropped\r\nY: z\r\n\r\n'
)


async def flood(client: Client, data: bytes) -> int:
    """Send as much as anybody takes; how many bytes that was."""
    sent = 0
    quiet = 0
    while quiet < 20 and sent < len(data):
        try:
            sent += client.socket.send(data[sent : sent + 65536])
            quiet = 0
        except BlockingIOError:
            quiet += 1
            await turns(2)
    return sent


@pytest.mark.parametrize(
    ("request_bytes", "body"),
    [
        (post("/up", b"0123456789"), b"0123456789"),
        (post("/up", b""), b""),
        (post_chunked("/up", b"01234", b"56789"), b"0123456789"),
        (post_chunked("/up"), b""),
        (CHUNKED + CHUNKS, b"0123456789"),
    ],
)
@both_loops
async def test_body_split_anywhere(request_bytes: bytes, body: bytes) -> None:
    async with served() as s:
        for listening in s.server._servers:
            for sock in listening.sockets:  # type: ignore[attr-defined]
                # Two answers in a row would wait for an acknowledgement that the kernel delays.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = await s.connect()
        # A request behind it shows where it was thought to end.
        both = request_bytes + GET
        for place in range(1, len(both)):
            await client.send_and_be_read(both[:place])
            await client.send(both[place:])
            assert await client.answer() == (200, b"/up")
            assert await client.answer() == (200, b"/film?a=%20")
        await client.dribble(both)
        assert await client.answer() == (200, b"/up")
        assert await client.answer() == (200, b"/film?a=%20")
        assert [r.body for r in s.app.requests] == [body, b""] * len(both)


@pytest.mark.parametrize("chunked", [False, True])
@both_loops
async def test_body_that_looks_like_requests(chunked: bool) -> None:
    async with served() as s:
        client = await s.connect()
        body = GET * 3
        data = post_chunked("/up", body) if chunked else post("/up", body)
        await client.send(data * 2 + GET)
        for expected in (b"/up", b"/up", b"/film?a=%20"):
            assert await client.answer() == (200, expected)
        assert [r.body for r in s.app.requests] == [body, body, b""]


@pytest.mark.parametrize("chunked", [False, True])
@both_loops
async def test_large_body(chunked: bool) -> None:
    async with served() as s:
        client = await s.connect()
        cuts = range(0, len(SOURCE), 100_000)
        pieces = [SOURCE[cut : cut + 100_000] for cut in cuts]
        data = post_chunked("/up", *pieces) if chunked else post("/up", SOURCE)
        await client.send(data + GET)
        assert await client.answer() == (200, b"/up")
        assert await client.answer() == (200, b"/film?a=%20")
        assert s.app.requests[0].body == SOURCE
        assert s.pool.lent == 0


@both_loops
async def test_blocks_are_lent_while_there_is_something_in_them() -> None:
    async with served() as s:
        client = await s.connect()
        slow = Slow(s)
        await client.send_and_be_read(post("/up", b"0123456789")[:-8])
        assert s.pool.lent == 1
        slow.done_with(await slow.arrived.get())
        await turns(3)
        # More is to come, and nothing is there.
        assert s.pool.lent == 0
        await client.send(b"2345")
        waiting = await slow.arrived.get()
        assert s.pool.lent == 1
        slow.done_with(waiting)
        await client.send(b"6789")
        slow.done_with(await slow.arrived.get())
        assert await client.answer() == (200, b"/up")
        assert s.pool.lent == 0
        assert s.app.requests[0].body == b"0123456789"


@both_loops
async def test_a_fast_client_fills_large_blocks() -> None:
    async with served() as s:
        client = await s.connect()
        sizes: list[int] = []
        seen = hashlib.sha256()

        def take(request: Request, view: memoryview) -> None:
            # No object is made of what comes: it lies where the kernel wrote it.
            assert isinstance(view.obj, bytearray)
            seen.update(view)
            sizes.append(len(view.obj))

        s.app.take = take
        size = 5 * len(SOURCE)
        await client.send(get("/up", f"Content-Length: {size}").replace(b"GET", b"POST", 1))
        for _ in range(5):
            # The kernel's queue is full whenever it is looked at.
            await client.send(SOURCE)
        assert (await client.answer())[0] == 200
        assert seen.digest() == hashlib.sha256(SOURCE * 5).digest()
        assert {SMALL_BLOCK} <= set(sizes) <= {SMALL_BLOCK, BLOCK}
        assert sizes[0] == SMALL_BLOCK


@pytest.mark.parametrize("chunked", [False, True])
@both_loops
async def test_client_is_read_no_faster_than_pieces_are_taken(chunked: bool) -> None:
    async with served(room=8192) as s:
        client = await s.connect(room=8192)
        slow = Slow(s)
        data = post_chunked("/up", SOURCE) if chunked else post("/up", SOURCE)
        sent = await flood(client, data)
        assert sent < len(data) // 4
        sending = asyncio.create_task(client.send(data[sent:] + GET))
        while len(s.app.begun[0].body) < len(SOURCE):
            waiting = await slow.arrived.get()
            assert s.pool.lent <= 1
            slow.done_with(waiting)
        assert await client.answer() == (200, b"/up")
        assert await client.answer() == (200, b"/film?a=%20")
        await sending
        assert s.app.begun[0].body == SOURCE


@pytest.mark.parametrize("how", ["failed", "cancelled"])
@both_loops
async def test_piece_that_could_not_be_used(how: str) -> None:
    # Its taker knows what that means, and gets what else comes.
    async with served() as s:
        client = await s.connect()
        slow = Slow(s)
        request = post("/up", b"0123456789")
        await client.send(request[:-5])
        waiting = await slow.arrived.get()
        if how == "failed":
            waiting.set_exception(OSError("the origin is gone"))
        else:
            waiting.cancel()
        s.app.take = s.app.keep
        await client.send(request[-5:] + GET)
        assert await client.answer() == (200, b"/up")
        assert s.app.requests[0].body == b"0123456789"
        assert await client.answer() == (200, b"/film?a=%20")


@both_loops
async def test_what_follows_a_body_whose_last_piece_is_in_use() -> None:
    async with served() as s:
        client = await s.connect()
        slow = Slow(s)
        await client.send(post("/up", b"0123456789"))
        waiting = await slow.arrived.get()
        await client.send_and_be_read(GET)
        assert s.app.requests == []
        slow.done_with(waiting)
        assert await client.answer() == (200, b"/up")
        assert await client.answer() == (200, b"/film?a=%20")


@both_loops
async def test_body_that_waited_for_its_turn() -> None:
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        await client.send(GET)
        await s.app.arrived.get()
        body = SOURCE[: MAX_WAITING - 1000]
        await client.send_and_be_read(post_chunked("/up", body, b"x" * 10) + post("/2", b"abc"))
        while len(s.app.begun[0].connection._input) < len(body):
            await turns(1)
        s.app.serve = lambda request: request.answer(request.line.path.encode())
        s.app.requests[0].answer()
        assert await client.answer() == (200, b"")
        assert await client.answer() == (200, b"/up")
        assert await client.answer() == (200, b"/2")
        assert s.app.requests[1].body == body + b"x" * 10
        assert s.app.requests[2].body == b"abc"


@both_loops
async def test_large_body_behind_a_request_that_takes_its_time() -> None:
    # More than is kept: the answer is given, and the client has to send the request again.
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        await client.send(GET)
        first = await s.app.arrived.get()
        sending = asyncio.create_task(client.send(post("/up", SOURCE)))
        while len(first.connection._input) < MAX_WAITING:
            await turns(1)
        first.answer(b"whole")
        assert await client.answer() == (200, b"whole")
        assert await client.ended()
        with contextlib.suppress(ConnectionError):
            await sending
        # A part of it is nobody's business.
        assert s.app.begun == [first]


@both_loops
async def test_response_that_is_written_before_the_body_has_come() -> None:
    # It is complete, and the delegate has not said so yet when the request's end comes.
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        await client.send_and_be_read(post("/up", b"0123456789")[:-5])
        (begun,) = s.app.begun
        begun.connection.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert await client.answer() == (200, b"ok")
        await client.send(b"56789")
        assert await s.app.arrived.get() is begun
        assert begun.body == b"0123456789"
        begun.connection.finish()
        s.app.serve = lambda request: request.answer()
        await client.send(GET)
        assert await client.answer() == (200, b"")


@pytest.mark.parametrize("how", ["close", "reset", "end"])
@pytest.mark.parametrize("paused", [False, True])
@both_loops
async def test_client_that_leaves_in_the_body(how: str, paused: bool) -> None:
    async with served() as s:
        client = await s.connect()
        slow = Slow(s)
        await client.send(post("/up", b"0123456789")[:-3])
        waiting = await slow.arrived.get()
        (begun,) = s.app.begun
        if not paused:
            slow.done_with(waiting)
            await turns(3)
        if how == "end":
            client.socket.shutdown(socket.SHUT_WR)
        else:
            client.leave(how)
        if paused:
            # Nobody looks at the socket now.
            await turns(5)
            slow.done_with(waiting)
        await s.app.left.wait()
        await s.settled(0)
        assert begun.closings == 1
        assert s.app.requests == []


@both_loops
async def test_a_piece_stays_as_it_is_when_the_client_has_left() -> None:
    async with served() as s:
        client = await s.connect()
        slow = Slow(s)
        await client.send(post("/up", b"0123456789")[:-3])
        waiting = await slow.arrived.get()
        s.server.close_all()
        await s.settled(0)
        # Its block is not lent to the next one.
        assert s.pool.lent == 1
        other = await s.connect()
        s.app.take = s.app.keep
        await other.send(post("/up", b"x" * 100))
        assert (await other.answer())[0] == 200
        slow.done_with(waiting)
        await turns(3)
        assert s.pool.lent == 0
        client.leave()


# Time.


@pytest.mark.parametrize(
    "data", [post("/up", b"0123456789")[:-3], CHUNKED + CHUNKS[:-3], CHUNKED + b"5;"]
)
@both_loops
async def test_time_between_two_pieces(data: bytes) -> None:
    async with served() as s:
        client = await s.connect()
        await client.send_and_be_read(data[:-2])
        for byte in (data[-2:-1], data[-1:]):
            s.clock.advance(BODY_TIMEOUT - 1)
            await turns(5)
            assert s.app.requests == []
            await client.send_and_be_read(byte)
        s.clock.advance(BODY_TIMEOUT - 1)
        await turns(5)
        assert s.app.requests == []
        s.clock.advance(2)
        assert (await client.answer())[0] == 408
        assert await client.ended()
        (request,) = s.app.requests
        assert request.failure is not None and request.failure[0] == 408


@both_loops
async def test_time_in_which_a_piece_is_in_use_does_not_count() -> None:
    async with served() as s:
        client = await s.connect()
        slow = Slow(s)
        request = post("/up", b"0123456789")
        await client.send(request[:-5])
        waiting = await slow.arrived.get()
        s.clock.advance(100 * BODY_TIMEOUT)
        await turns(5)
        slow.done_with(waiting)
        await turns(3)
        s.clock.advance(BODY_TIMEOUT - 1)
        await turns(5)
        assert s.app.requests == []
        s.clock.advance(2)
        assert (await client.answer())[0] == 408


@both_loops
async def test_answer_may_take_its_time_when_the_body_is_complete() -> None:
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        await client.send(post("/up", b"0123456789"))
        request = await s.app.arrived.get()
        s.clock.advance(100 * BODY_TIMEOUT)
        await turns(5)
        request.answer(b"late")
        assert await client.answer() == (200, b"late")
