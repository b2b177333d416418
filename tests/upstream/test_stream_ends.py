"""How fetches end before their response does, and that they leave nothing behind."""

import contextlib
from typing import Any

import pytest

from aprp.upstream.errors import Aborted, OriginFailure
from tests.loops import both_loops, turns
from tests.upstream.fetches import OK, Mute, Transfer, origin, sized

STAGES = ["dialling", "waiting", "waiting, kept", "in the head", "body", "until close", "paused"]


@contextlib.asynccontextmanager
async def fetch_at(stage: str) -> Any:
    """A fetch that has come to a stage of its life, and no further."""
    async with origin(names=Mute() if stage == "dialling" else None) as o:
        if stage == "dialling":
            transfer = Transfer(o)
            await turns(5)
            yield o, transfer, None
            return
        if stage == "waiting, kept":
            peer = await o.kept()
            transfer = Transfer(o)
            await peer.request()
        else:
            transfer, peer = await o.ask(hold=stage == "paused")
        if stage == "in the head":
            await peer.send(OK)
        elif stage == "until close":
            await peer.send(OK + b"\r\nhalf")
        elif stage in ("body", "paused"):
            await peer.send(sized(b"half and half")[:-9])
        while stage in ("body", "until close") and not transfer.body:
            await turns(1)
        while stage == "paused" and not transfer.views:
            await turns(1)
        while stage == "in the head" and not o.pool.lent:
            await turns(1)
        yield o, transfer, peer


def let_go(transfer: Transfer) -> None:
    """The client takes what it held, late."""
    if transfer.hold is not None:
        assert all(bytes(view) == b"half" for view in transfer.views)
        transfer.hold.set_result(None)


@pytest.mark.parametrize("stage", STAGES)
@both_loops
async def test_abort(stage: str) -> None:
    async with fetch_at(stage) as (o, transfer, peer):
        assert o.client.pool.active == 1
        transfer.request.abort()
        assert isinstance(await transfer.error(), Aborted)
        assert o.client.pool.active == 0
        transfer.request.abort()
        if peer is not None:
            assert await peer.closed()
        let_go(transfer)
        await turns(10)
        assert o.client.pool.idle == 0


@pytest.mark.parametrize("stage", STAGES)
@both_loops
async def test_client_closed(stage: str) -> None:
    async with fetch_at(stage) as (o, transfer, peer):
        connects = o.events.connects
        o.client.close()
        if stage == "paused":
            let_go(transfer)
        error = await transfer.error()
        assert isinstance(error, OriginFailure), error
        if peer is not None:
            assert await peer.closed()
        await turns(20)
        assert (o.events.connects, o.client.pool.idle) == (connects, 0)


@both_loops
async def test_client_closed_while_fetches_are_queued() -> None:
    async with origin(max_clients=1) as o:
        first, _ = await o.ask()
        # Many, so that their ends must not nest.
        queued = [Transfer(o) for _ in range(2000)]
        o.client.close()
        for transfer in (first, *queued):
            assert isinstance(await transfer.error(), OriginFailure)
        await turns(20)
        assert (o.events.connects, len(o.server.peers)) == (1, 1)


@pytest.mark.parametrize("where", ["at_head", "at_body"])
@both_loops
async def test_abort_in_a_callback(where: str) -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        setattr(transfer, where, transfer.request.abort)
        await peer.send(sized(b"x" * 50_000)[:-1])
        assert isinstance(await transfer.error(), Aborted)
        assert await peer.closed()
        assert len(transfer.heads) == 1
        assert (transfer.body == b"") is (where == "at_head")


@both_loops
async def test_abort_in_a_callback_that_leaves_bytes_pending() -> None:
    # The client's socket still reads from the buffer when the fetch is over.
    async with origin() as o:
        transfer, peer = await o.ask(hold=True)
        transfer.at_body = transfer.request.abort
        await peer.send(sized(b"half and half")[:-9])
        assert isinstance(await transfer.error(), Aborted)
        assert await peer.closed()
        await turns(10)
        assert len(o.pool.lent) == 1
        let_go(transfer)
        await turns(2)
        assert o.pool.lent == set()


@both_loops
async def test_abort_after_the_end_does_nothing() -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        await peer.send(sized(b"all"))
        await transfer.whole()
        transfer.request.abort()
        assert (o.client.pool.active, o.client.pool.idle) == (0, 1)


@both_loops
async def test_nobody_waits_for_the_fetch_any_more() -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        transfer.future.cancel()
        transfer.request.abort()
        assert await peer.closed()
