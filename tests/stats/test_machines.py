"""Counters of many machines: exact whatever becomes of a write, of a machine, or of Redis."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprp.stats import machines
from aprp.stats.counters import Count, Counters
from aprp.stats.machines import (
    COUNTED,
    Fold,
    Ledger,
    Past,
    Run,
    read_past,
    read_run,
    totals_of,
)

NOW = 1_800_000_000
DAY = 86400


def run(order: int = 1, seen: int = NOW, over: bool = False, **totals: int) -> Run:
    return Run(order, seen, "web-1", over, totals)


class ModelRedis:
    """What the scripts do, on a ledger; tests/stats/test_redis_store.py runs them beside it."""

    def __init__(self) -> None:
        self.ledger = Ledger()

    def exchange(self, put: Ledger) -> Ledger:
        runs = dict(self.ledger.runs)
        for ident, each in put.runs.items():
            if ident not in runs or each.order > runs[ident].order:
                runs[ident] = each
        past = self.ledger.past if self.ledger.past.order >= put.past.order else put.past
        self.ledger = Ledger(runs, past)
        return self.ledger

    def fold(self, fold: Fold) -> bool:
        runs = dict(self.ledger.runs)
        if self.ledger.past.order != fold.before:
            return False
        for ident, order in fold.orders.items():
            if ident not in runs or runs.pop(ident).order != order:
                return False
        self.ledger = Ledger(runs, fold.past)
        return True


@dataclass
class Machine:
    """One run of the program, as aprp.stats.redis_sum does it."""

    ident: str
    ledger: Ledger = field(default_factory=Ledger)
    lacking: Ledger = field(default_factory=Ledger)
    count: int = 0
    order: int = 0
    shown: int = 0

    def write(self, now: int, over: bool = False) -> Ledger:
        self.order += 1
        own = Run(self.order, now, self.ident, over, {"requests": self.count})
        self.ledger = self.ledger.with_run(self.ident, own)
        return self.lacking.with_run(self.ident, own)

    def read(self, redis: ModelRedis, answer: Ledger, now: int) -> None:
        self.ledger = self.ledger.learn(answer)
        fold = self.ledger.fold(now, self.ident)
        if fold is not None:
            redis.fold(fold)
        self.lacking = self.ledger.lacking(answer)

    def sum(self) -> int:
        return self.ledger.others(self.ident).get("requests", 0) + self.count


class World:
    """Machines and a Redis, and what the sum must be in the end."""

    def __init__(self) -> None:
        self.redis = ModelRedis()
        self.now = NOW
        self.started = 0
        self.alive: list[Machine] = []
        self.written: dict[str, int] = {}
        self.late: list[Ledger] = []
        self.copy = Ledger()
        self.unsettled = False
        for _ in range(2):
            self.start()

    def start(self) -> None:
        self.started += 1
        self.alive.append(Machine(f"run-{self.started}"))

    def apply(self, put: Ledger) -> Ledger:
        for ident, each in put.runs.items():
            count = each.totals["requests"]
            self.written[ident] = max(count, self.written.get(ident, 0))
        return self.redis.exchange(put)

    def exchange(self, machine: Machine, fate: str = "good", over: bool = False) -> None:
        self.now += 1
        put = machine.write(self.now, over)
        if fate == "late":
            self.late.append(put)
        elif fate != "lost":
            answer = self.apply(put)
            if fate == "good":
                machine.read(self.redis, answer, self.now)
        # What is shown never goes back.
        assert machine.sum() >= machine.shown
        machine.shown = machine.sum()

    def settle(self) -> None:
        """Let every machine that runs talk to Redis: what it lacks is back afterwards."""
        for _ in range(3):
            for machine in self.alive:
                self.exchange(machine)
        self.unsettled = False

    def lose(self, held: Ledger) -> None:
        """Redis comes back with other contents. What nobody but it knew would be lost."""
        self.settle()
        self.redis.ledger = held
        self.unsettled = True

    def end(self, machine: Machine, fate: str | None) -> None:
        """A machine stops with a last write, or is killed without one; another comes."""
        if self.unsettled:
            self.settle()
        if fate is not None:
            self.exchange(machine, fate, over=True)
        self.alive.remove(machine)
        self.start()

    def step(self, what: str, which: int, fate: str) -> None:
        machine = self.alive[which % len(self.alive)]
        match what:
            case "count":
                machine.count += which
            case "exchange":
                self.exchange(machine, fate)
            case "late" if self.late:
                self.apply(self.late.pop(which % len(self.late)))
            case "empty":
                self.lose(Ledger())
            case "copy":
                self.copy = self.redis.ledger
            case "copy comes back":
                self.lose(self.copy)
            case "stop":
                self.end(machine, fate)
            case "kill":
                self.end(machine, None)
            case "days":
                self.now += 2 * DAY

    def expected(self) -> int:
        alive = {machine.ident: machine.count for machine in self.alive}
        return sum((self.written | alive).values())


STEPS = st.tuples(
    st.sampled_from(
        (
            "count",
            "exchange",
            "exchange",
            "stop",
            "kill",
            "late",
            "days",
            "empty",
            "copy",
            "copy comes back",
        )
    ),
    st.integers(0, 7),
    st.sampled_from(["good", "good", "lost", "no answer", "late"]),
)


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=60))
def test_the_sum_is_exact(steps: list[tuple[str, int, str]]) -> None:
    """Writes lost, repeated, late; machines stopped, killed, cut off for days; Redis emptied."""
    with mock.patch.multiple(machines, _MOST_OVER=2, _KEPT=1):
        world = World()
        for step in steps:
            world.step(*step)
        while world.late:
            world.apply(world.late.pop())
        world.settle()
        for machine in world.alive:
            assert machine.sum() == world.expected()
        # Redis holds it, too: a machine that starts now knows all.
        world.start()
        world.settle()
        assert world.alive[-1].sum() == world.expected()
        # And it does not grow: those that run, those kept, and what may have come late.
        over = [run for run in world.redis.ledger.runs.values() if run.over]
        assert len(over) <= 2 + 1


def test_a_model_that_adds_is_seen() -> None:
    """The test above can fail: with a Redis that adds what it is sent, the sum is wrong."""
    world = World()
    world.step("count", 1, "")
    world.step("exchange", 1, "no answer")
    doubled = world.redis.ledger.runs[world.alive[1].ident]
    world.redis.ledger = world.redis.ledger.with_run("twice", doubled)
    world.settle()
    assert world.alive[0].sum() == 2 != world.expected()


def test_totals_leave_gauges_and_zeros_out() -> None:
    counters = Counters(2)
    counters.add(Count.REQUESTS, 3)
    counters.add(Count.ACTIVE_TRANSFERS)
    counters.attach(1)
    counters.add(Count.REQUESTS, 4)
    assert totals_of(counters) == {"requests": 7}
    assert set(COUNTED) == {count.name.lower() for count in Count if not count.gauge}


def test_machines_are_those_that_wrote_of_late() -> None:
    ledger = Ledger(
        {
            "new": run(),
            "still": run(seen=NOW - 59),
            "silent": run(seen=NOW - 60),
            "over": run(over=True),
        }
    )
    assert ledger.machines(NOW) == 2


def test_few_ended_runs_stay_as_they_are() -> None:
    runs: Mapping[str, Run] = {str(n): run(over=True, requests=n) for n in range(32)}
    running = {str(n): run(requests=n) for n in range(100, 200)}
    assert Ledger({**runs, **running}).fold(NOW, "own") is None
    # The one that folds is not over, whatever its clock says.
    assert Ledger({**runs, "own": run(seen=0)}).fold(NOW, "own") is None


def test_the_oldest_are_folded() -> None:
    runs = {str(n): run(n + 5, NOW - 100 + n, over=True, requests=10 + n) for n in range(33)}
    fold = Ledger(runs, Past(3, 70, {"requests": 1000, "tunnels": 5}, {"x": {"a": 1}})).fold(
        NOW, ""
    )
    assert fold is not None
    assert fold.before == 3
    assert fold.orders == {str(n): n + 5 for n in range(25)}
    assert (fold.past.order, fold.past.runs) == (4, 95)
    assert fold.past.totals == {"requests": 1000 + sum(range(10, 35)), "tunnels": 5}
    assert list(fold.past.held) == ["x", *(str(n) for n in range(25))]
    assert fold.past.held["24"] == {"requests": 34}


def test_what_is_held_is_bounded() -> None:
    held = {f"old{n}": {"requests": 1} for n in range(256)}
    runs = {str(n): run(seen=NOW - n, over=True, requests=1) for n in range(33)}
    fold = Ledger(runs, Past(1, 256, {"requests": 256}, held)).fold(NOW, "")
    assert fold is not None
    assert len(fold.past.held) == 256
    assert "old24" not in fold.past.held
    assert "old25" in fold.past.held


def test_a_run_that_was_folded_and_goes_on_counts_once() -> None:
    """It was cut off for days, and was taken for one that had been killed."""
    gone = {"gone": run(7, NOW - 2 * DAY, requests=10)}
    over = {str(n): run(seen=NOW - n, over=True) for n in range(32)}
    fold = Ledger({**gone, **over}).fold(NOW, "own")
    assert fold is not None
    assert fold.past.totals == {"requests": 10}
    back = Ledger({"gone": run(8, requests=12)}, fold.past)
    assert back.others("own") == {"requests": 12}
    assert back.others("gone") == {"requests": 0}


def test_a_late_record_of_a_folded_run_changes_nothing() -> None:
    past = Past(1, 1, {"requests": 10}, {"late": {"requests": 10}})
    over = {str(n): run(seen=NOW, over=True) for n in range(32)}
    late = Ledger({"late": run(3, NOW - 9, over=True, requests=4), **over}, past)
    assert late.others("own") == {"requests": 10}
    fold = late.fold(NOW, "own")
    assert fold is not None
    assert fold.past.totals == {"requests": 10}
    assert fold.past.held["late"] == {"requests": 10}


def test_what_another_has_folded_is_not_put_back() -> None:
    runs = {str(n): run(n, NOW - n, over=True, requests=1) for n in range(33)}
    known = Ledger({**runs, "own": run()})
    fold = known.fold(NOW, "another")
    assert fold is not None
    left = {ident: each for ident, each in known.runs.items() if ident not in fold.orders}
    read = Ledger(left, fold.past)
    assert known.learn(read) == read
    assert known.learn(read).lacking(read) == Ledger()


def test_who_was_away_for_too_long_puts_nothing_back() -> None:
    known = Ledger({"gone": run(over=True, requests=5)}, Past(1, 10, {"requests": 100}))
    held = {"a": {"requests": 1}}
    read = Ledger({"own": run(requests=1)}, Past(9, 300, {"requests": 900}, held))
    assert known.learn(read) == read
    assert known.learn(read).lacking(read) == Ledger()


RUNS = st.builds(
    Run,
    st.integers(0, 10**12),
    st.integers(0, 10**10),
    st.text(max_size=5),
    st.booleans(),
    st.dictionaries(st.text(max_size=5), st.integers(0, 2**62 - 1), max_size=3),
)
TOTALS = st.dictionaries(st.text(max_size=5), st.integers(0, 2**62 - 1), max_size=3)
PASTS = st.builds(
    Past,
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    TOTALS,
    st.dictionaries(st.text(max_size=5), TOTALS, max_size=3),
)


@given(RUNS, PASTS)
def test_records_read_back(one: Run, past: Past) -> None:
    assert read_run(one.text()) == one
    assert read_past(past.text()) == past
    assert "\n" not in one.text() + past.text()


GOOD = json.loads(run(requests=1).text().partition(" ")[2])
ODD: list[dict[str, object]] = [
    {"totals": {"requests": -1}},
    {"totals": {"requests": 1.5}},
    {"totals": {"requests": True}},
    {"totals": {"requests": 2**62}},
    {"totals": []},
    {"totals": None},
    {"seen": "now"},
    {"over": 1},
    {"machine": None},
]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "7 ",
        "x {}",
        "7 {",
        "7 []",
        "-1 " + json.dumps(GOOD),
        "² " + json.dumps(GOOD),
        "9" * 20 + " " + json.dumps(GOOD),
        *("7 " + json.dumps({**GOOD, **odd}) for odd in ODD),
        "7 " + "[" * 100_000,
        '7 {"totals":{"requests":' + "9" * 5000 + "}}",
    ],
    ids=range(20),
)
def test_what_is_no_record(text: str) -> None:
    assert read_run(text) is None
    assert read_past(text) is None


@given(st.text() | st.text().map(lambda text: f"7 {text}"))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_run(text), read_past(text)):
        assert read is None or read.totals is not None
