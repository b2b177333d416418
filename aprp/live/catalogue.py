"""What is stored, for people: found, sorted, looked at. Runs in a thread of its own.

docs/dashboard.md tells what costs what: names and sizes come from the index alone, and the pages of
extents are read for the objects that are shown; only to sort by what is stored or watched have
those of all objects to be read.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aprp.cache.entry import CannotStore, Entry
from aprp.cache.index import Index
from aprp.cache.layout import index_path
from aprp.cache.survey import Stored, look_at, survey
from aprp.cache.trouble import FAILURES, why
from aprp.live.choosing import Chooser, Query, Stopped
from aprp.live.in_use import InUse
from aprp.live.maps import Shown
from aprp.live.rows import Activity

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the objects found, and how many there are."""

    total: int
    shown: tuple[Shown, ...]


class Catalogue:
    """Reads the index and the extents of a cache directory; methods are called on the event loop.

    All raise CannotStore where the directory cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        slice_size: int,
        name: Callable[[str, str], str],
        heuristic_max: float,
    ) -> None:
        """Open nothing yet.

        name: gives the name of a key and a target (`aprp.sites.places`); heuristic_max: seconds.
        """
        self._directory = directory
        self._slice_size = slice_size
        self._name = name
        self._heuristic_max = heuristic_max
        self._chooser = Chooser(directory, name)
        self._in_use = InUse(directory, slice_size, heuristic_max)
        self._thread = ThreadPoolExecutor(1, "aprp-live")
        self._index: Index | None = None

    async def page(self, query: Query) -> Page:
        """Find objects."""
        return await self._run(lambda index: self._page(index, query))

    async def of_key(self, key: str) -> Shown | None:
        """The newest response under a key; None where there is none."""

        def work(index: Index) -> Shown | None:
            found = index.find(key)
            return self._look(index, found[0]) if found else None

        return await self._run(work)

    async def in_use(self, busy: Mapping[int, Activity], most: int) -> list[Shown]:
        """Those of the objects in use that are stored, at most so many of the first."""

        def work(index: Index) -> list[Shown]:
            found = self._in_use.read(index, busy, most, time.monotonic, time.time())
            return [self._shown(stored) for stored in found]

        return await self._run(work) if busy else []

    async def entries(self, ids: Iterable[int]) -> list[Entry]:
        """Those entries that there are."""
        return await self._run(lambda index: _entries(index, ids))

    async def close(self) -> None:
        """End the thread; nothing may be asked afterwards."""
        self._chooser.stop()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close_index)
        self._thread.shutdown()

    async def _run(self, work: Callable[[Index], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, lambda: work(self._opened()))
        except FAILURES as error:
            raise CannotStore(why(error, self._directory)) from error
        except Stopped as error:
            raise CannotStore("the proxy is stopping") from error

    # In the thread.

    def _opened(self) -> Index:
        if self._index is not None and self._index.replaced():
            self._close_index()
        if self._index is None:
            self._index = Index(index_path(self._directory))
        return self._index

    def _close_index(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index = None

    def _page(self, index: Index, query: Query) -> Page:
        ids = self._chooser.ordered(index, query.sort, query.search)
        entries = _entries(index, query.choose(ids))
        return Page(len(ids), tuple(self._look(index, entry) for entry in entries))

    def _look(self, index: Index, entry: Entry) -> Shown:
        extents = look_at(self._directory, index.extents_of(entry.id))
        return self._shown(survey(entry, extents, time.time(), self._heuristic_max))

    def _shown(self, stored: Stored) -> Shown:
        entry = stored.entry
        return Shown(stored, self._name(entry.key, entry.target), self._slice_size)


def _entries(index: Index, ids: Iterable[int]) -> list[Entry]:
    return [entry for id in ids if (entry := index.get(id)) is not None]
