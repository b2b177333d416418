"""Requests a second: the storage of ours as `limits` uses it, and the rate over all workers."""

import contextlib
import math
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter

from aprp.front.rates import RequestRate, SharedWindows, window_of
from aprp.front.shared import WAYS, SharedTable
from tests.front.forks import SharedClock, Worker, all_at_once


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


# With binary fractions, and windows that are powers of two, everything is exact.
STEPS = st.integers(0, 40).map(lambda sixteenths: sixteenths / 16)


@given(
    st.integers(1, 6),
    st.sampled_from([1, 2, 4]),
    st.lists(st.tuples(STEPS, st.integers(0, 2), st.integers(1, 3)), max_size=60),
)
def test_the_rule_of_the_sliding_window(
    limit: int, window: int, requests: list[tuple[float, int, int]]
) -> None:
    # As the documentation of limits has it: what came in the present window, and what came in the
    # one before it, weighted by the part of that which is not yet one window ago.
    clock = Clock(960.0)
    storage = SharedWindows(3, window, clock)
    limiter = SlidingWindowCounterRateLimiter(storage)
    item = RateLimitItemPerSecond(limit, window)
    model: dict[int, int] = {}
    for step, worker, cost in requests:
        clock.now += step
        storage.attach(worker)
        number = int(clock.now // window)
        left = 1 - (clock.now / window - number)
        weighted = math.floor(model.get(number - 1, 0) * left) + model.get(number, 0)
        allowed = weighted + cost <= limit
        assert limiter.test(item, "192.0.2.1", cost=cost) == allowed
        assert limiter.hit(item, "192.0.2.1", cost=cost) == allowed
        if allowed:
            model[number] = model.get(number, 0) + cost
        assert limiter.get_window_stats(item, "192.0.2.1").remaining == max(
            0,
            limit - math.floor(model.get(number - 1, 0) * left) - model.get(number, 0),
        )


def test_windows_of_other_lengths_are_not_mixed() -> None:
    storage = SharedWindows(1, 2)
    with pytest.raises(ValueError, match="windows are of 2 s here, not of 1"):
        SlidingWindowCounterRateLimiter(storage).hit(RateLimitItemPerSecond(5), "192.0.2.1")


def test_the_package_s_fixed_window() -> None:
    clock = Clock()
    storage = SharedWindows(2, 1, clock)
    limiter = FixedWindowRateLimiter(storage)
    item = RateLimitItemPerSecond(3)
    key = item.key_for("192.0.2.1")
    for worker, allowed in [(0, True), (1, True), (0, True), (1, False)]:
        storage.attach(worker)
        assert limiter.hit(item, "192.0.2.1") is allowed
    assert storage.get(key) == 4
    assert not limiter.test(item, "192.0.2.1")
    clock.now += 0.75
    stats = limiter.get_window_stats(item, "192.0.2.1")
    later = limiter.get_window_stats(item, "192.0.2.1")
    # The quarter of the window that is left, from two readings of the system's clock.
    assert 0 <= later.reset_time - stats.reset_time < 0.25
    clock.now += 0.25
    assert storage.get(key) == 0
    assert limiter.hit(item, "192.0.2.1")
    assert storage.check()


def test_forgetting() -> None:
    storage = SharedWindows(2, 1, Clock())
    limiter = SlidingWindowCounterRateLimiter(storage)
    item = RateLimitItemPerSecond(1)
    for name in "ab":
        assert limiter.hit(item, name)
        assert not limiter.hit(item, name)
    limiter.clear(item, "a")
    limiter.clear(item, "never seen")
    assert limiter.hit(item, "a")
    assert not limiter.hit(item, "b")
    storage.reset()
    assert limiter.hit(item, "b")
    # What other workers counted is theirs.
    storage.attach(1)
    storage.reset()
    assert not limiter.hit(item, "b")


def test_what_a_dead_worker_counted_holds() -> None:
    rate = RequestRate(2, 2, Clock())
    rate.attach(1)
    assert rate.take("a") is None
    rate.attach(0)
    assert rate.take("a") is None
    rate.attach(1)  # another in its place
    assert rate.take("a") is not None


@pytest.mark.parametrize(
    ("rate", "amount", "seconds"),
    [
        (1, 1, 1),
        (10, 10, 1),
        (2.5, 5, 2),
        (0.5, 1, 2),
        (0.2, 1, 5),
        (0.7, 7, 10),
        (0.001, 1, 1000),
        (1000, 1000, 1),
        (1000.4, 1000, 1),
        (1e6, 1_000_000, 1),
    ],
)
def test_a_rate_as_whole_numbers(rate: float, amount: int, seconds: int) -> None:
    item = window_of(rate)
    assert (item.amount, item.get_expiry()) == (amount, seconds)


@given(st.floats(1e-6, 1e9))
def test_any_rate_is_kept_within_a_hundredth(rate: float) -> None:
    item = window_of(rate)
    assert item.amount >= 1
    assert item.amount / item.get_expiry() == pytest.approx(rate, rel=0.01)
    # No longer than it has to be: 50 requests, or 50 seconds, are enough for any.
    assert item.get_expiry() <= max(50, 50 / rate + 1)


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf, 1e10])
def test_what_is_no_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="cannot be kept"):
        window_of(rate)


