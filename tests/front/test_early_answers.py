"""Answers that are given before the request's body has come: RFC 9112 sections 9.3 and 9.6."""

import asyncio

import pytest

from aprp.front.connection import MAX_DROPPED_BODY
from aprp.front.peer import LINGER, LINGER_IN_ALL
from tests.front.apps import Client, Request, Served, served
from tests.front.requests import GET, SOURCE, Slow, post, post_chunked
from tests.loops import both_loops, turns


def rest_of(request: Request) -> int | None:
    """What is still to come of a request's body."""
    body = request.connection._body
    assert body is not None
    return body.left


@pytest.mark.parametrize("rest", [1, 10, MAX_DROPPED_BODY])
@pytest.mark.parametrize("sent", [0, 5])
@both_loops
async def test_short_rest_is_read_over(rest: int, sent: int) -> None:
    async with served() as s:
        client = await s.connect()
        data = post("/up", b"G" * (rest + sent))
        await client.send_and_be_read(data[:-rest])
        (begun,) = s.app.begun
        assert rest_of(begun) == rest
        assert not begun.connection.must_close
        begun.answer(b"enough")
        assert await client.answer() == (200, b"enough")
        await client.send(data[-rest:] + GET)
        assert await client.answer() == (200, b"/film?a=%20")
        assert begun.body == b"G" * sent
        assert [r.line.method for r in s.app.requests] == ["GET"]


@both_loops
async def test_short_rest_that_comes_byte_by_byte() -> None:
    async with served() as s:
        client = await s.connect()
        data = post("/up", b"0123456789")
        await client.send_and_be_read(data[:-9])
        s.app.begun[0].answer()
        assert await client.answer() == (200, b"")
        await client.dribble(data[-9:] + GET)
        assert await client.answer() == (200, b"/film?a=%20")


@both_loops
async def test_answer_to_the_head_alone() -> None:
    async with served() as s:
        client = await s.connect()
        s.app.headed = lambda request: request.answer(b"at once")
        await client.send(post("/up", b"0123456789"))
        assert await client.answer() == (200, b"at once")
        s.app.headed = lambda request: None
        await client.send(GET)
        assert await client.answer() == (200, b"/film?a=%20")
        assert s.app.begun[0].body == b""


@both_loops
async def test_answer_in_the_middle_of_taking_a_piece() -> None:
    async with served() as s:
        client = await s.connect()
        futures: list[asyncio.Future[None]] = []

        def take(request: Request, view: memoryview) -> "asyncio.Future[None]":
            request.answer(b"seen enough")
            futures.append(asyncio.get_running_loop().create_future())
            return futures[-1]

        s.app.take = take
        data = post("/up", b"0123456789")
        await client.send(data[:-3])
        assert await client.answer() == (200, b"seen enough")
        await client.send(data[-3:] + GET)
        assert await client.answer() == (200, b"/film?a=%20")
        # The piece is still in use: its block is not lent to anybody else.
        assert s.pool.lent == 1
        futures[0].set_result(None)
        await turns(3)
        assert s.pool.lent == 0


@both_loops
async def test_answer_while_a_piece_is_in_use() -> None:
    async with served() as s:
        client = await s.connect()
        slow = Slow(s)
        data = post("/up", b"0123456789")
        await client.send(data[:-3])
        waiting = await slow.arrived.get()
        s.app.begun[0].answer(b"enough")
        assert await client.answer() == (200, b"enough")
        # What comes is read again, without waiting for anybody.
        await client.send(data[-3:] + GET)
        assert await client.answer() == (200, b"/film?a=%20")
        assert s.pool.lent == 1
        slow.done_with(waiting)
        await turns(3)
        assert s.pool.lent == 0
        assert len(s.app.begun[0].body) == 7


@both_loops
async def test_answer_when_the_last_piece_is_in_use() -> None:
    async with served() as s:
        client = await s.connect()
        slow = Slow(s)
        await client.send(post("/up", b"0123456789") + GET)
        waiting = await slow.arrived.get()
        assert not s.app.begun[0].connection.must_close
        s.app.begun[0].answer(b"enough")
        assert await client.answer() == (200, b"enough")
        assert await client.answer() == (200, b"/film?a=%20")
        slow.done_with(waiting)
        await turns(3)
        # That request is over: nobody is told that it is complete.
        assert [r.line.method for r in s.app.requests] == ["GET"]


LONG = [
    pytest.param(post("/up", SOURCE), id="sized"),
    pytest.param(post_chunked("/up", SOURCE), id="a large chunk"),
    pytest.param(post_chunked("/up", *[SOURCE[:1000]] * 1000), id="small chunks"),
]


