"""What one worker has read of other machines, in memory that all workers read.

Pure but for the memory itself: numbers in, numbers out.
"""

import enum
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aprp.stats.counters import Counters
from aprp.stats.machines import COUNTED, totals_of


class State(enum.IntEnum):
    """How it stands with Redis."""

    CONNECTING = 0
    """It has not been reached yet, and no attempt has failed."""
    UP = 1
    DOWN = 2


@dataclass(frozen=True, slots=True)
class Sum:
    """The counters of all machines at one moment."""

    state: State
    since: float | None
    """When it came to be so, in Unix seconds; None while it has never been otherwise."""
    machines: int
    """Programs that count, this one included, as last read."""
    totals: Mapping[str, int]
    """The sums by name: this program's as they are now, those of others as last read."""

    @property
    def text(self) -> str:
        """Say how it stands: `redis: up`, `redis: down since 2026-01-31T12:00:00Z`."""
        if self.state is State.DOWN and self._moment is not None:
            return f"redis: down since {self._moment}"
        return f"redis: {self.state.name.lower()}"

    @property
    def _moment(self) -> str | None:
        if self.since is None:
            return None
        moment = datetime.fromtimestamp(self.since, UTC)
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

    def to_json(self) -> dict[str, object]:
        """Give the member `redis` of what /stats answers with."""
        return {
            "state": self.state.name.lower(),
            "since": self._moment,
            "text": self.text,
            "machines": self.machines,
            "sum": dict(self.totals),
        }


_INTEGER: Final = 8
_GREATEST: Final = 2**63 - 1
# State, since in milliseconds, machines; then the counts of others.
_HEAD: Final = 3
_SLOT: Final = _HEAD + len(COUNTED)


class SharedSum:
    """Two slots in shared memory, of which one is being read while the other is written.

    Make it before the fork; one process writes.
    """

    def __init__(self) -> None:
        self._words = memoryview(mmap.mmap(-1, (1 + 2 * _SLOT) * _INTEGER)).cast("q")

    def write_state(self, state: State, since: float) -> None:
        """Say how it stands with Redis since a time in Unix seconds; what was read stays."""
        _, _, *rest = self._slot()
        self._write([state, round(since * 1000), *rest])

    def write(self, machines: int, others: Mapping[str, int]) -> None:
        """Put what was read in place of what is there; `others` is all but this program's own."""
        counts = [min(max(others.get(name, 0), 0), _GREATEST) for name in COUNTED]
        self._write([*self._slot()[:2], machines, *counts])

    def _slot(self) -> list[int]:
        first = 1 + self._words[0] * _SLOT
        return self._words[first : first + _SLOT].tolist()

    def _write(self, words: Sequence[int]) -> None:
        slot = 1 - self._words[0]
        for place, word in enumerate(words, 1 + slot * _SLOT):
            self._words[place] = word
        self._words[0] = slot

    def read(self, counters: Counters) -> Sum:
        """Give the sums, with this program's own counters as they are now."""
        state, since, machines, *others = self._slot()
        own = totals_of(counters)
        return Sum(
            State(state),
            since / 1000 if since else None,
            max(machines, 1),
            {name: count + own.get(name, 0) for name, count in zip(COUNTED, others, strict=True)},
        )
