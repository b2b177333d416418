"""Buffers: who has them, and the bytes that come while others are still on their way."""

import asyncio
from unittest.mock import Mock

import pytest

from aprp.upstream.buffers import BufferPool, Inbox
from tests.loops import both_loops, turns
from tests.upstream.connections import Recorder, WatchedConnection, WatchedPool

SMALL, LARGE = 100, 400


def fill(inbox: Inbox, data: bytes) -> int:
    """Write into the space that is lent; how much went in."""
    space = inbox.space()
    count = min(len(space), len(data))
    assert count > 0
    space[:count] = data[:count]
    inbox.put(count)
    return count


def put(inbox: Inbox, data: bytes) -> None:
    """Write all of it."""
    while data:
        data = data[fill(inbox, data) :]


def walk(inbox: Inbox) -> bytes:
    """Take all there is."""
    taken = b""
    while True:
        taken += bytes(inbox.view[inbox.position : inbox.end])
        inbox.position = inbox.end
        if not inbox.next():
            return taken


def test_pool_keeps_what_comes_back() -> None:
    pool = BufferPool(SMALL, LARGE)
    small, large = pool.acquire(), pool.acquire(large=True)
    assert (small.size, large.size) == (len(small.data), len(large.view)) == (SMALL, LARGE)
    assert pool.acquire() is not small
    pool.release(large)
    pool.release(small)
    assert repr(pool) == "<BufferPool 1 and 1 free of 100 and 400 bytes>"
    assert pool.acquire() is small
    assert pool.acquire(large=True) is large


def test_pool_keeps_no_more_than_it_may() -> None:
    pool = BufferPool(SMALL, LARGE, keep=250)
    for buffer in [pool.acquire() for _ in range(5)] + [pool.acquire(large=True)]:
        pool.release(buffer)
    assert repr(pool) == "<BufferPool 2 and 0 free of 100 and 400 bytes>"


def test_pool_of_one_size() -> None:
    pool = BufferPool(SMALL, SMALL // 2)
    buffer = pool.acquire(large=True)
    assert buffer.size == SMALL
    pool.release(buffer)
    assert pool.acquire(large=True) is buffer


def test_inbox_grows_for_a_reader_that_has_proved_fast() -> None:
    pool = WatchedPool(SMALL, LARGE)
    inbox = Inbox(pool, proven=SMALL)
    put(inbox, b"x" * SMALL)
    assert not inbox.fast
    assert walk(inbox) == b"x" * SMALL
    put(inbox, b"x" * (SMALL - 1))
    assert not inbox.fast
    put(inbox, b"x")
    assert inbox.fast
    assert walk(inbox) == b"x" * SMALL
    assert pool.lent == set()
    assert len(inbox.space()) == LARGE
    inbox.clear()


def test_inbox_of_a_reader_that_paused_is_small_again() -> None:
    inbox = Inbox(WatchedPool(SMALL, LARGE), proven=SMALL)
    for _ in range(2):
        put(inbox, b"x" * SMALL)
        walk(inbox)
    assert inbox.fast
    inbox.slow_down()
    for _ in range(2):
        assert len(inbox.space()) == SMALL
        put(inbox, b"x" * SMALL)
        walk(inbox)
    assert len(inbox.space()) == LARGE
    inbox.clear()


def test_inbox_makes_room_behind_what_is_not_walked_yet() -> None:
    inbox = Inbox(WatchedPool(SMALL, LARGE))
    put(inbox, b"a" * 60 + b"b" * 40)
    inbox.position = 60
    put(inbox, b"c" * 60)
    assert walk(inbox) == b"b" * 40 + b"c" * 60


@pytest.mark.parametrize("first", [1, 99, 100])
@pytest.mark.parametrize("more", [1, 99, 100, 101, 1000])
def test_what_is_on_its_way_is_not_touched(first: int, more: int) -> None:
    pool = WatchedPool(SMALL, LARGE)
    inbox = Inbox(pool)
    put(inbox, b"a" * first)
    pending = inbox.view[:first]
    inbox.position = first
    inbox.held = True
    come = bytes(range(200)) * 5
    put(inbox, come[:more])
    assert bytes(pending) == b"a" * first
    inbox.held = False
    assert walk(inbox) == come[:more]
    assert pool.lent == set()


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("held", [0, 50, 100, 350])
def test_clear_gives_every_buffer_back(held: int, asked: bool) -> None:
    pool = WatchedPool(SMALL, LARGE)
    inbox = Inbox(pool)
    inbox.held = True
    put(inbox, b"x" * held)
    if asked:
        # Room is asked for, and then nothing comes.
        inbox.space()
    inbox.clear()
    assert pool.lent == set()
    assert inbox.empty


@both_loops
async def test_bytes_that_come_although_reading_is_paused() -> None:
    # A transport may have more in hand when it is told to stop.
    pool = WatchedPool(SMALL, LARGE)
    connection = WatchedConnection(pool)
    transport = Mock()
    transport.is_closing.return_value = False
    connection.connection_made(transport)

    def come(data: bytes) -> None:
        while data:
            space = connection.get_buffer(-1)
            count = min(len(space), len(data))
            space[:count] = data[:count]
            connection.buffer_updated(count)
            data = data[count:]

    body = bytes(range(250)) * 10
    receiver = Recorder()
    connection.start(receiver, b"GET / HTTP/1.1\r\n\r\n")
    receiver.wait_for_release()
    come(b"HTTP/1.1 200 OK\r\nContent-Length: 2500\r\n\r\n" + body[:10])
    transport.pause_reading.assert_called_once_with()
    come(body[10:1500])
    assert [bytes(view) for view in receiver.views] == [body[:10]]
    transport.resume_reading.assert_not_called()
    receiver.take()
    await turns(2)
    transport.resume_reading.assert_called_once_with()
    assert receiver.body == body[:1500]
    waiting = receiver.wait_for_release()
    come(body[1500:1510])
    come(body[1510:2000])
    # The connection ends, and what has come is still handed on.
    connection.eof_received()
    connection.connection_lost(None)
    assert not receiver.over.done()
    receiver.take()
    assert waiting.done()
    await receiver.failure()
    assert receiver.body == body[:2000]
    assert pool.lent == set()
    await asyncio.sleep(0)
