"""Histograms: buckets, sums over real forked workers, what a worker that is killed leaves."""

import os
import signal
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.stats.histograms import Histograms, Measure
from tests.stats.forks import ended, in_worker

VALUES = st.lists(st.floats(min_value=0, max_value=1e11), max_size=50)


@pytest.mark.parametrize("measure", Measure)
def test_bounds_ascend(measure: Measure) -> None:
    assert list(measure.bounds) == sorted(set(measure.bounds))
    assert measure.bounds[0] > 0
    assert all(isinstance(bound, float) for bound in measure.bounds)
    assert len(measure.gloss) > 10


@pytest.mark.parametrize("measure", Measure)
def test_a_bound_is_in_the_bucket_below_it(measure: Measure) -> None:
    """As `le`, less or equal, of Prometheus has it."""
    histograms = Histograms()
    for bound in measure.bounds:
        histograms.observe(measure, bound)
    read = histograms.read(measure)
    assert read.counts == (*(1 for _ in measure.bounds), 0)
    histograms.observe(measure, measure.bounds[-1] * 1.01)
    histograms.observe(measure, 0)
    read = histograms.read(measure)
    assert read.counts == (2, *(1 for _ in measure.bounds))
    assert read.cumulative[-1] == read.count == len(measure.bounds) + 2


@given(measure=st.sampled_from(Measure), values=VALUES)
def test_buckets_are_what_counting_gives(measure: Measure, values: list[float]) -> None:
    histograms = Histograms(2)
    for number, value in enumerate(values):
        histograms.attach(number % 2)
        histograms.observe(measure, value)
    read = histograms.read(measure)
    below = tuple(sum(value <= bound for value in values) for bound in measure.bounds)
    assert read.cumulative == (*below, len(values))
    assert read.sum == pytest.approx(sum(values))
    assert read.bounds == measure.bounds


def test_measures_do_not_touch_each_other() -> None:
    histograms = Histograms(3)
    for worker in range(3):
        histograms.attach(worker)
        for number, measure in enumerate(Measure, 1):
            for bound in measure.bounds:
                histograms.observe(measure, bound)
            histograms.observe(measure, 1e12 * number)
    for number, measure in enumerate(Measure, 1):
        read = histograms.read(measure)
        assert set(read.counts) == {3}
        assert read.sum == pytest.approx(3 * (sum(measure.bounds) + 1e12 * number), abs=0.01)


def test_sums_over_forked_workers_are_exact() -> None:
    workers = 4
    histograms = Histograms(workers)

    def work(worker: int) -> None:
        histograms.attach(worker)
        for number in range(10_000):
            histograms.observe(Measure.RANGE_SIZE, number)

    children = [in_worker(partial(work, worker)) for worker in range(workers)]
    assert [ended(child) for child in children] == [0] * workers
    read = histograms.read(Measure.RANGE_SIZE)
    assert read.count == 4 * 10_000
    assert read.sum == 4 * sum(range(10_000))
    # 0 and 1 are at most 1; 2 to 1024 at most 1 KiB, and so on.
    assert read.cumulative[:4] == (4 * 2, 4 * 1025, 4 * 4097, 4 * 10_000)


def test_what_a_killed_worker_measured_stays() -> None:
    histograms = Histograms(2)
    histograms.observe(Measure.REQUEST_TIME, 0.25)
    ready, tell = os.pipe()

    def dies() -> None:
        histograms.attach(1)
        for _ in range(3):
            histograms.observe(Measure.REQUEST_TIME, 0.5)
        os.write(tell, b".")
        signal.pause()

    def follows() -> None:
        histograms.attach(1)
        histograms.observe(Measure.REQUEST_TIME, 0.75)

    victim = in_worker(dies)
    assert os.read(ready, 1) == b"."
    os.kill(victim, signal.SIGKILL)
    assert ended(victim) == -signal.SIGKILL
    read = histograms.read(Measure.REQUEST_TIME)
    assert (read.count, read.sum) == (4, 1.75)
    assert ended(in_worker(follows)) == 0
    read = histograms.read(Measure.REQUEST_TIME)
    assert (read.count, read.sum) == (5, 2.5)
    os.close(ready)
    os.close(tell)


@pytest.mark.parametrize("worker", [-1, 2, 100])
def test_a_worker_that_is_not_there(worker: int) -> None:
    with pytest.raises(ValueError, match=rf"no worker {worker}: they are 0 to 1"):
        Histograms(2).attach(worker)


@pytest.mark.parametrize("workers", [0, -1])
def test_at_least_one_worker(workers: int) -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        Histograms(workers)
