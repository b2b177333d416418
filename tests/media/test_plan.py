"""Windows on the edges of slices, and the pace at which connections are tried."""

from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.media.plan import Grid, Pace, grown, opening_range, parallel_window
from aprp.semantics.answer import Asked, NoSuchRange, Part, decide
from aprp.semantics.headers import Fields
from aprp.semantics.ranges import IntRange, RangeSet, RangeSpec, Span, SuffixRange

MIB = 1 << 20
GRID = Grid(MIB)

sizes = st.integers(1, 64)
positions = st.integers(0, 1000)


# Edges


@pytest.mark.parametrize(
    ("position", "floor", "ceil"),
    [(0, 0, 0), (1, 0, 10), (9, 0, 10), (10, 10, 10), (11, 10, 20), (99, 90, 100)],
)
def test_edges(position: int, floor: int, ceil: int) -> None:
    assert Grid(10).floor(position) == floor
    assert Grid(10).ceil(position) == ceil


@given(sizes, positions)
def test_edges_are_the_nearest(size: int, position: int) -> None:
    edges = range(0, position + 2 * size, size)
    assert Grid(size).floor(position) == max(edge for edge in edges if edge <= position)
    assert Grid(size).ceil(position) == min(edge for edge in edges if edge >= position)


# The first request for a file


@pytest.mark.parametrize(
    ("spec", "window", "sent"),
    [
        # What a client asks for is taken to the edges of slices.
        (IntRange(0, 1), 8 * MIB, IntRange(0, MIB - 1)),
        (IntRange(MIB, MIB), 8 * MIB, IntRange(MIB, 2 * MIB - 1)),
        (IntRange(MIB - 1, MIB), 8 * MIB, IntRange(0, 2 * MIB - 1)),
        (IntRange(5 * MIB + 7, 7 * MIB - 1), 8 * MIB, IntRange(5 * MIB, 7 * MIB - 1)),
        # Not more than a window at once.
        (IntRange(0, None), 8 * MIB, IntRange(0, 8 * MIB - 1)),
        (IntRange(0, 10**17), 8 * MIB, IntRange(0, 8 * MIB - 1)),
        (IntRange(MIB + 1, None), 8 * MIB, IntRange(MIB, 9 * MIB - 1)),
        (IntRange(0, None), 8 * MIB + 1, IntRange(0, 9 * MIB - 1)),
        # Never less than a slice.
        (IntRange(0, None), 0, IntRange(0, MIB - 1)),
        (IntRange(MIB - 1, None), 1, IntRange(0, MIB - 1)),
        # From the end, edges can only be hit by asking for more.
        (SuffixRange(1), 8 * MIB, SuffixRange(MIB)),
        (SuffixRange(3 * MIB), 8 * MIB, SuffixRange(4 * MIB - 1)),
        # Satisfiable of no file (RFC 9110 section 14.1.2), and so it stays.
        (SuffixRange(0), 8 * MIB, SuffixRange(0)),
    ],
)
def test_what_is_asked_for_first(spec: RangeSpec, window: int, sent: RangeSpec) -> None:
    assert opening_range(spec, GRID, window) == sent


windows = st.integers(0, 200)
int_ranges = st.builds(
    lambda first, more: IntRange(first, None if more is None else first + more),
    positions,
    st.none() | positions,
)
suffixes = st.integers(1, 1000).map(SuffixRange)


@given(int_ranges, sizes, windows)
def test_a_first_window_is_whole_slices_and_no_more(spec: IntRange, size: int, window: int) -> None:
    sent = opening_range(spec, Grid(size), window)
    assert isinstance(sent, IntRange)
    assert sent.last is not None
    assert sent.first % size == (sent.last + 1) % size == 0
    assert sent.first <= spec.first <= sent.last
    # No slice of which the client wants nothing, and the window rounded up.
    assert spec.first - sent.first < size
    assert sent.last - sent.first < max(window, size) + size
    if spec.last is not None:
        assert sent.last - spec.last < size
        # A range that fits into the window is asked for whole.
        assert spec.last <= sent.last or spec.last - sent.first >= window
    else:
        assert sent.last - sent.first + 1 >= window


@given(suffixes, sizes, windows, positions)
def test_a_suffix_begins_with_an_edge(
    spec: SuffixRange, size: int, window: int, length: int
) -> None:
    sent = opening_range(spec, Grid(size), window)
    assert isinstance(sent, SuffixRange)
    assert sent.length - spec.length < size
    mine, asked = spec.select(length), sent.select(length)
    if mine is not None:
        assert asked is not None
        assert asked.stop == mine.stop == length
        assert any(edge % size == 0 for edge in range(asked.start, mine.start + 1))


@given(st.binary(max_size=300), int_ranges | suffixes, sizes, windows)
def test_the_answer_to_it_answers_the_client(
    data: bytes, spec: RangeSpec, size: int, window: int
) -> None:
    """An honest origin's 206 or 416 to the window, seen as what the client asked."""
    sent = opening_range(spec, Grid(size), window)
    length = len(data)
    came, mine = sent.select(length), spec.select(length)
    asked = Asked("GET", RangeSet((spec,)), None, None)
    if came is None:
        fields = Fields([("Content-Range", f"bytes */{length}")])
        assert mine is None
        if length:
            assert decide(asked, sent, 416, fields.get) == NoSuchRange(length)
        return
    got = decide(asked, sent, 206, Fields([("Content-Range", came.to_content_range(length))]).get)
    if mine is None:
        assert got == NoSuchRange(length)
        return
    assert isinstance(got, Part)
    cut = data[came.start : came.stop][got.skip :][: got.span.length]
    assert cut
    assert data[mine.start : mine.stop].startswith(cut)
    assert got.span == Span(mine.start, min(mine.stop, came.stop))


