"""A connection to an origin: what responses it understands, and what it does with others."""

import pytest

from aprp.semantics.framing import Delimiter
from aprp.upstream.errors import BadResponse, HeadTooLarge, OriginClosed
from tests.loops import both_loops
from tests.upstream.connections import MAX_HEAD, linked

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSE, CHUNKS = Delimiter.CLOSE, Delimiter.CHUNKED

# method, response, length, body, may the connection be kept
COMPLETE = [
    pytest.param("GET", OK + b"Content-Length: 5\r\n\r\nhello", 5, b"hello", True, id="sized"),
    pytest.param("GET", OK + b"Content-Length: 0\r\n\r\n", 0, b"", True, id="empty"),
    pytest.param(
        "GET", OK + b"Content-Length: 2, 2\r\n\r\nhi", 2, b"hi", True, id="equal lengths in a list"
    ),
    pytest.param(
        "GET",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        2,
        b"hi",
        True,
        id="equal lengths repeated",
    ),
    pytest.param(
        "GET", CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", CHUNKS, b"hello", True, id="chunked"
    ),
    pytest.param("GET", CHUNKED + b"0\r\n\r\n", CHUNKS, b"", True, id="no chunk"),
    pytest.param(
        "GET",
        CHUNKED + b"A;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
        CHUNKS,
        b"0123456789",
        True,
        id="extension and trailer",
    ),
    pytest.param(
        "GET",
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi",
        2,
        b"hi",
        False,
        id="sized, Connection: close",
    ),
    pytest.param(
        "GET", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 2, b"hi", False, id="HTTP/1.0"
    ),
    pytest.param(
        "GET",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
        2,
        b"hi",
        True,
        id="HTTP/1.0 with keep-alive",
    ),
    pytest.param("HEAD", OK + b"Content-Length: 5000\r\n\r\n", 0, b"", True, id="HEAD"),
    pytest.param("HEAD", CHUNKED, 0, b"", True, id="HEAD of a chunked answer"),
    pytest.param("HEAD", OK + b"\r\n", 0, b"", True, id="HEAD without a length"),
    pytest.param("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 0, b"", True, id="204"),
    pytest.param("GET", b"HTTP/1.1 304 No\r\nContent-Length: 5000\r\n\r\n", 0, b"", True, id="304"),
    pytest.param(
        "GET", b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", 1, b"x", True, id="no reason"
    ),
]


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize(("method", "response", "length", "body", "kept"), COMPLETE)
@both_loops
async def test_complete_response(
    method: str, response: bytes, length: int | Delimiter, body: bytes, kept: bool, tls: bool
) -> None:
    async with linked(tls=tls) as link:
        receiver = await link.ask(method)
        await link.peer.send(response)
        assert await receiver.reusable() is kept
        assert (receiver.length, receiver.body) == (length, body)
        assert link.connection.usable is kept
        if not kept:
            assert await link.peer.closed()


@pytest.mark.parametrize(("method", "response", "length", "body", "kept"), COMPLETE)
@both_loops
async def test_response_that_comes_byte_by_byte(
    method: str, response: bytes, length: int | Delimiter, body: bytes, kept: bool
) -> None:
    async with linked() as link:
        receiver = await link.ask(method)
        await link.dribble(response)
        assert await receiver.reusable() is kept
        assert (receiver.length, receiver.body) == (length, body)
        assert len(receiver.heads) == 1


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("body", [b"", b"x", b"until the end" * 10_000], ids=len)
@both_loops
async def test_body_that_the_close_ends(body: bytes, tls: bool) -> None:
    async with linked(tls=tls) as link:
        receiver = await link.ask()
        await link.peer.send(OK + b"\r\n" + body)
        link.peer.close()
        assert await receiver.reusable() is False
        assert (receiver.length, receiver.body) == (CLOSE, body)


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@both_loops
async def test_connection_is_used_again_and_again(tls: bool) -> None:
    async with linked(tls=tls) as link:
        for number in range(20):
            body = b"%d" % number * 3000
            receiver = await link.ask()
            head = OK + b"Content-Length: %d\r\n\r\n" % len(body)
            if number % 2:
                await link.peer.send(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            else:
                await link.peer.send(head + body)
            assert await receiver.reusable()
            assert receiver.body == body
            assert link.connection.served == number + 1
        assert link.pool.lent == set()


@both_loops
async def test_interim_responses_come_before_the_final_one() -> None:
    # RFC 9110 section 15.2: any number of them, and a client that did not ask ignores them.
    async with linked() as link:
        receiver = await link.ask()
        await link.dribble(b"HTTP/1.1 100 Continue\r\n\r\n")
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        await link.peer.send(hints + hints + OK + b"Content-Length: 2\r\n\r\nhi")
        assert await receiver.reusable()
        assert receiver.interim == [100, 103, 103]
        assert (receiver.heads[0].status, receiver.body) == (200, b"hi")


@pytest.mark.parametrize(
    "surplus", [b"x", OK + b"Content-Length: 0\r\n\r\n"], ids=["a byte", "a response"]
)
@pytest.mark.parametrize(
    "response",
    [
        OK + b"Content-Length: 2\r\n\r\nhi",
        CHUNKED + b"2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
    ids=["sized", "chunked", "204"],
)
@both_loops
async def test_bytes_after_a_response_close_the_connection(response: bytes, surplus: bytes) -> None:
    async with linked() as link:
        receiver = await link.ask()
        link.peer.writer.write(response + surplus)
        assert await receiver.reusable() is False
        assert receiver.body in (b"hi", b"")
        assert not link.connection.usable
        assert await link.peer.closed()


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("served", [False, True], ids=["fresh", "kept"])
@both_loops
async def test_unasked_bytes_close_an_idle_connection(served: bool, tls: bool) -> None:
    async with linked(tls=tls) as link:
        if served:
            receiver = await link.ask()
            await link.peer.send(OK + b"Content-Length: 0\r\n\r\n")
            assert await receiver.reusable()
        await link.peer.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await link.connection.gone.wait()
        assert await link.peer.closed()


MALFORMED = [
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 2x0 OK\r\n\r\n",
    b"HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\r\n\r\n",
    OK + b"Content-Length: five\r\n\r\n",
    OK + b"Content-Length: -5\r\n\r\n",
    OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    OK + b"Content-Length: 5, 6\r\n\r\n",
    OK + b"Content-Length: 99999999999999999999\r\n\r\n",
    OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK + b"Transfer-Encoding: gzip\r\n\r\n",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    OK + b"Folded: a\r\n b\r\n\r\n",
    OK + b"Space : a\r\n\r\n",
    OK + b": no name\r\n\r\n",
    OK + b"Nul: a\0b\r\n\r\n",
    OK + b"Bare: a\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\nBare: a\n\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n" * 11,
    CHUNKED + b"zz\r\n",
    CHUNKED + b"-1\r\n",
    CHUNKED + b"5 \n",
    CHUNKED + b"2\r\nhixx\r\n",
    CHUNKED + b"0\r\nbare\n\r\n",
]


@pytest.mark.parametrize("response", MALFORMED)
@both_loops
async def test_malformed_response(response: bytes) -> None:
    async with linked() as link:
        receiver = await link.ask()
        link.peer.writer.write(response)
        assert isinstance(await receiver.failure(), BadResponse)
        assert await link.peer.closed()


@pytest.mark.parametrize("response", MALFORMED)
@both_loops
async def test_malformed_response_byte_by_byte(response: bytes) -> None:
    async with linked() as link:
        receiver = await link.ask()
        await link.dribble(response)
        assert isinstance(await receiver.failure(), BadResponse)
        assert await link.peer.closed()


def _head(size: int) -> bytes:
    """A head of so many bytes, of a response without a body."""
    start = OK + b"Content-Length: 0\r\nFill: "
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "fits"),
    [
        pytest.param(_head(MAX_HEAD), True, id="just fits"),
        pytest.param(_head(MAX_HEAD + 1), False, id="a byte too large"),
        pytest.param(_head(MAX_HEAD * 100), False, id="far too large"),
        pytest.param(_head(MAX_HEAD + 5)[:-4], False, id="without an end"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + _head(MAX_HEAD), True, id="each by itself"),
    ],
)
@both_loops
async def test_size_of_the_head(sent: bytes, fits: bool) -> None:
    async with linked() as link:
        receiver = await link.ask()
        link.peer.writer.write(sent)
        if fits:
            assert await receiver.reusable()
        else:
            assert isinstance(await receiver.failure(), HeadTooLarge)


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        pytest.param(b"", False, id="before the answer"),
        pytest.param(OK[:9], True, id="in the head"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", True, id="after an interim response"),
        pytest.param(OK + b"Content-Length: 5\r\n\r\n", True, id="before the body"),
        pytest.param(OK + b"Content-Length: 5\r\n\r\nhell", True, id="in the body"),
        pytest.param(CHUNKED, True, id="before the chunks"),
        pytest.param(CHUNKED + b"5\r\nhell", True, id="in a chunk"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n", True, id="between chunks"),
        pytest.param(CHUNKED + b"0\r\n", True, id="before the last empty line"),
    ],
)
@both_loops
async def test_connection_lost(sent: bytes, seen: bool, reset: bool, tls: bool) -> None:
    async with linked(tls=tls) as link:
        receiver = await link.ask()
        await link.dribble(sent)
        if reset:
            link.peer.reset()
        else:
            link.peer.close()
        assert isinstance(await receiver.failure(), OriginClosed)
        assert link.connection.bytes_seen is seen
        assert receiver.body in (b"", b"hell", b"hello")


@both_loops
async def test_reset_does_not_end_a_body_that_the_close_ends() -> None:
    async with linked() as link:
        receiver = await link.ask()
        await link.dribble(OK + b"\r\nhalf")
        link.peer.reset()
        assert isinstance(await receiver.failure(), OriginClosed)
