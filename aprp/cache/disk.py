"""The threads that use the cache directory, what they have open, and why they cannot.

A directory that cannot be used is no error of a request: it is logged once, told in `problem`, and
tried again after some seconds.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from aprp.cache import eviction
from aprp.cache.entry import CannotStore, Entry
from aprp.cache.index import Index
from aprp.cache.layout import index_path, leases_path, state_path
from aprp.cache.leases import Leases, key_place
from aprp.cache.state import State
from aprp.cache.store import DirectoryLost, Store
from aprp.cache.trouble import FAILURES, why
from aprp.cache.upkeep import Upkeep

__all__ = ["Disk"]

logger = logging.getLogger("aprp.cache")

T = TypeVar("T")

_UPKEEP = key_place("\0upkeep")
"""The lease of the one process that does the upkeep for all."""
_EVICTION = 0.2
"""Seconds that a round of housekeeping may take to make room."""
_BUSY = 60.0
"""Seconds that a thread waits for other processes at the index: they wait for the same disk."""


class Disk:
    """One thread that writes, one that looks entries up; methods are called on the event loop."""

    def __init__(
        self, directory: Path, size: int, slice_size: int, retry: float, patience: float
    ) -> None:
        """Prepare nothing yet.

        retry: seconds until a directory that failed is tried again. patience: seconds for which a
        client may have to wait for the disk.
        """
        self.problem: str | None = None
        self.state: State | None = None
        self.leases: Leases | None = None
        self.epoch = 0
        """Changes when what is known of the index may no longer hold."""
        self._directory = directory
        self._size = size
        self._slice_size = slice_size
        self._retry = retry
        self._patience = patience
        self._retry_at = 0.0
        self._store: Store | None = None
        self._upkeep: Upkeep | None = None
        self._index: Index | None = None
        self._index_epoch = 0
        # Of stores that have been closed.
        self._evictions_before = 0
        self._writer: ThreadPoolExecutor | None = None
        self._finder: ThreadPoolExecutor | None = None

    @property
    def evictions(self) -> int:
        """Extents that this process has removed to make room."""
        return self._evictions_before + (self._store.evictions if self._store else 0)

    @property
    def objects(self) -> int:
        """Responses stored, as of the last round."""
        return self._store.objects if self._store else 0

    def start(self) -> None:
        """Open state and leases at once, the index in its thread; never raises for these."""
        self._writer = ThreadPoolExecutor(1, "aprp-cache-disk")
        self._finder = ThreadPoolExecutor(1, "aprp-cache-find")
        try:
            self.state, self.leases = _open(self._directory)
        except FAILURES as error:
            self.trouble(error)
            return
        opening = self._submit(self._open_store, self.state)
        opening.add_done_callback(self._opened)

    def _opened(self, opening: "asyncio.Future[None]") -> None:
        if not opening.cancelled() and (error := opening.exception()) is not None:
            self.trouble(error)

    def trouble(self, error: BaseException) -> None:
        """Stop storing, because of an error of FAILURES; say so if that is news."""
        text = why(error, self._directory)
        if text != self.problem:
            logger.warning("nothing is stored: %s", text)
        self.problem = text
        self._retry_at = time.monotonic() + self._retry
        if isinstance(error, DirectoryLost):
            self._abandon()

    def _abandon(self) -> None:
        """Let go of a directory that is no longer there."""
        state, self.state = self.state, None
        leases, self.leases = self.leases, None
        self.epoch += 1
        if leases is not None:
            leases.close()
        if state is not None:
            self._submit(self._close_store).add_done_callback(lambda _: state.close())

    # Work

    async def run(self, work: Callable[[Store], T], *, awaited: bool = False) -> T:
        """Do it in the thread that writes, in the order of the calls.

        awaited: a client waits for it, who is not to wait for a disk that hangs. Raises CannotStore
        for all that is the directory's fault, which is `problem` from then on.
        """

        def call() -> T:
            if self._store is None:
                raise CannotStore(self.problem or "CACHE_DIR is not open yet")
            return work(self._store)

        if self._writer is None:
            raise CannotStore("the cache is closed")
        try:
            # What the thread still does after that is of no harm.
            async with asyncio.timeout(self._patience if awaited else None):
                return await self._submit(call)
        except FAILURES as error:
            self.trouble(error)
            raise CannotStore(why(error, self._directory)) from error

    async def find(self, key: str) -> list[Entry]:
        """What the index has under a key; nothing where it cannot be asked."""
        if self._finder is None or self.state is None:
            return []
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience):
                return await loop.run_in_executor(self._finder, self._find, key, self.epoch)
        except FAILURES as error:
            self.trouble(error)
            return []

    def _find(self, key: str, epoch: int) -> list[Entry]:
        if self._index is None or self._index_epoch != epoch:
            self._close_index()
            self._index = Index(index_path(self._directory), busy=_BUSY)
            self._index_epoch = epoch
        return self._index.find(key)

    # Housekeeping

    async def round(self, used: Mapping[tuple[int, int], int]) -> None:
        """Note when extents were used, evict, look whether all is well; try what failed again.

        used: Unix times in seconds by version and number.
        """
        if self.problem is not None:
            if time.monotonic() >= self._retry_at:
                await self._recover()
            return
        keeps = self.leases is not None and (self.leases.held(_UPKEEP) or self.leases.take(_UPKEEP))
        # What goes wrong is told by `problem`.
        with contextlib.suppress(CannotStore):
            if await self.run(lambda store: self._look_after(store, used, keeps)):
                self.epoch += 1

    def _look_after(self, store: Store, used: Mapping[tuple[int, int], int], keeps: bool) -> bool:
        """Give whether the index is another one than before."""
        if store.lost():
            raise DirectoryLost
        replaced = store.index.fresh
        store.index.fresh = False
        if store.index.replaced():
            self._open_store(store.state)
            return True
        if used:
            store.used_extents(used)
        if store.state.used > store.size:
            eviction.make_room(store, None, time.monotonic() + _EVICTION)
        if keeps:
            if self._upkeep is None or replaced:
                self._upkeep = Upkeep(store)
            self._upkeep.round()
        store.objects = store.index.totals()[0]
        return replaced

    async def _recover(self) -> None:
        try:
            if self.state is None:
                self.state, self.leases = await self._submit(_open, self._directory)
            await self._submit(self._open_store, self.state, True)
        except FAILURES as error:
            self.trouble(error)
            return
        self.problem = None
        self.epoch += 1
        logger.info("CACHE_DIR %s can be used again", self._directory)

    def _open_store(self, state: State, probe: bool = False) -> None:
        self._close_store()
        self._store = Store(
            self._directory, state, size=self._size, slice_size=self._slice_size, busy=_BUSY
        )
        if probe:
            self._store.probe()

    def _close_store(self) -> None:
        if self._store is not None:
            self._evictions_before += self._store.evictions
            self._store.close()
        self._store = self._upkeep = None

    def _close_index(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index = None

    def _submit(self, work: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._writer, work, *arguments)

    async def close(self, used: Mapping[tuple[int, int], int]) -> None:
        """Write the last notes, close everything, end the threads."""
        if self._writer is None or self._finder is None:
            return
        if used and self.problem is None:
            # The cause is logged; eviction takes these extents for less used than they were.
            with contextlib.suppress(CannotStore):
                await self.run(lambda store: store.used_extents(used))
        await self._submit(self._close_store)
        await asyncio.get_running_loop().run_in_executor(self._finder, self._close_index)
        self._writer.shutdown()
        self._finder.shutdown()
        self._writer = self._finder = None
        if self.leases is not None:
            self.leases.close()
        if self.state is not None:
            self.state.close()
        self.leases = self.state = None


def _open(directory: Path) -> tuple[State, Leases]:
    (directory / "extents").mkdir(parents=True, exist_ok=True)
    return State(state_path(directory)), Leases(leases_path(directory))
