"""The 101 response: a connection that HTTP is over on is given away with all that came on it."""

import asyncio

import pytest

from aprp.upstream.detached import Detached
from aprp.upstream.errors import Aborted, BadResponse, OriginClosed
from aprp.upstream.outgoing import RequestBody
from tests.loops import both_loops, turns
from tests.upstream.askers import Talk
from tests.upstream.fetches import CONNECT, Origin, Transfer, origin, sized
from tests.upstream.uploads import arrived, body_of, feeding

ASKS = {"Host": "origin.example", "Connection": "upgrade", "Upgrade": "echo"}
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
TLS = pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])


def asks(o: Origin, method: str = "GET", body: RequestBody | None = None) -> Transfer:
    return Transfer(o, method, headers=ASKS, upgrade=True, body=body)


@TLS
@pytest.mark.parametrize("early", [b"", b"hello ", b"hello " * 20_000], ids=["no", "some", "much"])
@pytest.mark.parametrize("where", ["in on_head", "afterwards"])
@both_loops
async def test_connection_is_given_away(where: str, early: bytes, tls: bool) -> None:
    async with origin(tls=tls) as o:
        transfer = asks(o)
        got: list[Detached] = []
        if where == "in on_head":
            transfer.at_head = lambda: got.append(transfer.request.detach())
        peer = await o.server.accept()
        await peer.request()
        # What the origin says first in the other protocol comes with its head.
        sending = asyncio.create_task(peer.send(SWITCH + early))
        await transfer.whole()
        if where == "afterwards":
            got.append(transfer.request.detach())
        assert transfer.heads[0].status == 101
        assert transfer.heads[0].fields.get("upgrade") == "echo"
        assert o.client.pool.active == 0
        [detached] = got
        assert (detached.tcp is not None) is tls
        talk = Talk(detached)
        await talk.until(early)
        await sending
        await peer.send(b"world")
        await talk.until(early + b"world")
        detached.transport.write(b"and back")
        assert await peer.reader.readexactly(8) == b"and back"
        assert o.pool.lent == set()
        assert len(o.client._connections) == 1
        peer.close()
        await talk.gone.wait()
        assert o.client._connections == set()
        # It is not there for another request.
        assert o.client.pool.idle == 0
        with pytest.raises(OriginClosed):
            transfer.request.detach()


@TLS
@both_loops
async def test_waits_while_nobody_listens(tls: bool) -> None:
    async with origin(tls=tls) as o:
        transfer = asks(o)
        peer = await o.server.accept()
        await peer.request()
        await peer.send(SWITCH)
        await transfer.whole()
        await peer.send(b"one")
        await arrived(peer)
        await turns(5)
        await peer.send(b"two")
        talk = Talk(transfer.request.detach())
        await talk.until(b"onetwo")
        talk.detached.transport.abort()
        await talk.gone.wait()


@TLS
@both_loops
async def test_client_closed_with_the_tunnel_open(tls: bool) -> None:
    async with origin(tls=tls) as o:
        transfer = asks(o)
        peer = await o.server.accept()
        await peer.answer(SWITCH)
        await transfer.whole()
        talk = Talk(transfer.request.detach())
        o.client.close()
        await talk.gone.wait()
        assert await peer.closed()


@pytest.mark.parametrize("how", ["expiry", "abort", "close"])
@both_loops
async def test_nobody_takes_it(how: str) -> None:
    async with origin() as o:
        transfer = asks(o)
        peer = await o.server.accept()
        await peer.answer(SWITCH + b"hello")
        await transfer.whole()
        if how == "expiry":
            o.clock.advance(CONNECT - 0.1)
            assert len(o.client._connections) == 1
            o.clock.advance(0.2)
        elif how == "abort":
            transfer.request.abort()
        else:
            o.client.close()
        assert await peer.closed()
        await turns(5)
        assert o.client._connections == set()
        with pytest.raises(OriginClosed):
            transfer.request.detach()
        assert o.clock.pending == []


@pytest.mark.parametrize("aborts", [True, False])
@both_loops
async def test_on_head_that_fails(aborts: bool) -> None:
    async with origin() as o:
        transfer = asks(o)

        def fail() -> None:
            raise RuntimeError("the client is gone")

        transfer.at_head = transfer.request.abort if aborts else fail
        peer = await o.server.accept()
        await peer.answer(SWITCH + b"hello")
        error = await transfer.error()
        assert isinstance(error, Aborted) if aborts else str(error) == "the client is gone"
        assert await peer.closed()
        with pytest.raises(OriginClosed):
            transfer.request.detach()


@both_loops
async def test_origin_that_does_not_switch() -> None:
    # RFC 9110 section 7.8: a server may ignore Upgrade.
    async with origin() as o:
        transfer = asks(o)
        peer = await o.server.accept()
        await peer.answer(b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\n"
                          b"Content-Length: 5\r\n\r\nplain")  # fmt: skip
        await transfer.whole()
        assert (transfer.heads[0].status, transfer.body) == (200, b"plain")
        assert o.client.pool.idle == 1


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        pytest.param(False, SWITCH, id="not asked"),
        pytest.param(False, b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="not asked, bare"),
        pytest.param(True, b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="to what?"),
        pytest.param(True, SWITCH[:-2] + b"Content-Length: 3\r\n\r\n", id="with a body"),
    ],
)
@both_loops
async def test_101_that_means_nothing(asked: bool, answer: bytes) -> None:
    # RFC 9110 section 15.2.2.
    async with origin() as o:
        transfer = asks(o) if asked else Transfer(o)
        peer = await o.server.accept()
        await peer.answer(answer + sized(b"x"))
        assert isinstance(await transfer.error(), BadResponse)
        assert await peer.closed()


@both_loops
async def test_request_with_a_body_may_upgrade_when_it_is_sent() -> None:
    # RFC 9110 section 7.8.
    async with origin() as o:
        body = RequestBody(5)
        transfer = asks(o, "POST", body)
        peer = await o.server.accept()
        head = await peer.request()
        feeder = feeding(body, b"hello")
        assert await body_of(peer, head) == b"hello"
        await feeder
        await peer.send(SWITCH)
        await transfer.whole()
        talk = Talk(transfer.request.detach())
        talk.detached.transport.write(b"more")
        assert await peer.reader.readexactly(4) == b"more"
        talk.detached.transport.abort()
        await talk.gone.wait()


@both_loops
async def test_switch_in_the_middle_of_a_body() -> None:
    async with origin() as o:
        body = RequestBody(5)
        transfer = asks(o, "POST", body)
        peer = await o.server.accept()
        await peer.answer(SWITCH)
        assert isinstance(await transfer.error(), BadResponse)
        assert body.released
        assert await peer.closed()
