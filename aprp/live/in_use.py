"""What is stored of the objects that are in use, second after second. Used from one thread.

An event may not read the pages of all extents of all films that somebody watches: it reads those
in which there are readers and fills, and a few of the others, so that each has its turn.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aprp.cache.entry import Entry
from aprp.cache.header import SLICES, extent_path
from aprp.cache.index import Index
from aprp.cache.rows import ExtentRow
from aprp.cache.survey import NOTHING, Look, Stored, look, survey
from aprp.live.rows import Activity

# Seconds for which what the index has of an object is good, and the page of an extent in which
# nobody is; for how long an object that is not in use any more is remembered.
_ENTRY_LASTS: Final = 5.0
_LOOK_LASTS: Final = 10.0
_KEPT: Final = 60.0
# Pages that are read at once.
_LOOKS: Final = 64


@dataclass(slots=True)
class _Known:
    """What was read of an object: extents by number, each with when it was looked at."""

    entry: Entry
    rows: list[ExtentRow]
    read_at: float
    used_at: float
    looks: dict[int, tuple[float, Look]] = field(default_factory=dict)


class InUse:
    """Remembers what was read of the objects in use."""

    def __init__(self, directory: Path, slice_size: int, heuristic_max: float) -> None:
        """`directory` is that of the extents; heuristic_max: seconds (HEURISTIC_MAX)."""
        self._directory = directory
        self._extent_size = slice_size * SLICES
        self._heuristic_max = heuristic_max
        self._known: dict[int, _Known] = {}

    def read(
        self,
        index: Index,
        busy: Mapping[int, Activity],
        most: int,
        clock: Callable[[], float],
        now: float,
    ) -> list[Stored]:
        """Those of the objects that are stored, at most so many of the first.

        `clock` is one that is never set back, `now` Unix time; both in seconds.
        """
        moment = clock()
        for id in [id for id, known in self._known.items() if moment - known.used_at > _KEPT]:
            del self._known[id]
        found: list[_Known] = []
        for activity in busy.values():
            places = self._extents_of(activity)
            known = self._looked_up(index, activity.id, places, moment)
            if known is not None:
                known.used_at = moment
                found.append(known)
                self._look_again(known, places, moment)
            if len(found) == most:
                break
        self._look_around(found, moment)
        return [
            survey(
                known.entry,
                ((row, known.looks.get(row.number, (0.0, NOTHING))[1]) for row in known.rows),
                now,
                self._heuristic_max,
            )
            for known in found
        ]

    def _extents_of(self, activity: Activity) -> set[int]:
        """Where somebody is."""
        positions = [position for position, _ in activity.readers]
        positions += [position for _, position, _ in activity.fills]
        return {position // self._extent_size for position in positions}

    def _looked_up(self, index: Index, id: int, places: set[int], moment: float) -> _Known | None:
        known = self._known.get(id)
        if (
            known is not None
            and moment - known.read_at < _ENTRY_LASTS
            and places <= {row.number for row in known.rows}
        ):
            return known
        entry = index.get(id)
        if entry is None:
            self._known.pop(id, None)
            return None
        looks = {} if known is None else known.looks
        known = _Known(entry, index.extents_of(id), moment, moment, looks)
        self._known[id] = known
        return known

    def _look_again(self, known: _Known, numbers: Iterable[int], moment: float) -> None:
        for number in numbers:
            path = extent_path(self._directory, known.entry.id, number)
            known.looks[number] = moment, look(path)

    def _look_around(self, found: list[_Known], moment: float) -> None:
        """Read some of the pages that were not read for long, the oldest first."""
        due = [
            (seen_at, n, row.number)
            for n, known in enumerate(found)
            for row in known.rows
            if moment - (seen_at := known.looks.get(row.number, (-_LOOK_LASTS, NOTHING))[0])
            >= _LOOK_LASTS
        ]
        for _, n, number in sorted(due)[:_LOOKS]:
            self._look_again(found[n], (number,), moment)
