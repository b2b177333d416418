"""Writing at a rate: what goes when, by a clock that stands still until it is moved."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.front.pacing import LEAST_PIECE, PacedWire
from aprp.front.wire import ClientGone, Piece
from tests.front.virtual_clock import VirtualClock
from tests.loops import both_loops, turns

SOURCE = random.Random(7).randbytes(2 << 20)


class Taker:
    """A wire that notes what it is given and when; it takes everything, or nothing more."""

    def __init__(self, clock: VirtualClock) -> None:
        self.closed = False
        self.unfinished: asyncio.Future[None] | None = None
        self.full = False
        self.queued = 70
        self.given: list[tuple[float, int]] = []
        self._clock = clock

    def send(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        if self.closed:
            raise ClientGone
        assert self.unfinished is None, "it is not told to queue more"
        self.given.append((self._clock.now, sum(map(len, pieces))))
        if self.full:
            self.paused()
        return self.unfinished

    def offer(self, piece: Piece) -> int:
        if self.closed:
            raise ClientGone
        assert self.unfinished is None
        # A socket that is nearly full.
        size = min(len(piece), 30_000)
        self.given.append((self._clock.now, size))
        return size

    def paused(self) -> None:
        self.unfinished = asyncio.get_running_loop().create_future()

    def resumed(self) -> None:
        unfinished, self.unfinished = self.unfinished, None
        if unfinished is not None:
            unfinished.set_result(None)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def lost(self) -> None:
        self.closed = True
        self.resumed()

    @property
    def total(self) -> int:
        return sum(size for _, size in self.given)


def keeps_to(given: list[tuple[float, int]], rate: float, burst: int) -> None:
    """What is promised: in any t seconds burst + rate * (t + 0.1), or two pieces of 4 KiB."""
    slack = max(0.1 * rate, 2 * LEAST_PIECE + 0.002 * rate)
    for first in range(len(given)):
        total = 0
        for now, size in given[first:]:
            total += size
            assert total <= burst + rate * (now - given[first][0]) + slack + 1


@given(
    st.sampled_from([3_000, 50_000, 1_000_000, 30_000_000]),
    st.sampled_from([0, 1, 5_000, 200_000, 10_000_000]),
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 400_000)), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.0005, 0.03, 2.0]),
)
def test_never_faster(rate: int, burst: int, sends: list[tuple[float, int]], lag: float) -> None:
    async def run() -> None:
        clock = VirtualClock(lambda: lag)
        taker = Taker(clock)
        wire = PacedWire(taker, rate, burst, clock)
        asked = 0
        last: asyncio.Future[None] | None = None
        for pause, size in sends:
            clock.advance(pause)
            asked += size
            last = wire.send(memoryview(SOURCE)[: size // 3], SOURCE[: size - size // 3])
            assert wire.unfinished is last
            assert (last is None) == (taker.total == asked)
            # What is held back and what the wire below has not sent yet.
            assert wire.queued == asked - taker.total + taker.queued
            assert len(clock.timers) == (last is not None)
        while clock.timers:
            assert last is not None
            assert not last.done()
            clock.next()
        assert taker.total == asked
        assert wire.unfinished is None
        assert last is None or last.done()
        keeps_to(taker.given, rate, burst)
        for _, size in taker.given:
            # More at once only out of a burst.
            assert size <= max(LEAST_PIECE, rate // 10, burst)

    asyncio.run(run())


@given(
    st.sampled_from([50_000, 1_000_000]),
    st.sampled_from([0, 200_000]),
    st.lists(
        st.tuples(st.floats(0, 0.5), st.booleans(), st.integers(0, 100_000)),
        min_size=1,
        max_size=40,
    ),
)
def test_offers_are_no_way_around(
    rate: int, burst: int, steps: list[tuple[float, bool, int]]
) -> None:
    async def run() -> None:
        clock = VirtualClock()
        taker = Taker(clock)
        wire = PacedWire(taker, rate, burst, clock)
        expected = 0
        for pause, offers, size in steps:
            clock.advance(pause)
            held = wire.unfinished is not None
            if offers:
                count = wire.offer(SOURCE[:size])
                assert 0 <= count <= size
                # It must not overtake.
                assert not (held and count)
                expected += count
            else:
                wire.send(SOURCE[:size])
                expected += size
        clock.advance(expected / rate + 1)
        assert taker.total == expected
        assert clock.timers == []
        keeps_to(taker.given, rate, burst)

    asyncio.run(run())


@both_loops
async def test_an_offer_is_taken_in_part_or_not_at_all() -> None:
    clock = VirtualClock()
    taker = Taker(clock)
    wire = PacedWire(taker, 100_000, 0, clock)
    assert wire.offer(SOURCE) == 4096
    assert wire.offer(SOURCE) == 0
    assert clock.timers == []
    clock.now += 0.05
    assert wire.offer(b"x") == 1
    assert wire.send(SOURCE[:5000]) is not None
    assert wire.offer(b"x") == 0
    clock.advance(1)
    taker.full = True
    assert wire.send(b"x") is not None
    assert wire.offer(b"x") == 0
    wire.lost()
    with pytest.raises(ClientGone):
        wire.offer(b"x")


@pytest.mark.parametrize("rate", [10_000, 100_000, 1_000_000, 50_000_000])
@pytest.mark.parametrize("burst", [0, 300_000])
@pytest.mark.parametrize("lag", [-0.0005, 0.0, 0.001, 0.02])
def test_not_much_slower_either(rate: int, burst: int, lag: float) -> None:
    async def run() -> None:
        clock = VirtualClock(lambda: lag)
        taker = Taker(clock)
        wire = PacedWire(taker, rate, burst, clock)
        begun = clock.now
        waiting = wire.send(SOURCE)
        while clock.timers:
            clock.next()
        assert waiting is None or waiting.done()
        # A last piece goes as soon as those before it are paid for.
        least = (len(SOURCE) - burst - 2 * max(LEAST_PIECE, rate / 25)) / rate
        assert least - 0.01 <= clock.now - begun <= (len(SOURCE) - burst) / rate + 0.03
        # Timers that come a little early are not asked for again and again.
        assert clock.fired <= len(taker.given)

    asyncio.run(run())


@both_loops
async def test_smooth() -> None:
    clock = VirtualClock()
    taker = Taker(clock)
    wire = PacedWire(taker, 1_000_000, 0, clock)
    wire.send(SOURCE)
    while clock.timers:
        clock.next()
    pauses = [b - a for (a, _), (b, _) in zip(taker.given, taker.given[1:], strict=False)]
    assert max(pauses) <= 0.1
    assert {size for _, size in taker.given[:-1]} == {40_000}


@both_loops
async def test_the_burst_goes_at_once_and_comes_again() -> None:
    clock = VirtualClock()
    taker = Taker(clock)
    wire = PacedWire(taker, 100_000, 500_000, clock)
    assert wire.send(SOURCE[:400_000]) is None
    assert wire.send(SOURCE[:100_000]) is None
    assert clock.timers == []
    waiting = wire.send(SOURCE[:100_000])
    assert waiting is not None
    clock.advance(1.1)
    assert waiting.done()
    # Two seconds' worth of credit, and never more than the burst.
    clock.advance(2)
    assert wire.send(SOURCE[:190_000]) is None
    assert wire.send(SOURCE[:50_000]) is not None
    clock.advance(3600)
    assert wire.send(SOURCE[:500_000]) is None
    assert wire.send(SOURCE[:50_000]) is not None
    clock.advance(1)
    assert clock.timers == []


@both_loops
async def test_a_client_that_is_slower_than_the_rate() -> None:
    clock = VirtualClock()
    taker = Taker(clock)
    wire = PacedWire(taker, 100_000, 0, clock)
    assert wire.waiting_since is None
    waiting = wire.send(SOURCE[:100_000])
    assert waiting is not None
    assert wire.waiting_since is None, "it is the clock that is waited for"
    taker.full = True
    before = taker.total
    clock.next()
    assert taker.total == before + 4096
    at = clock.now
    # Nothing is to be done until the client takes it.
    assert clock.timers == []
    clock.now += 30
    assert wire.waiting_since == at
    taker.full = False
    taker.resumed()
    assert wire.waiting_since is None
    await turns(2)
    # It is not given for that what it might have had.
    assert taker.total <= before + 4 * 4096
    assert not waiting.done()
    clock.advance(2)
    assert waiting.done()
    assert taker.total == 100_000
    keeps_to(taker.given, 100_000, 0)


@both_loops
async def test_done_when_the_client_has_taken_the_last_of_it() -> None:
    clock = VirtualClock()
    taker = Taker(clock)
    wire = PacedWire(taker, 100_000, 0, clock)
    waiting = wire.send(SOURCE[:10_000])
    assert waiting is not None
    taker.full = True
    clock.advance(0.05)
    taker.resumed()
    await turns(2)
    clock.advance(0.05)
    assert taker.total == 10_000
    assert not waiting.done()
    # More that is written now comes after it, and is waited for, too.
    assert wire.send(b"more") is waiting
    taker.resumed()
    await turns(2)
    assert taker.total == 10_004
    assert not waiting.done()
    taker.resumed()
    await turns(2)
    assert waiting.done()
    assert wire.unfinished is None
    assert clock.timers == []


@pytest.mark.parametrize("end", ["close", "abort", "lost"])
@pytest.mark.parametrize("client_waits", [False, True])
@both_loops
async def test_an_end_with_bytes_held_back(end: str, client_waits: bool) -> None:
    clock = VirtualClock()
    taker = Taker(clock)
    wire = PacedWire(taker, 10_000, 0, clock)
    taker.full = client_waits
    waiting = wire.send(SOURCE)
    given = taker.total
    assert waiting is not None
    getattr(wire, end)()
    assert clock.timers == []
    assert wire.closed
    # Memory that the transport has queued is in use until the connection is lost.
    assert waiting.done() is (not client_waits or end == "lost")
    wire.lost()
    await turns(2)
    assert waiting.done()
    assert taker.total == given
    with pytest.raises(ClientGone):
        wire.send(b"hello?")


@both_loops
async def test_closed_by_the_connection() -> None:
    # A lingering close: nothing is written any more, and the transport lives on.
    clock = VirtualClock()
    taker = Taker(clock)
    wire = PacedWire(taker, 10_000, 0, clock)
    waiting = wire.send(SOURCE)
    assert waiting is not None
    wire.closed = True
    assert taker.closed
    given = taker.total
    clock.next()
    assert waiting.done()
    assert taker.total == given
    assert clock.timers == []


@both_loops
async def test_the_client_is_found_gone_by_a_timer() -> None:
    clock = VirtualClock()
    taker = Taker(clock)
    wire = PacedWire(taker, 10_000, 0, clock)
    waiting = wire.send(SOURCE)
    assert waiting is not None

    def broken(*pieces: Piece) -> None:
        taker.closed = True
        raise ClientGone

    taker.send = broken  # type: ignore[method-assign]
    clock.next()
    assert waiting.done()
    assert wire.unfinished is None
    assert clock.timers == []


@pytest.mark.parametrize(("rate", "burst"), [(0, 0), (-1, 0), (1000, -1)])
def test_what_is_no_rate(rate: int, burst: int) -> None:
    clock = VirtualClock()
    with pytest.raises(ValueError, match="rate"):
        PacedWire(Taker(clock), rate, burst, clock)
