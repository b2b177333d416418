"""A stream through blocks of memory: what is there, what is given up, and how much it takes."""

import random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aprp.media.scratch import BLOCK, MOST_BLOCKS, Scratch

# More than may be held at once, several times.
DATA = random.Random(1).randbytes(4 * BLOCK * MOST_BLOCKS + 12345)


def put(scratch: Scratch, count: int, stop: int = len(DATA)) -> int:
    """Bytes come, as many as there is room for in one piece; how many it were."""
    room = scratch.space(stop)[:count]
    begin = scratch.position
    room[:] = DATA[begin : begin + len(room)]
    scratch.put(len(room))
    return len(room)


def given(scratch: Scratch, begin: int, stop: int) -> bytes:
    """What is given of the bytes from `begin` to `stop`; it must be something."""
    view = scratch.at(begin, stop)
    assert view is not None
    return bytes(view)


def held(scratch: Scratch) -> bytes:
    """All that is there, from the first byte on."""
    found, place = b"", scratch.begin
    while (view := scratch.at(place, len(DATA))) is not None:
        found += view
        place += len(view)
    return found


class Stream(RuleBasedStateMachine):
    """Against a number: the first byte that somebody may still want."""

    def __init__(self) -> None:
        super().__init__()
        self.start = self.come = 0
        self.kept = 0
        self.scratch = Scratch(0)

    @precondition(lambda self: not self.scratch.full and self.come < len(DATA))
    @rule(count=st.one_of(st.integers(1, 3 * BLOCK), st.just(BLOCK), st.integers(1, 100)))
    def bytes_come(self, count: int) -> None:
        came = put(self.scratch, count)
        assert 0 < came <= count
        self.come += came

    @precondition(lambda self: self.come < len(DATA))
    @rule(count=st.integers(1, BLOCK))
    def some_come_although_it_is_full(self, count: int) -> None:
        """A reader that lags far behind is left behind."""
        if self.scratch.full:
            self.kept = max(self.kept, self.scratch.begin + BLOCK)
            self.scratch.drop_first()
        self.come += put(self.scratch, count)

    @rule(part=st.floats(0, 1))
    def readers_have_come_to(self, part: float) -> None:
        place = self.kept + int((self.come - self.kept) * part)
        self.scratch.drop(place)
        self.kept = place

    @rule(part=st.floats(0, 1), count=st.integers(1, 2 * BLOCK))
    def one_reads(self, part: float, count: int) -> None:
        place = self.kept + int((self.come - self.kept) * part)
        view = self.scratch.at(place, min(place + count, len(DATA)))
        if place == self.come:
            assert view is None
        else:
            assert view is not None
            assert 0 < len(view) <= count
            assert view == DATA[place : place + len(view)]

    @rule(beyond=st.integers(0, BLOCK))
    def what_is_not_there_is_not_given(self, beyond: int) -> None:
        assert self.scratch.at(self.come + beyond, len(DATA)) is None
        if self.scratch.begin:
            assert self.scratch.at(self.scratch.begin - 1, len(DATA)) is None

    @invariant()
    def all_that_is_wanted_is_there(self) -> None:
        assert self.scratch.position == self.come
        assert self.scratch.begin <= self.kept
        assert held(self.scratch) == DATA[self.scratch.begin : self.come]

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.come - self.scratch.begin <= self.scratch.capacity
        # Of what nobody wants, less than a block is kept.
        assert self.kept - self.scratch.begin <= BLOCK


TestStream = Stream.TestCase


def test_it_begins_where_it_is_told() -> None:
    scratch = Scratch(1000)
    assert (scratch.begin, scratch.position) == (1000, 1000)
    assert not scratch.full
    assert scratch.at(1000, 2000) is None
    put(scratch, 10)
    assert (scratch.begin, scratch.position) == (1000, 1010)
    assert given(scratch, 1003, 5000) == DATA[1003:1010]
    assert given(scratch, 1003, 1005) == DATA[1003:1005]
    assert scratch.at(999, 1010) is None


def test_no_more_room_than_up_to_the_stop() -> None:
    """A small range does not cost a block."""
    scratch = Scratch(1000)
    assert len(scratch.space(1010)) == 10
    assert put(scratch, 7, 1010) == 7
    assert len(scratch.space(1010)) == 3
    assert put(scratch, 7, 1010) == 3
    assert not scratch.full


def test_the_room_that_was_not_used_is_given_again() -> None:
    scratch = Scratch(0)
    first = scratch.space(100)
    first[:5] = b"wrong"
    assert scratch.at(0, 100) is None
    put(scratch, 3, 100)
    assert given(scratch, 0, 100) == DATA[:3]
    assert len(scratch.space(100)) == 97


def test_it_is_full_when_the_last_byte_has_come() -> None:
    scratch = Scratch(0)
    while not scratch.full:
        assert scratch.position < scratch.capacity
        put(scratch, 100_000)
    assert scratch.position == scratch.capacity == BLOCK * MOST_BLOCKS
    scratch.drop(BLOCK - 1)
    assert scratch.full
    scratch.drop(BLOCK)
    assert not scratch.full


def test_what_was_given_stays_good() -> None:
    """A client's connection sends it later."""
    scratch = Scratch(0)
    put(scratch, BLOCK)
    view = scratch.at(0, BLOCK)
    assert view is not None
    scratch.drop(BLOCK)
    for _ in range(MOST_BLOCKS):
        put(scratch, BLOCK)
    assert view == DATA[:BLOCK]
    assert scratch.at(0, BLOCK) is None


@pytest.mark.parametrize("place", [0, 1, BLOCK - 1])
def test_a_block_that_is_partly_wanted_stays(place: int) -> None:
    scratch = Scratch(0)
    put(scratch, BLOCK)
    put(scratch, 1)
    scratch.drop(place)
    assert scratch.begin == 0
    scratch.drop(BLOCK + 1)
    # The block that is being filled stays in any case.
    assert scratch.begin == BLOCK
    assert put(scratch, 5) == 5
    assert given(scratch, BLOCK + 1, len(DATA)) == DATA[BLOCK + 1 : BLOCK + 6]
