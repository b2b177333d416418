"""Placers that are watched, and receivers whose bodies have a place."""

import asyncio
import select
from collections.abc import Callable, Sequence

import pytest

from aprp.semantics.framing import Delimiter
from aprp.upstream.head import ResponseHead
from tests.loops import turns
from tests.peers import Peer
from tests.upstream.connections import Link, Recorder

OK = b"HTTP/1.1 200 OK\r\n"
SIZED = OK + b"Content-Length: %d\r\n\r\n"
FRAMINGS = ["sized", "chunked", "close"]
UNTOUCHED = 0xEE
LARGE_ROOM = 1 << 20

# Where bytes lie that are placed: they came with the head, or after it, straight to their place.
LATER = pytest.mark.parametrize("later", [False, True], ids=["with the head", "after it"])


def framed(framing: str, body: bytes, chunk: int = 5000) -> bytes:
    """A response with this body."""
    if framing == "sized":
        return SIZED % len(body) + body
    if framing == "close":
        return OK + b"\r\n" + body
    parts = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


class Place:
    """A placer for a body of up to `length` bytes, in one block of memory.

    The spaces that it gives are as large as `rooms` says, by turns. What `hold` is when bytes were
    placed is returned; until that future is done, nothing may be asked or told.
    """

    def __init__(self, length: int, rooms: Sequence[int] = (LARGE_ROOM,)) -> None:
        self.memory = bytearray([UNTOUCHED]) * (length + 64)
        self.pieces: list[int] = []
        self.asked = 0
        self.over = False
        self.hold: asyncio.Future[None] | None = None
        self.came = asyncio.Event()
        self.at_space: Callable[[], object] = lambda: None
        self.at_placed: Callable[[], object] = lambda: None
        self._rooms = rooms
        self._lent = 0
        self._pending: asyncio.Future[None] | None = None

    @property
    def count(self) -> int:
        """How many bytes were placed."""
        return sum(self.pieces)

    @property
    def body(self) -> bytes:
        """What was placed; nothing may have been written behind it."""
        assert set(self.memory[self.count :]) == {UNTOUCHED}
        return bytes(self.memory[: self.count])

    def space(self) -> memoryview:
        self._check()
        self.asked += 1
        self.at_space()
        room = self._rooms[len(self.pieces) % len(self._rooms)]
        space = memoryview(self.memory)[self.count : self.count + room]
        self._lent = len(space)
        return space

    def placed(self, count: int) -> "asyncio.Future[None] | None":
        self._check()
        assert 0 < count <= self._lent
        self._lent = 0
        self.pieces.append(count)
        self._pending = self.hold
        self.came.set()
        self.at_placed()
        return self._pending

    def _check(self) -> None:
        assert not self.over, "the fetch is over"
        assert self._pending is None or self._pending.done(), "the last bytes are not taken yet"

    def wait_for_release(self) -> "asyncio.Future[None]":
        """From now on what was placed is pending; the future lets it go."""
        self.hold = asyncio.get_running_loop().create_future()
        return self.hold

    def take(self) -> None:
        """Let the pending bytes go, and hold no more."""
        held, self.hold = self.hold, None
        assert held is not None
        held.set_result(None)


class SlowPlace(Place):
    """Lets each piece go a few turns of the loop after it came."""

    def placed(self, count: int) -> "asyncio.Future[None] | None":
        waiting = self.wait_for_release()
        super().placed(count)
        asyncio.get_running_loop().call_soon(self._later, waiting, 3)
        return waiting

    def _later(self, waiting: "asyncio.Future[None]", more: int) -> None:
        if more:
            asyncio.get_running_loop().call_soon(self._later, waiting, more - 1)
        else:
            waiting.set_result(None)


class Placing(Recorder):
    """A receiver that decides in `on_head` that the body has a place."""

    expects_placement = True

    def __init__(self, place: Place, method: str = "GET") -> None:
        super().__init__(method)
        self.place = place

    def on_head(self, head: ResponseHead, length: int | Delimiter) -> None:
        super().on_head(head, length)
        self.placer = self.place

    def on_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        raise AssertionError("the body has a place")

    def on_end(self, reusable: bool) -> None:
        self.place.over = True
        super().on_end(reusable)

    def on_failure(self, error: Exception) -> None:
        self.place.over = True
        super().on_failure(error)


async def ask(link: Link, place: Place, method: str = "GET") -> Placing:
    """Send a request whose body has a place, and wait until the other end has it."""
    receiver = Placing(place, method)
    link.connection.start(receiver, b"%b / HTTP/1.1\r\n\r\n" % method.encode())
    await link.peer.request()
    return receiver


async def send_in_turn(peer: Peer, response: bytes, later: bool) -> None:
    """Send the beginning of a response; `later`: what is behind its head in a piece of its own."""
    split = response.index(b"\r\n\r\n") + 4
    if later:
        await peer.send(response[:split])
        await turns(10)
        peer.writer.write(response[split:])
    else:
        peer.writer.write(response)


async def until_readable(link: Link) -> None:
    """Wait until there is something to read for the connection, which is paused."""
    assert link.connection.transport is not None
    descriptor = link.connection.transport.get_extra_info("socket").fileno()
    while not select.select([descriptor], [], [], 0)[0]:
        await turns(1)
