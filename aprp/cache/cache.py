"""The cache as the media path uses it: look up, store, read. Nothing here blocks the event loop.

Threads do what may wait: one writes the index and makes room, one looks into the index (so that a
look-up does not wait for an eviction), some read and verify, one writes out.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from aprp.cache.disk import Disk
from aprp.cache.entry import CannotStore, Entry
from aprp.cache.extent import SLICES, Extent, extent_path
from aprp.cache.flusher import Flusher
from aprp.cache.leases import Leases
from aprp.cache.reading import Reading
from aprp.cache.state import State
from aprp.cache.store import Store
from aprp.stats.counters import Count, Counters

__all__ = ["Cache", "CannotStore", "Entry"]

logger = logging.getLogger("aprp.cache")

_PURGED_AT_ONCE = 64
"""What others want of the disk's thread comes in between."""
_NOTE_AFTER = 10.0
"""Seconds between two notes of use in the index: eviction asks the extents themselves."""


class Cache:
    """The slice cache in CACHE_DIR, shared with all other processes that use the directory."""

    def __init__(
        self,
        directory: Path,
        size: int,
        slice_size: int,
        dirty_limit: int,
        counters: Counters,
        keep_open: int = 512,
        *,
        retry: float = 5.0,
        patience: float = 15.0,
        period: float = 1.0,
    ) -> None:
        """Open nothing yet: `start` does, in each process.

        size: CACHE_SIZE, bytes on disk. slice_size: bytes of what is fetched and checked as one.
        dirty_limit: bytes written and not yet on the disk, a process. keep_open: extents that are
        kept mapped. retry: seconds until a directory that failed is tried again. patience: seconds
        for which a client may have to wait for the disk, after which it is taken for one that
        failed. period: seconds between rounds of housekeeping.
        """
        self.directory = directory
        self.size = size
        self.slice_size = slice_size
        self.extent_size = SLICES * slice_size
        """Bytes of an object that one extent holds."""
        self._counters = counters
        self._keep_open = keep_open
        self._period = period
        self._dirty_limit = dirty_limit
        self._disk = Disk(directory, size, slice_size, retry, patience)
        self._open: OrderedDict[tuple[int, int], Extent] = OrderedDict()
        # By name, so that an extent of which only its use is to be noted is not kept open.
        self._used: dict[tuple[int, int], int] = {}
        self._noted_at = 0.0
        self._epoch = 0
        self._evictions_told = 0
        self._flusher: Flusher | None = None
        self._reading = Reading(counters, self._disk.trouble, self._incomplete)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop. Never raises for a directory that cannot be used."""
        self._flusher = Flusher(self._dirty_limit, self._disk.trouble)
        self._reading.start()
        self._noted_at = time.monotonic()
        self._disk.start()
        self._task = asyncio.get_running_loop().create_task(self._rounds())

    async def close(self) -> None:
        """Write the last notes and end the threads; nothing may be asked afterwards."""
        if self._task is None or self._flusher is None:
            return
        self._task.cancel()
        await asyncio.wait((self._task,))
        await self._reading.stop()
        await self._disk.close(self._used)
        self._count_evictions()
        await self._flusher.close()
        self._reading.close()
        # Whoever still reads has references of his own.
        self._open.clear()
        self._used.clear()
        self._task = self._flusher = None

    # How it is

    @property
    def problem(self) -> str | None:
        """Why nothing is stored now, in words for people; None when all is well."""
        return self._disk.problem

    @property
    def leases(self) -> Leases | None:
        """Who fetches what; None while the directory cannot be used."""
        return self._disk.leases

    @property
    def state(self) -> State | None:
        """What all processes share; None while the directory cannot be used."""
        return self._disk.state

    @property
    def used(self) -> int:
        """Bytes on disk, those that are being reserved included."""
        return self._disk.state.used if self._disk.state is not None else 0

    @property
    def behind(self) -> bool:
        """Whether who has time should let the disk catch up before more is stored."""
        return self._flusher is not None and self._flusher.dirty > self._dirty_limit // 2

    def figures(self) -> dict[str, Any]:
        """What /stats tells: sizes in bytes; dirty bytes and the problem are this process's."""
        return {
            "used": self.used,
            "size": self.size,
            "objects": self._disk.objects,
            "dirty": self._flusher.dirty if self._flusher is not None else 0,
            "problem": self.problem,
        }

    # Entries

    def generation(self, key: str) -> int:
        """A number that changes whenever what is stored under the key may have changed. Cheap.

        By any process. It changes too when the directory was lost or came back.
        """
        state = self._disk.state
        return self._disk.epoch << 64 | (state.generation(key) if state is not None else 0)

    def purges(self, key: str) -> int:
        """A number that changes with each purge of the key, by any process. Cheap.

        Who asks an origin takes it before, and gives it to `add`.
        """
        state = self._disk.state
        return state.purges(key) if state is not None else 0

    async def find(self, key: str) -> list[Entry]:
        """All that is stored under the key, newest first; nothing where it cannot be read."""
        return await self._disk.find(key)

    async def add(
        self, entry: Entry, replacing: Sequence[int] = (), purges: int | None = None
    ) -> None:
        """Store an entry and drop those whose ids are given, bytes included. Raises CannotStore.

        purges: what `purges` gave before the origin was asked; after a purge nothing is stored.
        """
        if self.problem is not None:
            raise CannotStore(self.problem)
        await self._disk.run(lambda store: store.add(entry, replacing, purges))

    async def refresh(self, entry: Entry) -> None:
        """Write the entry's fields and times, as a 304 changed them; `problem` tells failures."""
        await self._try(lambda store: store.refresh(entry))

    async def completed(self, entry: Entry) -> None:
        """Write that all bytes are stored, and the length. `problem` tells of failures."""
        await self._try(lambda store: store.completed(entry))

    async def remove(self, *entries: Entry) -> None:
        """Drop entries and their bytes. `problem` tells of failures."""
        await self._try(lambda store: store.remove([entry.id for entry in entries]))

    async def _try(self, work: Callable[[Store], object]) -> None:
        # The disk has logged the cause, and tells it by `problem`.
        with contextlib.suppress(CannotStore):
            await self._disk.run(work)

    async def purge(self, key: str) -> int:
        """Drop all that is stored under the key; give the number of objects. Raises CannotStore."""
        return await self._disk.run(lambda store: store.purge(key))

    async def purge_ids(self, ids: Sequence[int]) -> int:
        """Drop the entries with these ids; give the number of those there were.

        Raises CannotStore.
        """
        removed = 0
        for some in (ids[n : n + _PURGED_AT_ONCE] for n in range(0, len(ids), _PURGED_AT_ONCE)):
            removed += await self._disk.run(partial(Store.purge_ids, ids=some))
        return removed

    async def purge_prefix(self, prefix: str) -> int:
        """Drop all whose keys begin so; give the number of objects. Raises CannotStore."""
        await self._disk.run(lambda store: store.begin_purge_from(prefix))
        removed = 0
        # In bits: what others want of the disk's thread comes in between.
        while some := await self._disk.run(lambda store: store.purge_some(prefix)):
            removed += some
        return removed

    # Bytes

    def extent(self, version: int, number: int) -> Extent | None:
        """The extent, if there is one; next to free where it is open already."""
        key = version, number
        extent = self._open.get(key)
        if extent is not None:
            if not extent.gone:
                self._open.move_to_end(key)
                return extent
            del self._open[key]
        return self._opened(version, number)

    def _opened(self, version: int, number: int) -> Extent | None:
        if self._disk.state is None:
            return None
        try:
            extent = Extent.open(extent_path(self.directory, version, number))
        except OSError as error:
            self._disk.trouble(error)
            return None
        # After SLICE_SIZE was changed, what is there cannot be used; `prepare` replaces it.
        if extent is None or extent.slice_size != self.slice_size:
            return None
        return self._keep(extent)

    def _keep(self, extent: Extent) -> Extent:
        self._open[extent.version, extent.number] = extent
        # Not closed: somebody may use it. It goes with the last reference.
        while len(self._open) > self._keep_open:
            self._open.popitem(last=False)
        return extent

    async def prepare(self, version: int, number: int, size: int, first: int, count: int) -> Extent:
        """Make room on the disk for slices `first` to `first + count - 1` of an extent.

        size: bytes of the object that lie in this extent. The entry must have been added: the call
        waits its turn behind `add`. Raises CannotStore.
        """
        if self.problem is not None:
            raise CannotStore(self.problem)
        if self._flusher is None or self._flusher.full:
            raise CannotStore("the disk is slower than the origin (DIRTY_LIMIT)")
        known = self.extent(version, number)
        extent = await self._disk.run(
            lambda store: store.prepare(version, number, size, first, count, known), awaited=True
        )
        self.touch(extent)
        return extent if self._open.get((version, number)) is extent else self._keep(extent)

    def failed(self, error: OSError) -> None:
        """Writing to an extent has failed: nothing is stored for a while."""
        self._disk.trouble(error)

    def wrote(self, extent: Extent, n: int) -> None:
        """Slice n was completed: have it written to the disk."""
        self._counters.add(Count.CACHE_SLICES_STORED)
        if self._flusher is not None:
            begin = n * self.slice_size
            self._flusher.put(extent, begin, begin + extent.length(n))

    def touch(self, extent: Extent) -> None:
        """It is used now: it goes later. Cheap."""
        now = time.time()
        extent.touch(now)
        self._used[extent.version, extent.number] = int(now)

    async def verify(self, extent: Extent, n: int) -> bool:
        """Check the sum of a slice that is stored but not held; a wrong one is forgotten."""
        return await self._reading.verify(extent, n)

    async def load(self, extent: Extent, offset: int, stop: int) -> None:
        """Bring bytes of an extent into memory; slices that cannot be read are forgotten."""
        await self._reading.load(extent, offset, stop)

    async def _incomplete(self, version: int) -> None:
        await self._try(lambda store: store.incomplete(version))

    # Housekeeping

    async def _rounds(self) -> None:
        while True:
            await asyncio.sleep(self._period)
            try:
                await self._round()
            except Exception:
                logger.exception("error in the housekeeping of the cache; it goes on")

    async def _round(self) -> None:
        for key in [key for key, extent in self._open.items() if extent.gone]:
            del self._open[key]
        used: dict[tuple[int, int], int] = {}
        if time.monotonic() >= self._noted_at + _NOTE_AFTER:
            self._noted_at = time.monotonic()
            used, self._used = self._used, {}
        await self._disk.round(used)
        if self._epoch != self._disk.epoch:
            # What is open may belong to an index or a directory that is gone.
            self._epoch = self._disk.epoch
            self._open.clear()
        self._count_evictions()

    def _count_evictions(self) -> None:
        told, self._evictions_told = self._evictions_told, self._disk.evictions
        self._counters.add(Count.CACHE_EVICTIONS, self._evictions_told - told)
