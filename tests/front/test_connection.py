"""A client's connection: requests in the order in which they come, each answered once."""

import asyncio
import socket

import pytest

from aprp.front.connection import MAX_WAITING
from tests.front.apps import served
from tests.front.requests import GET, get, post, post_chunked
from tests.loops import both_loops, turns


@both_loops
async def test_what_the_application_gets() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send(GET)
        assert await client.answer() == (200, b"/film?a=%20")
        request = s.app.requests[0]
        assert tuple(request.line) == ("GET", "/film?a=%20", "HTTP/1.1")
        assert request.fields.get_all() == [
            ("Host", "h"),
            ("Range", "bytes=0-1"),
            ("X", "1"),
            ("X", "2"),
        ]
        context = request.connection.context
        assert (context.remote_ip, context.protocol) == ("127.0.0.1", "http")
        assert request.connection.idle


REQUESTS = [
    GET,
    b"\r\n" + GET,
    GET.replace(b"1.1", b"1.0"),
    post("/film?a=%20", b"0123456789"),
    post_chunked("/film?a=%20", b"01234", b"56789"),
]


@pytest.mark.parametrize("request_bytes", REQUESTS)
@both_loops
async def test_request_split_anywhere(request_bytes: bytes) -> None:
    async with served() as s:
        client = await s.connect()
        for place in range(1, len(request_bytes)):
            await client.send_and_be_read(request_bytes[:place])
            await client.send(request_bytes[place:])
            assert await client.answer() == (200, b"/film?a=%20")
        await client.dribble(request_bytes)
        assert await client.answer() == (200, b"/film?a=%20")
        assert len(s.app.requests) == len(s.app.begun) == len(request_bytes)


@both_loops
async def test_pipelined_requests_are_answered_in_order() -> None:
    # RFC 9112 section 9.3.2.
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        await client.send(get("/1") + post("/2", b"GET /x HTTP/1.1\r\n\r\n") + get("/3"))
        for target in ("/1", "/2", "/3"):
            request = await s.app.arrived.get()
            await turns(5)
            assert request.line.path == target
            assert s.app.arrived.empty()
            assert not request.connection.idle
            request.answer(target.encode())
            assert await client.answer() == (200, target.encode())


@both_loops
async def test_a_thousand_pipelined_requests() -> None:
    async with served() as s:
        client = await s.connect()
        count = 1000
        sending = asyncio.create_task(
            client.send(b"".join(get(f"/{number}") for number in range(count)))
        )
        for number in range(count):
            assert await client.answer() == (200, b"/%d" % number)
        await sending
        assert s.app.targets == [f"/{number}" for number in range(count)]


