"""A fetch of the proxy's own: what is sent, what is handed on, and how long it may take."""

import asyncio
import random

import pytest

from aprp.upstream.errors import BadResponse, FirstByteTimeout, IdleTimeout, OriginClosed
from tests.loops import both_loops, turns
from tests.upstream.fetches import FIRST_BYTE, IDLE, OK, Transfer, origin, silent_after, sized

BODY = random.Random(3).randbytes(1 << 20)


@both_loops
async def test_the_request_goes_out_as_it_is() -> None:
    async with origin() as o:
        fields = {"Host": "o.example", "Range": "bytes=0-1", "X-\u00e9": "\u00e4 b"}
        transfer = Transfer(o, "GET", "/a%20b/\u00e9?q=%2F&r", fields)
        peer = await o.server.accept()
        sent = await peer.answer(sized(b""))
        assert sent == (
            b"GET /a%20b/\xe9?q=%2F&r HTTP/1.1\r\n"
            b"Host: o.example\r\nRange: bytes=0-1\r\nX-\xe9: \xe4 b\r\n\r\n"
        )
        await transfer.whole()


@both_loops
async def test_head_and_body_come_in_order() -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        await peer.send(OK + b'Content-Length: 10\r\nETag: "x"\r\n\r\n')
        await transfer.came.wait()
        assert (transfer.heads[0].status, transfer.heads[0].reason) == (200, "OK")
        assert transfer.heads[0].fields.get("etag") == '"x"'
        assert transfer.body == b""
        await peer.send(b"0123456789")
        response = await transfer.whole()
        assert (response.code, response.reason, transfer.body) == (200, "OK", b"0123456789")


@pytest.mark.parametrize("status", [b"404 Not Found", b"500 Oops", b"302 Found", b"416 No"])
@both_loops
async def test_every_status_is_handed_on(status: bytes) -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        await peer.send(b"HTTP/1.1 %b\r\nLocation: /b\r\nContent-Length: 2\r\n\r\nhi" % status)
        response = await transfer.whole()
        assert (response.code, transfer.body) == (int(status[:3]), b"hi")


@both_loops
async def test_connections_are_used_again() -> None:
    async with origin() as o:
        peer = await o.kept()
        for number in range(1, 4):
            transfer = Transfer(o)
            await peer.answer(sized(b"again"))
            await transfer.whole()
            assert (o.events.connects, o.events.reuses) == (1, number)
        assert o.events.bytes == 15
        assert len(o.server.peers) == 1


@both_loops
async def test_a_connection_in_use_is_nobody_elses() -> None:
    async with origin() as o:
        await o.kept()
        first = Transfer(o)
        second, other = await o.ask()
        await other.send(sized(b"second"))
        await second.whole()
        await o.server.peers[0].answer(sized(b"first"))
        await first.whole()
        assert (first.body, second.body) == (b"first", b"second")


@both_loops
async def test_what_returns_from_on_body_is_awaited() -> None:
    async with origin() as o:
        transfer, peer = await o.ask(hold=True)
        sending = asyncio.create_task(peer.send(sized(BODY)))
        rounds = 0
        while not transfer.future.done():
            # The transfer itself checks that nothing more comes while it holds bytes.
            await turns(1)
            if transfer.views:
                rounds += 1
                transfer.take()
                transfer.hold = asyncio.get_running_loop().create_future()
        await sending
        assert transfer.body == BODY
        assert rounds > 1


@both_loops
async def test_no_answer() -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        o.clock.advance(FIRST_BYTE - 0.1)
        await turns(3)
        assert not transfer.future.done()
        o.clock.advance(0.2)
        assert isinstance(await transfer.error(), FirstByteTimeout)
        assert await peer.closed()


