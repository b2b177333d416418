"""Requests with bodies, and requests that are refused: dropped, answered, and then no more."""

import pytest

from tests.front.apps import MAX_HEAD, served
from tests.front.test_connection import GET, get, post, post_chunked
from tests.loops import both_loops, turns

BIG = b"x" * 1_000_000


@pytest.mark.parametrize(
    "body_of",
    [
        pytest.param(lambda body: post("/up", body), id="sized"),
        pytest.param(
            lambda body: post_chunked("/up", body[:1] or b"-", body or b"-"), id="chunked"
        ),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 100, 60_000])
@both_loops
async def test_bodies_are_dropped(body_of: object, size: int) -> None:
    async with served() as s:
        client = await s.connect()
        assert callable(body_of)
        await client.send(body_of(b"GET / HTTP/1.1\r\n\r\n"[:size] + b"\n" * (size - 18)) + GET)
        assert await client.answer() == (200, b"/up")
        assert await client.answer() == (200, b"/film?a=%20")
        assert s.app.targets == ["/up", "/film?a=%20"]


@pytest.mark.parametrize("expect", ["100-continue", "100-Continue"])
@both_loops
async def test_client_that_asks_before_it_sends_a_body(expect: str) -> None:
    async with served() as s:
        client = await s.connect()
        request = post("/up", b"0123456789", f"Expect: {expect}")
        await client.send(request[:-10])
        assert await client.answer() == (100, b"")
        assert s.app.requests == []
        await client.send(request[-10:])
        assert await client.answer() == (200, b"/up")


@both_loops
async def test_old_client_that_asks_before_it_sends_a_body() -> None:
    # RFC 9110 section 10.1.1: of HTTP/1.0 it is ignored.
    async with served() as s:
        client = await s.connect()
        request = post("/up", b"0123456789", "Expect: 100-continue").replace(b"1.1", b"1.0")
        await client.send_and_be_read(request[:-10])
        await client.send(request[-10:])
        assert await client.answer() == (200, b"/up")


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(post("/up", BIG), id="sized"),
        pytest.param(post("/up", BIG[:65537]), id="sized, a byte too many"),
        pytest.param(post_chunked("/up", BIG), id="a large chunk"),
        pytest.param(post_chunked("/up", *[BIG[:1000]] * 1000), id="many chunks"),
    ],
)
@both_loops
async def test_body_that_is_too_large(request_bytes: bytes) -> None:
    # A client that sends all before it reads gets the answer, too (RFC 9112 section 9.6).
    async with served() as s:
        client = await s.connect()
        await client.send(request_bytes)
        status, _ = await client.answer()
        assert status == 413
        assert await client.ended()
        assert [request.line.method for request in s.app.requests] == ["POST"]
        client.leave()


@both_loops
async def test_body_that_is_too_large_is_not_waited_for() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send(post("/up", BIG)[:-1_000_000])
        assert (await client.answer())[0] == 413
        assert await client.ended()


@both_loops
async def test_refused_client_that_goes_on_sending() -> None:
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        await client.send_and_be_read(post_chunked("/up", BIG[:70_000])[:-10])
        request = await s.app.arrived.get()
        for _ in range(3):
            await client.send_and_be_read(b"1000\r\n" + b"y" * 800)
        await client.send(BIG[:100_000])
        assert len(s.app.requests) == 1
        request.answer()
        assert (await client.answer())[0] == 413
        assert await client.ended()
        # It is listened to for a while, and then no longer.
        await client.send_and_be_read(b"y" * 1000)
        assert len(s.server.connections) == 1
        s.clock.advance(3)
        await s.settled(0)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        get("/", "Host: other"),
        get("/", "Space : 1"),
        get("/", "Folded: 1", " 2"),
        get("/", "Nul: \0"),
        get("/").replace(b"\r\n", b"\n"),
        get("/", "Bare: 1\n2: 3"),
        get("/a b"),
        get("/", "Content-Length: x"),
        get("/", "Content-Length: -1"),
        get("/", "Content-Length: +1"),
        get("/", "Content-Length: 1", "Content-Length: 2"),
        get("/", "Content-Length: 1", "Transfer-Encoding: chunked"),
        get("/", "Transfer-Encoding: gzip"),
        get("/", "Transfer-Encoding: chunked") + b"zz\r\n",
        get("/", "Transfer-Encoding: chunked") + b"1\r\nab\r\n",
    ],
)
@both_loops
async def test_malformed_request(request_bytes: bytes) -> None:
    async with served() as s:
        client = await s.connect()
        # What follows is no request: nobody knows where it begins.
        await client.send(request_bytes + GET)
        assert (await client.answer())[0] == 400
        assert await client.ended()
        assert len(s.app.requests) == len(s.app.begun) == 1
        client.leave()


@both_loops
async def test_requests_before_a_malformed_one_are_answered() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send(get("/1") + get("/2") + b"nonsense\r\n\r\n" + get("/3"))
        assert await client.answer() == (200, b"/1")
        assert await client.answer() == (200, b"/2")
        assert (await client.answer())[0] == 400
        assert await client.ended()


@pytest.mark.parametrize(("size", "status"), [(MAX_HEAD, 200), (MAX_HEAD + 1, 431), (200_000, 431)])
@both_loops
async def test_size_of_the_head(size: int, status: int) -> None:
    async with served() as s:
        client = await s.connect()
        filler = size - len(get("/", "Fill: "))
        await client.send(get("/", "Fill: " + "x" * filler))
        assert (await client.answer())[0] == status
        if status != 200:
            assert await client.ended()


@both_loops
async def test_head_that_does_not_end() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send(get("/", "Fill: " + "x" * MAX_HEAD)[:-4])
        assert (await client.answer())[0] == 431
        assert await client.ended()


@both_loops
async def test_answer_before_the_body_has_come_ends_the_connection() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send_and_be_read(post("/up", b"0123456789")[:-1])
        request = s.app.begun[0]
        request.answer(b"enough")
        assert await client.answer() == (200, b"enough")
        assert await client.ended()
        await turns(3)
        assert s.app.requests == []