@both_loops
async def test_of_a_flood_of_requests_the_first_are_answered() -> None:
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        one = get("/flood")
        # More than the kernel holds on both sides: what is to be kept has been read then.
        await client.send(one * (64 * MAX_WAITING // len(one)))
        first = await s.app.arrived.get()
        s.app.serve = lambda request: request.answer()
        first.answer()
        # The one under way, and those that were kept; the rest is lost with the connection.
        for _ in range(1 + MAX_WAITING // len(one)):
            status, _ = await client.answer()
            assert status == 200
        assert await client.ended()


@pytest.mark.parametrize("how", ["close", "reset"])
@both_loops
async def test_client_that_leaves_during_the_answer(how: str) -> None:
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        await client.send(GET)
        request = await s.app.arrived.get()
        client.leave(how)
        await s.app.left.wait()
        await s.settled(0)
        assert request.closings == 1
        assert request.connection.wire.closed


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    ("sent", "closings"),
    [
        pytest.param(b"", 0, id="without a request"),
        pytest.param(GET[:20], 0, id="in the head"),
        pytest.param(post("/", b"0123456789")[:-3], 1, id="in the body"),
        pytest.param(post_chunked("/", b"0123456789")[:-3], 1, id="in the chunks"),
        pytest.param(GET, 0, id="after the answer"),
    ],
)
@both_loops
async def test_client_that_leaves_early(sent: bytes, closings: int, how: str) -> None:
    async with served() as s:
        client = await s.connect()
        await s.settled(1)
        if sent:
            await client.send_and_be_read(sent)
        client.leave(how)
        await s.settled(0)
        assert [request.closings for request in s.app.begun] == [closings] * len(s.app.begun)


@both_loops
async def test_client_that_says_no_more_has_left() -> None:
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        await client.send(GET)
        client.socket.shutdown(socket.SHUT_WR)
        await s.app.left.wait()
        assert await client.ended()


@both_loops
async def test_the_close_callback_is_for_one_request() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send(GET)
        await client.answer()
        s.app.serve = lambda request: None
        await client.send(get("/2"))
        await s.app.arrived.get()
        await s.app.arrived.get()
        client.leave()
        await s.app.left.wait()
        assert [request.closings for request in s.app.requests] == [0, 1]


@both_loops
async def test_time_without_a_request() -> None:
    async with served() as s:
        silent, busy = await s.connect(), await s.connect()
        await s.settled(2)
        s.app.serve = lambda request: None
        await busy.send(GET)
        request = await s.app.arrived.get()
        s.clock.advance(59)
        await turns(5)
        assert len(s.server.connections) == 2
        s.clock.advance(2)
        # Nothing was asked, and nothing is answered.
        assert await silent.ended()
        s.clock.advance(1000)
        await turns(5)
        assert len(s.server.connections) == 1
        # A request may take its time, and then the client has its own again.
        request.answer(b"late")
        assert await busy.answer() == (200, b"late")
        s.clock.advance(59)
        s.app.serve = lambda request: request.answer(b"again")
        await busy.send(GET)
        assert await busy.answer() == (200, b"again")
        s.clock.advance(59)
        assert len(s.server.connections) == 1
        s.clock.advance(2)
        assert await busy.ended()


@pytest.mark.parametrize("before", [0, 1, 59])
@pytest.mark.parametrize("first", [b"", GET])
@both_loops
async def test_time_to_send_a_head(first: bytes, before: float) -> None:
    # It begins with the first byte, however long that was waited for.
    async with served() as s:
        client = await s.connect()
        if first:
            await client.send(first)
            assert (await client.answer())[0] == 200
        await s.settled(1)
        s.clock.advance(before)
        await client.send_and_be_read(GET[:1])
        s.clock.advance(15)
        # What comes in between makes no difference.
        await client.send_and_be_read(GET[1:20])
        s.clock.advance(14)
        await turns(5)
        assert len(s.app.requests) == (1 if first else 0)
        s.clock.advance(2)
        assert (await client.answer())[0] == 408
        assert await client.ended()
        assert s.app.requests[-1].line.path == "-"


@both_loops
async def test_head_in_time() -> None:
    async with served() as s:
        client = await s.connect()
        for _ in range(5):
            await client.send_and_be_read(GET[:20])
            s.clock.advance(29)
            await client.send(GET[20:])
            assert (await client.answer())[0] == 200


@both_loops
async def test_time_to_send_a_head_behind_another_request() -> None:
    # What waits for its turn is not late.
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        await client.send(GET + GET[:20])
        request = await s.app.arrived.get()
        s.clock.advance(1000)
        request.answer()
        assert (await client.answer())[0] == 200
        await turns(3)
        s.clock.advance(29)
        await turns(5)
        assert len(s.app.requests) == 1
        s.clock.advance(2)
        refused = await s.app.arrived.get()
        refused.answer()
        assert (await client.answer())[0] == 408


@both_loops
async def test_stopping() -> None:
    async with served() as s:
        idle, busy, reading = [await s.connect() for _ in range(3)]
        s.app.serve = lambda request: None
        await busy.send(GET)
        request = await s.app.arrived.get()
        await reading.send_and_be_read(post("/", b"01")[:-1])
        await s.settled(3)
        s.server.stop()
        with pytest.raises(ConnectionRefusedError):
            await s.connect()
        s.server.close_idle()
        assert await idle.ended()
        await s.settled(2)
        request.answer(b"whole")
        assert await busy.answer() == (200, b"whole")
        s.server.close_all()
        assert await busy.ended()
        assert await reading.ended()
        assert [r.closings for r in s.app.begun] == [0, 1]