# Sizes of windows


@given(st.integers(0, 1000), st.integers(0, 8), sizes)
def test_parallel_windows_cover_what_is_read_ahead(ahead: int, count: int, size: int) -> None:
    window = parallel_window(ahead, count, Grid(size))
    assert window % size == 0
    assert window >= size
    assert window * max(count, 1) > ahead - max(count, 1)
    assert window <= max(ahead / max(count, 1) + size, size)


def test_windows_double_up_to_the_largest() -> None:
    window, seen = 4 * MIB, []
    for _ in range(6):
        window = grown(window, 64 * MIB)
        seen.append(window // MIB)
    assert seen == [8, 16, 32, 64, 64, 64]


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_window_never_shrinks(window: int, most: int) -> None:
    assert window <= grown(window, most) <= max(window, most)


# How many at once


@dataclass
class Line:
    """A line to an origin, on a clock of its own; times in seconds, rates in bytes a second.

    `each` is what one connection carries, `all` what they carry together; `busy` the part of the
    time that this process works.
    """

    each: float
    all: float
    busy: float = 0.1
    now: float = 1000.0

    def run(self, pace: Pace, seconds: float, every: float = 0.02) -> list[tuple[float, int]]:
        """Bytes arrive for so long; gives when the number of connections changed, and to what."""
        changes = []
        end = self.now + seconds
        while self.now < end:
            self.now += every
            rate = min(self.each * pace.count, self.all)
            if pace.arrived(int(rate * every), self.now, lambda: self.now * self.busy):
                changes.append((self.now, pace.count))
        return changes


def counts(changes: list[tuple[float, int]]) -> list[int]:
    return [count for _, count in changes]


def test_a_slow_line_gets_as_many_as_there_may_be() -> None:
    """Each connection carries as much as the first one: a long way, not a narrow one."""
    pace = Pace(4)
    assert counts(Line(each=MIB, all=100 * MIB).run(pace, 60)) == [2, 3, 4]
    assert pace.count == 4


def test_one_of_no_use_is_given_up_and_not_tried_for_a_while() -> None:
    """The line is narrow: several connections share what one had."""
    pace = Pace(4)
    changes = Line(each=MIB, all=MIB).run(pace, Pace.ALONE - 1)
    assert counts(changes) == [2, 1]
    pace.rest()
    later = Line(each=MIB, all=MIB, now=changes[-1][0] + Pace.ALONE)
    assert counts(later.run(pace, 2)) == [2, 1]


def test_it_ends_where_another_one_adds_little() -> None:
    pace = Pace(8)
    # The third brings 20 % more, the fourth nothing.
    assert counts(Line(each=MIB, all=2.4 * MIB).run(pace, 20)) == [2, 3, 4, 3]
    assert pace.count == 3


@pytest.mark.parametrize(("grows", "kept"), [(1.1, 1), (1.2, 2)])
def test_what_is_worth_a_connection_is_15_percent(grows: float, kept: int) -> None:
    pace = Pace(2)
    Line(each=MIB, all=grows * MIB).run(pace, 20)
    assert pace.count == kept


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(Line(each=40 * MIB, all=400 * MIB), id="a fast line"),
        pytest.param(Line(each=MIB, all=100 * MIB, busy=0.8), id="a busy process"),
    ],
)
def test_where_no_second_one_is_tried(line: Line) -> None:
    pace = Pace(4)
    assert line.run(pace, 60) == []
    assert pace.count == 1


def test_one_alone_where_no_more_are_allowed() -> None:
    pace = Pace(1)
    assert Line(each=MIB, all=100 * MIB).run(pace, 60) == []
    assert pace.count == 1


def test_a_rate_is_measured_for_a_while_before_it_is_believed() -> None:
    line = Line(each=MIB, all=100 * MIB)
    ((when, _),) = line.run(Pace(2), 10)
    assert when - 1000 >= Pace.MEASURE


def test_while_the_reader_rests_nothing_is_measured() -> None:
    """A client that takes 1 MiB a second says nothing of what the line could carry."""
    pace, line = Pace(4), Line(each=MIB, all=100 * MIB)
    for _ in range(200):
        assert line.run(pace, Pace.MEASURE / 2) == []
        pace.rest()
        line.now += 1
    assert pace.count == 1
    # And the pauses do not count for a rate.
    assert counts(line.run(pace, 60)) == [2, 3, 4]


@given(
    st.integers(1, 6),
    st.lists(
        st.tuples(st.integers(0, 64 * MIB), st.floats(0, 2), st.floats(0, 2), st.booleans()),
        max_size=200,
    ),
)
def test_between_one_and_the_most(most: int, steps: list[tuple[int, float, float, bool]]) -> None:
    pace = Pace(most)
    now = worked = 0.0
    for count, passed, work, rests in steps:
        now += passed
        worked += min(work, passed)
        before = pace.count
        if rests:
            pace.rest()
        changed = pace.arrived(count, now, partial(float, worked))
        assert changed == (pace.count != before)
        assert abs(pace.count - before) <= 1
        assert 1 <= pace.count <= most
