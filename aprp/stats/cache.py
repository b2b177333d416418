"""What is told of the cache: counters of all workers, and figures of the directory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aprp.stats.counters import Count, Counters
from aprp.stats.units import Volume

OFF = "off: CACHE_DIR is empty or CACHE_SIZE is 0"
"""The problem that is told where there is no cache."""

Figures = Callable[[], Mapping[str, Any]]
"""Gives the figures of the directory: `used`, `size`, `objects`, `dirty`, `problem`.

Bytes on disk, the most there may be, stored responses, bytes not yet written out, and why nothing
is stored now (None: all is well). The last two are of the process that is asked, the others of the
directory.
"""


@dataclass(frozen=True, slots=True)
class CacheReport:
    """The cache at one moment."""

    problem: str | None
    """Why nothing is stored now; None when all is well."""
    used: Volume
    size: Volume
    objects: int
    dirty: Volume
    evictions: int
    slices_stored: int
    slices_wrong: int
    hits: int
    partial_hits: int
    misses: int
    stale: int
    passes: int
    collapsed: int
    revalidations: int
    resumes: int
    from_cache: Volume
    to_clients: int

    @property
    def hit_ratio(self) -> float:
        """The share of the bytes given to clients that had been stored before; 0 to 1."""
        return min(self.from_cache.bytes / self.to_clients, 1.0) if self.to_clients else 0.0

    def to_json(self) -> dict[str, object]:
        """Give the member `cache` of what /stats answers with."""
        return {
            "storing": self.problem is None,
            "problem": self.problem,
            "used": self.used.to_json(),
            "size": self.size.to_json(),
            "objects": self.objects,
            "dirty_bytes": self.dirty.bytes,
            "evictions": self.evictions,
            "slices": {"stored": self.slices_stored, "wrong": self.slices_wrong},
            "requests": {
                "hits": self.hits,
                "partial_hits": self.partial_hits,
                "misses": self.misses,
                "passes": self.passes,
                "stale": self.stale,
                "collapsed": self.collapsed,
            },
            "bytes_from_cache": self.from_cache.to_json(),
            "hit_ratio": round(self.hit_ratio, 4),
            "revalidations": self.revalidations,
            "resumes": self.resumes,
        }


def cache_report(counters: Counters, figures: Figures | None) -> CacheReport:
    """Read the counters and the figures; None where there is no cache."""
    total = counters.total
    told: Mapping[str, Any] = {"problem": OFF} if figures is None else figures()
    return CacheReport(
        problem=told.get("problem"),
        used=Volume(told.get("used", 0)),
        size=Volume(told.get("size", 0)),
        objects=told.get("objects", 0),
        dirty=Volume(told.get("dirty", 0)),
        evictions=total(Count.CACHE_EVICTIONS),
        slices_stored=total(Count.CACHE_SLICES_STORED),
        slices_wrong=total(Count.CACHE_SLICES_WRONG),
        hits=total(Count.CACHE_HITS),
        partial_hits=total(Count.CACHE_PARTIAL),
        misses=total(Count.CACHE_MISSES),
        stale=total(Count.CACHE_STALE),
        passes=total(Count.CACHE_PASSES),
        collapsed=total(Count.COLLAPSED),
        revalidations=total(Count.CACHE_REVALIDATIONS),
        resumes=total(Count.FILL_RESUMES),
        from_cache=Volume(total(Count.BYTES_FROM_CACHE)),
        to_clients=total(Count.BYTES_TO_CLIENTS),
    )
