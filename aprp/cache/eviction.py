"""Making room: what was used longest ago goes first, an extent at a time.

The index knows the order, but not to the last second: an extent that its own header says was used
later is put where it belongs and passed over. Several processes may evict at once.
"""

import time
from typing import TYPE_CHECKING

from aprp.cache.extent import Extent
from aprp.cache.rows import NO_EXTENT, ExtentRow

if TYPE_CHECKING:
    from aprp.cache.store import Store

__all__ = ["make_room"]

_RECENT = 2
"""Seconds for which an extent that was used goes only if nothing else is left."""
_BATCH = 16


def make_room(store: "Store", keep: tuple[int, int] | None, until: float) -> bool:
    """Evict until no more than CACHE_SIZE is used; False where that cannot be reached.

    keep: version and number of an extent that stays. until: `time.monotonic` at which to give up.
    Raises IndexFailure and OSError.
    """
    for stays in (_is_recent, _is_waiting, _nothing):
        after: ExtentRow | None = None
        while store.state.used > store.size:
            rows = store.index.oldest_extents(_BATCH, after)
            if not rows or (stays is _is_recent and _is_recent(rows[0])):
                break
            after = rows[-1]
            for row in rows:
                if store.state.used <= store.size:
                    return True
                if time.monotonic() >= until:
                    return False
                kept = keep is not None and row[:2] in (keep, (keep[0], NO_EXTENT))
                if not kept and not stays(row):
                    _evict(store, row, by_header=stays is _is_recent)
    return store.state.used <= store.size


def _is_recent(row: ExtentRow) -> bool:
    return row.last_used >= int(time.time()) - _RECENT


def _is_waiting(row: ExtentRow) -> bool:
    """Whether it stands for an entry whose first bytes may be on their way."""
    return row.number == NO_EXTENT and _is_recent(row)


def _nothing(row: ExtentRow) -> bool:
    return False


def _evict(store: "Store", row: ExtentRow, *, by_header: bool) -> None:
    if row.number != NO_EXTENT:
        extent = Extent.open(store.path(row.version, row.number))
        if extent is not None:
            if by_header and extent.last_used > row.last_used:
                store.used_extents({row[:2]: extent.last_used})
                return
            extent.discard()
            store.evictions += 1
    store.apply(store.index.forget_extents([row[:2]]))
