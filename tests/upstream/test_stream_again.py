"""A kept connection that is gone when it is used: what is sent once more, and what is not."""

from collections.abc import Callable

import pytest

from aprp.upstream.errors import Aborted, FirstByteTimeout, OriginClosed, OriginFailure
from tests.loops import both_loops, turns
from tests.peers import Peer
from tests.upstream.connections import Names
from tests.upstream.fetches import FIRST_BYTE, Mute, Transfer, origin, sized


def leave(peer: Peer) -> None:
    peer.close()


def reset(peer: Peer) -> None:
    peer.reset()


LEAVING = pytest.mark.parametrize("end", [leave, reset])


@LEAVING
@both_loops
async def test_kept_connection_that_was_closed_meanwhile(end: Callable[[Peer], None]) -> None:
    # RFC 9112 section 9.3.1: a request may be repeated if nothing came back and it is idempotent.
    async with origin() as o:
        old = await o.kept()
        transfer = Transfer(o)
        await old.request()
        end(old)
        new = await o.server.accept()
        await new.answer(sized(b"fresh"))
        await transfer.whole()
        assert transfer.body == b"fresh"
        assert (o.events.connects, o.events.reuses) == (2, 1)


@LEAVING
@both_loops
async def test_kept_connection_that_was_closed_before_the_request(
    end: Callable[[Peer], None],
) -> None:
    async with origin() as o:
        old = await o.kept()
        end(old)
        transfer = Transfer(o)
        new = await o.server.accept()
        await new.answer(sized(b"fresh"))
        await transfer.whole()
        assert o.events.connects == 2


@LEAVING
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE"])
@both_loops
async def test_other_methods_that_may_be_repeated(method: str, end: Callable[[Peer], None]) -> None:
    async with origin() as o:
        old = await o.kept()
        transfer = Transfer(o, method)
        await old.request()
        end(old)
        new = await o.server.accept()
        await new.answer(sized(b""))
        await transfer.whole()


@LEAVING
@pytest.mark.parametrize(("method", "said"), [("POST", b""), ("PATCH", b""), ("GET", b"H")])
@both_loops
async def test_what_may_not_be_repeated(
    method: str, said: bytes, end: Callable[[Peer], None]
) -> None:
    async with origin() as o:
        old = await o.kept()
        transfer = Transfer(o, method)
        await old.request()
        if said:
            await old.send(said)
            while not o.pool.lent:
                await turns(1)
        end(old)
        assert isinstance(await transfer.error(), OriginClosed)
        assert o.events.connects == 1


@LEAVING
@both_loops
async def test_repeated_once_only(end: Callable[[Peer], None]) -> None:
    async with origin() as o:
        old = await o.kept()
        transfer = Transfer(o)
        await old.request()
        end(old)
        new = await o.server.accept()
        await new.request()
        end(new)
        assert isinstance(await transfer.error(), OriginClosed)
        assert o.events.connects == 2


@both_loops
async def test_repeated_where_nobody_listens_any_more() -> None:
    async with origin() as o:
        old = await o.kept()
        o.client.resolver = Names(error=OSError("gone"))
        transfer = Transfer(o)
        await old.request()
        old.close()
        assert isinstance(await transfer.error(), OriginFailure)


@both_loops
async def test_abort_while_the_request_is_repeated() -> None:
    async with origin() as o:
        old = await o.kept()
        o.client.resolver = Mute()
        transfer = Transfer(o)
        await old.request()
        old.close()
        while not o.client._tasks:
            await turns(1)
        transfer.request.abort()
        assert isinstance(await transfer.error(), Aborted)


@both_loops
async def test_kept_connection_that_does_not_answer() -> None:
    async with origin() as o:
        old = await o.kept()
        transfer = Transfer(o)
        await old.request()
        o.clock.advance(FIRST_BYTE + 1)
        assert isinstance(await transfer.error(), FirstByteTimeout)
        assert await old.closed()
        assert o.events.connects == 1
