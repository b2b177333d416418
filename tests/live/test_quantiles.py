"""Quantiles by interpolation, and what came in the last minute."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.live.quantiles import Latency, Readings, quantile

BOUNDS = (1.0, 2.0, 4.0)

bounds = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=20, unique=True).map(sorted)
parts = st.floats(0.0, 1.0)


@st.composite
def histograms(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    edges = draw(bounds)
    counts = st.lists(st.integers(0, 10**6), min_size=len(edges) + 1, max_size=len(edges) + 1)
    return edges, draw(counts)


@pytest.mark.parametrize(
    ("counts", "q", "value"),
    [
        # Ten observations spread evenly over (0, 1]: the fifth is at the middle.
        ((10, 0, 0, 0), 0.5, 0.5),
        ((10, 0, 0, 0), 0.99, 0.99),
        ((10, 10, 0, 0), 0.5, 1.0),
        ((10, 10, 0, 0), 0.75, 1.5),
        ((0, 0, 4, 0), 0.5, 3.0),
        ((1, 0, 1, 0), 0.75, 3.0),
        # Above all bounds nothing is known but that.
        ((0, 0, 0, 7), 0.5, 4.0),
        ((99, 0, 0, 1), 0.995, 4.0),
        ((0, 0, 0, 0), 0.5, None),
    ],
)
def test_interpolation(counts: tuple[int, ...], q: float, value: float | None) -> None:
    found = quantile(BOUNDS, counts, q)
    assert found == value if value is None else found == pytest.approx(value)


@given(histograms(), parts)
def test_it_lies_in_the_bucket_of_its_rank(
    histogram: tuple[list[float], list[int]], q: float
) -> None:
    edges, counts = histogram
    found = quantile(edges, counts, q)
    if not sum(counts):
        assert found is None
        return
    assert found is not None
    # As many as the rank says lie in the buckets up to the one that it is in.
    low = [0.0, *edges]
    high = [*edges, math.inf]
    rank = q * sum(counts)
    inside = [
        n
        for n, count in enumerate(counts)
        if count and sum(counts[:n]) <= rank <= sum(counts[: n + 1])
    ]
    assert any(low[n] - 1e-9 <= found <= high[n] * (1 + 1e-9) for n in inside)


@given(histograms(), st.lists(parts, min_size=2).map(sorted))
def test_a_larger_part_has_no_smaller_quantile(
    histogram: tuple[list[float], list[int]], qs: list[float]
) -> None:
    found = [quantile(*histogram, q) for q in qs]
    for one, next_one in pairwise(found):
        assert one is None or (next_one is not None and one <= next_one * (1 + 1e-9))


def test_as_many_counts_as_buckets() -> None:
    with pytest.raises(ValueError, match="3 bounds have 4 buckets"):
        quantile(BOUNDS, (1, 2, 3), 0.5)


def test_what_is_told() -> None:
    assert Latency.of(BOUNDS, (10, 0, 0, 0)).to_json() == {
        "count": 10,
        "p50": 0.5,
        "p95": 0.95,
        "p99": 0.99,
    }
    nothing = {"count": 0, "p50": None, "p95": None, "p99": None}
    assert Latency.of(BOUNDS, (0, 0, 0, 0)).to_json() == nothing


def test_the_last_minute_is_the_difference_to_the_reading_of_a_minute_ago() -> None:
    readings = Readings()
    told = [readings.minute(float(second), (second, 2 * second)) for second in range(100)]
    # Nothing is known of the time before the first.
    assert told[0] == (0, 0)
    assert told[30] == (30, 60)
    assert told[60] == told[99] == (60, 120)


def test_after_a_pause_it_begins_anew() -> None:
    readings = Readings()
    readings.minute(0.0, (5,))
    assert readings.minute(10.0, (6,)) == (1,)
    assert readings.minute(500.0, (100,)) == (0,)
    assert readings.minute(501.0, (103,)) == (3,)


@given(st.lists(st.tuples(st.floats(0.1, 200), st.integers(0, 9)), min_size=1, max_size=60))
def test_a_minute_is_never_longer_than_readings_allow(steps: list[tuple[float, int]]) -> None:
    readings = Readings()
    now, total = 0.0, 0
    history: list[tuple[float, int]] = []
    for pause, more in steps:
        now, total = now + pause, total + more
        history.append((now, total))
        (told,) = readings.minute(now, (total,))
        within = [before for at, before in history if at >= now - 75]
        assert total - within[0] >= told >= 0
        if any(now - 75 <= at <= now - 60 for at, _ in history):
            # The newest of those that are a minute old.
            old = [before for at, before in history if now - 75 <= at <= now - 60]
            assert told == total - old[-1]
