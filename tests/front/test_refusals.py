"""Requests that are refused: answered once, and then no more is read of the connection."""

from collections.abc import Callable

import pytest

from aprp.front.quotas import Quotas
from aprp.semantics.framing import MAX_TRAILERS
from tests.front.apps import EXEMPT, HEADER_TIMEOUT, MAX_HEAD, served
from tests.front.requests import GET, get, post, post_chunked
from tests.loops import both_loops, turns


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: h\r\n\r\n",
        get("/", "Host: other"),
        get("/", "Space : 1"),
        get("/", "Folded: 1", " 2"),
        get("/", "Nul: \0"),
        get("/").replace(b"\r\n", b"\n"),
        get("/", "Bare: 1\n2: 3"),
        get("/", "Bare: 1\r2: 3"),
        get("/a b"),
        get("b:443"),
        get("*"),
        get("/", "Content-Length: x"),
        get("/", "Content-Length: -1"),
        get("/", "Content-Length: +1"),
        get("/", "Content-Length: 1", "Content-Length: 2"),
        get("/", "Content-Length: 1", "Transfer-Encoding: chunked"),
        get("/", "Transfer-Encoding: gzip"),
        get("/", "Transfer-Encoding: xchunked"),
        get("/", "Transfer-Encoding: identity"),
        get("/", "Transfer-Encoding: chunked, chunked"),
        get("/", "Transfer-Encoding: chunked;q=1"),
        get("/", "Transfer-Encoding: \x0bchunked"),
        get("/", "Transfer-Encoding: chunked").replace(b"1.1", b"1.0"),
        get("/").replace(b"GET /", b"CONNECT h"),
        get("h:443", "Content-Length: 1").replace(b"GET", b"CONNECT"),
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
        assert s.app.requests[0].body == b""
        client.leave()


@pytest.mark.parametrize(
    "line", [b"GET / HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/9.9\r\n"]
)
@both_loops
async def test_another_version(line: bytes) -> None:
    # RFC 9110 section 15.6.6.
    async with served() as s:
        client = await s.connect()
        await client.send(line + b"\r\nSM\r\n\r\n")
        assert (await client.answer())[0] == 505
        assert await client.ended()


@pytest.mark.parametrize(
    "line", [b"GET /\r\n", b"GET / HTTP/1.1\n", b"\r\nGET / HTTP/0.9\r\n", b"\n"]
)
@both_loops
async def test_what_is_no_request_is_not_waited_for(line: bytes) -> None:
    # HTTP/0.9 has no more than one line.
    async with served() as s:
        client = await s.connect()
        await client.send(line)
        assert (await client.answer())[0] == 400
        assert await client.ended()


CHUNKED = get("/up", "Transfer-Encoding: chunked").replace(b"GET", b"POST", 1)


