"""Whatever the pieces in which a response comes, and the room for them: what is placed is the body.

The connection's own code, on a transport whose socket is one end of a pair; what the other end
sends, and when pending bytes are let go, is drawn.
"""

import asyncio
import itertools
import random
import socket
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aprp.upstream.connection import OriginConnection
from tests.upstream.connections import WatchedPool
from tests.upstream.placing import FRAMINGS, Place, Placing, framed

BODY = random.Random(14).randbytes(40_000)
MOUTHFUL = 16_384


class Transport:
    """Reads from a socket into a connection as long as it is not paused."""

    def __init__(self, sock: socket.socket, connection: OriginConnection) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.connection = connection
        self.paused = False
        self.closing = False
        connection.connection_made(self)  # type: ignore[arg-type]

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self.socket

    def write(self, data: bytes) -> None:
        """The request goes nowhere."""

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def pump(self) -> None:
        """Read what there is, as an event loop does; the end ends the connection."""
        while not self.paused and not self.closing:
            space = self.connection.get_buffer(-1)
            try:
                count = self.socket.recv_into(space)
            except BlockingIOError:
                return
            if count:
                self.connection.buffer_updated(count)
            else:
                self.closing = True
                self.connection.eof_received()
                self.connection.connection_lost(None)


class Drawn(Place):
    """Whether the bytes of a piece stay pending is drawn."""

    def __init__(self, length: int, rooms: list[int], waits: list[bool]) -> None:
        super().__init__(length, rooms)
        self._waits = waits

    def placed(self, count: int) -> "asyncio.Future[None] | None":
        if self._waits[len(self.pieces) % len(self._waits)]:
            self.wait_for_release()
        return super().placed(count)


@dataclass(frozen=True)
class Case:
    """A response in pieces, and who takes it."""

    framing: str
    body: bytes
    pieces: list[bytes]
    surplus: bytes
    rooms: list[int]
    waits: list[bool]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    framing = draw(st.sampled_from(FRAMINGS))
    body = BODY[: draw(st.integers(0, 300) | st.integers(0, len(BODY)))]
    response = framed(framing, body, chunk=draw(st.integers(1, 50) | st.integers(500, 20_000)))
    places = st.integers(0, min(len(response), 300)) | st.integers(0, len(response))
    cuts = sorted({0, *draw(st.lists(places, max_size=12)), len(response)})
    pieces = [response[a:b] for a, b in itertools.pairwise(cuts)]
    # It comes together with the end of the response.
    surplus = b"" if framing == "close" else draw(st.binary(max_size=3))
    pieces[-1] += surplus
    least = 1 if len(body) <= 300 else 40
    rooms = draw(st.lists(st.integers(least, 100) | st.integers(200, 50_000), min_size=1))
    waits = draw(st.lists(st.booleans(), min_size=1, max_size=8))
    return Case(framing, body, pieces, surplus, rooms, waits)


async def deliver(case: Case) -> None:
    pool = WatchedPool()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = OriginConnection(pool, 2000, lambda _: None)
        transport = Transport(ours, connection)
        place = Drawn(len(case.body), case.rooms, case.waits)
        receiver = Placing(place)
        connection.start(receiver, b"GET / HTTP/1.1\r\n\r\n")

        async def settle() -> None:
            """Read on until all that was sent is placed."""
            transport.pump()
            while place.hold is not None:
                place.take()
                await asyncio.sleep(0)
                transport.pump()

        for drawn in case.pieces:
            piece = drawn
            # Not more at once than a socket takes.
            while len(piece) > 2 * MOUTHFUL:
                theirs.sendall(piece[:MOUTHFUL])
                piece = piece[MOUTHFUL:]
                await settle()
            theirs.sendall(piece)
            await settle()
        if case.framing == "close":
            theirs.shutdown(socket.SHUT_WR)
            await settle()
        outcome: Any = receiver.over.result()
        assert outcome is (case.framing != "close" and not case.surplus)
        assert connection.surplus is bool(case.surplus)
        assert place.body == case.body
        assert pool.lent == set()


@given(cases())
def test_what_is_placed_is_the_body(case: Case) -> None:
    asyncio.run(deliver(case))
