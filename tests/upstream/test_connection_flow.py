"""A connection to an origin: back-pressure, and whose the buffers are at every moment."""

import asyncio
import random
import select
import socket

import pytest

from aprp.upstream.errors import OriginClosed
from tests.loops import both_loops, turns
from tests.upstream.connections import LARGE, Link, Recorder, fail_to_take, linked
from tests.upstream.placing import FRAMINGS, SIZED, framed

BODY = random.Random(7).randbytes(3 << 20)
TLS = pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])


def narrow(link: Link) -> int:
    """Make the sockets' own buffers small; the most bytes that they hold together."""
    assert link.connection.transport is not None
    ours = link.connection.transport.get_extra_info("socket")
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    link.peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    return int(
        ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        + link.peer.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    )


async def send_in_background(link: Link, data: bytes, close: bool) -> "asyncio.Task[None]":
    """Send as far as the other end takes it."""

    async def send() -> None:
        await link.peer.send(data)
        if close:
            link.peer.close()

    return asyncio.create_task(send())


async def until_stuck(link: Link) -> None:
    """Wait until the peer's socket takes no more bytes, and takes none some turns later."""
    stuck = 0
    while stuck < 5:
        _, writable, _ = select.select([], [link.peer.socket.fileno()], [], 0)
        stuck = 0 if writable else stuck + 1
        await turns(3)


@both_loops
async def test_a_receiver_that_waits_holds_back_the_origin() -> None:
    async with linked() as link:
        room = narrow(link)
        receiver = await link.ask()
        receiver.wait_for_release()
        # Below this mark the peer's transport asks for no more: what it holds counts as not sent.
        link.peer.writer.transport.set_write_buffer_limits(high=0)
        sending = await send_in_background(link, SIZED % len(BODY) + BODY, close=False)
        await receiver.data_came.wait()
        await until_stuck(link)
        held = sum(map(len, receiver.views))
        sent = len(BODY) - link.peer.writer.transport.get_write_buffer_size()
        assert link.connection.paused
        assert len(receiver.views) == 1
        assert len(link.pool.lent) == 1
        assert sent <= held + room
        receiver.take()
        assert await receiver.reusable()
        await sending
        assert receiver.body == BODY
        assert not link.connection.paused


class Slow(Recorder):
    """Takes each piece a few turns of the loop after it came."""

    def on_data(self, view: memoryview) -> "asyncio.Future[None]":
        assert self.hold is None, "the next piece came before this one was taken"
        waiting = self.wait_for_release()
        super().on_data(view)
        asyncio.get_running_loop().call_soon(self.later, 3)
        return waiting

    def later(self, more: int) -> None:
        """Take what was held, in so many turns."""
        if more:
            asyncio.get_running_loop().call_soon(self.later, more - 1)
        else:
            self.take()


@TLS
@pytest.mark.parametrize("framing", FRAMINGS)
@both_loops
async def test_every_byte_comes_through_a_slow_receiver(framing: str, tls: bool) -> None:
    async with linked(tls=tls) as link:
        receiver = Slow()
        link.connection.start(receiver, b"GET / HTTP/1.1\r\n\r\n")
        await link.peer.request()
        sending = await send_in_background(link, framed(framing, BODY), framing == "close")
        assert await receiver.reusable() is (framing != "close")
        await sending
        assert receiver.body == BODY


@TLS
@pytest.mark.parametrize("size", [1000, 100_000, 200_000, 300_000, 1_000_000])
@pytest.mark.parametrize("framing", FRAMINGS)
@both_loops
async def test_an_origin_that_closes_while_the_receiver_waits(
    framing: str, size: int, tls: bool
) -> None:
    # What an origin sends before the end of the connection is not lost on a slow client.
    async with linked(tls=tls) as link:
        receiver = await link.ask()
        receiver.wait_for_release()
        response = framed(framing, BODY[:size])
        link.peer.writer.transport.set_write_buffer_limits(high=2 * len(response))
        link.peer.writer.write(response)
        await receiver.data_came.wait()
        link.peer.close()
        await turns(30)
        receiver.take()
        await receiver.reusable()
        assert receiver.body == BODY[:size]


