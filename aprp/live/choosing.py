"""Which of all stored objects are wanted, and in which order. Used from one thread."""

import enum
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from aprp.cache.header import extent_path
from aprp.cache.index import Index
from aprp.cache.rows import NO_EXTENT, ExtentRow
from aprp.cache.survey import look

# Seconds for which an order that took reading all extents is good.
_ORDER_LASTS: Final = 10.0
# Rows of extents read at once.
_ROWS: Final = 1000


class Sort(enum.StrEnum):
    """By what objects are sorted."""

    NAME = "name"
    SIZE = "size"
    PRESENT = "present"
    VIEWS = "views"
    USED = "used"


@dataclass(frozen=True, slots=True)
class Query:
    """Which objects are wanted: those whose names hold `search`, so many from `offset` on."""

    search: str = ""
    sort: Sort = Sort.NAME
    descending: bool = False
    limit: int = 50
    offset: int = 0

    def choose(self, ids: "array[int]") -> list[int]:
        """Those of all that are found, in ascending order, that are on this page."""
        if not self.descending:
            return ids[self.offset : self.offset + self.limit].tolist()
        stop = max(len(ids) - self.offset, 0)
        return ids[max(stop - self.limit, 0) : stop].tolist()[::-1]


def matches(name: str, search: str) -> bool:
    """Whether a name has a text in lower case in it, as it is written or as people read it."""
    return search in name.lower() or ("%" in name and search in unquote(name).lower())


class Stopped(Exception):
    """The order is not wanted any more."""


class Chooser:
    """Puts all entries of an index in order. `stop` may be called from any thread."""

    def __init__(self, directory: Path, name: Callable[[str, str], str]) -> None:
        """`directory` is that of the extents; `name` gives the name of a key and a target."""
        self._directory = directory
        self._name = name
        self._order: tuple[tuple[Sort, str], float, array[int]] | None = None
        self._stopped = False

    def stop(self) -> None:
        """Give up what is being put in order, with Stopped."""
        self._stopped = True

    def ordered(self, index: Index, sort: Sort, search: str) -> "array[int]":
        """Ids of all whose names hold `search`, in any case, in ascending order."""
        wanted = sort, search.lower()
        costly = sort in (Sort.PRESENT, Sort.VIEWS)
        now = time.monotonic()
        if costly and self._order is not None:
            known, at, ids = self._order
            if known == wanted and now - at < _ORDER_LASTS:
                return ids
        ids = self._sorted(index, *wanted)
        if costly:
            self._order = wanted, time.monotonic(), ids
        return ids

    def _sorted(self, index: Index, sort: Sort, search: str) -> "array[int]":
        costly = sort in (Sort.PRESENT, Sort.VIEWS)
        order = Sort.NAME if costly else sort
        found = index.choose(self._name, lambda name: matches(name, search), order)
        if costly:
            worth = self._worth(index, sort, dict(found))
            found.sort(key=lambda each: worth.get(each[0], 0.0))
        return array("q", (id for id, _ in found))

    def _worth(self, index: Index, sort: Sort, lengths: Mapping[int, int]) -> dict[int, float]:
        """Bytes stored, or views, of objects by id: the pages of all their extents are read."""
        worth: dict[int, float] = {}
        wanted = (row for row in _every_extent(index) if row.version in lengths)
        for id, rows in groupby(wanted, key=lambda row: row.version):
            if self._stopped:
                raise Stopped
            looks = [look(extent_path(self._directory, id, row.number)) for row in rows]
            length = lengths[id]
            if sort is Sort.VIEWS:
                worth[id] = sum(sum(seen.heat) for seen in looks) / length if length else 0.0
            else:
                worth[id] = min(sum(sum(seen.stored) for seen in looks), length)
        return worth


def _every_extent(index: Index) -> Iterator[ExtentRow]:
    after: ExtentRow | None = None
    while rows := index.extents_after(after, _ROWS):
        yield from (row for row in rows if row.number != NO_EXTENT)
        after = rows[-1]