@given(
    st.sampled_from([0.3, 1, 2.5, 7, 40]),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 60)), min_size=1, max_size=15),
)
def test_after_the_wait_there_is_room(rate: float, requests: list[tuple[float, int]]) -> None:
    clock = Clock()
    limit = RequestRate(1, rate, clock)
    wait = None
    for step, count in requests:
        clock.now += step
        for _ in range(count):
            wait = limit.take("a")
    if wait is None:
        return
    item = window_of(rate)
    assert 0 <= wait <= item.get_expiry()
    until = clock.now + wait
    # Not much earlier, and certainly then. The counts of a refusal stay as they are.
    clock.now = until - 0.01 * item.get_expiry()
    if wait > 0.01 * item.get_expiry():
        assert limit.take("a") is not None
    clock.now = until + 1e-6
    assert limit.take("a") is None


def test_addresses_do_not_count_for_each_other() -> None:
    rate = RequestRate(1, 3, Clock())
    for number in range(5000):
        for _ in range(3):
            assert rate.take(f"10.0.{number // 250}.{number % 250}") is None
    # All of them have had theirs: 5000 are few enough for the table to know them.
    again = [rate.take(f"10.0.{number // 250}.{number % 250}") for number in range(5000)]
    assert again.count(None) < 5


def test_of_too_many_addresses_those_that_ask_most_are_known() -> None:
    clock = Clock()
    windows = SharedWindows(1, 1, clock, SharedTable(1, 2, buckets=1))
    item = RateLimitItemPerSecond(50)
    limiter = SlidingWindowCounterRateLimiter(windows)
    for number in range(50):
        assert limiter.hit(item, "greedy")
        for other in range(3):
            # Each is one that was never seen before, and none is refused.
            assert limiter.hit(item, f"{number} {other}")
    assert not limiter.hit(item, "greedy")
    clock.now += 3
    for number in range(WAYS):
        assert limiter.hit(item, f"later {number}")
    assert windows.get(item.key_for("greedy")) == 0


def asking(rate: RequestRate, worker: int) -> Callable[[int], int]:
    rate.attach(worker)
    return lambda count: sum(rate.take("192.0.2.1") is None for _ in range(count))


@pytest.mark.parametrize(
    ("rate", "asked"),
    [
        # Requests of each worker every 20 ms.
        (100, (1, 1, 1, 1)),
        (100, (3, 0, 0, 0)),
        (100, (40, 7, 1, 0)),
        (100, (20, 20, 20, 20)),
        (7, (1, 0, 2, 0)),
        (2.5, (1, 1, 1, 1)),
        (0.5, (0, 1, 1, 0)),
        (1000, (9, 8, 7, 6)),
    ],
)
def test_the_rate_of_all_workers_together(rate: float, asked: tuple[int, ...]) -> None:
    clock = SharedClock()
    limit = RequestRate(len(asked), rate, clock)
    seconds = 20
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(partial(asking, limit, n))) for n in range(len(asked))
        ]
        allowed = 0
        for tick in range(seconds * 50):
            clock.set(1000.003 + tick / 50)
            for worker, count in zip(workers, asked, strict=True):
                worker.tell(count)
            allowed += sum(worker.hear() for worker in workers)
    assert allowed == pytest.approx(rate * seconds, rel=0.1)


def test_who_stays_below_the_rate_is_not_refused() -> None:
    clock = SharedClock()
    limit = RequestRate(4, 100, clock)
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker(partial(asking, limit, n))) for n in range(4)]
        for tick in range(500):
            clock.set(1000.003 + tick / 90)
            assert workers[tick * 7 % 4].do(1) == 1


def test_workers_that_race_do_not_get_above_it() -> None:
    clock = SharedClock()
    limit = RequestRate(4, 5000, clock)
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker(partial(asking, limit, n))) for n in range(4)]
        for turn in range(3):
            clock.set(1000.0 + 2 * turn)
            assert sum(all_at_once(workers, 3000)) == 5000