@pytest.mark.parametrize("framing", FRAMINGS)
@both_loops
async def test_the_last_piece_is_taken_before_the_end(framing: str) -> None:
    async with linked() as link:
        receiver = await link.ask()
        receiver.wait_for_release()
        await link.peer.send(framed(framing, b"all of it"))
        await receiver.data_came.wait()
        if framing == "close":
            link.peer.close()
        await turns(20)
        assert not receiver.over.done()
        receiver.take()
        assert await receiver.reusable() is (framing != "close")
        assert receiver.body == b"all of it"
        assert link.pool.lent == set()


@TLS
@both_loops
async def test_idle_connection_holds_no_buffer(tls: bool) -> None:
    async with linked(tls=tls) as link:
        await turns(10)
        assert link.pool.lent == set()
        for _ in range(2):
            receiver = await link.ask()
            receiver.wait_for_release()
            await link.peer.send(framed("sized", b"hello"))
            await receiver.data_came.wait()
            receiver.take()
            assert await receiver.reusable()
            await turns(10)
            assert link.pool.lent == set()


@both_loops
async def test_waiting_connection_holds_no_buffer() -> None:
    async with linked() as link:
        await link.ask()
        await turns(10)
        assert link.pool.lent == set()


@TLS
@both_loops
async def test_abort_while_the_receiver_holds_bytes(tls: bool) -> None:
    async with linked(tls=tls) as link:
        receiver = await link.ask()
        waiting = receiver.wait_for_release()
        await link.peer.send(framed("sized", b"precious") + b"surplus")
        await receiver.data_came.wait()
        link.connection.abort()
        assert not link.connection.usable
        await link.connection.gone.wait()
        # The connection is gone and its bytes are still with the client's socket.
        assert len(link.pool.lent) == 1
        assert bytes(receiver.views[0]) == b"precious"
        waiting.set_result(None)
        await turns(2)
        assert link.pool.lent == set()
        assert not receiver.over.done()


@TLS
@both_loops
async def test_the_origin_goes_away_while_the_receiver_holds_bytes(tls: bool) -> None:
    async with linked(tls=tls) as link:
        receiver = await link.ask()
        receiver.wait_for_release()
        await link.peer.send(SIZED % 1000 + b"precious")
        await receiver.data_came.wait()
        link.peer.reset()
        await turns(30)
        assert bytes(receiver.views[0]) == b"precious"
        receiver.take()
        assert isinstance(await receiver.failure(), OriginClosed)
        await turns(2)
        assert receiver.body == b"precious"
        assert link.pool.lent == set()


class Quitter(Recorder):
    """Aborts the connection from within a callback; `waits`: it leaves bytes pending."""

    def __init__(self, link: Link, at: str, waits: bool) -> None:
        super().__init__()
        self._link = link
        self._at = at
        self._waits = waits

    def on_head(self, *args: object) -> None:
        super().on_head(*args)  # type: ignore[arg-type]
        if self._at == "head":
            self._link.connection.abort()

    def on_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        assert self._at == "data"
        waiting = self.wait_for_release() if self._waits else None
        super().on_data(view)
        self._link.connection.abort()
        return waiting


@TLS
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(
    ("at", "waits"), [("head", False), ("data", False), ("data", True)], ids=str
)
@both_loops
async def test_abort_from_within_a_callback(framing: str, at: str, waits: bool, tls: bool) -> None:
    async with linked(tls=tls) as link:
        receiver = Quitter(link, at, waits)
        link.connection.start(receiver, b"GET / HTTP/1.1\r\n\r\n")
        await link.peer.request()
        link.peer.writer.write(framed(framing, BODY[: LARGE * 4]))
        await link.connection.gone.wait()
        assert len(link.pool.lent) == (1 if waits else 0)
        if waits:
            held = bytes(receiver.views[0])
            assert held == BODY[: len(held)]
            receiver.take()
            await turns(2)
        assert link.pool.lent == set()
        assert not receiver.over.done()


@pytest.mark.parametrize("when", ["later", "at once"])
@pytest.mark.parametrize("outcome", ["error", "cancelled"])
@both_loops
async def test_bytes_that_could_not_be_taken(outcome: str, when: str) -> None:
    async with linked() as link:
        receiver = await link.ask()
        waiting = receiver.wait_for_release()

        async def come() -> None:
            await link.peer.send(SIZED % 1000 + b"some")
            await receiver.data_came.wait()

        await fail_to_take(outcome, when, receiver, waiting, come)
        assert await link.peer.closed()
