"""A request's body that waits for the origin's consent (RFC 9110 section 10.1.1)."""

import pytest

from aprp.upstream.sending import CONTINUE_WAIT
from tests.loops import both_loops, turns
from tests.upstream.fetches import Transfer, origin, sized
from tests.upstream.uploads import KNOWN, TLS, body_for, body_of, feeding

EXPECT = [("Host", "origin.example"), ("Expect", "100-continue")]


@TLS
@KNOWN
@both_loops
async def test_body_waits_for_the_origins_consent(known: bool, tls: bool) -> None:
    # RFC 9110 section 10.1.1.
    async with origin(tls=tls) as o:
        body = body_for(b"hello", known)
        wanted: list[bool] = []
        body.on_wanted = lambda: wanted.append(body.started)
        transfer = Transfer(o, "POST", headers=EXPECT, body=body)
        peer = await o.server.accept()
        head = await peer.request()
        assert b"\r\nExpect: 100-continue\r\n" in head
        feeder = feeding(body, b"hello")
        await turns(20)
        assert (wanted, body.started) == ([], False)
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await body_of(peer, head) == b"hello"
        assert wanted == [False]
        await feeder
        # A second one means nothing.
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"thanks"))
        await transfer.whole()
        assert transfer.interim == []
        assert wanted == [False]
        assert o.client.pool.idle == 1


@both_loops
async def test_body_goes_where_consent_is_long_in_coming() -> None:
    async with origin() as o:
        body = body_for(b"hello")
        transfer = Transfer(o, "POST", headers=EXPECT, body=body)
        peer = await o.server.accept()
        head = await peer.request()
        feeder = feeding(body, b"hello")
        await turns(5)
        o.clock.advance(CONTINUE_WAIT - 0.01)
        assert not body.started
        o.clock.advance(0.02)
        assert await body_of(peer, head) == b"hello"
        await feeder
        await peer.send(sized(b""))
        await transfer.whole()


@pytest.mark.parametrize("status", [b"417 Expectation Failed", b"200 OK", b"401 Unauthorized"])
@both_loops
async def test_final_answer_in_the_place_of_consent(status: bytes) -> None:
    async with origin() as o:
        body = body_for(b"hello")
        body.on_wanted = lambda: pytest.fail("nobody wants it")
        transfer = Transfer(o, "POST", headers=EXPECT, body=body)
        peer = await o.server.accept()
        await peer.request()
        feeder = feeding(body, b"hello")
        await peer.send(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nno" % status)
        await transfer.whole()
        await feeder
        assert transfer.body == b"no"
        assert (body.started, body.released) == (False, True)
        # What the head announced was not sent: the next request would be taken for it.
        assert await peer.closed()


@both_loops
async def test_abort_while_consent_is_awaited() -> None:
    async with origin() as o:
        body = body_for(b"hello")
        transfer = Transfer(o, "POST", headers=EXPECT, body=body)
        peer = await o.server.accept()
        await peer.request()
        transfer.request.abort()
        await transfer.error()
        assert await peer.closed()
        assert o.clock.pending == []