@pytest.mark.parametrize("request_bytes", LONG)
@pytest.mark.parametrize("paused", [False, True])
@both_loops
async def test_client_that_sends_a_long_rest_gets_the_answer(
    request_bytes: bytes, paused: bool
) -> None:
    # It sends all before it reads: a connection closed at once would be reset, and the answer lost.
    async with served() as s:
        client = await s.connect()
        slow = Slow(s)
        await client.send(request_bytes[:1000])
        waiting = await slow.arrived.get()
        if not paused:
            slow.done_with(waiting)
        (begun,) = s.app.begun
        assert begun.connection.must_close
        begun.answer(b"enough")
        await client.send(request_bytes[1000:] + GET)
        assert await client.answer() == (200, b"enough")
        assert await client.ended()
        assert len(s.app.begun) == 1
        client.leave()
        if paused:
            slow.done_with(waiting)
            await turns(3)


@both_loops
async def test_a_rest_that_is_a_byte_too_long() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send_and_be_read(
            post("/up", SOURCE[: MAX_DROPPED_BODY + 1])[: -MAX_DROPPED_BODY - 1]
        )
        (begun,) = s.app.begun
        assert begun.connection.must_close
        begun.answer()
        assert await client.answer() == (200, b"")
        assert await client.ended()


@both_loops
async def test_the_rest_of_chunks_is_not_read_over() -> None:
    # How long it is nobody knows.
    async with served() as s:
        client = await s.connect()
        await client.send_and_be_read(post_chunked("/up", b"0123456789")[:-5])
        s.app.begun[0].answer(b"enough")
        assert await client.answer() == (200, b"enough")
        assert await client.ended()


@both_loops
async def test_closing_behind_an_answer_with_a_short_rest() -> None:
    # As a delegate does that has written "Connection: close".
    async with served() as s:
        client = await s.connect()
        data = post("/up", SOURCE[:60_000])
        await client.send_and_be_read(data[:1000])
        (begun,) = s.app.begun
        begun.answer(b"enough")
        begun.connection.close()
        await client.send(data[1000:] + GET)
        assert await client.answer() == (200, b"enough")
        assert await client.ended()
        client.leave()


@both_loops
async def test_closing_behind_an_answer_with_requests_that_wait() -> None:
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        await client.send(GET + GET)
        request = await s.app.arrived.get()
        request.answer(b"the last one")
        request.connection.close()
        await client.send(GET * 100)
        assert await client.answer() == (200, b"the last one")
        assert await client.ended()
        assert len(s.app.begun) == 1


async def answered_early(s: Served) -> Client:
    """A client that has its answer, and has sent only the beginning of its body."""
    client = await s.connect()
    await client.send_and_be_read(post("/up", SOURCE)[:1000])
    s.app.begun[0].answer()
    assert await client.answer() == (200, b"")
    return client


@both_loops
async def test_silent_client_is_not_listened_to_for_long() -> None:
    async with served() as s:
        client = await answered_early(s)
        s.clock.advance(LINGER - 0.1)
        await client.send_and_be_read(b"x" * 1000)
        s.clock.advance(LINGER - 0.1)
        await turns(5)
        assert len(s.server.connections) == 1
        s.clock.advance(0.2)
        await s.settled(0)


@both_loops
async def test_no_client_is_listened_to_for_ever() -> None:
    async with served() as s:
        client = await answered_early(s)
        for _ in range(int(LINGER_IN_ALL)):
            assert len(s.server.connections) == 1
            await client.send_and_be_read(b"x" * 1000)
            s.clock.advance(1)
        await s.settled(0)


@both_loops
async def test_stopping_does_not_wait_for_clients_that_are_listened_to() -> None:
    async with served() as s:
        await answered_early(s)
        s.server.close_idle()
        await turns(5)
        assert len(s.server.connections) == 1
        s.server.close_all()
        await s.settled(0)


@both_loops
async def test_answer_that_is_cut_short_in_the_body() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send_and_be_read(post("/up", SOURCE)[:1000])
        (begun,) = s.app.begun
        begun.connection.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123")
        begun.connection.close()
        await s.app.left.wait()
        await s.settled(0)
        assert begun.closings == 1


@both_loops
async def test_client_that_leaves_while_the_rest_is_read_over() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send_and_be_read(post("/up", b"0123456789")[:-3])
        s.app.begun[0].answer()
        assert await client.answer() == (200, b"")
        client.leave()
        await s.settled(0)
        assert s.app.begun[0].closings == 0


@both_loops
async def test_rest_that_never_comes() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send_and_be_read(post("/up", b"0123456789")[:-3])
        s.app.begun[0].answer()
        assert await client.answer() == (200, b"")
        s.clock.advance(s.server.idle_timeout + 1)
        assert await client.ended()
