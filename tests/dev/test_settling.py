"""How long a start waits for more changes; the clock is the test's."""

import itertools
import random

import pytest

from aprp.dev.settling import LONGEST, QUIET, Settling


class Backend:
    """A backend that takes `start` seconds to answer, and is started when the time has come."""

    def __init__(self, start: float, *, asked: bool) -> None:
        self.settling = Settling()
        self.start = start
        self.asked = asked
        self.starts: list[float] = []
        self.seen = -1
        self._due: float | None = None
        self._answers: float | None = None

    def play(self, changes: list[float], until: float) -> None:
        """Let time pass in steps of a millisecond."""
        left = list(changes)
        for tick in range(round(until * 1000)):
            now = tick / 1000
            if self._answers is not None and now >= self._answers:
                self._answers = None
                if self.asked:
                    self.settling.used()
            if left and now >= left[0]:
                left.pop(0)
                self.settling.changed(now)
                self._answers = None
                self._due = now
            if self._due is not None and self.settling.left(now) <= 0:
                self._due = None
                self.settling.started()
                self.starts.append(now)
                self.seen = len(changes) - len(left)
                self._answers = now + self.start


def test_the_first_start_waits_for_nothing() -> None:
    assert Settling().left(5.0) == 0


def test_one_change_is_waited_for_by_less_than_the_limit() -> None:
    settling = Settling()
    settling.changed(10.0)
    assert settling.left(10.0) == pytest.approx(QUIET)
    assert settling.left(10.0 + QUIET) == 0
    assert QUIET < 0.15


def test_many_files_are_waited_for_a_little_longer() -> None:
    settling = Settling()
    settling.changed(10.0, 500)
    assert QUIET < settling.left(10.0) < 0.15
    # The gap that a checkout may have.
    settling.changed(10.09, 3)
    assert settling.left(10.15) > 0
    assert settling.left(10.22) == 0
    settling.started()
    # The next one is about another burst.
    settling.changed(20.0)
    assert settling.left(20.0) == pytest.approx(QUIET)


def test_a_burst_is_one_start() -> None:
    backend = Backend(0.2, asked=False)
    backend.play([1.0 + n * 0.01 for n in range(60)], 3.0)
    assert len(backend.starts) == 1
    assert backend.seen == 60


@pytest.mark.parametrize("start", [0.03, 0.1, 0.3, 1.0])
def test_a_hundred_changes_in_ten_seconds_are_a_few_starts(start: float) -> None:
    backend = Backend(start, asked=False)
    backend.play([n * 0.1 for n in range(100)], 18.0)
    assert len(backend.starts) <= 5
    assert backend.seen == 100


@pytest.mark.parametrize("seed", range(5))
def test_changes_at_random_are_a_few_starts(seed: int) -> None:
    moments = random.Random(seed)
    backend = Backend(0.3, asked=False)
    backend.play(sorted(moments.uniform(0, 10) for _ in range(100)), 18.0)
    assert len(backend.starts) <= 8
    assert backend.seen == 100


def test_changes_without_end_do_not_put_a_start_off_for_ever() -> None:
    backend = Backend(0.3, asked=False)
    backend.play([n * 0.02 for n in range(1000)], 20.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(backend.starts)]
    assert backend.starts[0] <= LONGEST + 0.1
    assert max(gaps) <= LONGEST + 0.1


@pytest.mark.parametrize("gap", [0.4, 1.2])
def test_changes_that_are_looked_at_one_by_one_do_not_wait_for_longer(gap: float) -> None:
    backend = Backend(0.2, asked=True)
    changes = [1.0 + n * gap for n in range(10)]
    backend.play(changes, 20.0)
    waits = [start - change for start, change in zip(backend.starts, changes, strict=True)]
    assert max(waits) <= QUIET + 0.002


def test_changes_far_apart_do_not_wait_for_longer_though_nobody_looks() -> None:
    backend = Backend(0.2, asked=False)
    changes = [1.0 + n * 1.5 for n in range(5)]
    backend.play(changes, 12.0)
    waits = [start - change for start, change in zip(backend.starts, changes, strict=True)]
    assert max(waits) <= QUIET + 0.002


def test_changes_that_become_slower_do_not_wait_for_longer() -> None:
    # Each comes when the start that the one before has led to is over.
    backend = Backend(0.02, asked=False)
    changes = list(itertools.accumulate([1.0, 0.2, 0.3, 0.5, 0.9, 1.5, 2.4, 2.4, 2.4]))
    backend.play(changes, 14.0)
    waits = [start - change for start, change in zip(backend.starts, changes, strict=True)]
    assert max(waits[-4:]) <= QUIET + 0.002
