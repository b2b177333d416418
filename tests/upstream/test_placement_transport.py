"""Bodies with a place, and a transport that does what the test says, in any order."""

import random
from collections.abc import Callable
from unittest.mock import Mock

import pytest

from aprp.upstream.errors import OriginClosed
from tests.loops import both_loops, turns
from tests.upstream.connections import WatchedConnection, WatchedPool
from tests.upstream.placing import OK, SIZED, Place, Placing

BODY = random.Random(16).randbytes(2000)


def mocked(pool: WatchedPool) -> tuple[WatchedConnection, Mock]:
    """A connection without a network."""
    connection = WatchedConnection(pool)
    transport = Mock()
    transport.is_closing.return_value = False
    connection.connection_made(transport)
    return connection, transport


def put(connection: WatchedConnection, data: bytes) -> None:
    """Let bytes come."""
    while data:
        space = connection.get_buffer(-1)
        count = min(len(space), len(data))
        space[:count] = data[:count]
        connection.buffer_updated(count)
        data = data[count:]


@pytest.mark.parametrize("pending", [False, True])
@both_loops
async def test_abort_while_the_kernel_has_the_place(pending: bool) -> None:
    pool = WatchedPool()
    connection, transport = mocked(pool)
    place = Place(1000)
    receiver = Placing(place)
    connection.start(receiver, b"GET / HTTP/1.1\r\n\r\n")
    put(connection, SIZED % 1000 + BODY[:10])
    if pending:
        place.wait_for_release()
        put(connection, BODY[10:20])
    space = connection.get_buffer(-1)
    connection.abort()
    place.over = True
    space[:5] = BODY[:5]
    connection.buffer_updated(5)
    # EAGAIN after the buffer was lent: nothing is told of it.
    assert len(connection.get_buffer(-1)) > 0
    connection.connection_lost(None)
    if pending:
        place.take()
    await turns(3)
    assert transport.abort.called
    assert place.count == (20 if pending else 10)
    assert pool.lent == set()
    assert not receiver.over.done()


@both_loops
async def test_bytes_that_come_although_reading_is_paused() -> None:
    # A transport may have more in hand when it is told to stop: it is kept, and placed later.
    pool = WatchedPool()
    connection, transport = mocked(pool)
    place = Place(2000, (600,))
    receiver = Placing(place)
    connection.start(receiver, b"GET / HTTP/1.1\r\n\r\n")
    put(connection, SIZED % 2000)
    place.wait_for_release()
    put(connection, BODY[:10])
    transport.pause_reading.assert_called_once_with()
    put(connection, BODY[10:1500])
    assert (place.count, place.asked) == (10, 1)
    place.take()
    await turns(2)
    transport.resume_reading.assert_called_once_with()
    assert place.body == BODY[:1500]
    place.wait_for_release()
    put(connection, BODY[1500:1510])
    put(connection, BODY[1510:1900])
    connection.eof_received()
    connection.connection_lost(None)
    assert not receiver.over.done()
    place.take()
    assert isinstance(await receiver.failure(), OriginClosed)
    assert place.body == BODY[:1900]
    assert pool.lent == set()


@both_loops
async def test_nothing_comes_after_the_place_was_asked_for() -> None:
    connection, _ = mocked(WatchedPool())
    place = Place(100)
    receiver = Placing(place)
    connection.start(receiver, b"GET / HTTP/1.1\r\n\r\n")
    put(connection, OK + b"\r\n" + BODY[:10])
    for _ in range(3):
        assert connection.get_buffer(-1).obj is place.memory
    put(connection, BODY[10:20])
    assert connection.get_buffer(-1).obj is place.memory
    connection.eof_received()
    connection.connection_lost(None)
    assert await receiver.reusable() is False
    assert place.body == BODY[:20]


def raiser(error: Exception) -> Callable[[], None]:
    """A callback that fails."""

    def fail() -> None:
        raise error

    return fail


@both_loops
async def test_failure_while_the_place_is_asked_for_is_told_once() -> None:
    pool = WatchedPool()
    connection, transport = mocked(pool)
    place = Place(100)
    receiver = Placing(place)
    connection.start(receiver, b"GET / HTTP/1.1\r\n\r\n")
    put(connection, OK + b"\r\n" + BODY[:10])
    error = LookupError("no room")
    place.at_space = raiser(error)
    # uvloop does not bear that its transport ends in `get_buffer`.
    space = connection.get_buffer(-1)
    assert len(space) > 0
    assert space.obj is not place.memory
    transport.abort.assert_not_called()
    assert await receiver.failure() is error
    connection.eof_received()
    connection.connection_lost(None)
    await turns(2)
    transport.abort.assert_called_once_with()
    assert pool.lent == set()
