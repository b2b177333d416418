"""Counters of many machines and how they add up. Pure: values in, values out.

Each start of the program is a run with an id of its own. A run's record holds its totals since its
start, so that writing it twice, or an older one late, changes nothing: of two records of a run the
one with the greater order counts. A `Ledger` is what somebody knows of all runs: Redis is one, and
every machine keeps another in its memory. Two are joined record by record, in any order and as
often as one likes, and what Redis has lost is put back from what machines know.

Records of runs that are over would pile up. Now and then somebody folds the oldest into one, the
past, which also names what it holds of them: that is taken off again where such a record turns up.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aprp.stats.counters import Count, Counters

Totals = Mapping[str, int]
"""Counts by name; those that are zero may be left out."""

COUNTED: Final = {count.name.lower(): count for count in Count if not count.gauge}
"""What is added up, by its name: all counters that only grow."""

PRESENT_FOR: Final = 60
"""Seconds after its last record for which a machine counts as running."""

SILENT_AFTER: Final = 86400
"""Seconds after which a run that did not say that it is over is taken for one that was killed."""

_MOST_OVER: Final = 32
# So many are left, in case a machine has still to read them.
_KEPT: Final = 8
_HELD: Final = 256
_GREATEST: Final = 2**62


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the program had counted at one moment."""

    order: int
    """Grows from each record of a run to the next: milliseconds since its start."""
    seen: int
    """When it was written, in Unix seconds of its machine's clock."""
    machine: str
    """The machine's name, for people who look into Redis."""
    over: bool
    """Whether the run is over, so that this is its last record."""
    totals: Totals

    def text(self) -> str:
        """Give the record as Redis keeps it: the order, a space, JSON."""
        members = {
            "machine": self.machine,
            "seen": self.seen,
            "over": self.over,
            "totals": self.totals,
        }
        return f"{self.order} {json.dumps(members, separators=(',', ':'))}"


@dataclass(frozen=True, slots=True)
class Past:
    """The runs that were folded into one."""

    order: int = 0
    """How many times something was folded."""
    runs: int = 0
    """How many records were folded."""
    totals: Totals = field(default_factory=dict)
    held: Mapping[str, Totals] = field(default_factory=dict)
    """What is in the totals of the runs that were folded last, by their ids."""

    def text(self) -> str:
        """Give the record as Redis keeps it: the order, a space, JSON."""
        members = {"runs": self.runs, "totals": self.totals, "held": self.held}
        return f"{self.order} {json.dumps(members, separators=(',', ':'))}"

    def beyond(self, ident: str, run: Run) -> Totals:
        """Give what a run has counted that is not held here."""
        held = self.held.get(ident)
        if held is None:
            return run.totals
        rest = ((name, value - held.get(name, 0)) for name, value in run.totals.items())
        return {name: value for name, value in rest if value > 0}


