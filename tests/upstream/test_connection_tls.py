"""An https origin that closes the connection: what came before the end, and what it is worth."""

import asyncio
import random
import socket

import pytest

from aprp.upstream.buffers import TLS_READ
from aprp.upstream.errors import OriginClosed
from tests.loops import both_loops, only_uvloop, turns
from tests.peers import shout_and_leave
from tests.upstream.connections import MAX_HEAD, REQUEST, Recorder, WatchedPool, connect

BODY = random.Random(9).randbytes(1_000_000)
SIZES = pytest.mark.parametrize("size", [200_000, 1_000_000])


def sized(size: int) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    return head + BODY[:size]


def until_close(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\n\r\n" + BODY[:size]


async def exchange(
    response: bytes, *, close_notify: bool, slow: bool
) -> tuple[Recorder, bool | Exception]:
    """Have a response from an origin that leaves; a slow receiver holds the first bytes then."""
    loop = asyncio.get_running_loop()
    pool = WatchedPool(TLS_READ, TLS_READ)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        origin = loop.run_in_executor(None, shout_and_leave, listening, response, close_notify)
        port = listening.getsockname()[1]
        connection = await connect(pool, port, tls=True, max_head=MAX_HEAD)
        receiver = Recorder()
        if slow:
            receiver.wait_for_release()
        connection.start(receiver, REQUEST)
        await origin
    await receiver.data_came.wait()
    await turns(30)
    if slow:
        receiver.take()
    outcome = await receiver.over
    connection.abort()
    await connection.gone.wait()
    await turns(2)
    assert pool.lent == set()
    return receiver, outcome


PACE = pytest.mark.parametrize("slow", [False, True], ids=["at once", "slow"])


@SIZES
@PACE
@pytest.mark.parametrize("close_notify", [True, False])
@both_loops
async def test_sized_body_is_whole(close_notify: bool, slow: bool, size: int) -> None:
    # RFC 9112 section 9.8: complete if as much came as Content-Length says.
    receiver, outcome = await exchange(sized(size), close_notify=close_notify, slow=slow)
    assert outcome is False
    assert receiver.body == BODY[:size]


@SIZES
@PACE
@both_loops
async def test_body_that_the_close_ends_is_whole(slow: bool, size: int) -> None:
    receiver, outcome = await exchange(until_close(size), close_notify=True, slow=slow)
    assert outcome is False
    assert receiver.body == BODY[:size]


@SIZES
@PACE
@only_uvloop
async def test_body_without_a_close_notify_is_not_complete(slow: bool, size: int) -> None:
    # RFC 9112 section 9.8: without a length, only a valid closure alert says that it is all.
    # (From asyncio's own TLS a protocol cannot learn whether there was one.)
    _, outcome = await exchange(until_close(size), close_notify=False, slow=slow)
    assert isinstance(outcome, OriginClosed)
