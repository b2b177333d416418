"""How long an origin took: from the request, sent whole, to the head of its answer."""

import pytest

from tests.loops import both_loops, turns
from tests.upstream.fetches import Origin, Transfer, origin, sized
from tests.upstream.uploads import TLS, Feeder, body_for, body_of

EXPECT = [("Host", "origin.example"), ("Expect", "100-continue")]
UPGRADE = {"Host": "origin.example", "Connection": "upgrade", "Upgrade": "echo"}
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"


def seconds(o: Origin) -> list[float]:
    """What was told, rounded: the clock's own time is no round number."""
    return [round(wait, 6) for wait in o.events.waits]


@TLS
@both_loops
async def test_until_the_head(tls: bool) -> None:
    async with origin(tls=tls) as o:
        transfer, peer = await o.ask()
        o.clock.advance(1.5)
        await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Le")
        await turns(20)
        assert seconds(o) == []
        o.clock.advance(0.5)
        await peer.send(b"ngth: 4\r\n\r\n12")
        await transfer.came.wait()
        assert seconds(o) == [2.0]
        o.clock.advance(3)
        await peer.send(b"34")
        await transfer.whole()
        assert seconds(o) == [2.0]


@both_loops
async def test_on_a_kept_connection_and_on_a_new_one_after_it() -> None:
    """A request that is sent again is counted from then."""
    async with origin() as o:
        first = await o.kept()
        transfer = Transfer(o)
        await first.request()
        o.clock.advance(5)
        first.close()
        second = await o.server.accept()
        await second.request()
        o.clock.advance(0.25)
        await second.send(sized(b"x"))
        await transfer.whole()
        assert seconds(o) == [0.0, 0.25]


@TLS
@pytest.mark.parametrize("known", [True, False])
@both_loops
async def test_a_client_that_sends_slowly_makes_no_slow_origin(known: bool, tls: bool) -> None:
    async with origin(tls=tls) as o:
        body = body_for(b"hello world", known)
        transfer = Transfer(o, "POST", body=body)
        peer = await o.server.accept()
        head = await peer.request()
        feeder = Feeder(body)
        await feeder.feed(b"hello ")
        o.clock.advance(4)
        await feeder.send(b"world")
        assert await body_of(peer, head) == b"hello world"
        o.clock.advance(0.5)
        await peer.send(sized(b""))
        await transfer.whole()
        assert seconds(o) == [0.5]


@both_loops
async def test_an_answer_before_the_request_is_sent_whole_is_not_measured() -> None:
    async with origin() as o:
        body = body_for(b"hello")
        transfer = Transfer(o, "POST", headers=EXPECT, body=body)
        peer = await o.server.accept()
        await peer.request()
        o.clock.advance(0.5)
        await peer.send(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
        await transfer.whole()
        assert transfer.heads[0].status == 417
        assert seconds(o) == []


@both_loops
async def test_a_switch_is_an_answer_too() -> None:
    async with origin() as o:
        transfer = Transfer(o, headers=UPGRADE, upgrade=True)
        peer = await o.server.accept()
        await peer.request()
        o.clock.advance(0.75)
        await peer.send(SWITCH)
        await transfer.whole()
        assert seconds(o) == [0.75]
        transfer.request.detach().transport.abort()


@both_loops
async def test_what_is_no_answer_is_not_measured() -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        await peer.send(b"nonsense\r\n\r\n")
        await transfer.error()
        assert seconds(o) == []
