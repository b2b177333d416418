"""Checks a cache directory, and repairs it by dropping what is wrong; servers may run meanwhile."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aprp.cache.extent import SLICES, Extent
from aprp.cache.layout import extent_folders, state_path
from aprp.cache.rows import NO_EXTENT, ExtentRow
from aprp.cache.state import State
from aprp.cache.store import Store
from aprp.cache.upkeep import remove_litter

__all__ = ["Finding", "check"]

_BATCH = 64
_SAMPLES = 5
_BETWEEN_SAMPLES = 0.02

Kind = Literal["wrong slice", "missing extent", "file of nothing", "wrong count"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was wrong, and has been put right."""

    kind: Kind
    where: str
    """The file or word that it is about."""
    text: str
    """A sentence for people."""
    version: int = 0
    """The entry concerned; 0 for none."""


def check(directory: Path, progress: Callable[[int, int], None] | None = None) -> Iterator[Finding]:
    """Verify all checksums, and give what was wrong, one by one as it is found.

    Wrong slices are dropped, as are rows of the index without a file and files without a row
    (unless they are younger than a minute), and the count of bytes used is set right.
    progress: told the number of extents looked at and of all, now and then.

    Raises OSError and IndexFailure where the directory cannot be used.
    """
    with closing(State(state_path(directory))) as state, closing(Store(directory, state)) as store:
        yield from _extents(store, progress)
        for folder in extent_folders(directory):
            for path in remove_litter(store, folder, time.time()):
                text = f"{path.name} belonged to nothing and was removed"
                yield Finding("file of nothing", str(path), text)
        yield from _count(store)


def _extents(store: Store, progress: Callable[[int, int], None] | None) -> Iterator[Finding]:
    total = store.index.totals()[1]
    done = 0
    after: ExtentRow | None = None
    # By their names and not by use, which changes while the servers run.
    while rows := store.index.extents_after(after, _BATCH):
        for row in rows:
            if row.number != NO_EXTENT:
                yield from _extent(store, row)
                done += 1
                if progress is not None:
                    progress(done, max(done, total))
        after = rows[-1]


def _extent(store: Store, row: ExtentRow) -> Iterator[Finding]:
    path = store.path(row.version, row.number)
    extent = Extent.open(path)
    if extent is None:
        # Unless a server has just evicted it, and its row with it.
        if store.index.extent(row.version, row.number) is not None:
            store.apply(store.index.forget_extents([(row.version, row.number)]))
            text = f"{path.name} is not there, or no extent: it was taken out of the index"
            yield Finding("missing extent", str(path), text, row.version)
        return
    for n in range(SLICES):
        if extent.stored(n) and not extent.verify(n) and not extent.gone:
            store.incomplete(row.version)
            text = f"slice {n} of {path.name} was not what had been stored: it was dropped"
            yield Finding("wrong slice", str(path), text, row.version)


def _count(store: Store) -> Iterator[Finding]:
    differences = []
    for _ in range(_SAMPLES):
        differences.append(store.state.used - store.index.totals()[2])
        time.sleep(_BETWEEN_SAMPLES)
    # What running servers reserve for a moment is not wrong.
    wrong = min(differences, key=abs)
    if wrong:
        store.state.add_used(-wrong)
        text = f"the count of bytes used was {abs(wrong)} too {'high' if wrong > 0 else 'low'}"
        yield Finding("wrong count", str(state_path(store.directory)), text)