@dataclass(frozen=True, slots=True)
class Ledger:
    """What somebody knows of all runs."""

    runs: Mapping[str, Run] = field(default_factory=dict)
    past: Past = field(default_factory=Past)

    def with_run(self, ident: str, run: Run) -> "Ledger":
        """Give the ledger with this record of a run."""
        return replace(self, runs={**self.runs, ident: run})

    def learn(self, read: "Ledger") -> "Ledger":
        """Join what Redis holds (`read`) into what is known: of each record the newer."""
        past = self.past if self.past.order > read.past.order else read.past
        known: Mapping[str, Run] = {
            ident: run
            for ident, run in self.runs.items()
            # Where it has been folded and taken away, it is known by the past.
            if ident in read.runs or ident not in past.held or past.beyond(ident, run)
        }
        if read.past.runs - self.past.runs > len(read.past.held):
            # So much was folded meanwhile that nobody can say whether what we know is in it.
            known = {}
        newer = {ident: run for ident, run in known.items() if _is_newer(run, read.runs.get(ident))}
        return Ledger({**read.runs, **newer}, past)

    def lacking(self, read: "Ledger") -> "Ledger":
        """Give the records that Redis, which holds `read`, has not or has older."""
        runs = {
            ident: run for ident, run in self.runs.items() if _is_newer(run, read.runs.get(ident))
        }
        return Ledger(runs, self.past if self.past.order > read.past.order else Past())

    def others(self, ident: str) -> dict[str, int]:
        """Sum up what all runs but this one have counted."""
        sums = dict(self.past.totals)
        _add(sums, self.past.held.get(ident, {}), -1)
        for other, run in self.runs.items():
            if other != ident:
                _add(sums, self.past.beyond(other, run))
        return sums

    def machines(self, now: float) -> int:
        """Count the runs that are not over and wrote within the last minute."""
        return sum(not run.over and now - run.seen < PRESENT_FOR for run in self.runs.values())

    def fold(self, now: float, ident: str) -> "Fold | None":
        """Fold the oldest of the runs that are over, if there are many; never the run `ident`."""
        over = sorted(
            (run.seen, other)
            for other, run in self.runs.items()
            if other != ident and (run.over or now - run.seen > SILENT_AFTER)
        )
        if len(over) <= _MOST_OVER:
            return None
        totals, held = dict(self.past.totals), dict(self.past.held)
        orders = {}
        for _, other in over[:-_KEPT]:
            run = self.runs[other]
            _add(totals, self.past.beyond(other, run))
            # The newest stand at the end.
            before = held.pop(other, {})
            held[other] = {
                name: max(before.get(name, 0), run.totals.get(name, 0))
                for name in before.keys() | run.totals.keys()
            }
            orders[other] = run.order
        kept = dict(list(held.items())[-_HELD:])
        return Fold(
            Past(self.past.order + 1, self.past.runs + len(orders), totals, kept),
            self.past.order,
            orders,
        )


@dataclass(frozen=True, slots=True)
class Fold:
    """A past in place of another and of some runs; right only where Redis holds just those."""

    past: Past
    before: int
    """The order of the past that it is made from."""
    orders: Mapping[str, int]
    """The orders of the runs' records, by the runs' ids."""


def totals_of(counters: Counters) -> dict[str, int]:
    """Give this program's totals without those that are zero."""
    values = ((name, counters.total(count)) for name, count in COUNTED.items())
    return {name: value for name, value in values if value}


def read_run(text: str) -> Run | None:
    """Read a run's record; None for what is none."""
    order, members = _read(text)
    totals = _totals(members.get("totals"))
    seen, machine, over = _number(members.get("seen")), members.get("machine"), members.get("over")
    if order is None or totals is None or seen is None:
        return None
    if not isinstance(machine, str) or not isinstance(over, bool):
        return None
    return Run(order, seen, machine, over, totals)


def read_past(text: str) -> Past | None:
    """Read the past's record; None for what is none."""
    order, members = _read(text)
    totals, runs = _totals(members.get("totals")), _number(members.get("runs"))
    held = members.get("held")
    if order is None or totals is None or runs is None or not isinstance(held, dict):
        return None
    each = {ident: _totals(value) for ident, value in held.items()}
    kept = {ident: value for ident, value in each.items() if value is not None}
    return Past(order, runs, totals, kept) if len(kept) == len(each) else None


def _read(text: str) -> tuple[int | None, dict[str, Any]]:
    number, _, rest = text.partition(" ")
    try:
        members = json.loads(rest)
    except (ValueError, RecursionError):
        return None, {}
    good = number.isascii() and number.isdigit() and len(number) < 16
    if not good or not isinstance(members, dict):
        return None, {}
    return int(number), members


def _totals(value: object) -> dict[str, int] | None:
    if not isinstance(value, dict) or None in map(_number, value.values()):
        return None
    return value


def _number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _GREATEST:
        return value
    return None


def _is_newer(one: Run, other: Run | None) -> bool:
    return other is None or one.order > other.order


def _add(sums: dict[str, int], totals: Totals, sign: int = 1) -> None:
    for name, value in totals.items():
        sums[name] = sums.get(name, 0) + sign * value
