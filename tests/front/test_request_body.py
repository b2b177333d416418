"""A body on its way through the blocks: any framing, cut anywhere, taken at any pace."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprp.front.request_body import MAX_EXTENSIONS, IncomingBody
from tests.front.apps import CountingPool
from tests.loops import both_loops, turns

HEAD_OF_THE_NEXT = b"GET / HTTP/1.1\r\n"


class Connection:
    """The source of a body and its taker, which needs time for the pieces that `paces` says."""

    def __init__(self, length: int | None, paces: list[bool], blocks: tuple[int, int]) -> None:
        self.pool = CountingPool(*blocks)
        self.body = IncomingBody(length, self, self.pool, asyncio.get_running_loop())
        self.body.taker = self
        self.paces = list(paces)
        self.came = bytearray()
        self.beyond: bytes | None = None
        self.broken: int | None = None
        self.paused = False
        self.pieces: list[tuple[memoryview, bytes, asyncio.Future[None]]] = []

    # The taker.

    def data_received(self, chunk: memoryview) -> "asyncio.Future[None] | None":
        assert not self.pieces, "one piece at a time"
        assert len(chunk) > 0 and self.beyond is None and self.broken is None
        self.came += chunk
        if not (self.paces and self.paces.pop()):
            return None
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pieces.append((chunk, bytes(chunk), waiting))
        return waiting

    async def let_go(self) -> None:
        """Be done with the piece that is in use."""
        while self.pieces:
            piece, was, waiting = self.pieces.pop()
            assert piece == was, "it was written over"
            waiting.set_result(None)
            await turns(2)

    def headers_received(self, start_line: Any, headers: Any) -> None:
        raise AssertionError

    def finish(self) -> None:
        raise AssertionError

    def body_failed(self, status: int, detail: str) -> None:
        raise AssertionError

    def on_connection_close(self) -> None:
        raise AssertionError

    # The source.

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def body_over(self, beyond: bytes) -> None:
        assert self.beyond is None and self.broken is None
        self.paused = False
        self.beyond = beyond

    def body_broken(self, status: int, detail: str) -> None:
        assert self.beyond is None and self.broken is None
        self.broken = status
        self.body.drop()

    @property
    def over(self) -> bool:
        return self.beyond is not None or self.broken is not None


def put(connection: Connection, data: bytes) -> bytes:
    """Write as much as there is room for, as a kernel does; what is left."""
    room = connection.body.space()
    assert len(room) > 0
    count = min(len(room), len(data))
    room[:count] = data[:count]
    connection.body.put(count)
    return data[count:]


async def send(connection: Connection, data: bytes, cuts: list[int], first: int) -> bytes:
    """Let data come in pieces, the first with the head; what of it is not part of the body."""
    first %= len(data) + 1
    held = bytearray(data[:first])
    if held:
        connection.body.fill(held)
    places = sorted({first, len(data), *(cut for cut in cuts if first < cut < len(data))})
    left = bytes(held)
    for a, b in pairwise(places):
        piece = data[a:b]
        while piece and not connection.over and connection.body.left != 0:
            if connection.paused:
                await connection.let_go()
            else:
                piece = put(connection, piece)
        left += piece
    await connection.let_go()
    return (connection.beyond or b"") + left


extensions = st.sampled_from([b"", b"", b";a", b' ; a="b c"', b";" + b"x" * 300])
chunks = st.lists(st.tuples(st.binary(min_size=1, max_size=400), extensions), max_size=8)
trailers = st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nContent-Length: 5\r\n"])
cuts = st.lists(st.integers(0, 3000), max_size=15)
paces = st.lists(st.booleans(), max_size=30)
blocks = st.sampled_from([(16, 64), (100, 100), (1000, 4000)])


@settings(max_examples=300, deadline=None)
@given(chunks, trailers, cuts, st.integers(0, 3000), paces, blocks)
def test_chunks(
    chunks: list[tuple[bytes, bytes]],
    trailer: bytes,
    cuts: list[int],
    first: int,
    paces: list[bool],
    blocks: tuple[int, int],
) -> None:
    async def run() -> None:
        data = b"".join(b"%x%b\r\n%b\r\n" % (len(c), e, c) for c, e in chunks)
        data += b"0\r\n" + trailer + b"\r\n" + HEAD_OF_THE_NEXT
        connection = Connection(None, paces, blocks)
        beyond = await send(connection, data, cuts, first)
        assert sum(len(e) for _, e in chunks) <= MAX_EXTENSIONS
        assert connection.came == b"".join(c for c, _ in chunks)
        assert beyond == HEAD_OF_THE_NEXT
        assert connection.over and not connection.paused
        assert connection.pool.lent == 0

    asyncio.run(run())


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=3000), cuts, st.integers(0, 4000), paces, blocks)
def test_sized(
    content: bytes, cuts: list[int], first: int, paces: list[bool], blocks: tuple[int, int]
) -> None:
    async def run() -> None:
        connection = Connection(len(content), paces, blocks)
        beyond = await send(connection, content + HEAD_OF_THE_NEXT, cuts, first)
        assert connection.came == content
        # Not a byte of it came into the blocks.
        assert connection.beyond == b""
        assert beyond == HEAD_OF_THE_NEXT
        assert connection.pool.lent == 0

    asyncio.run(run())


@settings(max_examples=300, deadline=None)
@given(chunks, st.integers(0, 3000), st.binary(max_size=3), cuts, paces, blocks)
def test_damaged_chunks(
    chunks: list[tuple[bytes, bytes]],
    place: int,
    damage: bytes,
    cuts: list[int],
    paces: list[bool],
    blocks: tuple[int, int],
) -> None:
    async def run(cuts: list[int], paces: list[bool]) -> tuple[bool, bool, bytes]:
        data = b"".join(b"%x%b\r\n%b\r\n" % (len(c), e, c) for c, e in chunks) + b"0\r\n\r\n"
        at = place % len(data)
        data = data[:at] + damage + data[at + 1 :]
        connection = Connection(None, paces, blocks)
        await send(connection, data, cuts, 0)
        if not connection.over:
            connection.body.drop()
        assert connection.pool.lent == 0
        return connection.beyond is not None, connection.broken is not None, bytes(connection.came)

    # However it is cut, it is understood in the same way.
    assert asyncio.run(run(cuts, paces)) == asyncio.run(run([], []))


@both_loops
async def test_what_comes_while_a_piece_is_in_use() -> None:
    # Under TLS, what was decrypted may still come.
    connection = Connection(50, [True], (16, 16))
    content = bytes(range(50))
    left = content
    while left:
        left = put(connection, left)
    assert connection.paused and connection.came == content[:16]
    assert connection.pool.lent > 1
    await connection.let_go()
    assert connection.came == content and connection.beyond == b""
    assert connection.pool.lent == 0


@pytest.mark.parametrize("length", [10, None])
@both_loops
async def test_dropped_while_a_piece_is_in_use(length: int | None) -> None:
    connection = Connection(length, [True], (16, 16))
    put(connection, b"5\r\nabc")
    assert connection.paused
    connection.body.drop()
    # The piece stays as it is until its taker is done with it.
    assert connection.pool.lent == 1
    await connection.let_go()
    assert connection.pool.lent == 0
    assert not connection.over


def test_representation() -> None:
    async def run() -> None:
        connection = Connection(10, [True], (16, 16))
        assert repr(connection.body) == "<IncomingBody 10 bytes to come, read>"
        put(connection, b"abc")
        assert repr(connection.body) == "<IncomingBody 7 bytes to come, paused>"
        connection.body.drop()
        assert repr(connection.body) == "<IncomingBody 7 bytes to come, dropped>"
        assert "chunks" in repr(Connection(None, [], (16, 16)).body)

    asyncio.run(run())
