"""Writing to a client at a rate: so many bytes at once, and so many a second after that."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from aprp.front.wire import ClientGone, Piece, Wire

# Two pieces may come one upon the other: together they are less than a tenth of a second's worth.
_PIECES_A_SECOND: Final = 25
LEAST_PIECE: Final = 4096
# Loops count in milliseconds: a timer may come so much too early, in seconds.
_EARLY: Final = 0.002


class ConnectionWire(Wire, Protocol):
    """A wire, and what the connection that it belongs to tells it."""

    closed: bool

    def paused(self) -> None:
        """The transport has begun to queue."""

    def resumed(self) -> None:
        """The transport's queue is empty."""

    def abort(self) -> None:
        """Close the transport, whatever its state."""

    def lost(self) -> None:
        """The transport is closed."""


class Clock(Protocol):
    """What is used of an event loop."""

    def time(self) -> float:
        """Give the present time, in seconds."""

    def call_at(self, when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back at a time."""


class PacedWire:
    """A wire before another one, which holds back what comes too fast.

    In any t seconds the client is given at most `burst + rate * (t + 0.1)` bytes; it comes in
    pieces of a twenty-fifth of a second's worth, but of 4 KiB at least, of which two may be above
    that. A client that takes less than it may has the burst again after a time. Nothing is copied:
    the memory of what is held back must stay as it is until the future is done, as with any wire.
    No timer runs while nothing is held back.
    """

    __slots__ = (
        "_burst",
        "_clock",
        "_held",
        "_paid_until",
        "_piece",
        "_rate",
        "_timer",
        "_unfinished",
        "_waiting_since",
        "_watched",
        "_wire",
    )

    def __init__(self, wire: ConnectionWire, rate: float, burst: int, clock: Clock) -> None:
        """Write to `wire`. rate: bytes a second; burst: bytes; clock: the event loop."""
        if rate <= 0 or burst < 0:
            raise ValueError(f"bytes cannot go at a rate of {rate:g} after {burst}")
        self._wire = wire
        self._rate = rate
        self._piece = max(LEAST_PIECE, int(rate / _PIECES_A_SECOND))
        self._burst = max(burst, self._piece)
        self._clock = clock
        # Until when the bytes given so far last at this rate. While it lies back there is credit.
        self._paid_until = clock.time() - burst / rate
        self._held: deque[Piece] = deque()
        self._unfinished: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        # The future of the wire below that `_go_on` is called back by.
        self._watched: asyncio.Future[None] | None = None
        self._waiting_since = clock.time()

    @property
    def closed(self) -> bool:
        """See `Wire.closed`."""
        return self._wire.closed

    @closed.setter
    def closed(self, closed: bool) -> None:
        self._wire.closed = closed

    @property
    def unfinished(self) -> "asyncio.Future[None] | None":
        """See `Wire.unfinished`."""
        return self._wire.unfinished if self._unfinished is None else self._unfinished

    @property
    def queued(self) -> int:
        """See `Wire.queued`."""
        return sum(map(len, self._held)) + self._wire.queued

    @property
    def waiting_since(self) -> float | None:
        """Since when, by the loop's time, the client has not taken what it was given.

        None where it has: then it is not the client that is waited for.
        """
        return None if self._wire.unfinished is None else self._waiting_since

    def send(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """See `Wire.send`."""
        if self.closed:
            raise ClientGone
        if self._unfinished is None and self._wire.unfinished is None:
            size = sum(map(len, pieces))
            if size <= self._allowed():
                return self._give(size, pieces)
        self._held.extend(memoryview(piece) for piece in pieces)
        if self._unfinished is None:
            self._unfinished = asyncio.get_running_loop().create_future()
            self._go_on()
        return self.unfinished

    def offer(self, piece: Piece) -> int:
        """See `Wire.offer`."""
        if self.closed:
            raise ClientGone
        if self.unfinished is not None:
            return 0
        allowed = self._allowed()
        count = self._wire.offer(memoryview(piece)[:allowed]) if allowed else 0
        self._paid_until += count / self._rate
        return count

    def _allowed(self) -> int:
        """How many bytes may go now; 0 while those that went before are not paid for."""
        now = self._clock.time()
        self._paid_until = max(self._paid_until, now - self._burst / self._rate)
        credit = now - self._paid_until
        return max(int(credit * self._rate), self._piece) if credit > -_EARLY else 0

    def _give(
        self, size: int, pieces: "tuple[Piece, ...] | list[Piece]"
    ) -> "asyncio.Future[None] | None":
        self._paid_until += size / self._rate
        waiting = self._wire.send(*pieces)
        if waiting is not None:
            self._waiting_since = self._clock.time()
        return waiting

    def _go_on(self) -> None:
        """Give what may be given, and see to it that this is called again where more is held."""
        self._timer = None
        while self._held and not self.closed:
            if self._client_waits():
                return
            allowed = self._allowed()
            if not allowed:
                self._timer = self._clock.call_at(self._paid_until, self._go_on)
                return
            try:
                self._give(*self._cut(allowed))
            except ClientGone:
                break
        self._held.clear()
        # What the wire below has queued is still being read.
        if not self._client_waits():
            self._finish()

    def _cut(self, size: int) -> tuple[int, list[Piece]]:
        """Take at most so many bytes off what is held back."""
        pieces: list[Piece] = []
        left = size
        while left and self._held:
            piece = self._held.popleft()
            if len(piece) > left:
                self._held.appendleft(piece[left:])
                piece = piece[:left]
            left -= len(piece)
            pieces.append(piece)
        return size - left, pieces

    def _client_waits(self) -> bool:
        """Go on when the wire below has finished, if it has something to finish."""
        waiting = self._wire.unfinished
        if waiting is None:
            return False
        if waiting is not self._watched:
            self._watched = waiting
            waiting.add_done_callback(self._taken)
        return True

    def _taken(self, _: object) -> None:
        self._watched = None
        if self._unfinished is not None:
            self._go_on()

    def _finish(self) -> None:
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None and not unfinished.done():
            unfinished.set_result(None)

    # For the connection: what it tells the wire below. What is held back is lost with it.

    def paused(self) -> None:
        """The transport has begun to queue."""
        self._wire.paused()

    def resumed(self) -> None:
        """The transport's queue is empty."""
        self._wire.resumed()

    def close(self) -> None:
        """See `Wire.close`."""
        self._wire.close()
        self._drop()

    def abort(self) -> None:
        """Close the transport, whatever its state."""
        self._wire.abort()
        self._drop()

    def lost(self) -> None:
        """The transport is closed: whoever waits for room waits no more."""
        self._wire.lost()
        self._drop()

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._held.clear()
        self._go_on()
