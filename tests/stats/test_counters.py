"""Counters: what each is, sums over real forked workers, gauges of workers that died."""

from functools import partial

import pytest

from aprp.stats.counters import Count, Counters
from tests.stats.forks import ended, in_worker


def test_every_count_has_a_gloss_and_a_place() -> None:
    assert [int(count) for count in Count] == list(range(len(Count)))
    assert all(len(count.gloss) > 10 for count in Count)
    assert len({count.gloss for count in Count}) == len(Count)
    gauges = [Count.ACTIVE_TRANSFERS, Count.TUNNELS_OPEN]
    assert [count for count in Count if count.gauge] == gauges


def test_counts_begin_at_zero_and_do_not_touch_each_other() -> None:
    counters = Counters()
    for number, count in enumerate(Count, 1):
        assert counters.total(count) == 0
        counters.add(count, number)
        counters.add(count)
    assert [counters.total(count) for count in Count] == [n + 1 for n in range(1, len(Count) + 1)]


def test_a_gauge_goes_down() -> None:
    counters = Counters()
    counters.add(Count.ACTIVE_TRANSFERS, 3)
    counters.add(Count.ACTIVE_TRANSFERS, -2)
    assert counters.total(Count.ACTIVE_TRANSFERS) == 1


def test_counts_hold_more_than_32_bits() -> None:
    counters = Counters(2)
    for worker in (0, 1):
        counters.attach(worker)
        counters.add(Count.BYTES_TO_CLIENTS, 2**61)
    assert counters.total(Count.BYTES_TO_CLIENTS) == 2**62
    assert counters.of(1, Count.BYTES_TO_CLIENTS) == 2**61


def test_a_worker_has_its_own_part() -> None:
    counters = Counters(2)
    counters.attach(1)
    counters.add(Count.REQUESTS, 3)
    assert [counters.of(worker, Count.REQUESTS) for worker in (0, 1)] == [0, 3]
    with pytest.raises(ValueError, match="no worker 2"):
        counters.of(2, Count.REQUESTS)


@pytest.mark.parametrize(
    ("status", "count"),
    [
        (100, Count.RESPONSES_1XX),
        (199, Count.RESPONSES_1XX),
        (200, Count.RESPONSES_2XX),
        (206, Count.RESPONSES_2XX),
        (304, Count.RESPONSES_3XX),
        (416, Count.RESPONSES_4XX),
        (499, Count.RESPONSES_4XX),
        (500, Count.RESPONSES_5XX),
        (599, Count.RESPONSES_5XX),
        # RFC 9110 section 15: a status outside 100..599 is treated as 5xx.
        (600, Count.RESPONSES_5XX),
        (999, Count.RESPONSES_5XX),
        (99, Count.RESPONSES_5XX),
        (0, Count.RESPONSES_5XX),
    ],
)
def test_an_answer_counts_in_its_class(status: int, count: Count) -> None:
    counters = Counters()
    counters.answered(status)
    assert {c for c in Count if counters.total(c)} == {count}


def test_sums_over_forked_workers_are_exact() -> None:
    workers = 4
    counters = Counters(workers)

    def work(worker: int) -> None:
        counters.attach(worker)
        for number in range(20_000):
            counters.add(Count.REQUESTS)
            counters.add(Count.BYTES_TO_CLIENTS, number)
            counters.answered(206)

    children = [in_worker(partial(work, worker)) for worker in range(workers)]
    assert [ended(child) for child in children] == [0] * workers
    assert counters.total(Count.REQUESTS) == 80_000
    assert counters.total(Count.RESPONSES_2XX) == 80_000
    assert counters.total(Count.BYTES_TO_CLIENTS) == 4 * sum(range(20_000))


def test_workers_see_each_others_counts() -> None:
    counters = Counters(2)

    def first() -> None:
        counters.attach(0)
        counters.add(Count.REQUESTS, 5)

    def second() -> None:
        counters.attach(1)
        assert counters.total(Count.REQUESTS) == 5
        counters.add(Count.REQUESTS, 7)

    assert ended(in_worker(first)) == 0
    assert ended(in_worker(second)) == 0
    assert counters.total(Count.REQUESTS) == 12


def test_a_dead_worker_leaves_no_active_transfer() -> None:
    counters = Counters(2)

    def dies() -> None:
        counters.attach(1)
        counters.add(Count.ACTIVE_TRANSFERS, 3)
        counters.add(Count.REQUESTS, 4)

    def follows() -> None:
        counters.attach(1)
        counters.add(Count.ACTIVE_TRANSFERS)
        counters.add(Count.REQUESTS)

    counters.add(Count.ACTIVE_TRANSFERS, 2)  # worker 0's own
    assert ended(in_worker(dies)) == 0
    assert counters.total(Count.ACTIVE_TRANSFERS) == 5
    counters.reset_gauges(1)
    assert counters.total(Count.ACTIVE_TRANSFERS) == 2
    assert ended(in_worker(follows)) == 0
    assert counters.total(Count.ACTIVE_TRANSFERS) == 3
    assert counters.total(Count.REQUESTS) == 5


@pytest.mark.parametrize("worker", [-1, 2, 100])
def test_a_worker_that_is_not_there(worker: int) -> None:
    counters = Counters(2)
    with pytest.raises(ValueError, match=rf"no worker {worker}: they are 0 to 1"):
        counters.attach(worker)
    with pytest.raises(ValueError, match=rf"no worker {worker}: they are 0 to 1"):
        counters.reset_gauges(worker)


@pytest.mark.parametrize("workers", [0, -1])
def test_at_least_one_worker(workers: int) -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        Counters(workers)


def test_uptime() -> None:
    counters = Counters(3, started=100.5)
    assert counters.workers == 3
    assert counters.uptime(102.0) == 1.5
    assert Counters().uptime(Counters().started) >= 0
