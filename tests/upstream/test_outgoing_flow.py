"""A request's body: whose turn it is at every moment, and how it breaks off."""

import asyncio

import pytest

from aprp.upstream.errors import OriginClosed
from aprp.upstream.outgoing import RequestBody
from tests.loops import both_loops
from tests.upstream.fetches import origin, sized
from tests.upstream.uploads import BODY, KNOWN, TLS, Feeder, body_for, body_of, started, until_stuck


@both_loops
async def test_more_or_less_than_was_announced() -> None:
    long, short = RequestBody(3), RequestBody(3)
    with pytest.raises(ValueError, match="fed 4"):
        long.feed(memoryview(b"1234"))
    short.release()
    short.feed(memoryview(b"12"))
    with pytest.raises(ValueError, match="ended at 2"):
        short.end()


@both_loops
async def test_released_body_lets_the_client_go() -> None:
    body = RequestBody(None)
    waiting = body.feed(memoryview(b"12"))
    assert waiting is not None
    body.release()
    await waiting
    assert body.feed(memoryview(b"34")) is None
    body.end()
    assert not body.started


@TLS
@KNOWN
@both_loops
async def test_an_origin_that_does_not_read_holds_back_the_client(known: bool, tls: bool) -> None:
    async with origin(tls=tls) as o:
        data = BODY * 8
        body = body_for(data, known)
        transfer, peer = await started(o, body=body)
        head = await peer.request()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        feeder = Feeder(body)
        sending = asyncio.create_task(feeder.send(data))
        await until_stuck(transfer)
        assert not sending.done()
        assert feeder.taken < len(data) - 1_000_000
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await body_of(peer, head) == data
        await sending
        await peer.send(sized(b"thanks"))
        await transfer.whole()
        assert o.client.pool.idle == 1


@TLS
@both_loops
async def test_client_that_breaks_off(tls: bool) -> None:
    # An incomplete request must not look like a complete one (RFC 9112 section 8).
    async with origin(tls=tls) as o:
        body = RequestBody(None)
        transfer, peer = await started(o, body=body)
        await peer.request()
        await Feeder(body).feed(b"some")
        assert await peer.reader.readexactly(9) == b"4\r\nsome\r\n"
        body.fail(OriginClosed("the client has left"))
        assert "the client has left" in str(await transfer.error())
        assert await peer.closed()


@pytest.mark.parametrize("released", [False, True])
@both_loops
async def test_client_that_breaks_off_before_anything_is_sent(released: bool) -> None:
    async with origin() as o:
        body = RequestBody(100)
        body.fail(OriginClosed("the client has left"))
        if released:
            body.release()
        transfer, peer = await started(o, body=body)
        assert "the client has left" in str(await transfer.error())
        assert await peer.closed()


@both_loops
async def test_client_that_cannot_be_told_to_send() -> None:
    async with origin() as o:
        body = RequestBody(100)

        def tell() -> None:
            raise OriginClosed("the client has left")

        body.on_wanted = tell
        transfer, peer = await started(o, body=body)
        assert "the client has left" in str(await transfer.error())
        assert await peer.closed()


@pytest.mark.parametrize("stalled", [False, True])
@TLS
@both_loops
async def test_abort_in_the_middle_of_a_body(tls: bool, stalled: bool) -> None:
    async with origin(tls=tls) as o:
        body = RequestBody(None)
        transfer, peer = await started(o, body=body)
        await peer.request()
        sending = None
        if stalled:
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            feeder = Feeder(body)
            sending = asyncio.create_task(feeder.feed(BODY * 8))
            await until_stuck(transfer)
            assert not sending.done()
        transfer.request.abort()
        await transfer.error()
        if sending is not None:
            await sending
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert body.released
        assert body.feed(memoryview(b"x")) is None
