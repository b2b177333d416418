"""The cache's files, index and words together, as one thread sees them; nothing here is awaited.

What extents and entries count for is written in the index; `State.used` follows every change there,
so both say the same. What is about to be allocated is added to `used` before, so that several
processes that make room at once do not overshoot together.
"""

import logging
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from aprp.cache import eviction
from aprp.cache.entry import CannotStore, Entry
from aprp.cache.extent import HEADER, Extent, extent_path
from aprp.cache.index import BUSY, Index
from aprp.cache.layout import index_path, state_path
from aprp.cache.rows import NO_EXTENT, Change, ExtentRow
from aprp.cache.state import State

__all__ = ["DirectoryLost", "Store"]

logger = logging.getLogger("aprp.cache")

# Beside slices and header, a file system may take some blocks to know where they lie.
_EXTRA = 64 * 1024
_LONGEST_EVICTION = 1.0
_PURGED_AT_ONCE = 64
_PROBED_SLICES = 16


class DirectoryLost(Exception):
    """The directory was removed, or another one has taken its place."""


class Store:
    """What one process keeps open of a cache directory; used from one thread only.

    Methods raise IndexFailure and OSError. Tools use it beside running servers.
    """

    def __init__(
        self,
        directory: Path,
        state: State,
        *,
        size: int = 0,
        slice_size: int = 1 << 20,
        busy: float = BUSY,
    ) -> None:
        """Open the index of a directory that is there.

        size: CACHE_SIZE in bytes. busy: seconds to wait for other processes at the index.
        """
        self.directory = directory
        self.state = state
        self.size = size
        self.slice_size = slice_size
        self.evictions = 0
        """Extents removed to make room, by this object."""
        self.objects = 0
        """Responses stored, as of the last round of housekeeping."""
        self._identity = _identity(directory)
        self.index = Index(index_path(directory), busy=busy)
        noted = self.index.totals()[2]
        if state.used < noted:
            # The file of the words is new, or older than the index after a loss of power.
            state.set_used(noted)

    def close(self) -> None:
        """End the connection to the index."""
        self.index.close()

    def lost(self) -> bool:
        """Whether the directory is no longer the one that was opened."""
        try:
            return _identity(self.directory) != self._identity
        except OSError:
            return True

    def path(self, version: int, number: int) -> Path:
        """Name the file of an extent."""
        return extent_path(self.directory, version, number)

    # Entries

    def add(self, entry: Entry, replacing: Sequence[int] = (), purges: int | None = None) -> None:
        """Store an entry in place of others.

        purges: `State.purges` of its key before the origin was asked for it. Raises CannotStore
        where the key has been purged since.
        """

        def allowed() -> bool:
            return purges is None or purges == self.state.purges(entry.key)

        change = self.index.put(entry, replacing, time.time(), allowed=allowed)
        if change is None:
            raise CannotStore("it was purged before the origin answered")
        self.apply(change)
        self.state.bump(entry.key)
        if self.state.used > self.size:
            until = time.monotonic() + _LONGEST_EVICTION
            eviction.make_room(self, (entry.id, NO_EXTENT), until)

    def refresh(self, entry: Entry) -> None:
        """Write the fields and times of an entry."""
        self.index.refresh(entry.id, entry.fields, entry.request_time, entry.response_time)
        self.state.bump(entry.key)

    def completed(self, entry: Entry) -> None:
        """Write that an entry is complete."""
        self.index.completed(entry.id, entry.length)
        self.state.bump(entry.key)

    def incomplete(self, version: int) -> None:
        """Write that bytes of an entry are missing again."""
        self.apply(self.index.incomplete(version))

    def remove(self, ids: Iterable[int]) -> int:
        """Remove entries and their bytes; give the number of those that were there."""
        change = self.index.remove(ids)
        self.apply(change)
        return -change.objects

    # A purge says first that it comes: who is about to store what was asked for before either sees
    # that in its transaction, or has ended it when the purge looks for what is to be removed.

    def begin_purge(self, *keys: str) -> None:
        """Have nothing stored any more under the keys that origins were asked for before now.

        What is stored by now can be found and removed from now on.
        """
        for key in keys:
            self.state.purged(key)
        self.index.wait_for_writers()

    def begin_purge_from(self, prefix: str) -> None:
        """The same for all keys that begin so."""
        self.state.purged_from(prefix)
        self.index.wait_for_writers()

    def purge(self, key: str) -> int:
        """Remove all that is stored under a key; give the number of entries."""
        self.begin_purge(key)
        return self.remove(self.index.ids_of(key))

    def purge_ids(self, ids: Collection[int]) -> int:
        """Remove entries by their ids; give the number of those that were there."""
        self.begin_purge(*self.index.keys_of(ids))
        return self.remove(ids)

    def purge_some(self, prefix: str) -> int:
        """Remove some of the entries whose keys begin so; 0 when there are no more.

        `begin_purge_from` comes before the first call.
        """
        ids = self.index.ids_from(prefix, _PURGED_AT_ONCE)
        return self.remove(ids)

    def apply(self, change: Change) -> None:
        """Let files, bytes used and generations follow what was done to the index."""
        if change.bytes:
            self.state.add_used(change.bytes)
        for key in change.keys:
            self.state.bump(key)
        problem: OSError | None = None
        for row in change.dropped:
            try:
                self._discard(row)
            except OSError as error:
                problem = error
        if problem is not None:
            raise problem

    def _discard(self, row: ExtentRow) -> None:
        if row.number == NO_EXTENT:
            return
        extent = Extent.open(self.path(row.version, row.number))
        if extent is not None:
            extent.discard()

    # Extents

    def prepare(
        self,
        version: int,
        number: int,
        size: int,
        first: int,
        count: int,
        known: Extent | None = None,
    ) -> Extent:
        """Make room for slices of an extent. Raises CannotStore where there is none to be had.

        known: the extent if it is open already; it is given back if it will do.
        """
        if self.lost():
            raise DirectoryLost
        begin = first * self.slice_size
        wanted = min(count * self.slice_size, size - begin) + HEADER + _EXTRA
        if wanted > self.size:
            raise CannotStore(
                "there is no room within CACHE_SIZE: it is too small for what is read"
            )
        self.state.add_used(wanted)
        try:
            self._make_room((version, number), wanted)
            if known is None or known.gone or known.size < size:
                known = self._made(version, number, size)
            self._allocate(known, first, count)
        finally:
            self.state.add_used(-wanted)
        return known

    def _make_room(self, keep: tuple[int, int], wanted: int) -> None:
        if self.state.used <= self.size:
            return
        # The last of the entry's other extents may have to go.
        self.apply(self.index.hold(keep[0], time.time()))
        until = time.monotonic() + _LONGEST_EVICTION
        if eviction.make_room(self, keep, until):
            return
        if time.monotonic() < until and self.index.totals()[2] + wanted <= self.size:
            # Nothing is left that could go: the count is wrong, after a loss of power perhaps.
            self.state.set_used(self.index.totals()[2] + wanted)
            return
        raise CannotStore(
            "there is no room within CACHE_SIZE: everything in the cache is being written, or more"
            " has to go than can be removed at once"
        )

    def _allocate(self, extent: Extent, first: int, count: int) -> None:
        version, number = extent.version, extent.number
        try:
            extent.allocate(first, count)
        except FileNotFoundError as error:
            raise CannotStore("the extent was removed while it was made") from error
        finally:
            # Also if the disk was full half-way: what it has taken is counted.
            now = time.time()
            extent.touch(now)
            change = self.index.note_extents(
                lambda: [ExtentRow(version, number, extent.counted, round(now, 3))]
            )
        if change is None:
            extent.discard()
            raise CannotStore("the entry was removed while its bytes came")
        self.apply(change)
        if extent.gone:
            # Who removed it may have been before us at the index.
            self.apply(self.index.forget_extents([(version, number)]))
            raise CannotStore("the extent was removed while it was made")

    def _made(self, version: int, number: int, size: int) -> Extent:
        path = self.path(version, number)
        try:
            return Extent.create(path, version, number, self.slice_size, size)
        except FileExistsError:
            old = Extent.open(path)
            if old is not None:
                old.discard()
            return Extent.create(path, version, number, self.slice_size, size)

    def used_extents(self, used: Mapping[tuple[int, int], int]) -> None:
        """Write when extents were used last: Unix times by version and number."""
        self.index.used_extents([(*name, last_used) for name, last_used in used.items()])

    # Whether it works

    def probe(self) -> None:
        """Write something and take it away again. Raises what storing would raise."""
        if self.lost():
            raise DirectoryLost
        path = self.directory / f"probe.{os.getpid()}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # First of all, so that no kill leaves it there.
            path.unlink()
            os.posix_fallocate(file, 0, _PROBED_SLICES * self.slice_size)
        finally:
            os.close(file)
        self.index.forget_extents(())


def _identity(directory: Path) -> tuple[int, int]:
    found = state_path(directory).stat()
    return found.st_dev, found.st_ino