@pytest.mark.parametrize(
    ("body", "came"),
    [
        pytest.param(b"zz\r\n", b"", id="no number"),
        pytest.param(b"\r\n", b"", id="no size"),
        pytest.param(b"-1\r\n", b"", id="a sign"),
        pytest.param(b"0x1\r\na\r\n", b"", id="a prefix"),
        pytest.param(b"1_0\r\n", b"", id="an underscore"),
        pytest.param(b"f" * 16 + b"\r\n", b"", id="a size out of bounds"),
        pytest.param(b"0" * 5000, b"", id="a size without an end"),
        pytest.param(b"2\nab\r\n0\r\n\r\n", b"", id="a bare line feed behind the size"),
        pytest.param(
            b"2;a\rb\r\nab\r\n0\r\n\r\n", b"", id="a bare carriage return in an extension"
        ),
        pytest.param(b"2;\0\r\nab\r\n0\r\n\r\n", b"", id="a NUL in an extension"),
        pytest.param(b"1\r\nab\r\n", b"a", id="a chunk that is longer than its size"),
        pytest.param(b"2\r\nab\n0\r\n\r\n", b"ab", id="a bare line feed behind a chunk"),
        pytest.param(b"2\r\nab0\r\n\r\n", b"ab", id="no line end behind a chunk"),
        pytest.param(b"2\r\nab\r\n0\r\nX: y\n\r\n", b"ab", id="a bare line feed in the trailers"),
        pytest.param(
            b"2\r\nab\r\n0\r\n" + b"X: y\r\n" * (MAX_TRAILERS // 6 + 1), b"ab", id="long trailers"
        ),
        pytest.param(b"2;" + b"x" * 4096 + b"\r\nab\r\n0\r\n\r\n", b"", id="a long extension"),
        pytest.param(b"1;xy\r\na\r\n" * 1366, b"a" * 1365, id="extensions of 4098 bytes in all"),
        pytest.param(
            b"1;xyz\r\na\r\n" * 1024 + b"0;\r\n\r\n",
            b"a" * 1024,
            id="extensions of a byte too much",
        ),
    ],
)
@both_loops
async def test_malformed_chunks(body: bytes, came: bytes) -> None:
    async with served() as s:
        client = await s.connect()
        await client.send(CHUNKED + body + GET)
        assert (await client.answer())[0] == 400
        assert await client.ended()
        (request,) = s.app.begun
        assert request.failure is not None and request.failure[0] == 400
        assert request.body == came
        client.leave()


@both_loops
async def test_extensions_within_bounds() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send(CHUNKED + b"1;xyz\r\na\r\n" * 1024 + b"0\r\n\r\n" + GET)
        assert (await client.answer())[0] == (await client.answer())[0] == 200
        assert s.app.requests[0].body == b"a" * 1024


@both_loops
async def test_refused_client_that_goes_on_sending() -> None:
    async with served() as s:
        client = await s.connect()
        s.app.serve = lambda request: None
        await client.send_and_be_read(CHUNKED + b"1\r\na\r\nzz\r\n")
        request = await s.app.arrived.get()
        for _ in range(3):
            await client.send_and_be_read(b"1000\r\n" + b"y" * 800)
        await client.send(b"y" * 100_000)
        assert len(s.app.requests) == 1
        request.answer()
        assert (await client.answer())[0] == 400
        assert await client.ended()
        # It is listened to for a while, and then no longer.
        await client.send_and_be_read(b"y" * 1000)
        assert len(s.server.connections) == 1
        s.clock.advance(3)
        await s.settled(0)


@both_loops
async def test_requests_before_a_malformed_one_are_answered() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send(get("/1") + post("/2", b"a") + b"nonsense\r\n\r\n" + get("/3"))
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


@pytest.mark.parametrize("before", [b"", b"\r\n"])
@both_loops
async def test_request_line_that_does_not_end(before: bytes) -> None:
    # RFC 9112 section 3.
    async with served() as s:
        client = await s.connect()
        await client.send(before + b"GET /" + b"x" * MAX_HEAD)
        assert (await client.answer())[0] == 414
        assert await client.ended()


@both_loops
async def test_head_that_does_not_end() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send(get("/", "Fill: " + "x" * MAX_HEAD)[:-4])
        assert (await client.answer())[0] == 431
        assert await client.ended()


# Clients that are more than there may be.


@pytest.mark.parametrize(
    "request_of",
    [lambda: GET, lambda: post("/up", b"a" * 10), lambda: post_chunked("/up", b"a")],
)
@both_loops
async def test_a_connection_too_many(request_of: Callable[[], bytes]) -> None:
    quotas = Quotas(connections=2)
    async with served(quotas=quotas) as s:
        first, second, third = [await s.connect() for _ in range(3)]
        await s.settled(3)
        assert quotas.connections == 2
        await third.send(request_of())
        assert (await third.answer())[0] == 503
        assert b"Retry-After: 5\r\n" in third.head
        assert await third.ended()
        assert s.app.requests[-1].body == b""
        assert s.app.requests[-1].line.path in ("/up", "/film?a=%20")
        third.leave()
        await s.settled(2)
        # Who was let in is served, and who comes when there is room again.
        second.leave()
        await s.settled(1)
        assert quotas.connections == 1
        fourth = await s.connect()
        for client in (first, fourth):
            await client.send(GET)
            assert (await client.answer())[0] == 200
    assert quotas.connections == 0


@both_loops
async def test_a_connection_too_many_of_an_address() -> None:
    async with served(quotas=Quotas(per_address=1)) as s:
        _, second = await s.connect(), await s.connect()
        await s.settled(2)
        await second.send(GET)
        assert (await second.answer())[0] == 429


@pytest.mark.parametrize("sent", [b"", GET[:10]])
@both_loops
async def test_a_connection_too_many_that_asks_for_nothing(sent: bytes) -> None:
    quotas = Quotas(connections=1)
    async with served(quotas=quotas) as s:
        _, second = await s.connect(), await s.connect()
        await s.settled(2)
        if sent:
            await second.send_and_be_read(sent)
        s.clock.advance(4.9)
        await turns(5)
        assert len(s.server.connections) == 2
        s.clock.advance(0.2)
        assert await second.ended()
        await s.settled(1)
        assert quotas.connections == 1
        assert s.app.begun == []


@both_loops
async def test_whom_no_quotas_are_for() -> None:
    quotas = Quotas(connections=1)
    async with served(quotas=quotas) as s:
        s.server.exempt = lambda address: address != EXEMPT
        clients = [await s.connect() for _ in range(3)]
        for client in clients:
            await client.send(GET)
            assert (await client.answer())[0] == 200
        assert quotas.connections == 0


@both_loops
async def test_a_malformed_head_of_a_client_that_is_one_too_many() -> None:
    async with served(quotas=Quotas(connections=1)) as s:
        _, second = await s.connect(), await s.connect()
        await s.settled(2)
        await second.send(b"nonsense\r\n\r\n")
        assert (await second.answer())[0] == 400
        assert await second.ended()
        s.clock.advance(HEADER_TIMEOUT)
        await s.settled(1)
