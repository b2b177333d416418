"""Answers that come before the request's body is complete, and origins that stop reading it."""

import asyncio
import random

import pytest

from aprp.upstream.errors import OriginClosed
from aprp.upstream.outgoing import RequestBody
from tests.loops import both_loops, turns
from tests.upstream.fetches import OK, Transfer, origin, sized
from tests.upstream.uploads import (
    KNOWN,
    TLS,
    Feeder,
    arrived,
    body_of,
    feeding,
    started,
    until_stuck,
)

BODY = random.Random(5).randbytes(30_000_000)
TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nlarge"


@TLS
@KNOWN
@both_loops
async def test_both_bodies_at_the_same_time(known: bool, tls: bool) -> None:
    async with origin(tls=tls) as o:
        data = BODY[:3_000_000]
        body = RequestBody(len(data) if known else None)
        transfer, peer = await started(o, body=body)
        head = await peer.request()
        await peer.send(OK + b"Content-Length: 6\r\n\r\nbef")
        await transfer.came.wait()
        feeder = feeding(body, data)
        assert await body_of(peer, head) == data
        await feeder
        assert not transfer.future.done()
        await peer.send(b"ore")
        await transfer.whole()
        assert transfer.body == b"before"
        assert o.client.pool.idle == 1


@TLS
@pytest.mark.parametrize("fed", [0, 5, len(BODY)], ids=["nothing", "some", "stuck"])
@both_loops
async def test_answer_is_over_before_the_body(fed: int, tls: bool) -> None:
    async with origin(tls=tls) as o:
        body = RequestBody(len(BODY))
        transfer, peer = await started(o, body=body)
        await peer.request()
        feeder = Feeder(body)
        sending = asyncio.create_task(feeder.feed(BODY[:fed]))
        if fed == len(BODY):
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until_stuck(transfer)
        else:
            assert await peer.reader.readexactly(fed) == BODY[:fed]
        await peer.send(sized(b"enough"))
        await transfer.whole()
        assert transfer.body == b"enough"
        # Whoever feeds is let go, and may feed on.
        await sending
        assert body.released
        assert (body.feed(memoryview(b"x")) if fed < len(BODY) else None) is None
        # The rest of the body would be taken for the next request.
        assert o.client.pool.idle == 0
        assert o.client.pool.active == 0


@KNOWN
@pytest.mark.parametrize("read", [1, 1_000_000])
@both_loops
async def test_answer_of_an_origin_that_resets(read: int, known: bool) -> None:
    # It closes with bytes unread, so that its system answers what comes with a reset.
    async with origin() as o:
        body = RequestBody(len(BODY) if known else None)
        transfer, peer = await started(o, body=body)
        await peer.request()
        feeder = Feeder(body)
        sending = asyncio.create_task(feeder.feed(BODY))
        await peer.reader.readexactly(read)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until_stuck(transfer)
        assert not sending.done()
        await peer.send(TOO_LARGE)
        peer.close()
        await transfer.whole()
        await sending
        assert transfer.heads[0].status == 413
        assert transfer.body == b"large"
        assert o.client.pool.idle == 0


@both_loops
async def test_answer_that_is_not_read_yet_when_a_write_fails() -> None:
    async with origin() as o:
        body = RequestBody(None)
        transfer = Transfer(o, "POST", body=body, hold=True)
        peer = await o.server.accept()
        await peer.request()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await Feeder(body).feed(b"some")
        # The client takes its time, so that most of the answer stays in the socket.
        answer = BODY[:40_000]
        await peer.send(sized(answer))
        await arrived(peer)
        assert transfer.views
        peer.close()
        while not body.released:
            await Feeder(body).feed(b"more")
            await turns(1)
        assert not transfer.future.done()
        transfer.take()
        await transfer.whole()
        assert transfer.body == answer


@TLS
@both_loops
async def test_nothing_was_answered(tls: bool) -> None:
    async with origin(tls=tls) as o:
        body = RequestBody(None)
        transfer, peer = await started(o, body=body)
        await peer.request()
        feeder = Feeder(body)
        sending = asyncio.create_task(feeder.feed(BODY))
        await peer.reader.readexactly(10)
        peer.reset()
        assert isinstance(await transfer.error(), OriginClosed)
        await sending
        assert body.released


@TLS
@both_loops
async def test_an_origin_that_will_close_gets_no_more(tls: bool) -> None:
    # RFC 9112 section 9.5: the client should cease sending, and read the answer.
    async with origin(tls=tls) as o:
        body = RequestBody(None)
        transfer, peer = await started(o, body=body)
        await peer.request()
        await peer.send(TOO_LARGE[:-1])
        await transfer.came.wait()
        while not body.released:
            await turns(1)
        assert body.feed(memoryview(b"more")) is None
        await peer.send(b"e")
        await transfer.whole()
        assert transfer.body == b"large"
        assert await peer.closed()


@pytest.mark.parametrize(
    "head", [b"413 Content Too Large\r\nContent-Length: 2", b"200 OK\r\nConnection: close"]
)
@both_loops
async def test_other_answers_do_not_end_the_body(head: bytes) -> None:
    async with origin() as o:
        body = RequestBody(5)
        transfer, peer = await started(o, body=body)
        await peer.request()
        await peer.send(b"HTTP/1.1 %b\r\n\r\nh" % head)
        await transfer.came.wait()
        await feeding(body, b"hello")
        assert await peer.reader.readexactly(5) == b"hello"
        await peer.send(b"i")
        peer.close()
        await transfer.whole()
        assert transfer.body == b"hi"


@both_loops
async def test_on_head_that_aborts() -> None:
    async with origin() as o:
        body = RequestBody(5)
        transfer = Transfer(o, "POST", body=body)
        transfer.at_head = transfer.request.abort
        peer = await o.server.accept()
        await peer.request()
        await peer.send(sized(b"early"))
        await transfer.error()
        assert body.released
        assert await peer.closed()