@pytest.mark.parametrize("piece", [b"HTTP/1.1 2", b"HTTP/1.1 103 Early Hints\r\n\r\nH"])
@both_loops
async def test_answer_that_begins_and_does_not_go_on(piece: bytes) -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        o.clock.advance(FIRST_BYTE - 1)
        await peer.send(piece)
        while not o.pool.lent:
            await turns(1)
        o.clock.advance(2)
        assert isinstance(await transfer.error(), FirstByteTimeout)


@pytest.mark.parametrize(
    "idle", [IDLE, FIRST_BYTE / 10], ids=["longer than for the head", "shorter"]
)
@both_loops
async def test_silence_in_the_body(idle: float) -> None:
    async with origin() as o:
        transfer, peer = await o.ask(idle=idle)
        o.clock.advance(FIRST_BYTE / 2)
        await peer.send(sized(BODY)[:1000])
        await transfer.came.wait()
        o.clock.advance(idle - 0.1)
        await turns(3)
        assert not transfer.future.done()
        o.clock.advance(0.2)
        assert isinstance(await transfer.error(), IdleTimeout)
        assert await peer.closed()


@both_loops
async def test_bytes_now_and_then_are_no_silence() -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        response = sized(b"0123456789")
        for place in range(len(response) - 10, len(response)):
            await peer.send(
                response[place : place + 1] if transfer.heads else response[: place + 1]
            )
            while not transfer.body.endswith(response[place : place + 1]):
                await turns(1)
            o.clock.advance(IDLE - 0.1)
        await transfer.whole()
        assert transfer.body == b"0123456789"


@both_loops
async def test_a_client_that_takes_its_time_is_no_silence_of_the_origin() -> None:
    async with origin() as o:
        transfer, peer = await o.ask(hold=True)
        await peer.send(sized(b"0123456789")[:-1])
        while not transfer.views:
            await turns(1)
        await silent_after(o, transfer, transfer.take)


@pytest.mark.parametrize("where", ["at_head", "at_body"])
@both_loops
async def test_error_in_a_callback_ends_the_fetch(where: str) -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        error = LookupError("a mistake")

        def fail() -> None:
            raise error

        setattr(transfer, where, fail)
        await peer.send(sized(BODY)[:50_000])
        assert await transfer.error() is error
        assert await peer.closed()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", BadResponse),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", BadResponse),
        (sized(b"whole")[:-1], OriginClosed),
        (OK[:5], OriginClosed),
        (b"", OriginClosed),
    ],
)
@both_loops
async def test_answer_that_is_none(answer: bytes, kind: type[Exception]) -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        peer.writer.write(answer)
        peer.close()
        assert isinstance(await transfer.error(), kind)
        assert len(o.server.peers) == 1


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        pytest.param("/a\r\nX: y", {"Host": "h"}, id="line end in the target"),
        pytest.param("/a b", {"Host": "h"}, id="space in the target"),
        pytest.param("/a\0", {"Host": "h"}, id="NUL in the target"),
        pytest.param("/a", {"Host": "h\r\nX: y"}, id="line end in a value"),
        pytest.param("/a", {"Host": "h\nX: y"}, id="line feed in a value"),
        pytest.param("/a", {"Host": "h\rX: y"}, id="carriage return in a value"),
        pytest.param("/a", {"Host": "h\0"}, id="NUL in a value"),
        pytest.param("/a", {"Host": "h", "X: y\r\nZ": "1"}, id="line end in a name"),
        pytest.param("/a", {"Host": "h", "X": "\u4e2d"}, id="not latin-1"),
    ],
)
@both_loops
async def test_nothing_can_be_put_into_a_head(target: str, headers: dict[str, str]) -> None:
    async with origin() as o:
        transfer = Transfer(o, "GET", target, headers)
        assert isinstance(await transfer.error(), ValueError)
        transfer.request.abort()
        await turns(10)
        assert (o.events.connects, o.server.peers) == (0, [])


@both_loops
async def test_a_closed_client_fetches_nothing() -> None:
    async with origin() as o:
        o.client.close()
        with pytest.raises(RuntimeError, match="closed"):
            Transfer(o)
