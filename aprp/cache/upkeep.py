"""What one of the processes that share a directory does for all: keep the count, remove litter."""

import logging
import time
from pathlib import Path

from aprp.cache.extent import Extent, extent_name
from aprp.cache.layout import extent_folders
from aprp.cache.store import Store

__all__ = ["LITTER_AGE", "Upkeep", "remove_litter"]

logger = logging.getLogger("aprp.cache")

LITTER_AGE = 60.0
"""Seconds for which a file that nobody knows is left alone: it may be about to be noted."""
_SAMPLES = 10
_FOLDERS_AT_ONCE = 16


class Upkeep:
    """Rounds of housekeeping, a small part of the work each; used from the thread of the store."""

    def __init__(self, store: Store) -> None:
        """Begin with the first folder of extents."""
        self._store = store
        self._differences: list[int] = []
        self._folders = list(extent_folders(store.directory))
        self._place = 0
        # If the index is a new one, it knows no extent: all that are there fill the disk.
        self._hurried = len(self._folders)

    def round(self) -> None:
        """Do the next part. Raises IndexFailure and OSError."""
        self.settle()
        count = min(self._hurried, _FOLDERS_AT_ONCE) or 1
        self._hurried = max(0, self._hurried - count)
        for _ in range(count):
            removed = remove_litter(self._store, self._folders[self._place], time.time())
            if removed:
                logger.info("%d files that nothing refers to were removed", len(removed))
            self._place = (self._place + 1) % len(self._folders)

    def settle(self) -> None:
        """Bring `State.used` and the index together where they have come apart.

        A killed process leaves what it had reserved. What others have reserved at this moment looks
        the same: only what was there in each of several rounds is taken away.
        """
        self._differences.append(self._store.state.used - self._store.index.totals()[2])
        if len(self._differences) < _SAMPLES:
            return
        least, most = min(self._differences), max(self._differences)
        self._differences.clear()
        if least > 0:
            self._store.state.add_used(-least)
        elif most < 0:
            self._store.state.add_used(-most)


def remove_litter(store: Store, folder: Path, now: float) -> list[Path]:
    """Remove files of a folder of extents that the index does not know; give their names.

    Killed processes leave some. Files younger than LITTER_AGE are left alone, as are those whose
    names are none of ours. now: Unix time.
    """
    removed = []
    try:
        names = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    for path in names:
        name = extent_name(path)
        if name is None and path.suffix != ".new":
            continue
        if name is not None and store.index.extent(*name) is not None:
            continue
        try:
            if path.stat().st_mtime > now - LITTER_AGE:
                continue
        except FileNotFoundError:
            continue
        extent = Extent.open(path) if name is not None else None
        if extent is not None:
            extent.discard()
        else:
            path.unlink(missing_ok=True)
        removed.append(path)
    return removed
