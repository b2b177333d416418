"""What is read of other machines, as all workers see it."""

from datetime import UTC, datetime

import pytest

from aprp.stats.counters import Count, Counters
from aprp.stats.machines import COUNTED
from aprp.stats.shared_sum import SharedSum, State
from tests.stats.forks import ended, in_worker

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()


def test_before_anything_is_read() -> None:
    counters = Counters()
    counters.add(Count.REQUESTS, 5)
    told = SharedSum().read(counters)
    assert (told.state, told.since, told.machines) == (State.CONNECTING, None, 1)
    assert told.totals == {**dict.fromkeys(COUNTED, 0), "requests": 5}
    assert told.text == "redis: connecting"
    assert told.to_json()["since"] is None


def test_own_counters_are_as_they_are_now() -> None:
    counters, shared = Counters(), SharedSum()
    shared.write(3, {"requests": 100, "tunnels": 7, "of a newer version": 9})
    shared.write_state(State.UP, NOON)
    assert shared.read(counters).totals["requests"] == 100
    counters.add(Count.REQUESTS, 5)
    told = shared.read(counters)
    assert told.totals == {**dict.fromkeys(COUNTED, 0), "requests": 105, "tunnels": 7}
    assert told.machines == 3
    assert told.text == "redis: up"


def test_what_was_read_stays_while_redis_is_down() -> None:
    counters, shared = Counters(), SharedSum()
    shared.write_state(State.UP, NOON - 60)
    shared.write(2, {"requests": 100})
    shared.write_state(State.DOWN, NOON)
    told = shared.read(counters)
    assert told.text == "redis: down since 2026-01-31T12:00:00Z"
    assert told.to_json() == {
        "state": "down",
        "since": "2026-01-31T12:00:00Z",
        "text": "redis: down since 2026-01-31T12:00:00Z",
        "machines": 2,
        "sum": {**dict.fromkeys(COUNTED, 0), "requests": 100},
    }


def test_all_processes_see_it() -> None:
    shared = SharedSum()
    assert ended(in_worker(lambda: shared.write(4, {"requests": 2**60}))) == 0
    # Another takes the place of a worker that died.
    assert ended(in_worker(lambda: shared.write_state(State.UP, NOON))) == 0
    told = shared.read(Counters())
    assert (told.state, told.since, told.machines) == (State.UP, NOON, 4)
    assert told.totals["requests"] == 2**60


@pytest.mark.parametrize(("others", "shown"), [(2**70, 2**63 - 1), (-1, 0)])
def test_numbers_that_no_counter_has_do_no_harm(others: int, shown: int) -> None:
    shared = SharedSum()
    shared.write(1, {"requests": others})
    assert shared.read(Counters()).totals["requests"] == shown
