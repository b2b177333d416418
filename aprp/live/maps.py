"""The map of an object: which part is stored, how often each was watched. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aprp.cache.header import SLICES
from aprp.cache.survey import Look, Stored
from aprp.live.rows import Activity, shortened, without_query
from aprp.semantics.headers import Fields

MOST_COLUMNS: Final = 512
_LONGEST: Final = 1000


@dataclass(frozen=True, slots=True)
class Columns:
    """An object's slices in at most MOST_COLUMNS columns of (nearly) as many slices each."""

    present: tuple[int, ...]
    """Per cent that are stored: 0 only where nothing is, 100 only where everything is."""
    heat: tuple[float, ...]
    """Bytes given to clients for each byte."""


def columns_of(length: int, slice_size: int, looks: Iterable[tuple[int, Look]]) -> Columns:
    """Put slices together; `looks` are the extents of the object by their numbers.

    Extents of another slice size hold nothing that can be used, and do not count.
    """
    slices = -(-length // slice_size)
    count = min(slices, MOST_COLUMNS)
    stored, heat = [0] * slices, [0] * slices
    for number, seen in looks:
        first = number * SLICES
        if seen.slice_size == slice_size and 0 <= first < slices:
            until = min(first + SLICES, slices)
            stored[first:until] = seen.stored[: until - first]
            heat[first:until] = seen.heat[: until - first]
    present: list[int] = []
    watched: list[float] = []
    for column in range(count):
        begin, end = column * slices // count, (column + 1) * slices // count
        size = min(end * slice_size, length) - begin * slice_size
        there = min(sum(stored[begin:end]), size)
        present.append(max(1, there * 100 // size) if there else 0)
        watched.append(round(sum(heat[begin:end]) / size, 3))
    return Columns(tuple(present), tuple(watched))


@dataclass(frozen=True, slots=True)
class Shown:
    """A stored response as the pages show it; `name` is the one by which clients know it."""

    stored: Stored
    name: str
    slice_size: int

    @property
    def views(self) -> float:
        """How often it was watched: bytes given to clients for each byte."""
        length = self.stored.entry.length
        return self.stored.heat / length if length else 0.0

    def to_json(self, busy: Mapping[int, Activity], *, full: bool) -> dict[str, object]:
        """Give the object of the pages; `busy` are the objects that are in use, by id.

        full: whether who looks may know the query, which may hold a key.
        """
        stored, entry = self.stored, self.stored.entry
        columns = columns_of(entry.length, self.slice_size, stored.looks)
        name = self.name if full else without_query(self.name)
        return {
            "id": f"{entry.id:016x}",
            "name": shortened(name, _LONGEST),
            "type": Fields(entry.fields).get("Content-Type"),
            "length": entry.length,
            "slice_size": self.slice_size,
            "present_bytes": stored.present,
            "views": round(self.views, 4),
            "fresh": stored.fresh,
            "age": round(stored.age, 1),
            "last_used": int(stored.last_used),
            "map": {
                "columns": len(columns.present),
                "present": columns.present,
                "heat": columns.heat,
                **busy.get(entry.id, Activity(entry.id)).to_json(),
            },
        }
