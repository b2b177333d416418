"""Requests with a body: how long an origin may take, and which connections they use."""

import asyncio

import pytest

from aprp.upstream.errors import FirstByteTimeout, IdleTimeout, OriginClosed
from aprp.upstream.outgoing import RequestBody
from tests.loops import both_loops, turns
from tests.upstream.fetches import FIRST_BYTE, IDLE, Transfer, origin, sized
from tests.upstream.uploads import (
    BODY,
    TLS,
    Feeder,
    body_for,
    body_of,
    feeding,
    started,
    until_stuck,
)


@both_loops
async def test_a_slow_client_does_not_make_the_origin_late() -> None:
    async with origin() as o:
        body = body_for(b"hello")
        transfer, peer = await started(o, body=body)
        head = await peer.request()
        o.clock.advance(10 * (FIRST_BYTE + IDLE))
        await Feeder(body).feed(b"hel")
        assert await peer.reader.readexactly(3) == b"hel"
        o.clock.advance(10 * (FIRST_BYTE + IDLE))
        await Feeder(body).send(b"lo")
        assert await peer.reader.readexactly(2) == b"lo"
        assert head
        o.clock.advance(FIRST_BYTE - 1)
        await turns(3)
        assert not transfer.future.done()
        o.clock.advance(2)
        assert isinstance(await transfer.error(), FirstByteTimeout)


@both_loops
async def test_a_slow_client_does_not_make_the_origin_late_that_has_begun_to_answer() -> None:
    async with origin() as o:
        body = body_for(b"hello")
        transfer, peer = await started(o, body=body)
        await peer.request()
        await peer.send(sized(b"echo")[:-4])
        await transfer.came.wait()
        o.clock.advance(10 * (FIRST_BYTE + IDLE))
        await Feeder(body).send(b"hello")
        assert await peer.reader.readexactly(5) == b"hello"
        o.clock.advance(IDLE - 1)
        await turns(3)
        assert not transfer.future.done()
        o.clock.advance(2)
        assert isinstance(await transfer.error(), IdleTimeout)


@TLS
@both_loops
async def test_an_origin_that_takes_nothing(tls: bool) -> None:
    async with origin(tls=tls) as o:
        data = BODY * 8
        body = body_for(data)
        transfer, peer = await started(o, body=body)
        await peer.request()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        feeder = Feeder(body)
        sending = asyncio.create_task(feeder.feed(data))
        await until_stuck(transfer)
        o.clock.advance(IDLE - 1)
        await turns(3)
        assert not transfer.future.done()
        # The look that notices the last progress is at most a quarter of the limit late.
        o.clock.advance(IDLE / 4 + 2)
        error = await transfer.error()
        assert isinstance(error, IdleTimeout)
        assert "body taken" in str(error)
        await sending


@pytest.mark.parametrize("method", ["POST", "PUT", "LOCK"])
@both_loops
async def test_body_takes_no_connection_that_was_idle_for_long(method: str) -> None:
    async with origin() as o:
        old = await o.kept()
        o.clock.advance(1.1)
        body = body_for(b"hello")
        transfer, new = await started(o, method, body=body)
        feeder = feeding(body, b"hello")
        assert await body_of(new, await new.request()) == b"hello"
        await new.send(sized(b""))
        await transfer.whole()
        await feeder
        assert (o.events.connects, o.events.reuses) == (2, 0)
        # It is left for a GET.
        assert o.client.pool.idle == 2
        assert not old.reader.at_eof()


@pytest.mark.parametrize(("method", "connects"), [("POST", 2), ("GET", 1), ("DELETE", 1)])
@both_loops
async def test_without_a_body_it_is_up_to_the_method(method: str, connects: int) -> None:
    # RFC 9110 section 9.2.2: what is not idempotent cannot be sent again.
    async with origin() as o:
        old = await o.kept()
        o.clock.advance(1.1)
        transfer = Transfer(o, method)
        peer = old if connects == 1 else await o.server.accept()
        await peer.answer(sized(b""))
        await transfer.whole()
        assert o.events.connects == connects


@both_loops
async def test_sent_again_while_nothing_of_the_body_is_gone() -> None:
    async with origin() as o:
        old = await o.kept()
        body = RequestBody(5)
        transfer = Transfer(o, "PUT", body=body)
        await old.request()
        old.close()
        new = await o.server.accept()
        head = await new.request()
        feeder = feeding(body, b"hello")
        assert await body_of(new, head) == b"hello"
        await feeder
        await new.send(sized(b""))
        await transfer.whole()
        assert (o.events.connects, o.events.reuses) == (2, 1)


@pytest.mark.parametrize(("method", "data"), [("PUT", b"hel"), ("POST", b"")])
@both_loops
async def test_not_sent_again_otherwise(method: str, data: bytes) -> None:
    async with origin() as o:
        old = await o.kept()
        body = RequestBody(5)
        transfer = Transfer(o, method, body=body)
        await old.request()
        await Feeder(body).feed(data)
        assert await old.reader.readexactly(len(data)) == data
        old.close()
        assert isinstance(await transfer.error(), OriginClosed)
        assert o.events.connects == 1
        assert body.released
